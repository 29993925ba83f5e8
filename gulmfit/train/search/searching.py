"""`stage=search`: hyper-parameters by validation alone, from a space to one look at the test part.

1. Trials (`trial_runs`) in `trials/NNN`, the first with the settings as they are; processes share them by the journal.
2. The best few and the first are trained again with new seeds, on the same parts: `finalists/NNN_seed`.
3. The best mean minus its error wins. Its trial and the first are scored on the test part, at once.
"""

import hashlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import yaml  # type: ignore[import-untyped]

from gulmfit.config import plain
from gulmfit.errors import CheckpointError, StoppedError, TrainingError
from gulmfit.evaluate.selection import choose, spearman_interval, standing
from gulmfit.files import HeldError, locked, write_whole
from gulmfit.overrides import experiment_of
from gulmfit.predict.outputs.writers import write_tsv
from gulmfit.report.kinds.kind import Judged, objective_of
from gulmfit.report.search_page import pareto_table, search_report, search_rows
from gulmfit.report.table import format_table
from gulmfit.train.panel.playing import own_config_folders
from gulmfit.train.run import Run
from gulmfit.train.search.earlier import take_in
from gulmfit.train.search.space import read_space
from gulmfit.train.search.studies import JOURNAL, SCORE, SPACE, WAIT_SECONDS, Study, hold
from gulmfit.train.search.trial_runs import LABELLED, Trials, is_of_the_search, run_claim
from gulmfit.train.survive.durable import held

logger = logging.getLogger(__name__)

BEST, FINALISTS, VALIDATION = "best.yaml", "finalists", "validation.json"
PARETO = "pareto.tsv"
WORKER = "GULMFIT_SEARCH_WORKER"
"""Set in the processes that a search starts: they run trials, and leave the end to it."""
# What may change when a search is continued.
BUDGETS = ("trials", "hours", "workers", "ahead", "finalists", "seeds", "earlier")
STOPPED = 75
FACTS = ("scores", "alpha", "epochs", "seconds", "parameters", "words", "error")


def run_search(run: Run, source: object) -> dict[str, Any]:
    """Search, choose, open the test part once, and tell what the search has bought.

    Args:
        run: Its configuration and folder.
        source: Not used: trials read their own.
    """
    return conduct(*begin(run))


def begin(run: Run) -> tuple[Trials, Study]:
    """Read what the trials of a search learn from, and open its study.

    Raises:
        CheckpointError: If the study is of something else.
        GulmfitError: Whatever its trials would refuse.
    """
    settings: dict[str, Any] = plain(run.config.search)
    space = read_space(settings["space"], settings["set"])
    with locked(run.folder / ".start", wait=True):  # the split is written once, and trials are taken in once
        trials = Trials.of(run, str(settings["stage"]))
        if not (run.folder / JOURNAL).is_file():  # a space that is refused leaves no study behind
            trials.check(space)
        study = Study(
            run.folder, space, settings,
            minimise=trials.minimise, defaults=trials.defaults(space), seed=run.facts["seed"],
        )  # fmt: skip
        study.check_same(_identity(trials, settings))
        run.write_config()
        if not study.trials():
            if study.costs and settings["pruner"] != "none":
                logger.info("search.pruner: no trial is pruned, as Optuna prunes by one objective alone")
            if earlier := settings["earlier"]:
                taken = take_in(study, Path(earlier))
                logger.info("search.earlier: took in %d trials: %s", len(taken), ", ".join(map(str, taken)) or "none")
    return trials, study


def conduct(trials: Trials, study: Study) -> dict[str, Any]:
    """Run what is left of a search.

    Returns:
        The results; none in a process that leaves the end to another one.
    """
    run, workers = trials.run, int(study.settings["workers"])
    if WORKER not in os.environ and workers > 1:
        _start_workers(run, workers)
    _work(trials, study)
    _train_again(trials, study)
    if WORKER in os.environ:
        return {}
    try:
        with held(run.folder):
            return _conclude(trials, study)
    except CheckpointError as error:
        if isinstance(error.__cause__, HeldError):
            logger.info("another process is concluding this search: %s", error)
            return {}
        raise


def _work(trials: Trials, study: Study) -> None:
    """Run trials until there is none left to begin."""
    while (claim := study.claim()) is not None:
        with claim.lock:
            run_claim(trials, study, claim)


def _identity(trials: Trials, settings: Mapping[str, Any]) -> dict[str, str]:
    """Return what a study is of, by content."""
    base = plain(trials.base)
    for key in ("paths", "run", "resume", "overwrite", "callbacks", "logger", "checkpoint"):
        base.pop(key, None)
    searched = {key: value for key, value in settings.items() if key not in BUDGETS}
    if searched["objectives"] == [SCORE]:  # which earlier versions did not name
        del searched["objectives"]
    data = trials.identity
    parts = {SPACE: searched, "the settings of its trials": base, "the data": data}
    return {
        name: hashlib.sha256(json.dumps(part, sort_keys=True, default=str).encode()).hexdigest()
        for name, part in parts.items()
    }


