"""Fit one task in one run folder: trainer, callbacks, resuming, the best weights, the model folder."""

import csv
import inspect
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger

from gulmfit.checkpoint import MODEL_FOLDER, Spec, save_model
from gulmfit.config import instantiate, plain
from gulmfit.errors import TrainingError
from gulmfit.models.hardware import keep_freed_memory
from gulmfit.models.precision import fast_precision, guard, warn_of_slow_kernels
from gulmfit.train.callbacks import RandomState, Throughput
from gulmfit.train.run import Run
from gulmfit.train.tasks import Task

logger = logging.getLogger(__name__)


@dataclass
class Fitted:
    """What fitting gave."""

    best_score: float
    """The monitored value of the weights that validation chose."""
    seconds: float
    tokens_per_second: float
    is_main: bool
    """Whether this process evaluates and writes; exactly one of all ranks does."""


def build_spec(run: Run, tokenizer: Mapping[str, Any], classes: list[str] | None = None, positive: str = "") -> Spec:
    """Describe the model of a run as plain values."""
    config = run.config
    return {
        "arch": plain(config.arch),
        "head": plain(config.head),
        "dropout": {**plain(config.dropout), "drop_mult": float(config.drop_mult)},
        "tokenizer": dict(tokenizer),
        "classes": classes,
        "positive": positive,
    }


def seed_everything(run: Run) -> None:
    """Seed Python, NumPy and torch, and log the seed."""
    pl.seed_everything(int(run.config.seed), workers=True, verbose=False)
    logger.info("seed %d", run.config.seed)


def _callbacks(run: Run) -> list[pl.Callback]:
    config = run.config
    callbacks: list[pl.Callback] = []
    for name, node in plain(config.callbacks).items():
        if name == "checkpoint":
            node = {"dirpath": run.checkpoints, "monitor": config.stage.monitor, "mode": config.stage.mode, **node}
        callbacks.append(instantiate(node))
    return [*callbacks, RandomState()]


def _limits(run: Run, task: Task) -> dict[str, Any]:
    """Let the schedule decide how long to train, unless the trainer was told."""
    trainer = run.config.trainer
    if trainer.max_epochs is None and trainer.max_steps in (-1, None):
        return {"max_epochs": task.schedule.epochs}
    return {"max_epochs": -1} if trainer.max_epochs is None else {}


def fit(run: Run, task: Task, data: pl.LightningDataModule, spec: Spec) -> Fitted:
    """Train, take the weights that validation chose, and write the model folder.

    Raises:
        TrainingError: If the loss is not a number at the end.
    """
    throughput = Throughput()
    node = plain(run.config.trainer)
    if node["precision"] == "auto":
        node["precision"] = fast_precision(node["accelerator"])
    on_gpu = node["accelerator"] in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    if str(node["precision"]).startswith("bf16"):
        guard(task.model.encoder, torch.bfloat16, "cuda" if on_gpu else "cpu")
    if not on_gpu:
        warn_of_slow_kernels(task.model.encoder)
        keep_freed_memory()
    if node.get("strategy") == "ddp" and len(task.schedule.phases) > 1:
        # A frozen layer's gradients are taken away after the reduction; DDP must not wait for those that never come.
        node["strategy"] = "ddp_find_unused_parameters_true"
    csv_logger = CSVLogger(save_dir=str(run.folder), name="", version="", flush_logs_every_n_steps=50)
    loggers = [csv_logger, *(instantiate(item) for item in (plain(run.config.logger) or {}).values())]
    own = {"callbacks": [*_callbacks(run), throughput], "logger": loggers, "default_root_dir": str(run.folder)}
    trainer: pl.Trainer = instantiate({**node, **_limits(run, task), **own})
    resume = run.resume_from()
    resumed_at = run.check_resumable(resume, spec) if resume else 0
    earlier = run.curves() if resume else []
    arguments: dict[str, Any] = {"ckpt_path": str(resume) if resume else None}
    if "weights_only" in inspect.signature(trainer.fit).parameters:
        arguments["weights_only"] = True
    start = time.perf_counter()
    trainer.fit(task, datamodule=data, **arguments)
    seconds = time.perf_counter() - start
    if trainer.interrupted:
        raise KeyboardInterrupt
    best, score = _choose(run, trainer, task, data)
    if trainer.is_global_zero:
        if earlier:
            _prepend_curves(run, earlier, resumed_at)
        content = torch.load(best, map_location="cpu", weights_only=True)
        task.load_state_dict(content["state_dict"])
        last = trainer.callback_metrics.get(str(run.config.stage.monitor))
        if not math.isfinite(score) or (last is not None and not math.isfinite(float(last))):
            raise TrainingError(
                f"{run.config.stage.monitor} is not a number after {trainer.global_step} steps: training diverged. "
                "Lower the learning rate (lr_find=true suggests one) or set trainer.gradient_clip_val=0.25."
            )
        save_model(run.folder / MODEL_FOLDER, spec, task.model.state_dict())
    trainer.strategy.barrier()
    return Fitted(score, seconds, throughput.tokens_per_second, trainer.is_global_zero)


def _choose(run: Run, trainer: pl.Trainer, task: Task, data: pl.LightningDataModule) -> tuple[Path, float]:
    """Return the checkpoint that validation chose, and its score.

    Where training ended within an epoch, as `trainer.max_steps` makes it, its end, the best part of a one-cycle, has
    not been judged yet: it is now.
    """
    best, last = run.checkpoints / "best.ckpt", run.checkpoints / "last.ckpt"
    known = getattr(trainer.checkpoint_callback, "best_model_score", None)
    score = math.nan if known is None else float(known)
    step, total_steps = trainer.global_step, task.total_steps
    if task.validated_at != step or not best.is_file():
        monitor, smaller = str(run.config.stage.monitor), run.config.stage.mode == "min"
        at_end = float(trainer.validate(task, datamodule=data, verbose=False)[0][monitor])
        if step >= total_steps:  # a run that was broken off has been saved where it can be continued
            trainer.save_checkpoint(last)
        if math.isnan(score) or (at_end < score if smaller else at_end > score):
            trainer.save_checkpoint(best)
            score = at_end
    return best, score


def _prepend_curves(run: Run, earlier: list[dict[str, Any]], resumed_at: int) -> None:
    """Put the rows of the run's first part before those of its continuation: Lightning's logger starts a new file."""
    rows = [row for row in earlier if row.get("step", 0) < resumed_at] + run.curves()
    names = list(dict.fromkeys(name for row in rows for name in row))
    with (run.folder / "metrics.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, names)
        writer.writeheader()
        # Counts were read as floats; the logger writes them whole.
        writer.writerows(
            {key: int(value) if key in ("step", "epoch") else value for key, value in row.items()} for row in rows
        )
