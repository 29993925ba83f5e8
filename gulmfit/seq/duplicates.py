"""What must not come twice: the content of files, and the ids of labelled sequences."""

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from gulmfit.errors import DataError
from gulmfit.seq.text import READ_ERRORS, opener

_log = logging.getLogger(__name__)

_START_BYTES = 1 << 16  # files that differ in them are not read any further
_BLOCK_BYTES = 1 << 20


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
