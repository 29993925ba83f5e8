"""How well positions are labelled near a border between labels and elsewhere, and how certain the model is there.

Shapes: `N` sequences, or strands of them, `L` positions, `C` classes, `D` bins of distances.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from gulmfit.evaluate.position_scores import by_class, macro_f1, weighted_position_scores
from gulmfit.evaluate.uncertainty import resampled_intervals
from gulmfit.seq.labels.position_labels import IGNORED

Floats = NDArray[np.float64]
Labels = NDArray[np.int16]
Distances = NDArray[np.int32]

NEAR = 10  # positions on each side of a border
FAR = np.iinfo(np.int32).max  # of a position in a sequence without borders
_BINS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)  # the last distances of bins; one more has all that is further away


def border_distances(truth: Labels) -> Distances:
    """Return how far each position is from the nearest border between two known labels that differ, `(N, L)`.

    The two positions at a border have 1. A border has known labels on both sides, and lies in the sequence itself:
    what begins where a window ends is none.

    Args:
        truth: (N, L) class indices, negative where nothing is known.
    """
    count, length = truth.shape
    borders = (truth[:, 1:] != truth[:, :-1]) & (truth[:, 1:] >= 0) & (truth[:, :-1] >= 0)
    places, none = np.arange(length, dtype=np.int32), -FAR // 2
    last = np.full((count, length), none, np.int32)
    last[:, 1:] = np.where(borders, places[1:], none)  # the first position behind a border
    after = np.full((count, length), -none, np.int32)
    after[:, :-1] = np.where(borders, places[:-1], -none)  # the last position before one
    behind = places - np.maximum.accumulate(last, axis=1)
    ahead = np.minimum.accumulate(after[:, ::-1], axis=1)[:, ::-1] - places
    found = np.minimum(behind, ahead) + np.int32(1)
    return np.where(found > length, np.int32(FAR), found).astype(np.int32)


def border_scores(
    truth: Labels, judged: Mapping[str, Floats], classes: list[str], groups: NDArray[np.int64], seed: int
) -> dict[str, Any]:
    """Score positions within `NEAR` of a border and all others, and each by its distance.

    Args:
        truth: (N, L) class indices, negative where nothing is known.
        judged: (N, L, C) probabilities by model.
        classes: Names of the classes (C).
        groups: What belongs together (N,).
        seed: Of the bootstrap over groups.

    Returns:
        Ready for JSON: `near_bp`; `near` and `elsewhere`, by model the scores of `weighted_position_scores` with
        `ci95`, and the mean `entropy` of the predictions in nats; `positions` of each; and `by_distance`: the last
        distance of each bin (`up_to`, null for the rest), its `positions`, and by model `f1_macro`, `entropy`, and the
        `f1` of each class; null where there is nothing to score. Empty where there is no border.
    """
    distance, known = border_distances(truth), truth >= 0
    if not (known & (distance <= NEAR)).any():
        return {}
    bins = np.searchsorted(_BINS, distance[known])
    counts = np.bincount(bins, minlength=len(_BINS) + 1)
    sides = {"near": known & (distance <= NEAR), "elsewhere": known & (distance > NEAR)}
    found: dict[str, Any] = {"near_bp": NEAR, "positions": {name: int(side.sum()) for name, side in sides.items()}}
    found |= {name: {} for name in sides}
    curves: dict[str, Any] = {}
    size = len(classes)
    for model, predicted in judged.items():
        entropy = entr(predicted).sum(axis=2)
        for name, side in sides.items():
            scored = weighted_position_scores(np.where(side, truth, np.int16(IGNORED)), predicted)
            once = {item: float(value[0]) for item, value in scored(np.ones((1, len(truth)))).items()}
            strata = np.zeros(len(truth), np.int64)
            bounds = resampled_intervals(scored, strata, groups=groups, columns=size, seed=seed)
            found[name][model] = {**once, "entropy": _mean(entropy[side]), "ci95": bounds}
        pairs = (bins * size + truth[known]) * size + predicted.argmax(axis=2)[known]
        matrix = np.bincount(pairs, minlength=len(counts) * size**2).reshape(-1, size, size).astype(np.float64)
        with np.errstate(invalid="ignore"):
            nats = np.bincount(bins, weights=entropy[known], minlength=len(counts)) / counts
        curves[model] = {
            "f1_macro": _plain(np.where(counts > 0, macro_f1(matrix), np.nan)),
            "entropy": _plain(nats),
            "f1": {name: _plain(column) for name, column in zip(classes, by_class(matrix)["f1"].T, strict=True)},
        }
    found["by_distance"] = {"up_to": [*_BINS, None], "positions": counts.tolist(), "models": curves}
    return found


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if values.size else None


def _plain(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
