"""What a classifier's run ends with: calibration, scores on the test part, and everything that its folder tells."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gulmfit.checkpoint import MODEL_FOLDER, save_calibration
from gulmfit.config import plain
from gulmfit.metadata import file_checksums
from gulmfit.predict.outputs.writers import write_tsv
from gulmfit.predict.predictor import Predictor
from gulmfit.report.combined import blend_scores
from gulmfit.report.pages import classification_report
from gulmfit.seq.splits.trained_on import TRAINED_ON, write_trained_on
from gulmfit.train.loop.fit import Fitted
from gulmfit.train.run import Run
from gulmfit.train.stages.blends import add_blend
from gulmfit.train.stages.materials import Material
from gulmfit.train.stages.scoring import brief, calibrate, score, score_table
from gulmfit.train.survive.identity import LEARNED_FROM

logger = logging.getLogger(__name__)


def conclude(
    run: Run,
    material: Material,
    predictor: Predictor,
    fitted: Fitted,
    results: dict[str, Any],
    *,
    baseline_seed: int | None = None,
    members: Mapping[str, Any] | None = None,
    before: Predictor | None = None,
) -> dict[str, Any]:
    """Calibrate what was learned, score it on the test part, blend it if asked, and write what the run's folder tells.

    Args:
        run: Its model folder is written, but for the calibration.
        material: What was learned from.
        predictor: The classifier.
        fitted: What fitting gave.
        results: What is told besides.
        baseline_seed: Of the baselines; the run's by default.
        before: The labeller that was tuned to it, judged alongside.
        members: Of an ensemble what is told of its networks (`ensemble` in `metrics.json`).
    """
    config, parts = run.config, material.parts
    batch_size, seed, cache_dir = int(config.batch_size), int(config.seed), Path(str(config.paths.cache_dir))
    valid_raw = calibrate(predictor, parts["valid"], str(config.calibration), batch_size)
    judged_by = seed if baseline_seed is None else baseline_seed
    results = results | score(
        parts,
        material.groups_of("test"),
        predictor,
        valid_raw=valid_raw,
        batch_size=batch_size,
        seed=seed,
        baseline_seed=judged_by,
        cache_dir=cache_dir,
        ceilings=material.source.ceilings(parts["test"]),
        fitted=material.source.baselines(parts["train"], parts["test"]),
        before=before,
    )
    folder = run.folder / "predictions"
    write_trained_on(run.folder / MODEL_FOLDER / TRAINED_ON, parts)
    if config.blend:
        add_blend(run, material, predictor, valid_raw, results, judged_by)
    else:
        save_calibration(run.folder / MODEL_FOLDER, predictor.calibration.to_dict())
        (folder / "blend.tsv").unlink(missing_ok=True)  # of a run that was continued without it
    if decoding := results.pop("decoding", None):
        decoding.save(run.folder / MODEL_FOLDER)
    results["metrics"][str(config.stage.monitor)] = fitted.best_score
    results["leakage"] = {**material.leakage, "threshold": float(config.leakage_threshold)}
    results |= {
        "data": {
            "files": file_checksums(material.labelled.files, cache_dir),
            "counts": {part: len(item) for part, item in parts.items()},
            "classes": {part: item.kind.counts(item.labels, item.classes) for part, item in parts.items()},
            "split": plain(config.split),
            LEARNED_FROM: material.identity,
            "negatives": getattr(material.source, "record", {}),
            "windows": getattr(material.source, "windows", {}),
            "left_out": getattr(material.source, "left_out", {}),
        },
        "model": {
            "parameters": sum(parameter.numel() for parameter in predictor.model.parameters()),
            "tokenizer": predictor.tokenizer.summary(),
        },
        "timing": {"seconds": fitted.seconds, "tokens_per_second": fitted.tokens_per_second},
        **({"ensemble": dict(members)} if members else {}),
    }
    page = {
        **results,
        "curves": run.curves(),
        "config_yaml": run.config_yaml,
        "command": run.command,
        "sequences": dict(zip(parts["test"].ids, parts["test"].sequences, strict=True)),
    }
    for name, columns, rows in results.pop("predictions").tables():
        write_tsv(folder / name, columns, rows)
    results.pop("raw")
    report = classification_report(page)
    run.finish(results, report)
    logger.info("%s", score_table(_models(results), results["baselines"], results.get("ceilings")))
    logger.info("%s", report.verdict)
    if rest := results["without_leaked"]:
        logger.info(
            "without the test sequences that were met before, %d are left: %s",
            rest["sequences"], brief(results, rest["scores"]),
        )  # fmt: skip
    return page


def _models(results: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what a table of scores shows beside the baselines, by the name that it has there."""
    kind = {name: results[name] for name in ("targets", "classes", "positive")}
    models = {"model": dict(results)}
    if ensemble := results.get("ensemble"):
        alone = {f"test/{name}": found["mean"] for name, found in ensemble["members"].items()}
        models = {f"ensemble of {ensemble['networks']}": dict(results)}
        models["its networks, mean"] = {**kind, "metrics": alone, "ci95": {}}
    return models | {name: {**kind, **found} for name, found in blend_scores(results).items()}
