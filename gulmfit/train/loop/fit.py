"""Fit one task in one run folder: trainer, callbacks, resuming, the best weights, the model folder."""

import inspect
import logging
import math
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from gulmfit.checkpoint import (
    MODEL_FOLDER,
    Spec,
    build,
    load,
    load_tokenizer,
    read_progress,
    resolve_target,
    save_model,
)  # fmt: skip
from gulmfit.config import instantiate, plain
from gulmfit.errors import CheckpointError, ConfigError, DivergenceError, TokenizerError, TrainingError
from gulmfit.models.hardware import keep_freed_memory, threads
from gulmfit.models.precision import fast_precision, guard, warn_of_slow_kernels
from gulmfit.seq.alphabet import DEFAULT
from gulmfit.seq.limits import parse_json
from gulmfit.seq.tokens.subword_training import Corpus, SubwordRecipe
from gulmfit.seq.tokens.tokenizer import Tokenizer
from gulmfit.threads import suited_threads
from gulmfit.train.loop.ntasgd import Averaging
from gulmfit.train.loop.plateau import Patient
from gulmfit.train.loop.tasks import Task
from gulmfit.train.run import CONFIG, METRICS, Run
from gulmfit.train.survive.callbacks import RandomState, RunCheckpoint, Throughput
from gulmfit.train.survive.curves import CurveLogger
from gulmfit.train.survive.durable import BEST, LAST, DurableCheckpointIO, newest_sound, read_best_score
from gulmfit.train.survive.watch import LossWatch

logger = logging.getLogger(__name__)

# A run that diverges at a sixteenth of its learning rate has another trouble.
MOST_HALVINGS = 4


@dataclass
class Fitted:
    """What fitting gave."""

    best_score: float
    """The monitored value of the weights that validation chose."""
    seconds: float
    tokens_per_second: float
    is_main: bool
    """Whether this process evaluates and writes; exactly one of all ranks does."""


def build_spec(
    run: Run,
    tokenizer: Mapping[str, Any],
    classes: list[str] | None = None,
    positive: str = "",
    corpus: Callable[[], Corpus] | None = None,
) -> Spec:
    """Describe the model of a run as plain values.

    Args:
        run: Its configuration and folder.
        tokenizer: Node of the tokenizer; one that is learned is learned now.
        classes: Names of the classes; None for a language model.
        positive: The positive one of two classes.
        corpus: Gives what a tokenizer may learn from, if one is to be learned.

    Raises:
        TokenizerError: If the tokenizer is not what the run asks for, or cannot be learned.
    """
    config = run.config
    return {
        "arch": _arch(config, labelled=classes is not None),
        "head": plain(config.head),
        "dropout": {**plain(config.dropout), "drop_mult": float(config.drop_mult)},
        "tokenizer": _tokenizer(run, build(tokenizer, {}), corpus).spec(),
        "letters": _letters(config.data, labelled=classes is not None),
        "classes": classes,
        "positive": positive,
    }


def _arch(config: Any, *, labelled: bool) -> dict[str, Any]:
    """Return how the encoder is built and, of a classifier, which strands it is given, unless it is the one."""
    arch: dict[str, Any] = plain(config.arch)
    strands = arch.pop("strands", "forward")
    return arch | ({"strands": strands} if labelled and strands != "forward" else {})


def _letters(data: Any, *, labelled: bool) -> dict[str, str]:
    """Return how letters of the data are read; a simulation has no policies, and its letters are capitals."""
    own = DEFAULT._asdict()
    source = str(data._target_)
    if labelled and source.startswith("gulmfit.") and resolve_target(source).policies_of_genome_alone:
        return own
    return {name: str(data.get(name, value)) for name, value in own.items()}


def _tokenizer(run: Run, asked: Tokenizer | SubwordRecipe, corpus: Callable[[], Corpus] | None) -> Tokenizer:
    """Take sub-words from their file, else from the model that the run starts from, or else learn them."""
    if isinstance(asked, Tokenizer):
        return asked
    if asked.path:
        return asked.read()
    if checkpoint := run.resume_from():
        return asked.accept(load_tokenizer(checkpoint), f"resume={checkpoint}")
    if source := run.config.init_from:
        return asked.accept(load_tokenizer(str(source)), f"init_from={source}")
    if corpus is None:
        raise TokenizerError(
            f"this run has nothing to learn {asked.kind} sub-words from. Give tokenizer.path=, or init_from= a model "
            "that has them."
        )
    return asked.learn(corpus(), strands=str(run.config.strands), seed=int(run.config.seed))


def seed_everything(run: Run) -> None:
    """Seed Python, NumPy and torch, and log the seed."""
    pl.seed_everything(int(run.config.seed), workers=True, verbose=False)
    logger.info("seed %d", run.config.seed)


