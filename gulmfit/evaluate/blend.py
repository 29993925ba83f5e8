"""Several classifiers put into one: weighted log-probabilities (logistic stacking), fitted on validation sequences.

Shapes: `N` sequences, `C` classes, `M` models.

Source: Wolpert, Neural Networks 5 (1992) 241-259; weights that are not negative after Breiman, Machine Learning 24
(1996) 49-64. Here log-probabilities are weighted, so that a weight also mends how confident a model is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gulmfit.errors import CheckpointError, DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NETWORK = "network"
"""What the network, or the ensemble of them, is called among the models of a blend."""

# A probability below it says no more than it: a model that is wrong with certainty must not outweigh all others.
FLOOR = 1e-6
# Strength of the penalty on squared weights, and on the biases of two classes, as in scikit-learn's logistic regression
# with C = 1. It grows with the number of classes: each has fewer sequences to tell its bias by.
_L2 = 1.0
# Share of all weights below which a model is left out.
LEAST_SHARE = 0.05
_FOLDS = 5


@dataclass(frozen=True)
class Blend:
    """Weights of models, by name, and what is added to the score of each class (C,).

    Raises:
        CheckpointError: A weight is negative or not a number, or none is above 0.
    """

    weights: Mapping[str, float]
    bias: tuple[float, ...]

    def __post_init__(self) -> None:
        values = [*self.weights.values()]
        if not (np.isfinite([*values, *self.bias]).all() and min(values, default=-1) >= 0 and max(values) > 0):
            raise CheckpointError(f"blend with weights {dict(self.weights)} and bias {self.bias}: damaged?")

    def apply(self, predicted: Mapping[str, Floats]) -> Floats:
        """Return the blend's probabilities (N, C) from those of each model that has a weight.

        Raises:
            CheckpointError: They are of another number of classes.
        """
        from scipy.special import softmax

        scores = sum(weight * _logs(predicted[name]) for name, weight in self.weights.items())
        if np.shape(scores)[1:] != (len(self.bias),):
            raise CheckpointError(f"blend of {len(self.bias)} classes, and a model predicts {np.shape(scores)[1:]}")
        blended: Floats = softmax(scores + np.array(self.bias), axis=1)
        return blended

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, from which `from_dict` makes an equal blend."""
        return {"weights": dict(self.weights), "bias": list(self.bias)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Undo `to_dict`.

        Raises:
            CheckpointError: The content is not a blend.
        """
        try:
            weights = {str(name): float(weight) for name, weight in content["weights"].items()}
            return cls(weights, tuple(map(float, content["bias"])))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"not a blend: {error}. Was it written by another version?") from error


class FittedBlend(NamedTuple):
    """A blend, and what decided whether it is one."""

    blend: Blend
    losses: dict[str, float]
    """Log loss of each model by itself, weighted in the same way, on validation sequences."""
    blended: float
    """That of the blend of all."""
    held_out: bool
    """Whether losses are of sequences that the weights were not fitted to."""
    alone: str | None
    """The model that has all weight, since the blend was not better than it."""


def fit_blend(
    predicted: Mapping[str, Floats], labels: ArrayLike, groups: Ints | None = None, seed: int = 0
) -> FittedBlend:
    """Weigh models by what they predict of validation sequences.

    Where the blend is not better than the best model by itself, that model has weight 1 and the others none. Both are
    then judged on sequences that the weights were not fitted to, in five folds of whole groups; of fewer than ten
    groups, on those they were fitted to.

    Args:
        predicted: Probabilities (N, C) by model.
        labels: (N,) class indices.
        groups: What belongs together (N,); by default nothing.
        seed: Of the folds.

    Raises:
        DataError: There is no model, or shapes do not fit.
    """
    truth = np.asarray(labels, np.int64)
    shapes = {values.shape for values in predicted.values()}
    if len(shapes) != 1 or truth.shape != next(iter(shapes))[:1] or not len(truth):
        raise DataError(f"a blend of predictions {sorted(shapes)} with {truth.shape} labels")
    names = list(predicted)
    logs = np.stack([_logs(values) for values in predicted.values()])  # (M, N, C)
    belongs = np.unique(np.arange(len(truth)) if groups is None else groups, return_inverse=True)[1]
    folds = np.random.default_rng(seed).permutation(belongs.max() + 1)[belongs] % _FOLDS
    held_out = bool(belongs.max() + 1 >= 2 * _FOLDS)
    rounds = [(folds != fold, folds == fold) for fold in range(_FOLDS)] if held_out else [(folds >= 0, folds >= 0)]

    def loss(chosen: Sequence[int]) -> float:
        total = 0.0
        for known, judged in rounds:
            weights, bias = _select(logs[chosen][:, known], truth[known])
            total += float(_nats(_scores(logs[chosen][:, judged], weights, bias), truth[judged]).sum())
        return total / len(truth)

    losses = {name: loss([index]) for index, name in enumerate(names)}
    blended = loss(range(len(names)))
    best = min(names, key=lambda name: losses[name])
    if not blended < losses[best]:
        nothing = (0.0,) * logs.shape[2]
        return FittedBlend(Blend({best: 1.0}, nothing), losses, blended, held_out, best)
    weights, bias = _select(logs, truth)
    kept = {name: float(weight) for name, weight in zip(names, weights, strict=True) if weight > 0}
    return FittedBlend(Blend(kept, tuple(bias.tolist())), losses, blended, held_out, None)


def _select(logs: Floats, truth: Ints) -> tuple[Floats, Floats]:
    """Fit weights (M,) and biases (C,), and once more without the models of which next to nothing is used."""
    weights, bias = _fit(logs, truth)
    used = weights >= LEAST_SHARE * weights.sum()
    if used.all():
        return weights, bias
    found = np.zeros(len(weights))
    found[used], bias = _fit(logs[used], truth)
    return found, bias


def _fit(logs: Floats, truth: Ints) -> tuple[Floats, Floats]:
    """Find the weights (M,), 0 or more, and biases (C,) of least penalised log loss, which is convex."""
    from scipy.optimize import minimize
    from scipy.special import softmax

    models, count, classes = logs.shape
    target = np.eye(classes)[truth]
    penalty = _L2 * np.concatenate([np.ones(models), np.full(classes, classes / 2)])

    def objective(values: Floats) -> tuple[float, Floats]:
        weights, bias = values[:models], values[models:]
        scores = _scores(logs, weights, bias)
        wrong = softmax(scores, axis=1) - target
        slope = np.concatenate([np.einsum("mnc,nc->m", logs, wrong), wrong.sum(0)]) + penalty * values
        return float(_nats(scores, truth).sum() + penalty @ values**2 / 2) / count, slope / count

    start = np.concatenate([np.full(models, 1 / models), np.zeros(classes)])
    bounds = [(0, None)] * models + [(None, None)] * classes
    options = {"maxiter": 1000, "ftol": 1e-12, "gtol": 1e-8}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return found[:models], found[models:]


def _scores(logs: Floats, weights: Floats, bias: Floats) -> Floats:
    scores: Floats = np.tensordot(weights, logs, 1) + bias
    return scores


def _nats(scores: Floats, truth: Ints) -> Floats:
    from scipy.special import logsumexp

    nats: Floats = logsumexp(scores, axis=1) - scores[np.arange(len(truth)), truth]
    return nats


def _logs(probabilities: Floats) -> Floats:
    logs: Floats = np.log(np.maximum(probabilities, FLOOR))
    return logs
