"""The pictures of a report, each as SVG text: readable at phone width, told apart without colour vision.

Every function draws what its data hold and returns an empty string where that is nothing. Figures are objects
without a window or a current state, so drawing is safe in any process.

Rows of `metrics.csv` are dicts of text or numbers, many of them empty; N is sequences, C classes.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gulmfit.report.kept import drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, Any]]
Curves = Mapping[str, tuple[ArrayLike, ArrayLike]]
Floats = NDArray[np.float64]

# Okabe & Ito's palette, and line styles so that colour is never the only difference.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
DOTTED: dict[str, Any] = {"color": "#888888", "linewidth": 1, "linestyle": ":"}  # chance, and equality
FIT_SCORES = (
    "accuracy", "mcc", "auroc", "auprc", "f1", "precision", "recall", "specificity",
    "auroc_macro", "auprc_macro", "f1_macro", "r2", "pearson",
)  # fmt: skip

_MAX_POINTS = 600
_MAX_CELLS = 12  # classes up to which a confusion matrix has numbers in its cells
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gulmfit",
    "font.family": "sans-serif",
    "font.size": 11.0,
    "text.color": "#222222",
    "axes.edgecolor": "#888888",
    "axes.labelcolor": "#222222",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "legend.fontsize": 10.0,
    "lines.linewidth": 1.8,
}


def learning_curves(rows: Rows) -> str:
    """Draw losses, and below them the validation scores, against the training step.

    Args:
        rows: Of `metrics.csv`: `step` (else `epoch`), columns such as `train/loss` and `val/accuracy`.
    """
    names = _columns(rows)
    panels = {
        "loss (nats)": [name for name in names if _metric(name).startswith("loss")],
        "validation score": [name for name in names if _metric(name) in FIT_SCORES and "train" not in name],
    }
    panels = {label: chosen for label, chosen in panels.items() if chosen}
    with Sheet(panels=len(panels)) as sheet:
        for axes, (label, chosen) in zip(sheet.axes, panels.items(), strict=True):
            for name in chosen:
                _line(axes, *_series(rows, name), label=name)
            axes.set_ylabel(label)
            legend(axes)
        if sheet.axes:
            sheet.axes[-1].set_xlabel(_step_label(rows))
        return sheet.svg()


def compare_curves(runs: Mapping[str, Rows], column: str, label: str) -> str:
    """Draw one column of several runs over each other, against the training step.

    Args:
        runs: Rows of `metrics.csv` by name of the run.
        column: The column to draw, `val/loss` for example.
        label: Its axis label, with the unit.
    """
    series = {name: _series(rows, column) for name, rows in runs.items()}
    return line_plot(series, xlabel=_step_label(next(iter(runs.values()), [])), ylabel=label)


def lr_schedule(rows: Rows) -> str:
    """Draw the learning rate of each parameter group (columns `lr` or `lr-...`) against the training step."""
    names = [name for name in _columns(rows) if name == "lr" or name.startswith("lr-")]
    names = [name for name in names if not name.endswith(("momentum", "weight_decay"))]
    return line_plot({name: _series(rows, name) for name in names}, xlabel=_step_label(rows), ylabel="learning rate")


def bits_per_base(rows: Rows, references: Mapping[str, float]) -> str:
    """Draw bits per base against the training step, with a level line for each reference.

    Args:
        rows: Of `metrics.csv`, columns named `split/bits_per_base`.
        references: Bits per base by name, `{"markov": 1.95, "knowing nothing": 2.0}` for example.
    """

    def levels(axes: "Axes") -> None:
        legend(axes)
        for name, value in references.items():
            axes.axhline(value, color="#666666", linewidth=1.2, linestyle=":")
            axes.annotate(
                f"{short(name, 32)} {value:.3f}", (1, value), (-2, 3), xycoords=("axes fraction", "data"),
                textcoords="offset points", ha="right", color="#444444", fontsize=10,
            )  # fmt: skip
        axes.margins(y=0.12)

    names = [name for name in _columns(rows) if _metric(name).startswith("bits_per_base")]
    series = {name: _series(rows, name) for name in names}
    return line_plot(series, extra=levels, xlabel=_step_label(rows), ylabel="bits per base")


def roc(curves: Curves) -> str:
    """Draw ROC curves, their areas in the legend.

    Args:
        curves: By name, (N,) labels with 1 for positive, and (N,) scores. One-class labels are left out.
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    def chance(axes: "Axes") -> None:
        axes.plot([0, 1], [0, 1], **DOTTED)
        axes.legend(title="area under the curve", loc="lower right")

    shown = _with_both_classes(curves)
    series = {f"{name} {roc_auc_score(*pair):.3f}": roc_curve(*pair)[:2] for name, pair in shown.items()}
    x, y = "false positive rate", "true positive rate (recall)"
    return line_plot(series, extra=chance, square=True, xlabel=x, ylabel=y)


