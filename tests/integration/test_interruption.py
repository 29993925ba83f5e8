"""Runs that are stopped, killed, or lose a process go on bit for bit, and their exit codes tell the truth."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import FEW_HELD_OUT, ROOT, TINY, run, start
from .forked import Forked

PRETRAIN = [
    "stage=pretrain",
    "pretrain.epochs=2",
    "batch_size=8",
    "trainer.limit_train_batches=8",
    "trainer.precision=32-true",
    "checkpoint.every_n_steps=3",
    *TINY,
    "data.length_bp=200000",
    *FEW_HELD_OUT,
]

# Run in the place of train.py: rank 0 waits after it has saved so often, until a file is there. However slow or quick
# the machine is, the run has not ended when something happens to it.
WAITS_AFTER_SAVING = """
import os, runpy, sys, time

replace, saved = os.replace, []

def waiting(source, target):
    replace(source, target)
    if os.path.basename(target) == "last.ckpt":
        saved.append(target)
        if len(saved) == {times}:
            open({waits!r}, "w").close()
            while not os.path.exists({told!r}):
                time.sleep(0.01)

os.replace = waiting
sys.argv[0] = {train!r}
runpy.run_path({train!r}, run_name="__main__")
"""

# In which what must happen has happened; it takes seconds on an idle machine. A process that waits for a dead one waits
# for 1,800 (gloo's own limit), so this tells the two apart on a busy machine too.
SECONDS = 900


def wait_until(
    condition: Callable[[], bool], process: subprocess.Popen[str] | Forked, seconds: float = SECONDS
) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.02)


class Waiting:
    """A run that waits after it has saved its last state so often, until it is told to go on.

    Args:
        words: Of its command line.
        cwd: Folder that it stands in.
        times: How often it saves before it waits.
        fresh: As of `start`.
        environment: As of `start`.
    """

    def __init__(self, *words: str, cwd: Path, times: int = 1, fresh: bool = False, **environment: str) -> None:
        script, waits, self._told = cwd / "waits.py", cwd / "waits", cwd / "told"
        train = str(ROOT / "train.py")
        script.write_text(WAITS_AFTER_SAVING.format(times=times, waits=str(waits), told=str(self._told), train=train))
        self.process = start(*words, cwd=cwd, fresh=fresh, script=script, **environment)
        wait_until(waits.exists, self.process)

    def go_on(self) -> None:
        self._told.touch()


def weights(cwd: Path, name: str) -> bytes:
    return (cwd / "outputs" / "pretrain" / name / "model" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the weights of the run that nobody disturbs."""
    cwd = tmp_path_factory.mktemp("whole")
    run(*PRETRAIN, "run.name=whole", cwd=cwd)
    return weights(cwd, "whole")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_signal_saves_and_ends_with_75(name: str, whole: bytes, tmp_path: Path) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f"#!/bin/sh\necho $@ >> {tmp_path}/called\n")
    scontrol.chmod(0o755)
    cluster = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "SLURM_NTASKS": "1", "SLURM_JOB_NAME": "train",
        "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_NODELIST": "localhost",
        "SLURM_STEP_NODELIST": "localhost",
    }  # fmt: skip
    words = [*PRETRAIN, "run.name=signalled", "resume=auto"]
    waiting = Waiting(*words, cwd=tmp_path, fresh=name == "SIGTERM", **cluster)
    process = waiting.process
    process.send_signal(getattr(signal, name))
    waiting.go_on()
    printed, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 75, printed
    assert f"stopped by {name} after step" in printed
    assert "Traceback" not in printed
    assert (tmp_path / "called").exists() == (name == "SIGUSR1")
    if name == "SIGUSR1":
        assert (tmp_path / "called").read_text() == "requeue 7\n"
    run(*words, cwd=tmp_path)
    assert weights(tmp_path, "signalled") == whole


def test_a_damaged_checkpoint_is_passed_over(whole: bytes, tmp_path: Path) -> None:
    process = Waiting(*PRETRAIN, "run.name=hurt", cwd=tmp_path, times=2).process
    folder = tmp_path / "outputs/pretrain/hurt/checkpoints"
    assert (folder / "previous.ckpt").is_file()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    last = folder / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-100])
    printed = run(*PRETRAIN, "run.name=hurt", "resume=auto", cwd=tmp_path).stdout
    assert re.search(r"last\.ckpt.*\n.* saved before .*\.ckpt", printed)
    assert weights(tmp_path, "hurt") == whole


def test_a_second_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    process = start(*PRETRAIN, "run.name=one", cwd=tmp_path)
    wait_until((tmp_path / "outputs/pretrain/one/config.yaml").is_file, process)
    os.killpg(process.pid, signal.SIGSTOP)  # alive, and not done before the second has begun
    second = run(*PRETRAIN, "run.name=one", "overwrite=true", cwd=tmp_path, check=False)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert second.returncode == 1
    assert re.search(r"pretrain/one .*\(process \d+ ", second.stderr)


def test_divergence_stops_with_what_to_do_and_rolls_back_if_asked(tmp_path: Path) -> None:
    wild = ["stage=pretrain", "pretrain.lr=100", "pretrain.epochs=1", "trainer.limit_train_batches=60"]
    wild += ["trainer.gradient_clip_val=null"]
    words = [*PRETRAIN, "checkpoint.every_n_steps=null", *wild, "batch_size=4", "bptt=20"]
    stopped = run(*words, "run.name=stops", "on_divergence=stop", cwd=tmp_path, check=False)
    assert stopped.returncode == 1
    assert "training diverged" in stopped.stderr
    assert "on_divergence=rollback" in stopped.stderr
    assert not (tmp_path / "outputs/pretrain/stops/model").exists()
    rolled = run(*words, "run.name=rolls", "checkpoint.every_n_steps=10", cwd=tmp_path, check=False)
    assert "with the learning rate halved (1 of 4 times)" in rolled.stdout


def runs(pid: int) -> bool:
    """Whether a process has not ended; one that has may be known for as long as nobody asks how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.ddp
@pytest.mark.parametrize("rank", [0, 1])
def test_a_dead_process_ends_the_others(rank: int, tmp_path: Path) -> None:
    waiting = Waiting(*PRETRAIN, "trainer=ddp_sim", "run.name=two", cwd=tmp_path)
    process = waiting.process
    children = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    workers = [pid for pid in children if Path(f"/proc/{pid}/comm").read_text() == "train.py\n"]
    assert len(workers) == 1
    os.kill([process.pid, *workers][rank], signal.SIGKILL)
    waiting.go_on()
    assert process.wait(timeout=SECONDS)
    end = time.monotonic() + SECONDS
    while any(map(runs, workers)):
        assert time.monotonic() < end, "a process waits for a dead one"
        time.sleep(0.02)


@pytest.mark.ddp
def test_three_processes_continue_bit_for_bit_and_one_cannot(tmp_path: Path) -> None:
    """Three, for the sum of three numbers depends on their order, and so on how gradients are dealt into buckets."""
    words = [*PRETRAIN, "trainer=ddp_sim", "trainer.devices=3", "batch_size=4"]
    run(*words, "run.name=whole", cwd=tmp_path)
    process = Waiting(*words, "run.name=killed", cwd=tmp_path, times=2).process
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    refused = run(*PRETRAIN, "run.name=killed", "resume=auto", cwd=tmp_path, check=False)
    assert refused.returncode == 1
    assert "batch_size" in refused.stderr  # of all processes together
    run(*words, "run.name=killed", "resume=auto", cwd=tmp_path)
    assert weights(tmp_path, "killed") == weights(tmp_path, "whole")
