"""One codon a residue: how many codons and bases are those of the gene, and what choosing by codons alone would give.

Predictions are the probabilities of the codons of each residue, `(N, L, K)`, so that memory does not grow with all
classes. Shapes: `N` proteins, `L` residues of the longest, `C` classes, `K` codons of the residue that has most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from gulmfit.evaluate.baselines.codon_models import run_codon_baselines
from gulmfit.evaluate.calibration import TINY, Calibration, fit_calibration
from gulmfit.evaluate.codon_scores import Usage, by_protein, favourites, paired_by_protein, weighted_codon_scores
from gulmfit.evaluate.uncertainty import Weighted
from gulmfit.report.html import Section
from gulmfit.report.kinds.kind import Floats, Ints, Judged, Labelled, Models, Results
from gulmfit.report.kinds.paired import Bootstrapped
from gulmfit.report.kinds.positions import PositionCalibration
from gulmfit.report.wording import model_name, p_text
from gulmfit.seq.labels.codon_labels import CODON_LABELS, CodonClasses, Codons

_FAVOURITES = "each gene's own favourites"


@dataclass(frozen=True)
class CodonCalibration(PositionCalibration):
    """A temperature for the probabilities of codons."""

    targets: ClassVar[str | None] = CODON_LABELS


class CodonChoice(Bootstrapped):
    """One codon a residue; arguments as of `Kind`. Labels are (N, L), predictions (N, L, K)."""

    labels = Codons()
    calibration = CodonCalibration
    stage: ClassVar[str] = "label"
    model: ClassVar[str] = "Codon labeller"
    watched: ClassVar = {"codons": ("gulmfit.train.loop.metrics.CodonScore", {})}
    headings: ClassVar = {"codon_match": "codon match", "nucleotide_match": "nucleotide match"}
    headline: ClassVar[str] = "codon_match"
    second: ClassVar[str] = "nucleotide_match"
    summary: ClassVar[tuple[str, ...]] = ("codon_match", "nucleotide_match", "log_loss")
    columns: ClassVar[tuple[str, ...]] = summary
    calibrated_loss: ClassVar[bool] = False  # so many labels are seldom over-fitted
    baselines_kept: ClassVar[bool] = False  # a number for each codon of each residue

    @cached_property
    def choices(self) -> CodonClasses:
        """What the classes are."""
        return CodonClasses(self.classes)

    def scores(self, truth: Any, predicted: Floats) -> dict[str, float]:
        found = self.weighted(truth, predicted)(np.ones((1, len(truth))))
        return {name: float(value[0]) for name, value in found.items()}

    def scorable(self, truth: Any) -> bool:
        return bool((truth >= 0).any())

    def weighted(self, truth: Any, predicted: Floats) -> Weighted:
        return weighted_codon_scores(truth, predicted, self.choices)

    def fit_calibration(self, raw: Floats, truth: Any, how: str) -> Calibration:
        known, places = truth >= 0, self.choices.places(truth)
        fitted = fit_calibration(np.log(np.maximum(raw[known], TINY)), places[known], how)
        return CodonCalibration(fitted.kind, fitted.temperature)

    def baselines(
        self, train: Labelled, valid: Labelled, test: Labelled, *, seed: int, cache_dir: Path | None
    ) -> dict[str, Judged]:
        found = run_codon_baselines(train.labels, test.sequences, self.choices, width=test.labels.shape[1])
        return {name: (probabilities, self) for name, probabilities in found.items()}

    def details(
        self, truth: Any, raw: Floats, judged: Models, calibration: Calibration, groups: Ints, seed: int
    ) -> dict[str, Any]:
        """Return what calibration did, a test over proteins, the match of each residue, and what codons are like."""
        chosen = {name: self.choices.chosen(truth, predicted.argmax(axis=2)) for name, (predicted, _) in judged.items()}
        own, usage = favourites(truth, self.choices), Usage(truth, self.choices)
        described = {"genes": truth, **chosen, "gene_favourites": own}
        known, right, bases = by_protein(truth, own, self.choices)
        pairs = {"before": raw, "after": judged["model"][0]}
        test = {name: {"log_loss": self.scores(truth, item)["log_loss"]} for name, item in pairs.items()}
        return {
            "calibration": {**calibration.to_dict(), "test": test},
            "by_protein": self._by_protein(truth, chosen, groups),
            "by_residue": self._by_residue(truth, chosen),
            "codon_use": {name: usage.of(classes) for name, classes in described.items()},
            "gene_favourites": {
                "codon_match": float(right.sum() / known.sum()),
                "nucleotide_match": float(bases.sum() / known.sum() / 3),
            },
        }

    def _by_protein(self, truth: Any, chosen: Mapping[str, Ints], groups: Ints) -> dict[str, Any]:
        """Return the mean over proteins of each model's match, and what the model gains over the others."""
        counts = {name: by_protein(truth, classes, self.choices) for name, classes in chosen.items()}
        there = counts["model"][0] > 0
        shares: dict[str, dict[str, Floats]] = {
            name: {"codon_match": right[there] / known[there], "nucleotide_match": bases[there] / known[there] / 3}
            for name, (known, right, bases) in counts.items()
        }
        return {
            name: {
                score: {"mean": float(values.mean())}
                | ({} if name == "model" else paired_by_protein(values, shares["model"][score], groups[there]))
                for score, values in found.items()
            }
            for name, found in shares.items()
        }

    def _by_residue(self, truth: Any, chosen: Mapping[str, Ints]) -> dict[str, dict[str, float]]:
        """Return how many there are of each residue, and which share has its own codon."""
        known = truth >= 0
        rows = self.choices.row[truth[known]]
        count = np.bincount(rows, minlength=len(self.choices.first))
        right = {
            name: np.bincount(rows, classes[known] == truth[known], len(count)) / np.maximum(count, 1)
            for name, classes in chosen.items()
        }
        return {
            residue: {"count": int(count[row]), **{name: float(share[row]) for name, share in right.items()}}
            for residue, row in self.choices.rows.items()
        }

    def cells(self, predicted: Floats, label: Any) -> Sequence[str | float]:
        """Return a text for each class: `position=probability` of every residue that it can spell, joined by commas."""
        texts: list[list[str]] = [[] for _ in self.classes]
        rows = self.choices.row
        for at in np.flatnonzero(label >= 0).tolist():
            row = rows[label[at]]
            first = int(self.choices.first[row])
            for place in range(int(self.choices.count[row])):
                texts[first + place].append(f"{at}={predicted[at, place]:.4f}")
        return [",".join(text) for text in texts]

    def numbers(self, cells: Sequence[Sequence[str]]) -> Floats:
        entries = [
            (protein, int(at), index, float(value))
            for protein, row in enumerate(cells)
            for index, cell in enumerate(row)
            for at, _, value in (item.partition("=") for item in cell.split(",") if item)
        ]
        width = 1 + max((at for _, at, _, _ in entries), default=-1)
        found = np.zeros((len(cells), width, self.choices.width))
        places = self.choices.places(np.arange(len(self.classes)))
        for protein, at, index, value in entries:
            found[protein, at, places[index]] = value
        return found

    def sections(self, results: Results) -> list[Section]:
        return [_protein_section(results), _use_section(results), _residue_section(results)]


