"""Kinds of target: one class for each, and everything that depends on the kind is asked of it.

A kind reads and holds labels (`Kind.labels`), says what training watches, scores, tests and calibrates predictions,
and writes its part of a report. A head names its kind as `kind`: the class, or where it is defined; `kind_of` finds it.
Files hold the name of its labels; `kind_named` finds it among the modules next to this one and those that were
imported. So a new kind is a module here, or anywhere else, and a head that names it.

Shapes: `N` sequences, `C` classes, labels or values.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray

from gulmfit.errors import CheckpointError, DataError
from gulmfit.evaluate.baselines.fitted import FittedBaseline
from gulmfit.evaluate.calibration import Calibration
from gulmfit.moved import named
from gulmfit.report import wording as words
from gulmfit.report.html import Section
from gulmfit.seq.formats.tables import not_one_of
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.labels.targets import CLASSES, TargetKind

if TYPE_CHECKING:
    from gulmfit.report.kinds.predictions import Predictions

AT_THRESHOLD = "_at_threshold"
"""What the names of scores end in that hang on the validated threshold instead of on the likelier class."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Results = Mapping[str, Any]
Judged = tuple[Floats, "Kind"]
"""Predictions (N, C) of a model, and the kind with the thresholds that go with it."""
Models = Mapping[str, Judged]
Bounds = dict[str, tuple[float, float]]
"""Low and high end of each score's interval."""
Gains = dict[str, dict[str, float]]
Curves = dict[str, tuple[Any, Any]]
Labelled = LabelledSequences
Metric = tuple[str | Callable[..., Any], Mapping[str, Any]]
"""A torchmetrics class, or where it is defined, and its arguments beside `C`."""


