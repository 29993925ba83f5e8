"""The final scores of a classifier: calibrated on validation, touched by the test part once, beside the baselines."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit.config import instantiate
from gulmfit.errors import GulmfitError
from gulmfit.predict.predictor import TINY, Predictor
from gulmfit.report.baselines import run_baselines
from gulmfit.report.calibration import Calibration, choose_threshold, fit_calibration
from gulmfit.report.predictions import Predictions
from gulmfit.report.scores import classification_scores, confusion
from gulmfit.report.table import format_table
from gulmfit.report.uncertainty import bootstrap_intervals, delong_interval, mcnemar
from gulmfit.seq.alphabet import Codes
from gulmfit.seq.labelled import LabelledSequences
from gulmfit.seq.overlap import find_overlaps
from gulmfit.seq.split import PARTS
from gulmfit.seq.store import GenomeStore
from gulmfit.train.run import Run, read_config

logger = logging.getLogger(__name__)

Probabilities = npt.NDArray[np.float64]


def calibrate(predictor: Predictor, valid: LabelledSequences, how: str, batch_size: int) -> Probabilities:
    """Fit a predictor's calibration and threshold on validation sequences, and return their raw probabilities."""
    raw = predictor.predict(valid.sequences, batch_size=batch_size, raw=True)
    predictor.calibration = fit_calibration(np.log(np.maximum(raw, TINY)), valid.labels, how)
    if len(valid.classes) == 2:
        positive = valid.classes.index(valid.positive)
        threshold = choose_threshold(valid.labels == positive, predictor.calibrated(raw)[:, positive])
        predictor.calibration = replace(predictor.calibration, threshold=threshold)
    return raw


def score(
    parts: Mapping[str, LabelledSequences],
    groups: npt.NDArray[np.int64],
    predictor: Predictor,
    *,
    valid_raw: Probabilities,
    batch_size: int,
    seed: int,
    cache_dir: Path,
) -> dict[str, Any]:
    """Score a classifier and the baselines on the test part; the test part is touched here and nowhere else.

    Args:
        parts: Sequences of `train`, `valid` and `test`.
        groups: What belongs together among the test sequences (N,).
        predictor: The classifier, calibrated.
        valid_raw: Its raw probabilities of the validation sequences.
        batch_size: Sequences that are run at once.
        seed: Of baselines and intervals.
        cache_dir: Where baselines of a split are kept.
    """
    train, valid, test = (parts[part] for part in PARTS)
    positive = test.classes.index(test.positive)
    raw = predictor.predict(test.sequences, batch_size=batch_size, raw=True)
    probabilities = {"model": predictor.calibrated(raw)}
    probabilities |= run_baselines(
        train.sequences,
        train.labels,
        test.sequences,
        num_classes=len(test.classes),
        valid_sequences=valid.sequences,
        valid_labels=valid.labels,
        seed=seed,
        cache_dir=cache_dir,
    )
    scores = {name: classification_scores(test.labels, item, positive=positive) for name, item in probabilities.items()}
    options: dict[str, Any] = {"positive": positive, "groups": groups, "seed": seed}
    intervals = {name: bootstrap_intervals(test.labels, item, **options) for name, item in probabilities.items()}
    valid_scores = classification_scores(valid.labels, predictor.calibrated(valid_raw), positive=positive)
    chosen = probabilities["model"].argmax(1)
    return {
        "metrics": {
            **{f"test/{name}": value for name, value in scores["model"].items()},
            **{f"val/{name}": value for name, value in valid_scores.items()},
        },
        "ci95": {f"test/{name}": pair for name, pair in intervals["model"].items()},
        "baselines": {name: {**scores[name], "ci95": intervals[name]} for name in probabilities if name != "model"},
        "mcnemar": {
            name: mcnemar(test.labels, chosen, item.argmax(1))
            for name, item in probabilities.items()
            if name != "model"
        },
        "confusion": confusion(test.labels, probabilities["model"]),
        "classes": test.classes,
        "positive": test.positive,
        "without_leaked": _without_leaked(parts, groups, probabilities["model"], positive, seed),
        "calibration": _calibration(test.labels, raw, probabilities["model"], predictor.calibration, positive),
        "predictions": Predictions(test.ids, test.labels, groups, test.classes, probabilities, test.positive),
        "raw": raw,
    }


