"""Put the rows of an annotation together: which transcripts code, of which gene, and what is a pseudogene.

GFF3 names the parent of a row, GTF its transcript and gene; a CDS of GenBank is a transcript, and gets its exons from
the mRNA of its gene that holds it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gulmfit.seq.formats.features import CROSSES_ORIGIN, Feature
from gulmfit.seq.genome.genes import Span

PSEUDOGENE = "pseudogene"
NOT_CODING = "CDS of what is not a coding transcript"

_PARTS = {"cds", "exon", "stop_codon", "five_prime_utr", "three_prime_utr", "utr", "5utr", "3utr", "5'utr", "3'utr"}
_GENES = {"gene", "protein_coding_gene"}
_CODING = _GENES | {"mrna", "transcript", "primary_transcript"}
_OWNED = {"Parent", "transcript_id", "gene_id"}
_BIOTYPES = ("transcript_biotype", "transcript_type", "biotype", "gene_biotype", "gene_type")
_CODING_BIOTYPES = {"", "protein_coding", "mrna"}
_EXCEPT = re.compile(r"pos:(?:complement\()?(\d+)")


class CodingPart(NamedTuple):
    """One row of a transcript, 0-based half-open; what lies behind the origin of a circular contig counts on."""

    start: int
    end: int
    phase: int | None


@dataclass
class Transcript:
    """The rows of one transcript that has a CDS.

    Attributes:
        contig: Name of the contig, as the annotation has it.
        strands: Strands of its rows.
        locus: Its gene.
        name: For messages and outputs.
        place: Where its first CDS stands.
        cds: Rows of its CDS.
        exons: Rows of every kind.
        trouble: Why it does not code for sure; "" if nothing speaks against it.
        slippage: Whether the ribosome changes the frame, so that parts may overlap or leave out bases.
        partial: Whether the annotation says that an end is missing.
        code: Number of its genetic code; 0 if the annotation does not say.
        excepted: Positions of codons, their lowest one, that do not mean what the code says.
        crosses: Whether it spans the origin of a circular contig.
        alone: Whether no row says what it belongs to, as in GenBank.
    """

    contig: str
    locus: str
    name: str
    place: str
    strands: set[str] = field(default_factory=set)
    cds: list[CodingPart] = field(default_factory=list)
    exons: list[Span] = field(default_factory=list)
    trouble: str = ""
    slippage: bool = False
    partial: bool = False
    code: int = 0
    excepted: set[int] = field(default_factory=set)
    crosses: bool = False
    alone: bool = False


@dataclass
class Annotation:
    """Transcripts with a CDS, pseudogenes, and the contigs that have any feature, each with the first one's place."""

    transcripts: list[Transcript]
    pseudogenes: list[Feature]
    contigs: dict[str, str]


def read_transcripts(features: Iterable[Feature]) -> Annotation:
    """Group the features of one file, in any order."""
    nodes: dict[str, Feature] = {}
    rows: dict[tuple[str, str, str], list[Feature]] = {}  # by contig, owner and own ID
    messengers: dict[tuple[str, str], dict[str, list[Feature]]] = {}  # of GenBank, by contig and gene
    pseudogenes: list[Feature] = []
    contigs: dict[str, str] = {}
    for feature in features:
        contigs.setdefault(feature.contig, feature.place)
        kind, own = feature.kind.lower(), feature.attributes
        if kind in _PARTS:
            for owner in _owners(feature):
                rows.setdefault((feature.contig, owner, own.get("ID", "")), []).append(feature)
            continue
        if (kind in _GENES or "pseudogen" in kind) and feature.strand != "." and _is_pseudo(feature):
            pseudogenes.append(feature)
        if kind == "mrna" and not _OWNED & own.keys():
            named = messengers.setdefault((feature.contig, _gene_name(feature)), {})
            named.setdefault(own.get("ID", ""), []).append(feature)
        if identity := own.get("ID") or own.get("transcript_id") or own.get("gene_id"):
            nodes.setdefault(identity, feature)
    transcripts: dict[tuple[str, str, str], Transcript] = {}
    others: dict[tuple[str, str], list[Feature]] = {}
    for (contig, owner, identity), found in rows.items():
        coding = [row for row in found if row.kind.lower() == "cds"]
        if not coding:
            others.setdefault((contig, owner), []).extend(found)
            continue
        node = nodes.get(owner)
        # Bacteria: every CDS of a gene is a transcript. Elsewhere the rows of one may have different IDs.
        several = node is not None and node.kind.lower() in _GENES
        key = (contig, owner, identity if several else "")
        if key not in transcripts:
            transcripts[key] = _transcript(coding[0], owner, nodes)
        _add(transcripts[key], coding)
        others.setdefault((contig, owner), []).extend(row for row in found if row.kind.lower() != "cds")
    for (contig, owner, _), made in transcripts.items():
        _add(made, others.get((contig, owner), []))
        for parts in messengers.get((contig, made.locus), {}).values() if made.alone else ():
            if all(any(p.start <= c.start and c.end <= p.end for p in parts) for c in made.cds):
                _add(made, parts)
                break
    return Annotation(list(transcripts.values()), pseudogenes, contigs)


