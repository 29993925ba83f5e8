"""Callbacks of every run: checkpoints with fixed names, exact random state, the rate of training."""

import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint

from gulmfit.errors import ConfigError, StoppedError
from gulmfit.train.durable import LAST
from gulmfit.train.ranks import gather, own
from gulmfit.train.slurm import requeue
from gulmfit.train.watch import Signals, agreed, watched


class RunCheckpoint(ModelCheckpoint):
    """Keep `checkpoints/best.ckpt` (by the stage's monitor) and `checkpoints/last.ckpt`, and save before stopping.

    Args:
        dirpath: Folder of the checkpoints.
        monitor: Metric that chooses the best one.
        mode: `min` or `max`.
        every_n_steps: Save `last.ckpt` so often within an epoch as well; null for after each epoch only.
        every_minutes: Save it within an epoch once so much time has gone by since the last time; null for never.

    Raises:
        ConfigError: If either is not positive.
        StoppedError: In training, where a signal says stop; the step is saved.
    """

    def __init__(
        self,
        dirpath: str | Path,
        monitor: str,
        mode: str,
        every_n_steps: int | None = None,
        every_minutes: float | None = None,
    ) -> None:
        super().__init__(
            dirpath=dirpath,
            filename="best",
            monitor=monitor,
            mode=mode,
            save_last=True,
            save_top_k=1,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )
        for name, value in (("every_n_steps", every_n_steps), ("every_minutes", every_minutes)):
            if value is not None and value <= 0:
                raise ConfigError(f"checkpoint.{name}={value}: a number above 0 is needed, or null for never.")
        self.every_n_steps, self.every_minutes = every_n_steps, every_minutes
        self.signals = Signals()
        self._saved_at = 0
        self._saved_time = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to count, and take signals over; Lightning has set its own handlers just before."""
        super().on_train_start(trainer, pl_module)
        self._saved_at, self._saved_time = trainer.global_step, time.monotonic()
        self.signals.listen()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save within the epoch when it is time, or when the run is told to stop, by `trainer.max_time` or a signal.

        After the last batch validation comes first: continued from before it, Lightning would leave it out.
        """
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if trainer.is_last_batch or not (watched(trainer, batch_idx) or trainer.should_stop):
            return
        reason = agreed(trainer, self.signals.received or int(trainer.should_stop or self._due(trainer)))
        if reason:
            # Lightning logs a step after its callbacks: without this the curves saved with it would lack it for good.
            trainer._logger_connector.update_train_step_metrics()
            trainer.save_checkpoint(Path(str(self.dirpath)) / LAST)
            self._after_saving(trainer, reason)

    def _after_saving(self, trainer: pl.Trainer, reason: int) -> None:
        """Count anew, and stop if the reason for saving was a signal."""
        self._saved_at, self._saved_time = trainer.global_step, time.monotonic()
        if reason > 1:
            if signal.Signals(reason).name == "SIGUSR1" and trainer.is_global_zero:
                requeue()
            raise StoppedError(
                f"stopped by {signal.Signals(reason).name} after step {trainer.global_step}, which is saved. The same "
                "command with resume=auto goes on from there."
            )

    def _due(self, trainer: pl.Trainer) -> bool:
        steps, minutes = trainer.global_step - self._saved_at, (time.monotonic() - self._saved_time) / 60
        return bool(
            (self.every_n_steps and steps >= self.every_n_steps)
            or (self.every_minutes and steps and minutes >= self.every_minutes)
        )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save at the end of an epoch, but not of one that was broken off.

        Lightning counts such an epoch as done: continued from there, training would be an epoch short.
        """
        if trainer.is_last_batch:
            super().on_train_epoch_end(trainer, pl_module)
            self._after_saving(trainer, agreed(trainer, self.signals.received))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save nothing more: the last batch, or the end of the last epoch, has done so."""
        self.signals.leave()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give the signals back."""
        self.signals.leave()


class RandomState(Callback):
    """Save the state of every process's random generators with a checkpoint, so that dropout goes on as if nothing had
    happened."""

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the generators' states as plain containers and tensors, and have the curves so far written."""
        name, words, position, has_gauss, cached = np.random.get_state(legacy=True)
        keys = torch.from_numpy(np.asarray(words).astype(np.int64))  # plain in a checkpoint; unsigned words are not
        state = {
            "python": random.getstate(),
            "numpy": [str(name), keys, int(position), int(has_gauss), float(cached)],
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        checkpoint["random"] = gather(state)
        for logger in trainer.loggers:
            logger.save()

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Remember the states; they are set when training begins again, after everything that draws numbers before
        it."""
        self._saved: dict[str, Any] | None = own(checkpoint["random"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set the generators of a resumed run."""
        saved = getattr(self, "_saved", None)
        if saved is None:
            return
        random.setstate(saved["python"])
        name, keys, position, has_gauss, cached = saved["numpy"]
        np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
        torch.set_rng_state(saved["torch"].cpu())
        if saved["cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all([state.cpu() for state in saved["cuda"]])
        self._saved = None


class Throughput(Callback):
    """Count tokens and seconds of training, validation and start-up left out.

    The clock runs from the second batch on: the first one also waits for kernels to be chosen and memory to be had. It
    runs through, rather than batch by batch: a GPU works on while Python believes that a batch is done.
    """

    def __init__(self) -> None:
        self.tokens = 0
        self.seconds = 0.0
        self._batches = 0
        self._start: float | None = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock, if it stands."""
        self._batches += 1
        if self._start is None and self._batches > 1:
            self._start = _now()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add one batch."""
        if self._start is not None:
            self.tokens += batch.tokens.numel() * trainer.world_size

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock."""
        self._stop()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock."""
        self._stop()

    def _stop(self) -> None:
        if self._start is not None:
            self.seconds += _now() - self._start
            self._start = None

    @property
    def tokens_per_second(self) -> float:
        """Tokens, padding included, that all processes learned from in a second."""
        return self.tokens / self.seconds if self.seconds else 0.0


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
