"""`stage=learning_curve`: a score against the number of labels, transferred beside from scratch.

The one figure that shows what pre-training is worth. Every draw shuffles the training part once and takes its first
20, 50, 100 … sequences, so larger subsets hold the smaller ones; the validation part shrinks in proportion, the test
part is always the whole one.
"""

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit.config import instantiate, plain
from gulmfit.data.sources.base import Source
from gulmfit.errors import DataError
from gulmfit.evaluate.uncertainty import mean_and_spread
from gulmfit.report.repeated import learning_curve_report
from gulmfit.report.table import format_table
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.splits.split_file import UNUSED
from gulmfit.train.run import Run
from gulmfit.train.stages.classify import check_targets
from gulmfit.train.stages.scoring import judge_of
from gulmfit.train.stages.trials import SCRATCH, TRANSFERRED, Trial, run_trials

logger = logging.getLogger(__name__)

# How often a short training is judged on its validation part: each time costs more than a step.
VALIDATIONS = 20


def nested_order(labels: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Shuffle sequences so that every beginning of the order holds the classes in proportion, `(N,)` indices.

    One of each class comes first, so that a beginning of as many sequences as there are classes has them all, however
    rare one is.
    """
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
        place[members[0]] = 0.0
    return np.lexsort((labels, place))


def sizes(run: Run, available: int, num_classes: int) -> list[int]:
    """Return the numbers of labels to train on, the last of them all there are.

    A size with fewer than two labels for each class is left out, and the log says so.

    Raises:
        DataError: If there are fewer labels than that in all.
    """
    least = 2 * num_classes
    if available < least:
        raise DataError(
            f"the training part has {available} sequences, fewer than two for each of {num_classes} classes; a "
            f"learning curve needs {least} at least."
        )
    wanted = sorted({int(size) for size in plain(run.config.learning_curve.sizes) if int(size) < available})
    if small := [size for size in wanted if size < least]:
        logger.warning(
            "learning_curve.sizes: %s left out, fewer than two labels for each of %d classes",
            ", ".join(map(str, small)), num_classes,
        )  # fmt: skip
    return [*(size for size in wanted if size >= least), available]


def curve_trials(run: Run, data: LabelledSequences) -> list[Trial]:
    """Return the trials of a learning curve, small ones first."""
    where = instantiate(run.config.split)(data)
    train, valid = np.flatnonzero(where == "train"), np.flatnonzero(where == "valid")
    trials: list[Trial] = []
    chosen = sizes(run, len(train), len(data.classes))
    for draw in range(int(run.config.learning_curve.draws)):
        rng = np.random.default_rng([int(run.config.seed), draw])
        train_order = train[nested_order(data.labels[train], rng)]
        valid_order = valid[nested_order(data.labels[valid], rng)]
        for size in chosen:
            parts = np.where(where == "test", "test", UNUSED)
            parts[train_order[:size]] = "train"
            # One of each class at least, which the order begins with: nothing could be chosen without.
            parts[valid_order[: max(len(data.classes), round(size * len(valid) / len(train)))]] = "valid"
            extra = [f"seed={int(run.config.seed) + draw}", *_long_enough(run, size)]
            for model in (TRANSFERRED, SCRATCH):
                facts = {"model": model, "labels": size, "draw": draw}
                name = f"{size:06d}_{draw}_{model}"
                trials.append(Trial(name, parts, model == SCRATCH, list(extra), facts))
    return sorted(trials, key=lambda trial: trial.facts["labels"])


def _long_enough(run: Run, size: int) -> list[str]:
    """Give small subsets small batches, for about 32 steps an epoch, and as many epochs as make the least of steps."""
    config = run.config
    if not config.classify.phases:  # a recipe that follows the number of labels
        return []
    batch_size = min(int(config.classify.batch_size), max(8, size // 32))
    epochs = sum(float(phase["epochs"]) for phase in plain(config.classify.phases))
    steps_an_epoch = max(1, size // batch_size)
    least = int(config.learning_curve.min_steps)
    changes = [f"classify.batch_size={batch_size}"]
    if epochs * steps_an_epoch >= least:
        return changes
    every = max(1, least // steps_an_epoch // VALIDATIONS)
    return [*changes, f"trainer.max_steps={least}", f"trainer.check_val_every_n_epoch={every}"]


def run_learning_curve(run: Run, source: Source) -> dict[str, Any]:
    """Train every point of the curve and draw it."""
    data = source.labelled()
    check_targets(run.config, data)
    trials = curve_trials(run, data)
    groups = instantiate(run.config.split).groups(data)
    found = run_trials(run, source, data, groups, trials)
    if len(found) < len(trials):  # a rank that does not evaluate
        return {}
    curve = {score: _points(found, score) for score in judge_of(data).curve}
    rows = _rows(curve)
    results: dict[str, Any] = {
        **run.facts,
        "classes": found[0]["classes"],
        "positive": found[0]["positive"],
        "curve": {
            score: {model: {str(size): values for size, values in points.items()} for model, points in models.items()}
            for score, models in curve.items()
        },
        "metrics": {},
        "data": found[-1]["data"],
        "timing": {"seconds": sum(result["timing"]["seconds"] for result in found)},
    }
    page = {
        **results,
        "curve": curve,
        "table": rows,
        "verdict": _verdict(curve["accuracy"]),
        "config_yaml": run.config_yaml,
    }
    run.finish(results, learning_curve_report(page))
    logger.info("\n%s\n\n%s", format_table(rows, list(rows[0])), page["verdict"])
    return page


def _points(found: list[dict[str, Any]], score: str) -> dict[str, dict[int, list[float]]]:
    """Collect a score by model and number of labels; baselines saw the same labels as the transferred model."""
    points: dict[str, dict[int, list[float]]] = {TRANSFERRED: {}, SCRATCH: {}}
    for result in found:
        model, size = result["facts"]["model"], int(result["facts"]["labels"])
        points[model].setdefault(size, []).append(result["metrics"][f"test/{score}"])
        if model == TRANSFERRED:
            for name, scores in result["baselines"].items():
                points.setdefault(name, {}).setdefault(size, []).append(scores[score])
    return points


def _rows(curve: dict[str, dict[str, dict[int, list[float]]]]) -> list[dict[str, object]]:
    every = sorted({size for points in curve["accuracy"].values() for size in points})
    rows: list[dict[str, object]] = []
    for size in every:
        row: dict[str, object] = {"labels": size}
        for score in ("accuracy", "auroc"):
            for model in (TRANSFERRED, SCRATCH):
                spread = mean_and_spread(curve[score][model][size])
                row[f"{score}, {model}"] = f"{spread['mean']:.3f} ± {spread['sd']:.3f}"
            best = max((np.mean(points[size]), name) for name, points in _baselines(curve[score]) if size in points)
            row[f"{score}, best baseline"] = f"{best[0]:.3f} ({best[1]})"
        rows.append(row)
    return rows


def _baselines(models: dict[str, dict[int, list[float]]]) -> list[tuple[str, dict[int, list[float]]]]:
    return [(name, points) for name, points in models.items() if name not in (TRANSFERRED, SCRATCH)]


def _verdict(models: dict[str, dict[int, list[float]]]) -> str:
    """Say how many labels pre-training saves, and at how many sizes that is more than the draws' chance."""
    every = sorted(models[TRANSFERRED])
    transferred, scratch = (
        {size: float(np.mean(models[name][size])) for size in every} for name in (TRANSFERRED, SCRATCH)
    )
    ahead = sum(transferred[size] > scratch[size] for size in every)
    apart = sum(_apart(models[TRANSFERRED][size], models[SCRATCH][size]) for size in every)
    few, many = every[0], every[-1]
    draws = len(models[TRANSFERRED][few])
    doubt = (
        f"at {apart} of them the 95 % intervals of the two means over {draws} draws do not overlap"
        if draws > 1
        else "with one draw of each nothing tells chance apart"
    )
    return (
        f"With {few} labels transferred reaches {transferred[few]:.3f} accuracy, from scratch {scratch[few]:.3f}; with "
        f"{many:,} it is {transferred[many]:.3f} against {scratch[many]:.3f}. Transferred is ahead at {ahead} of "
        f"{len(every)} sizes; {doubt}."
    )


def _apart(first: list[float], second: list[float]) -> bool:
    """Tell whether the t intervals of two means over draws do not overlap, the first being higher."""
    return mean_and_spread(first)["low"] > mean_and_spread(second)["high"]
