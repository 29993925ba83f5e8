"""The page of `gulmfit-explain`: what models look at, in many sequences and in each.

Shape letters: `L` bases, `A` letters.
"""

import base64
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gulmfit.report.figures import PALETTE, Sheet
from gulmfit.report.html import Report, Section, render, write_report

Floats = NDArray[np.float64]

MOST_BYTES = 4_500_000
_FOR, _AGAINST = np.array([0, 114, 178]), np.array([213, 94, 0])
COLOURS = {"A": "#009E73", "C": "#0072B2", "G": "#E69F00", "T": "#D55E00", "U": "#D55E00"}
_UP, _LEFT, _BASE, _CELL = 44, 14, 10, 8  # pixels: above the axis, margin, a base, a cell
_SCRIPT = """
const box = document.getElementById("search"), count = document.getElementById("count");
const records = [...document.querySelectorAll("article")];
box.addEventListener("input", () => {
  const word = box.value.trim().toUpperCase();
  for (const one of records) one.hidden = !one.textContent.toUpperCase().includes(word);
  count.textContent = `${records.filter(one => !one.hidden).length} of ${records.length}`;
});
"""


class ExplainedRecord(NamedTuple):
    """One sequence of the page."""

    name: str
    note: str
    """Where it lies, and its score."""
    text: str
    """`L` letters."""
    contributions: Floats
    """`(L,)`."""
    effects: Floats | None
    """`(L, A)`."""
    pieces: Sequence[tuple[int, int]]
    """Bases `[start, end)` of each token, where tokens do not overlap; else none."""


def write_explanations(
    path: Path, report: Report, records: Sequence[ExplainedRecord], count: int, letters: str, unit: str
) -> None:
    """Write the page, with as many sequences as it holds.

    Args:
        path: The file.
        report: What is said of all sequences.
        records: Sequences to draw, the most important first.
        count: How many were explained.
        letters: Of the alphabet.
        unit: Of the scores.

    Raises:
        DataError: The file cannot be written.
    """
    script_hash = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    used = sorted({letter for record in records for letter in record.text} | set(letters))
    left, drawn = MOST_BYTES - len(render(report)), list[dict[str, Any]]()
    for record in records:
        left -= 300 + 80 * len(record.text)  # about what its markup takes
        if left < 0 and drawn:
            break
        drawn.append(_drawn(record, letters))
    shown = (
        f"{len(drawn):,} of {count:,} sequences, those with the highest scores first. A letter is as high as what its "
        f"base contributes, in {unit}; below the axis it speaks against. Colours below it say how the score changes "
        "where the base becomes A, C and so on: blue raises it, orange lowers it. The text has the same colours for "
        "what bases, or whole sub-words, contribute."
    )
    write_report(
        path, report, "explain", records=drawn, shown_text=shown, script=_Markup(_SCRIPT),
        script_hash=f"sha256-{script_hash}",
        glyphs=[(letter, glyph(letter), COLOURS.get(letter, "#555555")) for letter in used],
    )  # fmt: skip


class _Markup(str):
    """Text of our own that is not escaped."""

    def __html__(self) -> str:
        return self


def _drawn(record: ExplainedRecord, letters: str) -> dict[str, Any]:
    """Return what the template needs of a record."""
    values = record.contributions
    scale = max(float(np.abs(values).max(initial=0.0)), 1e-12)
    unit = _UP / scale
    down = -unit * float(values.min(initial=0.0))
    axis, text_y = _UP + 2, round(_UP + 2 + down + 16)
    drawn = []
    for place, (letter, value) in enumerate(zip(record.text, values.tolist(), strict=True)):
        height = abs(value) * unit
        if height >= 0.5:
            top = axis - height if value > 0 else axis
            drawn.append((letter, _LEFT + place * _BASE, round(top, 1), round(height, 1)))
    heat_y, rows = text_y + 6, 0 if record.effects is None else len(letters)
    return {
        "name": record.name,
        "note": record.note,
        "text": record.text,
        "left": _LEFT,
        "width": _LEFT + _BASE * len(record.text),
        "height": heat_y + rows * _CELL + 2,
        "axis": axis,
        "text_y": text_y,
        "letters": drawn,
        "rows": [(letter, heat_y + row * _CELL) for row, letter in enumerate(letters[:rows])],
        "heat": "" if record.effects is None else _heat(record.effects),
        "heat_y": heat_y,
        "heat_height": rows * _CELL,
        "pieces": list(_shaded(record, scale)),
    }


