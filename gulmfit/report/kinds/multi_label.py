"""Label sets: areas and F1 over labels and of each, thresholds chosen on validation, paired bootstraps.

Shapes: `N` sequences, `C` labels.
"""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from gulmfit.evaluate.baselines.classes import QUICK, run_baselines_on_parts
from gulmfit.evaluate.calibration import Calibration
from gulmfit.evaluate.label_scores import label_scores, scores_by_label, varying, weighted_label_scores
from gulmfit.evaluate.target_calibration import LabelCalibration, choose_thresholds, fit_label_calibration
from gulmfit.evaluate.uncertainty import Weighted
from gulmfit.report import target_figures
from gulmfit.report.html import Section
from gulmfit.report.kinds.kind import Floats, Ints, Judged, Labelled, Models, Results
from gulmfit.report.kinds.paired import Bootstrapped, by_target
from gulmfit.report.sections import target_errors
from gulmfit.report.wording import finite, heading, model_name
from gulmfit.seq.labels.label_sets import UNKNOWN_LABEL, LabelSets


class MultiLabel(Bootstrapped):
    """What probabilities of labels are judged by.

    Args:
        classes: Names of the labels.
        positive: Not used.
        thresholds: Probability of each label from which on it is called (C); without them F1, Hamming loss and exact
            match are not scored.
    """

    labels = LabelSets()
    calibration = LabelCalibration
    watched: ClassVar = {
        "auroc_macro": ("torchmetrics.classification.MultilabelAUROC", {"ignore_index": UNKNOWN_LABEL}),
        "auprc_macro": ("torchmetrics.classification.MultilabelAveragePrecision", {"ignore_index": UNKNOWN_LABEL}),
        "f1_macro": ("torchmetrics.classification.MultilabelF1Score", {"ignore_index": UNKNOWN_LABEL}),
    }
    headline: ClassVar[str] = "auroc_macro"
    second: ClassVar[str] = "auprc_macro"
    summary: ClassVar[tuple[str, ...]] = ("auroc_macro", "auprc_macro", "f1_macro", "hamming_loss")
    columns: ClassVar[tuple[str, ...]] = (
        "auroc_macro", "auroc_micro", "auprc_macro", "auprc_micro", "f1_macro", "f1_micro", "hamming_loss",
        "exact_match",
    )  # fmt: skip

    def __init__(self, classes: list[str], positive: str = "", thresholds: tuple[float, ...] | None = None) -> None:
        super().__init__(classes, positive)
        self.thresholds = thresholds

    def scores(self, truth: Any, predicted: Floats) -> dict[str, float]:
        return label_scores(truth, predicted, self.thresholds)

    def weighted(self, truth: Any, predicted: Floats) -> Weighted:
        return lambda weights: weighted_label_scores(truth, predicted, weights, self.thresholds)

    def scorable(self, truth: Any) -> bool:
        return bool(varying(truth).any())

    def fit_calibration(self, raw: Floats, truth: Any, how: str) -> Calibration:
        return fit_label_calibration(raw, truth, how)

    def decided(self, calibration: Calibration) -> "MultiLabel":
        chosen = calibration.thresholds if isinstance(calibration, LabelCalibration) else ()
        return MultiLabel(self.classes, self.positive, chosen or (0.5,) * len(self.classes))

    def baselines(
        self, train: Labelled, valid: Labelled, test: Labelled, *, seed: int, cache_dir: Path | None
    ) -> dict[str, Judged]:
        """Fit the baselines of two classes to each label by itself, on the sequences of which it is known."""
        known = [_known(train, label) + _known(valid, label) for label in range(len(self.classes))]
        by_label = [
            run_baselines_on_parts(
                sequences,
                labels,
                test.sequences,
                num_classes=2,
                valid_sequences=valid_sequences,
                valid_labels=valid_labels,
                seed=seed,
                cache_dir=cache_dir,
                alphabet=train.alphabet,
                stranded=train.stranded,
                names=QUICK,
            )
            for sequences, labels, valid_sequences, valid_labels in known
        ]
        judged: dict[str, Judged] = {}
        for name in by_label[0]:
            own = np.stack([found[name][1][:, 1] for found in by_label], axis=1)
            on_valid = np.zeros(valid.labels.shape)
            for label, found in enumerate(by_label):
                on_valid[valid.labels[:, label] != UNKNOWN_LABEL, label] = found[name][0][:, 1]
            judged[name] = (own, MultiLabel(self.classes, thresholds=choose_thresholds(on_valid, valid.labels)))
        return judged

    def details(
        self, truth: Any, raw: Floats, judged: Models, calibration: Calibration, groups: Ints, seed: int
    ) -> dict[str, Any]:
        """Return the scores of each label, and what calibration did."""
        thresholds = {
            name: judge.thresholds if isinstance(judge, MultiLabel) and judge.thresholds else (0.5,) * len(self.classes)
            for name, (_, judge) in judged.items()
        }
        found = by_target(
            {
                name: partial(scores_by_label, truth, values, thresholds=thresholds[name])
                for name, (values, _) in judged.items()
            },
            self.classes,
            groups,
            seed,
        )
        for label, record in enumerate(found.values()):
            record["threshold"] = thresholds["model"][label]
            there = truth[truth[:, label] != UNKNOWN_LABEL, label]
            record["with_it"] = int(there.sum())
            record["share"] = float(there.mean()) if len(there) else math.nan
        before, after = (label_scores(truth, values)["log_loss"] for values in (raw, judged["model"][0]))
        calibrated = {**calibration.to_dict(), "test": {"before": {"log_loss": before}, "after": {"log_loss": after}}}
        return {"by_target": found, "calibration": calibrated}

    def sections(self, results: Results) -> list[Section]:
        errors = target_errors(results, ("label", "there", "probability"), unknown=UNKNOWN_LABEL)
        return [_labels_section(results), _calibration_section(results), errors]


