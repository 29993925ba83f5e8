"""Figures and tables of a report as files of their own, where they are asked for: figures/*.svg, tables/*.tsv."""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gulmfit.errors import ConfigError
from gulmfit.files import write_whole
from gulmfit.report.table import format_value, is_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gulmfit.report.html import Report

FORMATS_OF_FIGURES = ("svg", "png", "pdf")
FIGURES, TABLES = "figures", "tables"
_DPI = 200

_kind: ContextVar[str] = ContextVar("kind", default="")
_drawn: ContextVar[dict[str, bytes] | None] = ContextVar("drawn", default=None)


@contextmanager
def parts_kept(kind: str) -> Iterator[None]:
    """Let every report that is written within have its figures and tables next to it.

    Args:
        kind: What figures are: `svg`, `png` or `pdf`; empty to keep nothing.

    Raises:
        ConfigError: If it is none of these.
    """
    if kind not in ("", *FORMATS_OF_FIGURES):
        raise ConfigError(f"report.figures={kind}: choose one of {', '.join(FORMATS_OF_FIGURES)}.")
    before = _kind.set(kind), _drawn.set({})
    try:
        yield
    finally:
        _kind.reset(before[0])
        _drawn.reset(before[1])


def drawn(figure: "Figure") -> str:
    """Return a figure as SVG, and remember it as what is asked for."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    text = io.StringIO()
    # `savefig` draws all once more, to find the layout, which drawing finds anyway.
    canvas: Any = FigureCanvasSVG(figure)  # whose own methods have no types
    canvas.print_svg(text, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg, kind, others = text.getvalue(), _kind.get(), _drawn.get()
    if kind in ("png", "pdf") and others is not None:
        other = io.BytesIO()
        metadata: dict[str, Any] = {"CreationDate": None} if kind == "pdf" else {"Software": None}
        figure.savefig(other, format=kind, dpi=_DPI, metadata=metadata)
        others[svg] = other.getvalue()
    return svg


def keep_parts(page: Path, report: "Report") -> None:
    """Write the figures and tables of a report next to its page, named by section and number."""
    if not (kind := _kind.get()):
        return
    own = "" if page.stem == "report" else f"{page.stem}-"
    others = _drawn.get() or {}
    for section in report.sections:
        name = own + re.sub(r"\W+", "-", section.title.lower()).strip("-")
        for number, (_, picture) in enumerate((one for one in section.figures if one[1]), start=1):
            if isinstance(picture, bytes):
                write_whole(page.parent / FIGURES / f"{name}-{number}.png", picture)
            elif not picture.startswith("data:"):
                content = others.get(picture, picture.encode("utf-8"))
                suffix = kind if picture in others else "svg"
                write_whole(page.parent / FIGURES / f"{name}-{number}.{suffix}", content)
        for number, (header, rows) in enumerate(section.tables, start=1):
            write_whole(page.parent / TABLES / f"{name}-{number}.tsv", _tsv(header, rows))


def _tsv(header: Any, rows: Any) -> str:
    """Write a table; a value with its interval becomes three columns."""
    widths = [
        max((len(row[at]) if _has_bounds(row[at]) else 1 for row in rows), default=1) for at in range(len(header))
    ]
    target = io.StringIO()
    write = csv.writer(target, delimiter="\t", lineterminator="\n").writerow
    write([f"{name}{end}" for name, width in zip(header, widths, strict=True) for end in ("", " low", " high")[:width]])
    for row in rows:
        cells: list[object] = []
        for value, width in zip(row, widths, strict=True):
            spread = list(value) if _has_bounds(value) else [value]
            cells += [_cell(one) for one in [*spread, *[None] * (width - len(spread))]]
        write(cells)
    return target.getvalue()


def _has_bounds(value: object) -> bool:
    return isinstance(value, tuple | list) and len(value) == 3 and is_number(value)


def _cell(value: object) -> object:
    if value is None or isinstance(value, bool) or not is_number(value) or isinstance(value, tuple | list):
        return "" if value is None else format_value(value)
    return repr(float(value)) if isinstance(value, float) else value
