"""`stage=classify` over folds (`cv.folds=5`) or seeds (`seeds=5`): how far a score depends on chance.

Each fold trains a fresh head on a fresh copy of the encoder. Folds keep groups of the split (clusters, overlapping
windows) together; a validation part is cut from the training folds by the same rule.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gulmfit.config import instantiate
from gulmfit.data.sources.base import Source
from gulmfit.predict.outputs.writers import write_tsv
from gulmfit.report.html import Report
from gulmfit.report.kinds.kind import AT_THRESHOLD, Judged, kind_named
from gulmfit.report.kinds.predictions import FOLD, OUT_OF_FOLD, Predictions
from gulmfit.report.repeated import repeated_report, summary_table
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.train.run import Run
from gulmfit.train.stages.classify import check_targets
from gulmfit.train.stages.ensembles import run_model
from gulmfit.train.stages.trials import SCRATCH, TRANSFERRED, Trial, run_trials, summarise

logger = logging.getLogger(__name__)


def fold_trials(run: Run, data: LabelledSequences) -> list[Trial]:
    """Return the trials of a cross-validation: for every repeat and fold the classifier, and its twin if wanted."""
    config = run.config
    split = instantiate(config.split)
    groups = split.groups(data)
    # As large a share of what is left for training as the split would have taken.
    inner = max(2, round(1 / max(float(config.split.get("valid_fraction") or 0.1), 1e-6)))
    trials: list[Trial] = []
    for repeat in range(int(config.cv.repeats)):
        folds = split.folds(data, int(config.cv.folds), repeat)
        for fold in range(int(config.cv.folds)):
            parts = np.where(folds == fold, "test", "train").astype("U5")
            rest = np.flatnonzero(folds != fold)
            parts[rest[split.folds(data.subset(rest), inner, repeat, groups[rest]) == 0]] = "valid"
            name = f"repeat_{repeat}_fold_{fold}" if config.cv.repeats > 1 else f"fold_{fold}"
            facts = {"repeat": repeat, "fold": fold}
            trials += _with_twin(run, Trial(name, parts, facts=facts))
    return trials


def seed_trials(run: Run) -> list[Trial]:
    """Return one trial, and its twin if wanted, for each seed."""
    first = int(run.config.seed)
    trials: list[Trial] = []
    for seed in range(first, first + int(run.config.seeds)):
        trials += _with_twin(run, Trial(f"seed_{seed}", overrides=[f"seed={seed}"], facts={"seed": seed}))
    return trials


def _with_twin(run: Run, trial: Trial) -> list[Trial]:
    model = TRANSFERRED if run.config.init_from else "model"
    trial.facts = {"model": model, **trial.facts}
    if not run.config.with_scratch:
        return [trial]
    facts = {**trial.facts, "model": SCRATCH}
    return [trial, Trial(f"{trial.name}_scratch", trial.parts, True, list(trial.overrides), facts)]


def run_repeatedly(run: Run, source: Source) -> dict[str, Any]:
    """Run all folds or seeds and write what they have in common."""
    data = source.labelled()
    check_targets(run.config, data)
    split = instantiate(run.config.split)
    trials = fold_trials(run, data) if run.config.cv.folds is not None else seed_trials(run)
    found = run_trials(run, source, data, split.groups(data), trials, run_model)
    if len(found) < len(trials):  # a rank that does not evaluate
        return {}
    return tell_together(run, found, len(data), str(run.config.stage.monitor))


def tell_together(
    run: Run,
    found: Sequence[dict[str, Any]],
    sequences: int,
    monitor: str,
    report_of: Callable[[dict[str, Any]], Report] = repeated_report,
    **more: Any,
) -> dict[str, Any]:
    """Write what the runs over folds or seeds have in common.

    Args:
        run: Of the whole.
        found: As `run_trials` returns them; the first one is of the main model.
        sequences: How many there are in all.
        monitor: What validation judged by.
        report_of: Makes the page.
        more: What else is told.
    """
    over_folds = run.config.cv.folds is not None
    by_model: dict[str, list[dict[str, Any]]] = {}
    for result in found:
        by_model.setdefault(result["facts"]["model"], []).append(result)
    main = next(iter(by_model))
    results: dict[str, Any] = {
        **run.facts,
        "over": "folds" if over_folds else "seeds",
        "targets": found[0]["targets"],
        "classes": found[0]["classes"],
        "positive": found[0]["positive"],
        "spread": _spread(by_model, main, independent=not over_folds),
        "trials": [_row(result) for result in found],
        "data": found[0]["data"] | {"counts": {"all": sequences}},
        "leakage": {result["name"]: result["leakage"] for result in by_model[main]},
        "timing": {"seconds": sum(result["timing"]["seconds"] for result in found)},
        **more,
    }
    results["metrics"] = {f"test/{name}": value["mean"] for name, value in results["spread"][main].items()}
    results["metrics"][monitor] = float(np.mean([result["metrics"][monitor] for result in by_model[main]]))
    page = dict(results)
    if over_folds:
        pooled = _pool(by_model, main)
        places = _places(by_model[main])
        for name, columns, rows in pooled.tables():
            with_fold = ((record, [*cells, *place]) for (record, cells), place in zip(rows, places, strict=True))
            path = run.folder / "predictions" / name.replace("test.tsv", OUT_OF_FOLD)
            write_tsv(path, [*columns, *FOLD], with_fold)
        results["pooled"] = _pooled_scores(pooled, int(run.config.seed))
        page = {**results, "predictions": pooled}
    page["config_yaml"] = run.config_yaml
    report = report_of(page)
    run.finish(results, report)
    logger.info("\n%s\n\n%s", summary_table(results), report.verdict)
    return page


def _spread(by_model: dict[str, list[dict[str, Any]]], main: str, *, independent: bool) -> dict[str, Any]:
    """Mean and spread of each model; the baselines saw the same splits in every model's trials."""
    spreads = {model: summarise(results, independent=independent) for model, results in by_model.items()}
    baselines = {name: value for name, value in spreads[main].items() if name != "model"}
    return {model: spread["model"] for model, spread in spreads.items()} | baselines


