"""Hidden Markov models: exact against all paths, and the ceilings of the presets that were measured elsewhere."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from gulmfit.errors import ConfigError
from gulmfit.seq.simulate.hmm import HiddenMarkov

PRESETS = Path(__file__).resolve().parents[3] / "conf" / "hmm"


def preset(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PRESETS / f"{name}.yaml").read_text(encoding="utf-8"))
    return found


def model(name: str) -> HiddenMarkov:
    return HiddenMarkov.from_tables(**preset(name))


def every_path(hmm: HiddenMarkov, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All paths of states (P, L) and the probability of each together with these bases."""
    paths = np.array(list(itertools.product(range(len(hmm.states)), repeat=len(codes))))
    weight = hmm.start[paths[:, 0]]
    for at in range(len(codes)):
        weight = weight * (hmm.transition[paths[:, at - 1], paths[:, at]] if at else 1)
        weight = weight * (hmm.emission[paths[:, at], codes[at]] if codes[at] < 4 else 1)
    return paths, weight


def marginals(hmm: HiddenMarkov, codes: np.ndarray) -> np.ndarray:
    paths, weight = every_path(hmm, codes)
    total = np.stack([np.bincount(column, weight, len(hmm.states)) for column in paths.T])
    return total / total.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", ["tutorial", "sticky", "genes"])
def test_all_paths_of_eight_bases_say_the_same(name: str) -> None:
    hmm = model(name)
    codes = np.random.default_rng(1).integers(0, 4, (3, 8)).astype(np.uint8)
    codes[1, 3] = codes[2, 0] = 4  # unknown bases
    posterior, filtered, viterbi = hmm.posterior(codes), hmm.filtered(codes), hmm.viterbi(codes)
    for row, bases in enumerate(codes):
        np.testing.assert_allclose(posterior[row], marginals(hmm, bases), atol=1e-12)
        for at in range(8):
            np.testing.assert_allclose(filtered[row, at], marginals(hmm, bases[: at + 1])[-1], atol=1e-12)
        paths, weight = every_path(hmm, bases)
        chosen = viterbi[row].argmax(axis=1)
        assert (viterbi[row].sum(axis=1) == 1).all()
        np.testing.assert_allclose(weight[(paths == chosen).all(axis=1)], weight.max())
    start = np.array([hmm.start @ np.linalg.matrix_power(hmm.transition, at) for at in range(8)])
    np.testing.assert_allclose(hmm.frequencies(8), start.mean(axis=0))
    np.testing.assert_allclose(hmm.majority(codes)[2, 5], start.mean(axis=0))
    joint = start.mean(axis=0) * hmm.emission[:, codes[0, 2]]
    np.testing.assert_allclose(hmm.lookup(codes)[0, 2], joint / joint.sum())


def test_shorter_sequences_are_not_moved_by_longer_ones() -> None:
    hmm = model("sticky")
    long, short = np.random.default_rng(2).integers(0, 4, (2, 40)).astype(np.uint8)
    for name, found in hmm.ceilings([long, short[:9]]).items():
        alone = hmm.ceilings([short[:9]])[name]
        if name not in ("lookup", "majority"):  # which go by the mean over all places
            np.testing.assert_allclose(found[1, :9], alone[0], atol=1e-12)


# 1,000 sequences of 500 bases, measured with other code; accuracy and negative log-likelihood.
MEASURED = {
    ("tutorial", None): {"posterior": (0.6005, 0.6665), "filtered": (0.6005, 0.6667), "lookup": (0.6005, 0.6669)},
    ("sticky", None): {"posterior": (0.722, 0.547), "filtered": (0.672, 0.606), "lookup": (0.600, 0.673)},
    ("sticky", 0.99): {"posterior": (0.868, 0.311), "filtered": (0.796, 0.450), "lookup": (0.600, 0.673)},
    ("genes", None): {"posterior": (0.857, 0.384), "filtered": (0.744, 0.691)},
}
VITERBI = {("tutorial", None): 0.594, ("sticky", None): 0.660, ("sticky", 0.99): 0.826, ("genes", None): 0.825}


