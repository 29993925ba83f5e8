"""`blend=true`: the network and the baselines of a run, weighted on its validation part, put into its model folder."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit.checkpoint import MODEL_FOLDER
from gulmfit.evaluate.blend import NETWORK, FittedBlend, fit_blend
from gulmfit.predict.blending import BlendedModel, save_blend
from gulmfit.predict.predictor import Predictor
from gulmfit.report.kinds.kind import Judged
from gulmfit.report.wording import model_name
from gulmfit.train.run import Run
from gulmfit.train.stages.materials import Material
from gulmfit.train.stages.scoring import judge_of

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]


def add_blend(
    run: Run, material: Material, predictor: Predictor, valid_raw: Floats, results: dict[str, Any], seed: int
) -> None:
    """Fit a blend on validation, score it on the test part beside the network, and store it.

    Args:
        run: Its model folder becomes that of the blend.
        material: What the network learned from.
        predictor: The network; it is the blend's from here on.
        valid_raw: What the network predicts, uncalibrated, of the validation sequences (N, C).
        results: As `score` gave them; what is told of the blend is added.
        seed: Of the baselines.
    """
    config, groups = run.config, material.groups_of("test")
    train, valid, test = (material.parts[part] for part in ("train", "valid", "test"))
    judge, cache_dir = judge_of(test), Path(str(config.paths.cache_dir))
    on_valid = {NETWORK: valid_raw} | judge.on_validation(train, valid, test, seed=seed, cache_dir=cache_dir)
    fitted = fit_blend(on_valid, valid.labels, material.groups_of("valid"), int(config.seed))
    weights = fitted.blend.weights
    predictor.blend = BlendedModel(
        fitted.blend, judge.fitted_baselines(train, valid, [name for name in weights if name != NETWORK], seed=seed)
    )
    blended = predictor.blend.predict(valid_raw, valid.sequences)
    predictor.calibration = calibration = judge.fit_calibration(blended, valid.labels, str(config.calibration))
    save_blend(run.folder / MODEL_FOLDER, predictor.blend, calibration.to_dict())
    raw = predictor.blend.predict(results["raw"], test.sequences)
    by_model = results["predictions"].by_model
    probabilities = calibration.calibrated(raw)
    own = judge.decided(calibration)
    judged: dict[str, Judged] = {name: (values, judge) for name, values in by_model.items() if name != "model"}
    network, served = (by_model["model"], judge), (probabilities, own)
    judged = {"model": served, NETWORK: network, **judged}
    decided, bounds = own.at_threshold(test.labels, probabilities, calibration, groups, int(config.seed))
    scores, intervals = (
        own.scores(test.labels, probabilities),
        own.intervals(test.labels, probabilities, groups, int(config.seed)),
    )
    on_validation = own.scores(valid.labels, calibration.calibrated(blended))
    details = own.details(test.labels, raw, {"model": served}, calibration, groups, int(config.seed))
    results["blend"] = {
        **_told(fitted, test.classes),
        "metrics": {
            **{f"test/{name}": value for name, value in {**scores, **decided}.items()},
            **{f"val/{name}": value for name, value in on_validation.items()},
        },
        "ci95": {f"test/{name}": pair for name, pair in {**intervals, **bounds}.items()},
        "calibration": details["calibration"],
        **own.comparisons(test.labels, judged, groups, int(config.seed)),
    }
    tests = judge.comparisons(test.labels, {"model": network, "blend": served}, groups, int(config.seed))
    for name, found in tests.items():
        results[name] = {**results[name], **found}
    by_model["blend"] = probabilities
    shown = ", ".join(f"{model_name(name)} {weight:.2f}" for name, weight in weights.items())
    logger.info("blend: the model folder predicts with the weights %s", shown)
    if fitted.alone:
        logger.warning(
            "blend: weighing models is not better than %s alone on validation sequences (log loss %.4f against %.4f), "
            "which has all weight",
            model_name(fitted.alone), fitted.blended, fitted.losses[fitted.alone],
        )  # fmt: skip


def _told(fitted: FittedBlend, classes: list[str]) -> Mapping[str, Any]:
    return {
        "weights": dict(fitted.blend.weights),
        "bias": dict(zip(classes, fitted.blend.bias, strict=True)),
        "alone": fitted.alone,
        "validation": {"held_out": fitted.held_out, "log_loss": {**fitted.losses, "blend": fitted.blended}},
    }
