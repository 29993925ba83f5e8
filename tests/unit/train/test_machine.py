"""A machine whose cores others have is named, once."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gulmfit.models.hardware import threads
from gulmfit.train import machine
from gulmfit.train.machine import MachineWatch, waited

NOTHING: Any = SimpleNamespace()


def count(folder: Path, **nanoseconds: int) -> None:
    for thread, waiting in nanoseconds.items():
        (folder / thread).mkdir(exist_ok=True)
        (folder / thread / "schedstat").write_text(f"123 {waiting} 7\n", encoding="ascii")


@pytest.mark.parametrize(("waiting", "expected"), [(1_900_000_000, 0), (2_100_000_000, 1)])
def test_who_waits_for_more_than_a_fifth_of_the_time_says_so_once(
    waiting: int, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(machine, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    count(tmp_path, main=50_000_000_000, other=0)  # from before training: not counted
    watch = MachineWatch(seconds=10, share=0.2, tasks=tmp_path)
    with caplog.at_level(logging.WARNING):
        watch.on_train_start(NOTHING, NOTHING)
        count(tmp_path, main=50_000_000_000, other=waiting)
        watch.on_train_batch_end(NOTHING, NOTHING, None, None, 0)
        count(tmp_path, other=9 * waiting)
        watch.on_train_batch_end(NOTHING, NOTHING, None, None, 1)
        count(tmp_path, other=90 * waiting)
        watch.on_train_batch_end(NOTHING, NOTHING, None, None, 2)
    assert len(caplog.records) == 1  # the first stretch or, if that was quiet, the second
    assert ("during 21 %" in caplog.text) == bool(expected)


def test_what_the_kernel_does_not_count_is_not_judged(tmp_path: Path) -> None:
    assert waited(tmp_path / "missing") == {}
    count(tmp_path, good=2_000_000_000)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "schedstat").write_text("\n", encoding="ascii")
    assert waited(tmp_path) == {"good": 2.0}


def test_threads_are_given_back_also_after_an_error() -> None:
    before = torch.get_num_threads()
    found = []

    def fail() -> None:
        with threads(before + 1):
            found.append(torch.get_num_threads())
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        fail()
    assert found == [before + 1]
    assert torch.get_num_threads() == before