def _callbacks(run: Run, task: Task) -> list[pl.Callback]:
    config = run.config
    callbacks: list[pl.Callback] = []
    for name, node in plain(config.callbacks).items():
        if name == "progress" and not config.trainer.enable_progress_bar:
            continue
        if name == "checkpoint":
            node = {"dirpath": run.checkpoints, "monitor": config.stage.monitor, "mode": config.stage.mode, **node}
        callbacks.append(instantiate(node))
    judged_by = str(config.stage.monitor), str(config.stage.mode)
    return [
        *callbacks,
        Averaging(*judged_by),
        Patient(*judged_by),
        LossWatch(task.ignorance),
        RandomState(),
        *run.watchers,
    ]


def _limits(run: Run, task: Task) -> dict[str, Any]:
    """Let the schedule decide how long to train, unless the trainer was told."""
    if _length_is_given(run):
        return {"max_epochs": -1} if run.config.trainer.max_epochs is None else {}
    return {"max_epochs": task.schedule.epochs}


def _length_is_given(run: Run) -> bool:
    return run.config.trainer.max_epochs is not None or run.config.trainer.max_steps not in (-1, None)


def fit(run: Run, task: Task, data: pl.LightningDataModule, spec: Spec) -> Fitted:
    """Train, take the weights that validation chose, and write the model folder.

    Raises:
        TrainingError: If the loss is not a number at the end.
    """
    if run.config.resume == "auto" and run.has_ended:
        return _ended(run, task)
    if _length_is_given(run):
        task.schedule = replace(task.schedule, patience=None)
    throughput = Throughput()
    node = plain(run.config.trainer)
    if node["precision"] == "auto":
        node["precision"] = fast_precision(node["accelerator"])
    on_gpu = node["accelerator"] in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    if str(node["precision"]).startswith("bf16"):
        guard(task.model, torch.bfloat16, "cuda" if on_gpu else "cpu")
    if not on_gpu:
        warn_of_slow_kernels(task.model)
        keep_freed_memory()
    if node.get("strategy") == "ddp" and (len(task.schedule.phases) > 1 or not on_gpu):
        # A frozen layer's gradients are taken away after the reduction; DDP must not wait for those that never come.
        # Otherwise DDP deals gradients into other buckets after its first step, and three processes that are continued
        # would sum theirs in another order than before: bit for bit, as promised on a CPU, takes buckets that stay.
        node["strategy"] = "ddp_find_unused_parameters_true"
    start = time.perf_counter()
    trainer = _train(run, task, data, spec, node, throughput)
    seconds = time.perf_counter() - start
    best, score = _choose(run, trainer, task, data)
    if trainer.is_global_zero:
        content = torch.load(best, map_location="cpu", weights_only=True)
        task.load_state_dict(content["state_dict"])
        last = trainer.callback_metrics.get(str(run.config.stage.monitor))
        if not math.isfinite(score) or (last is not None and not math.isfinite(float(last))):
            raise TrainingError(
                f"{run.config.stage.monitor} is not a number after {trainer.global_step} steps: training diverged. "
                "Lower the learning rate (lr_find=true suggests one) or set trainer.gradient_clip_val=0.25."
            )
        save_model(run.folder / MODEL_FOLDER, {**spec, **task.kept()}, task.model.state_dict())
        # So that a copy of the folder still tells the leak check what the model has read.
        shutil.copyfile(run.folder / CONFIG, run.folder / MODEL_FOLDER / CONFIG)
    trainer.strategy.barrier()
    return Fitted(score, seconds, throughput.tokens_per_second, trainer.is_global_zero)


def _ended(run: Run, task: Task) -> Fitted:
    """Take up the weights of a run that has ended, whose checkpoints are gone; `Run.take_up` has checked it."""
    task.model.load_state_dict(load(run.folder / MODEL_FOLDER).model.state_dict())
    told = parse_json((run.folder / METRICS).read_text(encoding="utf-8"))
    logger.info("%s has ended: it is scored again and trains no more", run.folder)
    score, timing = told["metrics"].get(str(run.config.stage.monitor), math.nan), told["timing"]
    return Fitted(score, timing["seconds"], timing["tokens_per_second"], run.writes)


