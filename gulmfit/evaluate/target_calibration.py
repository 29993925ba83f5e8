"""Calibration of label sets, label by label, and what stands in its place for values.

Shapes: `N` sequences, `C` labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gulmfit.errors import CheckpointError, ConfigError
from gulmfit.evaluate.calibration import TINY, Calibration, choose_threshold, fit_temperature
from gulmfit.seq.labels.label_sets import UNKNOWN_LABEL
from gulmfit.seq.labels.targets import LABEL_SETS, SEPARATOR, VALUES

Floats = NDArray[np.float64]

LABEL_KINDS = ("none", "temperature")


@dataclass(frozen=True)
class LabelCalibration(Calibration):
    """A temperature and a threshold for each label.

    Args:
        kind: `none` or `temperature`.
        temperatures: What the log-odds of each label are divided by (C,), above 0; empty for none.
        thresholds: Calibrated probability of each label from which on it is called (C,); empty for one half.

    Raises:
        CheckpointError: A value is not as described.
    """

    targets: ClassVar[str | None] = LABEL_SETS
    temperatures: tuple[float, ...] = ()
    thresholds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(0 < value < np.inf for value in self.temperatures):
            raise CheckpointError(f"calibration with temperatures {self.temperatures}: expected numbers above 0")
        if not all(0 <= value <= 1 for value in self.thresholds):
            raise CheckpointError(f"calibration with thresholds {self.thresholds}: expected probabilities")

    def calibrated(self, raw: Floats) -> Floats:
        if not self.temperatures:
            return raw
        if raw.shape[1] != len(self.temperatures):
            raise CheckpointError(f"calibration of {len(self.temperatures)} labels, and the model has {raw.shape[1]}")
        log_odds = np.log(np.maximum(raw, TINY)) - np.log(np.maximum(1 - raw, TINY))
        probabilities: Floats = 1 / (1 + np.exp(-log_odds / np.array(self.temperatures)))
        return probabilities

    def names(self, probabilities: Floats, classes: Sequence[str], positive: str = "") -> list[str]:
        """Name the labels of each sequence (N), all that reach their thresholds, joined as in a table of labels."""
        there = probabilities >= np.array(self.thresholds or (0.5,) * len(classes))
        return [SEPARATOR.join(name for name, one in zip(classes, row, strict=True) if one) for row in there.tolist()]

    def to_dict(self) -> dict[str, Any]:
        lists = {name: list(getattr(self, name)) for name in ("temperatures", "thresholds")}
        return {"targets": self.targets, "kind": self.kind, **lists}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        try:
            temperatures, thresholds = (tuple(map(float, content[name])) for name in ("temperatures", "thresholds"))
            return cls(kind=content["kind"], temperatures=temperatures, thresholds=thresholds)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"not a calibration: {error}. Was it written by another version?") from error


@dataclass(frozen=True)
class AsPredicted(Calibration):
    """Values stand as they are predicted."""

    targets: ClassVar[str | None] = VALUES

    def calibrated(self, raw: Floats) -> Floats:
        return raw

    def to_dict(self) -> dict[str, Any]:
        return {"targets": self.targets, "kind": self.kind}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        return cls()


def fit_label_calibration(raw: Floats, labels: ArrayLike, how: str = "temperature") -> LabelCalibration:
    """Fit a temperature for each label on validation sequences, and the threshold at which its F1 is highest.

    A label that no or every validation sequence has keeps temperature 1 and threshold one half.

    Args:
        raw: (N, C) probabilities of labels.
        labels: (N, C) 1 where a label is there, 0 where it is not, `UNKNOWN_LABEL` where nobody knows.
        how: One of `LABEL_KINDS`.

    Raises:
        ConfigError: `how` is not one of them.
    """
    if how not in LABEL_KINDS:
        raise ConfigError(f"calibration={how} is not for head=multi_label; choose {' or '.join(LABEL_KINDS)}")
    truth = np.asarray(labels)
    temperatures: tuple[float, ...] = ()
    if how == "temperature":
        temperatures = tuple(_temperature(*pair) for pair in zip(raw.T, truth.T, strict=True))
    fitted = LabelCalibration(how, temperatures=temperatures)
    return replace(fitted, thresholds=choose_thresholds(fitted.calibrated(raw), truth))


def choose_thresholds(probabilities: Floats, labels: ArrayLike) -> tuple[float, ...]:
    """Choose the threshold of each label (C) at which its F1 is highest; one half where F1 says nothing."""
    pairs = [_known(*pair) for pair in zip(probabilities.T, np.asarray(labels).T, strict=True)]
    return tuple(
        choose_threshold(truth, column, "f1") if len(np.unique(truth)) == 2 else 0.5 for column, truth in pairs
    )


def _known(column: Floats, truth: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]]:
    """Return what is said of the sequences whose label is known."""
    return column[truth != UNKNOWN_LABEL], truth[truth != UNKNOWN_LABEL]


def _temperature(probability: Floats, truth: NDArray[np.int64]) -> float:
    probability, truth = _known(probability, truth)
    if len(np.unique(truth)) < 2:
        return 1.0
    pair = np.stack([1 - probability, probability], axis=1)
    return fit_temperature(np.log(np.maximum(pair, TINY)), truth)
