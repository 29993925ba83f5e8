"""Callbacks of every run: checkpoints with fixed names, a progress bar that tells the rate, exact random state."""

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, TQDMProgressBar


class RunCheckpoint(ModelCheckpoint):
    """Keep `checkpoints/best.ckpt` (by the stage's monitor) and `checkpoints/last.ckpt`.

    Args:
        dirpath: Folder of the checkpoints.
        monitor: Metric that chooses the best one.
        mode: `min` or `max`.
        every_n_steps: Save `last.ckpt` so often within an epoch as well; null for after each epoch only.
    """

    def __init__(self, dirpath: str | Path, monitor: str, mode: str, every_n_steps: int | None = None) -> None:
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
        self.every_n_steps = every_n_steps

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save within the epoch when it is time, or when the run is told to stop, as by `trainer.max_time`."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        due = self.every_n_steps and trainer.global_step and trainer.global_step % self.every_n_steps == 0
        if due or trainer.should_stop:
            trainer.save_checkpoint(Path(str(self.dirpath)) / "last.ckpt")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save at the end of an epoch, but not of one that was broken off.

        Lightning counts such an epoch as done: continued from there, training would be an epoch short.
        """
        if trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            super().on_train_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save nothing more: the last batch, or the end of the last epoch, has done so."""


class RandomState(Callback):
    """Save the state of every random generator with a checkpoint, so that dropout goes on as if nothing had
    happened."""

    def state_dict(self) -> dict[str, Any]:
        """Return the generators' states as plain containers and tensors."""
        name, words, position, has_gauss, cached = np.random.get_state(legacy=True)
        keys = torch.from_numpy(np.asarray(words).astype(np.int64))  # plain in a checkpoint; unsigned words are not
        return {
            "python": random.getstate(),
            "numpy": [str(name), keys, int(position), int(has_gauss), float(cached)],
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember the states; they are set when training begins again, after everything that draws numbers before
        it."""
        self._saved: dict[str, Any] | None = state_dict

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


class Progress(TQDMProgressBar):
    """Lightning's bar, which shows steps a second and the time left."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Leave the version number out."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics


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