def _known(part: Labelled, label: int) -> tuple[list[str], Ints]:
    """Return the sequences of which a label is known, and that label."""
    labels = part.labels[:, label]
    chosen = np.flatnonzero(labels != UNKNOWN_LABEL)
    return [part.sequences[at] for at in chosen], labels[chosen]


def _labels_section(results: Results) -> Section:
    found: Mapping[str, Results] = results.get("by_target") or {}
    section = Section("Each label by itself")
    if not found:
        return section
    names = ("auroc", "auprc", "f1", "precision", "recall")
    rows: list[list[object]] = []
    for label, record in found.items():
        bounds = record.get("ci95") or {}
        cells = [(record.get(name), *(bounds.get(name) or (None, None))) for name in names]
        others = record.get("baselines") or {}
        best = max(
            ((finite(scores.get("auroc")) or 0.0, model_name(name)) for name, scores in others.items()),
            default=(None, ""),
        )
        rows.append([label, record.get("with_it"), *cells, record.get("threshold"), *best])
    header = [
        "label", "test sequences with it", "AUROC", "AUPRC", "F1", "precision", "recall", "threshold",
        "AUROC of the best baseline", "which",
    ]  # fmt: skip
    section.text.append(
        "Thresholds are those of highest F1 on the validation part. AUPRC is to be held against the share of sequences "
        "with the label, which is what chance scores."
    )
    section.tables.append((header, rows))
    half = dict.fromkeys(found, 0.5)
    shares = {label: float(record["share"]) for label, record in found.items()}
    for name, chance, caption in (
        ("auroc", half, "Area under the receiver operating characteristic of each label; the tick is chance, 0.5."),
        ("auprc", shares, "Average precision of each label; the tick is chance, its share of the sequences."),
    ):
        section.figures.append((caption, target_figures.target_bars(found, name, heading(name), chance)))
    return section


def _calibration_section(results: Results) -> Section:
    section, found = Section("Calibration"), results.get("calibration") or {}
    if not found.get("temperatures"):
        return section
    section.text.append("The log-odds of each label are divided by a temperature of its own, fitted on validation.")
    rows = [[name, scores["log_loss"]] for name, scores in found["test"].items()]
    section.tables.append((["calibration", "log loss"], rows))
    pairs = zip(results.get("classes") or (), found["temperatures"], strict=False)
    section.tables.append((["label", "temperature"], [list(pair) for pair in pairs]))
    return section
