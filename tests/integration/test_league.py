"""scripts/league.py from end to end over a toy registry."""

import csv
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from .conftest import ROOT, TINY, run_script
from .forked import Forked


@pytest.mark.slow
def test_a_league_of_toys(tmp_path: Path) -> None:
    sets = {
        "broken": {
            "title": "A table that is not there",
            "words": ["stage=classify", "data=table", "data.path=none.csv"],
        },
        "toy": {"title": "A simulated task", "words": ["stage=classify", "data=synthetic", *TINY]},
    }
    (tmp_path / "sets.yaml").write_text(yaml.safe_dump(sets), encoding="utf-8")

    def league(*words: str) -> subprocess.CompletedProcess[str]:
        return run_script("league.py", "sets=sets.yaml", "output=league", *words, cwd=tmp_path, further=len(sets))

    first = league("trainer.max_steps=3")
    assert first.returncode == 1
    assert "broken: exit status 1" in first.stderr
    assert "none.csv" in first.stderr
    assert first.stdout.splitlines()[-1].startswith("network: at or above the best baseline on ")
    path = tmp_path / "league" / "classify" / "toy" / "metrics.json"
    metrics = json.loads(path.read_text(encoding="utf-8"))
    with (tmp_path / "league" / "league.tsv").open(encoding="utf-8", newline="") as handle:
        rows = {row["model"]: row for row in csv.DictReader(handle, delimiter="\t")}
    assert set(rows) == {"model", *metrics["baselines"]}
    assert float(rows["model"]["value"]) == pytest.approx(metrics["metrics"]["test/accuracy"], abs=1e-5)
    assert float(rows["gc"]["p_against_network"]) == pytest.approx(metrics["sign_flip"]["gc"]["p_value"], rel=1e-4)

    written = path.stat().st_mtime_ns
    again = league("only=toy", "trainer.max_steps=3")
    assert again.returncode == 0
    assert path.stat().st_mtime_ns == written
    other = league("only=toy", "trainer.max_steps=4")
    assert other.returncode == 1
    assert "trainer" in other.stderr
    assert path.stat().st_mtime_ns == written


def test_a_league_that_is_told_to_stop_leaves_no_run_behind(tmp_path: Path) -> None:
    endless = ["trainer.max_steps=100000", "classify.phases=[{epochs: 100000, lr: 1e-3}]"]
    sets = {"toy": {"title": "A simulated task", "words": ["stage=classify", "data=synthetic", *TINY, *endless]}}
    (tmp_path / "sets.yaml").write_text(yaml.safe_dump(sets), encoding="utf-8")
    words = ["sets=sets.yaml", "output=league"]
    league = Forked(ROOT / "scripts" / "league.py", "league", words, tmp_path, dict(os.environ), further=1)
    curves = tmp_path / "league" / "classify" / "toy" / "metrics.csv"
    while not curves.is_file() and league.poll() is None:
        time.sleep(0.05)
    league.send_signal(signal.SIGTERM)
    printed, errors = league.communicate()
    assert league.returncode == 75, errors
    assert "stopped by SIGTERM" in printed + errors
    assert "The same command goes on" in errors
