"""Scores of label sets against scikit-learn's; a weight counts like copies; calibration and thresholds by label."""

import numpy as np
import pytest
import torch
from sklearn import metrics

from gulmfit.errors import CheckpointError, ConfigError, DataError
from gulmfit.evaluate.calibration import Calibration, choose_threshold, fit_temperature
from gulmfit.evaluate.label_scores import label_scores, scores_by_label, weighted_label_scores
from gulmfit.evaluate.target_calibration import (
    AsPredicted,
    LabelCalibration,
    fit_label_calibration,
)
from gulmfit.report.kinds.kind import kind_named
from gulmfit.report.kinds.multi_label import MultiLabel
from gulmfit.report.kinds.regression import Regression
from gulmfit.report.kinds.single_label import SingleLabel
from gulmfit.train.loop.metrics import validation_metrics

THRESHOLDS = (0.4, 0.5, 0.2)
AREAS = (metrics.roc_auc_score, metrics.average_precision_score)


def sets(count: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities that know something of them, with ties."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, 3)) < (0.5, 0.3, 0.1)).astype(int)
    return labels, np.round(np.clip(0.25 * labels + rng.random((count, 3)) * 0.75, 0.01, 0.99), 2)


def test_scores_are_those_of_scikit_learn() -> None:
    labels, probabilities = sets()
    called = probabilities >= np.array(THRESHOLDS)
    expected = {
        "auroc_macro": metrics.roc_auc_score(labels, probabilities, average="macro"),
        "auroc_micro": metrics.roc_auc_score(labels, probabilities, average="micro"),
        "auprc_macro": metrics.average_precision_score(labels, probabilities, average="macro"),
        "auprc_micro": metrics.average_precision_score(labels, probabilities, average="micro"),
        "log_loss": np.mean([metrics.log_loss(labels[:, i], probabilities[:, i]) for i in range(3)]),
        "f1_macro": metrics.f1_score(labels, called, average="macro"),
        "f1_micro": metrics.f1_score(labels, called, average="micro"),
        "hamming_loss": metrics.hamming_loss(labels, called),
        "exact_match": metrics.accuracy_score(labels, called),
    }
    found = label_scores(labels, probabilities, THRESHOLDS)
    assert found == pytest.approx(expected)
    assert set(label_scores(labels, probabilities)) == set(list(expected)[:5])
    by_label = scores_by_label(labels, probabilities, np.ones((1, 200)), THRESHOLDS)
    decided = {"f1": metrics.f1_score, "precision": metrics.precision_score, "recall": metrics.recall_score}
    for name, score in decided.items():
        np.testing.assert_allclose(by_label[name][0], score(labels, called, average=None))
    for name, area in (("auroc", metrics.roc_auc_score), ("auprc", metrics.average_precision_score)):
        np.testing.assert_allclose(by_label[name][0], area(labels, probabilities, average=None))


def test_unknown_labels_do_not_count() -> None:
    labels, probabilities = sets()
    known = np.random.default_rng(2).random(labels.shape) < 0.4
    known[0] = False
    held = np.where(known, labels, -1)
    called = probabilities >= np.array(THRESHOLDS)
    columns = [(labels[chosen, at], probabilities[chosen, at], called[chosen, at]) for at, chosen in enumerate(known.T)]
    areas = [[score(truth, values) for truth, values, _ in columns] for score in AREAS]
    expected = {
        "auroc_macro": np.mean(areas[0]),
        "auroc_micro": metrics.roc_auc_score(labels[known], probabilities[known]),
        "auprc_macro": np.mean(areas[1]),
        "auprc_micro": metrics.average_precision_score(labels[known], probabilities[known]),
        "log_loss": metrics.log_loss(labels[known], probabilities[known]),
        "f1_macro": np.mean([metrics.f1_score(truth, calls) for truth, _, calls in columns]),
        "f1_micro": metrics.f1_score(labels[known], called[known]),
        "hamming_loss": np.mean(labels[known] != called[known]),
        "exact_match": np.mean([(labels[at] == called[at])[known[at]].all() for at in range(len(labels))]),
    }
    assert label_scores(held, probabilities, THRESHOLDS) == pytest.approx(expected)
    by_label = scores_by_label(held, probabilities, np.ones((1, 200)), THRESHOLDS)
    np.testing.assert_allclose([by_label["auroc"][0], by_label["auprc"][0]], areas)
    np.testing.assert_allclose(
        by_label["recall"][0], [metrics.recall_score(truth, calls) for truth, _, calls in columns]
    )
    fitted = fit_label_calibration(probabilities, held)
    for at, (truth, values, _) in enumerate(columns):
        alone = fit_label_calibration(values[:, None], truth[:, None])
        assert (fitted.temperatures[at], fitted.thresholds[at]) == (alone.temperatures[0], alone.thresholds[0])
    watched = validation_metrics(MultiLabel, ["a", "b", "c"])
    for rows in np.split(np.arange(200), [70, 140]):
        watched.update(torch.from_numpy(probabilities[rows]), torch.from_numpy(held[rows]))
    half = label_scores(held, probabilities, (0.5 + 1e-9,) * 3)  # torchmetrics: above one half
    assert {name: float(value) for name, value in watched.compute().items()} == pytest.approx(
        {name: half[name] for name in MultiLabel.watched}, abs=1e-6
    )


def test_a_weight_is_as_many_copies() -> None:
    labels, probabilities = sets(60)
    weights = np.random.default_rng(1).integers(0, 4, size=(3, 60))
    found = weighted_label_scores(labels, probabilities, weights.astype(float), THRESHOLDS)
    for draw, row in enumerate(weights):
        copies = np.repeat(np.arange(60), row)
        expected = label_scores(labels[copies], probabilities[copies], THRESHOLDS)
        assert {name: values[draw] for name, values in found.items()} == pytest.approx(expected)


def test_a_label_without_an_area_is_left_out_of_the_means_alone() -> None:
    labels, probabilities = sets()
    labels[:, 2] = 0
    found = label_scores(labels, probabilities)
    assert found["auroc_macro"] == pytest.approx(metrics.roc_auc_score(labels[:, :2], probabilities[:, :2]))
    assert np.isnan(label_scores(np.zeros((4, 2), int), np.full((4, 2), 0.5))["auroc_macro"])
    one = np.array([[1, 0], [0, 1], [0, 0]])
    dropped = weighted_label_scores(one, one * 0.5, np.array([[0.0, 1.0, 1.0]]))
    assert np.isnan(dropped["auroc_macro"][0])  # a mean over the other label would be another score


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([0, 1], [0.1, 0.2], r"expected \(N, C\) twice"),
        ([[0, 2]], [[0.1, 0.2]], "else 0, or -1 where"),
        ([[0, 1]], [[0.1, np.nan]], r"probabilities .*index 0 .*\[0\.1, nan\]"),
    ],
)
def test_bad_input_is_named(labels: object, probabilities: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        label_scores(labels, probabilities)  # type: ignore[arg-type]


def test_each_label_has_the_temperature_and_threshold_of_its_own_two_classes() -> None:
    labels, probabilities = sets(400)
    odd = probabilities**3 / (probabilities**3 + (1 - probabilities) ** 3)  # log-odds three times too large
    fitted = fit_label_calibration(odd, labels)
    for label in range(3):
        pair = np.log(np.stack([1 - odd[:, label], odd[:, label]], axis=1))
        temperature = fit_temperature(pair, labels[:, label])
        assert fitted.temperatures[label] == pytest.approx(temperature)
        alone = Calibration("temperature", temperature=temperature).apply(pair)[:, 1]
        np.testing.assert_allclose(fitted.calibrated(odd)[:, label], alone)
        assert fitted.thresholds[label] == pytest.approx(choose_threshold(labels[:, label], alone, "f1"))
    before, after = (label_scores(labels, item)["log_loss"] for item in (odd, fitted.calibrated(odd)))
    assert after < before - 0.05
    assert MultiLabel.read_calibration(fitted.to_dict()) == fitted


def test_a_label_that_validation_lacks_is_left_alone() -> None:
    labels, probabilities = sets(50)
    labels[:, 1] = 0
    fitted = fit_label_calibration(probabilities, labels)
    assert (fitted.temperatures[1], fitted.thresholds[1]) == (1.0, 0.5)
    none = fit_label_calibration(probabilities, labels, "none")
    assert none.temperatures == ()
    assert len(none.thresholds) == 3
    np.testing.assert_array_equal(none.calibrated(probabilities), probabilities)


def test_calibrations_are_read_by_what_they_are_of() -> None:
    assert Regression.read_calibration(AsPredicted().to_dict()) == AsPredicted()
    assert SingleLabel.read_calibration(Calibration("temperature", temperature=2.0).to_dict()).temperature == 2.0
    assert Regression.calibration().calibrated(np.array([[7.0]])).item() == 7.0
    assert MultiLabel.calibration().threshold is None
    for kind in (SingleLabel, MultiLabel, Regression):
        for content in ({"targets": "numbers"}, {"targets": "label_sets", "kind": "none"}):
            with pytest.raises(CheckpointError, match=r"calibration( of .*'(numbers|label_sets)'|: 'temperatures')"):
                kind.read_calibration(content)
    with pytest.raises(CheckpointError, match=r"calibration .*\b3 labels, .*\b2\b"):
        LabelCalibration("temperature", temperatures=(1.0, 2.0, 3.0)).calibrated(np.full((1, 2), 0.5))
    with pytest.raises(ConfigError, match=r"calibration=isotonic .*head=multi_label; "):
        fit_label_calibration(*reversed(sets()), "isotonic")  # type: ignore[misc]


def test_intervals_hold_the_score_and_groups_widen_them() -> None:
    labels, probabilities = sets(150)
    judge = kind_named("label_sets")(["a", "b", "c"]).decided(LabelCalibration(thresholds=THRESHOLDS))
    scores = judge.scores(labels, probabilities)
    bounds = judge.intervals(labels, probabilities, seed=3)
    assert set(bounds) == set(scores)
    assert all(bounds[name][0] < scores[name] < bounds[name][1] for name in scores)
    copied = np.repeat(np.arange(150), 4)
    alone = judge.intervals(labels[copied], probabilities[copied], seed=3)["auroc_macro"]
    grouped = judge.intervals(labels[copied], probabilities[copied], copied, seed=3)["auroc_macro"]
    assert 1.6 < (grouped[1] - grouped[0]) / (alone[1] - alone[0]) < 2.4  # four copies are one observation


def test_a_better_model_is_told_from_a_worse_one() -> None:
    labels, probabilities = sets(300)
    judge = kind_named("label_sets")(["a", "b", "c"])
    noise = np.random.default_rng(5).random(probabilities.shape)
    found = judge.paired(labels, (noise, judge), (probabilities, judge))["auroc_macro"]
    expected = metrics.roc_auc_score(labels, probabilities) - metrics.roc_auc_score(labels, noise)
    assert found["difference"] == pytest.approx(expected)
    assert found["low"] > 0
    assert found["p_value"] < 0.01
    same = judge.paired(labels, (noise, judge), (noise, judge))["auroc_macro"]
    assert (same["difference"], same["p_value"]) == (0, 1)
