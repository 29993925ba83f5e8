"""Pictures of many runs together: what chance does to a score, and what labels buy.

In the style of `gulmfit.report.figures`, and like there empty text where nothing is to be drawn.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from gulmfit.report.figures import DASHES, PALETTE, Sheet, legend, name_rows, short

Points = Mapping[str, Mapping[int, Sequence[float]]]


def spread_dots(values: Mapping[str, Sequence[float]], metric: str) -> str:
    """Draw one score of each run as a dot, a row for each model, with mean and standard deviation.

    Args:
        values: By model, the score in each fold or with each seed.
        metric: Name of the score, the axis label.
    """
    rows = {name: np.asarray(scores, np.float64) for name, scores in values.items() if len(scores)}
    with Sheet(panels=1 if rows else 0, height=1.0 + 0.42 * len(rows)) as sheet:
        for axes in sheet.axes:
            for place, scores in enumerate(rows.values()):
                colour = PALETTE[0] if place == 0 else "#5A6B78"
                axes.plot(scores, [place] * len(scores), "o", color=colour, markersize=5, alpha=0.6)
                deviation = scores.std(ddof=1) if len(scores) > 1 else 0.0
                axes.errorbar(scores.mean(), place - 0.25, xerr=deviation, color=colour, capsize=3, marker="|")
                axes.text(1.01, place, f"{scores.mean():.3f}", transform=axes.get_yaxis_transform(), va="center")
            name_rows(axes, rows, metric)
        return sheet.svg()


def label_curve(points: Points, metric: str) -> str:
    """Draw a score against the number of labels: the mean of several draws, each draw a dot.

    Args:
        points: By model, the number of training labels and the scores of the draws with it.
        metric: Name of the score, the axis label.
    """
    drawn = {name: curve for name, curve in points.items() if curve}
    with Sheet(panels=1 if drawn else 0, height=3.8) as sheet:
        for axes in sheet.axes:
            for number, (name, curve) in enumerate(drawn.items()):
                sizes = sorted(curve)
                means = [float(np.mean(curve[size])) for size in sizes]
                colour, dashes = PALETTE[number % len(PALETTE)], DASHES[number % len(DASHES)]
                axes.plot(sizes, means, color=colour, linestyle=dashes, marker="o", markersize=4, label=short(name, 24))
                for size in sizes:
                    axes.plot([size] * len(curve[size]), curve[size], ".", color=colour, alpha=0.35, markersize=4)
            axes.set(xscale="log", xlabel="training labels", ylabel=metric)
            sizes = sorted({size for curve in drawn.values() for size in curve})
            axes.set_xticks(sizes, [f"{size:,}" for size in sizes], rotation=45)
            axes.minorticks_off()
            legend(axes)
        return sheet.svg()
