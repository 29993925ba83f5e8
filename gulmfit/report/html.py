"""The HTML page of a report: one file that needs no network, no script and no other file."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from string import Template

from gulmfit.files import write_whole
from gulmfit.report.table import format_value, is_number

Table = tuple[Sequence[str], Sequence[Sequence[object]]]  # header, rows
Figure = tuple[str, str | bytes]  # caption; SVG text, PNG bytes or a data: address


@dataclass
class Section:
    """A headed part of a report; everything in it is plain text that the page escapes.

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


def write_report(path: str | Path, report: Report) -> None:
    """Write a report as one HTML file, whole or not at all.

    Args:
        path: The file to write; an older file is replaced.
        report: What to say.

    Raises:
        DataError: The file cannot be written; nothing is left behind and an older file stays.
    """
    # Names of files that are not UTF-8 reach us as lone surrogates, which UTF-8 cannot hold.
    write_whole(Path(path), render(report).encode("utf-8", "backslashreplace"))


def render(report: Report) -> str:
    """Give the whole page as text."""
    return _PAGE.substitute(
        style=_STYLE,
        title=escape(report.title),
        subtitle=_element("p", report.subtitle, "subtitle"),
        worthless=_element("p", report.worthless, "worthless"),
        verdict=_element("p", report.verdict, "verdict"),
        sections="\n".join(map(_section, report.sections)),
    )


def _section(section: Section) -> str:
    figures = "\n".join(_figure(caption, picture) for caption, picture in section.figures if picture)
    parts = [
        f'<section class="{"warning" if section.warning else "plain"}">',
        _element("h2", section.title),
        *(_element("p", paragraph) for paragraph in section.text),
        *(_table(header, rows) for header, rows in section.tables),
        f'<div class="figures">\n{figures}\n</div>' if figures else "",
        *(
            f"<details><summary>{escape(summary)}</summary><pre>{escape(text)}</pre></details>"
            for summary, text in section.details
        ),
        "</section>",
    ]
    return "\n".join(filter(None, parts))


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    numeric = [all(is_number(row[at]) for row in rows) for at in range(len(header))]
    head = "".join(
        f'<th scope="col"{_right(right)}>{escape(name)}</th>' for name, right in zip(header, numeric, strict=True)
    )
    body = "\n".join(
        "<tr>" + "".join(f"<td{_right(is_number(cell))}>{escape(format_value(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    # The box can be focused, so that a keyboard can scroll it too.
    return (
        f'<div class="scroll" tabindex="0">\n<table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table>\n</div>"
    )


def _right(right: bool) -> str:
    return ' class="number"' if right else ""


def _figure(caption: str, picture: str | bytes) -> str:
    # As an image, not inline: identifiers inside one SVG cannot then meet those of another.
    text = escape(caption)
    image = f'<img src="{escape(_address(picture))}" alt="{text}">'
    return f"<figure>{image}<figcaption>{text}</figcaption></figure>"


def _address(picture: str | bytes) -> str:
    if isinstance(picture, bytes):
        return f"data:image/png;base64,{base64.b64encode(picture).decode('ascii')}"
    if picture.startswith("data:image/"):
        return picture
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.encode('utf-8')).decode('ascii')}"


def _element(tag: str, text: str, kind: str = "") -> str:
    if not text:
        return ""
    attribute = f' class="{kind}"' if kind else ""
    return f"<{tag}{attribute}>{escape(text)}</{tag}>"


_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title</title>
<style>
$style
</style>
</head>
<body>
<main>
<header>
<h1>$title</h1>
$subtitle
$worthless
$verdict
</header>
$sections
</main>
</body>
</html>
""")

_STYLE = """:root { color-scheme: light dark;
  --ink: #1d232a; --soft: #5b6570; --paper: #ffffff; --line: #dde2e7;
  --tint: #f4f7fa; --accent: #0072b2; --alarm: #d55e00; --alarm-tint: #fdf3ec; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --soft: #a5afb9; --paper: #15191e; --line: #343c45; --tint: #1e242b;
    --accent: #56b4e9; --alarm: #f0915a; --alarm-tint: #2c2019; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0.5rem 0 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 0 0 0.5rem; }
p { max-width: 46rem; margin: 0.4rem 0; overflow-wrap: anywhere; }
.subtitle { color: var(--soft); }
.verdict { font-size: 1.15rem; margin: 1rem 0; padding: 0.7rem 1rem; background: var(--tint);
  border-left: 4px solid var(--accent); }
.worthless { font-size: 1.15rem; font-weight: 600; margin: 1rem 0; padding: 0.7rem 1rem;
  background: var(--alarm-tint); border-left: 4px solid var(--alarm); }
section { margin: 2rem 0; }
.warning { padding: 1rem; background: var(--alarm-tint); border-left: 4px solid var(--alarm); }
.warning h2::before { content: "\\26A0\\FE0E  "; color: var(--alarm); }
.scroll { overflow-x: auto; margin: 0.8rem 0; }
table { border-collapse: collapse; font-size: 0.92rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.8rem 0.3rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
td { max-width: 34rem; min-width: 4rem; overflow-wrap: break-word; }
.number { text-align: right; white-space: nowrap; }
.figures { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); }
figure { margin: 0; }
img { display: block; width: 100%; max-width: 32rem; height: auto; background: #ffffff; border-radius: 4px; }
figcaption { color: var(--soft); font-size: 0.9rem; margin-top: 0.3rem; overflow-wrap: anywhere; }
pre { overflow-x: auto; background: var(--tint); padding: 0.8rem; font-size: 0.85rem; }
summary { cursor: pointer; color: var(--accent); }"""
