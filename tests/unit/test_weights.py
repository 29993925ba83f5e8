"""Weights in one file and in shards."""

import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gulmfit.checkpoint import load, save_model
from gulmfit.errors import CheckpointError
from gulmfit.model_files import files_of
from gulmfit.weights import load_weights, save_weights, weight_files, weights_digest

STATE = {f"layer_{number}": torch.randn(10, 10, generator=torch.Generator().manual_seed(number)) for number in range(5)}
BYTES = 400  # of each
OLDER = Path(__file__).resolve().parents[1] / "fixtures" / "models_of_0_1"


def names(folder: Path) -> list[str]:
    return [file.name for file in weight_files(folder)]


def equal(found: dict[str, Tensor]) -> bool:
    return found.keys() == STATE.keys() and all(torch.equal(found[name], STATE[name]) for name in STATE)


def test_weights_come_back_from_one_file(tmp_path: Path) -> None:
    save_weights(tmp_path, STATE)
    assert names(tmp_path) == ["model.safetensors"]
    assert equal(load_weights(weight_files(tmp_path)))
    content = (tmp_path / "model.safetensors").read_bytes()
    assert weights_digest(tmp_path) == weights_digest(tmp_path / "model.safetensors")
    assert weights_digest(tmp_path) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(("most", "shards"), [(2 * BYTES, 3), (2 * BYTES + 1, 3), (BYTES, 5), (1, 5), (5 * BYTES, 1)])
def test_shards_are_as_large_as_they_may_be(tmp_path: Path, most: int, shards: int) -> None:
    save_weights(tmp_path, STATE, most)
    assert len(names(tmp_path)) == shards
    assert equal(load_weights(weight_files(tmp_path)))


def test_a_missing_shard_is_told(tmp_path: Path) -> None:
    save_weights(tmp_path, STATE, BYTES)
    digest = weights_digest(tmp_path)
    (tmp_path / "model-00003-of-00005.safetensors").rename(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match="model-00004-of-00005"):
        weight_files(tmp_path)
    (tmp_path / "elsewhere").rename(tmp_path / "model-00003-of-00005.safetensors")
    assert weights_digest(tmp_path) == digest
    (tmp_path / "model-00005-of-00005.safetensors").unlink()
    with pytest.raises(CheckpointError):
        weight_files(tmp_path)


def test_a_folder_without_weights_has_none(tmp_path: Path) -> None:
    assert weight_files(tmp_path) == []


def test_a_model_in_shards_is_the_same_model(tmp_path: Path) -> None:
    whole = load(OLDER / "classes")
    state = whole.model.state_dict()
    save_model(tmp_path, whole.spec, state, 2_000)
    assert len(names(tmp_path)) > 2
    found = load(tmp_path)
    assert found.spec == whole.spec
    assert all(torch.equal(found.model.state_dict()[name], state[name]) for name in state)
    assert set(weight_files(tmp_path)) < set(files_of(tmp_path))