def _without_leaked(
    parts: Mapping[str, LabelledSequences],
    groups: npt.NDArray[np.int64],
    probabilities: Probabilities,
    positive: int,
    seed: int,
) -> dict[str, Any] | None:
    """Score the test sequences that were met neither in training nor in validation; None if that is all of them."""
    test = parts["test"]
    kinds = find_overlaps([*parts["train"].sequences, *parts["valid"].sequences], test.sequences)
    clean = ~np.logical_or.reduce(list(kinds.values()))
    labels = test.labels[clean]
    if clean.all() or len(np.unique(labels)) < 2:
        return None
    return {
        "sequences": int(clean.sum()),
        "scores": classification_scores(labels, probabilities[clean], positive=positive),
        "ci95": bootstrap_intervals(labels, probabilities[clean], positive=positive, groups=groups[clean], seed=seed),
    }


def _calibration(
    labels: npt.NDArray[np.int64],
    raw: Probabilities,
    calibrated: Probabilities,
    calibration: Calibration,
    positive: int,
) -> dict[str, Any]:
    """What calibration did to the test part, and what the threshold chosen on validation makes of it."""
    found: dict[str, Any] = {**calibration.to_dict(), "test": {}}
    for name, item in (("before", raw), ("after", calibrated)):
        scores = classification_scores(labels, item, positive=positive)
        found["test"][name] = {score: scores[score] for score in ("ece", "brier", "log_loss")}
    if calibration.threshold is not None:
        cut = calibration.threshold
        found["at_threshold"] = classification_scores(labels, calibrated, positive=positive, threshold=cut)
        if np.bincount(labels, minlength=2).min() >= 2:  # of one example there is no variance
            found["delong"] = delong_interval(labels == positive, calibrated[:, positive])
    return found


def corpus_codes(run: Run) -> Codes | None:
    """Return the base codes that the language model behind a run has learned, or None where they cannot be found.

    `init_from` is followed from run folder to run folder to the one that was pre-trained.
    """
    origin, cache_dir = run.config.init_from, Path(str(run.config.paths.cache_dir))
    while origin:
        config = read_config(Path(str(origin)))
        if config is None:
            break
        if config.stage.name in ("pretrain", "ulmfit") and not config.init_from:
            try:
                store: GenomeStore = instantiate(config.data).store(cache_dir)
            except GulmfitError as error:
                logger.warning("the language model's corpus cannot be read again: %s", error)
                return None
            return store.codes
        origin = config.init_from
    if run.config.init_from:
        logger.info("which genome %s has learned is not known; the leak check leaves it out.", run.config.init_from)
    return None


def score_table(models: dict[str, dict[str, Any]], baselines: dict[str, dict[str, Any]]) -> str:
    """Lay models and baselines side by side, best accuracy first, each value with its 95 % interval."""
    names = ("accuracy", "mcc", "auroc", "f1")
    scored: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        name: (_test(result["metrics"]), _test(result["ci95"])) for name, result in models.items()
    }
    scored |= {f"baseline: {name}": (result, result["ci95"]) for name, result in baselines.items()}
    rows: list[dict[str, object]] = [
        {"": name, **{item: (values[item], *(bounds.get(item) or (None, None))) for item in names}}
        for name, (values, bounds) in sorted(scored.items(), key=lambda entry: -entry[1][0]["accuracy"])
    ]
    return format_table(rows, ["", *names])


def _test(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix("test/"): value for name, value in metrics.items() if name.startswith("test/")}
