"""What is allowed in labels and yet is often a slip: names for nothing, and names that differ in next to nothing."""

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from gulmfit.seq.cells import SEPARATOR, is_missing

_log = logging.getLogger(__name__)

_SHOWN = 5


def warn_of_names(found: Sequence[str], column: str, source: str, *, sets: bool = False) -> None:
    """Warn, with counts, of names of classes or labels that may not be meant.

    Args:
        found: The names of all records, one after the other.
        column: What the labels are called at their source.
        source: What messages call the whole.
        sets: Whether these are the labels of label sets.
    """
    counts = Counter(found)
    for name in filter(is_missing, counts):
        _log.warning(
            "%s: %d of %d labels in %r are %r, which mostly means that a label is missing. If so, leave these records "
            "out; if it is a name, all is well, and another spelling, such as %r, ends this warning",
            source, counts[name], len(found), column, name, f"{name}_",
        )  # fmt: skip
    alike: dict[str, list[str]] = {}
    for name in counts:
        alike.setdefault(_essence(name), []).append(name)
    pairs = [" and ".join(f"{name!r} ({counts[name]})" for name in same) for same in alike.values() if len(same) > 1]
    if pairs:
        _log.warning(
            "%s: labels in %r that differ only in case, spaces, leading zeros or Unicode form are told apart: %s%s. "
            "If they are the same, write them in one way",
            source, column, ", ".join(pairs[:_SHOWN]), ", …" if len(pairs) > _SHOWN else "",
        )  # fmt: skip
    if sets and (joined := [name for name in counts if re.search(r"[,|]", name)]):
        _log.warning(
            "%s: %d label(s) in %r hold a comma or a bar, such as %r; the names of a label set are parted by %r",
            source, len(joined), column, joined[0], SEPARATOR,
        )  # fmt: skip


def _essence(name: str) -> str:
    """Return what is left of a name without case, spaces and leading zeros."""
    text = "".join(unicodedata.normalize("NFKC", name).casefold().split())
    return re.sub(r"(?<![0-9.])0+(?=[0-9])", "", text)
