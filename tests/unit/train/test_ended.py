"""A run that has ended and keeps no checkpoint is known as ended: scored again, never trained again, never mixed up."""

import contextlib
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import pytorch_lightning as pl
import torch

from gulmfit.checkpoint import load
from gulmfit.errors import CheckpointError
from gulmfit.evaluate.baselines import fits
from gulmfit.train.runner import train
from tests.integration.forked import fitted_once

TINY = [
    "arch=awd_lstm_tiny", "arch.hidden_size=8", "arch.embed_size=8", "tokenizer.k=3", "trainer.precision=32-true",
    "trainer.enable_progress_bar=false", "run.name=r",
]  # fmt: skip
CLASSIFY = [
    "stage=classify", "data=table", "data.path=t.csv", "split=random", "classify.phases=[{epochs: 2, lr: 1e-2}]",
    "classify.batch_size=16", *TINY,
]  # fmt: skip
PRETRAIN = [
    "stage=pretrain",
    "holdout.block_bp=500",
    "holdout.margin_bp=50",
    "data=fasta",
    "data.path=g.fa",
    "pretrain.epochs=2",
    "pretrain.batch_size=4",
    *TINY,
]


@pytest.fixture(autouse=True, scope="module")
def baselines_fitted_once(unrendered: None) -> Iterator[None]:
    with mock.patch.object(fits, "cached", fitted_once(fits.cached)):
        yield


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_data()


def write_data() -> None:
    drawn = random.Random(0)
    texts = ["".join(drawn.choices("ACGT", k=60)) for _ in range(60)]
    rows = (f"{text},{'yes' if number % 2 else 'no'}\n" for number, text in enumerate(texts))
    Path("t.csv").write_text(f"sequence,label\n{''.join(rows)}")
    Path("g.fa").write_text(f">g\n{''.join(drawn.choices('ACGT', k=20_000))}\n")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load(folder).model.state_dict()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file() and file.name != "log"}


@pytest.mark.parametrize(("stage", "words"), [("classify", CLASSIFY), ("pretrain", PRETRAIN)])
def test_a_run_without_checkpoints_is_not_trained_again(
    stage: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path("outputs") / stage / "r"
    train(words)
    assert sorted(file.name for file in (folder / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    before = json.loads((folder / "metrics.json").read_text())
    learned = weights(folder)
    fitted: list[Any] = []
    fit = pl.Trainer.fit
    monkeypatch.setattr(pl.Trainer, "fit", lambda self, *given, **more: fitted.append(1) or fit(self, *given, **more))
    train([*words, "resume=auto", "checkpoint.keep=false"])  # one that ended before loses them, too
    assert not (folder / "checkpoints").exists()
    assert len(fitted) == 1
    for _ in range(2):
        results = train([*words, "resume=auto", "checkpoint.keep=false"])
        assert len(fitted) == 1
        assert results["metrics"] == before["metrics"]
    after = weights(folder)
    assert all(torch.equal(after[name], tensor) for name, tensor in learned.items())
    assert {**json.loads((folder / "metrics.json").read_text()), "timing": {}} == {**before, "timing": {}}


@pytest.fixture(scope="module")
def classified(baselines_fitted_once: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the outputs of a classifier that keeps no checkpoint."""
    folder = tmp_path_factory.mktemp("classified")
    with contextlib.chdir(folder):
        write_data()
        train([*CLASSIFY, "checkpoint.keep=false"])
    return folder / "outputs"


@pytest.mark.parametrize(
    ("word", "said"), [("arch.hidden_size=16", "arch"), ("seed=1", "the seed"), ("data.path=u.csv", "records")]
)
def test_another_run_is_refused_and_changes_nothing(word: str, said: str, classified: Path) -> None:
    folder = Path("outputs/classify/r")
    shutil.copytree(classified, "outputs")
    lines = Path("t.csv").read_text().splitlines()
    Path("u.csv").write_text("\n".join([lines[0], lines[1].replace("A", "C", 1), *lines[2:]]) + "\n")
    before = contents(folder)
    with pytest.raises(CheckpointError, match=said):
        train([*CLASSIFY, "resume=auto", word])
    assert contents(folder) == before


def test_parts_without_checkpoints_are_taken_up() -> None:
    words = ["stage=ulmfit", *CLASSIFY[1:], "finetune.epochs=1", "checkpoint.keep=false"]
    train(words)
    folder = Path("outputs/ulmfit/r")
    assert not list(folder.rglob("*.ckpt"))
    before = {str(path): weights(path) for path in (folder, folder / "scratch", folder / "finetune")}
    metrics = json.loads((folder / "metrics.json").read_text())["metrics"]
    assert train([*words, "resume=auto"])["metrics"] == metrics
    for path, learned in before.items():
        assert all(torch.equal(tensor, learned[name]) for name, tensor in weights(Path(path)).items())
