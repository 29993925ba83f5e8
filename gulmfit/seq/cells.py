"""A cell of a table: what is text, a number, a list of names or a missing value, and what is none of these."""

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from gulmfit.errors import DataError

SEPARATOR = ";"  # of the names of a label set

# How Python, R, SQL and spreadsheets write that there is nothing; in small letters.
MISSING = frozenset({"", "na", "n/a", "nan", "none", "null", "<na>", "#n/a", "nil"})

# A list, dictionary, tuple or bytes that a program wrote as text: "['cpg']", "[0 1 1]", "{'a': 1}", "b'cpg'".
_CONTAINER = re.compile(
    r"""\[\s*(['"\[({].*|[\d+\-.\s]+|[^\]]*,.*|)\]|\{\s*(['"\[({].*|[^}]*[:,].*|)\}|\(\s*(['"\[({].*|\d+,.*|)\)"""
    r"""|b(['"]).*\4""",
    re.DOTALL,
)
_HOW = "a set of names is a list in .jsonl and .parquet, and names joined by ';' elsewhere (both with head=multi_label)"

_log = logging.getLogger(__name__)

_SHOWN = 5


def cell_text(value: object, where: str, *, needed: bool = False, names: bool = False) -> str:
    """Return the text of a cell, stripped; "" of a null.

    Args:
        value: The cell, as the reader of its format gives it.
        where: What messages call it: "a.csv, line 7: column 'label'".
        needed: Whether the cell must hold something, so that NA, None and their like are an error.
        names: Whether the cell may be a list of names, which come joined by ";".

    Raises:
        DataError: It is none of what is allowed.
    """
    if isinstance(value, str):
        text = value.strip()
    elif value is None or isinstance(value, bool | int | float | Decimal):
        text = "" if value is None else str(value)
    elif names and isinstance(value, list | tuple):
        return _joined(list(value), where)
    else:
        raise DataError(
            f"{where} holds {_shown(value)}, a {type(value).__name__}; text or a number is needed, and {_HOW}"
        )
    if needed and not text:
        raise DataError(f"{where}: empty sequence; give it, or leave the row out")
    if needed and text.lower() in MISSING:
        raise DataError(f"{where} holds {text!r}, a missing value; give the sequence, or leave the row out")
    return text


def check_no_container(text: str, where: str) -> None:
    """Raise DataError if a label is a list, dictionary, tuple or bytes as a program prints it."""
    if _CONTAINER.fullmatch(text):
        raise DataError(f"{where} {_shown(text)} is a list or the like, written as text; {_HOW}")


def is_missing(text: str) -> bool:
    """Tell whether a text is how a missing value is written."""
    return text.strip().lower() in MISSING


def _joined(values: list[object], where: str) -> str:
    """Join the names of a label set; a vector of 0 and 1 is none."""
    numbers = [value for value in values if isinstance(value, bool | int)]
    if any(isinstance(value, bool) for value in values) or (
        len(values) > 1 and len(numbers) == len(values) and set(numbers) <= {0, 1}
    ):
        raise DataError(
            f"{where} holds {_shown(values)}: a vector, one place for each label? Give a column of 0 and 1 for each "
            "label (data.label=[a, b]), or the names of those that are there"
        )
    for value in values:
        if not isinstance(value, str | int):
            raise DataError(f"{where} holds {_shown(values)}: {value!r} is not a name of a label; {_HOW}")
        if SEPARATOR in str(value) or not str(value).strip():
            raise DataError(f"{where} holds {_shown(values)}: a label is never empty, and never holds {SEPARATOR!r}")
    return SEPARATOR.join(str(value).strip() for value in values)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "…"


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
