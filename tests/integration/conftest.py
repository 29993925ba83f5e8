"""One tiny run of all three stages through the command, shared by the tests of this folder."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest import mock

import pytest
from filelock import FileLock

from gulmfit.evaluate import uncertainty
from gulmfit.evaluate.baselines import fits
from gulmfit.models import peer_cnn
from gulmfit.seq.simulate import markov

from .forked import DRAWS, PASSES, WORDS, Forked, fitted_once, run_forked

ROOT = Path(__file__).resolve().parents[2]

TINY = [
    "arch=awd_lstm_tiny",
    "data.length_bp=400000",
    "data.num_train=40",
    "data.num_valid=20",
    "data.num_test=100",
    "callbacks.progress.refresh_rate=0",
]

# Most of a short run of a language model would be its validation, which few tests look at.
FEW_HELD_OUT = ["holdout.block_bp=2000", "holdout.margin_bp=100", "holdout.fraction=0.02"]


MOST_OF_A_PANEL = 3  # runs of a command of the tests


def _forks(words: tuple[str, ...]) -> bool:
    """Whether a command can be forked: not a sweep whose jobs are started by other means."""
    return sys.platform == "linux" and not any(word.startswith("hydra/launcher=") for word in words)


def _further(words: tuple[str, ...]) -> int:
    """How many processes a command starts by itself."""
    asked = dict(word.split("=", 1) for word in words if "=" in word)
    ranks = int(asked.get("trainer.devices", 2)) - 1 if asked.get("trainer") == "ddp_sim" else 0
    panel = MOST_OF_A_PANEL if asked.get("stage") == "panel" else 0  # one for each of its runs
    return ranks + int(asked.get("search.workers", 0)) + panel


def _script(command: str) -> Path | None:
    return ROOT / "train.py" if command == "train" else None


def _begin(script: Path | None, command: str) -> list[str]:
    return [sys.executable, *([str(script)] if script else ["-c", f"from gulmfit.cli import {command}; {command}()"])]


def _environment(more: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


def run(
    *words: str, cwd: Path, check: bool = True, command: str = "train", rendered: bool = False, further: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command of this checkout as a user would, and return what it printed.

    Args:
        words: Of its command line.
        cwd: Folder that it stands in.
        check: Whether it has to end with 0.
        command: Its name in `gulmfit.cli`.
        rendered: Whether the pictures of its pages have to be there, where it is forked.
        further: Whether the processes that it starts may be forked as well.
    """
    return _finished(_script(command), command, words, cwd, check, rendered, _further(words) if further else 0)


def run_script(
    name: str, *words: str, cwd: Path, check: bool = False, further: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run a script of `scripts/` as a user would, and return what it printed.

    Args:
        name: Its file.
        words: Of its command line.
        cwd: Folder that it stands in.
        check: Whether it has to end with 0.
        further: How many of the processes that it starts are forked as well.
    """
    return _finished(ROOT / "scripts" / name, name, words, cwd, check, further=further)


def _finished(
    script: Path | None,
    command: str,
    words: tuple[str, ...],
    cwd: Path,
    check: bool,
    rendered: bool = False,
    further: int = 0,
) -> subprocess.CompletedProcess[str]:
    if _forks(words):
        result = run_forked(script, command, words, cwd, _environment(), rendered=rendered, further=further)
    else:
        result = subprocess.run(
            [*_begin(script, command), *words], cwd=cwd, env=_environment(), text=True, capture_output=True,
            timeout=900, check=False,
        )  # fmt: skip
    if check and result.returncode:
        raise AssertionError(f"exit {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result


def start(
    *words: str, cwd: Path, command: str = "train", fresh: bool = False, script: Path | None = None, **environment: str
) -> "subprocess.Popen[str] | Forked":
    """Start a command in a process group of its own; what it prints, errors too, is one text.

    Args:
        words: Of its command line.
        cwd: Folder that it stands in.
        command: Its name in `gulmfit.cli`.
        fresh: Whether the process has to be one of its own from its first instruction on.
        script: What to run in the place of the command's own script.
        environment: What differs from this process's.
    """
    if _forks(words) and not fresh:
        given = (script or _script(command), command, words, cwd, _environment(environment))
        return Forked(*given, joined=True, further=_further(words))
    return subprocess.Popen(
        [*_begin(script or _script(command), command), *words], cwd=cwd, env=_environment(environment), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


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
    """Train once for all workers; each has a copy, in which its tests may run more."""
    own = tmp_path_factory.mktemp("trained")
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    shared = own.with_name("first") if alone else tmp_path_factory.getbasetemp().parent / "trained"
    with FileLock(f"{shared}.lock"):
        printed = shared / "printed.txt"
        if not printed.is_file():
            shared.mkdir(exist_ok=True)
            words = ["stage=ulmfit", "run.name=tiny", "trainer.max_steps=12", *TINY]
            text = run(*words, cwd=shared, rendered=True).stdout
            printed.write_text(text, encoding="utf-8")
        shutil.copytree(shared, own, dirs_exist_ok=True)
    return Trained(own, own / "outputs" / "ulmfit" / "tiny", printed.read_text(encoding="utf-8"))


@pytest.fixture(autouse=True, scope="module")
def quick_runs(unrendered: None) -> Iterator[None]:
    """What is trained in this process has no rendered pictures, few resamples, and baselines of few passes."""
    with (
        mock.patch.object(fits, "cached", fitted_once(fits.cached)),
        mock.patch.object(peer_cnn, "MOST_TIMES", PASSES),
        mock.patch.object(uncertainty, "DRAWS", DRAWS),
        mock.patch.object(markov, "MAX_WORDS", WORDS),
    ):
        yield
