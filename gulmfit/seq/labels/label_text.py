"""The text of a label: the name of a class, a set of names, yes or no, or a number.

Every function names the record and raises `DataError` where the text is something else.
"""

import math
import re

from gulmfit.errors import DataError
from gulmfit.seq.cells import SEPARATOR, check_no_container

NOT_KNOWN = "?"
"""Says that nobody knows whether a label is there: alone in its column, or before its name."""

_NOT_A_CLASS = re.compile(r"[+-]?((\d+\.\d*|\.\d+|\d+(?=e))(e[+-]?\d+)?|nan|inf|infinity)", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_YES_NO = {"1": 1, "0": 0, "1.0": 1, "0.0": 0, "true": 1, "false": 0, NOT_KNOWN: -1}


def class_name(label: str, column: str, place: str) -> str:
    """Return the name of a class."""
    name = str(label).strip()
    if not name:
        raise DataError(f"{place}: empty {column}; every record needs a class")
    check_no_container(name, f"{place}: {column}")
    if _NOT_A_CLASS.fullmatch(name):
        raise DataError(
            f"{place}: {column} {name!r} is not a class; use a name or whole number (1, not 1.0). For measured values "
            "choose head=regressor."
        )
    return name


def label_set(cell: str, column: str, place: str) -> list[str]:
    """Return the names of a label set, with `NOT_KNOWN` before those that nobody knows of."""
    if not cell.strip():
        return []
    texts = [text.strip() for text in cell.split(SEPARATOR)]
    names = [class_name(text.removeprefix(NOT_KNOWN), column, place) for text in texts]
    if len(set(names)) < len(names):
        raise DataError(f"{place}: {column} {cell!r} names a label twice; each once at most")
    return [NOT_KNOWN * text.startswith(NOT_KNOWN) + name for text, name in zip(texts, names, strict=True)]


def yes_no(cell: str, column: str, place: str) -> int:
    """Return 1 where a label is there, 0 where it is not, -1 where nobody knows."""
    found = _YES_NO.get(cell.strip().lower())
    if found is None:
        raise DataError(
            f"{place}: column {column!r} holds {cell!r}; a label's column holds 1 where it is there, 0 where it is "
            f"not, {NOT_KNOWN} where nobody knows"
        )
    return found


def number(cell: str, column: str, place: str) -> float:
    """Return a finite number."""
    # float() alone would read "1_5" as 15, and digits of every script.
    value = float(cell) if _NUMBER.fullmatch(cell.strip()) else math.nan
    if not math.isfinite(value):
        raise DataError(
            f"{place}: column {column!r} holds {cell!r}; every record needs a finite number there: mend it, or leave "
            "the record out"
        )
    return value