def _start_workers(run: Run, count: int) -> None:
    """Run trials in so many processes of one thread each, and wait for them.

    Raises:
        StoppedError: If they were told to stop; what they did is saved.
        TrainingError: If one fails.
    """
    code = "from gulmfit.cli import train; train()"
    words = [word for word in run.overrides if not word.startswith(("resume=", "overwrite="))]
    command = [sys.executable, "-c", code, *own_config_folders(), *words, "resume=auto"]
    environment = {**os.environ, WORKER: "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    processes = [subprocess.Popen(command, env=environment) for _ in range(count)]

    def pass_on(number: int, frame: FrameType | None) -> None:
        for process in processes:
            process.send_signal(number)

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        codes = [process.wait() for process in processes]
    except BaseException:
        for process in processes:
            process.terminate()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
    if STOPPED in codes:
        raise StoppedError("the trials were stopped and are saved. The same command with resume=auto goes on.")
    if any(codes):
        raise TrainingError(
            f"{sum(map(bool, codes))} of {count} processes of the search failed; above they say why. Mend that, then "
            "continue with resume=auto."
        )


def _conclude(trials: Trials, study: Study) -> dict[str, Any]:
    """Choose the winner, open the test part for it and for the first trial, and write everything."""
    by_number = {trial.number: trial for trial in study.complete()}
    start = time.perf_counter()
    again = {frozen.number: [_told(path) for path in paths] for frozen, paths in _finalists(trials, study)}
    values = {number: [value for value, _ in found] for number, found in again.items()}
    costs = {number: by_number[number].values[1] for number in again} if study.costs else None
    winner = choose(values, minimise=trials.minimise, costs=costs)
    words = by_number[winner].user_attrs["words"]
    # Without the folders of this machine.
    own = [word for word in trials.run.overrides if not is_of_the_search(word) and not word.startswith("paths.")]
    best = experiment_of([*own, f"stage={trials.stage}", *_recipe(trials), *words])
    header = f"# @package _global_\n# Trial {winner} of {trials.run.folder}: python train.py experiment=FILE\n"
    write_whole(trials.run.folder / BEST, header + yaml.safe_dump(best, sort_keys=False, allow_unicode=True))
    opened = _open_test(trials, study, {winner, 0})
    results = {
        **trials.run.facts,
        "searched": trials.stage,
        "search": study.settings,
        "monitor": trials.monitor,
        "minimise": trials.minimise,
        "winner": winner,
        "words": words,
        "trials": [_row(trial) for trial in study.trials()],
        "finalists": [
            {
                "trial": number,
                "seeds": [value for value, _ in found],
                "mean": standing([value for value, _ in found])[0],
                "error": standing([value for value, _ in found])[1],
                "first": float(by_number[number].values[0]),
                **({study.costs[0]: costs[number]} if costs else {}),
                "scores": _mean_scores([scores for _, scores in found]),
            }
            for number, found in again.items()
        ],
        "objectives": [SCORE, *study.costs],
        "front": sorted(study.front()) if study.costs else [],
        "importances": study.importances(),
        "alpha": _alpha(trials, study),
        "epochs": {"trained": sum(trial.user_attrs.get("epochs", 0) for trial in study.trials())},
        "timing": {"seconds": study.seconds() + _seconds_of(again), "conclusion": time.perf_counter() - start},
        "test": {name: _test(opened[name]) for name in opened},
        "metrics": {},
        **_compared(opened, winner),
    }
    page = {
        **results,
        "curves": {"winner": _curves(trials, study, winner), "defaults": _curves(trials, study, 0)},
        "best_yaml": header + yaml.safe_dump(best, sort_keys=False, allow_unicode=True),
        "config_yaml": trials.run.config_yaml,
        "command": trials.run.command,
        "space": {one.name: one.kind for one in study.space.parameters},
    }
    report = search_report(page)
    trials.run.finish(results, report)
    if study.costs:
        write_tsv(trials.run.folder / PARETO, *pareto_table(results))
    rows = search_rows(results)
    logger.info("\n%s\n\n%s", format_table(rows, list(rows[0])), report.verdict)
    logger.info("the winner as an experiment: experiment=%s", trials.run.folder / BEST)
    return page


def _recipe(trials: Trials) -> list[str]:
    """Pin the recipe: words of a trial would make another one of `recipe=auto`."""
    return [f"recipe={trials.base.recipe}"] if trials.stage == "classify" else []


def _finalists(trials: Trials, study: Study) -> list[tuple[Any, list[Path]]]:
    """Return the trials that are trained again, the best first, with the file of what each new seed gave.

    Raises:
        TrainingError: If the settings without a search are not among those that were finished.
    """
    default = [trial for trial in study.complete() if trial.number == 0]
    if not default:
        raise TrainingError("the first trial, the settings without a search, has not been finished.")
    others = [trial for trial in study.candidates() if trial.number]
    chosen = [*others[: int(study.settings["finalists"])], *default]
    seeds, folder = range(1, int(study.settings["seeds"]) + 1), trials.run.folder / FINALISTS
    return [(frozen, [folder / f"{frozen.number:03d}_seed_{seed}" / VALIDATION for seed in seeds]) for frozen in chosen]


def _train_again(trials: Trials, study: Study) -> None:
    """Train the finalists with new seeds; processes share them, and all wait until the last one is there."""
    first = int(trials.base.seed)
    tasks = [
        (frozen, first + seed, path)
        for frozen, paths in _finalists(trials, study)
        for seed, path in enumerate(paths, start=1)
    ]
    while left := [task for task in tasks if not task[2].is_file()]:
        for frozen, seed, path in left:
            folder = path.parent
            lock = hold(folder.parent / f".{folder.name}.lock")
            if lock is None:
                time.sleep(WAIT_SECONDS)
                continue
            with lock:
                if path.is_file():
                    continue
                logger.info("trial %d again, with seed %d", frozen.number, seed)
                run = trials.compose(folder, frozen.user_attrs["words"], seed)
                value, facts = trials.train(run.prepare())
                write_whole(path, json.dumps({"value": value, **facts}, indent=2))
                shutil.rmtree(run.checkpoints, ignore_errors=True)


def _told(path: Path) -> tuple[float, dict[str, float]]:
    """Read the value and the validation scores of a finalist with a new seed."""
    told = json.loads(path.read_text(encoding="utf-8"))
    return float(told["value"]), {**told["scores"], "seconds": told["seconds"]}


def _open_test(trials: Trials, study: Study, numbers: set[int]) -> dict[str, dict[str, Any]]:
    """Score trials on the test part, which none has seen; language models have none."""
    if trials.stage not in LABELLED:
        return {}
    found = {}
    for number in sorted(numbers):
        frozen = next(trial for trial in study.trials() if trial.number == number)
        run = trials.compose(study.trial_folder(number), frozen.user_attrs["words"])
        found[str(number)] = trials.open_test(run.prepare())
    return found


def _compared(opened: Mapping[str, dict[str, Any]], winner: int) -> dict[str, Any]:
    """Return what the winner gains over the first trial on the same test sequences, with tests."""
    if winner == 0 or not opened:
        return {}
    judge = objective_of(opened["0"])
    scored = opened[str(winner)]["predictions"].beside({"defaults": opened["0"]["predictions"]})
    judged: dict[str, Judged] = {name: (scored.by_model[name], judge) for name in ("model", "defaults")}
    tests = judge.comparisons(scored.labels, judged, scored.groups, 0)
    p_value = judge.tests(tests, "defaults").get("defaults", {}).get("p_value")
    return {"comparison": tests, "p_value": p_value}


def _test(found: Mapping[str, Any]) -> dict[str, Any]:
    names = {name for name in found["metrics"] if name.startswith("test/")}
    headline = objective_of(found)
    return {
        "scores": {name.removeprefix("test/"): found["metrics"][name] for name in sorted(names)},
        "ci95": {name.removeprefix("test/"): pair for name, pair in found["ci95"].items()},
        "headline": [headline.headline, headline.second],
        "baselines": {
            name: {item: scores.get(item) for item in (headline.headline, headline.second)}
            for name, scores in found["baselines"].items()
        },
    }


def _row(trial: Any) -> dict[str, Any]:
    attributes = trial.user_attrs
    return {
        "trial": trial.number,
        "state": trial.state.name.lower(),
        "value": trial.values[0] if trial.values else None,
        "params": dict(trial.params),
        **{name: attributes.get(name) for name in FACTS},
        "told": {str(step): value for step, value in trial.intermediate_values.items()},
    }


def _alpha(trials: Trials, study: Study) -> dict[str, Any]:
    """Return how mean alpha ranks the finished trials as validation does: positive where smaller alpha is better."""
    pairs = [(trial.user_attrs["alpha"], trial.values[0]) for trial in study.complete() if "alpha" in trial.user_attrs]
    sign = 1.0 if trials.minimise else -1.0
    rho, low, high = spearman_interval([alpha for alpha, _ in pairs], [sign * value for _, value in pairs])
    return {"trials": len(pairs), "spearman": rho, "low": low, "high": high}


def _mean_scores(scores: list[dict[str, float]]) -> dict[str, float]:
    return {name: standing([one[name] for one in scores])[0] for name in scores[0] if name != "seconds"}


def _seconds_of(again: Mapping[int, list[tuple[float, dict[str, float]]]]) -> float:
    return sum(scores["seconds"] for found in again.values() for _, scores in found)


def _curves(trials: Trials, study: Study, number: int) -> list[dict[str, Any]]:
    return Run(trials.base, study.trial_folder(number)).curves()
