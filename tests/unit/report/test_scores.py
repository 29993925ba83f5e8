"""Scores against hand counts and scikit-learn, the bootstrap against plain resamples, the paired test."""

import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from gulmfit.errors import DataError
from gulmfit.report import scores


def as_probabilities(positive_scores: list[float]) -> np.ndarray:
    column = np.asarray(positive_scores)
    return np.stack([1 - column, column], axis=1)


def reference(labels: np.ndarray, probabilities: np.ndarray, positive: int) -> dict[str, float]:
    """The same scores by scikit-learn, for two classes."""
    truth, called = labels == positive, probabilities.argmax(axis=1) == positive
    return {
        "accuracy": metrics.accuracy_score(truth, called),
        "mcc": metrics.matthews_corrcoef(truth, called),
        "precision": metrics.precision_score(truth, called, zero_division=0),
        "recall": metrics.recall_score(truth, called),
        "specificity": metrics.recall_score(~truth, ~called),
        "f1": metrics.f1_score(truth, called),
        "auroc": metrics.roc_auc_score(truth, probabilities[:, positive]),
        "auprc": metrics.average_precision_score(truth, probabilities[:, positive]),
    }


def random_case(seed: int, count: int, classes: int, decimals: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Labels with every class present, and probabilities rounded so that ties occur."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(classes, size=count - classes)])
    raw = rng.random((count, classes)) + 0.4 * np.eye(classes)[labels]
    return labels, np.round(raw / raw.sum(axis=1, keepdims=True), decimals)


def test_hand_computed_two_classes() -> None:
    # Called positive: indices 0, 1, 2 (right, right, wrong); missed: index 3.
    labels = np.array([1, 1, 0, 1, 0, 0])
    found = scores.classification_scores(labels, as_probabilities([0.9, 0.8, 0.7, 0.4, 0.3, 0.1]), positive=1)
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["recall"] == pytest.approx(2 / 3)
    assert found["specificity"] == pytest.approx(2 / 3)
    assert found["f1"] == pytest.approx(2 / 3)
    assert found["mcc"] == pytest.approx((2 * 2 - 1 * 1) / 9)
    assert found["auroc"] == pytest.approx(8 / 9)  # of 9 pairs only (0.4, 0.7) is the wrong way round
    assert found["auprc"] == pytest.approx((1 / 1 + 2 / 2 + 3 / 4) / 3)


def test_a_tied_pair_counts_one_half() -> None:
    found = scores.classification_scores([0, 1], as_probabilities([0.5, 0.5]), positive=1)
    assert found["auroc"] == 0.5
    assert found["auprc"] == 0.5


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_sklearn_on_two_classes(seed: int, positive: int) -> None:
    labels, probabilities = random_case(seed, 60, 2, decimals=1)
    found = scores.classification_scores(labels, probabilities, positive=positive)
    assert found == pytest.approx(reference(labels, probabilities, positive))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(3, 6), count=st.integers(12, 80))
def test_agrees_with_sklearn_on_many_classes(seed: int, classes: int, count: int) -> None:
    labels, probabilities = random_case(seed, count, classes)
    found = scores.classification_scores(labels, probabilities, positive=None)
    called, every = probabilities.argmax(axis=1), list(range(classes))
    options = {"labels": every, "average": "macro", "zero_division": 0}
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(labels, called))
    assert found["mcc"] == pytest.approx(metrics.matthews_corrcoef(labels, called))
    assert found["precision"] == pytest.approx(metrics.precision_score(labels, called, **options))
    assert found["recall"] == pytest.approx(metrics.recall_score(labels, called, **options))
    assert found["f1"] == pytest.approx(metrics.f1_score(labels, called, **options))
    rest = [metrics.recall_score(labels != c, called != c) for c in every]
    assert found["specificity"] == pytest.approx(np.mean(rest))
    areas = [metrics.roc_auc_score(labels == c, probabilities[:, c]) for c in every]
    assert found["auroc"] == pytest.approx(np.mean(areas))
    precisions = [metrics.average_precision_score(labels == c, probabilities[:, c]) for c in every]
    assert found["auprc"] == pytest.approx(np.mean(precisions))


def test_an_absent_class_makes_the_areas_undefined_and_nothing_else() -> None:
    found = scores.classification_scores([0, 0, 0], as_probabilities([0.1, 0.2, 0.3]), positive=1)
    assert math.isnan(found["auroc"])
    assert math.isnan(found["auprc"])
    assert found["accuracy"] == 1.0
    assert found["precision"] == found["recall"] == found["f1"] == found["mcc"] == 0.0
    low, high = scores.bootstrap_intervals([0, 0], as_probabilities([0.1, 0.2]), positive=1, draws=5)["auroc"]
    assert math.isnan(low)
    assert math.isnan(high)


def test_confusion_has_true_classes_in_rows() -> None:
    probabilities = np.eye(3)[[0, 2, 2, 1]]
    assert scores.confusion([0, 0, 2, 1], probabilities).tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize("classes", [2, 4])
