"""Pictures of label sets, measured values and labels of positions, in the style of `gulmfit.report.figures`.

Shapes: `N` sequences, `L` positions, `C` classes.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gulmfit.report.figures import DASHES, DOTTED, PALETTE, Sheet, legend, score_bars, short

_MAX_BARS = 40
_MAX_DOTS = 1500


def target_bars(table: Mapping[str, Mapping[str, Any]], score: str, axis: str, chance: Mapping[str, float]) -> str:
    """Draw a score of each label as a bar with its interval, and a tick where chance is.

    Args:
        table: By label its scores, intervals under "ci95"; labels whose score is undefined are left out, and of more
            than 40 the lowest are drawn.
        score: The score to draw.
        axis: What it is called.
        chance: By label, what knowing nothing scores.
    """
    bars = {
        name: (record[score], *((record.get("ci95") or {}).get(score) or (None, None)))
        for name, record in table.items()
        if _defined(record.get(score))
    }
    lowest = sorted(bars, key=lambda name: float(bars[name][0]), reverse=True)[-_MAX_BARS:]
    return score_bars({name: bars[name] for name in lowest}, axis, chance)


def measured_against_predicted(measured: ArrayLike, predicted: ArrayLike, name: str) -> str:
    """Draw measurements against predictions, and below them what is left; at most 1,500 dots, drawn at random.

    What is left is drawn against the prediction, for against the measurement it slopes even where nothing is wrong.

    Args:
        measured: (N,) measured values.
        predicted: (N,) predicted ones.
        name: What is measured, with its unit if it has one.
    """
    truth, guess = np.asarray(measured, np.float64), np.asarray(predicted, np.float64)
    if len(truth) > _MAX_DOTS:
        rows = np.random.default_rng(0).choice(len(truth), _MAX_DOTS, replace=False)
        truth, guess = truth[rows], guess[rows]
    with Sheet(panels=2 if len(truth) else 0, height=6.0) as sheet:
        if sheet.axes:
            upper, lower = sheet.axes
            for axes, heights in ((upper, truth), (lower, truth - guess)):
                axes.plot(guess, heights, ".", color=PALETTE[0], alpha=0.45, markersize=5)
            ends = [float(guess.min()), float(guess.max())]
            upper.plot(ends, ends, **DOTTED)
            lower.axhline(0, **DOTTED)
            upper.set_ylabel("measured")
            lower.set(xlabel=f"predicted: {short(name, 32)}", ylabel="measured - predicted")
            if grid := upper.get_gridspec():
                grid.set_height_ratios([3, 2])
        return sheet.svg()


def strip(truth: ArrayLike, predicted: ArrayLike, classes: Sequence[str]) -> str:
    """Draw the classes along a sequence, those that are known and those that are predicted, and below them the
    probabilities.

    Args:
        truth: (L,) class indices, negative where nothing is known.
        predicted: (L, C) probabilities.
        classes: Their names (C).
    """
    known, probabilities = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    with Sheet(panels=2 if len(known) else 0, height=2.6 + 0.3 * len(classes)) as sheet:
        if sheet.axes:
            upper, lower = sheet.axes
            places, chosen = np.arange(len(known)), probabilities.argmax(axis=1)
            upper.plot(places, np.where(known >= 0, known + 0.12, np.nan), "|", color=PALETTE[0], label="known")
            upper.plot(places, chosen - 0.12, "|", color=PALETTE[1], label="predicted")
            upper.set_yticks(range(len(classes)), [short(name, 16) for name in classes])
            for name, column, colour, dash in zip(
                classes, probabilities.T, cycle(PALETTE), cycle(DASHES), strict=False
            ):
                lower.plot(places, column, color=colour, linestyle=dash, linewidth=1.2, label=short(name, 16))
            lower.set(xlabel="position", ylabel="probability", ylim=(-0.02, 1.02))
            for axes in sheet.axes:
                legend(axes)
        return sheet.svg()


def _defined(value: Any) -> bool:
    return value is not None and bool(np.isfinite(value))
