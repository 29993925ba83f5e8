"""`gulmfit-compare RUN RUN …`: finished classifiers side by side, on the test sequences that they share."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

from gulmfit.checkpoint import load
from gulmfit.errors import ConfigError, DataError
from gulmfit.files import claimed
from gulmfit.model_files import files_of
from gulmfit.report.html import write_report
from gulmfit.report.kinds.kind import every_kind, kind_named
from gulmfit.report.kinds.predictions import Predictions
from gulmfit.report.repeated import comparison_of_runs
from gulmfit.report.table import format_table
from gulmfit.report.wording import heading, p_text
from gulmfit.seq.limits import parse_json
from gulmfit.seq.splits.split_file import sequence_digests
from gulmfit.train.run import write_json
from gulmfit.train.survive.curves import CURVES, read_curves

logger = logging.getLogger(__name__)

SPLIT = "split.tsv"
TESTS_TEXT = (
    "What the second run gains over the first on the same sequences. Intervals and the first p of each score: a paired "
    "bootstrap that counts a group of related sequences once. "
)
CHANCE_TEXT = "Of many differences that are none, one in twenty has a p-value below 0.05."


def compare(runs: Sequence[str], *, output: str = "", seed: int = 0) -> dict[str, Any]:
    """Compare finished classifiers on the test sequences that all of them scored.

    Prints scores with 95 % intervals, and paired tests. Runs are of stage=classify and stage=ulmfit.

    Args:
        runs: Run folders; of `stage=ulmfit` the transferred classifier and its twin both take part.
        output: Folder for `comparison.json` and `comparison.html`, with curves; nothing is written by default.
        seed: Of the bootstraps.

    Raises:
        ConfigError: If fewer than two classifiers are named.
        DataError: If a run has no predictions, or the runs scored different sequences, under other ids or the same.
    """
    folders = _classifiers(runs)
    if len(folders) < 2:
        raise ConfigError(f"{len(folders)} classifier(s) in {', '.join(runs)}: name two runs or more.")
    written = [Path(output) / "comparison.json", Path(output) / "comparison.html"] if output else []
    with claimed(written, [file for folder in folders.values() for file in files_of(folder)]):
        read = {name: _read(folder) for name, folder in folders.items()}
        first, *others = read
        scored = read[first].beside({name: read[name] for name in others})
        _check_sequences(folders, scored.ids)
        by_run = {first: scored.by_model["model"], **{name: scored.by_model[name] for name in others}}
        judge = kind_named(scored.targets)(scored.classes, scored.positive)
        labels, groups = scored.labels, scored.groups
        rows: list[dict[str, object]] = []
        for name, values in by_run.items():
            scores, bounds = judge.scores(labels, values), judge.intervals(labels, values, groups, seed)
            shown = [item for item in (*judge.summary, *judge.compared_too) if item in scores]
            rows.append({"run": name} | {heading(item): (scores[item], *bounds[item]) for item in shown})
        pairs: list[dict[str, object]] = []
        for one, two in combinations(by_run, 2):
            paired = judge.paired(labels, (by_run[one], judge), (by_run[two], judge), groups, seed)
            row: dict[str, object] = {"first": one, "second": two}
            for item in (judge.headline, judge.second):
                found = paired[item]
                row[f"{heading(item)} gained"] = (found["difference"], found["low"], found["high"])
                row[f"p ({heading(item)})"] = p_text(found["p_value"])
            exact = judge.exact_tests(labels, by_run[one], by_run[two], groups)
            pairs.append(row | {test: p_text(p_value) for test, p_value in exact.items()})
        best = max(rows, key=lambda row: row[heading(judge.headline)][0])  # type: ignore[index]
        results: dict[str, Any] = {
            "title": f"{len(by_run)} runs on {len(scored)} test sequences",
            "subtitle": ", ".join(str(folder) for folder in folders.values()),
            "verdict": f"{best['run']} has the highest {heading(judge.headline)} of these runs; whether by more than "
            "the chance of the test sequences, the paired tests say. Another training run may differ.",
            "runs": rows,
            "pairs": pairs,
            "tests_text": TESTS_TEXT + judge.tests_text(groups) + CHANCE_TEXT,
        }
        logger.info("%s\n\n%s", format_table(rows, list(rows[0])), format_table(pairs, list(pairs[0])))
        if output:
            page = {
                **results,
                "curves": judge.curves(replace(scored, by_model=by_run)),
                "losses": {name: list(map(dict, read_curves(folder / CURVES))) for name, folder in folders.items()},
            }
            write_json(Path(output) / "comparison.json", results)
            write_report(Path(output) / "comparison.html", comparison_of_runs(page))
            logger.info("\nreport: %s", Path(output) / "comparison.html")
        return results


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

    A folder without `split.tsv`, such as that of many folds, is not compared.
    """
    known: dict[str, tuple[str, Path]] = {}
    for folder in folders.values():
        path = folder / SPLIT
        if not path.is_file():
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