class Kind(ABC):
    """Base of all kinds. A subclass with labels of its own is known by their name once it is defined.

    Args:
        classes: Names of the classes, labels or values.
        positive: The positive one of two classes.

    Attributes:
        labels: How labels are read and held.
        calibration: What `fit_calibration` gives; without arguments it changes nothing.
        calibrations: Which `calibration=` there are.
        watched: What is logged of the validation part in training, by name; a metric may also give several by name.
        headings: What tables call scores that `gulmfit.report.wording` does not know.
        curve: Scores that a learning curve draws; empty where there is none.
        headline: The score that models are ordered by and verdicts are about; higher is better.
        second: Another that short texts tell beside it.
        summary: Scores of a short table.
        columns: Scores of the report's table.
        compared_too: Scores of a comparison of runs beside the summary.
        test: Name of the paired test of two models on the same sequences.
        loss_unit: What the axis of the loss tells beside its name.
        stage: The stage that learns it.
        model: What a page calls a model of it.
        calibrated_loss: Whether training watches the loss at the best temperature.
        baselines_kept: Whether a run writes down what each baseline predicts.
        predictions_kept: Whether it writes down what the model predicts; without that runs cannot be compared later.
        beyond: Function that makes of the predictions of all sequences together what single ones cannot show, or where
            it is defined (`gulmfit.train.stages.scoring.score`); "" for none.
        blends: Whether a network can be blended with its baselines (`gulmfit.evaluate.blend`).
    """

    labels: ClassVar[TargetKind]
    calibration: ClassVar[type[Calibration]]
    calibrations: ClassVar[tuple[str, ...]] = ("none", "temperature")
    watched: ClassVar[Mapping[str, Metric]]
    headings: ClassVar[Mapping[str, str]] = {}
    curve: ClassVar[tuple[str, ...]] = ()
    headline: ClassVar[str]
    second: ClassVar[str]
    summary: ClassVar[tuple[str, ...]]
    columns: ClassVar[tuple[str, ...]]
    compared_too: ClassVar[tuple[str, ...]] = ()
    test: ClassVar[str] = "paired bootstrap"
    loss_unit: ClassVar[str] = " (nats)"
    stage: ClassVar[str] = "classify"
    model: ClassVar[str] = "Classifier"
    calibrated_loss: ClassVar[bool] = True
    baselines_kept: ClassVar[bool] = True
    predictions_kept: ClassVar[bool] = True
    beyond: ClassVar[str] = ""
    blends: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        if "labels" in cls.__dict__:
            _KINDS[cls.labels.name] = cls
        words.HEADINGS.update(cls.headings)

    def __init__(self, classes: list[str], positive: str = "") -> None:
        self.classes = classes
        self.positive = positive

    @abstractmethod
    def scores(self, truth: Any, predicted: Floats) -> dict[str, float]:
        """Score predictions (N, C) against labels."""

    @abstractmethod
    def intervals(self, truth: Any, predicted: Floats, groups: Ints | None = None, seed: int = 0) -> Bounds:
        """Bound each score by a bootstrap that counts a group of related sequences once."""

    @abstractmethod
    def paired(self, truth: Any, first: Judged, second: Judged, groups: Ints | None = None, seed: int = 0) -> Gains:
        """Compare each score of two models: what the second gains, its bounds and p-value."""

    @abstractmethod
    def scorable(self, truth: Any) -> bool:
        """Tell whether the headline score is defined for these labels."""

    @abstractmethod
    def fit_calibration(self, raw: Floats, truth: Any, how: str) -> Calibration:
        """Fit a calibration, thresholds included, on what a model predicts of validation sequences."""

    @classmethod
    def read_calibration(cls, content: Results) -> Calibration:
        """Make a calibration from what its `to_dict` gave.

        Raises:
            CheckpointError: It is of another kind, or not a calibration that this version knows.
        """
        if (found := content.get("targets")) != cls.calibration.targets:
            raise CheckpointError(f"not a calibration of {cls.labels.name}, but of {found!r}. Was it moved here?")
        return cls.calibration.from_dict(content)

    def decided(self, calibration: Calibration) -> Self:
        """Return the kind with the thresholds of a calibration."""
        return self

    def at_threshold(
        self, truth: Any, predicted: Floats, calibration: Calibration, groups: Ints | None = None, seed: int = 0
    ) -> tuple[dict[str, float], Bounds]:
        """Score and bound what the threshold chosen on validation decides, where `scores` decides without it.

        Returns:
            Scores and intervals by name, each ending in `AT_THRESHOLD`; empty where `scores` has the threshold already,
            or none was chosen.
        """
        return {}, {}

    @abstractmethod
    def baselines(
        self, train: Labelled, valid: Labelled, test: Labelled, *, seed: int, cache_dir: Path | None
    ) -> dict[str, Judged]:
        """Fit the baselines and predict the test part; thresholds and strengths are chosen on the validation part."""

    def on_validation(
        self, train: Labelled, valid: Labelled, test: Labelled, *, seed: int, cache_dir: Path | None
    ) -> dict[str, Floats]:
        """Return what each baseline that can be blended predicts of the validation part (N, C); see `blends`.

        Args:
            train, valid, test, seed, cache_dir: As of `baselines`.
        """
        raise DataError(f"{self.labels.name} are not blended: leave blend= out.")

    def fitted_baselines(
        self, train: Labelled, valid: Labelled, names: list[str], *, seed: int
    ) -> dict[str, FittedBaseline]:
        """Fit some of these baselines, to be saved."""
        raise DataError(f"{self.labels.name} are not blended: leave blend= out.")

    @abstractmethod
    def comparisons(self, truth: Any, judged: Models, groups: Ints, seed: int) -> dict[str, Any]:
        """Test "model" against every other one, as `metrics.json` keeps it."""

    @abstractmethod
    def tests(self, results: Results, opponent: str) -> dict[str, Results]:
        """Return by opponent a record with the `p_value` of the model against it, from what `comparisons` gave; a
        single record, without a name, is about `opponent`. For `results` see
        `gulmfit.report.pages.classification_report`."""

    @abstractmethod
    def details(
        self, truth: Any, raw: Floats, judged: Models, calibration: Calibration, groups: Ints, seed: int
    ) -> dict[str, Any]:
        """Return what else `metrics.json` tells of this kind of target.

        Args:
            truth, groups, seed: As of `comparisons`.
            raw: What the network predicts, uncalibrated (N, C).
            judged: Calibrated predictions of the model and the baselines.
            calibration: The model's.
        """

    def cells(self, predicted: Floats, label: Any) -> Sequence[str | float]:
        """Return what a file holds of the predictions for one sequence, `(C,)`: a cell for each class, label or value.

        Six decimals say what there is of probabilities, but not of values in any unit.
        """
        return predicted.tolist() if self.labels.probabilities else [f"{value:.9g}" for value in predicted]

    def numbers(self, cells: Sequence[Sequence[str]]) -> Floats:
        """Undo `cells` for all sequences; ValueError where a cell is something else."""
        return np.array(cells, dtype=np.float64)

    @abstractmethod
    def sections(self, results: Results) -> list[Section]:
        """Return the sections of a report that are of this kind of target alone; `results` are as of `tests`."""

    def compared(self, shared: Results, runs: Mapping[str, Results]) -> list[Section]:
        """Return these sections where runs, by name, are compared, which `shared` belongs to: those of the first."""
        return self.sections(next(iter(runs.values()), {}))

    def curves(self, predictions: "Predictions | None", run: str = "model") -> Curves:
        """Return labels and scores of each model for ROC curves, `model` under the name of the run."""
        return {}

    def exact_tests(self, truth: Any, first: Floats, second: Floats, groups: Ints) -> dict[str, float]:
        """Return p-values of two models' predictions (N, C), by test, beside those of `paired`."""
        return {}

    def tests_text(self, groups: Ints) -> str:
        """Say what `exact_tests` gives."""
        return ""

    @abstractmethod
    def paired_section(self, model: str, results: Results) -> Section:
        """Show what `comparisons` gave."""


_KINDS: dict[str, type[Kind]] = {}


def kind_of(head: Any) -> type[Kind]:
    """Return the kind that a head, or its class, names."""
    found = head.kind
    if isinstance(found, str):
        found = named(found)
    return cast("type[Kind]", found)


def every_kind() -> dict[str, type[Kind]]:
    """Return all kinds of the modules beside this one, and those that were imported, by the name of their labels."""
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{package}.{module.name}")
    return _KINDS


def kind_named(name: str) -> type[Kind]:
    """Return the kind whose labels have a name.

    Raises:
        DataError: If there is none.
    """
    known = _KINDS if name in _KINDS else every_kind()
    if name not in known:
        raise DataError(f"targets {not_one_of(name, list(known))}; a kind of your own is known once it is imported")
    return known[name]


def objective_of(results: Results) -> Kind:
    """Return the kind of a run from its results."""
    classes = [str(name) for name in results.get("classes") or ()]
    return kind_named(str(results.get("targets") or CLASSES))(classes, str(results.get("positive") or ""))
