"""Checkpoints survive: damage, a full disk, two writers."""

import errno
import multiprocessing
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from gulmfit.errors import CheckpointError
from gulmfit.train.survive import durable
from gulmfit.train.survive.durable import LAST, PREVIOUS, DurableCheckpointIO, held, newest_sound

SECONDS = 900.0  # in which a process has begun that imports all there is, on a busy machine too
SPEC = {"arch": {}, "head": {}, "dropout": {}, "tokenizer": {}}


def checkpoint(step: int) -> dict[str, Any]:
    return {"hyper_parameters": {"spec": SPEC}, "state_dict": {}, "global_step": step, "bulk": torch.randn(2000)}


def save(folder: Path, step: int) -> None:
    DurableCheckpointIO().save_checkpoint(checkpoint(step), folder / LAST)


def step_of(path: Path | None) -> int:
    assert path is not None
    return int(torch.load(path, weights_only=True)["global_step"])


def test_the_newest_is_taken_and_the_one_before_is_kept(tmp_path: Path) -> None:
    assert newest_sound(tmp_path) is None
    for step in (1, 2, 3):
        save(tmp_path, step)
        assert step_of(newest_sound(tmp_path)) == step
    assert step_of(tmp_path / PREVIOUS) == 2
    assert {path.name for path in tmp_path.iterdir()} == {LAST, PREVIOUS}


@pytest.mark.parametrize("damage", ["empty", "cut", "bit", "gone"])
def test_a_damaged_one_is_passed_over(damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    last = tmp_path / LAST
    content = bytearray(last.read_bytes())
    if damage == "gone":  # killed between the two renamings
        last.unlink()
    else:
        content[len(content) // 2] ^= 0xFF
        last.write_bytes({"empty": b"", "cut": bytes(content[:3000]), "bit": bytes(content)}[damage])
    found = newest_sound(tmp_path)
    assert step_of(found) == 1
    assert bool(re.search(r"last\.ckpt.*\n.* saved before ", caplog.text)) == (damage != "gone")


def test_when_all_are_damaged_it_says_so(tmp_path: Path) -> None:
    for name in (LAST, PREVIOUS):
        (tmp_path / name).write_bytes(b"nothing of ours")
    with pytest.raises(CheckpointError, match=r"(?s)last\.ckpt.*No earlier checkpoint.*overwrite=true"):
        newest_sound(tmp_path)


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(durable.os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"last\.ckpt .*written: .*Errno 28.*resume=auto"):
        save(tmp_path, 2)
    monkeypatch.undo()
    assert step_of(newest_sound(tmp_path)) == 1
    assert {path.name for path in tmp_path.iterdir()} == {LAST}


def _hold(folder: Path, begun: Any, done: Any) -> None:
    with held(folder):
        begun.set()
        done.wait(SECONDS)


def test_a_second_writer_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    # What holds the lock is a process of its own either way, and a forked one need not import all there is.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    begun, done = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path, begun, done))
    process.start()
    assert begun.wait(SECONDS)
    message = rf"another process \(process {process.pid} on .*run\.name="
    with pytest.raises(CheckpointError, match=message), held(tmp_path):
        pass
    process.kill()  # the lock goes with the process, however it ends
    process.join()
    with held(tmp_path):
        pass
