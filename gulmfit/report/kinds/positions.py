"""One class a position: accuracy, log loss and F1 of each class, bootstraps over whole sequences.

Shapes: `N` sequences, `L` positions, `C` classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from gulmfit.evaluate.baselines.position_lookups import run_position_baselines
from gulmfit.evaluate.borders import border_scores
from gulmfit.evaluate.calibration import TINY, Calibration, fit_calibration
from gulmfit.evaluate.position_scores import (
    CLASS_METRICS,
    circular_shifts,
    confusions,
    scores_by_class,
    weighted_position_scores,
)
from gulmfit.evaluate.uncertainty import Weighted
from gulmfit.report import figures
from gulmfit.report.html import Section
from gulmfit.report.kinds.kind import Floats, Ints, Judged, Labelled, Models, Results
from gulmfit.report.kinds.paired import Bootstrapped, by_target
from gulmfit.report.target_figures import strip
from gulmfit.report.wording import heading, model_name
from gulmfit.seq.labels.position_labels import POSITIONS, Positions

_BORDER_SCORES = ("accuracy", "f1_macro", "log_loss")
_SHOWN = 1000  # positions of a sequence that are drawn


@dataclass(frozen=True)
class PositionCalibration(Calibration):
    """A temperature for the probabilities of positions, of however many axes."""

    targets: ClassVar[str | None] = POSITIONS

    def calibrated(self, raw: Floats) -> Floats:
        return super().calibrated(raw.reshape(-1, raw.shape[-1])).reshape(raw.shape)

    def to_dict(self) -> dict[str, Any]:
        return {"targets": self.targets, "kind": self.kind, "temperature": self.temperature}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "PositionCalibration":
        return super().from_dict({name: value for name, value in content.items() if name != "targets"})


class PositionLabels(Bootstrapped):
    """One class a position; arguments as of `Kind`. Labels are (N, L), predictions (N, L, C)."""

    labels = Positions()
    calibration = PositionCalibration
    stage: ClassVar[str] = "label"
    model: ClassVar[str] = "Labeller"
    watched: ClassVar = {"positions": ("gulmfit.train.loop.metrics.PositionScore", {})}
    headline: ClassVar[str] = "accuracy"
    second: ClassVar[str] = "log_loss"
    summary: ClassVar[tuple[str, ...]] = ("accuracy", "log_loss", "f1_macro")
    columns: ClassVar[tuple[str, ...]] = ("accuracy", "log_loss", "f1_macro")
    calibrated_loss: ClassVar[bool] = False  # so many labels are seldom over-fitted
    baselines_kept: ClassVar[bool] = False  # of ten thousand bases each a number for each class and baseline

    def scores(self, truth: Any, predicted: Floats) -> dict[str, float]:
        return {
            name: float(value[0]) for name, value in self.weighted(truth, predicted)(np.ones((1, len(truth)))).items()
        }

    def weighted(self, truth: Any, predicted: Floats) -> Weighted:
        return weighted_position_scores(truth, predicted)

    def scorable(self, truth: Any) -> bool:
        return bool((truth >= 0).any())

    def fit_calibration(self, raw: Floats, truth: Any, how: str) -> Calibration:
        known = truth >= 0
        fitted = fit_calibration(np.log(np.maximum(raw[known], TINY)), truth[known].astype(np.int64), how)
        return PositionCalibration(fitted.kind, fitted.temperature)

    def baselines(
        self, train: Labelled, valid: Labelled, test: Labelled, *, seed: int, cache_dir: Path | None
    ) -> dict[str, Judged]:
        found = run_position_baselines(
            (train.sequences, train.labels),
            (valid.sequences, valid.labels),
            test.sequences,
            len(test.classes),
            width=test.labels.shape[1],
            seed=seed,
            alphabet=train.alphabet,
        )
        return {name: (probabilities, self) for name, probabilities in found.items()}

    def details(
        self, truth: Any, raw: Floats, judged: Models, calibration: Calibration, groups: Ints, seed: int
    ) -> dict[str, Any]:
        """Return the scores near borders, the confusion counts, what calibration did, the scores of each class, and a
        test by shifts."""
        model = judged["model"][0]
        pairs = {"before": raw, "after": model}
        test = {name: {"log_loss": self.scores(truth, item)["log_loss"]} for name, item in pairs.items()}
        predicted = {name: item for name, (item, _) in judged.items()}
        return {
            "borders": border_scores(truth, predicted, self.classes, groups, seed),
            "confusion": confusions(truth, model).sum(axis=0).astype(int).tolist(),
            "circular_shift": circular_shifts(truth, model, seed=seed),
            "calibration": {**calibration.to_dict(), "test": test},
            "by_target": by_target(
                {name: scores_by_class(truth, item) for name, (item, _) in judged.items()}, self.classes, groups, seed
            ),
        }

    def cells(self, predicted: Floats, label: Any) -> Sequence[str | float]:
        """Return a text for each class: its probabilities from the first position to the last, joined by commas."""
        length = len(self.labels.text(label, self.classes))
        return [",".join(f"{value:.4f}" for value in column) for column in predicted[:length].T]

    def numbers(self, cells: Sequence[Sequence[str]]) -> Floats:
        found = [[[float(value) for value in cell.split(",")] for cell in row] for row in cells]
        width = max((len(row[0]) for row in found), default=0)
        probabilities = np.zeros((len(found), width, len(self.classes)))
        for at, row in enumerate(found):
            probabilities[at, : len(row[0])] = np.transpose(row)
        return probabilities

    def sections(self, results: Results) -> list[Section]:
        return [
            _shift_section(results),
            classes_section(results),
            borders_section(results),
            _confusion_section(results),
            _strips_section(results),
        ]


def _shift_section(results: Results) -> Section:
    found: Results = results.get("circular_shift") or {}
    text = "The predictions of each sequence shifted in a circle: what their classes and lengths of runs alone give."
    row = [found.get(name) for name in ("accuracy", "shifted", "draws", "p_value")]
    table = (["accuracy", "accuracy when shifted", "draws", "p"], [row])
    return Section("Against shifted predictions", [text], [table] if found else [])


def classes_section(results: Results) -> Section:
    """List the scores of each class, the model's with intervals, and the baselines'."""
    found: Mapping[str, Results] = results.get("by_target") or {}
    rows: list[list[object]] = []
    for name, record in found.items():
        bounds = record.get("ci95") or {}
        rows.append([name, *((record.get(item), *(bounds.get(item) or (None, None))) for item in CLASS_METRICS)])
        rows += [
            [f"{name}: {model}", *(scores.get(item) for item in CLASS_METRICS)]
            for model, scores in (record.get("baselines") or {}).items()
        ]
    return Section("Each class by itself", tables=[(["", *map(heading, CLASS_METRICS)], rows)] if rows else [])


def borders_section(results: Results) -> Section:
    """Show the scores near borders between labels and elsewhere, and F1 by the distance to a border."""
    found: Results = results.get("borders") or {}
    section = Section("Near borders and elsewhere")
    if not found:
        return section
    section.text.append(
        f"A position is near if it is one of the {found['near_bp']} on either side of a border between two labels: "
        f"{found['positions']['near']:,} are, {found['positions']['elsewhere']:,} are not. Entropy, in nats, is how "
        "uncertain the predictions are, whether right or wrong."
    )
    rows: list[list[object]] = []
    for side, place in (("near", "near a border"), ("elsewhere", "elsewhere")):
        for name, scores in found[side].items():
            bounds = scores.get("ci95") or {}
            cells = ((scores.get(item), *(bounds.get(item) or (None, None))) for item in _BORDER_SCORES)
            rows.append([f"{model_name(name)}, {place}", *cells, scores.get("entropy")])
    section.tables.append((["", *map(heading, _BORDER_SCORES), "entropy"], rows))
    by_distance = found["by_distance"]
    ends = [end if end else 2 * by_distance["up_to"][-2] for end in by_distance["up_to"]]
    curves: dict[str, tuple[Any, Any]] = {}
    for name, own in by_distance["models"].items():
        shown = [(end, value) for end, value in zip(ends, own["f1_macro"], strict=True) if value is not None]
        curves[model_name(name)] = ([end for end, _ in shown], [value for _, value in shown])
    picture = figures.line_plot(
        curves, marker="o", xscale="log", xlabel="positions to the nearest border, or fewer", ylabel=heading("f1_macro")
    )
    section.figures.append(("F1 by the distance to a border; the last point is all that is further away.", picture))
    return section


def _strips_section(results: Results) -> Section:
    """Draw the sequences of highest, middle and lowest accuracy, or their first positions."""
    section, predictions = Section("Along a sequence"), results.get("predictions")
    if predictions is None:
        return section
    predicted = predictions.by_model["model"]
    counts = confusions(predictions.labels, predicted)
    total = counts.sum(axis=(1, 2))
    right = np.trace(counts, axis1=1, axis2=2) / np.maximum(total, 1)
    order = np.argsort(-right, kind="stable")
    order = order[total[order] > 0]
    for name, at in (("best", 0), ("median", len(order) // 2), ("worst", -1)) if len(order) else ():
        row = order[at]
        length = min(_SHOWN, len(Positions().text(predictions.labels[row], predictions.classes)))
        picture = strip(predictions.labels[row, :length], predicted[row, :length], predictions.classes)
        caption = f"The {name} test sequence, {predictions.ids[row]}: {right[row]:.3f} of its positions are right."
        section.figures.append((caption, picture))
    return section


def _confusion_section(results: Results) -> Section:
    section, matrix = Section("Confusion"), results.get("confusion")
    if matrix:
        classes = [str(name) for name in results["classes"]]
        section.figures.append(("Positions by true and predicted class.", figures.confusion_matrix(matrix, classes)))
    return section
