"""`gulmfit-compare RUN RUN …`: finished runs side by side: by validation, and on the test sequences that they share."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from gulmfit.checkpoint import load
from gulmfit.errors import ConfigError, DataError
from gulmfit.files import claimed
from gulmfit.metadata import write_json
from gulmfit.model_files import files_of
from gulmfit.report.html import write_report
from gulmfit.report.kept import parts_kept
from gulmfit.report.kinds.kind import every_kind, kind_named
from gulmfit.report.kinds.predictions import Predictions
from gulmfit.report.repeated import comparison_of_runs
from gulmfit.report.table import format_table
from gulmfit.report.wording import finite, heading, p_text
from gulmfit.seq.limits import parse_json
from gulmfit.seq.splits.split_file import sequence_digests
from gulmfit.train.run import CONFIG, METRICS
from gulmfit.train.run_table import read_finished, runs_in, table_over_runs
from gulmfit.train.survive.curves import CURVES, read_curves

logger = logging.getLogger(__name__)

SPLIT = "split.tsv"
TESTS_TEXT = (
    "What the second run gains over the first on the same sequences. Intervals and the first p of each score: a paired "
    "bootstrap that counts a group of related sequences once. "
)
CHANCE = 0.05
MANY = 8  # runs of which every pair is tested; of more, each against the best
ECE_TEXT = (
    "Chance inflates ECE, so its interval is shifted down for that and may seem to lie off centre; where it holds 0, "
    "nothing speaks against calibration. "
)
CHANCE_TEXT = "Of many differences that are none, one in twenty has a p-value below 0.05."


def compare(
    runs: Sequence[str], *, output: str = "", seed: int = 0, figures: Literal["", "svg", "png", "pdf"] = ""
) -> dict[str, Any]:
    """Compare finished runs: what they differ in, what validation says of each, and classifiers on their test part.

    Prints the settings that differ with the validation scores, best first; runs that differ in their seeds alone are
    one row. Then, for classifiers that scored the same test sequences, scores with 95 % intervals and paired tests.

      gulmfit compare outputs/classify/mine outputs/ulmfit/mine output=outputs/compare/mine
      gulmfit compare outputs/classify                 every run in there
      gulmfit compare outputs/classify/sweep_*         the runs of a sweep

    Cross-validations (cv.folds) are compared by their pooled out-of-fold predictions.

    Args:
        runs: Run folders, or folders of such; of `stage=ulmfit` the transferred classifier and its twin both take part.
        output: Folder for `comparison.json` and `comparison.html`, with curves; nothing is written by default.
        seed: Of the bootstraps.
        figures: Write the figures of the page so, and its tables as TSV, next to it.

    Raises:
        ConfigError: If fewer than two runs are named.
        DataError: If a run has no predictions, or the runs scored different sequences, under other ids or the same.
    """
    places = runs_in(runs)
    finished = [place for place in places if (place / CONFIG).is_file() and (place / METRICS).is_file()]
    known = [read_finished(place) for place in dict.fromkeys(finished)]
    if len(known) > 1:
        logger.info("%s\n", table_over_runs(known))
        if not output and not any(run.test for run in known) and len(finished) == len(places):
            return {}  # of language models there is no more to say
    folders = _classifiers(list(map(str, places)))
    if len(folders) < 2:
        raise ConfigError(f"{len(folders)} classifier(s) in {', '.join(runs)}: name two runs or more.")
    written = [Path(output) / "comparison.json", Path(output) / "comparison.html"] if output else []
    with claimed(written, [file for folder in folders.values() for file in files_of(folder)]):
        read = {name: _read(folder) for name, folder in folders.items()}
        first, *others = read
        try:
            scored = read[first].beside({name: read[name] for name in others})
        except DataError as error:
            if output or len({run.seed for run in known}) < 2:
                raise
            logger.info("The seeds have drawn other test parts, which are not held against each other: %s", error)
            return {}
        _check_sequences(folders, scored.ids)
        by_run = {first: scored.by_model["model"], **{name: scored.by_model[name] for name in others}}
        judge = kind_named(scored.targets)(scored.classes, scored.positive)
        labels, groups = scored.labels, scored.groups
        rows: list[dict[str, object]] = []
        for name, values in by_run.items():
            scores, bounds = judge.scores(labels, values), judge.intervals(labels, values, groups, seed)
            shown = [item for item in (*judge.summary, *judge.compared_too) if item in scores]
            rows.append({"run": name} | {heading(item): (scores[item], *bounds[item]) for item in shown})
        ranked = sorted(rows, key=lambda row: -row[heading(judge.headline)][0])  # type: ignore[index]
        best, runner_up = str(ranked[0]["run"]), str(ranked[1]["run"])
        between, gain = {}, heading(judge.headline)
        pairs: list[dict[str, object]] = []
        for one, two in combinations(by_run, 2):
            if len(by_run) > MANY and best not in (one, two):
                continue
            paired = judge.paired(labels, (by_run[one], judge), (by_run[two], judge), groups, seed)
            between[frozenset((one, two))] = paired[judge.headline]
            row: dict[str, object] = {"first": one, "second": two}
            for item in (judge.headline, judge.second):
                found = paired[item]
                row[f"{heading(item)} gained"] = (found["difference"], found["low"], found["high"])
                row[f"p ({heading(item)})"] = p_text(found["p_value"])
            exact = judge.exact_tests(labels, by_run[one], by_run[two], groups)
            pairs.append(row | {test: p_text(p_value) for test, p_value in exact.items()})
        results: dict[str, Any] = {
            "title": f"{len(by_run)} runs on {len(scored)} test sequences",
            "subtitle": ", ".join(str(folder) for folder in folders.values()),
            "verdict": _verdict(best, runner_up, gain, between[frozenset((best, runner_up))]),
            "runs": rows,
            "pairs": pairs,
            "tests_text": TESTS_TEXT
            + judge.tests_text(groups)
            + (ECE_TEXT if "ece" in judge.compared_too else "")
            + CHANCE_TEXT,
        }
        tables = format_table(rows, list(rows[0])), format_table(pairs, list(pairs[0]))
        logger.info("%s\n\n%s\n\n%s", *tables, results["verdict"])
        if output:
            page = {
                **results,
                "curves": judge.curves(replace(scored, by_model=by_run)),
                "losses": {name: list(map(dict, read_curves(folder / CURVES))) for name, folder in folders.items()},
            }
            write_json(Path(output) / "comparison.json", results)
            with parts_kept(figures):
                write_report(Path(output) / "comparison.html", comparison_of_runs(page))
            logger.info("\nreport: %s", Path(output) / "comparison.html")
        return results


def _verdict(best: str, runner_up: str, score: str, found: Mapping[str, Any]) -> str:
    """Say which run is best, and whether by more than chance."""
    p_value, gained = finite(found.get("p_value")), abs(float(found["difference"]))
    if p_value is None or not gained:
        return f"{best} and {runner_up} cannot be told apart by {score}."
    told = f"{score} by {gained:.3f}, {p_text(p_value)}"
    if p_value < CHANCE:
        return f"{best} beats {runner_up}, the next best ({told}). Another training run may differ."
    return (
        f"{best} has the highest {score} of these runs, but {runner_up} is as good as far as these test sequences can "
        f"tell ({told})."
    )


def _classifiers(runs: Sequence[str]) -> dict[str, Path]:
    """Find the classifiers in run folders, each by a name of its own."""
    folders: dict[str, Path] = {}
    for run in runs:
        parts = [Path(run) / part for part in ("classify", "scratch") if (Path(run) / part / "predictions").is_dir()]
        for folder in parts or [Path(run)]:
            name = folder.name if not parts else f"{Path(run).name}/{folder.name}"
            folders[name if name not in folders else str(folder)] = folder
    return folders


def _check_sequences(folders: Mapping[str, Path], ids: Sequence[str]) -> None:
    """Compare test sequences by what the runs' splits say of their letters: an id may be the number of a row.

    Each fold's split has all sequences. A folder without one is not compared.
    """
    known: dict[str, tuple[str, Path]] = {}
    for folder in folders.values():
        path = next(filter(Path.is_file, [folder / SPLIT, *sorted(folder.glob("splits/*.tsv"))]), None)
        if path is None:
            continue
        digests = sequence_digests(path)
        for name in ids:
            digest = digests.get(name, "")
            before, other = known.setdefault(name, (digest, path))
            if before != digest:
                raise DataError(
                    f"record {name!r} has another sequence in {path} than in {other}: the runs were scored on "
                    "different data. Train both on the same files."
                )


def _read(folder: Path) -> Predictions:
    path = folder / "metrics.json"
    if not path.is_file():
        raise DataError(f"{folder} is not a finished run: it has no metrics.json.")
    try:
        metrics = parse_json(path.read_text(encoding="utf-8"))
        positive = str(metrics.get("positive") or "")
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is damaged: {error}.") from error
    if metrics.get("targets") not in (None, *every_kind()):
        load(folder)  # the module of its head defines the kind
    read = Predictions.read(folder / "predictions", positive)
    if positive and positive not in read.classes:
        raise DataError(f"{path}: the positive class {positive!r} is none of {read.classes} in {read.source}.")
    return read