def _places(results: list[dict[str, Any]]) -> list[list[str | float]]:
    """Return the fold and the repeat of each pooled prediction."""
    return [
        [str(result["facts"]["fold"]), str(result["facts"]["repeat"])]
        for result in results
        for _ in range(len(result["predictions"]))
    ]


def _row(result: dict[str, Any]) -> dict[str, Any]:
    scores = {
        name.removeprefix("test/"): value
        for name, value in result["metrics"].items()
        if "test/" in name and not name.endswith(AT_THRESHOLD)
    }
    return {"name": result["name"], **result["facts"], "test": result["data"]["counts"]["test"], **scores}


def _pool(by_model: dict[str, list[dict[str, Any]]], main: str) -> Predictions:
    """Lay the out-of-fold predictions of all folds end to end, the twin's beside."""
    pooled = {
        model: Predictions.concatenate([result["predictions"] for result in results])
        for model, results in by_model.items()
    }
    return pooled[main].beside({model: item for model, item in pooled.items() if model != main})


def _pooled_scores(pooled: Predictions, seed: int) -> dict[str, Any]:
    """Score out-of-fold predictions, with intervals and paired tests that count a group of sequences once.

    Thresholds differ from fold to fold, so what hangs on them is not scored here.
    """
    judge = kind_named(pooled.targets)(pooled.classes, pooled.positive)
    labels, groups = pooled.labels, pooled.groups
    judged: dict[str, Judged] = {name: (values, judge) for name, values in pooled.by_model.items()}
    found: dict[str, Any] = {}
    if "blend" in judged:  # against its parts, as in each fold
        parts = {name: item for name, item in judged.items() if name not in ("model", "blend", SCRATCH)}
        network = {"model": judged["blend"], "network": judged["model"]}
        found["blend"] = judge.comparisons(labels, {**network, **parts}, groups, seed)
    return {
        **found,
        "scores": {name: judge.scores(labels, values) for name, values in pooled.by_model.items()},
        "ci95": {name: judge.intervals(labels, values, groups, seed) for name, values in pooled.by_model.items()},
        **judge.comparisons(labels, judged, groups, seed),
        "paired": {
            name: judge.paired(labels, item, judged["model"], groups, seed)
            for name, item in judged.items()
            if name != "model"
        },
    }