def _heat(effects: Floats) -> str:
    """Return the address of a picture of changes `(L, A)`, a pixel each."""
    from matplotlib.image import imsave

    strength = (effects / max(float(np.abs(effects).max()), 1e-12)).T[..., None]
    colours = np.where(strength > 0, _FOR, _AGAINST)
    pixels = (255 + (colours - 255) * np.abs(strength)).round().astype(np.uint8)
    target = io.BytesIO()
    imsave(target, pixels, format="png")
    return f"data:image/png;base64,{base64.b64encode(target.getvalue()).decode('ascii')}"


def _shaded(record: ExplainedRecord, scale: float) -> Iterator[tuple[str, str]]:
    """Yield stretches of text and the class of their colour."""
    if record.pieces:
        sums = [float(record.contributions[start:end].sum()) for start, end in record.pieces]
        most = max(map(abs, sums)) or 1.0
        for (start, end), value in zip(record.pieces, sums, strict=True):
            yield f"piece {_shade(value / most)}".strip(), record.text[start:end]
        return
    shades = [_shade(value / scale) for value in record.contributions.tolist()]
    start = 0
    for end in range(1, len(shades) + 1):
        if end == len(shades) or shades[end] != shades[start]:
            yield shades[start], record.text[start:end]
            start = end


def _shade(strength: float) -> str:
    level = round(5 * abs(strength))
    return f"{'u' if strength > 0 else 'd'}{level}" if level else ""


@cache
def glyph(letter: str) -> str:
    """Return the outline of a letter as an SVG path that fills the unit square, y downwards."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path as Outline
    from matplotlib.textpath import TextPath

    outline = TextPath((0, 0), letter, size=100, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    low, high = outline.vertices.min(0), outline.vertices.max(0)
    names = {Outline.MOVETO: "M", Outline.LINETO: "L", Outline.CURVE3: "Q", Outline.CURVE4: "C", Outline.CLOSEPOLY: "Z"}
    parts = []
    for points, code in outline.iter_segments(simplify=False):
        spots = (np.asarray(points).reshape(-1, 2) - low) / (high - low)
        spots[:, 1] = 1 - spots[:, 1]
        name = names[np.uint8(code)]
        parts.append(name if name == "Z" else name + " ".join(f"{value:.3g}" for value in spots.ravel()))
    return "".join(parts)


def profile_figure(mean: Floats, low: Floats, high: Floats, unit: str) -> str:
    """Draw what each position contributes on average, and a band for the middle 80 % of sequences."""
    with Sheet(panels=1) as sheet:
        for axes in sheet.axes:
            places = np.arange(len(mean))
            axes.fill_between(places, low, high, color=PALETTE[5], alpha=0.4, linewidth=0, label="middle 80 %")
            axes.plot(places, mean, color=PALETTE[0], label="mean")
            axes.axhline(0, color="#888888", linewidth=1)
            axes.set(xlabel="position", ylabel=f"contribution ({unit})")
            axes.legend(loc="best")
        return sheet.svg()


def effects_figure(effects: Floats, letters: str, unit: str) -> str:
    """Draw the mean change of the score for each position and letter, of effects `(L, A)`."""
    most = max(float(np.abs(effects).max()), 1e-12)
    with Sheet(panels=1, height=1.6 + 0.16 * len(letters)) as sheet:
        for axes in sheet.axes:
            image = axes.imshow(effects.T, aspect="auto", cmap="RdBu", vmin=-most, vmax=most, interpolation="nearest")
            axes.set_yticks(range(len(letters)), list(letters))
            axes.set(xlabel="position", ylabel="becomes")
            axes.figure.colorbar(image, ax=axes, label=unit)
        return sheet.svg()


def facts_section(facts: Mapping[str, object]) -> Section:
    """List how the explanations were made."""
    return Section("How it was made", tables=[(["", ""], [[name, value] for name, value in facts.items()])])
