"""From a composed configuration to a finished run folder."""

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig

from gulmfit import config as configuration
from gulmfit.checkpoint import MODEL_FOLDER, foreign_classes_trusted
from gulmfit.config import instantiate
from gulmfit.data.sources.base import Source
from gulmfit.overrides import expanded
from gulmfit.report.kept import parts_kept
from gulmfit.report.kinds.kind import every_kind
from gulmfit.shorthand import figures_asked, guessed
from gulmfit.train.log import logged
from gulmfit.train.panel.running import run_panel
from gulmfit.train.recipe import AUTO, settle
from gulmfit.train.run import Run
from gulmfit.train.search.nested import run_nested
from gulmfit.train.search.searching import run_search
from gulmfit.train.stages.cross_validation import run_repeatedly
from gulmfit.train.stages.ensembles import run_model
from gulmfit.train.stages.language import run_language_model
from gulmfit.train.stages.learning_curve import run_learning_curve
from gulmfit.train.stages.ulmfit import run_ulmfit
from gulmfit.train.survive.durable import held

logger = logging.getLogger(__name__)


def run_classify(run: Run, source: Source) -> dict[str, Any]:
    """Run `stage=classify`: one classifier or ensemble, or one for each fold or seed."""
    many = run.config.cv.folds is not None or run.config.seeds > 1
    return run_repeatedly(run, source) if many else run_model(run, source)


def run_searches(run: Run, source: Source) -> dict[str, Any]:
    """Run `stage=search`: one search, or one in each fold."""
    return run_nested(run, source) if run.config.cv.folds is not None else run_search(run, source)


STAGES: dict[str, Callable[[Run, Source], dict[str, Any]]] = {
    "pretrain": run_language_model,
    "finetune": run_language_model,
    "classify": run_classify,
    "label": run_model,
    "ulmfit": run_ulmfit,
    "learning_curve": run_learning_curve,
    "search": run_searches,
    "panel": run_panel,
}


def run_stage(
    config: DictConfig, folder: Path, overrides: Sequence[str] = (), *, multirun: bool = False
) -> dict[str, Any]:
    """Validate a configuration, make its run folder, and run its stage.

    Args:
        config: As composed.
        folder: The run folder.
        overrides: What it was composed from; `stage=ulmfit` composes its parts from the same.
        multirun: Whether this is one job of a sweep.

    Returns:
        The results, as in `metrics.json`.

    Raises:
        GulmfitError: Whatever the user can mend.
    """
    every_kind()  # a source is told the name of one, in stages whose head names none
    with foreign_classes_trusted(bool(config.trust)):
        config = settle(config, overrides)
    configuration.validate(config, multirun=multirun)
    config.paths.run_dir = str(folder)
    if config.get("panel") and not config.overwrite:
        config.resume = AUTO  # what is finished is skipped
    run = Run(config, folder, list(overrides))
    source = cast("Source", None if config.get("panel") else instantiate(config.data))  # each set has its own
    # Processes share a search or a panel, and hold its parts.
    shared = config.get("search") or config.get("panel")
    alone = held(folder) if run.writes and not shared else nullcontext()
    with foreign_classes_trusted(bool(config.trust)), alone:
        run.prepare()
        with logged(folder, run.command) if run.writes else nullcontext():
            results = STAGES["search" if config.get("search") else run.stage](run, source)
            if results:
                logger.info("report: %s", folder / ("lr_find.html" if config.lr_find else "report.html"))
                if run.stage in ("classify", "ulmfit") and not config.lr_find and (folder / MODEL_FOLDER).is_dir():
                    logger.info("next: gulmfit-predict model=%s input=YOUR.fa output=YOUR.tsv", folder)
    return results


def train(overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Run what `gulmfit-train` would with these overrides: for notebooks.

    Example:
        from gulmfit.train.runner import train

        results = train(["stage=classify", "data=table", "data.path=labelled.csv"])

    Returns:
        The results, as in `metrics.json`, and the run `folder`.
    """
    overrides, figures = figures_asked(overrides)
    overrides = expanded([*overrides, *guessed(overrides)])
    config = configuration.compose(overrides)
    folder = Path(str(config.paths.run_dir))
    with parts_kept(figures):
        return {"folder": str(folder), **run_stage(config, folder, overrides)}
