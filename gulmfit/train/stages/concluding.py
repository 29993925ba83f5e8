"""What a classifier's run ends with: calibration, scores on the test part, and everything that its folder tells."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit.checkpoint import MODEL_FOLDER, save_calibration
from gulmfit.config import plain
from gulmfit.data.sources.base import Source
from gulmfit.predict.outputs.writers import write_tsv
from gulmfit.predict.predictor import Predictor
from gulmfit.report.pages import classification_report
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.train.loop.fit import Fitted
from gulmfit.train.run import Run, file_checksums
from gulmfit.train.stages.scoring import brief, calibrate, score, score_table
from gulmfit.train.survive.identity import LEARNED_FROM, Identity

logger = logging.getLogger(__name__)


@dataclass
class Material:
    """What a classifier learned from and is judged on.

    Attributes:
        source: Where the sequences come from.
        labelled: All of them (N).
        where: The part of each (N,).
        groups: What belongs together (N,).
        parts: The sequences of each part.
        leakage: What the leak check found.
        identity: What was learned from, by content.
    """

    source: Source
    labelled: LabelledSequences
    where: npt.NDArray[np.str_]
    groups: npt.NDArray[np.int64]
    parts: dict[str, LabelledSequences]
    leakage: dict[str, Any]
    identity: Identity

    def groups_of(self, part: str) -> npt.NDArray[np.int64]:
        """Return what belongs together among the sequences of a part."""
        groups: npt.NDArray[np.int64] = self.groups[self.where == part]
        return groups


def conclude(
    run: Run,
    material: Material,
    predictor: Predictor,
    fitted: Fitted,
    results: dict[str, Any],
    *,
    baseline_seed: int | None = None,
    members: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Calibrate what was learned, score it on the test part, and write all that the run's folder tells.

    Args:
        run: Its model folder is written, but for the calibration.
        material: What was learned from.
        predictor: The classifier.
        fitted: What fitting gave.
        results: What is told besides.
        baseline_seed: Of the baselines; the run's by default.
        members: Of an ensemble what is told of its networks (`ensemble` in `metrics.json`).
    """
    config, parts = run.config, material.parts
    batch_size, seed, cache_dir = int(config.batch_size), int(config.seed), Path(str(config.paths.cache_dir))
    valid_raw = calibrate(predictor, parts["valid"], str(config.calibration), batch_size)
    save_calibration(run.folder / MODEL_FOLDER, predictor.calibration.to_dict())
    results = results | score(
        parts,
        material.groups_of("test"),
        predictor,
        valid_raw=valid_raw,
        batch_size=batch_size,
        seed=seed,
        baseline_seed=seed if baseline_seed is None else baseline_seed,
        cache_dir=cache_dir,
    )
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
        write_tsv(run.folder / "predictions" / name, columns, rows)
    results.pop("raw")
    run.finish(results, classification_report(page))
    logger.info("%s", score_table(_models(results), results["baselines"]))
    if rest := results["without_leaked"]:
        logger.info(
            "without the test sequences that were met before, %d are left: %s",
            rest["sequences"], brief(results, rest["scores"]),
        )  # fmt: skip
    return page


def _models(results: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what a table of scores shows beside the baselines, by the name that it has there."""
    if not (ensemble := results.get("ensemble")):
        return {"model": dict(results)}
    kind = {name: results[name] for name in ("targets", "classes", "positive")}
    alone = {f"test/{name}": found["mean"] for name, found in ensemble["members"].items()}
    return {
        f"ensemble of {ensemble['networks']}": dict(results),
        "its networks, mean": {**kind, "metrics": alone, "ci95": {}},
    }