def precision_recall(curves: Curves) -> str:
    """Draw precision against recall, average precision in the legend, and the share of positives as a level.

    Args:
        curves: By name, (N,) labels with 1 for positive, and (N,) scores. One-class labels are left out.
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve

    def chance(axes: "Axes") -> None:
        axes.axhline(float(np.mean(next(iter(shown.values()))[0])), **DOTTED)
        axes.legend(title="average precision", loc="lower left")

    shown, series = _with_both_classes(curves), {}
    for name, pair in shown.items():
        precision, recall, _ = precision_recall_curve(*pair)
        series[f"{name} {average_precision_score(*pair):.3f}"] = recall[::-1], precision[::-1]
    return line_plot(series, extra=chance, square=True, xlabel="recall", ylabel="precision", ylim=(0, 1.03))


def reliability(curves: Mapping[str, Mapping[str, ArrayLike]]) -> str:
    """Draw observed frequency against predicted probability, and below how many sequences speak.

    Args:
        curves: By name, before and after calibration for example, what `calibration.reliability_curve` gave.
    """
    shown = {name: {key: np.asarray(values) for key, values in curve.items()} for name, curve in curves.items()}
    shown = {name: curve for name, curve in shown.items() if len(curve["count"])}
    with Sheet(panels=2 if shown else 0, height=5.4) as sheet:
        if shown:
            upper, lower = sheet.axes
            for (name, curve), colour, dash in zip(shown.items(), cycle(PALETTE), cycle(DASHES)):
                x, label = curve["confidence"], short(name, 32)
                upper.vlines(x, curve["low"], curve["high"], color=colour, linewidth=1.2)
                upper.plot(x, curve["frequency"], color=colour, linestyle=dash, marker="o", markersize=4, label=label)
                lower.bar(x, curve["count"], width=0.03, color=colour, alpha=0.65)
            upper.plot([0, 1], [0, 1], **DOTTED)
            upper.set(ylabel="observed frequency", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
            lower.set(xlabel="predicted probability", ylabel="sequences")
            if grid := upper.get_gridspec():
                grid.set_height_ratios([4, 1])
            legend(upper)
        return sheet.svg()


def confusion_matrix(matrix: ArrayLike, classes: Sequence[str]) -> str:
    """Draw a confusion matrix, cells shaded by their share of the row.

    Args:
        matrix: (C, C) counts, true classes in rows.
        classes: C names.
    """
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with Sheet(panels=1 if counts.size else 0, square=True) as sheet:
        for axes in sheet.axes:
            axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
            ticks = range(0, len(classes), max(1, len(classes) // 20))
            names = [short(classes[tick]) for tick in ticks]
            axes.set_xticks(ticks, names, rotation=0 if len(classes) < 4 else 90)
            axes.set_yticks(ticks, names)
            axes.set(xlabel="predicted class", ylabel="true class")
            for (row, column), count in np.ndenumerate(counts) if len(classes) <= _MAX_CELLS else ():
                colour = "white" if shares[row, column] > 0.5 else "#222222"
                text = f"{count:,}\n{shares[row, column]:.0%}" if len(classes) <= 6 else f"{count:,}"
                axes.text(column, row, text, color=colour, ha="center", va="center")
        return sheet.svg()


def score_bars(
    table: Mapping[str, float | Sequence[float | None]], metric: str, chance: Mapping[str, float] | None = None
) -> str:
    """Draw one score of several models or labels as bars, with their intervals.

    Args:
        table: By model, a value or (value, low, high); nan values are left out.
        metric: Name of the score, the axis label.
        chance: What knowing nothing scores, where that is to be marked; without it the first bar is set off.
    """
    bars = {name: _with_bounds(entry) for name, entry in table.items()}
    bars = {name: bar for name, bar in bars.items() if math.isfinite(bar[0])}
    with Sheet(panels=1 if bars else 0, height=0.9 + (0.3 if chance else 0.42) * len(bars)) as sheet:
        for axes in sheet.axes:
            for place, (name, (value, low, high)) in enumerate(bars.items()):
                axes.barh(place, value, height=0.62, color=PALETTE[0] if chance or place == 0 else "#9DB8CC")
                axes.plot([low, high], [place, place], color="#222222", linewidth=1.5)
                axes.text(max(value, high, 0) + 0.015, place, f"{value:.3f}", va="center")
                if chance:
                    axes.plot([chance[name]] * 2, [place - 0.4, place + 0.4], color=PALETTE[1], linewidth=2)
            lows = [min(value, low) for value, low, _ in bars.values()]
            highs = [max(value, high) for value, _, high in bars.values()]
            axes.set_xlim(min(0, *lows, 0), max(1, *highs) + 0.16)
            name_rows(axes, bars, metric)
        return sheet.svg()


def lr_find(lrs: ArrayLike, losses: ArrayLike, suggestion: float | None) -> str:
    """Draw the learning-rate range test: loss against the rate, with the suggested rate.

    Args:
        lrs: Learning rates tried.
        losses: The loss at each, in nats.
        suggestion: The rate to mark; None for none.
    """
    rates, values = np.asarray(lrs, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    usable = np.isfinite(values) & (rates > 0)
    with Sheet(panels=1 if usable.any() else 0) as sheet:
        for axes in sheet.axes:
            _line(axes, rates[usable], values[usable], label="")
            if suggestion is not None:
                axes.axvline(suggestion, color=PALETTE[1], linestyle="--", label=f"suggested {suggestion:.2g}")
                legend(axes)
            # The blow-up at the end would flatten the descent that the test is about.
            least, first = values[usable].min(), values[usable][0]
            axes.set_ylim(least - 0.1 * abs(first - least) - 1e-3, first + 1.5 * abs(first - least) + 1e-3)
            axes.set(xscale="log", xlabel="learning rate", ylabel="loss (nats)")
        return sheet.svg()


class Sheet:
    """A figure with panels above each other and the style above; without a panel its SVG is empty text.

    Matplotlib reads style while drawing, so the style stands from entry to exit and is then put back.
    """

    def __init__(self, *, panels: int, square: bool = False, height: float | None = None) -> None:
        self.axes: list[Axes] = []
        self._panels = panels
        self._size = (4.8, height or (4.5 if square else 0.5 + 2.7 * panels))
        self._figure: Figure | None = None

    def __enter__(self) -> Self:
        from matplotlib import rc_context
        from matplotlib.figure import Figure

        self._style = rc_context(_STYLE)
        self._style.__enter__()
        if self._panels:
            self._figure = Figure(figsize=self._size, layout="constrained", facecolor="white")
            self.axes = list(self._figure.subplots(self._panels, 1, sharex=True, squeeze=False)[:, 0])
            for axes in self.axes:
                axes.grid(visible=True)
                axes.set_axisbelow(True)
        return self

    def __exit__(self, *failure: object) -> None:
        self._style.__exit__(None, None, None)

    def svg(self) -> str:
        if self._figure is None:
            return ""
        for axes in self.axes:
            axes.grid(visible=not axes.images)
        return drawn(self._figure)


def _columns(rows: Rows) -> list[str]:
    """Columns that hold a number in some row, in order of first appearance."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if any(_number(row.get(name)) is not None for row in rows)]


