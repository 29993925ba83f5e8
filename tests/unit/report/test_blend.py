"""A blend is the weighted sum that has the least loss, or one model where it is not better than that."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from gulmfit.errors import CheckpointError, DataError
from gulmfit.evaluate.blend import NETWORK, Blend, fit_blend


def drawn(count: int, noises: dict[str, float], classes: int = 2, seed: int = 0) -> tuple[dict, np.ndarray]:
    """Draw labels, and models that see them through noise of their own."""
    random = np.random.default_rng(seed)
    labels = random.integers(classes, size=count)
    signal = 2.0 * np.eye(classes)[labels]
    models = {
        name: softmax(signal / max(noise, 1) + random.normal(scale=noise, size=(count, classes)), axis=1)
        for name, noise in noises.items()
    }
    return models, labels


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())


def test_two_classes_are_weighted_as_by_logistic_regression() -> None:
    models, labels = drawn(600, {NETWORK: 1.0, "kmers": 1.2}, seed=3)
    fitted = fit_blend(models, labels)
    assert fitted.alone is None
    odds = np.stack([np.log(one[:, 1]) - np.log(one[:, 0]) for one in models.values()], axis=1)
    # Of two classes the penalty on both biases, which are opposite, is half of one on their difference.
    theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000, fit_intercept=True).fit(odds, labels)
    np.testing.assert_allclose(list(fitted.blend.weights.values()), theirs.coef_[0], atol=5e-3)
    np.testing.assert_allclose(fitted.blend.bias[1] - fitted.blend.bias[0], theirs.intercept_[0], atol=2e-2)
    np.testing.assert_allclose(fitted.blend.apply(models), theirs.predict_proba(odds), atol=5e-3)


@pytest.mark.parametrize("classes", [2, 4])
def test_models_that_know_different_things_are_better_together(classes: int) -> None:
    models, labels = drawn(500, {NETWORK: 1.0, "kmers": 1.0}, classes)
    models["noise"] = np.random.default_rng(9).dirichlet(np.ones(classes), size=500)
    fitted = fit_blend(models, labels)
    assert set(fitted.blend.weights) == {NETWORK, "kmers"}
    assert fitted.blended < min(fitted.losses.values())
    new, truth = drawn(2000, {NETWORK: 1.0, "kmers": 1.0}, classes, seed=8)
    assert log_loss(fitted.blend.apply(new), truth) < min(log_loss(one, truth) for one in new.values()) - 0.02


def test_all_weight_falls_on_the_best_model_where_the_others_add_nothing() -> None:
    models, labels = drawn(60, {NETWORK: 0.5}, seed=1)
    random = np.random.default_rng(5)
    useless = {f"noise_{number}": random.dirichlet(np.ones(2), size=60) for number in range(8)}
    fitted = fit_blend({**models, **useless}, labels)
    assert fitted.alone == NETWORK
    assert not fitted.blended < fitted.losses[NETWORK]
    assert fitted.blend.weights == {NETWORK: 1.0}
    np.testing.assert_allclose(fitted.blend.apply(models), models[NETWORK], atol=1e-6)


def test_weights_are_judged_on_whole_groups_that_they_were_not_fitted_to() -> None:
    models, labels = drawn(40, {NETWORK: 1.0, "kmers": 1.0})
    assert fit_blend(models, labels).held_out
    assert not fit_blend(models, labels, groups=np.arange(40) // 8).held_out
    assert fit_blend(models, labels, groups=np.arange(40) // 2, seed=4) == fit_blend(
        models, labels, groups=np.arange(40) // 2, seed=4
    )


def test_classes_without_a_validation_sequence_and_probabilities_of_0_keep_everything_finite() -> None:
    models, labels = drawn(50, {NETWORK: 1.0, "kmers": 1.0}, classes=5)
    labels = np.where(labels == 4, 0, labels)
    models["kmers"][:, 4] = 0
    models["kmers"][:7] = np.eye(5)[labels[:7] - 1]  # wrong with certainty
    blended = fit_blend(models, labels).blend.apply(models)
    assert np.isfinite(blended).all()
    np.testing.assert_allclose(blended.sum(1), 1)


def test_biases_of_many_classes_are_not_learned_from_a_handful_of_each() -> None:
    """Two models that each know half need no bias: what ten sequences of a class seem to ask for is chance."""
    rng = np.random.default_rng(3)
    halves = rng.normal(0, 2, (2, 1_000, 100))
    truth = (halves.sum(0) + rng.gumbel(size=(1_000, 100))).argmax(1)
    fitted = fit_blend(dict(zip(("network", "other"), softmax(halves, 2), strict=True)), truth)
    assert fitted.alone is None
    assert min(fitted.blend.weights.values()) > 0.5
    assert np.abs(fitted.blend.bias).max() < 0.4


def test_a_blend_survives_json_and_damage_is_refused() -> None:
    blend = Blend({NETWORK: 0.7, "kmers": 1.3}, (0.1, -0.1))
    assert Blend.from_dict(blend.to_dict()) == blend
    for damage in ({"weights": {}}, {"weights": {"a": -1.0}}, {"weights": {"a": "x"}}, {"bias": None},
                   {"weights": {"a": float("nan")}}, {"bias": [float("inf"), 0.0]}, {"weights": [1.0]}):  # fmt: skip
        with pytest.raises(CheckpointError):
            Blend.from_dict({**blend.to_dict(), **damage})
    with pytest.raises(CheckpointError):
        Blend({"a": 1.0}, (0.0, 0.0, 0.0)).apply({"a": np.full((3, 2), 0.5)})


def test_shapes_that_do_not_fit_are_refused() -> None:
    for predicted, labels in (({}, [0]), ({"a": np.ones((2, 2)), "b": np.ones((3, 2))}, [0, 1]),
                              ({"a": np.ones((2, 2))}, [0]), ({"a": np.ones((0, 2))}, [])):  # fmt: skip
        with pytest.raises(DataError):
            fit_blend(predicted, labels)
