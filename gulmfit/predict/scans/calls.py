"""Calls: windows above a threshold that overlap or lie close, put together.

Shape letter: `N` windows.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Call(NamedTuple):
    """A stretch of windows above the threshold, of one contig and strand."""

    start: int
    """First base of its first window."""
    end: int
    """Base after the last one of its last window."""
    value: float
    """The highest score in it."""
    best_start: int
    """First base of the window that has it, the first one of several."""
    best_end: int
    windows: int
    """How many windows it is made of."""


def merge(chunks: Iterable[tuple[Integers, Integers, Floats]], threshold: float, merge_bp: int = 0) -> Iterator[Call]:
    """Merge the windows of one contig and strand into calls, in their order, one call in memory.

    Args:
        chunks: First base, base after the last one, and score of windows, `(N,)` each; ascending from chunk to chunk. A
            score that is nan is below every threshold.
        threshold: A window with this score or more belongs to a call.
        merge_bp: Windows with at most so many bases between them belong to one call; 0 if they overlap or touch.
    """
    call: Call | None = None
    for starts, ends, scores in chunks:
        with np.errstate(invalid="ignore"):
            above = np.flatnonzero(scores >= threshold)
        for start, end, score in zip(starts[above].tolist(), ends[above].tolist(), scores[above].tolist(), strict=True):
            if call is not None and start <= call.end + merge_bp:
                call = call._replace(end=end, windows=call.windows + 1)
                if score > call.value:
                    call = call._replace(value=score, best_start=start, best_end=end)
            else:
                if call is not None:
                    yield call
                call = Call(start, end, score, start, end, 1)
    if call is not None:
        yield call
