"""Pictures of label sets and measured values, in the style of `gulmfit.report.figures`.

Shape: `N` sequences.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gulmfit.report.figures import DOTTED, PALETTE, Sheet, score_bars, short

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


def _defined(value: Any) -> bool:
    return value is not None and bool(np.isfinite(value))
