"""`cv.folds` with a search: the choice of settings is part of each fold.

Every fold is a search of its own, `fold_K/`, on its training and validation parts; its winner and the settings without
a search are scored on what the fold holds out. So the pooled out-of-fold scores are those of searching, not of settings
that have seen the test sequences, and a paired test says what the search has bought.
"""

import json
import logging
import time
from typing import Any

from gulmfit.config import compose, instantiate, plain, validate
from gulmfit.data.sources.base import Source
from gulmfit.overrides import assign
from gulmfit.report.kinds.predictions import Predictions
from gulmfit.report.search_page import DEFAULTS, SEARCHED, nested_report
from gulmfit.seq.splits.split_file import write_split
from gulmfit.train.recipe import settle
from gulmfit.train.run import METRICS, Run
from gulmfit.train.search.searching import begin, conduct
from gulmfit.train.search.studies import TRIALS, WAIT_SECONDS
from gulmfit.train.search.trial_runs import logged_in
from gulmfit.train.stages.cross_validation import fold_trials, tell_together
from gulmfit.train.stages.trials import Trial

logger = logging.getLogger(__name__)

# Words of the whole that a fold gets from here instead.
OF_THE_WHOLE = ("cv.", "split=", "split.", "run.name=", "paths.run_dir=", "resume=", "overwrite=")
BUDGET = ("trials", "hours", "finalists", "seeds")


def run_nested(run: Run, source: Source) -> dict[str, Any]:
    """Search in every fold, and tell what the folds say together.

    Args:
        run: Its configuration and folder.
        source: Where labelled sequences come from.
    """
    data = source.labelled()
    groups = instantiate(run.config.split).groups(data)
    folds = fold_trials(run, data)
    subs = {fold.name: _fold_run(run, fold) for fold in folds}
    for fold in folds:
        if fold.parts is not None:  # which every fold has
            write_split(run.folder / "splits" / f"{fold.name}.tsv", data, fold.parts, groups)
    left = list(folds)
    while left:  # another process may be concluding the search of a fold
        for fold in list(left):
            sub = subs[fold.name]
            logger.info("\n── %s (of %d) ──", fold.name, len(folds))
            with logged_in(sub.prepare()):
                sub.config.resume = "auto"
                trials, study = begin(sub)  # refuses other settings and data, of a finished fold too
                if not _is_finished(sub):
                    conduct(trials, study)
            if _is_finished(sub):
                left.remove(fold)
        time.sleep(WAIT_SECONDS if left else 0)
    told = {fold.name: json.loads((subs[fold.name].folder / METRICS).read_text(encoding="utf-8")) for fold in folds}
    found = [_scored(subs[fold.name], fold, model, told[fold.name]) for model in (SEARCHED, DEFAULTS) for fold in folds]
    search = {
        "folds": [{"fold": name, **_fold_row(content)} for name, content in told.items()],
        "seconds": sum(content["timing"]["seconds"] for content in told.values()),
    }
    monitor = next(iter(told.values()))["monitor"]
    timing = {"seconds": search["seconds"]}
    return tell_together(run, found, len(data), monitor, nested_report, search=search, timing=timing)


def _fold_run(run: Run, fold: Trial) -> Run:
    """Describe the search of a fold, which its words alone would run, too; nothing is written."""
    folder = run.folder / fold.name
    words = [word for word in run.overrides if not word.lstrip("+~").startswith(OF_THE_WHOLE)]
    words += [
        "cv.folds=null", "split=file", assign("split.path", run.folder / "splits" / f"{fold.name}.tsv"),
        assign("run.name", f"{run.config.run.name}_{fold.name}"), assign("paths.run_dir", folder),
    ]  # fmt: skip
    config = settle(compose(words), words)
    validate(config)
    config.resume, config.overwrite = run.config.resume, run.config.overwrite
    return Run(config, folder, words)


def _is_finished(run: Run) -> bool:
    """Whether the results of a fold are there, with the budget that is asked for."""
    path = run.folder / METRICS
    if not path.is_file():
        return False
    then, now = json.loads(path.read_text(encoding="utf-8"))["search"], plain(run.config.search)
    return all(then[key] == now[key] for key in BUDGET)


def _scored(run: Run, fold: Trial, model: str, told: dict[str, Any]) -> dict[str, Any]:
    """Read what the winner of a fold, or its first trial, says of the test part."""
    folder = run.folder / TRIALS / f"{told['winner'] if model == SEARCHED else 0:03d}"
    content = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    return {
        **content,
        "name": f"{fold.name}_{model}",
        "facts": {**fold.facts, "model": model},
        "predictions": Predictions.read(folder / "predictions", str(content["positive"])),
    }


def _fold_row(told: dict[str, Any]) -> dict[str, Any]:
    by_trial = {one["trial"]: one for one in told["finalists"]}
    return {
        "winner": told["winner"],
        "trials": len(told["trials"]),
        "seconds": told["timing"]["seconds"],
        "monitor": told["monitor"],
        "validation": {DEFAULTS: by_trial[0]["mean"], SEARCHED: by_trial[told["winner"]]["mean"]},
        "words": told["words"],
    }
