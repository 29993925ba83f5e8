"""`stage=panel` from end to end: a set that fails stops no other, and what is finished is not run again."""

import csv
import gzip
import json
import random
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from gulmfit.report.kinds.predictions import Predictions

from .conftest import run


def write_peaks(path: Path, seed: int, count: int, *, shuffled: bool = False) -> None:
    draw = random.Random(seed)
    lines = ["FoldID\tEventID\tseq\tBound"]
    for number in range(count):
        letters = draw.choices("ACGT", k=40)
        letters[10:18] = "CACGTGAC"
        lines.append(f"A\tseq_{number:05d}_peak\t{''.join(letters)}\t1")
        if shuffled:
            draw.shuffle(letters)
            lines.append(f"A\tseq_{number:05d}_shuf\t{''.join(letters)}\t0")
    with gzip.open(path, "wt") as handle:
        handle.write("\n".join(lines) + "\n")


@pytest.mark.slow
def test_a_panel_of_toys(tmp_path: Path) -> None:
    (tmp_path / "peaks").mkdir()
    for seed, (name, count) in enumerate({"GOOD_K562": 60, "BAD_K562": 60, "SMALL_HepG2": 5}.items()):
        write_peaks(tmp_path / "peaks" / f"{name}_AC.seq.gz", seed, count)
        write_peaks(tmp_path / "peaks" / f"{name}_B.seq.gz", seed + 10, 20, shuffled=True)
    broken = tmp_path / "peaks" / "BAD_K562_B.seq.gz"
    broken.write_bytes(b"no such format\n")
    words = ["stage=panel", "panel=peaks", "panel.least=20", "trainer.max_steps=2", "panel.workers=2", "run.name=toy"]

    first = run(*words, cwd=tmp_path, check=False)
    folder = tmp_path / "outputs" / "panel" / "toy"
    assert first.returncode == 1
    assert "BAD_K562" in first.stderr
    assert "BAD_K562_B.seq.gz" in first.stderr
    path = folder / "sets" / "GOOD_K562" / "shuffle" / "metrics.json"
    metrics = json.loads(path.read_text(encoding="utf-8"))
    with (folder / "panel.tsv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    assert {row["set"]: row["state"] for row in rows} == {
        "GOOD_K562": "ran", "BAD_K562": "failed", "SMALL_HepG2": "left out",
    }  # fmt: skip
    (network,) = [row for row in rows if row["model"] == "model"]
    assert float(network["auroc"]) == pytest.approx(metrics["metrics"]["test/auroc"], abs=1e-5)
    assert int(network["training_sequences"]) == metrics["data"]["counts"]["train"]
    assert "sets/GOOD_K562/shuffle/report.html" in (folder / "report.html").read_text(encoding="utf-8")

    broken.unlink()  # then the set is listed, and nothing fails
    written = path.stat().st_mtime_ns
    again = run(*words, "panel.shard=2/2", cwd=tmp_path)
    assert path.stat().st_mtime_ns == written
    assert "already there" in again.stdout
    found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert {one["name"]: one["state"] for one in found["sets"]} == {
        "GOOD_K562": "ran", "BAD_K562": "left out", "SMALL_HepG2": "left out",
    }  # fmt: skip
    assert found["metrics"]["test/auroc_median_shuffle"] == metrics["metrics"]["test/auroc"]

    run(*words, "panel.shard=1/2", "overwrite=true", cwd=tmp_path)
    assert path.stat().st_mtime_ns == written  # a set of the other shard
    run(*words, "panel.shard=2/2", "overwrite=true", cwd=tmp_path)
    assert path.stat().st_mtime_ns > written


@pytest.mark.slow
def test_one_network_for_all_sets(tmp_path: Path) -> None:
    (tmp_path / "peaks").mkdir()
    for seed, name in enumerate(("AA_K562", "BB_K562")):
        write_peaks(tmp_path / "peaks" / f"{name}_AC.seq.gz", seed, 60)
        write_peaks(tmp_path / "peaks" / f"{name}_B.seq.gz", seed + 10, 20, shuffled=True)
    words = ["stage=panel", "panel=peaks", "panel.least=20", "trainer.max_steps=2", "run.name=toy"]
    words += ["panel.multi_label=true", "panel.set={classify.gaps: 0}"]  # which label sets have none of
    folder = tmp_path / "outputs" / "panel" / "toy"

    run(*words, "panel.shard=2/2", cwd=tmp_path)  # the first shard trains it
    assert not (folder / "multi_label").exists()
    run(*words, "panel.shard=1/2", cwd=tmp_path)
    found = Predictions.read(folder / "multi_label" / "shuffle" / "predictions")
    table = (folder / "panel.tsv").read_text(encoding="utf-8")
    rows = [row for row in csv.DictReader(table.splitlines(), delimiter="\t") if row["model"] == "multi_label"]
    assert [row["set"] for row in rows] == found.classes == ["AA_K562", "BB_K562"]
    for at, row in enumerate(rows):
        known = found.labels[:, at] >= 0
        assert known.sum() == np.char.startswith(found.ids, f"{row['set']}/").sum() == 40
        area = roc_auc_score(found.labels[known, at], found.by_model["model"][known, at])
        assert float(row["auroc"]) == pytest.approx(area, abs=1e-5)
    content = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    costs = content["costs"]["shuffle"]
    assert (costs["model"]["networks"], costs["multi_label"]["networks"]) == (2, 1)
    assert 0.4 < costs["multi_label"]["parameters"] / costs["model"]["parameters"] < 0.6
    assert content["methods"]["shuffle"]["multi_label"]["sets"] == 2

    written = (folder / "multi_label" / "shuffle" / "metrics.json").stat().st_mtime_ns
    again = run(*words, cwd=tmp_path)
    assert again.stdout.count("already there") == 3
    assert (folder / "multi_label" / "shuffle" / "metrics.json").stat().st_mtime_ns == written
    assert (folder / "panel.tsv").read_text(encoding="utf-8") == table
