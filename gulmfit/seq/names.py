"""Names that data gives: classes, labels, values and records. Any is allowed that every output can hold.

What is written as text has a record a line and its cells between tabs, without quotes: a name that is cut there would
be another name, and is refused when it is read.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from gulmfit.errors import DataError

_CUTS = ("\t", "\n", "\r")  # what ends a cell or a line
_CONTROLS = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of characters, other ends of lines

# Names that say what a sequence is not, or that it is there for comparison; and names that say what is looked for.
_NEGATIVE = re.compile(
    r"(non|neg|not[^a-z]|no[^a-z]|background|control|random|shuffled|decoy)|(0|no|not|false|bg|ctrl|none|others?|-)$"
)
_POSITIVE = re.compile(r"(positive|promoter|enhancer)|(1|pos|yes|true|\+)$")


def check_names(names: Sequence[str], what: str, source: str, *, joined_by: str = "") -> None:
    """Make sure that every output can hold the names of classes, labels or values.

    Args:
        names: The names.
        what: What messages call one of them.
        source: Where they come from.
        joined_by: What stands between names where outputs join several; no name may hold it.

    Raises:
        DataError: A name is empty, or holds a character that a format forbids.
    """
    for name in names:
        if not name:
            raise DataError(f"{source}: a {what} has an empty name. Give it one.")
        wrong = next((sign for sign in name if unicodedata.category(sign) in _CONTROLS), "")
        if wrong:
            raise DataError(
                f"{source}: the name of the {what} {name!r} holds {wrong!r}, which tables and BED files cannot hold. "
                "Rename it: tabs, line ends and other control characters are not allowed."
            )
        if joined_by and joined_by in name:
            raise DataError(
                f"{source}: the name of the {what} {name!r} holds {joined_by!r}, which stands between the labels of a "
                "sequence in tables. Rename it."
            )


def check_ids(ids: Iterable[str], source: str) -> None:
    """Raise DataError if the id of a record holds a tab, the end of a line, or half a character."""
    for name in ids:
        if not name.isprintable():
            tsv_line([name], source)


def tsv_line(cells: Sequence[str], where: object) -> bytes:
    """Return one line of a TSV table in UTF-8, without quotes; raise DataError where a cell would be cut in two."""
    line = "\t".join(cells)
    if line.count("\t") >= len(cells) or "\n" in line or "\r" in line:
        cell = next(cell for cell in cells if any(cut in cell for cut in _CUTS))
        raise DataError(
            f"{where}: {cell!r} holds a tab or the end of a line, which would cut it in two there. Rename it."
        )
    try:
        return f"{line}\n".encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: {line[error.start]!r} is half a character and no text. Rename it.") from error


def column_names(fixed: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return what the fixed columns of a table are called: each by its own name, unless a class or label has that.

    Columns of classes, labels and values always have those names. A fixed column that would have one of them has
    `record_` before its own, again and again until it is alone: `record_id`, `record_start`.
    """
    taken, chosen = set(names), []
    for column in fixed:
        while column in taken:
            column = f"record_{column}"
        taken.add(column)
        chosen.append(column)
    return chosen


def raw_names(names: Sequence[str]) -> list[str]:
    """Return what columns of scores before calibration are called: `raw:NAME`, with more `raw:` if that is a name."""
    prefix, taken = "raw:", set(names)
    while any(prefix + name in taken for name in names):
        prefix += "raw:"
    return [prefix + name for name in names]


def default_positive(classes: Sequence[str]) -> str:
    """Return the class that recall, precision and AUROC are about: of two the one that its name, or the other's, says.

    The other one of a class named like `non…`, `neg…`, `no`, `0`, `false`, `background` or `control` is positive; else
    a class named like `positive`, `promoter`, `enhancer`, `1`, `yes` or `true`; else, and of any other number of
    classes, the last.
    """
    if len(classes) == 2:
        negative, positive = (
            [bool(pattern.match(name.strip().lower())) for name in classes] for pattern in (_NEGATIVE, _POSITIVE)
        )
        if negative[0] != negative[1]:
            return classes[negative.index(False)]
        if positive[0] != positive[1]:
            return classes[positive.index(True)]
    return classes[-1]
