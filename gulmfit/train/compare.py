"""`gulmfit-compare RUN RUN …`: finished classifiers side by side, on the test sequences that they share."""

import csv
import json
import logging
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from gulmfit.errors import ConfigError, DataError
from gulmfit.report.html import write_report
from gulmfit.report.predictions import Predictions
from gulmfit.report.repeated import comparison_of_runs
from gulmfit.report.scores import classification_scores
from gulmfit.report.sections import score_curves
from gulmfit.report.table import format_table
from gulmfit.report.uncertainty import bootstrap_intervals, delong, mcnemar, paired_bootstrap
from gulmfit.report.words import heading, p_text
from gulmfit.train.run import write_json

logger = logging.getLogger(__name__)

SCORES = ("accuracy", "mcc", "auroc", "f1", "ece")
TESTS_TEXT = (
    "What the second run gains over the first on the same sequences. Intervals and the first p of each score: a paired "
    "bootstrap that counts a group of related sequences once. McNemar's exact test is of accuracy, DeLong's of AUROC; "
    "both take sequences for unrelated. Of many differences that are none, one in twenty has a p-value below 0.05."
)


def compare(runs: Sequence[str], output: str, seed: int = 0) -> dict[str, Any]:
    """Compare finished classifiers on the same test sequences, in any order of them.

    Args:
        runs: Run folders; of `stage=ulmfit` the transferred classifier and its twin both take part.
        output: Folder for `comparison.json` and `comparison.html`; nothing is written if empty.
        seed: Of the bootstraps.

    Raises:
        ConfigError: If fewer than two classifiers are named.
        DataError: If a run has no predictions, or the runs scored different sequences.
    """
    folders = _classifiers(runs)
    if len(folders) < 2:
        raise ConfigError(f"{len(folders)} classifier(s) in {', '.join(runs)}: name two runs or more.")
    read = {name: _read(folder) for name, folder in folders.items()}
    first, *others = read
    scored = read[first].beside({name: read[name] for name in others})
    by_run = {first: scored.by_model["model"], **{name: scored.by_model[name] for name in others}}
    positive, labels = scored.positive_index, scored.labels
    options: dict[str, Any] = {"positive": positive, "groups": scored.groups, "seed": seed}
    rows: list[dict[str, object]] = []
    for name, values in by_run.items():
        scores = classification_scores(labels, values, positive=positive)
        bounds = bootstrap_intervals(labels, values, **options)
        rows.append({"run": name} | {heading(item): (scores[item], *bounds[item]) for item in SCORES})
    pairs: list[dict[str, object]] = []
    for one, two in combinations(by_run, 2):
        paired = paired_bootstrap(labels, by_run[one], by_run[two], **options)
        row: dict[str, object] = {"first": one, "second": two}
        for item in ("accuracy", "auroc"):
            found = paired[item]
            row[f"{heading(item)} gained"] = (found["difference"], found["low"], found["high"])
            row[f"p ({heading(item)})"] = p_text(found["p_value"])
        row["McNemar"] = p_text(mcnemar(labels, by_run[one].argmax(1), by_run[two].argmax(1))["p_value"])
        if len(scored.classes) == 2:
            row["DeLong"] = p_text(
                delong(labels == positive, by_run[one][:, positive], by_run[two][:, positive])["p_value"]
            )
        pairs.append(row)
    best = max(rows, key=lambda row: row[heading("accuracy")][0])  # type: ignore[index]
    results: dict[str, Any] = {
        "title": f"{len(by_run)} runs on {len(scored)} test sequences",
        "subtitle": ", ".join(str(folder) for folder in folders.values()),
        "verdict": f"{best['run']} has the highest accuracy; whether by more than chance, the paired tests say.",
        "runs": rows,
        "pairs": pairs,
        "tests_text": TESTS_TEXT,
    }
    logger.info("%s\n\n%s", format_table(rows, list(rows[0])), format_table(pairs, list(pairs[0])))
    if output:
        shown = Predictions(scored.ids, labels, scored.groups, scored.classes, by_run, scored.positive)
        page = {
            **results,
            "curves": score_curves(shown),
            "losses": {name: _losses(folder) for name, folder in folders.items()},
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


def _read(folder: Path) -> Predictions:
    path = folder / "metrics.json"
    if not path.is_file():
        raise DataError(f"{folder} is not a finished run: it has no metrics.json.")
    metrics = json.loads(path.read_text(encoding="utf-8"))
    return Predictions.read(folder / "predictions", str(metrics.get("positive") or ""))


def _losses(folder: Path) -> list[dict[str, Any]]:
    path = folder / "metrics.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as handle:
        return [dict(row) for row in csv.DictReader(handle)]
