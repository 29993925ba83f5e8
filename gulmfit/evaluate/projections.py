"""Vectors of sequences in the plane, and how well labels are told apart by the vectors themselves.

Shapes: `N` sequences, `E` coordinates of a vector.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]


class MapScores(NamedTuple):
    """How well labels are told apart by the vectors themselves (not by the picture)."""

    silhouette: float
    neighbours: float
    """Share of sequences whose label most of their 5 nearest neighbours have."""
    shuffled_silhouette: float
    """The same with labels dealt out at random, mean of some draws."""
    shuffled_neighbours: float


def map_scores(vectors: Points, labels: Sequence[str], *, seed: int = 0, draws: int = 20) -> MapScores | None:
    """Score how well labels are told apart by vectors `(N, E)`; None where they cannot be.

    Each vector is compared with all others, never with itself. Coordinates are standardised.

    Args:
        vectors: One for each sequence.
        labels: Its label.
        seed: Of the shuffled labels.
        draws: How often labels are shuffled.
    """
    from sklearn.metrics import silhouette_score
    from sklearn.neighbors import NearestNeighbors

    names, codes = np.unique(np.asarray(labels), return_inverse=True)
    if not 2 <= len(names) < len(codes) or len(codes) < 6:
        return None
    vectors = standardised(vectors)
    nearest = NearestNeighbors(n_neighbors=6).fit(vectors).kneighbors(return_distance=False, n_neighbors=5)

    def agreement(given: npt.NDArray[np.int64]) -> float:
        votes = np.stack([(given[nearest] == number).sum(1) for number in range(len(names))], axis=1)
        return float((votes.argmax(1) == given).mean())

    def separation(given: npt.NDArray[np.int64]) -> float:
        return float(silhouette_score(vectors, given, sample_size=min(len(given), 2000), random_state=seed))

    random = np.random.default_rng(seed)
    shuffled = [random.permutation(codes) for _ in range(draws)]
    return MapScores(
        separation(codes),
        agreement(codes),
        float(np.mean([separation(given) for given in shuffled[: min(draws, 5)]])),
        float(np.mean([agreement(given) for given in shuffled])),
    )


def standardised(vectors: Points) -> Points:
    """Give every coordinate mean 0 and standard deviation 1; one that does not vary becomes 0."""
    from sklearn.preprocessing import scale

    scaled: Points = scale(vectors)
    return scaled


def principal_components(vectors: Points, count: int) -> tuple[Points, float]:
    """Return the first principal components `(N, count)` of standardised vectors and the share of variance they hold.

    The sign of a component is fixed, so that the picture is the same everywhere.
    """
    left, values, right = np.linalg.svd(standardised(vectors), full_matrices=False)
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(1)])
    total = float((values**2).sum())
    share = float((values[:count] ** 2).sum()) / total if total else 0.0
    return (left * values * signs)[:, :count], share


def neighbour_map(vectors: Points, *, seed: int = 0) -> Points:
    """Lay vectors `(N, E)` out in the plane so that neighbours stay neighbours: t-SNE of 50 principal components.

    The perplexity is 30, less for few sequences.
    """
    from sklearn.manifold import TSNE

    reduced, _ = principal_components(vectors, min(50, *vectors.shape))
    perplexity = max(2.0, min(30.0, (len(vectors) - 1) / 3))
    layout: Points = TSNE(
        init="pca" if reduced.shape[1] >= 2 else "random", perplexity=perplexity, random_state=seed
    ).fit_transform(reduced)
    return layout
