"""Whether other work on the machine makes training wait."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

WINDOW_S = 30.0
QUIET_S = 300.0
# Steps that take a little longer than they could are no news.
SLOWER = 1.3


@dataclass
class Clocks:
    """What the clocks of a machine show at one moment, all in seconds.

    Attributes:
        wall: Time.
        own: CPU time of this process.
        all: CPU time of the whole machine.
        cores: Their number.
        threads: For each thread of this process its CPU time, and the time it was ready and had no core.
    """

    wall: float
    own: float
    all: float
    cores: int
    threads: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def read_clocks() -> Clocks | None:
    """Read the clocks of Linux; None where the system does not have them."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0].split()[1:]
        ticks = [int(value) for value in first]
        busy = (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]) / os.sysconf("SC_CLK_TCK")
        threads = {}
        for folder in Path("/proc/self/task").iterdir():
            used, waited = (folder / "schedstat").read_text(encoding="ascii").split()[:2]
            threads[folder.name] = (int(used) / 1e9, int(waited) / 1e9)
    except (OSError, ValueError, IndexError):
        return None
    return Clocks(time.monotonic(), time.process_time(), busy, os.cpu_count() or 1, threads)


class Load:
    """Look now and then whether training waits for cores that others use.

    Args:
        read: Reads the clocks.
        now: Reads the time, to know whether it is worth while.
    """

    def __init__(
        self, read: Callable[[], Clocks | None] = read_clocks, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._read, self._now = read, now
        self._before: Clocks | None = None
        self._next = now()

    def look(self) -> str:
        """Return a sentence where training waits, at most once in five minutes; else nothing."""
        if self._now() < self._next:
            return ""
        before, self._before = self._before, self._read()
        self._next = self._now() + WINDOW_S
        if before is None or self._before is None:
            return ""
        found = waiting(before, self._before)
        if found is None:
            return ""
        self._next, self._before = self._now() + QUIET_S, None
        others, slower = found
        return (
            f"this machine is busy: other work takes {others:.0%} of its cores, and steps take about {slower:.1f} "
            "times as long as they could"
        )


def waiting(before: Clocks, after: Clocks) -> tuple[float, float] | None:
    """Return the share of all cores that others use, and how many times as long this process takes; None if it does not
    wait."""
    passed = {
        name: (used - before.threads[name][0], waited - before.threads[name][1])
        for name, (used, waited) in after.threads.items()
        if name in before.threads
    }
    # The one that works most sets the pace: the others wait for it, or it for them.
    used, waited = max(passed.values(), default=(0.0, 0.0))
    slower = (used + waited) / used if used > 0 else 1.0
    wall = after.wall - before.wall
    others = max(0.0, (after.all - before.all) - (after.own - before.own)) / (wall * after.cores) if wall > 0 else 0.0
    return (min(1.0, others), slower) if slower >= SLOWER else None
