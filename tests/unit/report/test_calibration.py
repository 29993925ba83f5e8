"""Known temperatures are found, maps survive JSON, thresholds against all cuts, bins against hand counts."""

import dataclasses
import json

import numpy as np
import pytest
from sklearn import metrics
from sklearn.isotonic import IsotonicRegression

from gulmfit.errors import CheckpointError, ConfigError, DataError
from gulmfit.evaluate import calibration
from gulmfit.evaluate.calibration import Calibration
from gulmfit.evaluate.scores import calibration_bins, classification_scores

Arrays = tuple[np.ndarray, np.ndarray]


def drawn(seed: int, count: int, classes: int, overconfidence: float = 1.0) -> Arrays:
    """Logits, and labels drawn from them before they were multiplied."""
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.normal(size=(count, classes))
    noise = rng.gumbel(size=logits.shape)
    return overconfidence * logits, (logits + noise).argmax(axis=1)


def log_loss(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    probabilities = Calibration("temperature", temperature=temperature).apply(logits)
    return classification_scores(labels, probabilities, positive=None)["log_loss"]


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("true_temperature", [0.3, 1.0, 4.0])
def test_the_temperature_of_a_known_model_is_recovered(classes: int, true_temperature: float) -> None:
    logits, labels = drawn(0, 20_000, classes, true_temperature)
    found = calibration.fit_temperature(logits, labels)
    assert found == pytest.approx(true_temperature, rel=0.04)
    assert found == pytest.approx(calibration.fit_temperature(logits - logits.max(axis=1, keepdims=True), labels))


def test_the_temperature_has_the_least_loss() -> None:
    logits, labels = drawn(1, 500, 3, 2.0)
    found = calibration.fit_temperature(logits, labels)
    least = log_loss(logits, labels, found)
    assert all(least <= log_loss(logits, labels, factor * found) for factor in (0.9, 0.97, 1.03, 1.1))


@pytest.mark.parametrize("how", ["temperature", "isotonic"])
def test_calibration_mends_new_sequences(how: str) -> None:
    fitted = calibration.fit_calibration(*drawn(2, 4000, 2, 3.0), how=how)
    logits, labels = drawn(3, 4000, 2, 3.0)
    before, after = (classification_scores(labels, item.apply(logits), positive=1) for item in (Calibration(), fitted))
    assert after["ece"] < before["ece"] / 3
    assert after["log_loss"] < before["log_loss"]
    assert after["brier"] < before["brier"]
    assert after["auroc"] == pytest.approx(before["auroc"], abs=0.002)  # isotonic makes ties


def test_separable_few_and_useless_examples_give_bounded_temperatures() -> None:
    labels = np.tile([0, 1], 25)
    separable = 0.2 * (2 * np.eye(2)[labels] - 1)
    temperature = calibration.fit_temperature(separable, labels)
    confidence = Calibration("temperature", temperature=temperature).apply(separable).max()
    assert confidence == pytest.approx(1 - 0.5 / 51)  # fifty right answers, and one part in 51 that says nothing
    assert calibration.fit_temperature(1e-5 * separable, labels) == 0.01
    assert calibration.fit_temperature(separable, 1 - labels) == 100
    assert calibration.fit_temperature(np.zeros((4, 2)), [0, 1, 1, 1]) == 1
    assert 0.01 <= calibration.fit_temperature(separable[:1], labels[:1]) <= 100
    assert 0.01 <= calibration.fit_temperature(separable, np.zeros(50, dtype=int)) <= 100
    sure = np.log(np.array([[1.0, 1e-300], [1e-300, 1.0], [1.0, 1e-300]]))
    assert 0.01 <= calibration.fit_temperature(sure, [0, 1, 1]) <= 100


def test_isotonic_agrees_with_sklearn_between_its_bounds() -> None:
    rng = np.random.default_rng(4)
    scores = np.round(rng.random(300), 2)
    labels = (rng.random(300) < scores**2).astype(int)
    labels[scores < 0.1], labels[scores > 0.9] = 0, 1
    knots = calibration.fit_isotonic(scores, labels)
    fitted = Calibration("isotonic", knots=tuple(map(tuple, knots.tolist())))
    new = np.concatenate([[1e-9, 1 - 1e-9], rng.random(100)])
    found = fitted.apply(np.log(np.stack([1 - new, new], axis=1)))
    reference = IsotonicRegression(y_min=1 / 302, y_max=301 / 302, out_of_bounds="clip").fit(scores, labels)
    assert found[:, 1] == pytest.approx(reference.predict(new))
    assert found.sum(axis=1) == pytest.approx(np.ones(102))
    assert (found.min(), found.max()) == pytest.approx((1 / 302, 301 / 302))


def test_applying_is_a_softmax_at_a_temperature() -> None:
    logits = np.array([[1.0, 3.0, -np.inf], [0.0, 0.0, 0.0]])
    found = Calibration("temperature", temperature=2.0).apply(logits)
    odds = np.exp(1.0)
    assert found == pytest.approx(np.array([[1 / (1 + odds), odds / (1 + odds), 0], [1 / 3, 1 / 3, 1 / 3]]))
    probabilities = np.array([[0.3, 0.7]])
    assert Calibration().apply(np.log(probabilities)) == pytest.approx(probabilities)


@pytest.mark.parametrize("how", calibration.KINDS)
def test_a_calibration_survives_json(how: str) -> None:
    logits, labels = drawn(5, 200, 2)
    fitted = dataclasses.replace(calibration.fit_calibration(logits, labels, how), threshold=0.4)
    again = Calibration.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert again == fitted
    assert np.array_equal(again.apply(logits), fitted.apply(logits))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"kind": "beta"}, "'beta' is unknown"),
        ({"temperature": 2.0}, "calibration: 'kind'"),
        ({"kind": "none", "threshold": 50}, "threshold 50"),
        ({"kind": "none", "threshold": "high"}, r"calibration: .*version"),
        ({"kind": "temperature", "temperature": 0}, "temperature 0"),
        ({"kind": "temperature", "temperature": "hot"}, r"calibration: .*version"),
        ({"kind": "none", "slope": 2}, "slope"),
        ({"kind": "isotonic"}, "without knots"),
        ({"kind": "isotonic", "knots": [[0.2, 0.5], [0.1, 0.6]]}, r"knots .*0\.6.*ascend"),
        ({"kind": "isotonic", "knots": [[0.2, 0.5], [0.3, 1.0]]}, r"knots .*1\.0.*\b1$"),
        ({"kind": "isotonic", "knots": [0.2, 0.5]}, r"calibration: .*version"),
    ],
)
def test_a_damaged_calibration_is_refused(content: dict, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        Calibration.from_dict(content)


def test_what_cannot_be_calibrated_is_refused() -> None:
    logits, labels = drawn(6, 30, 3)
    for how in ("temperature", "isotonic"):
        with pytest.raises(DataError, match=r"calibration: .*\b30 validation labels .*class 2\b"):
            calibration.fit_calibration(logits, np.full(30, 2), how)
    assert calibration.fit_calibration(logits, np.full(30, 2), "none") == Calibration()
    with pytest.raises(ConfigError, match=r"calibration 'platt' .*\btemperature\b.*\bisotonic\b"):
        calibration.fit_calibration(logits, labels, "platt")
    with pytest.raises(ConfigError, match=r"isotonic .*\b3\b"):
        calibration.fit_calibration(logits, labels, "isotonic")
    with pytest.raises(DataError, match=r"isotonic .*\b3\b"):
        Calibration("isotonic", knots=((0.1, 0.2), (0.3, 0.4))).apply(logits)
    with pytest.raises(DataError, match=r"\(30,\)"):
        Calibration().apply(logits[:, 0])
    with pytest.raises(DataError, match=r"log-probabilities .*index 1 .*\[-inf, -inf\]"):
        calibration.fit_temperature([[0.0, 1.0], [-np.inf, -np.inf]], [0, 1])
    with pytest.raises(DataError, match="label 3"):
        calibration.fit_temperature(logits, np.where(labels == 2, 3, labels))


@pytest.mark.parametrize("metric", calibration.THRESHOLD_METRICS)
@pytest.mark.parametrize("seed", range(3))
def test_the_threshold_is_the_best_of_all_cuts(metric: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random(60) < 0.3).astype(int)
    scores = np.round(0.3 * rng.random(60) + 0.2 * labels, 2)

    def score(cut: float) -> float:
        called = scores >= cut
        by_name = {"mcc": metrics.matthews_corrcoef, "f1": metrics.f1_score, "accuracy": metrics.accuracy_score}
        return float(by_name[metric](labels, called))

    chosen = calibration.choose_threshold(labels, scores, metric)
    assert score(chosen) == pytest.approx(max(score(cut) for cut in np.unique(scores)[1:]))
    assert chosen not in scores


def test_the_threshold_is_the_nearest_to_one_half_of_equals() -> None:
    assert calibration.choose_threshold([0, 1, 0, 1], [0.1, 0.2, 0.5, 0.7], "accuracy") == pytest.approx(0.6)
    assert calibration.choose_threshold([0, 1], [0.3, 0.3]) == 0.5
    with pytest.raises(ConfigError, match="'auroc' is unknown"):
        calibration.choose_threshold([0, 1], [0.3, 0.4], "auroc")
    with pytest.raises(DataError, match=r"labels hold \[1\]"):
        calibration.choose_threshold([1, 1], [0.3, 0.4])


def test_reliability_by_hand() -> None:
    scores = np.array([0.05, 0.1, 0.32, 0.38, 0.39, 0.31, 1.0])
    labels = np.array([0, 1, 0, 0, 1, 1, 1])
    curve = calibration.reliability_curve(labels, np.stack([1 - scores, scores], axis=1), positive=1)
    assert curve["count"].tolist() == [2, 4, 1]
    assert curve["confidence"] == pytest.approx(np.array([0.075, 0.35, 1.0]))
    assert curve["frequency"].tolist() == [0.5, 0.5, 1.0]
    # Wilson's interval of 2 in 4, worked by hand with z = 1.96: centre 0.5, reach 0.3500.
    assert (curve["low"][1], curve["high"][1]) == pytest.approx((0.150, 0.850), abs=5e-4)
    assert curve["high"][2] == 1.0


def test_bins_of_equal_mass_keep_ties_together() -> None:
    scores = np.repeat(np.linspace(0.01, 0.99, 50), 4)
    assert np.bincount(calibration_bins(scores, 10, equal_mass=True)).tolist() == [20] * 10
    assert len(set(calibration_bins(np.full(200, 0.5), 10, equal_mass=True))) == 1


@pytest.mark.parametrize("classes", [2, 4])
def test_ece_is_the_mean_distance_in_bins_of_equal_mass(classes: int) -> None:
    logits, labels = drawn(7, 400, classes, 2.0)
    probabilities = Calibration().apply(logits)
    confidence, right = (probabilities[:, 0], labels == 0) if classes == 2 else (
        probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    )  # fmt: skip
    bins = calibration_bins(confidence, 15, equal_mass=True)
    error = sum(abs((confidence - right)[bins == one].mean()) * np.mean(bins == one) for one in set(bins))
    assert classification_scores(labels, probabilities, positive=0)["ece"] == pytest.approx(error)
    if classes > 2:  # the predicted class's probability against how often it is right
        curve = calibration.reliability_curve(labels, probabilities, positive=None, bins=1)
        assert curve["confidence"] == pytest.approx(probabilities.max(axis=1).mean())
        assert curve["frequency"] == pytest.approx(np.mean(probabilities.argmax(axis=1) == labels))


def test_bad_bins_are_named() -> None:
    with pytest.raises(DataError, match="0 bins"):
        calibration.reliability_curve([0, 1], np.eye(2), positive=1, bins=0)
