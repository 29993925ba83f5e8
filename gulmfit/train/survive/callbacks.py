"""Callbacks of every run: checkpoints with fixed names, exact random state, the rate of training."""

import math
import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint, EarlyStopping, Timer
from pytorch_lightning.trainer.states import TrainerFn

from gulmfit.errors import ConfigError, StoppedError
from gulmfit.train.survive.durable import BEST, BEST_SCORE, LAST, best_score
from gulmfit.train.survive.ranks import gather, own, requeue
from gulmfit.train.survive.watch import Signals, agreed, watched


class RunCheckpoint(Checkpoint):
    """Keep `checkpoints/last.ckpt` at every promised step and `checkpoints/best.ckpt` by the stage's monitor.

    Both are written here and nowhere else: Lightning's own callback changed from release to release when it keeps the
    last one.

    Args:
        dirpath: Folder of the checkpoints.
        monitor: Metric that chooses the best one.
        mode: `min` or `max`.
        every_n_steps: Save `last.ckpt` so often within an epoch as well; null for after each epoch only.
        every_minutes: Save it within an epoch once so much time has gone by since the last time; null for never.

    Raises:
        ConfigError: If either is not positive, or `mode` is another word.
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
        for name, value in (("every_n_steps", every_n_steps), ("every_minutes", every_minutes)):
            if value is not None and value <= 0:
                raise ConfigError(f"checkpoint.{name}={value}: a number above 0 is needed, or null for never.")
        if mode not in ("min", "max"):
            raise ConfigError(f"stage.mode={mode}: choose min or max.")
        self.folder, self.monitor, self.mode = Path(dirpath), monitor, mode
        self.every_n_steps, self.every_minutes = every_n_steps, every_minutes
        self.signals = Signals()
        self.best_score = math.nan
        self._unjudged = False
        self._saved_at = 0
        self._saved_time = 0.0

    def better(self, score: float) -> bool:
        """Whether a score beats the one of `best.ckpt`; nothing is better than a number by being none."""
        if math.isnan(self.best_score):
            return not math.isnan(score)
        return score < self.best_score if self.mode == "min" else score > self.best_score

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far; in `best.ckpt` that is its own."""
        return {BEST_SCORE: self.best_score}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take the best score up again, if the weights that reached it are in this folder; forget the time gone by.

        `trainer.max_time` counts from each start: a run that it ended goes on by the same words.
        """
        for item in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(item, Timer):
                checkpoint["callbacks"].pop(item.state_key, None)
        self.best_score = best_score(checkpoint) if (self.folder / BEST).is_file() else math.nan

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Train no more where an earlier process had stopped early: Lightning would go on for an epoch."""
        stopped = [item for item in trainer.callbacks if isinstance(item, EarlyStopping) and item.stopped_epoch]  # type: ignore[attr-defined]
        if any(item.wait_count >= item.patience for item in stopped):
            trainer.should_stop = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to count, and take signals over; Lightning has set its own handlers just before."""
        self._saved_at, self._saved_time = trainer.global_step, time.monotonic()
        self.signals.listen()
        if trainer.received_sigterm:  # by its handlers, in between; it would end with status 0, and nothing saved
            self.signals.received, trainer._signal_connector.received_sigterm = signal.SIGTERM, False

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save within the epoch when it is time, and where training ends or is told to stop there.

        After the last batch validation comes first: continued from before it, Lightning would leave it out.
        """
        if trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        # Every process comes to the same answer without asking the others.
        wanted = trainer.should_stop or trainer.global_step >= trainer.max_steps > -1 or self._steps_due(trainer)
        if not (wanted or trainer.world_size == 1 or watched(trainer, batch_idx)):
            return
        reason = agreed(trainer, self.signals.received or int(wanted or self._minutes_due(trainer)))
        if reason:
            # Lightning logs a step after its callbacks: without this the curves saved with it would lack it for good.
            trainer._logger_connector.update_train_step_metrics()
            self._save_last(trainer)
            self._stop_if_told(trainer, reason)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Judge the model, after the last batch of an epoch at its end only.

        An epoch that is broken off is not judged: the run goes on from the middle of it.
        """
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        if trainer.is_last_batch:
            self._unjudged = True
        elif not trainer.should_stop:
            self._judge(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save at the end of an epoch, judged or not, but not of one that was broken off.

        Lightning counts such an epoch as done: continued from there, training would be an epoch short.
        """
        if not trainer.is_last_batch:
            return
        if self._unjudged:
            self._unjudged = False
            self._judge(trainer)
        self._save_last(trainer)
        self._stop_if_told(trainer, agreed(trainer, self.signals.received))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give the signals back; the last batch, or the end of the last epoch, has been saved."""
        self.signals.leave()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give the signals back."""
        self.signals.leave()

    def _judge(self, trainer: pl.Trainer) -> None:
        score = trainer.callback_metrics.get(self.monitor)
        if score is None:
            known = ", ".join(sorted(trainer.callback_metrics))
            raise ConfigError(f"stage.monitor={self.monitor} is not measured. Choose one of {known}.")
        if agreed(trainer, int(self.better(float(score)))):
            self.best_score = float(score)
            trainer.save_checkpoint(self.folder / BEST)

    def _save_last(self, trainer: pl.Trainer) -> None:
        """Save, and only then count from here."""
        trainer.save_checkpoint(self.folder / LAST)
        self._saved_at, self._saved_time = trainer.global_step, time.monotonic()

    def _stop_if_told(self, trainer: pl.Trainer, reason: int) -> None:
        """Stop if the reason for saving was a signal."""
        if reason > 1:
            name = signal.Signals(reason).name
            if name == "SIGUSR1" and trainer.is_global_zero:
                requeue()
            if name == "SIGUSR2":
                self.signals.hand_on(reason)  # a launcher's handler ends the process
            raise StoppedError(
                f"stopped by {name} after step {self._saved_at}, which is saved. The same command with resume=auto "
                "goes on from there."
            )

    def _steps_due(self, trainer: pl.Trainer) -> bool:
        return bool(self.every_n_steps and trainer.global_step - self._saved_at >= self.every_n_steps)

    def _minutes_due(self, trainer: pl.Trainer) -> bool:
        minutes = (time.monotonic() - self._saved_time) / 60
        return bool(self.every_minutes and trainer.global_step > self._saved_at and minutes >= self.every_minutes)


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
