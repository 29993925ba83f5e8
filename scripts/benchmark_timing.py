"""How the rows of scripts/benchmark.py are measured: repetitions and their median, memory, what cannot be measured.

Standard library alone: scripts/benchmark_fastai.py uses it too, in another environment.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


class CannotMeasureError(Exception):
    """A row that this machine cannot measure, and why."""


@dataclass(frozen=True)
class Setting:
    """Where and how a row is measured.

    Args:
        device: `cpu` or `cuda`.
        tiny: Whether to shrink everything, to see that the rows work.
        folder: Temporary files, shared by all rows.
        fastai_python: Interpreter of fastai's environment.
    """

    device: str
    tiny: bool
    folder: Path = Path()
    fastai_python: Path = Path()

    @property
    def repetitions(self) -> int:
        """How often to measure, at least."""
        return 1 if self.tiny else 3

    @property
    def seconds(self) -> float:
        """How long to measure, at least: short work is repeated more often."""
        return 0.0 if self.tiny else 3.0

    def synchronize(self) -> None:
        """Wait for the GPU: what was asked of it is not done yet."""
        if self.device == "cuda":
            import torch

            torch.cuda.synchronize()


@dataclass
class Measurement:
    """The median of the repetitions, their range, and what it takes to compare it with the machine's ceiling."""

    value: float
    low: float
    high: float
    flop: float = 0.0
    """Floating-point operations behind one unit of the value; 0 where nothing is computed."""
    note: str = ""


def median(values: Sequence[float], *, flop: float = 0.0, note: str = "") -> Measurement:
    """Summarise repetitions."""
    return Measurement(statistics.median(values), min(values), max(values), flop, note)


def rates(
    work: Callable[[], float], setting: Setting, *, before: Callable[[], None] = lambda: None, repetitions: int = 0
) -> list[float]:
    """Do the work once to warm up, then again and again with a clock.

    Args:
        work: Returns how much of its unit it has done.
        setting: Says how often, and for how long at least.
        before: Done before each repetition, outside the clock.
        repetitions: Exactly so many instead, as processes that wait for each other need.

    Returns:
        What each repetition did in a second.
    """
    before()
    work()
    found: list[float] = []
    begin = time.perf_counter()

    def enough() -> bool:
        if repetitions:
            return len(found) >= repetitions
        return len(found) >= setting.repetitions and time.perf_counter() - begin >= setting.seconds

    while not enough():
        before()
        setting.synchronize()
        start = time.perf_counter()
        done = work()
        setting.synchronize()
        found.append(done / (time.perf_counter() - start))
    return found


def resident(peak: bool = False) -> float:
    """Return the resident memory of this process, or its peak, in MiB.

    Raises:
        CannotMeasureError: If the system has no /proc.
    """
    # Not getrusage: its peak begins with that of the process that started this one.
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError as error:
        raise CannotMeasureError("memory is read from /proc, which this system lacks") from error
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields["VmHWM" if peak else "VmRSS"].split()[0]) / 1024
