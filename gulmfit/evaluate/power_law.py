"""What the spectrum of a weight matrix and the hidden states of a network say of training, without labels.

Shape letters: `M` rows, `N` columns, `n` eigenvalues, `T` tokens, `E` units.

Sources: Clauset, Shalizi & Newman 2009, "Power-law distributions in empirical data" (the fit); Martin & Mahoney 2021,
"Implicit self-regularization in deep neural networks" (the exponent as a measure of training). They fitted linear and
convolution layers; whether their ranges hold for the gates of recurrent layers is not known.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import kolmogi

Floats = npt.NDArray[np.float64]

WELL_TRAINED = (2.0, 6.0)
"""Exponents of layers that are well trained, after Martin & Mahoney."""
FEWEST_EIGENVALUES = 10
RELIABLE_TAIL = 50
"""Values from which on the bias of the exponent is small: a rule of thumb of Clauset et al., section 3.1."""
CONSTANT, SATURATED = 0.01, 0.95


class TailFit(NamedTuple):
    """A power law `p(x) ~ x^-alpha` fitted to the values from `x_min` on; nan where there are too few."""

    alpha: float
    distance: float
    """Largest distance between observed and fitted distribution of the tail, D."""
    x_min: float
    tail: int
    """Values in the tail."""

    @property
    def doubt(self) -> str:
        """Why the fit is not to be trusted; empty where nothing speaks against it."""
        if not self.tail:
            return f"fewer than {FEWEST_EIGENVALUES} eigenvalues"
        reasons = [f"tail of {self.tail} < {RELIABLE_TAIL}"] if self.tail < RELIABLE_TAIL else []
        # Of a law that was fitted to the same values D is smaller than the test supposes, so few fits are accused.
        limit = float(kolmogi(0.05)) / self.tail**0.5
        return ", ".join(reasons + ([f"D {self.distance:.2f} > {limit:.2f}"] if self.distance > limit else []))


class MatrixSpectrum(NamedTuple):
    """Of one matrix."""

    eigenvalues: Floats
    """Of `W^T W`, above 0, the largest first."""
    fit: TailFit
    stable_rank: float
    """Squared Frobenius norm over the largest eigenvalue."""
    norm: float
    """Frobenius norm."""
    spectral_norm: float


def fit_tail(values: npt.ArrayLike) -> TailFit:
    """Fit a power law to the tail of positive values; of all beginnings the one where D is least.

    D is that of the authors' own code, with `i / n` for the i-th value of a tail, i from 0.
    """
    logs = np.log(np.sort(np.asarray(values, dtype=np.float64)))
    starts = np.unique(logs, return_index=True)[1][:-1]
    best = TailFit(np.nan, np.inf, np.nan, 0)
    if len(starts) + 1 < FEWEST_EIGENVALUES:
        return best._replace(distance=np.nan)
    for start in starts:
        excess = logs[start:] - logs[start]
        size = len(excess)
        exponent = size / excess.sum()
        distance = float(np.abs(-np.expm1(-exponent * excess) - np.arange(size) / size).max())
        if distance < best.distance:
            best = TailFit(1 + float(exponent), distance, float(np.exp(logs[start])), size)
    return best


def matrix_spectrum(weight: npt.ArrayLike) -> MatrixSpectrum:
    """Describe the spectrum of a matrix `(M, N)`; of one that is all zero nothing but its norms."""
    matrix = np.asarray(weight, dtype=np.float64)
    singular = np.linalg.svd(matrix, compute_uv=False)
    rounding = singular[0] * max(matrix.shape) * np.finfo(np.float64).eps
    values = np.square(singular[singular > rounding])
    total = float(values.sum())
    stable_rank = total / float(values[0]) if len(values) else np.nan
    return MatrixSpectrum(values, fit_tail(values), stable_rank, total**0.5, float(singular[0]))


def shuffled_spectrum(weight: npt.ArrayLike, seed: int) -> MatrixSpectrum:
    """Describe a random matrix of that shape: the same entries, in random order."""
    matrix = np.asarray(weight, dtype=np.float64)
    return matrix_spectrum(np.random.default_rng(seed).permutation(matrix.ravel()).reshape(matrix.shape))


def hidden_summary(states: npt.ArrayLike) -> dict[str, Any]:
    """Describe hidden states `(T, E)`.

    Returns:
        `dimension`: participation ratio of the eigenvalues of their covariance, 1 to E: how many directions they use;
        `units`, E; `dead`: share of units whose standard deviation is below a hundredth of the root mean square of the
        layer, as where all inputs have one answer; `saturated`: share of units beyond +-0.95 at 95 % of the tokens,
        None where outputs are not between -1 and 1.
    """
    values = np.asarray(states, dtype=np.float64)
    size = float(np.sqrt(np.square(values).mean()))
    centred = values - values.mean(0)
    covariance = centred.T @ centred / len(values)
    power = float(np.square(covariance).sum())  # sum of the squared eigenvalues
    beyond = (np.abs(values) > SATURATED).mean(0)
    return {
        "dimension": float(np.trace(covariance)) ** 2 / power if power else 0.0,
        "units": values.shape[1],
        "dead": float((np.sqrt(np.diag(covariance)) <= CONSTANT * size).mean()),
        "saturated": float((beyond > SATURATED).mean()) if np.abs(values).max() <= 1 else None,
    }
