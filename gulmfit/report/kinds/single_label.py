"""One class a sequence: accuracy and its kin, a paired test that knows relatives, calibrated class probabilities.

Shapes: `N` sequences, `C` classes.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from gulmfit.evaluate.baselines.classes import OnParts, fit_baselines, run_baselines_on_parts
from gulmfit.evaluate.baselines.fitted import FittedBaseline
from gulmfit.evaluate.calibration import KINDS, TINY, Calibration, choose_threshold, fit_calibration
from gulmfit.evaluate.scores import classification_scores, confusion
from gulmfit.evaluate.sign_flip import only_singles, sign_flip
from gulmfit.evaluate.taxonomy import accuracy_by_rank
from gulmfit.evaluate.uncertainty import bootstrap_intervals, delong, delong_interval, mcnemar, paired_bootstrap
from gulmfit.report import figures
from gulmfit.report.html import Section
from gulmfit.report.kinds.kind import AT_THRESHOLD, Bounds, Floats, Gains, Ints, Judged, Kind, Labelled, Models, Results
from gulmfit.report.kinds.predictions import Predictions
from gulmfit.report.sections import calibration_section, curves_section, errors_section, score_curves
from gulmfit.report.wording import capital, model_name
from gulmfit.seq.labels.targets import Classes

DECIDED = ("accuracy", "mcc", "precision", "recall", "specificity", "f1")  # scores of decisions, not of rankings


FLIP_TEXT = "The sign-flip test is of accuracy; it counts a group of related sequences as one observation. "
EXACT_TEXT = (
    "McNemar's exact test is of accuracy, DeLong's of AUROC; both take sequences for unrelated, and here none has a "
    "relative. "
)


class SingleLabel(Kind):
    """One class a sequence; arguments as of `Kind`."""

    labels = Classes()
    calibration = Calibration
    calibrations = KINDS
    watched: ClassVar = {
        "accuracy": ("torchmetrics.classification.MulticlassAccuracy", {"average": "micro"}),
        "mcc": ("torchmetrics.classification.MulticlassMatthewsCorrCoef", {}),
        "auroc": ("torchmetrics.classification.MulticlassAUROC", {}),
    }
    curve = ("accuracy", "mcc", "auroc")
    compared_too = ("ece",)
    headline: ClassVar[str] = "accuracy"
    second: ClassVar[str] = "auroc"
    summary: ClassVar[tuple[str, ...]] = ("accuracy", "mcc", "auroc", "f1")
    columns = ("accuracy", "mcc", "auroc", "auprc", "f1", "precision", "recall", "specificity")
    test: ClassVar[str] = "sign-flip test"
    blends: ClassVar[bool] = True

    @property
    def column(self) -> int:
        """Index of the positive class."""
        return self.classes.index(self.positive) if self.positive else len(self.classes) - 1

    def scores(self, truth: Any, predicted: Floats) -> dict[str, float]:
        return classification_scores(truth, predicted, positive=self.column)

    def intervals(self, truth: Any, predicted: Floats, groups: Ints | None = None, seed: int = 0) -> Bounds:
        return bootstrap_intervals(truth, predicted, positive=self.column, groups=groups, seed=seed)

    def paired(self, truth: Any, first: Judged, second: Judged, groups: Ints | None = None, seed: int = 0) -> Gains:
        return paired_bootstrap(truth, first[0], second[0], positive=self.column, groups=groups, seed=seed)

    def scorable(self, truth: Any) -> bool:
        return len(np.unique(truth)) > 1

    def fit_calibration(self, raw: Floats, truth: Any, how: str) -> Calibration:
        """Fit a calibration and, of two classes, the threshold of highest MCC."""
        fitted = fit_calibration(np.log(np.maximum(raw, TINY)), truth, how)
        if len(self.classes) == 2:
            probability = fitted.calibrated(raw)[:, self.column]
            fitted = replace(fitted, threshold=choose_threshold(truth == self.column, probability))
        return fitted

    def at_threshold(
        self, truth: Any, predicted: Floats, calibration: Calibration, groups: Ints | None = None, seed: int = 0
    ) -> tuple[dict[str, float], Bounds]:
        cut, column = calibration.threshold, self.column
        if cut is None or len(self.classes) != 2:
            return {}, {}
        scores = classification_scores(truth, predicted, positive=column, threshold=cut)
        bounds = bootstrap_intervals(truth, predicted, positive=column, groups=groups, threshold=cut, seed=seed)
        return (
            {f"{name}{AT_THRESHOLD}": scores[name] for name in DECIDED},
            {f"{name}{AT_THRESHOLD}": bounds[name] for name in DECIDED},
        )

    def baselines(
        self, train: Labelled, valid: Labelled, test: Labelled, *, seed: int, cache_dir: Path | None
    ) -> dict[str, Judged]:
        found = self._on_parts(train, valid, test, seed, cache_dir)
        return {name: (probabilities.test, self) for name, probabilities in found.items()}

    def on_validation(
        self, train: Labelled, valid: Labelled, test: Labelled, *, seed: int, cache_dir: Path | None
    ) -> dict[str, Floats]:
        """Return what all but `majority`, which tells no sequence from another, predict."""
        found = self._on_parts(train, valid, test, seed, cache_dir)
        return {name: probabilities.valid for name, probabilities in found.items() if name != "majority"}

    def fitted_baselines(
        self, train: Labelled, valid: Labelled, names: list[str], *, seed: int
    ) -> dict[str, FittedBaseline]:
        return (
            fit_baselines(train.sequences, train.labels, **self._options(train, valid, seed), names=names)
            if names
            else {}
        )

    def _on_parts(
        self, train: Labelled, valid: Labelled, test: Labelled, seed: int, cache_dir: Path | None
    ) -> dict[str, OnParts]:
        options = self._options(train, valid, seed)
        return run_baselines_on_parts(train.sequences, train.labels, test.sequences, **options, cache_dir=cache_dir)

    def _options(self, train: Labelled, valid: Labelled, seed: int) -> dict[str, Any]:
        return {
            "num_classes": len(self.classes),
            "valid_sequences": valid.sequences,
            "valid_labels": valid.labels,
            "seed": seed,
            "alphabet": train.alphabet,
            "stranded": train.stranded,
        }

    def comparisons(self, truth: Any, judged: Models, groups: Ints, seed: int) -> dict[str, Any]:
        """Test accuracies, a group being one observation; McNemar's test is added where nothing has relatives."""
        chosen = {name: probabilities.argmax(1) for name, (probabilities, _) in judged.items()}
        model = chosen.pop("model")
        found = {"sign_flip": {name: sign_flip(truth, model, other, groups) for name, other in chosen.items()}}
        if only_singles(groups):
            found["mcnemar"] = {name: mcnemar(truth, model, other) for name, other in chosen.items()}
        return found

    def tests(self, results: Results, opponent: str) -> dict[str, Results]:
        if found := results.get("sign_flip"):
            return dict(found)
        older: Results = results.get("mcnemar") or {}  # all there was until version 0.2
        named: dict[str, Results] = {opponent: older} if "p_value" in older else dict(older)
        return {name: {"test": "McNemar", **test} for name, test in named.items()}

    def details(
        self, truth: Any, raw: Floats, judged: Models, calibration: Calibration, groups: Ints, seed: int
    ) -> dict[str, Any]:
        """Return the confusion counts, what calibration did and, of classes that are paths, accuracy at each depth."""
        probabilities = judged["model"][0]
        found: dict[str, Any] = {"confusion": confusion(truth, probabilities)}
        found["calibration"] = self._calibration(truth, raw, probabilities, calibration, groups)
        ranks = {name: accuracy_by_rank(truth, values, self.classes) for name, (values, _) in judged.items()}
        return found | ({"ranks": ranks} if ranks["model"] else {})

    def _calibration(
        self, truth: Ints, raw: Floats, calibrated: Floats, calibration: Calibration, groups: Ints
    ) -> dict[str, Any]:
        """What calibration did to the test part, and what the threshold chosen on validation makes of it."""
        found: dict[str, Any] = {**calibration.to_dict(), "test": {}}
        for name, item in (("before", raw), ("after", calibrated)):
            scores = self.scores(truth, item)
            found["test"][name] = {score: scores[score] for score in ("ece", "brier", "log_loss")}
        if calibration.threshold is not None:
            cut, column = calibration.threshold, self.column
            found["at_threshold"] = classification_scores(truth, calibrated, positive=column, threshold=cut)
            # Of one example there is no variance, and DeLong's knows no relatives.
            if np.bincount(truth, minlength=2).min() >= 2 and only_singles(groups):
                found["delong"] = delong_interval(truth == column, calibrated[:, column])
        return found

    def sections(self, results: Results) -> list[Section]:
        return [
            curves_section(self.curves(results.get("predictions"))),
            _ranks_section(results),
            confusion_section(results),
            calibration_section(results),
            errors_section(results),
        ]

    def compared(self, shared: Results, runs: Mapping[str, Results]) -> list[Section]:
        """Draw the curves of all runs; the rest is of the first."""
        first: Results = next(iter(runs.values()), {})
        curves = {
            name: pair
            for run in runs
            for name, pair in self.curves(runs[run].get("predictions"), model_name(run)).items()
        }
        return [
            _ranks_section(first),
            confusion_section({**first, **shared}),
            curves_section(curves),
            calibration_section(first),
            errors_section(first),
        ]

    def curves(self, predictions: Predictions | None, run: str = "model") -> dict[str, tuple[Any, Any]]:
        return score_curves(predictions, run)

    def exact_tests(self, truth: Any, first: Floats, second: Floats, groups: Ints) -> dict[str, float]:
        """Test accuracy by groups; without groups, and AUROC, only where no sequence has a relative."""
        chosen = first.argmax(1), second.argmax(1)
        found: dict[str, float] = {"sign-flip": sign_flip(truth, *chosen, groups)["p_value"]}
        if only_singles(groups):
            found["McNemar"] = mcnemar(truth, *chosen)["p_value"]
            if len(self.classes) == 2:
                at = self.column
                found["DeLong"] = delong(truth == at, first[:, at], second[:, at])["p_value"]
        return found

    def tests_text(self, groups: Ints) -> str:
        return FLIP_TEXT + EXACT_TEXT if only_singles(groups) else FLIP_TEXT

    def paired_section(self, model: str, results: Results) -> Section:
        header = ["against", f"only {model} right", "only the other right", "accuracy difference", "p"]
        keys = ("only_a_right", "only_b_right", "accuracy_difference", "p_value")
        tests = self.tests(results, _other(model))
        exact: Mapping[str, Results] = results.get("mcnemar") or {}
        beside = bool(results.get("sign_flip") and exact)
        rows = [
            [
                model_name(name),
                *(test.get(key) for key in keys),
                *([exact.get(name, {}).get("p_value")] if beside else []),
            ]
            for name, test in tests.items()
        ]
        if any("test" in test for test in tests.values()):
            text = "McNemar's exact test, two-sided, on the sequences that one gets right and the other wrong."
        else:
            text = (
                "A two-sided test of accuracy on the same sequences. It counts a group of related sequences as one "
                "observation and flips the signs of whole groups (mid-p). It holds the chance of the test sequences, "
                "not that of another training run."
            )
        if beside:
            header.append("p (McNemar)")
            text += " No test sequence has a relative here, so McNemar's exact test holds as well."
        return Section("Paired tests", [text], [(header, rows)]) if rows else Section("Paired tests")


def confusion_section(results: Results) -> Section:
    """Draw the confusion counts."""
    section, matrix = Section("Confusion"), results.get("confusion")
    if matrix is not None and len(matrix):
        classes = [str(name) for name in results.get("classes") or range(len(matrix))]
        section.figures.append(("Sequences by true and predicted class.", figures.confusion_matrix(matrix, classes)))
    return section


def _ranks_section(results: Results) -> Section:
    found: Mapping[str, Results] = results.get("ranks") or {}
    columns = list(dict.fromkeys(rank for ranks in found.values() for rank in ranks))
    rows = [[model_name(name), *(ranks.get(rank) for rank in columns)] for name, ranks in found.items()]
    text = [
        "Classes are paths: accuracy at each depth, where a sequence of the right genus in a wrong species is right "
        "about the genus. The probability of a taxon is the sum over the classes in it."
    ]
    header = ["", *(capital(rank) for rank in columns)]
    return Section("Accuracy at each rank", text, [(header, rows)] if columns else [])


def _other(model: str) -> str:
    return "scratch" if model == "transferred" else "baseline"
