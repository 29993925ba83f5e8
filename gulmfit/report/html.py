"""The HTML page of a report: one file that needs no network, no script and no other file."""

import base64
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gulmfit.files import write_whole
from gulmfit.report.kept import keep_parts
from gulmfit.report.table import format_value, is_number

if TYPE_CHECKING:
    from jinja2 import Template

Table = tuple[Sequence[str], Sequence[Sequence[object]]]  # header, rows
Figure = tuple[str, str | bytes]  # caption; SVG text, PNG bytes or a data: address


class Link(NamedTuple):
    """A cell of a table that leads to another page.

    Attributes:
        text: What it says.
        href: Address, relative to this page.
    """

    text: str
    href: str


@dataclass
class Section:
    """A headed part of a report; everything in it is plain text, which the template escapes.

    Attributes:
        title: Its heading.
        text: Paragraphs.
        tables: (header, rows) each; cells are shown by `format_value`.
        figures: (caption, SVG text | PNG bytes | data: address) each; an empty picture is left out.
        details: (summary, preformatted text) each, folded until opened.
        warning: Whether the section says that a number should not be trusted; it is then set off.
    """

    title: str
    text: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    details: list[tuple[str, str]] = field(default_factory=list)
    warning: bool = False


@dataclass
class Report:
    """What a page says.

    Attributes:
        title: Heading of the page.
        subtitle: A line below it.
        verdict: What was found, in one plain sentence.
        worthless: Why the result is worth nothing, in red above everything else; empty where it is not.
        sections: In the order to be read.
    """

    title: str
    subtitle: str = ""
    verdict: str = ""
    worthless: str = ""
    sections: list[Section] = field(default_factory=list)


def write_report(path: str | Path, report: Report, template: str = "report", **more: object) -> None:
    """Write a report as one HTML file, whole or not at all.

    Args:
        path: The file to write; an older file is replaced.
        report: What to say.
        template: Name of the template, which may add to that of a report.
        more: What it needs besides.

    Raises:
        DataError: The file cannot be written; nothing is left behind and an older file stays.
    """
    # Names of files that are not UTF-8 reach us as lone surrogates, which UTF-8 cannot hold.
    write_whole(Path(path), render(report, template, **more).encode("utf-8", "backslashreplace"))
    keep_parts(Path(path), report)


def render(report: Report, template: str = "report", **more: object) -> str:
    """Give the whole page as text; arguments as of `write_report`."""
    return _template(template).render(report=report, **more)


@functools.cache
def _template(name: str) -> "Template":
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"shown": format_value, "address": _address}
    environment.tests |= {"numeric": is_number, "link": lambda cell: isinstance(cell, Link)}
    return environment.get_template(f"{name}.html.j2")


def _address(picture: str | bytes) -> str:
    if isinstance(picture, str) and picture.startswith("data:image/"):
        return picture
    kind, content = ("png", picture) if isinstance(picture, bytes) else ("svg+xml", picture.encode("utf-8"))
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
