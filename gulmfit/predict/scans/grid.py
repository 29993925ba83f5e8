"""Where the windows of a scan lie: on every contig from its first base to its last, never across two.

Shape letters: `N` windows.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError

Integers = npt.NDArray[np.int64]


class Stretch(NamedTuple):
    """Windows of one contig."""

    contig: int
    """Index of the contig."""
    starts: Integers
    """First base of each window in its contig, `(N,)`, ascending."""
    bases: int
    """Bases of each window."""

    @property
    def ends(self) -> Integers:
        """Base after the last one of each window, `(N,)`."""
        return self.starts + self.bases


class Windows:
    """Windows of equal length, every `step_bp` bases, numbered contig after contig.

    Where the step does not lead there, the last window of a contig stands at its end, so that every base is read. A
    contig shorter than a window is one window of its own length, or none if the tokenizer cannot read it.

    Args:
        lengths: Bases of each contig.
        window_bp: Bases of a window.
        step_bp: Bases from the start of one window to the start of the next.
        min_bases: What the tokenizer needs to give a token.

    Raises:
        ConfigError: The window is shorter than the tokenizer can read, or the step is 0.
    """

    def __init__(self, lengths: Sequence[int], window_bp: int, step_bp: int, min_bases: int) -> None:
        if window_bp < min_bases:
            raise ConfigError(f"window_bp={window_bp}: the tokenizer of this model reads {min_bases} bases or more.")
        if step_bp < 1:
            raise ConfigError(f"step_bp={step_bp}: 1 base or more is needed.")
        self.lengths = np.asarray(lengths, dtype=np.int64)
        self.window_bp, self.step_bp = window_bp, step_bp
        steps = -(-(self.lengths - window_bp) // step_bp)
        counts = np.where(self.lengths >= window_bp, 1 + steps, self.lengths >= min_bases)
        self.offsets: Integers = np.concatenate([[0], np.cumsum(counts)])
        """Number of the first window of each contig, and of all windows."""

    def __len__(self) -> int:
        return int(self.offsets[-1])

    @property
    def contigs_left_out(self) -> int:
        """How many contigs are too short to be read."""
        return int((np.diff(self.offsets) == 0).sum())

    def stretches(self, first: int, last: int) -> Iterator[Stretch]:
        """Yield the windows from number `first` up to, not with, `last`, in the longest stretches without a gap."""
        for part in self.by_contig(first, last):
            if self.step_bp <= part.bases:
                yield part
            else:
                yield from (part._replace(starts=part.starts[at : at + 1]) for at in range(len(part.starts)))

    def by_contig(self, first: int, last: int) -> Iterator[Stretch]:
        """Yield the windows from number `first` up to, not with, `last`, those of a contig together."""
        contig = int(np.searchsorted(self.offsets, first, side="right")) - 1
        while first < last:
            offset, end = int(self.offsets[contig]), min(last, int(self.offsets[contig + 1]))
            if end > first:
                bases = min(self.window_bp, int(self.lengths[contig]))
                starts = np.minimum(
                    np.arange(first - offset, end - offset) * self.step_bp, self.lengths[contig] - bases
                )
                yield Stretch(contig, starts, bases)
            first, contig = max(first, end), contig + 1

    def cells(self, stretch: Stretch) -> tuple[Integers, Integers]:
        """Share the bases of a contig out among its windows: each to the window whose middle is nearest to its own.

        Cells follow each other without overlap; on a tie the later window has the base. A base that its nearest window
        does not cover, where steps are longer than windows, belongs to none.

        Returns:
            First base of the cell of each window, and the base after its last one, `(N,)` each.
        """
        furthest = self.lengths[stretch.contig] - stretch.bases
        starts, ends = stretch.starts, stretch.ends
        # Before a window that was moved to the end of its contig stands the last one that the steps lead to.
        before = np.where(starts % self.step_bp, starts // self.step_bp * self.step_bp, starts - self.step_bp)
        after = np.minimum(starts + self.step_bp, furthest)
        lows = np.where(starts == 0, 0, np.maximum(starts, (before + starts + stretch.bases) // 2))
        highs = np.where(starts == furthest, ends, np.minimum(ends, (starts + after + stretch.bases) // 2))
        return lows, highs
