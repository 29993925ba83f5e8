"""One tiny run of all three stages through the command, shared by the tests of this folder."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from gulmfit.models import peer_cnn

from .forked import run_forked

ROOT = Path(__file__).resolve().parents[2]

TINY = [
    "arch=awd_lstm_tiny",
    "data.length_bp=400000",
    "data.num_train=40",
    "data.num_valid=20",
    "data.num_test=100",
    "callbacks.progress.refresh_rate=0",
]


def run(*words: str, cwd: Path, check: bool = True, command: str = "train") -> subprocess.CompletedProcess[str]:
    """Run a command of this checkout as a user would, and return what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    code = f"from gulmfit.cli import {command}; {command}()"
    if sys.platform == "linux" and not any(word.startswith(("-m", "trainer=ddp")) for word in words):
        script = ROOT / "train.py" if command == "train" else None
        # Seconds in each of a hundred runs; tests/unit has the network at its full length.
        with mock.patch.object(peer_cnn, "MOST_TIMES", 3):
            result = run_forked(script, command, words, cwd, environment)
    else:
        start = [sys.executable, str(ROOT / "train.py")] if command == "train" else [sys.executable, "-c", code]
        result = subprocess.run(
            [*start, *words], cwd=cwd, env=environment, text=True, capture_output=True, timeout=900, check=False
        )
    if check and result.returncode:
        raise AssertionError(f"exit {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result


@dataclass
class Trained:
    """A finished tiny run of `stage=ulmfit`."""

    cwd: Path
    folder: Path
    printed: str

    def metrics(self, part: str = "") -> dict[str, Any]:
        return json.loads((self.folder / part / "metrics.json").read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    cwd = tmp_path_factory.mktemp("trained")
    printed = run("stage=ulmfit", "run.name=tiny", "trainer.max_steps=12", *TINY, cwd=cwd).stdout
    return Trained(cwd, cwd / "outputs" / "ulmfit" / "tiny", printed)
