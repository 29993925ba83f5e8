"""Scores against hand counts and scikit-learn, weighted ones against sequences that stand there so often."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from gulmfit.errors import DataError
from gulmfit.evaluate import scores


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
    expected = reference(labels, probabilities, positive)
    assert {name: found[name] for name in expected} == pytest.approx(expected)


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


def test_confusion_has_true_classes_in_rows() -> None:
    probabilities = np.eye(3)[[0, 2, 2, 1]]
    assert scores.confusion([0, 0, 2, 1], probabilities).tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize("classes", [2, 4])
def test_a_weight_is_as_many_copies(classes: int) -> None:
    labels, probabilities = random_case(3, 90, classes, decimals=1)
    weights = np.random.default_rng(1).integers(4, size=(6, 90))
    found = scores.weighted_scores(labels, probabilities, weights.astype(float), positive=None)
    for draw, times in enumerate(weights):
        copies = np.repeat(np.arange(90), times)
        plain = scores.classification_scores(labels[copies], probabilities[copies], positive=None)
        for name in set(scores.METRICS) - {"ece"}:  # its bins are of the unweighted sequences
            assert found[name][draw] == pytest.approx(plain[name])
        if classes == 2:
            expected = reference(labels[copies], probabilities[copies], 1)
            assert {name: found[name][draw] for name in expected} == pytest.approx(expected)


def test_areas_are_undefined_where_the_weights_leave_one_class() -> None:
    weights = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    found = scores.weighted_scores([0, 0, 1], as_probabilities([0.2, 0.6, 0.8]), weights, positive=1)
    assert found["accuracy"].tolist() == [0.5, 1.0]
    for name in ("auroc", "auprc"):
        assert math.isnan(found[name][0])
        assert found[name][1] == 1.0


@pytest.mark.parametrize("classes", [2, 3])
def test_brier_and_log_loss_agree_with_sklearn(classes: int) -> None:
    labels, probabilities = random_case(1, 80, classes, decimals=9)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    found = scores.classification_scores(labels, probabilities, positive=None)
    assert found["log_loss"] == pytest.approx(metrics.log_loss(labels, probabilities))
    if classes == 2:
        assert found["brier"] == pytest.approx(2 * metrics.brier_score_loss(labels, probabilities[:, 1]))
    else:
        assert found["brier"] == pytest.approx(np.mean(np.sum((np.eye(3)[labels] - probabilities) ** 2, axis=1)))


def test_probability_scores_by_hand() -> None:
    found = scores.classification_scores([1, 0], [[0.2, 0.8], [0.6, 0.4]], positive=1)
    assert found["brier"] == pytest.approx((2 * 0.2**2 + 2 * 0.4**2) / 2)
    assert found["log_loss"] == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)
    assert found["ece"] == pytest.approx((0.2 + 0.4) / 2)
    sure_and_wrong = scores.classification_scores([1, 0], [[1.0, 0.0], [0.0, 1.0]], positive=1)
    assert sure_and_wrong["log_loss"] == pytest.approx(52 * math.log(2))
    assert (sure_and_wrong["brier"], sure_and_wrong["ece"]) == (2.0, 1.0)


@pytest.mark.parametrize(("positive", "called"), [(1, [0, 0, 1]), (0, [0, 1, 1])])
def test_a_threshold_decides_for_the_positive_class(positive: int, called: list[int]) -> None:
    probabilities = as_probabilities([0.3, 0.5, 0.7])  # of class 1
    assert scores.predicted_classes(probabilities, positive=None).tolist() == [0, 0, 1]
    options = {"positive": positive, "threshold": 0.6}
    assert scores.predicted_classes(probabilities, **options).tolist() == called
    assert scores.classification_scores([0, 1, 1], probabilities, **options)["accuracy"] == np.mean(
        np.equal(called, [0, 1, 1])
    )
    assert scores.confusion([0, 1, 1], probabilities, **options).trace() == np.sum(np.equal(called, [0, 1, 1]))
    with pytest.raises(DataError, match=r"threshold .*\b3\b"):
        scores.predicted_classes(np.eye(3), positive=None, threshold=0.5)


@pytest.mark.parametrize(
    ("labels", "probabilities", "positive", "message"),
    [
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], 1, "label 2 at index 1"),
        ([0, 1], [[0.5, 0.5], [np.nan, 0.5]], 1, r"probabilities .*index 1 .*\[nan, 0\.5\]"),
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


@pytest.mark.parametrize(
    ("labels", "values", "message"),
    [
        ([0, 1], [0.1], r"labels \(2,\) and scores \(1,\)"),
        ([1, 1], [0.1, 0.2], r"labels hold \[1\]"),
        ([0, 2], [0.1, 0.2], r"labels hold \[0, 2\]"),
        ([0, 1], [0.1, np.inf], "not finite"),
    ],
)
def test_bad_binary_input_is_named(labels: list, values: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        scores.checked_binary(labels, values)