def _protein_section(results: Results) -> Section:
    found: Mapping[str, Results] = results.get("by_protein") or {}
    text = (
        "The mean over proteins, and what the model gains over each other: a paired t-test, relatives taken together."
    )
    rows: list[list[object]] = []
    for name, scores in found.items():
        row: list[object] = [model_name(name)]
        for score in scores.values():
            p_value = score.get("p_value")
            row += [score["mean"], score.get("difference"), p_value if p_value is None else p_text(p_value)]
        rows.append(row)
    header = ["", "codon match", "gained", "p", "nucleotide match", "gained", "p"]
    return Section("Protein by protein", [text], [(header, rows)] if rows else [])


def _use_section(results: Results) -> Section:
    found: Mapping[str, Results] = results.get("codon_use") or {}
    reference: Results = results.get("gene_favourites") or {}
    text = [
        "Share of G and C, at all bases and at third ones; codon adaptation index and codon-pair score relative to the "
        "genes that are scored. Codons that are chosen one by one are more alike than those of genes."
    ]
    if reference:
        text.append(
            f"For reference, and not known from a protein alone: {_FAVOURITES} match {reference['codon_match']:.4f} of "
            f"the codons and {reference['nucleotide_match']:.4f} of the bases."
        )
    names = {"genes": "the genes themselves", "gene_favourites": _FAVOURITES}
    rows: list[list[object]] = [
        [names.get(name, model_name(name)), *(one.get(score) for score in ("gc", "gc3", "cai", "codon_pair"))]
        for name, one in found.items()
    ]
    header = ["", "GC", "GC at third bases", "codon adaptation index", "codon-pair score"]
    return Section("What the chosen codons are like", text, [(header, rows)] if rows else [])


def _residue_section(results: Results) -> Section:
    found: Mapping[str, Results] = results.get("by_residue") or {}
    models = [name for name in next(iter(found.values()), {}) if name != "count"]
    rows: list[list[object]] = [
        [residue, *(one.get(name) for name in ("count", *models))] for residue, one in found.items()
    ]
    header = ["residue", "count", *map(model_name, models)]
    return Section("Codon match of each residue", tables=[(header, rows)] if rows else [])
