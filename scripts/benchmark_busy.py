"""Rows of scripts/benchmark.py that show what a busy neighbour costs: it wants one of the two cores that train."""

import os
import subprocess
import sys
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path

import torch
from benchmark_models import language_model_training, shrunk
from benchmark_timing import CannotMeasureError, Measurement, Setting, median, rates

CORES = 2


@contextmanager
def confined() -> Iterator[list[int]]:
    """Keep every thread of this process on two cores, as on a small machine; yield the cores.

    Raises:
        CannotMeasureError: If the system cannot do that, or if there is one core only.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise CannotMeasureError("a process is kept on two cores in Linux only")
    before = os.sched_getaffinity(0)
    cores = sorted(before)[:CORES]
    if len(cores) < CORES:
        raise CannotMeasureError("it takes two cores")
    count = torch.get_num_threads()
    try:
        _keep_on(set(cores))
        torch.set_num_threads(CORES)
        yield cores
    finally:
        torch.set_num_threads(count)
        _keep_on(before)


def _keep_on(cores: Set[int]) -> None:
    for task in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


@contextmanager
def neighbour(core: int) -> Iterator[None]:
    """Run a process that never sleeps on one core."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        os.sched_setaffinity(process.pid, {core})
        yield
    finally:
        process.kill()
        process.wait()


def beside_a_neighbour(setting: Setting, arch: str, batch_size: int) -> Measurement:
    """Train a language model on two cores, of which another process wants one: tokens a second.

    The idle figure is the better one of before and after, so that a machine that slows down flatters nobody.
    """
    with confined() as cores:
        training, parameters, note = language_model_training(setting, arch, shrunk(setting, batch_size))

        def work() -> float:
            return float(training.step().numel())

        before = median(rates(work, setting)).value
        with neighbour(cores[0]):
            found = median(rates(work, setting), flop=6.0 * parameters)
        idle = max(before, median(rates(work, setting)).value)
    found.note = f"{note}; {found.value / idle:.2f} x {idle:,.0f} without the neighbour"
    return found
