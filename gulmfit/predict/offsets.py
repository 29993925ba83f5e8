"""A sequence read from its first base, its second, and so on: tokens of several bases can begin at any of them.

What a network makes of one way to cut a sequence into tokens differs by chance from what it makes of another, so the
mean of all is better than any, as that of several networks is, and no network more has to be trained.

Shape letters: `N` windows, `L` bases, `C` classes of all tracks; an axis of 2 is the strand.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]


def mean_over_offsets(
    read: Callable[[Sequence[int]], Values], lengths: Sequence[int], offsets: int, least: int
) -> Values:
    """Return the means of what is read of windows from each of their first bases on, `(N, 2, L, C)`.

    Args:
        read: Gives the probabilities of windows that are cut by so many bases each at the beginning, from there on.
        lengths: Bases of each window.
        offsets: How many bases a window is read from.
        least: Bases of the shortest window that can be read; none is cut to less.
    """
    total = read([0] * len(lengths))
    if offsets == 1:
        return total
    total, counts = total.copy(), np.ones((len(lengths), 1, total.shape[2], 1), np.float32)
    for offset in range(1, offsets):
        cuts = [max(0, min(offset, length - least)) for length in lengths]
        for number, (values, cut, length) in enumerate(zip(read(cuts), cuts, lengths, strict=True)):
            total[number, :, cut:length] += values[:, : length - cut]
            counts[number, :, cut:length] += 1
    return np.asarray(total / counts)
