"""Power laws against known ones and a brute-force fit, and hidden states whose dimension is known."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from gulmfit.evaluate.power_law import (
    FEWEST_EIGENVALUES,
    fit_tail,
    hidden_summary,
    matrix_spectrum,
    shuffled_spectrum,
)


def power_law(alpha: float, count: int, seed: int, x_min: float = 1.0) -> np.ndarray:
    return x_min * np.random.default_rng(seed).random(count) ** (-1 / (alpha - 1))


@pytest.mark.parametrize("alpha", [1.8, 2.5, 4.0, 6.0])
def test_a_known_power_law_is_recovered_within_two_percent(alpha: float) -> None:
    found = [fit_tail(power_law(alpha, 2000, seed)) for seed in range(4)]
    assert np.mean([one.alpha for one in found]) == pytest.approx(alpha, rel=0.02)
    assert not any(one.doubt for one in found)


def test_a_tail_is_found_where_it_begins() -> None:
    random = np.random.default_rng(0)
    body = random.uniform(0.1, 5.0, 1000)
    tail = 5.0 * (1 - (np.arange(2000) + 0.5) / 2000) ** -0.5  # quantiles of alpha 3
    found = fit_tail(np.concatenate([body, tail]))
    assert found.alpha == pytest.approx(3.0, rel=0.02)
    assert found.x_min == pytest.approx(5.0, rel=0.02)
    assert found.tail == pytest.approx(2000, rel=0.02)


def test_the_fit_is_that_of_the_slow_way() -> None:
    values = np.sort(np.random.default_rng(2).lognormal(size=60))
    best = (np.inf, 0.0, 0.0)
    for start in range(len(values) - 1):
        tail, x_min = values[start:], values[start]
        alpha = 1 + len(tail) / sum(np.log(x / x_min) for x in tail)
        distance = max(abs((1 - (x / x_min) ** (1 - alpha)) - at / len(tail)) for at, x in enumerate(tail))
        best = min(best, (distance, alpha, x_min))
    found = fit_tail(np.random.default_rng(2).permutation(values))
    assert (found.distance, found.alpha, found.x_min) == pytest.approx(best)


def test_what_is_no_power_law_is_doubted() -> None:
    random = np.random.default_rng(3)
    assert "tail of" in fit_tail(power_law(3.0, 30, 0)).doubt
    two_heaps = np.concatenate([random.uniform(1, 1.1, 500), random.uniform(100, 110, 500)])
    assert "D " in fit_tail(two_heaps).doubt
    few = fit_tail(range(1, FEWEST_EIGENVALUES))
    assert np.isnan(few.alpha)
    assert few.tail == 0
    assert few.doubt


def with_spectrum(eigenvalues: np.ndarray, rows: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    size = len(eigenvalues)
    left = np.linalg.qr(random.normal(size=(rows, size)))[0]
    right = np.linalg.qr(random.normal(size=(size, size)))[0]
    return left * np.sqrt(eigenvalues) @ right.T


def test_a_matrix_has_the_spectrum_it_was_made_with() -> None:
    eigenvalues = np.sort(power_law(3.0, 300, 4))[::-1]
    matrix = with_spectrum(eigenvalues, 400)
    found = matrix_spectrum(matrix)
    np.testing.assert_allclose(found.eigenvalues, eigenvalues, rtol=1e-8)
    assert found.fit == pytest.approx(fit_tail(eigenvalues))
    assert found.norm == pytest.approx(np.linalg.norm(matrix))
    assert found.spectral_norm == pytest.approx(np.linalg.norm(matrix, 2))
    assert found.stable_rank == pytest.approx(eigenvalues.sum() / eigenvalues[0])


def linear_layers() -> Iterator[npt.NDArray[np.float32]]:
    """Yield weights with power laws of known exponents, heavy-tailed entries, and a few strong directions."""
    random = np.random.default_rng(0)
    for rows, columns, alpha in ((300, 200, 3.0), (256, 256, 2.5), (120, 400, 4.0), (500, 100, 2.2)):
        size = min(rows, columns)
        singular = np.sqrt(random.pareto(alpha - 1, size) + 1)
        left, right = (np.linalg.qr(random.normal(size=(length, size)))[0] for length in (rows, columns))
        yield ((left * singular) @ right.T).astype(np.float32)
    yield random.standard_t(3, size=(300, 200)).astype(np.float32)
    noise, strong = random.normal(size=(200, 100)), random.normal(size=(200, 5)) @ random.normal(size=(5, 100))
    yield (noise + 0.5 * strong).astype(np.float32)


# weightwatcher 0.7.7 (powerlaw 2.0.0) of the same layers, installed without its dependencies in a folder of its own:
# WeightWatcher(model=torch.nn.Sequential(*linear layers without bias)).analyze()[["alpha", "xmin", "D"]]
WEIGHTWATCHER = (
    (2.877073, 1.146683, 0.033353),
    (2.519375, 1.696310, 0.031707),
    (4.539037, 1.125986, 0.048503),
    (2.278463, 1.738957, 0.042794),
    (4.570568, 1879.596283, 0.084693),
    (2.024939, 116.515374, 0.122098),
)


def test_linear_layers_have_the_alpha_that_weightwatcher_gives_them() -> None:
    fits = [matrix_spectrum(weight).fit for weight in linear_layers()]
    assert [fit.alpha for fit in fits] == pytest.approx([alpha for alpha, _, _ in WEIGHTWATCHER], abs=1e-3)
    assert [fit.x_min for fit in fits] == pytest.approx([x_min for _, x_min, _ in WEIGHTWATCHER], rel=1e-3)
    assert [fit.distance for fit in fits] == pytest.approx([distance for _, _, distance in WEIGHTWATCHER], abs=1e-3)


def test_scale_and_orientation_change_neither_alpha_nor_stable_rank() -> None:
    matrix = with_spectrum(power_law(2.5, 200, 5), 250)
    one = matrix_spectrum(matrix)
    for changed in (1e-3 * matrix, -7.0 * matrix.T):
        other = matrix_spectrum(changed)
        assert other.fit.alpha == pytest.approx(one.fit.alpha)
        assert other.fit.distance == pytest.approx(one.fit.distance)
        assert other.fit.tail == one.fit.tail
        assert other.stable_rank == pytest.approx(one.stable_rank)


def test_eigenvalues_that_are_rounding_are_left_out() -> None:
    random = np.random.default_rng(6)
    matrix = random.normal(size=(50, 12)) @ random.normal(size=(12, 40))
    assert len(matrix_spectrum(matrix).eigenvalues) == 12
    assert len(matrix_spectrum(np.zeros((4, 5))).eigenvalues) == 0


def test_a_random_matrix_loses_the_structure_and_keeps_the_entries() -> None:
    matrix = np.outer(np.arange(1.0, 41), np.arange(1.0, 61))
    own, random = matrix_spectrum(matrix), shuffled_spectrum(matrix, 0)
    assert random.norm == pytest.approx(own.norm)
    assert own.stable_rank == pytest.approx(1)
    assert random.stable_rank < 2 < len(random.eigenvalues)
    centred = matrix - matrix.mean()
    assert shuffled_spectrum(centred, 0).stable_rank > 5 * matrix_spectrum(centred).stable_rank


def test_the_dimension_of_hidden_states_counts_directions() -> None:
    random = np.random.default_rng(7)
    directions = np.linalg.qr(random.normal(size=(30, 5)))[0]
    states = 0.1 * random.normal(size=(20_000, 5)) @ directions.T
    assert hidden_summary(states)["dimension"] == pytest.approx(5, rel=0.01)
    assert hidden_summary(states + 0.3)["dimension"] == pytest.approx(5, rel=0.01)


def test_dead_and_saturated_units_are_counted() -> None:
    states = np.random.default_rng(8).uniform(-0.5, 0.5, size=(1000, 8))
    states[:, 0] = 0.25
    states[:, 1] = -0.99
    found = hidden_summary(states)
    assert (found["dead"], found["saturated"], found["units"]) == (0.25, 0.125, 8)
    assert hidden_summary(3 * states)["saturated"] is None
    assert hidden_summary(np.ones((10, 4))) == {"dimension": 0.0, "units": 4, "dead": 1.0, "saturated": 1.0}
