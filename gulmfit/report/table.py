"""Plain-text tables that read well in a terminal and are Markdown as they stand."""

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real

MISSING = "–"

_LISTED = 20  # entries of a list that are shown


def format_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> str:
    """Lay out rows under a header, aligned, with pipes.

    Args:
        rows: One mapping a row; a missing key shows as a dash.
        columns: Keys to show, in order; they are the header.

    Returns:
        Lines without a trailing newline. A column whose every value is a number or an interval is set right.
    """
    body = [[_cell(format_value(row.get(name))) for name in columns] for row in rows]
    header = [_cell(name) for name in columns]
    right = [bool(rows) and all(is_number(row.get(name)) for row in rows) for name in columns]
    widths = [max(3, *map(_width, column)) for column in zip(header, *body, strict=True)]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(map(_pad, cells, widths, right)) + " |"

    rule = ["-" * (width - 1) + ":" if to_right else "-" * width for width, to_right in zip(widths, right, strict=True)]
    return "\n".join([line(header), line(rule), *map(line, body)])


def format_value(value: object) -> str:
    """Show a value for reading: three decimals or four digits, `0.912 [0.890, 0.931]`, a dash for nothing.

    Args:
        value: A number, text, (low, high), or (value, low, high) with an interval of None for a bare value.
    """
    if value is None:
        return MISSING
    if isinstance(value, tuple | list):
        return _interval(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        return str(value)
    if isinstance(value, Integral):
        whole = int(value)
        return f"{whole:,}" if abs(whole) >= 10_000 else str(whole)
    number = float(value)
    if not math.isfinite(number):
        return MISSING if math.isnan(number) else str(number)
    if number == 0 or 0.001 <= abs(number) < 10:
        return f"{number:.3f}"
    if 10 <= abs(number) < 1000:
        return f"{number:.4g}"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.1e}"


def is_number(value: object) -> bool:
    """Whether a value is set right in its column: a number, an interval or nothing."""
    if isinstance(value, tuple | list):
        return all(is_number(item) for item in value)
    return value is None or (isinstance(value, Real) and not isinstance(value, bool))


def leaves(record: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Name every leaf of nested records by its path, `counts / train`; a list of values is one leaf of text.

    Args:
        record: Mappings and lists in each other, ending in values.
        name: Path of the record itself.
    """
    if isinstance(record, Mapping):
        for key, item in record.items():
            yield from leaves(item, f"{name} / {key}" if name else str(key))
    elif isinstance(record, list | tuple) and any(isinstance(item, Mapping) for item in record):
        for index, item in enumerate(record):
            yield from leaves(item, f"{name} / {index}")
    elif isinstance(record, list | tuple):
        more = [f"and {len(record) - _LISTED:,} more"] if len(record) > _LISTED else []
        yield name, ", ".join([*map(format_value, record[:_LISTED]), *more])
    else:
        yield name, record


def _interval(value: Sequence[object]) -> str:
    if not all(is_number(item) for item in value) or len(value) not in (2, 3):
        return ", ".join(map(format_value, value))
    low, high = value[-2:]
    bounds = f"[{format_value(low)}, {format_value(high)}]"
    if low is None or high is None or format_value(low) == MISSING:
        bounds = ""
    return " ".join(filter(None, [*map(format_value, value[:-2]), bounds])) or MISSING


def _cell(text: str) -> str:
    """One line, with pipes escaped so that they do not end the cell."""
    return " ".join(text.split()).replace("|", "\\|")


def _width(text: str) -> int:
    """Terminal columns: wide letters take two, combining marks none."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))


def _pad(text: str, width: int, to_right: bool) -> str:
    room = " " * (width - _width(text))
    return room + text if to_right else text + room
