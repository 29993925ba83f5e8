"""What may end a step early: a signal, a loss that runs away or collapses.

All processes of a run see it in the same step.
"""

import math
import signal
import statistics
import threading
from collections import deque
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import distributed

from gulmfit.errors import DivergenceError

# `kill`, a shutdown and most schedulers send SIGTERM; SLURM is asked to send SIGUSR1 before the time is up, and by the
# launcher of sweeps SIGUSR2: its own handler puts the job back into the queue.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name))

# Losses are judged by quartiles of so many: a few huge ones, as squared errors are, make no trend.
WINDOW = 50
# A loss is running away once its lower quartile is so many times the upper quartile of the first window.
RUNAWAY = 3.0
# A loss has collapsed once it has lost this share of what it had gained, and the gain was larger than chance.
LOST = 0.75
CLEAR_GAIN = 12.0  # standard errors of a window's median

SAVED = ("steps", "first", "highest", "lowest")

# To read a loss makes the CPU wait for the GPU, so there it is read in some steps only.
EVERY_ON_GPU = 10


class Signals:
    """Note SIGTERM, SIGUSR1 and SIGUSR2 instead of dying of them."""

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def listen(self) -> None:
        """Take the signals over; only a main thread can."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}

    def leave(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def hand_on(self, number: int) -> None:
        """Give the signals back, and let the handler of before, where it is a function, have the one that was noted."""
        before = self._before.get(number)
        self.leave()
        if callable(before):
            before(number, None)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.received = signum


class LossWatch(Callback):
    """Stop where the loss is not a number, runs away, or falls back to where it began.

    It runs away if most of the last 50 losses exceed three times what most of the first 50 were. It has collapsed if
    it had clearly fallen and then lost three quarters of that again: from there networks seldom recover, for the high
    rates that threw them out also keep them out.

    Args:
        ignorance: Loss of a model that knows frequencies only; None for the median of the first 50 losses. A
            language model that is tuned begins far below it, and may well return to where it began.

    Raises:
        DivergenceError: Then.
    """

    def __init__(self, ignorance: float | None = None) -> None:
        self.ignorance = ignorance
        self.steps = 0
        self.first = self.highest = math.nan  # median and upper quartile of the first window
        self.lowest = math.inf
        self.recent: deque[float] = deque(maxlen=WINDOW)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss of a step."""
        if not watched(trainer, batch_idx):
            return
        total = outputs["loss"].detach() if isinstance(outputs, dict) else outputs.detach()
        # Penalties on activations grow as a model learns: they say nothing of how it fits.
        fitted = getattr(pl_module, "fitted_loss", None)
        loss = float(total if fitted is None else fitted)
        # Processes that see different losses still have to stop in the same step.
        worst = agreed(trainer, 3 if not math.isfinite(loss + float(total)) else self._look(loss))
        if worst == 3:
            raise DivergenceError(f"the loss is not a number at step {trainer.global_step}")
        if worst:
            median, level = statistics.median(self.recent), self.level
            what = "ran away" if worst == 2 else f"fell back to where it began, from {self.lowest:.3g}"
            raise DivergenceError(
                f"the loss {what}: it was about {level:.3g} at the start and is about {median:.3g} at step "
                f"{trainer.global_step}",
                healthy=max(0, trainer.global_step - WINDOW * looks_every(trainer)),
            )

    @property
    def level(self) -> float:
        """The loss of a model that knows nothing of the sequences."""
        return self.first if self.ignorance is None else self.ignorance

    def _look(self, loss: float) -> int:
        """Return 2 for a loss that runs away, 1 for one that has collapsed, and 0 otherwise."""
        self.steps += 1
        self.recent.append(loss)
        if len(self.recent) < WINDOW:
            return 0
        low, median, high = statistics.quantiles(self.recent, n=4)
        if self.steps == WINDOW:
            self.first, self.highest = median, high
        self.lowest = min(self.lowest, median)
        usual = self.highest if self.ignorance is None else self.ignorance  # the first window may have exploded already
        if low > usual + (RUNAWAY - 1) * abs(usual):
            return 2
        gain = self.level - self.lowest
        if median < self.level - (1 - LOST) * gain:
            return 0
        error = 1.25 * (high - low) / 1.35 / math.sqrt(WINDOW)  # of the median of normal values
        return int(gain > CLEAR_GAIN * error and gain > 0)

    def state_dict(self) -> dict[str, Any]:
        """Return what a continued run needs to know."""
        return {**{name: getattr(self, name) for name in SAVED}, "recent": list(self.recent)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up again."""
        for name in SAVED:
            setattr(self, name, state_dict[name])
        self.recent.extend(state_dict["recent"])


def looks_every(trainer: pl.Trainer) -> int:
    """Return after how many optimizer steps the processes look up."""
    return EVERY_ON_GPU if trainer.strategy.root_device.type == "cuda" else 1


def watched(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Whether the processes look up after this batch; never in the middle of an accumulated step."""
    return (batch_idx + 1) % (trainer.accumulate_grad_batches * looks_every(trainer)) == 0


def agreed(trainer: pl.Trainer, seen: int) -> int:
    """Return the largest number that any process has seen."""
    if trainer.world_size == 1 or not distributed.is_initialized():
        return seen
    number = torch.tensor(seen, device=trainer.strategy.root_device)
    distributed.all_reduce(number, op=distributed.ReduceOp.MAX)
    return int(number)
