"""What must not come twice: the content of files, and the ids of records."""

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError
from gulmfit.seq.text import READ_ERRORS, opener

_log = logging.getLogger(__name__)

_START_BYTES = 1 << 16  # files that differ in them are not read any further
_BLOCK_BYTES = 1 << 20

_PENDING = 1 << 14  # hashes that wait in a set, which takes some 100 bytes for each
_MASK = (1 << 64) - 1

Hashes = npt.NDArray[np.uint64]


def check_distinct(files: Iterable[Path]) -> None:
    """Check that no two files have one content, unpacked: that data would count twice, or test what was learned.

    Only files that begin alike are read as a whole. Files that are empty, unreadable or not regular are left to
    their readers.

    Raises:
        DataError: Two have; names both.
    """
    listed = list(files)
    if len(listed) < 2:
        return
    alike: dict[bytes, list[Path]] = {}
    for file in listed:
        if file.is_file() and (start := _digest(file, _START_BYTES)) is not None:
            alike.setdefault(start, []).append(file)
    for same in alike.values():
        if len(same) < 2:
            continue
        first: dict[bytes | None, Path] = {}
        for file in same:
            digest = _digest(file)
            if digest is not None and (other := first.setdefault(digest, file)) is not file:
                what = "is named twice" if other.resolve() == file.resolve() else f"and {other} have the same content"
                raise DataError(f"{file} {what}: every record would be read twice. Leave one out.")


def unique_ids(ids: Sequence[str], groups: Sequence[str], what: str = "class or part") -> list[str]:
    """Tell ids that repeat apart; those that do not repeat stay.

    An id that repeats gets its group before it ("test/17"), or, where that is not enough, the number of its occurrence
    behind it ("17/2"). A warning counts them.

    Args:
        ids: Ids of the records (N).
        groups: What each record belongs to (N); "" for nothing.
        what: What messages call the groups.
    """
    counts = Counter(ids)
    repeated = [counts[name] > 1 for name in ids]
    if not any(repeated):
        return list(ids)
    grouped = [f"{group}/{name}" if group else name for group, name in zip(groups, ids, strict=True)]
    there = Counter(grouped)
    taken, seen, chosen = set(counts), Counter[str](), list[str]()
    for name, longer, twice in zip(ids, grouped, repeated, strict=True):
        if twice and there[longer] == 1 and longer not in taken:
            name = longer
        elif twice:
            base = name
            while name in taken:
                seen[base] += 1
                name = f"{base}/{seen[base]}"
        taken.add(name)
        chosen.append(name)
    first = repeated.index(True)
    _log.warning(
        "%d of %d record ids occur more than once, such as %r; these now have their %s before them, or a number behind "
        "them: the first is %r",
        sum(repeated), len(ids), ids[first], what, chosen[first],
    )  # fmt: skip
    return chosen


def _digest(path: Path, most: int = -1) -> bytes | None:
    """Hash the unpacked content, or the first `most` bytes of it; None where there is none to read."""
    found, left = hashlib.blake2b(digest_size=16), most
    try:
        with opener(path)(path, "rb") as handle:
            empty = True
            while left and (block := handle.read(_BLOCK_BYTES if left < 0 else left)):
                found.update(block)
                empty = False
                left -= len(block) if left > 0 else 0
    except READ_ERRORS:
        return None
    return None if empty else found.digest()


class SeenTexts:
    """A set that tells whether a text may have come before.

    Two texts share a hash in one of 2^64 pairs, so that of 100 million texts one is wrongly suspected in one of 4,000
    cases: whoever is told that a text came before looks whether it did. A text that did is told at once, or some
    `16,384` texts later.
    """

    def __init__(self) -> None:
        self._pending: dict[int, int] = {}
        self._runs: list[Hashes] = []  # sorted, each more than twice as long as the next

    def add(self, text: str, number: int) -> list[int]:
        """Take in a text with its number; return the numbers of texts, this or earlier, that may have come before."""
        key = hash(text) & _MASK
        if self._pending.setdefault(key, number) != number:
            return [number]
        return self.settle() if len(self._pending) >= _PENDING else []

    def settle(self) -> list[int]:
        """Compare the texts that wait with all that came before; returns as `add` does. Call it at the end."""
        if not self._pending:
            return []
        keys = np.fromiter(self._pending, np.uint64, len(self._pending))
        keys.sort()
        found: list[int] = []
        for run in self._runs:
            places = np.searchsorted(run, keys)
            places[places == len(run)] = 0
            found += [self._pending[key] for key in keys[run[places] == keys].tolist()]
        while self._runs and len(self._runs[-1]) <= 2 * len(keys):
            keys = np.concatenate([self._runs.pop(), keys])
            keys.sort()
        self._runs.append(keys)
        self._pending.clear()
        return sorted(found)
