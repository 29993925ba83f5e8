"""`stage=ulmfit`: the three stages in a row, beside the same network trained from scratch on the same split."""

import logging
import math
import shutil
from typing import Any

from gulmfit.checkpoint import MODEL_FOLDER
from gulmfit.data.sources.base import Source
from gulmfit.overrides import assign
from gulmfit.report.combined import blend_scores
from gulmfit.report.kinds.kind import Judged, Kind, objective_of
from gulmfit.report.pages import comparison_report
from gulmfit.report.wording import model_name
from gulmfit.train.run import Run, sub_run
from gulmfit.train.stages.classify import scratch_overrides, split_parts
from gulmfit.train.stages.ensembles import run_model
from gulmfit.train.stages.language import run_language_model
from gulmfit.train.stages.scoring import score_table

logger = logging.getLogger(__name__)

# What is told of the transferred classifier for the whole run.
SHARED = (
    "baselines", "leakage", "data", "model", "targets", "classes", "positive", "confusion", "calibration", "ranks",
    "by_target", "ensemble", "blend",
)  # fmt: skip


TOLD = {
    "pretrain": "a language model learns the genome",
    "finetune": "it is tuned to the training sequences, without their labels",
}


def run_ulmfit(run: Run, source: Source) -> dict[str, Any]:
    """Run pretrain, finetune and classify, then the twin from scratch, and compare the two on the same test part."""
    split_parts(run, source.labelled())  # a mistake in the labels is told now, not after the genome is learned
    language_models: dict[str, Any] = {}
    origin = str(run.config.init_from) if run.config.init_from else None
    wanted = {"pretrain": run.config.stage.pretrain, "finetune": run.config.stage.finetune}
    stages = [stage for stage, want in wanted.items() if (origin is None if want is None else want)]
    count = len(stages) + 2
    for number, stage in enumerate(stages, start=1):
        sub = sub_run(run, stage, stage, origin).prepare()
        logger.info("[%d/%d] %s: %s", number, count, stage, TOLD[stage])
        language_models[stage] = run_language_model(sub, source)
        origin = str(sub.folder)
    logger.info("[%d/%d] classify: a classifier starts from the language model", count - 1, count)
    transferred = run_model(sub_run(run, "classify", "classify", origin).prepare(), source)
    logger.info("[%d/%d] classify from scratch: the same network without it, to compare", count, count)
    twin = [*scratch_overrides(run.config), assign("arch_from", origin), "blend=false"]
    scratch = run_model(sub_run(run, "scratch", "classify", None, twin).prepare(), source)
    if "predictions" not in transferred:  # a rank that does not evaluate
        return {}
    scored = transferred["predictions"].beside({"scratch": scratch["predictions"]})
    judge = objective_of(transferred)
    judged: dict[str, Judged] = {name: (scored.by_model[name], judge) for name in ("model", "scratch")}
    tests = judge.comparisons(scored.labels, judged, scored.groups, int(run.config.seed))
    page: dict[str, Any] = {
        **run.facts,
        "metrics": _prefixed(transferred, scratch, "metrics") | _bits(language_models),
        "ci95": _prefixed(transferred, scratch, "ci95"),
        **{name: transferred[name] for name in SHARED if name in transferred},
        **{test: {**found, **transferred[test]} for test, found in tests.items()},
        "timing": {
            "seconds": sum(item["timing"]["seconds"] for item in (transferred, scratch, *language_models.values()))
        },
        "init_from": str(run.config.init_from) if run.config.init_from else None,
        "runs": {"transferred": transferred, "scratch": scratch},
        "config_yaml": run.config_yaml,
        **language_models,
    }
    page["worthless"] = _not_won(run, page, judge)
    shutil.copytree(run.folder / "classify" / MODEL_FOLDER, run.folder / MODEL_FOLDER, dirs_exist_ok=True)
    heavy = ("runs", "config_yaml")
    report = comparison_report(page)
    run.finish({name: value for name, value in page.items() if name not in heavy}, report)
    blend = {name: {**transferred, **found} for name, found in blend_scores(transferred).items()}
    table = score_table({"transferred": transferred, "from scratch": scratch, **blend}, transferred["baselines"])
    logger.info("\n%s\n\n%s", table, report.verdict)
    run.refuse_worthless(page)
    return page


def _not_won(run: Run, page: dict[str, Any], judge: Kind) -> str:
    """Return whom transfer was to beat, by `must_win`, and has not; an empty text if there is none."""
    if run.config.must_win is None:
        return ""
    limit, score = float(run.config.must_win), f"test/{judge.headline}"
    reached = {name: float(found[judge.headline]) for name, found in page["baselines"].items()}
    reached["scratch"] = float(page["metrics"][f"scratch/{score}"])
    tests = judge.tests(page, "scratch")
    missed = [
        f"{model_name(name)} (p {float(tests.get(name, {}).get('p_value', math.nan)):.2g})"
        for name, value in reached.items()
        if not (page["metrics"][score] > value and float(tests.get(name, {}).get("p_value", math.nan)) < limit)
    ]
    if not missed:
        return ""
    return f"Transfer was to win with p < {limit:g} (must_win), and has not beaten {', '.join(missed)}."


def _prefixed(transferred: dict[str, Any], scratch: dict[str, Any], key: str) -> dict[str, Any]:
    return {**transferred[key], **{f"scratch/{name}": value for name, value in scratch[key].items()}}


def _bits(language_models: dict[str, Any]) -> dict[str, float]:
    return {
        f"{stage}/val/bits_per_base": results["metrics"]["val/bits_per_base"]
        for stage, results in language_models.items()
        if "metrics" in results
    }
