"""The encoders of docs/encoders.md, which are not AWD-LSTMs, go through every command."""

import contextlib
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gulmfit.checkpoint import foreign_classes_trusted, load
from gulmfit.cli import embed, export, generate, predict, score
from gulmfit.errors import CheckpointError, ConfigError, StoppedError
from gulmfit.exchange.fastai_format import export_fastai
from gulmfit.predict.language.likelihood import LikelihoodScorer
from gulmfit.predict.language.sampling import Sampler
from gulmfit.predict.language.vectors import Embedder
from gulmfit.predict.predictor import Predictor
from gulmfit.train.runner import train
from gulmfit.train.survive.watch import LossWatch

from .conftest import FEW_HELD_OUT, ROOT, TINY

NAMES = ["CausalConv", "BothWays"]
CLASSIFY = [
    "stage=classify",
    *TINY[1:],
    "batch_size=10",
    "classify.phases=[{epochs: 2, lr: 1e-2, groups: 1}, {epochs: 2, lr: 1e-2}]",
]
PRETRAIN = [
    "stage=pretrain",
    *TINY[1:],
    "batch_size=8",
    "bptt=24",
    "trainer.limit_train_batches=6",
    "pretrain.epochs=2",
    *FEW_HELD_OUT,
]
LENGTHS = [30, 400, 77, 5, 2000, 30]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to work in, with the example of the documentation as a module."""
    folder = tmp_path_factory.mktemp("own")
    found = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "encoders.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found
    (folder / "mylab.py").write_text(found[1])
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder), foreign_classes_trusted():
        patch.syspath_prepend(folder)
        yield folder
    sys.modules.pop("mylab", None)


def own(name: str) -> list[str]:
    return ["arch=own", f"arch._target_=mylab.{name}", "+arch.size=12", "trust=true"]


def call(command: Any, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["gulmfit", *words, "trust=true"])
    command()


def weights(folder: str) -> bytes:
    return (Path("outputs") / folder / "model" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def classifiers(place: Path) -> dict[str, str]:
    for name in NAMES:
        train([*CLASSIFY, *own(name), f"run.name={name}", "trainer.precision=32-true"])
    return {name: f"outputs/classify/{name}" for name in NAMES}


@pytest.fixture(scope="module")
def language_model(place: Path) -> str:
    train([*PRETRAIN, *own("CausalConv"), "run.name=lm"])
    return "outputs/pretrain/lm"


@pytest.fixture
def sequences() -> list[str]:
    chance = np.random.default_rng(0)
    return ["".join(chance.choice(list("ACGT"), length)) for length in LENGTHS]


@pytest.fixture
def fasta(sequences: list[str], tmp_path: Path) -> str:
    path = tmp_path / "some.fa"
    path.write_text("".join(f">s{number}\n{text}\n" for number, text in enumerate(sequences)))
    return str(path)


@pytest.mark.parametrize("name", NAMES)
def test_a_classifier_is_continued_bit_for_bit(
    classifiers: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(monkeypatch, 6, [*CLASSIFY, *own(name), f"run.name={name}_again", "trainer.precision=32-true"])
    assert weights(f"classify/{name}_again") == weights(f"classify/{name}")


def stopped(monkeypatch: pytest.MonkeyPatch, step: int, words: list[str]) -> None:
    """Train, be told to stop after a step, and go on."""
    look = LossWatch.on_train_batch_end

    def told(self: LossWatch, trainer: Any, *rest: Any) -> None:
        look(self, trainer, *rest)
        if trainer.global_step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(LossWatch, "on_train_batch_end", told)
        with pytest.raises(StoppedError):
            train(words)
    train([*words, "resume=auto"])


@pytest.mark.parametrize("name", NAMES)
def test_a_classifier_learns_in_bf16(place: Path, name: str) -> None:
    results = train([*CLASSIFY, *own(name), f"run.name={name}_bf16", "trainer.precision=bf16-mixed"])
    assert np.isfinite(results["metrics"]["val/calibrated_loss"])
    model = Predictor.load(f"outputs/classify/{name}_bf16", device="cpu", precision="bf16")
    assert np.isfinite(model.predict(["ACGT" * 9])).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_prediction_depends_on_its_sequence_alone(
    classifiers: dict[str, str], name: str, sequences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Predictor.load(classifiers[name], device="cpu")
    alone = np.concatenate([model.predict([sequence]) for sequence in sequences])
    assert np.ptp(alone[:, 0]) > 0.001
    np.testing.assert_allclose(model.predict(sequences), alone, atol=1e-6)
    np.testing.assert_allclose(model.predict(sequences[::-1], batch_size=2)[::-1], alone, atol=1e-6)
    monkeypatch.setattr("gulmfit.models.classifier.EVALUATION_WINDOW", 20)
    np.testing.assert_allclose(model.predict(sequences), alone, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_predicted_and_embedded(
    classifiers: dict[str, str], name: str, fasta: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(predict, monkeypatch, f"model={classifiers[name]}", f"input={fasta}", f"output={tmp_path}/a.tsv")
    assert (tmp_path / "a.tsv").read_text().count("\ns") == len(LENGTHS)
    call(embed, monkeypatch, f"model={classifiers[name]}", f"input={fasta}", f"output={tmp_path}/a.npz", "batch_size=3")
    model = load(classifiers[name]).model
    assert np.load(tmp_path / "a.npz")["vectors"].shape == (len(LENGTHS), 3 * model.encoder.output_size)


@pytest.mark.parametrize("name", NAMES)
def test_vectors_are_what_the_head_is_given(
    classifiers: dict[str, str], name: str, sequences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gulmfit.predict.language.reading.SHORTEST_WINDOW", 7)
    monkeypatch.setattr("gulmfit.predict.language.reading.TOKENS_AT_ONCE", 30)
    loaded = load(classifiers[name])
    embedder = Embedder.load(classifiers[name], device="cpu")
    records = [(str(number), text) for number, text in enumerate(sequences)]
    head = loaded.model.head
    vectors = np.concatenate([one.vectors for one in embedder.embed(records, batch_size=3)])
    with torch.no_grad():
        found = loaded.model.outputs(head(torch.from_numpy(vectors))).numpy()
    expected = Predictor.load(classifiers[name], device="cpu").predict(sequences, raw=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(ConfigError, match="layer=1"):
        Embedder.load(classifiers[name], layer=1, device="cpu")


@pytest.mark.parametrize("name", NAMES)
def test_a_classifier_is_exported_or_refused(
    classifiers: dict[str, str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    words = ["onnx", f"model={classifiers[name]}", f"output={tmp_path}/a.onnx"]
    call(export, monkeypatch, *words)  # which compares it with the model
    assert (tmp_path / "a.onnx").is_file()
    with pytest.raises(CheckpointError, match=name):
        export_fastai(model=classifiers[name], output=str(tmp_path / "a.pth"))


def test_a_language_model_is_continued_bit_for_bit(language_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped(monkeypatch, 4, [*PRETRAIN, *own("CausalConv"), "run.name=lm_again", "checkpoint.every_n_steps=1"])
    assert weights("pretrain/lm_again") == weights("pretrain/lm")


def test_a_language_model_is_tuned_and_becomes_a_classifier(language_model: str) -> None:
    words = [*TINY[1:], *own("CausalConv"), "batch_size=8"]
    tuned = train(["stage=finetune", *words, f"init_from={language_model}", "finetune.epochs=1", "run.name=tuned"])
    assert tuned["transfer"]["fresh"] == []
    results = train([*CLASSIFY, *own("CausalConv"), "init_from=outputs/finetune/tuned", "run.name=transferred"])
    assert results["transfer"]["moved"] == [name for name in tuned["transfer"]["moved"] if name.startswith("encoder.")]
    assert all(name.startswith("head.") for name in results["transfer"]["fresh"])


def test_the_three_stages_in_a_row(place: Path) -> None:
    results = train(
        ["stage=ulmfit", *TINY[1:], *own("CausalConv"), "trainer.max_steps=4", "batch_size=8", *FEW_HELD_OUT]
    )
    assert "test/accuracy" in results["metrics"]


def test_a_language_model_scores_whatever_the_windows(
    language_model: str, sequences: list[str], fasta: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = LikelihoodScorer.load(language_model, device="cpu")
    nats, _ = scorer.score(sequences)
    assert (nats < 0).all()
    monkeypatch.setattr("gulmfit.predict.language.reading.SHORTEST_WINDOW", 5)
    monkeypatch.setattr("gulmfit.predict.language.reading.TOKENS_AT_ONCE", 20)
    for number, sequence in enumerate(sequences):
        alone, _ = scorer.score([sequence])
        np.testing.assert_allclose(alone[0], nats[number], atol=1e-4)
    np.testing.assert_allclose(scorer.score(sequences, batch_size=2)[0], nats, atol=1e-4)
    call(score, monkeypatch, f"model={language_model}", f"input={fasta}", f"output={tmp_path}/a.tsv")
    assert (tmp_path / "a.tsv").is_file()


def test_a_language_model_says_of_what_it_draws_what_it_scores(
    language_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = LikelihoodScorer.load(language_model, device="cpu")
    samples = list(Sampler(scorer).draw(5, 120, prompt="ACGTACGTT", batch_size=2))
    nats, _ = scorer.score([sample.sequence for sample in samples])
    np.testing.assert_allclose([sample.nats for sample in samples], nats, atol=1e-3)
    words = ["num_sequences=3", "length_bp=90"]
    call(generate, monkeypatch, f"model={language_model}", f"output={tmp_path}/a.fa", *words)
    assert (tmp_path / "a.fa").read_text().count(">") == 3


def test_a_language_model_is_exported(language_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    call(export, monkeypatch, "onnx", f"model={language_model}", f"output={tmp_path}/a.onnx")
    assert (tmp_path / "a.onnx").is_file()


@pytest.mark.parametrize("stage", ["pretrain", "finetune", "ulmfit"])
def test_an_encoder_that_reads_both_ways_is_no_language_model(place: Path, stage: str) -> None:
    with pytest.raises(ConfigError, match="BothWays"):
        train([f"stage={stage}", *TINY[1:], *own("BothWays"), f"run.name=refused_{stage}"])
    assert not list((place / "outputs").glob(f"{stage}/refused_{stage}/**/*.ckpt"))


def test_an_encoder_that_looks_ahead_unsaid_is_refused_before_it_is_trained(place: Path) -> None:
    (place / "ahead.py").write_text(
        "import torch\nfrom mylab import CausalConv\n\n\nclass Ahead(CausalConv):\n"
        "    def forward(self, tokens, state=None, frozen=0):\n"
        "        outputs, _ = super().forward(tokens)\n"
        "        return outputs + outputs.roll(-1, 1), None\n"
    )
    words = ["arch=own", "arch._target_=ahead.Ahead", "trust=true", "run.name=ahead"]
    for stage in ([*PRETRAIN], [*CLASSIFY]):
        with pytest.raises(ConfigError, match=r"Ahead.*causal = False"):
            train([*stage, *words])
    assert not list((place / "outputs").glob("*/ahead/checkpoints/*"))


def test_commands_of_language_models_refuse_a_classifier(classifiers: dict[str, str]) -> None:
    with pytest.raises(CheckpointError):
        LikelihoodScorer.load(classifiers["BothWays"], device="cpu")
    with pytest.raises(ConfigError, match=r"head\.bptt=5"):
        train([*CLASSIFY, *own("BothWays"), "head.bptt=5", "run.name=cut"])
