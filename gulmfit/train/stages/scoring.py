"""The final scores of a classifier: calibrated on validation, touched by the test part once, beside the baselines."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit.moved import named
from gulmfit.predict.predictor import Predictor
from gulmfit.report.kinds.kind import Judged, Kind, kind_named, objective_of
from gulmfit.report.kinds.predictions import Predictions
from gulmfit.report.table import format_table
from gulmfit.report.wording import heading, model_name
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.related.overlap import find_overlaps
from gulmfit.seq.splits.split import PARTS

BEFORE = "before_tuning"
"""The name of the labeller that was tuned, among the baselines."""

Predicted = npt.NDArray[np.float64]


def judge_of(data: LabelledSequences) -> Kind:
    """Return what predictions of labelled sequences are judged by."""
    return kind_named(data.targets)(data.classes, data.positive)


def calibrate(predictor: Predictor, valid: LabelledSequences, how: str, batch_size: int) -> Predicted:
    """Fit a predictor's calibration and thresholds on validation sequences, and return what it predicts of them raw."""
    raw = predictor.of_part(valid, batch_size=batch_size, raw=True)
    predictor.calibration = judge_of(valid).fit_calibration(raw, valid.labels, how)
    return raw


def score(
    parts: Mapping[str, LabelledSequences],
    groups: npt.NDArray[np.int64],
    predictor: Predictor,
    *,
    valid_raw: Predicted,
    batch_size: int,
    seed: int,
    baseline_seed: int,
    cache_dir: Path,
    ceilings: Mapping[str, Predicted] | None = None,
    fitted: Mapping[str, Predicted] | None = None,
    before: Predictor | None = None,
) -> dict[str, Any]:
    """Score a classifier and the baselines on the test part; the test part is touched here and nowhere else.

    Args:
        parts: Sequences of `train`, `valid` and `test`.
        groups: What belongs together among the test sequences (N,).
        predictor: The classifier, calibrated.
        valid_raw: What it predicts, uncalibrated, of the validation sequences.
        batch_size: Sequences that are run at once.
        seed: Of intervals.
        baseline_seed: Of the baselines.
        cache_dir: Where baselines of a split are kept.
        ceilings: What can be said of the test sequences where the truth was simulated, by name.
        fitted: What baselines of the source alone predict of them, by name.
        before: The labeller that was tuned to the classifier, judged as a baseline.
    """
    train, valid, test = (parts[part] for part in PARTS)
    plain = judge_of(test)
    own = plain.decided(predictor.calibration)
    raw = predictor.of_part(test, batch_size=batch_size, raw=True)
    judged: dict[str, Judged] = {"model": (predictor.calibrated(raw), own)}
    judged |= plain.baselines(train, valid, test, seed=baseline_seed, cache_dir=cache_dir)
    judged |= {name: (predicted, plain) for name, predicted in (fitted or {}).items()}
    untuned = {}
    if before is not None:
        raw_before = before.of_part(test, batch_size=batch_size, raw=True)
        judged[BEFORE] = (before.calibrated(raw_before), plain.decided(before.calibration))
        untuned = {"before": (before.folder, raw_before)}
    scores = {name: judge.scores(test.labels, item) for name, (item, judge) in judged.items()}
    intervals = {name: judge.intervals(test.labels, item, groups, seed) for name, (item, judge) in judged.items()}
    decided, decided_intervals = own.at_threshold(test.labels, judged["model"][0], predictor.calibration, groups, seed)
    valid_scores = own.scores(valid.labels, predictor.calibrated(valid_raw))
    predictions = {name: item for name, (item, _) in judged.items()}
    return {
        "metrics": {
            **{f"test/{name}": value for name, value in {**scores["model"], **decided}.items()},
            **{f"val/{name}": value for name, value in valid_scores.items()},
        },
        "ci95": {f"test/{name}": pair for name, pair in {**intervals["model"], **decided_intervals}.items()},
        "baselines": {name: {**scores[name], "ci95": intervals[name]} for name in judged if name != "model"},
        **own.comparisons(test.labels, judged, groups, seed),
        **score_ceilings(ceilings or {}, test.labels, judged["model"], groups, seed, predictor.reads_ahead),
        "targets": test.targets,
        "classes": test.classes,
        "positive": test.positive,
        "without_leaked": _without_leaked(parts, groups, judged["model"], seed),
        **own.details(test.labels, raw, judged, predictor.calibration, groups, seed),
        "predictions": Predictions(
            test.ids, test.labels, groups, test.classes, predictions, test.positive, targets=test.targets
        ),
        "raw": raw,
        **(named(own.beyond)(parts, valid_raw, raw, seed=seed, **untuned) if own.beyond else {}),
    }


