"""Folds, seeds, learning curves and comparisons through the command."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from gulmfit.report.kinds.predictions import Predictions
from gulmfit.weights import weights_digest

from .conftest import FEW_HELD_OUT, TINY, Trained, run

SHORT = ["stage=classify", "trainer.max_steps=2", *TINY, "data.num_test=40"]


@pytest.fixture(scope="module")
def folds(trained: Trained) -> Path:
    words = [*SHORT, "cv.folds=2", "with_scratch=true", "split=stratified", "run.name=cv", "resume=auto"]
    run(*words, f"init_from={trained.folder / 'finetune'}", cwd=trained.cwd)
    return trained.cwd / "outputs" / "classify" / "cv"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def test_every_sequence_is_scored_once_by_a_model_that_has_not_seen_it(folds: Path) -> None:
    parts = {fold: {row["id"]: row["part"] for row in rows(folds / "splits" / f"fold_{fold}.tsv")} for fold in range(2)}
    tested = [name for fold in range(2) for name, part in parts[fold].items() if part == "test"]
    assert sorted(tested) == sorted(parts[0])
    assert len(set(tested)) == len(tested)
    pooled = rows(folds / "predictions" / "out_of_fold.tsv")
    assert [row["id"] for row in pooled] == [
        row["id"] for fold in range(2) for row in rows(folds / f"fold_{fold}" / "predictions" / "test.tsv")
    ]
    assert sorted(row["id"] for row in pooled) == sorted(tested)
    assert all(parts[int(row["fold"])][row["id"]] == "test" for row in pooled)
    assert {row["repeat"] for row in pooled} == {"0"}


def test_folds_are_summed_up(folds: Path) -> None:
    metrics = json.loads((folds / "metrics.json").read_text())
    singles = [json.loads((folds / f"fold_{fold}" / "metrics.json").read_text()) for fold in range(2)]
    accuracies = [single["metrics"]["test/accuracy"] for single in singles]
    assert metrics["spread"]["transferred"]["accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
    assert metrics["spread"]["transferred"]["accuracy"]["sd"] == pytest.approx(np.std(accuracies, ddof=1))
    counts = [single["data"]["counts"]["test"] for single in singles]
    assert metrics["pooled"]["scores"]["model"]["accuracy"] == pytest.approx(np.average(accuracies, weights=counts))
    low, high = metrics["pooled"]["ci95"]["model"]["accuracy"]
    assert low <= metrics["pooled"]["scores"]["model"]["accuracy"] <= high
    assert {"scratch", "gc"} <= set(metrics["pooled"]["paired"])
    page = (folds / "report.html").read_text()
    assert "Scores over folds" in page
    assert "Paired tests" in page


def test_a_fold_can_be_run_again_by_itself(folds: Path, trained: Trained) -> None:
    again = [*SHORT, "run.name=again", "split=file", f"split.path={folds / 'splits' / 'fold_1.tsv'}"]
    run(*again, f"init_from={trained.folder / 'finetune'}", cwd=trained.cwd)
    one = Predictions.read(trained.cwd / "outputs" / "classify" / "again" / "predictions")
    fold = Predictions.read(folds / "fold_1" / "predictions")
    assert one.ids == fold.ids
    for name, values in fold.by_model.items():
        np.testing.assert_array_equal(one.by_model[name], values)


def test_finished_folds_are_passed_over(folds: Path, trained: Trained) -> None:
    metrics = (folds / "metrics.json").read_text()
    before = (folds / "fold_0" / "metrics.json").stat().st_mtime_ns
    (folds / "fold_1" / "metrics.json").unlink()
    words = [*SHORT, "cv.folds=2", "with_scratch=true", "split=stratified", "run.name=cv", "resume=auto"]
    origin = f"init_from={trained.folder / 'finetune'}"
    printed = run(*words, origin, cwd=trained.cwd).stdout
    assert printed.count("already there") == 3
    assert (folds / "fold_0" / "metrics.json").stat().st_mtime_ns == before
    ours, theirs = json.loads((folds / "metrics.json").read_text()), json.loads(metrics)
    assert ours["pooled"] == theirs["pooled"]
    for _ in range(2):  # the refusal leaves nothing behind that would let it pass the next time
        other = run(*words, origin, "classify.drop_mult=0.1", cwd=trained.cwd, check=False)
        assert other.returncode == 1
        assert re.search(r"fold_0 .*config\.yaml", other.stderr)
    assert "split.path=" in (folds / "fold_0" / "report.html").read_text()  # how to run this fold again


def test_learning_curve(trained: Trained) -> None:
    few = ["learning_curve.min_steps=1", "classify.phases=[{epochs: 1, lr: 1e-2}]"]
    words = ["learning_curve.sizes=[10,20]", "learning_curve.draws=2", *few, *TINY, "data.num_test=40"]
    run("stage=learning_curve", f"init_from={trained.folder / 'finetune'}", *words, cwd=trained.cwd)
    folder = trained.cwd / "outputs" / "learning_curve" / "default"
    metrics = json.loads((folder / "metrics.json").read_text())
    curve = metrics["curve"]["accuracy"]
    assert {"transferred", "scratch", "gc"} <= set(curve)
    assert all(len(curve[model][size]) == 2 for model in ("transferred", "scratch") for size in ("10", "20", "40"))
    for draw in range(2):
        chosen = [
            {
                row["id"]
                for row in rows(folder / "splits" / f"{size:06d}_{draw}_transferred.tsv")
                if row["part"] == "train"
            }
            for size in (10, 20, 40)
        ]
        assert [len(names) for names in chosen] == [10, 20, 40]
        assert chosen[0] < chosen[1] < chosen[2]
    tests = [
        {row["id"] for row in rows(path) if row["part"] == "test"} for path in sorted((folder / "splits").glob("*.tsv"))
    ]
    assert all(names == tests[0] for names in tests)
    assert "What labels buy" in (folder / "report.html").read_text()


def test_runs_are_compared(trained: Trained, tmp_path: Path) -> None:
    printed = run(str(trained.folder), f"output={tmp_path / 'both'}", cwd=trained.cwd, command="compare").stdout
    assert "tiny/classify" in printed
    assert "sign-flip" in printed
    found = json.loads((tmp_path / "both" / "comparison.json").read_text())
    assert [row["run"] for row in found["runs"]] == ["tiny/classify", "tiny/scratch"]
    assert (tmp_path / "both" / "comparison.html").is_file()
    alone = run(str(trained.folder / "classify"), cwd=trained.cwd, command="compare", check=False)
    assert alone.returncode == 1
    assert re.search(r"\b1 classifier.*/classify\b", alone.stderr)


def test_seeds_are_repeated(trained: Trained) -> None:
    run(*SHORT, "seeds=2", "run.name=seeds", cwd=trained.cwd, rendered=True)
    metrics = json.loads((trained.cwd / "outputs" / "classify" / "seeds" / "metrics.json").read_text())
    assert metrics["over"] == "seeds"
    assert [row["seed"] for row in metrics["trials"]] == [0, 1]
    assert metrics["spread"]["model"]["auroc"]["count"] == 2


def test_leakage_can_be_refused(trained: Trained) -> None:
    """A table whose test part is in its training part."""
    table = trained.cwd / "leaky.csv"
    random = np.random.default_rng(0)
    texts = ["".join(random.choice(list("ACGT"), size=40)) for _ in range(12)]
    lines = [f"{text},{'ab'[i % 2]},{part}" for part in ("train", "valid", "test") for i, text in enumerate(texts)]
    table.write_text("\n".join(["sequence,label,part", *lines]) + "\n")
    words = ["stage=classify", "data=table", f"data.path={table}", "data.split=part", "arch=awd_lstm_tiny"]
    refused = run(*words, "leakage=error", "run.name=leak", cwd=trained.cwd, check=False)
    assert refused.returncode == 1
    assert "LEAKAGE: 12 of 12 test sequences" in refused.stderr
    warned = run(*words, "run.name=leaky", "trainer.max_steps=2", cwd=trained.cwd)
    assert "LEAKAGE: 12 of 12" in warned.stdout
    page = (trained.cwd / "outputs" / "classify" / "leaky" / "report.html").read_text()
    assert "expect lower scores" in page


def test_leaked_sequences_are_scored_apart(trained: Trained) -> None:
    random = np.random.default_rng(0)
    texts = ["".join(random.choice(list("ACGT"), size=40)) for _ in range(60)]
    parts = ["train"] * 20 + ["valid"] * 20 + ["test"] * 20
    texts[40:45] = texts[:5]
    lines = [f"{text},{'ab'[i % 2]},{part}" for i, (text, part) in enumerate(zip(texts, parts, strict=True))]
    table = trained.cwd / "partly.csv"
    table.write_text("\n".join(["sequence,label,part", *lines]) + "\n")
    words = ["stage=classify", "data=table", f"data.path={table}", "data.split=part", "arch=awd_lstm_tiny"]
    printed = run(*words, "run.name=partly", "trainer.max_steps=2", cwd=trained.cwd).stdout
    assert "15 are left" in printed
    folder = trained.cwd / "outputs" / "classify" / "partly"
    rest = json.loads((folder / "metrics.json").read_text())["without_leaked"]
    found = Predictions.read(folder / "predictions")
    right = found.by_model["model"].argmax(1)[5:] == found.labels[5:]
    assert rest["scores"]["accuracy"] == pytest.approx(right.mean())


def test_jobs_of_a_sweep_run_side_by_side(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs the extra sweep")
    words = ["stage=pretrain", "trainer.max_steps=2", *TINY, *FEW_HELD_OUT]
    run("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", *words, "seed=1,2", cwd=tmp_path)
    run(*words, "seed=2", "run.name=alone", cwd=tmp_path)
    folder = tmp_path / "outputs" / "pretrain"
    names = ("default_0", "default_1", "alone")
    first, second, alone = (weights_digest(folder / name / "model") for name in names)
    assert first != second == alone
