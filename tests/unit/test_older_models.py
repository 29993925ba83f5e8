"""Models of gulmfit 0.1 (commit 7bed37d): they load, whatever has moved since, and predict what they predicted."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from gulmfit.checkpoint import load
from gulmfit.moved import MOVED, named
from gulmfit.predict.language.likelihood import LikelihoodScorer
from gulmfit.predict.predictor import Predictor

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "models_of_0_1"
CLASSIFIERS, LANGUAGE_MODELS = ["classes", "label_sets", "values"], ["lm", "lm_gru", "lm_bpe"]


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    """What commit 7bed37d predicted for the sequences in it, on one thread of an x86-64 processor."""
    with np.load(FOLDER / "expected.npz") as content:
        return dict(content)


@pytest.mark.parametrize("name", CLASSIFIERS + LANGUAGE_MODELS)
def test_weights_are_those_of_the_file(name: str) -> None:
    state = load(FOLDER / name).model.state_dict()
    saved = load_file(FOLDER / name / "model.safetensors")
    assert state.keys() == saved.keys()
    assert all(torch.equal(state[key], saved[key]) for key in saved)


# Other processors sum in another order: the sixth digit after the point is the last that all agree on.
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_predicts_what_it_did(name: str, expected: dict[str, Any]) -> None:
    found = Predictor.load(FOLDER / name).predict(expected["sequences"].tolist())
    np.testing.assert_allclose(found, expected[name], rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_a_language_model_scores_as_it_did(name: str, expected: dict[str, Any]) -> None:
    found, _ = LikelihoodScorer.load(FOLDER / name).score(expected["sequences"].tolist())
    np.testing.assert_allclose(found, expected[name], rtol=0, atol=1e-4)


def test_checkpoints_hold_the_same_models(expected: dict[str, Any]) -> None:
    sequences = expected["sequences"].tolist()
    likelihoods, _ = LikelihoodScorer.load(FOLDER / "lm.ckpt").score(sequences)
    np.testing.assert_allclose(likelihoods, expected["lm"], rtol=0, atol=1e-4)
    assert load(FOLDER / "classes.ckpt").classes == ["no", "yes"]
    folder, checkpoint = (load(FOLDER / name).model.state_dict() for name in ("classes", "classes.ckpt"))
    assert all(torch.equal(folder[key], checkpoint[key]) for key in folder)


def test_every_old_place_leads_to_a_module() -> None:
    for old, new in MOVED.items():
        assert importlib.util.find_spec(new), old


def test_what_the_configuration_of_an_older_run_names_is_still_found() -> None:
    """The leak check builds the data of the runs behind `init_from=` from it."""
    config = yaml.safe_load((FOLDER / "classes_run_config.yaml").read_text())
    targets = [config[group]["_target_"] for group in ("data", "split", "arch", "head", "tokenizer")]
    assert {target.rpartition(".")[0] for target in targets} & MOVED.keys()
    assert all(isinstance(named(target), type) for target in targets)


def test_a_spec_names_its_parts_by_their_present_places() -> None:
    """A run that is continued compares specs."""
    target = load(FOLDER / "lm").spec["tokenizer"]["_target_"]
    kind = type(load(FOLDER / "lm").tokenizer)
    assert target == f"{kind.__module__}.{kind.__name__}"
