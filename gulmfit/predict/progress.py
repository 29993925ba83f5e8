"""How far a command is: a bar on a terminal, a line a minute elsewhere; and first of all how long it will take.

What is told goes where the other words of a command go, so that a pipe and a log file have whole lines.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Self, TypeVar

from tqdm import tqdm

from gulmfit.models.hardware import memory_so_far
from gulmfit.quiet import is_quiet

logger = logging.getLogger(__name__)

T = TypeVar("T")

# A rate is told once it has been measured for so long, of work that takes so long.
MEASURE_S, LONG_S = 2.0, 60.0
# Where no terminal shows a bar.
EVERY_S = 60.0


class Bar:
    """Count what is done, in a `with` statement.

    Args:
        what: What is done, as a word for the line.
        unit: Of what is counted, in the plural.
        total: How much there is; None if that is not known.
        done: How much an earlier process has done.
        estimate: What to say instead of a sentence of this class, and then of short work too: units a second to text.
    """

    def __init__(
        self, what: str, unit: str, *, total: int | None = None, done: int = 0,
        estimate: Callable[[float], str] | None = None,
    ) -> None:  # fmt: skip
        self._what, self._unit, self._total, self._done, self._estimate = what, unit, total, done, estimate
        # disable=None: only a terminal can draw a line again.
        self._bar = tqdm(
            total=total, initial=done, desc=what, unit=f" {unit}", unit_scale=True, smoothing=0.05,
            disable=is_quiet() or None,
        )  # fmt: skip
        self._begun = self._told = time.perf_counter()
        self._before = self._done_when_told = done
        self._estimated = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def update(self, count: int) -> None:
        """Count, and tell what is due."""
        self._bar.update(count)
        self._done += count
        now = time.perf_counter()
        if not self._estimated and now - self._begun > MEASURE_S:
            self._estimated = True
            self._tell_estimate((self._done - self._before) / (now - self._begun))
        if self._bar.disable and now - self._told >= EVERY_S:
            logger.info("%s", self._standing(now))
            self._told, self._done_when_told = now, self._done

    def _tell_estimate(self, rate: float) -> None:
        left = (self._total or 0) - self._done
        if left <= 0 or not rate or (self._estimate is None and left / rate < LONG_S):
            return
        told = f"{self._what}: about {duration(left / rate)} for {left:,} {self._unit}, at {rate:,.3g} a second"
        with tqdm.external_write_mode():
            logger.info("%s; %s", self._estimate(rate) if self._estimate else told, memory_so_far())

    def _standing(self, now: float) -> str:
        """Say how far it is. The rate is that since the last line: what an earlier process did took no time."""
        rate, spent = (self._done - self._done_when_told) / (now - self._told), duration(now - self._begun)
        if not self._total:
            return f"{self._what}: {self._done:,} {self._unit} in {spent}, {rate:,.3g} a second"
        left = f", about {duration((self._total - self._done) / rate)} left" if rate else ""
        share = self._done / self._total
        return f"{self._what}: {share:.0%}, {self._done:,} of {self._total:,} {self._unit} in {spent}{left}"


def counting(items: Iterable[T], what: str, unit: str, total: int | None = None) -> Iterator[T]:
    """Yield items, and count them as `Bar` does."""
    with Bar(what, unit, total=total) as bar:
        for item in items:
            yield item
            bar.update(1)


def duration(seconds: float) -> str:
    """Write a time as people say it."""
    if seconds < 9.5:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes / 60 / 24:.1f} days"
