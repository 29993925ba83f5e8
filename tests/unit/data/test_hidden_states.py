"""Sequences simulated by a hidden Markov model: parts, seeds, ceilings, and what is refused."""

from typing import Any

import numpy as np
import pytest

from gulmfit.config import compose, instantiate
from gulmfit.data.sources.hidden_states import HmmSource
from gulmfit.errors import ConfigError

SMALL = ["data=hmm", "data.num_train=5", "data.num_valid=3", "data.num_test=4", "data.length_bp=30"]


def source(*words: str) -> HmmSource:
    made = instantiate(compose(["stage=label", *SMALL, *words]).data)
    assert isinstance(made, HmmSource)
    return made


def test_parts_have_their_sizes_and_a_seed_gives_the_same_again() -> None:
    data = source().labelled()
    assert data.splits is not None
    assert {part: int((data.splits == part).sum()) for part in ("train", "valid", "test")} == {
        "train": 5, "valid": 3, "test": 4,
    }  # fmt: skip
    assert {len(text) for text in data.sequences} == {30}
    assert data.classes == ["H", "L"]
    assert data.sequences == source().labelled().sequences
    assert data.sequences != source("data.seed=1").labelled().sequences


def test_ceilings_are_of_the_sequences_that_are_asked_for() -> None:
    one = source("hmm=genes", "data.length_bp=60")
    data = one.labelled()
    found = one.ceilings(data.subset([3, 1]))
    assert set(found) == {"posterior", "filter", "viterbi", "lookup", "majority"}
    for name, predicted in found.items():
        assert predicted.shape == (2, 60, 4)
        np.testing.assert_allclose(predicted.sum(axis=2), 1)
        np.testing.assert_array_equal(predicted, one.ceilings(data)[name][[3, 1]])


def test_probabilities_come_from_the_command_line() -> None:
    words = ["hmm.transition.H.H=0.2", "hmm.transition.H.L=0.8"]
    np.testing.assert_allclose(source(*words)._model.transition[0], [0.2, 0.8])
    np.testing.assert_allclose(source("data.stay=0.9")._model.transition[0], [0.9, 0.1])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.hmm=null"], r"data=hmm .*hmm=sticky"),
        (["+hmm.stop={a: 1}"], r"^hmm .*\['emission', 'start', 'stop', 'transition'\]: "),
        (["hmm.start.H=0.9"], r"hmm\.start.*1\.4, not to 1"),
        (["data.num_test=0"], r"data\.num_test=0"),
        (["data.stay=1"], r"data\.stay=1"),
    ],
)
def test_what_is_not_a_model_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        source(*words)


def test_a_model_of_proteins_is_refused() -> None:
    tables: dict[str, Any] = {"start": {"H": 1.0}, "transition": {"H": {"H": 1.0}}, "emission": {"H": {"A": 1.0}}}
    with pytest.raises(ConfigError, match="reads nucleotides"):
        HmmSource(hmm=tables, alphabet="protein")