def score_ceilings(
    ceilings: Mapping[str, Predicted],
    truth: Any,
    judged: Judged,
    groups: npt.NDArray[np.int64],
    seed: int,
    reads_ahead: bool,
) -> dict[str, Any]:
    """Score what can be said with the parameters of a simulation, and what the model lacks of it.

    Returns:
        Under "ceilings", by name, the scores, `ci95`, and `gap`: what the model gains over it, with bounds; and under
        "ceiling" the name of the one for models that read ahead, or do not. Nothing where there are none.
    """
    judge = judged[1]
    found = {
        name: {
            **judge.scores(truth, item),
            "ci95": judge.intervals(truth, item, groups, seed),
            "gap": judge.paired(truth, (item, judge), judged, groups, seed),
        }
        for name, item in ceilings.items()
    }
    return {"ceilings": found, "ceiling": "posterior" if reads_ahead else "filter"} if found else {}


def _without_leaked(
    parts: Mapping[str, LabelledSequences], groups: npt.NDArray[np.int64], judged: Judged, seed: int
) -> dict[str, Any] | None:
    """Score the test sequences that were met neither in training nor in validation; None if that is all of them."""
    test = parts["test"]
    known = [*parts["train"].sequences, *parts["valid"].sequences]
    kinds = find_overlaps(known, test.sequences, alphabet=test.alphabet)
    clean = ~np.logical_or.reduce(list(kinds.values()))
    labels, (predicted, judge) = test.labels[clean], judged
    if clean.all() or not clean.any() or not judge.scorable(labels):
        return None
    return {
        "sequences": int(clean.sum()),
        "scores": judge.scores(labels, predicted[clean]),
        "ci95": judge.intervals(labels, predicted[clean], groups[clean], seed),
    }


def score_table(
    models: dict[str, dict[str, Any]],
    baselines: dict[str, dict[str, Any]],
    ceilings: Mapping[str, dict[str, Any]] | None = None,
) -> str:
    """Lay models, baselines and ceilings side by side, best first, each value with its 95 % interval."""
    judge = objective_of(next(iter(models.values())))
    scored: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        name: (_test(result["metrics"]), _test(result["ci95"])) for name, result in models.items()
    }
    scored |= {f"baseline: {model_name(name)}": (result, result["ci95"]) for name, result in baselines.items()}
    scored |= {f"ceiling: {name}": (result, result["ci95"]) for name, result in (ceilings or {}).items()}
    names = [name for name in judge.summary if any(name in values for values, _ in scored.values())]
    rows: list[dict[str, object]] = [
        {"": name, **{heading(item): (values[item], *(bounds.get(item) or (None, None))) for item in names}}
        for name, (values, bounds) in sorted(scored.items(), key=lambda entry: -_rank(entry[1][0][judge.headline]))
    ]
    return format_table(rows, ["", *map(heading, names)])


def brief(results: Mapping[str, Any], scores: Mapping[str, float]) -> str:
    """Tell two scores in a line: "accuracy 0.912, AUROC 0.970"."""
    judge = objective_of(results)
    return ", ".join(f"{heading(name)} {scores[name]:.3f}" for name in (judge.headline, judge.second))


def _rank(value: float) -> float:
    """A key by which undefined scores come last."""
    return -np.inf if np.isnan(value) else value


def _test(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix("test/"): value for name, value in metrics.items() if name.startswith("test/")}
