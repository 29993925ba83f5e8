"""Pages about a language model's inner life: what it writes, and how it arranges sequences."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gulmfit.evaluate.composition import LONGEST_WORD, Spectrum, jensen_shannon, odds_difference
from gulmfit.evaluate.projections import Points, map_scores, neighbour_map, principal_components
from gulmfit.report.figures import DOTTED, PALETTE, Sheet, line_plot, short
from gulmfit.report.html import Figure, Report, Section

_BASES = "ACGT"
_MARKS = "os^Dv<>P*X"
_MOST_CLASSES = 10  # that colours and marks can tell apart


class SpectrumRow(NamedTuple):
    """One set of sequences beside the genome."""

    name: str
    spectrum: Spectrum
    longest_repeat: int


def spectrum_table(rows: Sequence[SpectrumRow], genome: Spectrum) -> tuple[list[str], list[list[object]]]:
    """Lay sets of sequences side by side; return header and rows, the last of them the genome's.

    Columns are the Jensen-Shannon distance of each k-mer spectrum to the genome's, GC and its standard deviation
    between sequences, the mean difference of dinucleotide odds, and the longest repeat within the set in bases.
    """
    distances = [f"JSD k={k}" for k in range(1, LONGEST_WORD + 1)]
    header = ["", *distances, "GC", "GC sd", "dinucleotides", "longest repeat", "bases"]
    cells: list[list[object]] = [
        [
            row.name,
            *_distances(row.spectrum, genome),
            row.spectrum.gc,
            row.spectrum.gc_deviation,
            odds_difference(row.spectrum, genome),
            row.longest_repeat,
            row.spectrum.bases,
        ]
        for row in rows
    ]
    nothing = [None] * len(distances)
    return header, [*cells, ["genome", *nothing, genome.gc, None, None, None, genome.bases]]


def spectrum_report(rows: Sequence[SpectrumRow], genome: Spectrum, facts: Mapping[str, Any]) -> Report:
    """Build the page of a comparison of samples with a genome.

    Args:
        rows: Sets of sequences, the language model's first, pieces of the genome itself last.
        genome: What they are compared with.
        facts: What is to be said of the run, by name.
    """
    model, ceiling = rows[0], rows[-1]
    ours, best = (_distances(row.spectrum, genome)[-1] for row in (model, ceiling))
    verdict = (
        f"The {LONGEST_WORD}-mer spectrum of the samples is {ours:.3f} from the genome's (Jensen-Shannon distance); "
        f"as many bases of the genome itself are {best:.3f} from it."
    )
    explained = [
        "0 is the same spectrum, 1 shares nothing. A finite set is never at 0: the pieces of the genome, as many "
        "and as long, say what is left to chance. Words count together with their reverse complements.",
        "A Markov model knows nothing but the few bases before each base, and yet has nearly the right words: a good "
        "spectrum is little proof of a good model. Bits per base on held-out sequence are the better one.",
        "Dinucleotides: mean absolute difference of the 16 odds (observed over expected from single bases). Longest "
        "repeat: the longest stretch that occurs twice in the set; much longer than the genome's own pieces have is "
        "a model that runs in circles.",
    ]
    odds_header = ["", *(f"{first}{second}" for first in _BASES for second in _BASES)]
    odds: list[list[object]] = [
        [name, *found.dinucleotide_odds.ravel().tolist()]
        for name, found in [*((row.name, row.spectrum) for row in rows), ("genome", genome)]
    ]
    sections = [
        Section("Spectra", explained, [spectrum_table(rows, genome)], [
            ("Distance of k-mer spectra to the genome's", _distance_curves(rows, genome)),
            (f"Each {LONGEST_WORD}-mer: its share in the samples against its share in the genome",
             _word_cloud(model, genome)),
        ]),
        Section("Dinucleotide odds", ["1 is what independent neighbours would have."], [(odds_header, odds)]),
        _made(facts),
    ]  # fmt: skip
    return Report("Samples of a language model", str(facts.get("model", "")), verdict, sections=sections)


def map_report(vectors: Points, labels: Sequence[str] | None, facts: Mapping[str, Any], *, seed: int = 0) -> Report:
    """Build the page of a map of sequences.

    Args:
        vectors: One for each sequence, `(N, E)`, 6 or more.
        labels: What colours it; None for no colour.
        facts: What is to be said of the run, by name.
        seed: Of t-SNE and of shuffled labels.
    """
    components, share = principal_components(vectors, 2)
    scores = map_scores(vectors, labels, seed=seed) if labels is not None else None
    groups = _groups(labels, len(vectors))
    pictures: list[Figure] = [
        (f"Two principal components, {share:.0%} of the variance", _scatter(components, groups, "component")),
        ("t-SNE: near is alike, far means nothing", _scatter(neighbour_map(vectors, seed=seed), groups, "t-SNE")),
    ]
    text = [
        "Each point is a sequence, each coordinate of its vector standardised. Pictures show neighbourhoods, not "
        "distances between groups, and any picture has clumps: trust the numbers, which are those of the vectors "
        "themselves."
    ]
    verdict, tables = f"{len(vectors):,} sequences.", []
    if scores is not None:
        verdict = (
            f"The 5 nearest neighbours of a sequence tell its label in {scores.neighbours:.1%} of {len(vectors):,} "
            f"sequences; by chance it would be {scores.shuffled_neighbours:.1%}."
        )
        tables.append((["", "as labelled", "labels shuffled"], [
            ["5-nearest-neighbour accuracy", scores.neighbours, scores.shuffled_neighbours],
            ["silhouette (-1 to 1)", scores.silhouette, scores.shuffled_silhouette],
        ]))  # fmt: skip
    sections = [
        Section("Map", text, [*tables], pictures),
        _made(facts),
    ]
    return Report("Map of sequences", str(facts.get("model", "")), verdict, sections=sections)


def _distances(one: Spectrum, other: Spectrum) -> list[float]:
    """Jensen-Shannon distance of the spectra of each k."""
    return [jensen_shannon(*pair) for pair in zip(one.frequencies, other.frequencies, strict=True)]


def _made(facts: Mapping[str, Any]) -> Section:
    return Section("How it was made", tables=[(["", "value"], [[name, str(value)] for name, value in facts.items()])])


def _distance_curves(rows: Sequence[SpectrumRow], genome: Spectrum) -> str:
    sizes = range(1, LONGEST_WORD + 1)
    curves = {row.name: (sizes, _distances(row.spectrum, genome)) for row in rows}
    return line_plot(curves, height=3.6, marker="o", xlabel="k", ylabel="Jensen-Shannon distance")


def _word_cloud(row: SpectrumRow, genome: Spectrum) -> str:
    ours, theirs = row.spectrum.frequencies[-1], genome.frequencies[-1]
    shown = (ours > 0) & (theirs > 0)
    with Sheet(panels=1 if shown.any() else 0, square=True) as sheet:
        for axes in sheet.axes:
            axes.plot(theirs[shown], ours[shown], ".", color=PALETTE[0], markersize=2, alpha=0.5, rasterized=True)
            edges = [min(theirs[shown].min(), ours[shown].min()), max(theirs.max(), ours.max())]
            axes.plot(edges, edges, **DOTTED)
            axes.set(xscale="log", yscale="log", xlabel="share in the genome", ylabel=f"share in {row.name}")
        return sheet.svg()


def _groups(labels: Sequence[str] | None, count: int) -> dict[str, npt.NDArray[np.bool_]]:
    """Which points each label has, the commonest labels first and all rare ones under one name."""
    if labels is None:
        return {"": np.ones(count, dtype=bool)}
    names = np.asarray(labels)
    values, sizes = np.unique(names, return_counts=True)
    order = values[np.argsort(-sizes, kind="stable")]
    shown = order if len(order) <= _MOST_CLASSES else order[: _MOST_CLASSES - 1]
    groups = {str(name): names == name for name in shown}
    if len(shown) < len(order):
        groups["other"] = groups.get("other", np.zeros(count, bool)) | ~np.isin(names, shown)
    return groups


def _scatter(points: Points, groups: Mapping[str, npt.NDArray[np.bool_]], name: str) -> str:
    with Sheet(panels=1 if points.shape[1] == 2 else 0, square=True) as sheet:
        for axes in sheet.axes:
            for number, (label, rows) in enumerate(groups.items()):
                axes.scatter(
                    points[rows, 0], points[rows, 1], s=12, marker=_MARKS[number % len(_MARKS)], alpha=0.6, linewidth=0,
                    color=PALETTE[number % len(PALETTE)], label=short(label, 24), rasterized=True,
                )  # fmt: skip
            axes.set(xlabel=f"{name} 1", ylabel=f"{name} 2")
            if len(groups) > 1:
                axes.legend(loc="best", markerscale=1.6)
        return sheet.svg()
