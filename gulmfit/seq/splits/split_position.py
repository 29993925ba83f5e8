"""Splits by genome position: whole contigs, or blocks of them, on one side. Shape: N sequences."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.labels.labelled import LabelledSequences, Locus
from gulmfit.seq.related.homology import Groups, group_overlaps, inseparable, join, locus_arrays
from gulmfit.seq.splits.split import FractionSplit, source_of


@dataclass(frozen=True)
class ContigSplit(FractionSplit):
    """Keep whole contigs on one side, as in a test on chromosomes never seen.

    Args:
        valid_fraction, test_fraction, seed: As in `StratifiedSplit`.
        keep_copies: Join contigs that hold copies or reverse-complement twins of a sequence. Where this leaves too
            few groups, as with the repeats of a large genome, false goes by position alone; the leakage report
            counts the copies.
    """

    keep_copies: bool = True
    advice: ClassVar[str] = (
        "choose split=position, which cuts contigs into blocks, split.keep_copies=false where contigs are joined by "
        "copies, or other fractions"
    )

    def groups(self, data: LabelledSequences) -> Groups:
        """Return the group of contigs of each sequence (N,); raise DataError where positions are not known."""
        if data.loci is None:
            raise DataError(
                f"{source_of(data)}: no genome positions are known, which splits by contig or position go by; choose "
                "split=homology, or data that has them (data=ecoli_promoters)"
            )
        places = self._places(data.loci)
        if not self.keep_copies:
            return join(places) if data.groups is None else join(places, data.groups)
        return join(places, inseparable(data))

    def _places(self, loci: Sequence[Locus]) -> npt.NDArray[np.int64]:
        """Number the place that decides the side of each sequence (N,): its contig."""
        return locus_arrays(loci)[0]


@dataclass(frozen=True)
class PositionSplit(ContigSplit):
    """Keep blocks of a genome on one side.

    Windows that overlap, on either strand, are never parted: a chain of them goes with the block in which it starts,
    also where it crosses the edge.

    Args:
        valid_fraction, test_fraction, seed, keep_copies: As in `ContigSplit`.
        block_bp: Bases of a block, counted from the start of each contig.

    Raises:
        ConfigError: A block has less than one base, or as in `StratifiedSplit`.
    """

    block_bp: int = 50_000
    advice: ClassVar[str] = (
        "make blocks smaller (split.block_bp), thin out windows that overlap all along a contig, choose "
        "split.keep_copies=false where blocks are joined by copies, or other fractions"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.block_bp < 1:
            raise ConfigError(f"split.block_bp={self.block_bp} is not allowed: a block has 1 base or more")

    def _places(self, loci: Sequence[Locus]) -> npt.NDArray[np.int64]:
        """Number the place that decides the side of each sequence (N,): the block in which its chain starts."""
        contigs, starts, _ = locus_arrays(loci)
        chains = group_overlaps(loci)
        first = np.full(len(chains), starts.max(initial=0))
        np.minimum.at(first, chains, starts)
        blocks = first[chains] // self.block_bp
        places: npt.NDArray[np.int64] = contigs * (blocks.max(initial=0) + 1) + blocks
        return places
