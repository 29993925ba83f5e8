"""`gulmfit-export`, end to end on a trained run: ONNX, card, fastai, and what it says to mistakes."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from gulmfit.checkpoint import load
from gulmfit.cli import export
from gulmfit.data.batches import collate, tokenise
from gulmfit.predict.predictor import Predictor

from .conftest import Trained, run

onnxruntime = pytest.importorskip("onnxruntime")


def test_a_trained_classifier_predicts_the_same_as_onnx(trained: Trained, tmp_path: Path) -> None:
    printed = run("onnx", f"model={trained.folder}", "output=out/hits.onnx", cwd=tmp_path, command="export").stdout
    assert "largest difference" in printed
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"hits.onnx", "hits.json"}
    card = json.loads((tmp_path / "out" / "hits.json").read_text())
    assert card["max_difference"] < 1e-5
    predictor = Predictor.load(trained.folder, device="cpu")
    sequences = ["ACGTTGCATGCAAGCTTAGCATCG" * copies for copies in (1, 4, 2)]
    tokens = [tokenise(sequence, predictor.tokenizer, "test") for sequence in sequences]
    batch = collate([(row, 0, number) for number, row in enumerate(tokens)], predictor.tokenizer.pad_id)
    session = onnxruntime.InferenceSession(tmp_path / "out" / "hits.onnx", providers=["CPUExecutionProvider"])
    found, _ = session.run(None, {"tokens": batch.tokens.numpy(), "lengths": batch.lengths.numpy()})
    np.testing.assert_allclose(found, predictor.predict(sequences), atol=1e-5)
    assert card["classes"] == predictor.classes


def test_a_trained_language_model_goes_to_fastai_and_back(trained: Trained, tmp_path: Path) -> None:
    source = trained.folder / "pretrain"
    run("fastai", f"model={source}", "output=lm.pth", cwd=tmp_path, command="export")
    k, stride = (load(source).spec["tokenizer"][key] for key in ("k", "stride"))
    words = ["weights=lm.pth", "vocab=lm.json", "output=back", f"k={k}", f"stride={stride}"]
    printed = run("fastai", *words, cwd=tmp_path, command="export").stdout
    assert "Mean row for none" in printed
    first, second = (folder / "model.safetensors" for folder in (source / "model", tmp_path / "back"))
    assert first.read_bytes() == second.read_bytes()


def test_the_card_has_the_scores_of_the_run(trained: Trained, tmp_path: Path) -> None:
    run("card", f"model={trained.folder}", "output=README.md", "license=mit", cwd=tmp_path, command="export")
    text = (tmp_path / "README.md").read_text()
    metrics = trained.metrics()
    assert f"{metrics['metrics']['test/accuracy']:.3f}" in text
    assert all(f"`{name}`" in text for name in metrics["baselines"])
    assert str(trained.cwd) not in text


def call(words: list[str], monkeypatch: pytest.MonkeyPatch) -> object:
    """Call the command in this process, and return its exit code or last words."""
    monkeypatch.setattr(sys, "argv", ["gulmfit-export", *words])
    with pytest.raises(SystemExit) as caught:
        export()
    return caught.value.code


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["torchscript"], "'torchscript' is not one of onnx, card, push, pull, fastai"),
        (["model=x"], "'model=x' is not one of"),
        (["onnx", "model=x"], "output= is missing"),
        (["onnx", "model=x", "output=y.onnx", "opsets=3"], "Did you mean opset=?"),
        (["onnx", "model=nowhere", "output=y.onnx"], "nowhere does not exist"),
        (["fastai", "weights=x.pth", "output=y"], "vocab= is missing"),
        (["push", "model=x", "repo=mine"], "OWNER/NAME"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in str(call(words, monkeypatch))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "code", "shown"),
    [
        ([], 2, ["onnx", "card", "push", "pull", "fastai"]), (["--help"], 0, ["onnx", "fastai"]),
        (["pull"], 2, ["gulmfit-export pull repo=", "revision="]), (["onnx", "-h"], 0, ["model=", "opset=17"]),
        (["fastai", "-h"], 0, ["model=", "weights=", "stride=2"]),
    ],
)  # fmt: skip
def test_the_usage_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], code: int, shown: list[str]
) -> None:
    assert call(words, monkeypatch) == code
    printed = capsys.readouterr().out
    assert all(word in printed for word in shown)
