"""What may end a step early: a signal, a loss that runs away. All processes of a run see it in the same step."""

import math
import signal
import threading
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import distributed

from gulmfit.errors import DivergenceError

# `kill`, a shutdown and most schedulers send SIGTERM; SLURM is asked to send SIGUSR1 before the time is up.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name))

# A loss is running away once its running mean is so many times that of the first steps.
RUNAWAY = 3.0
FIRST_STEPS = 3
SMOOTHING = 0.05

# To read a loss makes the CPU wait for the GPU, so there it is read in some steps only.
EVERY_ON_GPU = 10


class Signals:
    """Note SIGTERM and SIGUSR1 instead of dying of them."""

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

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.received = signum


class LossWatch(Callback):
    """Stop where the loss is no number, or its running mean exceeds three times that of the first three steps.

    Raises:
        DivergenceError: Then.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.first = 0.0
        self.mean = 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss of a step."""
        if not watched(trainer, batch_idx):
            return
        loss = float(outputs["loss"].detach() if isinstance(outputs, dict) else outputs.detach())
        self.steps += 1
        if self.steps <= FIRST_STEPS:
            self.first += (loss - self.first) / self.steps
            self.mean = self.first
        else:
            self.mean += SMOOTHING * (loss - self.mean)
        away = self.steps > FIRST_STEPS and self.mean > RUNAWAY * abs(self.first)
        worst = agreed(trainer, 2 if not math.isfinite(loss) else int(away))
        if worst == 2:
            raise DivergenceError(f"the loss is no number at step {trainer.global_step}")
        if worst == 1:
            raise DivergenceError(
                f"the loss ran away: its running mean was {self.first:.3g} at the start and is {self.mean:.3g} at step "
                f"{trainer.global_step}"
            )

    def state_dict(self) -> dict[str, Any]:
        """Return what a continued run needs to know."""
        return {"steps": self.steps, "first": self.first, "mean": self.mean}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up again."""
        self.steps, self.first, self.mean = state_dict["steps"], state_dict["first"], state_dict["mean"]


def watched(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Whether the processes look up after this batch; never in the middle of an accumulated step."""
    every = EVERY_ON_GPU if trainer.strategy.root_device.type == "cuda" else 1
    return (batch_idx + 1) % (trainer.accumulate_grad_batches * every) == 0


def agreed(trainer: pl.Trainer, seen: int) -> int:
    """Return the largest number that any process has seen."""
    if trainer.world_size == 1 or not distributed.is_initialized():
        return seen
    number = torch.tensor(seen, device=trainer.strategy.root_device)
    distributed.all_reduce(number, op=distributed.ReduceOp.MAX)
    return int(number)
