"""The page of `gulmfit-motifs`: each motif on both strands, what it is like, and where its sites lie."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gulmfit.report.explain_page import COLOURS, facts_section, glyph
from gulmfit.report.figures import PALETTE, Sheet
from gulmfit.report.html import Report, Section
from gulmfit.seq.formats.motif_files import Motif

Floats = npt.NDArray[np.float64]

_COLUMN, _HEIGHT = 22, 84  # pixels of a column, and of 2 bits


class FoundMotif(NamedTuple):
    """A motif, and what is known of it."""

    motif: Motif
    facts: Mapping[str, object]
    """Cells of the table, by heading."""
    matches: Sequence[Sequence[object]]
    """Name, other name, p, q, strand of the best matches."""
    best: Motif | None
    """The best match, turned as the motif stands."""
    places: Floats
    """Middle of each site as a share of its sequence."""


def motif_report(found: Sequence[FoundMotif], verdict: str, facts: Mapping[str, object]) -> Report:
    """Lay out motifs."""
    sections = []
    if found:
        header = list(found[0].facts)
        sections.append(Section("Motifs", [
            "Found in every other sequence; sites counted in those that are left, and in the background.",
        ], [(header, [list(one.facts.values()) for one in found])]))  # fmt: skip
    for one in found:
        name = one.motif.name
        section = Section(f"{name} {one.motif.consensus()}")
        if one.matches:
            section.tables.append((["like", "", "p", "q", "strand"], one.matches))
        section.figures += [
            (f"{name}, in bits", logo(one.motif)),
            (f"{name} on the other strand", logo(one.motif.turned())),
        ]
        if one.best is not None:
            section.figures.append((f"Its best match, {one.best.name} {one.best.other}", logo(one.best)))
        section.figures.append(("Where its sites lie, from start to end of a sequence", _histogram(one.places)))
        sections.append(section)
    return Report("Motifs", str(facts.get("model", "")), verdict, "", [*sections, facts_section(facts)])


def logo(motif: Motif) -> str:
    """Draw a motif as letters whose heights are bits, as SVG."""
    parts = []
    for place, (row, bits) in enumerate(zip(motif.probabilities, motif.bits(), strict=True)):
        top = float(_HEIGHT)
        for letter in np.argsort(row):
            height = row[letter] * bits * _HEIGHT / 2
            if height >= 0.5:
                top -= height
                parts.append(
                    f'<path d="{glyph("ACGT"[letter])}" fill="{COLOURS["ACGT"[letter]]}" '
                    f'transform="matrix({_COLUMN - 1} 0 0 {height:.1f} {place * _COLUMN} {top:.1f})"/>'
                )
    width = _COLUMN * len(motif.probabilities)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT}" width="{width}" height="{_HEIGHT}">'
        f"{''.join(parts)}</svg>"
    )


def _histogram(places: Floats) -> str:
    with Sheet(panels=1 if len(places) else 0, height=2.2) as sheet:
        for axes in sheet.axes:
            axes.hist(places, bins=25, range=(0, 1), color=PALETTE[0])
            axes.set(xlabel="position, as a share of the sequence", ylabel="sites")
        return sheet.svg()