def _train(
    run: Run, task: Task, data: pl.LightningDataModule, spec: Spec, node: dict[str, Any], throughput: Throughput
) -> pl.Trainer:
    """Train from the start, or from a checkpoint on; where the loss diverges, once more at half the rate if asked."""
    if node.get("limit_val_batches") is not None and not node["limit_val_batches"]:
        raise ConfigError("trainer.limit_val_batches=0: weights are chosen by validation, so it needs a batch or more.")
    rolls_back = str(run.config.on_divergence) == "rollback"
    initial = {name: tensor.clone() for name, tensor in task.state_dict().items()} if rolls_back else {}
    resume = run.resume_from()
    if run.config.resume and resume is None:
        logger.warning("resume=auto: %s has no checkpoint yet; starting from the beginning.", run.folder)
    while True:
        resumed_at = run.check_resumable(resume, spec, task.learned_from) if resume else None
        loggers = [instantiate(item) for item in (plain(run.config.logger) or {}).values()]
        own = {
            "callbacks": [*_callbacks(run, task), throughput],
            "logger": [CurveLogger(run.folder, resumed_at), *loggers],
            "plugins": [DurableCheckpointIO()],
            "default_root_dir": str(run.folder),
        }
        trainer: pl.Trainer = instantiate({**node, **_limits(run, task), **own})
        arguments: dict[str, Any] = {"ckpt_path": str(resume) if resume else None}
        if "weights_only" in inspect.signature(trainer.fit).parameters:
            arguments["weights_only"] = True
        try:
            with _ctrl_c_passed_on(run, trainer), threads(_threads(run)):
                trainer.fit(task, datamodule=data, **arguments)
        except DivergenceError as error:
            resume = _last_good(run, error.healthy)
            good = f"The last good checkpoint is {resume}." if resume else "No checkpoint had been saved yet."
            if not rolls_back or task.halvings == MOST_HALVINGS:
                raise DivergenceError(
                    f"training diverged: {error}. {good} Lower the learning rate (lr_find=true suggests one) or "
                    "trainer.gradient_clip_val, or let on_divergence=rollback halve the rate and go on."
                ) from error
            task.halvings += 1
            logger.warning(
                "%s; going back to %s with the learning rate halved (%d of %d times)",
                error, resume or "the start", task.halvings, MOST_HALVINGS,
            )  # fmt: skip
            if resume is None:
                task.load_state_dict(initial)
            continue
        if trainer.global_step == resumed_at:
            logger.info("%s has ended at step %d: it is scored again and trains no more", run.folder, resumed_at)
        return trainer


@contextmanager
def _ctrl_c_passed_on(run: Run, trainer: pl.Trainer) -> Iterator[None]:
    """Raise KeyboardInterrupt again where Lightning has made `sys.exit(1)` of it, and say what is saved."""
    try:
        yield
    except SystemExit as stopped:
        if not isinstance(stopped.__context__, KeyboardInterrupt):  # whoever else ends the process, such as a launcher
            raise
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.default_int_handler)  # which Lightning has switched off
        saved = newest_sound(run.checkpoints)
        told = "nothing had been saved yet"
        if saved is not None:
            told = f"{saved} has step {read_progress(saved)[1]}; the same command with resume=auto goes on from there"
        raise KeyboardInterrupt(f"stopped by Ctrl-C after step {trainer.global_step}: {told}.") from stopped


def _threads(run: Run) -> int:
    """Return how many threads train the encoder: fewer than there are where its layers are small."""
    available = torch.get_num_threads()
    hidden_size = plain(run.config.arch).get("hidden_size")
    if not isinstance(hidden_size, int):  # not a recurrent encoder
        return available
    count = suited_threads(int(run.config.batch_size), hidden_size, available)
    if count < available:
        logger.info("training with %d of %d threads: layers this small gain nothing from more", count, available)
    return count


def _last_good(run: Run, up_to: int | None) -> Path | None:
    """Return the newest checkpoint, of steps before the trouble, whose weights are numbers; None if there is none."""
    try:
        return newest_sound(run.checkpoints, up_to=up_to)
    except CheckpointError as error:
        logger.warning("%s", error)
        return None


def _choose(run: Run, trainer: pl.Trainer, task: Task, data: pl.LightningDataModule) -> tuple[Path, float]:
    """Return the checkpoint that validation chose, and its score.

    Where training ended within an epoch, as `trainer.max_steps` makes it, its end, the best part of a one-cycle, has
    not been judged yet: it is now.
    """
    best, last = run.checkpoints / BEST, run.checkpoints / LAST
    kept = trainer.checkpoint_callback
    score = read_best_score(best)  # its own, whatever the process that saved it came to afterwards
    step, total_steps = trainer.global_step, task.total_steps
    if task.validated_at != step or math.isnan(score):
        monitor, smaller = str(run.config.stage.monitor), run.config.stage.mode == "min"
        with _ctrl_c_passed_on(run, trainer):
            at_end = float(trainer.validate(task, datamodule=data, verbose=False)[0][monitor])
        if math.isnan(score) or (at_end < score if smaller else at_end > score):
            score = at_end
            if isinstance(kept, RunCheckpoint):
                kept.best_score = score
            trainer.save_checkpoint(best)
        # After the best one: a run that is continued from here is not judged again. One that was broken off has been
        # saved where it can be continued.
        if step >= total_steps:
            trainer.save_checkpoint(last)
    return best, score
