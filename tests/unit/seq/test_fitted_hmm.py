"""A model that is fitted without labels finds the one that its sequences are from; hmmlearn says the same of them."""

import sys

import numpy as np
import pytest

from gulmfit.config import compose, instantiate
from gulmfit.errors import DataError
from gulmfit.seq.alphabet import DNA
from gulmfit.seq.simulate import fitted_hmm
from gulmfit.seq.simulate.fitted_hmm import fit_unlabelled
from gulmfit.seq.simulate.hmm import HiddenMarkov

TRUE = HiddenMarkov(
    "ABC",
    np.array([0.6, 0.3, 0.1]),
    np.array([[0.9, 0.08, 0.02], [0.05, 0.9, 0.05], [0.1, 0.0, 0.9]]),
    np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.05, 0.05, 0.45, 0.45]]),
)


def test_the_parameters_are_those_of_the_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hmmlearn", reason="hmmlearn is not installed: pip install 'gulmfit[hmm]'")
    monkeypatch.setattr(fitted_hmm, "BEGINNINGS", 3)
    codes, states = TRUE.simulate(30, 500, 0)
    found = fit_unlabelled(list(codes), list(states), TRUE.states, DNA, seed=0)
    np.testing.assert_allclose(found.emission, TRUE.emission, atol=0.05)
    np.testing.assert_allclose(found.transition, TRUE.transition, atol=0.05)
    fresh, truth = TRUE.simulate(40, 500, 1)
    right = [(model.posterior(fresh).argmax(axis=2) == truth).mean() for model in (found, TRUE)]
    assert right[0] == pytest.approx(right[1], abs=0.01)


def test_hmmlearn_gives_the_same_posterior() -> None:
    hmm = pytest.importorskip("hmmlearn.hmm", reason="hmmlearn is not installed: pip install 'gulmfit[hmm]'")
    codes, _ = TRUE.simulate(4, 50, 2)
    model = hmm.CategoricalHMM(3, n_features=4)
    model.startprob_, model.transmat_, model.emissionprob_ = TRUE.start, TRUE.transition, TRUE.emission
    theirs = model.predict_proba(codes.reshape(-1, 1).astype(int), [50] * 4).reshape(4, 50, 3)
    np.testing.assert_allclose(TRUE.posterior(codes), theirs, atol=1e-8)


def test_the_first_letters_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hmmlearn", reason="hmmlearn is not installed: pip install 'gulmfit[hmm]'")
    codes, states = TRUE.simulate(6, 50, 3)
    monkeypatch.setattr(fitted_hmm, "MAX_LETTERS", 101)
    whole = fit_unlabelled(list(codes), list(states), TRUE.states, DNA, seed=0)
    first = fit_unlabelled(list(codes[:3]), list(states[:3]), TRUE.states, DNA, seed=0)
    np.testing.assert_array_equal(whole.emission, first.emission)


def test_a_run_asks_for_it_by_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["stage=label", "data=hmm", "data.num_train=20", "data.num_valid=3", "data.num_test=4", "data.length_bp=40"]
    plain, asking = (instantiate(compose([*words, *more]).data) for more in ([], ["data.hmmlearn=true"]))
    data = plain.labelled()
    train, test = data.subset(np.arange(20)), data.subset([25, 23])
    assert plain.baselines(train, test) == {}
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "hmmlearn", None)
        without.setitem(sys.modules, "hmmlearn.hmm", None)
        with pytest.raises(DataError, match=r"data\.hmmlearn=true.*pip install 'gulmfit\[hmm\]'"):
            asking.baselines(train, test)
    pytest.importorskip("hmmlearn", reason="hmmlearn is not installed: pip install 'gulmfit[hmm]'")
    predicted = asking.baselines(train, test)["hmmlearn"]
    assert predicted.shape == (2, 40, 2)
    np.testing.assert_allclose(predicted.sum(axis=2), 1)
