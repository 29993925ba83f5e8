"""Reads cut from longer labelled sequences, such as 16S genes with a taxonomy: the classes are taxa."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from gulmfit.data.sources.base import Paths, Source
from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import clean_sequence, reverse_complement_text
from gulmfit.seq.formats.fasta import FastaRecord, read_fasta
from gulmfit.seq.formats.tables import not_one_of
from gulmfit.seq.labels.labelled import LabelledSequences, Locus
from gulmfit.seq.labels.lineages import SEPARATOR, Lineage, is_empty, prefix_ranks, read_lineages, split_lineage
from gulmfit.seq.limits import is_whole_number
from gulmfit.seq.related.homology import group_copies

logger = logging.getLogger(__name__)

STRANDS = ("both", "forward")


@dataclass
class _Gene:
    """A sequence to cut reads from: its id, letters, class, and the number that it shares with its copies."""

    id: str
    sequence: str
    name: str
    copies: int = -1


@dataclass(kw_only=True)
class ReadsSource(Source):
    """Reads at random places of labelled sequences (genes, for short); the reads of a gene, and of its copies, are one
    group, so that no split has a gene on two sides.

    A class is the lineage of a gene down to a rank, its taxa joined by ";", so that scores of the higher ranks follow
    from it (`gulmfit.evaluate.taxonomy`).

    Args:
        path: FASTA files of the genes.
        labels: File of their lineages (see `gulmfit.seq.labels.lineages.read_lineages`); without it, what follows
        the id in
            each FASTA header is the lineage.
        id: Of a table: column of the ids.
        lineage: Of a table: column of the whole lineages.
        ranks: Names of the ranks from the top; of a table without `lineage`, the columns. Prefixes like "g__" name
            ranks by themselves.
        rank: Name of the rank that is learned, or its number from the top; the last one by default.
        max_classes: Keep the classes with most genes only, so many of them.
        min_genes: Leave out classes with fewer different genes: one for each part of the split, or fold.
        read_bp: Length of a read.
        reads_per_sequence: Reads of each gene, at different places.
        strands: `both` reads each read from a random strand, `forward` all as the genes stand.
        seed: Of the reads, and of which classes are kept where they have as many genes. It belongs to the data, so it
            does not follow the seed of a run.

    Attributes:
        record: What `labelled` made and how, ready for JSON; empty before.

    Raises:
        ConfigError: A setting is missing or impossible.
    """

    needs_path: ClassVar[str] = "the FASTA of the sequences that reads are cut from"
    path: Paths = ""
    labels: str | None = None
    id: str = "id"
    lineage: str | None = None
    ranks: Sequence[str] | None = None
    rank: str | int | None = None
    max_classes: int | None = 100
    min_genes: int = 3
    read_bp: int = 300
    reads_per_sequence: int = 10
    strands: str = "both"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.strands not in STRANDS:
            raise ConfigError(f"data.strands: {not_one_of(str(self.strands), STRANDS)}")
        least = {"read_bp": 1, "reads_per_sequence": 1, "min_genes": 1, "max_classes": 2}
        for name, lowest in least.items():
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise ConfigError(f"data.{name}={value} is not allowed: at least {lowest}")
        self.record: dict[str, Any] = {}

    def _labelled(self) -> LabelledSequences:
        """Cut the reads: ids and loci say the gene, the place and the strand ("S000392825:17-317(-)")."""
        records, lineages = self._read()
        depth = self._depth(list(lineages.values()))
        left_out: Counter[str] = Counter()
        genes: list[_Gene] = []
        for record in records:
            taxa = lineages.get(record.id, ())[:depth]
            if record.id not in lineages:
                left_out["without lineage"] += 1
            elif len(taxa) < depth or any(map(is_empty, taxa)):
                left_out["lineage ends above the rank"] += 1
            elif len(record.sequence) < self.read_bp:
                left_out["shorter than a read"] += 1
            else:
                where = f"{record.path}, record {record.id!r}"
                text = clean_sequence(record.sequence, where, case=self.case, ambiguity=self.ambiguity)
                genes.append(_Gene(record.id, text, SEPARATOR.join(taxa)))
        for gene, number in zip(genes, group_copies([gene.sequence for gene in genes]).tolist(), strict=True):
            gene.copies = number
        rng = np.random.default_rng(self.seed)
        classes = self._classes(genes, rng, left_out)
        kept = [gene for gene in genes if gene.name in classes]
        data, repeated = self._cut(kept, sorted(classes), rng)
        if repeated:
            left_out["reads that another gene has, too"] = repeated
        data.files = list(dict.fromkeys(record.path for record in records)) + ([self.labels] if self.labels else [])
        self.record = {
            "how": "reads",
            "reads": len(data),
            "genes": len(kept),
            "different_genes": len({gene.copies for gene in kept}),
            "classes": len(classes),
            "depth": depth,
            "read_bp": self.read_bp,
            "reads_per_sequence": self.reads_per_sequence,
            "strands": self.strands,
            "seed": self.seed,
            "left_out": dict(left_out),
        }
        logger.info("%s: %s", ", ".join(data.files), self.record)
        return data

    def _read(self) -> tuple[list[FastaRecord], dict[str, Lineage]]:
        """Read the genes and the lineages, by id."""
        records = list(read_fasta(self.path))
        paths: dict[str, str] = {}
        for record in records:
            if (earlier := paths.setdefault(record.id, record.path)) != record.path:
                raise DataError(f"id {record.id!r} occurs in {earlier} and in {record.path}; ids must be unique")
        if not self.labels:
            found = {record.id: split_lineage(record.description[len(record.id) :].strip()) for record in records}
            lineages = {name: taxa for name, taxa in found.items() if taxa}
            missing = "no FASTA header has a lineage behind its id; name their file: data.labels=taxonomy.tsv"
        else:
            lineages = read_lineages(Path(self.labels), id=self.id, lineage=self.lineage, ranks=self.ranks or ())
            missing = f"{self.labels} has no lineage of any of these sequences; its ids begin with "
            missing += f"{', '.join(list(lineages)[:3])}, those of the sequences with {', '.join(list(paths)[:3])}"
        if not lineages.keys() & paths.keys():
            raise DataError(f"{records[0].path}: {missing}")
        return records, lineages

    def _depth(self, lineages: Sequence[Lineage]) -> int:
        """Return how many taxa make a class."""
        deepest = max(map(len, lineages))
        names = list(self.ranks or prefix_ranks(lineages))
        if self.rank is None:
            return len(names) or deepest
        if not is_whole_number(str(self.rank)):
            if str(self.rank) not in names:
                known = not_one_of(str(self.rank), names) if names else f"{self.rank!r}: no rank has a name here"
                raise DataError(f"data.rank: {known}; or give a number from 1 (the top) to {deepest}, or data.ranks")
            return names.index(str(self.rank)) + 1
        if not 1 <= int(self.rank) <= deepest:
            raise DataError(f"data.rank={self.rank}: lineages have 1 to {deepest} taxa")
        return int(self.rank)

    def _classes(self, genes: Sequence[_Gene], rng: np.random.Generator, left_out: Counter[str]) -> set[str]:
        """Choose the classes that have enough different genes, and of those the largest; count what is left out."""
        sizes = Counter(name for name, _ in {(gene.name, gene.copies) for gene in genes})
        enough = sorted(name for name, size in sizes.items() if size >= self.min_genes)
        drawn = [enough[index] for index in rng.permutation(len(enough))]  # who comes first among equals
        kept = set(sorted(drawn, key=lambda name: -sizes[name])[: self.max_classes])
        counts = {
            f"class has fewer than {self.min_genes} different genes": sizes.keys() - set(enough),
            f"class is not among the largest {self.max_classes}": set(enough) - kept,
        }
        for reason, names in counts.items():
            if names:
                left_out[reason] += sum(gene.name in names for gene in genes)
                logger.info("%d classes are left out: %s", len(names), reason)
        if len(kept) < 2:
            raise DataError(
                f"{len(kept)} class(es) left of {len(sizes)} with {len(genes)} sequences of {self.read_bp} bases or "
                f"more; left out: {dict(left_out)}. A classifier needs two: lower data.min_genes or data.read_bp, or "
                "choose another data.rank."
            )
        return kept

    def _cut(
        self, genes: Sequence[_Gene], classes: list[str], rng: np.random.Generator
    ) -> tuple[LabelledSequences, int]:
        """Cut the reads, and count those that are left out because another gene has them, too.

        Such a read would tie the genes together in every split, or be one sequence in two classes.
        """
        index = {name: number for number, name in enumerate(classes)}
        ids, sequences, loci = list[str](), list[str](), list[Locus]()
        labels, groups, repeated = list[int](), list[int](), 0
        owners: dict[str, int] = {}
        for gene in genes:
            places = len(gene.sequence) - self.read_bp + 1
            for start in sorted(rng.choice(places, min(self.reads_per_sequence, places), replace=False).tolist()):
                strand = "+" if self.strands == "forward" or rng.random() < 0.5 else "-"
                forward = gene.sequence[start : start + self.read_bp]
                backward = reverse_complement_text(forward)
                if owners.setdefault(min(forward, backward), gene.copies) != gene.copies:
                    repeated += 1
                    continue
                end = start + self.read_bp
                ids.append(f"{gene.id}:{start}-{end}({strand})")
                sequences.append(forward if strand == "+" else backward)
                loci.append((gene.id, start, end, strand))
                labels.append(index[gene.name])
                groups.append(gene.copies)
        data = LabelledSequences(
            ids, sequences, np.array(labels, np.int64), classes, loci=loci, groups=np.array(groups, np.int64)
        )
        return data, repeated
