"""Models by name: where a name leads, and what the folders that ship are worth."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import gulmfit.pretrained
from gulmfit.checkpoint import build_model, load, load_tokenizer, save_model
from gulmfit.cli import models
from gulmfit.config import compose
from gulmfit.errors import CheckpointError, TokenizerError
from gulmfit.exchange.pretrained_card import COLUMNS
from gulmfit.predict.language.likelihood import LikelihoodScorer
from gulmfit.predict.language.vectors import Embedder
from gulmfit.pretrained import Hosted, find, read_card, shipped
from gulmfit.train.run import Run

SEQUENCE = "ACGGTCATTGACCAGTAAC"
SPEC: dict[str, Any] = {
    "arch": {"_target_": "gulmfit.models.awd_rnn.AWDRNN", "embed_size": 6, "hidden_size": 8, "num_layers": 2},
    "head": {"_target_": "gulmfit.models.language_model.LanguageModel"},
    "dropout": {},
    "tokenizer": {"_target_": "gulmfit.seq.tokens.tokenizer.KmerTokenizer", "k": 3, "stride": 1},
    "classes": None,
    "positive": "",
}


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that ships as "tiny", in a folder without other things."""
    folder = tmp_path / "package" / "tiny"
    torch.manual_seed(0)
    save_model(folder, SPEC, build_model(SPEC)[0].state_dict())
    monkeypatch.setattr(gulmfit.pretrained, "FOLDER", folder.parent)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return folder


def test_a_name_stands_for_a_model_wherever_one_is_asked_for(tiny: Path) -> None:
    assert find("tiny") == tiny
    assert load("tiny").source == load(tiny).source == tiny
    assert load_tokenizer("tiny") == load_tokenizer(tiny)
    sequence = SEQUENCE
    assert LikelihoodScorer.load("tiny").score([sequence])[0] == LikelihoodScorer.load(tiny).score([sequence])[0]
    assert Embedder.load("tiny").size == 6


def test_what_exists_comes_before_a_name(tiny: Path) -> None:
    save_model(Path("tiny"), {**SPEC, "arch": {**SPEC["arch"], "hidden_size": 5}}, other_state := _state(hidden_size=5))
    assert load("tiny").source == Path("tiny")
    assert load("tiny").model.state_dict().keys() == other_state.keys()
    (Path("tiny") / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"^tiny .*no model\..*hides"):
        load("tiny")
    with pytest.raises(CheckpointError, match=r"here/tiny .*no model\. Give"):
        load(Path.cwd() / "tiny")


def _state(**sizes: int) -> dict[str, torch.Tensor]:
    return build_model({**SPEC, "arch": {**SPEC["arch"], **sizes}})[0].state_dict()


@pytest.mark.parametrize("name", ["tyni", "some/where", "tiny/model"])
def test_an_unknown_name_lists_the_known(tiny: Path, name: str) -> None:
    for read in (load, load_tokenizer):
        with pytest.raises(CheckpointError, match=rf"{name} .*exist\..*: tiny"):
            read(name)


def test_a_model_that_must_be_fetched_says_how(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gulmfit.pretrained, "HOSTED", {"large": Hosted("owner/large", "0" * 40)})
    with pytest.raises(CheckpointError, match="gulmfit-export pull repo=large"):
        load("large")
    save_model(Path("large"), SPEC, _state())  # where it is fetched to by default
    assert load("large").source == Path("large")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_weights_are_of_32_bits_whatever_they_are_kept_in(tiny: Path, dtype: torch.dtype) -> None:
    kept = {name: tensor.to(dtype) for name, tensor in load_file(tiny / "model.safetensors").items()}
    save_file(kept, tiny / "model.safetensors")
    loaded = load("tiny").model
    for name, tensor in loaded.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, kept[name].float()), name
    assert LikelihoodScorer.load("tiny").score([SEQUENCE])[0][0] < 0


def test_weights_of_whole_numbers_are_refused(tiny: Path) -> None:
    kept = {name: tensor.to(torch.int8) for name, tensor in load_file(tiny / "model.safetensors").items()}
    save_file(kept, tiny / "model.safetensors")
    with pytest.raises(CheckpointError, match="int8"):
        load("tiny")


def run_of(*overrides: str, tmp_path: Path) -> Run:
    return Run(compose(["stage=finetune", "init_from=tiny", *overrides]), tmp_path)


def test_a_run_that_does_not_fit_is_told_what_to_set(tiny: Path, tmp_path: Path) -> None:
    run = run_of(tmp_path=tmp_path)
    assert run.initial_model(SPEC) is not None
    with pytest.raises(TokenizerError, match=r"tokenizer\.k=3"):
        run.initial_model({**SPEC, "tokenizer": {**SPEC["tokenizer"], "k": 4}})
    with pytest.raises(CheckpointError, match=r"arch\.embed_size=6 arch\.hidden_size=8\.$"):
        run.initial_model({**SPEC, "arch": {**SPEC["arch"], "embed_size": 7, "hidden_size": 9}})


def test_a_damaged_card_is_named(tiny: Path) -> None:
    assert read_card(tiny) == {}
    for text in ("[1]", "{", "\x00"):
        (tiny / "card.json").write_text(text)
        with pytest.raises(CheckpointError, match=r"card\.json"):
            read_card(tiny)


def ask(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["gulmfit-models", *words])
    models()


def test_the_command_lists_models_and_prints_a_card(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(monkeypatch)
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in header.strip("|").split("|")] == list(COLUMNS)
    listed = [line for line in rows if line.startswith("|")]
    assert [line.split("|")[1].strip() for line in listed] == list(shipped())
    for name in shipped():
        ask(monkeypatch, f"name={name}")
        printed = capsys.readouterr().out
        assert read_card(shipped()[name])["sha256"] in printed
    with pytest.raises(SystemExit, match="bactria"):
        ask(monkeypatch, "name=bactria")
    with pytest.raises(SystemExit, match="name="):
        ask(monkeypatch, "nmae=bacteria")
