"""The benchmark script: its rows work, and it says so where they do not."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from .conftest import run_script

FASTAI = ("train_fastai", "predict_fastai")
BUSY = ("train_busy", "train_small_busy")
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
# Beyond what was resident before; in the one process of --tiny that may be nothing.
GROWTH = ("memory_x1", "memory_x10", "memory_x100")


def benchmark(*words: str, folder: Path, further: int = 0) -> subprocess.CompletedProcess[str]:
    return run_script("benchmark.py", "--json", str(folder / "results.json"), *words, cwd=folder, further=further)


def results(folder: Path) -> dict[str, dict]:
    return {record["name"]: record for record in json.loads((folder / "results.json").read_text(encoding="utf-8"))}


def known_rows(folder: Path) -> list[str]:
    refused = benchmark("--only", "train,speed", folder=folder)
    assert refused.returncode == 2
    assert "speed" in refused.stderr
    return refused.stderr.rpartition("Known are ")[2].strip(" .\n").split(", ")


@pytest.mark.slow
def test_every_row_works(tmp_path: Path) -> None:
    done = benchmark("--tiny", "--fastai-python", "nowhere/python", folder=tmp_path, further=9)
    assert done.returncode == 0, done.stderr
    records = results(tmp_path)
    assert list(records) == known_rows(tmp_path)
    for name, record in records.items():
        assert name in done.stdout
        if name in FASTAI:
            assert record["value"] is None
            assert "make bench" in record["skipped"]
        elif name in BUSY and CORES < 2:
            assert "two cores" in record["skipped"]
        else:
            assert record["value"] > 0 or (name in GROWTH and record["value"] == 0)
            low, high = record["range"]
            assert low <= record["value"] <= high
    assert records["train"]["fraction_of_ceiling"] > 0
    assert records["store"]["fraction_of_ceiling"] is None
    for name in BUSY if CORES > 1 else ():
        ratio, idle = re.search(r"([0-9.]+) x ([0-9,]+) without", records[name]["note"]).groups()
        assert float(ratio) == pytest.approx(records[name]["value"] / float(idle.replace(",", "")), rel=0.1)
    assert records["train"]["value"] == records["train_b256"]["value"]
    assert set(records["tokens"]["ratios"]) == {"tokens_python", "train"}
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_a_row_in_a_process_of_its_own(tmp_path: Path) -> None:
    done = benchmark("--only", "tokens_python", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(record["value"] > 0 for record in results(tmp_path).values())


def test_a_row_that_fails(tmp_path: Path) -> None:
    words = ("--tiny", "--only", "train_fastai,tokens_python", "--fastai-python", sys.executable)
    done = benchmark(*words, folder=tmp_path)
    assert done.returncode == 1
    assert "failed: " in done.stdout
    assert "fastai" in done.stderr
    records = results(tmp_path)
    assert records["train_fastai"]["value"] is None
    assert records["tokens_python"]["value"] > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(tmp_path: Path) -> None:
    done = benchmark("--device", "cuda", folder=tmp_path)
    assert done.returncode == 2
    assert "no CUDA device" in done.stderr
    assert not (tmp_path / "results.json").exists()
