"""What training tells while it runs: a bar on a terminal; one line an epoch in a pipe, a file and the run's `log`."""

import logging
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import TQDMProgressBar

from gulmfit.models.hardware import memory_so_far
from gulmfit.predict.progress import duration
from gulmfit.quiet import is_quiet
from gulmfit.train.log import SHOWN
from gulmfit.train.survive.callbacks import Throughput

logger = logging.getLogger(__name__)

# What a training takes is told once its rate is known, and where epochs are long, where it stands.
KNOWN_STEPS, KNOWN_S = 10, 5.0
LONG_S = 600.0

WINDOW_S = 30.0
QUIET_S = 300.0
# Steps that take a little longer than they could are not news.
SLOWER = 1.3


class Progress(TQDMProgressBar):
    """Say how far training is, how good, how fast, how long it still takes, and whether the machine is too busy."""

    def __init__(self, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate=refresh_rate if sys.stdout.isatty() and not is_quiet() else 0)
        self._tells = True
        self._load = Load()

    def disable(self) -> None:
        """Be silent: Lightning wants one process of several to speak."""
        super().disable()
        self._tells = False

    def enable(self) -> None:
        """Speak again."""
        super().enable()
        self._tells = True

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Leave the version number out."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics

    def on_train_start(self, *arguments: Any) -> None:
        """Begin to count."""
        super().on_train_start(*arguments)
        trainer, pl_module = arguments[:2]
        self._plan(trainer, pl_module)
        self._begun_at, self._begun = trainer.global_step, time.monotonic()
        self._told = self._epoch_begun = self._begun
        self._plan_told = False
        self._counted = (0, 0.0)

    def _plan(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take note of how long training lasts; it may get longer while validation improves."""
        self._total = int(getattr(pl_module, "total_steps", 0)) or int(trainer.estimated_stepping_batches)
        batches = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
        self._epochs = math.ceil(self._total / max(1, batches))
        if trainer.max_epochs is not None and trainer.max_epochs > 0:
            self._epochs = min(self._epochs, trainer.max_epochs)

    def on_train_epoch_start(self, trainer: pl.Trainer, *arguments: Any) -> None:
        """Number epochs from 1."""
        super().on_train_epoch_start(trainer, *arguments)
        self._plan(trainer, arguments[0])
        self.train_progress_bar.set_description(f"epoch {trainer.current_epoch + 1}/{self._epochs}")
        self._epoch_begun = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Tell what cannot wait for the end of the epoch."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if not self._tells:
            return
        now, steps = time.monotonic(), trainer.global_step - self._begun_at
        if not steps:
            return
        if not self._plan_told and steps >= KNOWN_STEPS and (now - self._begun >= KNOWN_S or steps >= self._total / 10):
            self._plan_told = True
            rate = steps / (now - self._begun)
            left = self._total - self._begun_at
            epochs = f"{self._epochs} epoch{'s' * (self._epochs > 1)}"
            plateau = getattr(pl_module, "plateau", None)
            more = f", up to {plateau.patience.longest:g} times that while validation improves" if plateau else ""
            logger.info(
                "%s steps in %s, about %s%s (%.3g steps/s); %s", f"{left:,}", epochs, duration(left / rate), more, rate,
                memory_so_far(),
            )  # fmt: skip
            self._told = now
        elif now - self._told >= LONG_S:
            self._tell(trainer, f"epoch {trainer.current_epoch + 1}/{self._epochs}, step {batch_idx + 1:,}", {})
        if message := self._load.look():
            logger.warning("%s", message)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell what the epoch brought."""
        super().on_train_epoch_end(trainer, pl_module)
        if self._tells and trainer.global_step > self._begun_at:
            fresh = getattr(pl_module, "validated_at", trainer.global_step) == trainer.global_step
            metrics = {
                name: float(value)
                for name, value in sorted(self.get_metrics(trainer, pl_module).items(), reverse=True)
                if (fresh or not name.startswith("val/")) and _is_number(value)
            }
            self._tell(trainer, f"epoch {trainer.current_epoch + 1}/{self._epochs}", metrics)

    def _tell(self, trainer: pl.Trainer, where: str, metrics: dict[str, float]) -> None:
        now = time.monotonic()
        words = [f"{name} {value:.4f}" for name, value in metrics.items()]
        if speed := self._speed(trainer):
            words.append(speed)
        words.append(duration(now - self._epoch_begun))
        done, left = trainer.global_step - self._begun_at, self._total - trainer.global_step
        if done and (seconds := (now - self._begun) / done * left) >= 1:
            words.append(f"about {duration(seconds)} left")
        logger.info("%s: %s", where, ", ".join(words), extra=SHOWN)
        self._told = now

    def _speed(self, trainer: pl.Trainer) -> str:
        """Return tokens a second since it was asked before, validation left out."""
        throughput = next((item for item in trainer.callbacks if isinstance(item, Throughput)), None)  # type: ignore[attr-defined]
        if throughput is None:
            return ""
        tokens, seconds = throughput.tokens - self._counted[0], throughput.seconds - self._counted[1]
        self._counted = (throughput.tokens, throughput.seconds)
        return f"{tokens / seconds:,.0f} tokens/s" if seconds > 0 and tokens else ""


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


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
