"""The helper scripts on the shared tiny run."""

import subprocess
import sys

from .conftest import ROOT, Trained


def test_summary_over_runs(trained: Trained) -> None:
    script = [sys.executable, str(ROOT / "scripts" / "summary.py")]
    printed = subprocess.run([*script, str(trained.folder)], text=True, capture_output=True, check=True).stdout
    accuracy = trained.metrics()["metrics"]["test/accuracy"]
    assert f" {accuracy:.3f} " in next(line for line in printed.splitlines() if "transferred" in line)
    assert printed.count("baseline: ") == 9
    alone = subprocess.run(
        [*script, str(trained.folder / "scratch")], text=True, capture_output=True, check=True
    ).stdout
    assert "| model " in alone
    assert "transferred" not in alone
    missing = subprocess.run([*script, "nowhere"], text=True, capture_output=True, check=False)
    assert missing.returncode == 1
    assert "nowhere" in missing.stderr
