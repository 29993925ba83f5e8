"""Scores near borders, against loops over positions and scikit-learn on the positions that they choose."""

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.metrics import accuracy_score, f1_score, log_loss

from gulmfit.evaluate.borders import FAR, NEAR, border_distances, border_scores
from gulmfit.report.kinds.position_tracks import TrackLabels
from gulmfit.report.kinds.positions import PositionLabels
from gulmfit.seq.labels.position_labels import END, IGNORED, Positions

NAMES = ["a", "b", "c"]


def example(count: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    runs = [np.repeat(rng.integers(-1, 3, 6), rng.integers(1, 40, 6)) for _ in range(count)]
    truth = Positions().array([np.where(row < 0, IGNORED, row) for row in runs])
    predicted = rng.dirichlet([1, 1, 1], truth.shape)
    predicted[truth == END] = 0
    return truth, predicted


def slow_distance(row: np.ndarray, at: int) -> int:
    borders = [i for i in range(1, len(row)) if row[i] >= 0 and row[i - 1] >= 0 and row[i] != row[i - 1]]
    return min((at - i + 1 if at >= i else i - at for i in borders), default=FAR)


def test_distances_are_those_of_a_loop() -> None:
    truth, _ = example()
    one_class = np.zeros((1, truth.shape[1]), truth.dtype)
    truth = np.concatenate([truth, one_class])
    expected = [[slow_distance(row, at) for at in range(len(row))] for row in truth]
    np.testing.assert_array_equal(border_distances(truth), expected)


def test_each_side_has_the_scores_of_its_own_positions() -> None:
    truth, predicted = example()
    found = border_scores(truth, {"model": predicted}, NAMES, np.arange(len(truth)), 0)
    distance, known = border_distances(truth), truth >= 0
    for side, chosen in (("near", known & (distance <= NEAR)), ("elsewhere", known & (distance > NEAR))):
        labels, given = truth[chosen], predicted[chosen]
        scores = found[side]["model"]
        assert found["positions"][side] == chosen.sum() > 0
        assert scores["accuracy"] == pytest.approx(accuracy_score(labels, given.argmax(1)))
        assert scores["f1_macro"] == pytest.approx(f1_score(labels, given.argmax(1), average="macro"))
        assert scores["log_loss"] == pytest.approx(log_loss(labels, given, labels=[0, 1, 2]))
        assert scores["entropy"] == pytest.approx(entropy(given, axis=1).mean())
        low, high = scores["ci95"]["accuracy"]
        assert low < scores["accuracy"] < high


def test_each_bin_has_the_scores_of_its_own_positions() -> None:
    truth, predicted = example()
    found = border_scores(truth, {"model": predicted}, NAMES, np.arange(len(truth)), 0)["by_distance"]
    distance, known, least = border_distances(truth), truth >= 0, 0
    own = found["models"]["model"]
    assert sum(found["positions"]) == known.sum()
    for number, most in enumerate(found["up_to"]):
        chosen = known & (distance > least) & (distance <= (most or FAR))
        least = most
        assert found["positions"][number] == chosen.sum()
        if not chosen.any():
            assert own["f1_macro"][number] is None
            continue
        labels, called = truth[chosen], predicted[chosen].argmax(1)
        there = f1_score(labels, called, average=None, labels=[0, 1, 2])[np.unique(labels)]
        assert own["f1_macro"][number] == pytest.approx(there.mean())
        assert own["entropy"][number] == pytest.approx(entropy(predicted[chosen], axis=1).mean())


def test_labels_without_a_border_have_no_scores() -> None:
    truth = np.zeros((2, 9), np.int16)
    assert border_scores(truth, {"model": np.full((2, 9, 3), 1 / 3)}, NAMES, np.arange(2), 0) == {}


def test_strands_are_sequences_of_their_own() -> None:
    """The end of one strand is no neighbour of the start of the other."""
    judge = TrackLabels([f"class:{name}" for name in NAMES])
    truth, predicted = example()
    both = np.stack([truth, truth[::-1]], 1)[:, :, None]
    given = np.stack([predicted, predicted[::-1]], 1)
    details = judge.details(both, given, {"model": (given, judge)}, judge.calibration(), np.arange(len(truth)), 0)
    single = PositionLabels(NAMES).details(
        truth, predicted, {"model": (predicted, PositionLabels(NAMES))}, PositionLabels.calibration(),
        np.arange(len(truth)), 0,
    )  # fmt: skip
    for side in ("near", "elsewhere"):
        assert details["borders"]["positions"][side] == 2 * single["borders"]["positions"][side]
        one, other = details["borders"][side]["model"], single["borders"][side]["model"]
        assert one["f1_macro"] == pytest.approx(other["f1_macro"])
        assert one["entropy"] == pytest.approx(other["entropy"])