def test_each_draw_scores_as_the_plain_resample_does(classes: int) -> None:
    labels, probabilities = random_case(3, 90, classes, decimals=1)
    column = scores._positive_column(None, classes)
    (picks,) = scores._resamples(labels, 6, np.random.default_rng(1))
    found = scores._count_scores(scores._confusions(labels, probabilities, picks), column)
    found |= scores._ranking_scores(labels, probabilities, scores._multiplicities(picks), column)
    for draw, chosen in enumerate(picks):
        assert np.array_equal(np.bincount(labels[chosen]), np.bincount(labels))  # stratified
        plain = scores.classification_scores(labels[chosen], probabilities[chosen], positive=None)
        assert {name: values[draw] for name, values in found.items()} == pytest.approx(plain)
        if classes == 2:
            assert plain == pytest.approx(reference(labels[chosen], probabilities[chosen], 1))


def test_blocks_change_no_draw_count(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, _ = random_case(0, 50, 2)
    monkeypatch.setattr(scores, "_BLOCK", 350)
    sizes = [len(block) for block in scores._resamples(labels, 17, np.random.default_rng(0))]
    assert sizes == [7, 7, 3]


def test_intervals_hold_the_estimate_and_repeat_with_the_seed() -> None:
    labels, probabilities = random_case(5, 200, 2)
    point = scores.classification_scores(labels, probabilities, positive=1)
    once = scores.bootstrap_intervals(labels, probabilities, positive=1, draws=300, seed=4)
    assert once == scores.bootstrap_intervals(labels, probabilities, positive=1, draws=300, seed=4)
    assert once != scores.bootstrap_intervals(labels, probabilities, positive=1, draws=300, seed=5)
    for name, (low, high) in once.items():
        assert low <= point[name] <= high
        assert 0 < high - low < 0.5


def test_intervals_cover_the_true_accuracy() -> None:
    # A classifier right with probability 0.8: of 60 test sets about 95 % of the intervals hold 0.8.
    rng = np.random.default_rng(7)
    covered = 0
    for trial in range(60):
        labels = np.repeat([0, 1], 100)
        called = np.where(rng.random(200) < 0.8, labels, 1 - labels)
        probabilities = np.eye(2)[called]
        low, high = scores.bootstrap_intervals(labels, probabilities, positive=1, draws=200, seed=trial)["accuracy"]
        covered += low <= 0.8 <= high
    assert 52 <= covered <= 60


def test_a_thousand_draws_of_ten_thousand_sequences_are_quick() -> None:
    labels, probabilities = random_case(0, 10_000, 2, decimals=6)
    start = time.process_time()
    scores.bootstrap_intervals(labels, probabilities, positive=1, draws=200)
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize(
    ("only_a", "only_b", "expected"),
    [(0, 0, 1.0), (5, 0, 2 / 32), (8, 1, 2 * (1 + 9) / 512), (3, 3, 1.0)],
)
def test_mcnemar_against_hand_computed_binomials(only_a: int, only_b: int, expected: float) -> None:
    labels = np.zeros(20, dtype=int)
    a, b = np.zeros(20, dtype=int), np.zeros(20, dtype=int)
    b[:only_a] = 1
    a[only_a : only_a + only_b] = 1
    a[-2:] = b[-2:] = 1  # both wrong: says nothing
    found = scores.mcnemar(labels, a, b)
    assert (found["only_a_right"], found["only_b_right"]) == (only_a, only_b)
    assert found["p_value"] == pytest.approx(expected)
    assert found["accuracy_difference"] == pytest.approx(np.mean(a == 0) - np.mean(b == 0))


def test_json_ready_gives_plain_values() -> None:
    value = {
        "a": np.float32(0.5),
        2: (np.int64(3), np.nan, [np.inf, True, None]),
        "m": np.array([[1, 2], [3, 4]]),
        "p": Path("x/y"),
    }
    plain = scores.json_ready(value)
    assert plain == {"a": 0.5, "2": [3, None, [None, True, None]], "m": [[1, 2], [3, 4]], "p": "x/y"}
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    with pytest.raises(TypeError, match="complex"):
        scores.json_ready([1j])


@pytest.mark.parametrize(
    ("labels", "probabilities", "positive", "message"),
    [
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], 1, "label 2 at index 1"),
        ([0, 1], [[0.5, 0.5], [np.nan, 0.5]], 1, "index 1 are not finite"),
        ([0], [[0.5, 0.5], [0.5, 0.5]], 1, r"labels \(1,\) and probabilities \(2, 2\)"),
        ([], np.zeros((0, 2)), 1, "N >= 1"),
        ([0], [[1.0]], None, "1 column"),
        ([0.0, 1.0], [[0.5, 0.5], [0.5, 0.5]], 1, "float64"),
        ([0, 1], [[0.5, 0.5], [0.5, 0.5]], 2, "positive class 2"),
    ],
)
def test_bad_input_is_named(labels: list, probabilities: list, positive: int | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        scores.classification_scores(labels, probabilities, positive=positive)


def test_bad_bootstrap_settings_and_unequal_predictions_are_named() -> None:
    with pytest.raises(DataError, match="0 draws"):
        scores.bootstrap_intervals([0, 1], np.eye(2), positive=1, draws=0)
    with pytest.raises(DataError, match="equally long"):
        scores.mcnemar([0, 1], [0], [0, 1])
