"""Two processes train one model: ranks stay equal through every thawing, and the commands work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, TINY, run

pytestmark = pytest.mark.ddp


@pytest.mark.parametrize("kind", ["classification", "language"])
def test_ranks_stay_equal(kind: str, tmp_path: Path) -> None:
    script = ROOT / "tests" / "integration" / "ddp_ranks.py"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(script), kind]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, text=True, capture_output=True, timeout=280, check=False
    )
    # The oracle is what the ranks say of their weights; how the process group is torn down afterwards is not ours.
    assert result.stdout.count(": equal") == 3, f"exit {result.returncode}\n{result.stdout}\n{result.stderr[-3000:]}"
    assert "differ" not in result.stderr


def test_the_three_stages_on_two_processes(tmp_path: Path) -> None:
    words = ["stage=ulmfit", "trainer=ddp_sim", "trainer.max_steps=6", "run.name=two", *TINY]
    printed = run(*words, cwd=tmp_path).stdout
    folder = tmp_path / "outputs" / "ulmfit" / "two"
    assert (folder / "metrics.json").is_file()
    assert printed.count("report: ") == 1


def test_a_sweep_on_two_processes_is_refused(tmp_path: Path) -> None:
    result = run("-m", "stage=classify", "trainer=ddp_sim", "seed=1,2", *TINY, cwd=tmp_path, check=False)
    assert result.returncode == 1
    assert "trainer.devices=1" in result.stderr
