"""The helper scripts on the shared tiny run."""

from pathlib import Path

from .conftest import Trained, run_script


def test_summary_over_runs(trained: Trained, tmp_path: Path) -> None:
    printed = run_script("summary.py", str(trained.folder), cwd=tmp_path, check=True).stdout
    accuracy = trained.metrics()["metrics"]["test/accuracy"]
    assert f" {accuracy:.3f} " in next(line for line in printed.splitlines() if "transferred" in line)
    assert printed.count("baseline: ") == 9
    alone = run_script("summary.py", str(trained.folder / "scratch"), cwd=tmp_path, check=True).stdout
    assert "| model " in alone
    assert "transferred" not in alone
    missing = run_script("summary.py", "nowhere", cwd=tmp_path)
    assert missing.returncode == 1
    assert "nowhere" in missing.stderr
