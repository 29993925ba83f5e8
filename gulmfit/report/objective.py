"""What predictions of each kind of target are judged by: scores, tests, baselines, calibration; what a report shows.

One class for each kind; the rest of the program asks the one that belongs to its labels and need not know which it is.

Shapes: `N` sequences, `C` classes, labels or values.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gulmfit.report.calibration import Calibration
from gulmfit.report.html import Section
from gulmfit.seq.labelled import LabelledSequences

AT_THRESHOLD = "_at_threshold"
"""What the names of scores end in that hang on the validated threshold instead of on the likelier class."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Results = Mapping[str, Any]
Judged = tuple[Floats, "Objective"]
"""Predictions (N, C) of a model, and the objective with the thresholds that go with it."""


class Objective(ABC):
    """Base of all objectives.

    Args:
        classes: Names of the classes, labels or values.
        positive: The positive one of two classes.

    Attributes:
        targets: The kind of target (`gulmfit.seq.targets`).
        headline: The score that models are ordered by and verdicts are about; higher is better.
        second: Another that short texts tell beside it.
        summary: Scores of a short table.
        columns: Scores of the report's table.
        test: Name of the paired test of two models on the same sequences.
        loss_unit: What the axis of the loss tells beside its name.
    """

    targets: ClassVar[str]
    headline: ClassVar[str]
    second: ClassVar[str]
    summary: ClassVar[tuple[str, ...]]
    columns: ClassVar[tuple[str, ...]]
    test: ClassVar[str] = "paired bootstrap"
    loss_unit: ClassVar[str] = " (nats)"

    def __init__(self, classes: list[str], positive: str = "") -> None:
        self.classes = classes
        self.positive = positive

    @abstractmethod
    def scores(self, truth: Any, predicted: Floats) -> dict[str, float]:
        """Score predictions (N, C) against labels."""

    @abstractmethod
    def intervals(
        self, truth: Any, predicted: Floats, groups: Ints | None = None, seed: int = 0
    ) -> dict[str, tuple[float, float]]:
        """Bound each score by a bootstrap that counts a group of related sequences once."""

    @abstractmethod
    def paired(
        self, truth: Any, first: Judged, second: Judged, groups: Ints | None = None, seed: int = 0
    ) -> dict[str, dict[str, float]]:
        """Compare each score of two models: what the second gains, its bounds and p-value."""

    @abstractmethod
    def scorable(self, truth: Any) -> bool:
        """Tell whether the headline score is defined for these labels."""

    @abstractmethod
    def fit_calibration(self, raw: Floats, truth: Any, how: str) -> Calibration:
        """Fit a calibration, thresholds included, on what a model predicts of validation sequences."""

    def decided(self, calibration: Calibration) -> Self:
        """Return the objective with the thresholds of a calibration."""
        return self

    def at_threshold(
        self, truth: Any, predicted: Floats, calibration: Calibration, groups: Ints | None = None, seed: int = 0
    ) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
        """Score and bound what the threshold chosen on validation decides, where `scores` decides without it.

        Returns:
            Scores and intervals by name, each ending in `AT_THRESHOLD`; empty where `scores` has the threshold already,
            or none was chosen.
        """
        return {}, {}

    @abstractmethod
    def baselines(
        self,
        train: LabelledSequences,
        valid: LabelledSequences,
        test: LabelledSequences,
        *,
        seed: int,
        cache_dir: Path | None,
    ) -> dict[str, Judged]:
        """Fit the baselines and predict the test part; thresholds and strengths are chosen on the validation part."""

    @abstractmethod
    def comparisons(self, truth: Any, judged: Mapping[str, Judged], groups: Ints, seed: int) -> dict[str, Any]:
        """Test "model" against every other one, as `metrics.json` keeps it."""

    @abstractmethod
    def tests(self, results: Results, opponent: str) -> dict[str, Results]:
        """Return by opponent a record with the `p_value` of the model against it, from what `comparisons` gave.

        Args:
            results: As of `gulmfit.report.pages.classification_report`.
            opponent: Whom a single record, without a name, is about.
        """

    @abstractmethod
    def details(
        self,
        truth: Any,
        raw: Floats,
        judged: Mapping[str, Judged],
        calibration: Calibration,
        groups: Ints,
        seed: int,
    ) -> dict[str, Any]:
        """Return what else `metrics.json` tells of this kind of target.

        Args:
            truth: Labels of the test part.
            raw: What the network predicts, uncalibrated (N, C).
            judged: Calibrated predictions of the model and the baselines.
            calibration: The model's.
            groups: What belongs together (N,).
            seed: Of the bootstraps.
        """

    @abstractmethod
    def sections(self, results: Results) -> list[Section]:
        """Return the sections of a report that are of this kind of target alone.

        Args:
            results: As of `gulmfit.report.pages.classification_report`.
        """

    def compared(self, shared: Results, runs: Mapping[str, Results]) -> list[Section]:
        """Return these sections where several runs are compared: those of the first.

        Args:
            shared: What the runs have in common.
            runs: Results by name of the run.
        """
        return self.sections(next(iter(runs.values()), {}))

    @abstractmethod
    def paired_section(self, model: str, results: Results) -> Section:
        """Show what `comparisons` gave."""