def _metric(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _number(value: Any) -> float | None:
    """A finite number, or None for an empty, missing or unreadable cell."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _step_column(rows: Rows) -> str | None:
    return next((name for name in ("step", "epoch") if any(_number(row.get(name)) is not None for row in rows)), None)


def _step_label(rows: Rows) -> str:
    return {"step": "training step", "epoch": "epoch"}.get(_step_column(rows) or "", "row of metrics.csv")


def _series(rows: Rows, name: str) -> tuple[Floats, Floats]:
    """Steps and values of the rows where the column holds a number."""
    step = _step_column(rows)
    found = [(index if step is None else row.get(step), row.get(name)) for index, row in enumerate(rows)]
    pairs = [(_number(at), _number(value)) for at, value in found]
    points = np.array([pair for pair in pairs if None not in pair], dtype=np.float64).reshape(-1, 2)
    return points[:, 0], points[:, 1]


def line_plot(
    series: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    extra: "Callable[[Axes], None] | None" = None,
    square: bool = False,
    height: float | None = None,
    marker: str | None = None,
    **settings: Any,
) -> str:
    """Draw lines over each other, each with a colour and dash of its own; one without a point is left out.

    Args:
        series: x and y by name.
        extra: Adds to the axes what is not a line, instead of a legend.
        square: Whether the axes are as high as wide.
        height: Of the figure in inches.
        marker: Of each point.
        settings: Labels, scales and limits of the axes.
    """
    shown = {name: pair for name, pair in series.items() if len(np.asarray(pair[0]))}
    with Sheet(panels=1 if shown else 0, square=square, height=height) as sheet:
        for axes in sheet.axes:
            for name, (x, y) in shown.items():
                _line(axes, np.asarray(x), np.asarray(y), label=name, marker=marker)
            axes.set(**settings)
            (extra or legend)(axes)
        return sheet.svg()


def name_rows(axes: "Axes", names: Iterable[str], label: str) -> None:
    """Write the names of rows 0, 1 … from the top, and the label of the x axis."""
    shown = [short(name, 24) for name in names]
    axes.set_yticks(range(len(shown)), shown)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(label)


def _line(axes: "Axes", x: Floats, y: Floats, label: str, marker: str | None = None) -> None:
    """Plot with the next colour and dash, thinned to what can be seen; a single point is a dot."""
    index = len(axes.get_lines())
    if len(x) > _MAX_POINTS:
        kept = np.unique(np.linspace(0, len(x) - 1, _MAX_POINTS).round().astype(int))
        x, y = x[kept], y[kept]
    colour, dashes = PALETTE[index % len(PALETTE)], DASHES[index % len(DASHES)]
    dot: dict[str, Any] = {"marker": "o" if len(x) == 1 else marker, "markersize": 4 if marker else None}
    axes.plot(x, y, color=colour, linestyle=dashes, label=short(label, 32), **dot)


def legend(axes: "Axes") -> None:
    axes.legend(loc="best")


def _with_both_classes(curves: Curves) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    pairs = {name: (np.asarray(truth), np.asarray(score)) for name, (truth, score) in curves.items()}
    return {name: pair for name, pair in pairs.items() if len(np.unique(pair[0])) == 2}


def _with_bounds(entry: float | Sequence[float | None]) -> tuple[float, float, float]:
    """(value, low, high), with the value for a bound that is missing."""
    parts: Iterable[float | None] = entry if isinstance(entry, Sequence) else (entry, None, None)
    value, low, high = (math.nan if part is None else float(part) for part in parts)
    return value, value if math.isnan(low) else low, value if math.isnan(high) else high


def short(text: str, limit: int = 14) -> str:
    """At most `limit` characters; a dollar sign is escaped, for it would start a formula."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    if cut.startswith("_"):  # which Matplotlib leaves out of legends
        cut = f"\u200b{cut}"
    return cut.replace("$", r"\$")
