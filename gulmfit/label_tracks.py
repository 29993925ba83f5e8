"""Names of several labels a base: tracks, such as what a base is to a gene and its place in a codon."""

from collections.abc import Sequence
from itertools import groupby

from gulmfit.errors import DataError

JOINT = ":"
"""What stands between the name of a track and that of one of its classes."""


def track_slices(names: Sequence[str]) -> dict[str, slice]:
    """Return where the classes of each track stand among those of all, by its name.

    Args:
        names: Classes as `track:class`, the tracks one after another.

    Raises:
        DataError: A class does not say its track, or a track has fewer than two classes or is cut in two.
    """
    for name in names:
        if not all(name.partition(JOINT)):
            raise DataError(f"class {name!r}: a class of a track is written track{JOINT}class, as in phase{JOINT}0.")
    found: dict[str, slice] = {}
    at = 0
    for track, own in groupby(names, lambda name: name.partition(JOINT)[0]):
        size = len(list(own))
        if size < 2 or track in found:
            raise DataError(f"track {track!r} of {list(names)}: its classes, two or more, stand one after another.")
        found[track] = slice(at, at + size)
        at += size
    return found
