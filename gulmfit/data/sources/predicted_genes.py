"""Starts of predicted genes in a bacterial genome, few of them labelled: a real task that needs a FASTA file only."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gulmfit.data.sources.base import Source
from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.formats.fasta import expand_paths, read_fasta
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.gene_starts import packaged_genome, predicted_genes, start_windows
from gulmfit.seq.labels.labelled import LabelledSequences


@dataclass(kw_only=True)
class GeneStartsSource(Source):
    """Windows around the starts of predicted genes against windows inside genes.

    The last part of every contig is the test part: no language model of the run reads it, and no label of it is used
    before the end.

    Args:
        genome: FASTA of a bacterial genome; null for the one that pyrodigal's wheel carries, *Corynebacterium
            diphtheriae* NCTC 11397.
        test_fraction: Share of every contig's bases, at its end, that is the test part.
        num_train: Labelled windows to train on, half of them starts; null for all that there are.
        num_valid: The same to validate on.
        upstream_bp: Bases before the start codon.
        downstream_bp: Bases from the start codon on.
        jitter_bp: Move every window around a start by up to so many bases, at random.
        seed: Of the windows and of the choice among them.

    Raises:
        ConfigError: A number is out of range.
    """

    test_fraction: float = 0.2
    num_train: int | None = None
    num_valid: int = 200
    upstream_bp: int = 100
    downstream_bp: int = 50
    jitter_bp: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.test_fraction < 1:
            raise ConfigError(f"data.test_fraction={self.test_fraction}: give a share between 0 and 1, such as 0.2.")
        if self.num_valid < 2 or (self.num_train is not None and self.num_train < 2):
            raise ConfigError(
                f"data.num_train={self.num_train}, data.num_valid={self.num_valid}: at least 2, one for each class."
            )

    def store(self, cache_dir: Path) -> GenomeStore:
        """Return the genome without its test part."""
        kept = [(name, sequence[: self._boundary(sequence)]) for name, sequence in self._contigs()]
        names, sequences = zip(*kept, strict=True)
        return GenomeStore.from_sequences(list(names), list(sequences), case=self.case)

    def _labelled(self) -> LabelledSequences:
        """Predict the genes, cut the windows, and deal them out."""
        windows = self._windows
        boundaries = {name: self._boundary(sequence) for name, sequence in self._contigs()}
        loci = windows.loci or []
        starts = np.array([start - boundaries[contig] for contig, start, _, _ in loci])
        ends = np.array([end - boundaries[contig] for contig, _, end, _ in loci])
        parts = np.full(len(windows), "", dtype="<U5")
        parts[starts >= 0] = "test"
        rng = np.random.default_rng([self.seed, 3])
        for label, name in enumerate(windows.classes):
            free = rng.permutation(np.flatnonzero((ends <= 0) & (windows.labels == label)))
            valid = self.num_valid // 2
            train = len(free) - valid if self.num_train is None else self.num_train // 2
            if train < 1 or train + valid > len(free):
                raise DataError(
                    f"data.num_train={self.num_train}, data.num_valid={self.num_valid}: there are {len(free)} windows "
                    f"of class {name!r} outside the test part. Ask for fewer, or give a larger genome."
                )
            parts[free[:train]], parts[free[train : train + valid]] = "train", "valid"
        kept = np.flatnonzero(parts != "")
        return replace(windows.subset(kept), splits=parts[kept])

    @functools.cached_property
    def _windows(self) -> LabelledSequences:
        """All windows of the genome; every stage asks for them, and to predict genes takes seconds."""
        return start_windows(
            predicted_genes(self._contigs()), [str(path) for path in self._files()],
            upstream_bp=self.upstream_bp, downstream_bp=self.downstream_bp, jitter_bp=self.jitter_bp, seed=self.seed,
        )  # fmt: skip

    def _files(self) -> list[Path]:
        return expand_paths(self.genome) if self.genome else [packaged_genome()]

    def _contigs(self) -> list[tuple[str, str]]:
        return [(record.id, record.sequence) for path in self._files() for record in read_fasta(path)]

    def _boundary(self, sequence: str) -> int:
        return int((1 - self.test_fraction) * len(sequence))