@pytest.mark.parametrize(("name", "stay"), list(MEASURED))
def test_ceilings_are_those_that_were_measured(name: str, stay: float | None) -> None:
    hmm = model(name) if stay is None else model(name).staying(stay)
    codes, states = hmm.simulate(1000, 500, seed=0)
    for ceiling, (accuracy, loss) in MEASURED[name, stay].items():
        predicted = getattr(hmm, ceiling)(codes)
        right = (predicted.argmax(axis=2) == states).mean(axis=1)
        error = 3 * right.std() * np.sqrt(2 / 1000)  # both are samples
        assert right.mean() == pytest.approx(accuracy, abs=max(error, 0.001)), ceiling
        of_truth = np.take_along_axis(predicted, states[:, :, None], axis=2)
        assert -np.log(of_truth).mean() == pytest.approx(loss, abs=0.012), ceiling
    assert (hmm.viterbi(codes).argmax(axis=2) == states).mean() == pytest.approx(VITERBI[name, stay], abs=0.01)


def test_what_is_drawn_has_the_frequencies_of_the_model() -> None:
    hmm = model("genes")
    codes, states = hmm.simulate(400, 300, seed=3)
    again, _ = hmm.simulate(400, 300, seed=3)
    np.testing.assert_array_equal(codes, again)
    assert (codes != hmm.simulate(400, 300, seed=4)[0]).any()
    pairs = np.zeros((4, 4))
    np.add.at(pairs, (states[:, :-1].ravel(), states[:, 1:].ravel()), 1)
    np.testing.assert_allclose(pairs / pairs.sum(axis=1, keepdims=True), hmm.transition, atol=0.002)
    letters = np.zeros((4, 4))
    np.add.at(letters, (states.ravel(), codes.ravel()), 1)
    np.testing.assert_allclose(letters / letters.sum(axis=1, keepdims=True), hmm.emission, atol=0.015)
    assert (states[:, 0] == 0).all()


def test_staying_keeps_how_states_are_left() -> None:
    hmm = HiddenMarkov.from_tables(
        {"a": 1.0, "b": 0.0, "c": 0.0},
        {"a": {"a": 0.4, "b": 0.2, "c": 0.4}, "b": {"a": 1.0}, "c": {"c": 0.5, "a": 0.5}},
        {name: {"A": 1.0} for name in "abc"},
    )
    np.testing.assert_allclose(hmm.staying(0.7).transition, [[0.7, 0.1, 0.2], [0.3, 0.7, 0], [0.3, 0, 0.7]])
    for wrong in (1.0, -0.1):
        with pytest.raises(ConfigError, match=r"data\.stay"):
            hmm.staying(wrong)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": {"H": 0.5, "L": 0.4}}, "hmm.start.*0.9, not to 1"),
        ({"start": {"high": 0.5, "L": 0.5}}, "one letter"),
        ({"start": {".": 0.5, "L": 0.5}}, "one letter"),
        ({"transition": {"H": {"H": 1.0}}}, r"hmm\.transition .*\['H'\]: .*\['H', 'L'\]"),
        ({"transition": {"H": {"H": 1.0}, "L": {"X": 1.0}}}, "hmm.transition.L names 'X'"),
        ({"emission": {"H": {"A": 1.5}, "L": {"A": 1.0}}}, "hmm.emission.H.*from 0 to 1"),
        ({"emission": {"H": {"A": True}, "L": {"A": 1.0}}}, "hmm.emission.H.*from 0 to 1"),
        ({"emission": {"H": {"U": 1.0}, "L": {"A": 1.0}}}, "hmm.emission.H names 'U': known are A, C, G, T"),
    ],
)
def test_a_model_that_is_not_one_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        HiddenMarkov.from_tables(**{**preset("sticky"), **change})
