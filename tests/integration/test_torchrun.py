"""torchrun starts the processes, on one node or on two: all ends as with Lightning's own launcher, kills included.

Two nodes are two network namespaces with a cable between them, and share the file system as the nodes of a cluster do.
They need Linux, `ip`, and leave to make namespaces; they, and all in them, end with their processes.
"""

import csv
import json
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from .conftest import ROOT, run
from .forked import Forked, start_torchrun

pytestmark = pytest.mark.ddp

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
TRAIN = ROOT / "train.py"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
SECONDS = 900.0  # in which a torchrun that lost a process has to end: on an idle machine a few, without a cure 1,800

# Run in the place of train.py: rank 0 dies of its fifth last.ckpt, in the second epoch, before it replaces the fourth.
DIES_WHILE_SAVING = """
import os, runpy, signal, sys

replace, saved = os.replace, []

def dying(source, target):
    if os.path.basename(target) == "last.ckpt":
        saved.append(target)
        if len(saved) == 5:
            os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)

os.replace = dying
sys.argv[0] = {train!r}
runpy.run_path({train!r}, run_name="__main__")
"""


def words(genome: Path) -> list[str]:
    """Return what to train: at such a rate the first of three epochs is the best, and has to be remembered."""
    return [
        "stage=pretrain", "data=fasta", f"data.path={genome}", "holdout.block_bp=4000", "run.name=run", "resume=auto",
        "arch=awd_lstm_tiny", "pretrain.epochs=3", "pretrain.lr=0.1", "batch_size=8", "bptt=35",
        "trainer.limit_train_batches=10", "trainer.log_every_n_steps=1", "trainer.precision=32-true",
        "checkpoint.every_n_steps=3", "callbacks.progress.refresh_rate=0",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, rng = tmp_path_factory.mktemp("genome") / "genome.fa", random.Random(5)
    path.write_text("".join(f">contig_{number}\n{''.join(rng.choices('ACGT', k=20_000))}\n" for number in range(2)))
    time.sleep(2.1)  # the checksum of a file that was written just now is not kept
    return path


@pytest.fixture(scope="module")
def launched(genome: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Return what a run leaves that Lightning's own launcher starts and nobody disturbs."""
    cwd = tmp_path_factory.mktemp("launched")
    run(*words(genome), "trainer=ddp_sim", cwd=cwd)
    with (cwd / "outputs" / "pretrain" / "run" / "metrics.csv").open(newline="") as handle:
        bits = [float(row["val/bits_per_base"]) for row in csv.DictReader(handle) if row["val/bits_per_base"]]
    assert bits.index(min(bits)) == 0
    return left(cwd)


def left(cwd: Path) -> dict[str, object]:
    """Return the results of the run, and the names of all files but checkpoints that stand in `outputs/`."""
    folder = cwd / "outputs" / "pretrain" / "run"
    metrics = json.loads((folder / "metrics.json").read_text())
    for what in ("timing", "versions"):
        del metrics[what]
    files = [path.relative_to(cwd) for path in (cwd / "outputs").rglob("*") if path.is_file()]
    assert not [path for path in files if ".unfinished" in path.name or path.name == ".lock"]
    last = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return {
        "best": (folder / "model" / "model.safetensors").read_bytes(),
        "last": {name: tensor.numpy().tobytes() for name, tensor in last.items()},
        "curves": (folder / "metrics.csv").read_text(),
        "metrics": metrics,
        "files": sorted(str(path) for path in files if "checkpoints" not in path.parts),
    }


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


Start = Callable[[Path], Forked]


@pytest.fixture
def torchrun(genome: Path, tmp_path: Path) -> Iterator[Start]:
    """Yield what starts a script on two processes."""
    processes: list[Forked] = []

    def start(script: Path) -> Forked:
        place = ["--nproc-per-node=2", "--master-addr=127.0.0.1", f"--master-port={free_port()}"]
        command = [*place, str(script), *words(genome), "trainer=ddp_sim"]
        processes.append(start_torchrun(*command, cwd=tmp_path, environment=ENVIRONMENT))
        return processes[-1]

    yield start
    for process in processes:  # told to stop, it ends its processes too, which a kill would leave
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)


def test_what_torchrun_lost_goes_on_to_the_same_end(
    torchrun: Start, launched: dict[str, object], tmp_path: Path
) -> None:
    """A process dies as it saves, then torchrun is told to stop, then nothing disturbs it."""
    checkpoints = tmp_path / "outputs" / "pretrain" / "run" / "checkpoints"
    dying = tmp_path / "dying.py"
    dying.write_text(DIES_WHILE_SAVING.format(train=str(TRAIN)))
    assert torchrun(dying).wait(SECONDS)
    names = {path.name for path in checkpoints.iterdir()}
    assert {"best.ckpt", "last.ckpt", "previous.ckpt"} < names
    assert any(name.startswith(".last.ckpt.") for name in names)

    fourth = (checkpoints / "last.ckpt").stat()
    process = torchrun(TRAIN)
    end = time.monotonic() + SECONDS
    while (checkpoints / "last.ckpt").stat().st_ino == fourth.st_ino:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS)
    assert "stopped by SIGTERM after step" in process.communicate()[0]

    last = torchrun(TRAIN)
    assert last.wait(SECONDS) == 0, last.communicate()[0]
    assert left(tmp_path) == launched