def _owners(feature: Feature) -> list[str]:
    own = feature.attributes
    parents = [parent for parent in own.get("Parent", "").split(",") if parent]
    return parents or [own.get("transcript_id") or own.get("ID") or own.get("gene_id") or feature.place]


def _gene_name(feature: Feature) -> str:
    own = feature.attributes
    return own.get("gene_id") or own.get("locus_tag") or own.get("gene") or own.get("ID") or feature.place


def _is_pseudo(feature: Feature) -> bool:
    own = feature.attributes
    marked = own.get("pseudo", "false") != "false" or "pseudogene" in own
    return marked or "pseudogen" in feature.kind.lower() or any("pseudogene" in own.get(key, "") for key in _BIOTYPES)


def _transcript(row: Feature, owner: str, nodes: Mapping[str, Feature]) -> Transcript:
    """Make the transcript of a CDS, and look for its gene and for doubts among its ancestors."""
    lineage, above = [row], owner
    while (node := nodes.get(above)) is not None and node not in lineage:
        lineage.append(node)
        above = node.attributes.get("Parent", "").split(",")[0]
    root = lineage[-1] if len(lineage) > 1 and "gene_id" not in row.attributes else None
    locus = (root.attributes.get("ID") if root else None) or (
        owner if row.attributes.get("Parent") else _gene_name(row)
    )
    made = Transcript(row.contig, locus, lineage[1].name if len(lineage) > 1 else row.name or owner, row.place)
    biotype = next((row.attributes[key] for key in _BIOTYPES if row.attributes.get(key)), "")
    biotype = biotype or next((n.attributes[key] for n in lineage for key in _BIOTYPES if n.attributes.get(key)), "")
    made.alone = not _OWNED & row.attributes.keys()
    if any(map(_is_pseudo, lineage)):
        made.trouble = PSEUDOGENE
    elif biotype.lower() not in _CODING_BIOTYPES or any(node.kind.lower() not in _CODING for node in lineage[1:]):
        made.trouble = NOT_CODING
    return made


def _add(made: Transcript, rows: Iterable[Feature]) -> None:
    for row in rows:
        made.strands.add(row.strand)
        made.exons.append((row.start, row.end))
        made.crosses |= CROSSES_ORIGIN in row.attributes
        if row.kind.lower() != "cds":
            continue
        own = row.attributes
        made.cds.append(CodingPart(row.start, row.end, row.phase))
        made.slippage |= "slippage" in own.get("exception", "") or "ribosomal_slippage" in own
        made.partial |= own.get("partial", "false") == "true" or own.get("codon_start", "1") != "1"
        made.code = int(own["transl_table"]) if own.get("transl_table", "").isdecimal() else made.code
        made.excepted |= {int(position) - 1 for position in _EXCEPT.findall(own.get("transl_except", ""))}
