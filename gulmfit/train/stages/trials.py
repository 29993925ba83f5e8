"""Many classifiers from one command: the folds of a cross-validation, several seeds, the points of a learning curve.

A trial is an ordinary `stage=classify` run in a folder of its own, on a split that is written down beside it. So each
can be looked at, run again by itself, and skipped when the whole is continued with `resume=auto`.
"""

import functools
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit.checkpoint import load
from gulmfit.config import instantiate, plain, read_plain
from gulmfit.data.sources.base import Source
from gulmfit.errors import ConfigError
from gulmfit.evaluate.uncertainty import mean_and_spread
from gulmfit.overrides import assign
from gulmfit.report.kinds.predictions import Predictions
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.splits.split_file import write_split
from gulmfit.train.run import METRICS, Run, sub_run
from gulmfit.train.stages.classify import learned_from, run_classifier, scratch_overrides

logger = logging.getLogger(__name__)

TRANSFERRED, SCRATCH = "transferred", "scratch"

# Keys that make many runs of one: a trial is one.
MANY = ("cv.", "seeds=", "with_scratch=", "learning_curve.")

# What decides no result.
ASIDE = ("resume", "overwrite", "callbacks", "checkpoint")


@dataclass
class Trial:
    """One classifier to train.

    Attributes:
        name: Its sub-folder.
        parts: Part of each sequence (N,), as in a split file; None to split as configured.
        scratch: Whether it is the twin that knows nothing of a genome.
        overrides: What else differs from the whole.
        facts: What it stands for, such as its fold or its number of labels; kept in its results.
        baseline_seed: Of its baselines; its own by default.
    """

    name: str
    parts: npt.NDArray[np.str_] | None = None
    scratch: bool = False
    overrides: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    baseline_seed: int | None = None


Train = Callable[..., dict[str, Any]]
"""Trains a trial, as `run_classifier` does."""


def run_trials(
    run: Run,
    source: Source,
    data: LabelledSequences,
    groups: npt.NDArray[np.int64],
    trials: Sequence[Trial],
    train: Train = run_classifier,
) -> list[dict[str, Any]]:
    """Run every trial that has not been run yet; `train` is what a trial consists of.

    Raises:
        ConfigError: If one was run with other settings.
        CheckpointError: If one was run on other data.

    Returns:
        For every trial its results, as in its `metrics.json`, its `facts`, its `name`, and `predictions`.
    """
    results: list[dict[str, Any]] = []
    read = functools.cache(load)
    start, ran = time.perf_counter(), 0
    for number, trial in enumerate(trials, start=1):
        left = ""
        if ran:
            minutes = (time.perf_counter() - start) / ran * (len(trials) - number + 1) / 60
            left = f", about {minutes:.0f} min left" if minutes >= 1 else ""
        logger.info("\n── %s (%d of %d%s) ──", trial.name, number, len(trials), left)
        sub = _sub_run(run, trial)
        same = trial.parts is not None  # another seed may draw other data
        own = source if same else instantiate(sub.config.data)
        known = data if same else own.labelled()
        finished = bool(run.config.resume) and (sub.folder / METRICS).is_file()
        if run.config.resume:  # before anything of it is written again
            where = instantiate(sub.config.split)(known) if trial.parts is None else trial.parts
            initial = read(str(sub.config.init_from)) if sub.config.init_from else None
            identity = learned_from(sub, known, where, initial)
            sub.check_results(identity) if finished else sub.check_checkpoint(identity)
        if finished:
            logger.info("already there")
        else:
            if trial.parts is not None:
                write_split(_split_file(run, trial), data, trial.parts, groups)
            train(sub.prepare(), own, known, baseline_seed=trial.baseline_seed)
            ran += 1
        path = sub.folder / "metrics.json"
        if path.is_file():  # only one of several ranks writes
            found = json.loads(path.read_text(encoding="utf-8"))
            predictions = Predictions.read(sub.folder / "predictions", str(found["positive"]))
            results.append({**found, "name": trial.name, "facts": trial.facts, "predictions": predictions})
    return results


def _sub_run(run: Run, trial: Trial) -> Run:
    """Describe the run of a trial; nothing is written."""
    extra = list(trial.overrides)
    dropped: tuple[str, ...] = MANY
    if trial.parts is not None:
        extra += ["split=file", assign("split.path", _split_file(run, trial))]
        dropped += ("split=", "split.", "+split.", "++split.")
    if trial.scratch:
        extra += [*scratch_overrides(run.config), "blend=false"]
    whole = Run(run.config, run.folder, [item for item in run.overrides if not item.startswith(dropped)])
    origin = None if trial.scratch or not run.config.init_from else str(run.config.init_from)
    sub = sub_run(whole, trial.name, "classify", origin, extra)
    before = sub.folder / "config.yaml"
    # Looked at before it is written again: a refused run must be refused again.
    if run.config.resume and before.is_file() and _settings(read_plain(before)) != _settings(sub.config):
        raise ConfigError(
            f"{sub.folder} was run with other settings than these: its config.yaml differs. Continue with the settings "
            "that this run was started with, or choose another run.name=."
        )
    return sub


def _split_file(run: Run, trial: Trial) -> Path:
    return run.folder / "splits" / f"{trial.name}.tsv"


def _settings(config: Any) -> dict[str, Any]:
    """Return what decides the results of a run."""
    settings = {"ensemble": 1, "blend": False, **plain(config)}  # which older versions did not know
    return {name: value for name, value in settings.items() if name not in ASIDE}


def summarise(results: Sequence[dict[str, Any]], *, independent: bool = True) -> dict[str, dict[str, dict[str, float]]]:
    """Return for the model, each baseline and a blend the mean and spread of every test score over trials.

    Args:
        results: Of the trials.
        independent: Whether the trials are independent given the data, as seeds are and folds are not; else the mean
            has no t interval, `low` and `high`.
    """
    scores: dict[str, list[dict[str, float]]] = {"model": []}
    for result in results:
        own = {name.removeprefix("test/"): value for name, value in result["metrics"].items() if "test/" in name}
        scores["model"].append(own)
        for name, baseline in result["baselines"].items():
            scores.setdefault(name, []).append({key: value for key, value in baseline.items() if key != "ci95"})
        if blend := result.get("blend"):
            own = {name.removeprefix("test/"): value for name, value in blend["metrics"].items() if "test/" in name}
            scores.setdefault("blend", []).append(own)
    return {
        model: {
            key: _mean_and_spread([row[key] for row in rows], independent)
            for key in rows[0]
            if all(isinstance(row.get(key), int | float) for row in rows)
        }
        for model, rows in scores.items()
        if len(rows) == len(results)
    }


def _mean_and_spread(values: list[float], independent: bool) -> dict[str, float]:
    found = mean_and_spread(values)
    return found if independent else {name: found[name] for name in ("count", "mean", "sd")}
