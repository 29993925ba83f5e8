"""The page of `gulmfit-inspect`: spectra of weight matrices and hidden states, models over each other."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from gulmfit.evaluate.power_law import RELIABLE_TAIL, WELL_TRAINED
from gulmfit.report.figures import DASHES, DOTTED, PALETTE, Sheet, legend, line_plot, short
from gulmfit.report.html import Figure, Report, Section

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rows = Sequence[Mapping[str, Any]]

MATRIX_COLUMNS = (
    "model", "depth", "name", "gate", "rows", "columns", "eigenvalues", "alpha", "D", "x_min", "tail", "stable_rank",
    "norm", "spectral_norm", "random_alpha", "random_D", "random_stable_rank", "random_spectral_norm", "doubt",
)  # fmt: skip
SUMMARY_COLUMNS = (
    "model", "matrices", "fitted", "mean alpha", "median alpha", "2 to 6", "doubtful fits", "random alpha",
    "least dimension", "dead",
)  # fmt: skip
SHOWN_COLUMNS = (
    "model", "name", "gate", "alpha", "D", "tail", "stable_rank", "random_alpha", "random_stable_rank", "doubt",
)  # fmt: skip
COLLAPSED_DIMENSION, COLLAPSED_DEAD = 1.5, 0.5

READING = [
    "Alpha is the exponent of a power law fitted to the largest eigenvalues of W^T W (Clauset, Shalizi & Newman 2009). "
    "Of linear and convolution layers, 2 to 6 is read as well trained, above 6 as under-trained, below 2 as "
    "over-trained or over-regularised (Martin & Mahoney 2021). Nobody has shown that these ranges hold for the gates "
    "of recurrent layers: compare models of one build, and each matrix with the random one.",
    f"A fit is doubtful where its tail has fewer than {RELIABLE_TAIL} eigenvalues, or where D, the distance of the "
    "fit, is larger than the Kolmogorov-Smirnov test allows at 5 %. Small layers have few eigenvalues, so most of "
    "their fits are doubtful.",
    "The random matrix has the same entries in random order. A stable rank near its own, and an alpha near its own, "
    "mean that training has left no structure.",
]
HIDDEN_READING = (
    "Dimension: participation ratio of the hidden states over all tokens, from 1 to the number of units. Dead: share "
    "of units that hardly change (standard deviation below 1 % of the layer's root mean square). Saturated: share of "
    "units that are beyond 0.95 at 95 % of the tokens. A model that answers every input alike has a dimension near 1 "
    "or nothing but dead units."
)


def weights_report(results: Mapping[str, Rows], input: str) -> Report:
    """Lay out what was found.

    Args:
        results: What `gulmfit.commands.inspect.inspect_models` returns.
        input: File whose sequences were read; empty for random bases.
    """
    matrices, hidden, models = results["matrices"], results["hidden"], results["models"]
    table = (SHOWN_COLUMNS, [[row[key] for key in SHOWN_COLUMNS] for row in matrices])
    states = list(hidden[0])
    sections = [
        Section(
            "Exponents",
            READING,
            [(SUMMARY_COLUMNS, [[row[key] for key in SUMMARY_COLUMNS] for row in models])],
            [
                ("Alpha of the matrices of each model; grey: 2 to 6", alpha_histogram(matrices)),
                ("Alpha by depth; dotted: the random matrices", alpha_by_depth(matrices)),
            ],
        ),
        Section(
            "Hidden states",
            [HIDDEN_READING, f"Read: {input or 'uniform random letters; give input= for sequences of your own'}."],
            [(states, [[row[key] for key in states] for row in hidden])],
        ),
        Section("Matrices", tables=[table]),
        Section("Spectra", figures=spectra_figures(results["spectra"])),
    ]
    if collapsed := _collapsed(hidden):
        sections.insert(0, Section("Collapsed hidden states", collapsed, warning=True))
    names = [str(row["model"]) for row in models]
    return Report("Weights and hidden states", ", ".join(names), verdict(models, hidden), sections=sections)


def verdict(models: Rows, hidden: Rows) -> str:
    """Say in a sentence for each model what was found."""
    told = []
    for row in models:
        alpha = f"mean alpha {row['mean alpha']:.2f}" if row["fitted"] else "no matrix is large enough for a fit"
        fits = f"{row['2 to 6']} of {row['fitted']} fits between 2 and 6, {row['doubtful fits']} doubtful"
        told.append(f"{row['model']}: {alpha}; {fits}." if row["fitted"] else f"{row['model']}: {alpha}.")
    return " ".join([*told, *_collapsed(hidden)])


def _collapsed(hidden: Rows) -> list[str]:
    return [
        f"{row['model']}: the hidden states of layer {row['layer']} have collapsed (dimension {row['dimension']:.1f} "
        f"of {row['units']}, {row['dead']:.0%} of the units dead)."
        for row in hidden
        if row["units"] > 1 and (row["dimension"] < COLLAPSED_DIMENSION or row["dead"] > COLLAPSED_DEAD)
    ]


def alpha_histogram(matrices: Rows) -> str:
    """Draw how alpha is distributed over the matrices of each model, with its mean."""
    alphas = _alphas(matrices)
    with Sheet(panels=1 if alphas else 0) as sheet:
        for axes in sheet.axes:
            every = np.concatenate(list(alphas.values()))
            bins = np.linspace(every.min(), every.max() + 1e-9, 2 + round(len(every) ** 0.5)).tolist()
            axes.axvspan(*WELL_TRAINED, color="#eeeeee")
            for number, (name, values) in enumerate(alphas.items()):
                colour, dash = PALETTE[number % len(PALETTE)], DASHES[number % len(DASHES)]
                axes.hist(values, bins, histtype="step", color=colour, linestyle=dash, label=short(name, 32))
                axes.axvline(float(np.mean(values)), color=colour, linestyle=":")
            axes.set(xlabel="alpha (vertical lines: means)", ylabel="matrices")
            legend(axes)
        return sheet.svg()


def alpha_by_depth(matrices: Rows) -> str:
    """Draw alpha of each matrix from input to output, with that of the random matrices."""
    shown = {
        name: [row for row in rows if row["tail"]]
        for name, rows in groupby(matrices, key=lambda row: str(row["model"]))
    }
    shown = {name: rows for name, rows in shown.items() if rows}
    with Sheet(panels=1 if shown else 0) as sheet:
        for axes in sheet.axes:
            axes.axhspan(*WELL_TRAINED, color="#eeeeee")
            for number, (name, rows) in enumerate(shown.items()):
                depths, colour = [row["depth"] for row in rows], PALETTE[number % len(PALETTE)]
                dash = DASHES[number % len(DASHES)]
                alphas = [row["alpha"] for row in rows]
                axes.plot(depths, alphas, color=colour, linestyle=dash, marker="o", markersize=4, label=short(name, 32))
                axes.plot(depths, [row["random_alpha"] for row in rows], color=colour, linestyle=":", linewidth=1)
            axes.set(xlabel="matrix, from input to output", ylabel="alpha", yscale="log")
            legend(axes)
        return sheet.svg()


def spectra_figures(spectra: Rows) -> list[Figure]:
    """Draw the eigenvalues of every parameter by rank, its gates over each other."""
    figures: list[Figure] = []
    for (model, name), rows in groupby(spectra, key=lambda row: (str(row["model"]), str(row["name"]))):
        series: dict[str, tuple[Any, Any]] = {}
        for gate, own in groupby(rows, key=lambda row: str(row["gate"])):
            ranks, values, random = zip(*((row["rank"], row["eigenvalue"], row["random"]) for row in own), strict=True)
            series[gate or "eigenvalues"] = ranks, values
        picture = line_plot(
            series, extra=partial(_random, ranks, random), xlabel="rank", ylabel="eigenvalue of W^T W", xscale="log",
            yscale="log",
        )  # fmt: skip
        figures.append((f"{model}: {name}", picture))
    return figures


def _random(ranks: Sequence[int], values: Sequence[float], axes: "Axes") -> None:
    """Add the random matrix of the last gate: entries of one scale have one random spectrum."""
    axes.plot(ranks, values, **DOTTED, label="random")
    legend(axes)


def _alphas(matrices: Rows) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in matrices:
        if row["tail"]:
            found.setdefault(str(row["model"]), []).append(row["alpha"])
    return found
