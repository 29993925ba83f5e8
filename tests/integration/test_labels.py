"""Classes of any name through training, folds, evaluation and comparison."""

import csv
import json
import random
import shutil
from pathlib import Path

import pytest

from gulmfit.commands.compare import compare
from gulmfit.commands.evaluate import evaluate_file
from gulmfit.report.kinds.predictions import Predictions
from gulmfit.train.runner import train

TINY = (
    "arch=awd_lstm_tiny", "arch.hidden_size=8", "arch.embed_size=4", "tokenizer.k=3", "trainer.precision=32-true",
    "trainer.max_steps=2", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "cv.folds=2",
    "split=stratified", "leakage=warn",
)  # fmt: skip


def table(path: Path, labels: list[str]) -> None:
    chance = random.Random(0)
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["name", "sequence", "what"])
        for number, label in enumerate(labels * 20):
            writer.writerow([f"r{number}", "".join(chance.choices("ACGT", k=24)), label])


@pytest.mark.parametrize(
    ("head", "labels", "classes"),
    [
        ("classifier", ["id", "label", "GO:1;x"], ["GO:1;x", "id", "label"]),
        ("multi_label", ["GO:1;group", "group", "GO:1", ""], ["GO:1", "group"]),
    ],
)
def test_folds_and_what_follows(tmp_path: Path, head: str, labels: list[str], classes: list[str]) -> None:
    table(tmp_path / "a.csv", labels)
    data = [
        "data=table", f"data.path={tmp_path / 'a.csv'}", "data.label=what", "data.id=name",
        f"paths.cache_dir={tmp_path / 'store'}",
    ]  # fmt: skip
    folder = tmp_path / "run"
    train(["stage=classify", f"head={head}", *data, *TINY, f"paths.run_dir={folder}"])
    pooled = json.loads((folder / "metrics.json").read_text())["pooled"]
    baselines = {"majority", "gc", "kmer_logistic"}
    assert baselines <= set(pooled["scores"])
    assert baselines <= set(pooled["paired"])
    assert not [name for name in pooled["scores"] if ":" in name]
    fold = Predictions.read(folder / "fold_0" / "predictions")
    assert fold.classes == classes
    assert baselines <= set(fold.by_model)
    header = (folder / "predictions" / "out_of_fold.tsv").read_text().splitlines()[0].split("\t")
    names = [name for name in header if name not in ("fold", "repeat")]  # at the end, where no class has their names
    assert names[-len(classes) :] == classes
    assert len(set(header)) == len(header)
    found = evaluate_file(
        model=str(folder / "fold_0"), data_overrides=data, output=str(tmp_path / "evaluated"), strand="forward",
        batch_size=32,
    )  # fmt: skip
    assert found["classes"] == classes
    shutil.copytree(folder / "fold_0", tmp_path / "copy")
    compared = compare([str(folder / "fold_0"), str(tmp_path / "copy")], output=str(tmp_path / "compared"))
    assert [row["run"] for row in compared["runs"]] == ["fold_0", "copy"]