TWO_NODES = """
set -e
ip link set lo up
unshare --net sleep 1800 & second=$!
until [ "$(readlink /proc/$second/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.05; done
ip link add node0 type veth peer name node1 netns $second
ip addr add 10.0.0.1/24 dev node0
ip link set node0 up
inside="nsenter --net=/proc/$second/ns/net"
$inside ip link set lo up
$inside ip addr add 10.0.0.2/24 dev node1
$inside ip link set node1 up
"""


def namespaces() -> list[str]:
    """Return the command that runs a script as the first of two nodes, or skip where there can be none.

    It has a namespace of processes too: whatever is left in it when the script ends is killed.
    """
    missing = [name for name in ("ip", "unshare", "nsenter", "sh") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"two nodes need {', '.join(missing)}, which this machine lacks")
    refused = ""
    apart = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"]
    for leave in ([], ["--user", "--map-root-user"]):  # root needs no leave, others a user namespace
        command = ["unshare", *leave, *apart]
        tried = subprocess.run([*command, TWO_NODES], text=True, capture_output=True, timeout=900, check=False)
        if not tried.returncode:
            return command
        refused = tried.stderr.strip()
    pytest.skip(f"two nodes need two network namespaces and a cable between them, which are refused here: {refused}")


def test_two_nodes_end_as_one(genome: Path, launched: dict[str, object], tmp_path: Path) -> None:
    """One process in each of two network namespaces, without a way from one to the other but the cable."""
    command = namespaces()
    place = "--nnodes=2 --node-rank=$1 --nproc-per-node=1 --master-addr=10.0.0.1 --master-port=29500"
    trainer = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=1", "trainer.num_nodes=2"]
    started = shlex.join([str(TRAIN), *words(genome), *trainer])
    (tmp_path / "node.sh").write_text(f"GLOO_SOCKET_IFNAME=node$1 exec {shlex.join(TORCHRUN)} {place} {started}\n")
    both = f"{TWO_NODES}\n$inside sh node.sh 1 > second.txt 2>&1 & other=$!\nsh node.sh 0\nwait $other\n"
    result = subprocess.run(
        [*command, both], cwd=tmp_path, env=ENVIRONMENT, text=True, capture_output=True, timeout=900, check=False
    )
    second = (tmp_path / "second.txt").read_text() if (tmp_path / "second.txt").exists() else ""
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr[-3000:]}\nsecond node:\n{second[-3000:]}"
    assert "report: " in second  # both nodes come to the end
    assert left(tmp_path) == launched
