"""`stage=panel`: one recipe over many data sets, in one table.

1. Sets are found (`data_sets`); each is a run of `stage=classify` for each kind of negatives, in `sets/`.
2. With `panel.multi_label` there is also one network for all sets of a kind of negatives (`merged`), in `multi_label/`.
3. With `panel.warm` they start from a language model of their training positives (`warm_start`), in `warm/`.
4. What the finished runs say together is written by every process of the panel, as far as the runs are there.
"""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gulmfit.config import plain
from gulmfit.errors import ConfigError, GulmfitError, StoppedError, TrainingError
from gulmfit.evaluate.outcomes import MERGED, NETWORK, TWIN, read_outcome
from gulmfit.files import locked, write_whole
from gulmfit.overrides import assign
from gulmfit.report.kinds.predictions import Predictions
from gulmfit.report.panel_page import (
    PanelRow,
    compared,
    cost_rows,
    method_rows,
    panel_report,
    panel_tsv,
    panel_verdict,
    set_rows,
)
from gulmfit.report.table import format_table
from gulmfit.seq.related.leakage import leaked_fraction
from gulmfit.train.panel.data_sets import SUFFIX, DataSet, find_sets, shard_of
from gulmfit.train.panel.merged import merged_run, scores_of_a_set
from gulmfit.train.panel.playing import QUIET, PlannedRun, own_config_folders, plan, play_all
from gulmfit.train.panel.warm_start import language_run
from gulmfit.train.run import Run
from gulmfit.train.stages.classify import scratch_overrides
from gulmfit.train.survive.durable import held

logger = logging.getLogger(__name__)

SETS, WARM, TABLE = "sets", "warm", "panel.tsv"
FIRST = "1/"  # the shard whose run trains the network for all sets
SCORES = ("auroc", "auprc", "mcc")
# Words of the panel that its runs do not have.
OF_THE_PANEL = ("stage", "panel", "run.name", "paths.run_dir", "resume", "overwrite")
EVERY = "all"


@dataclass(frozen=True)
class Entry:
    """A set with one kind of negatives.

    Attributes:
        item: The set.
        kind: Of negatives; empty where the set brings its own.
        words: Of its runs.
        run: Of the classifier; None before it is planned, or where that cannot be.
        twin: The same from scratch, where sets start from a language model.
        mistake: Why it cannot be planned.
    """

    item: DataSet
    kind: str
    words: list[str]
    run: PlannedRun | None = None
    twin: PlannedRun | None = None
    mistake: str = ""

    @property
    def name(self) -> str:
        """As the log and the folders have it."""
        return f"{self.item.name}/{self.kind}" if self.kind else self.item.name


def run_panel(run: Run, source: object) -> dict[str, Any]:
    """Run all sets, or those of a shard, and write the table and the page of all that are there.

    Args:
        run: Its configuration and folder.
        source: Not used: each set reads its own.

    Raises:
        TrainingError: If a set failed; everything else has been done.
    """
    settings: dict[str, Any] = plain(run.config.panel)
    sets = find_sets(str(settings["path"]), int(settings["least"]))
    shard = str(settings["shard"]).replace("/", "_of_") if settings["shard"] else "whole"
    with held(run.folder / ".shards" / shard):
        mine = {item.name for item in shard_of(sets, settings["shard"])}
        if run.config.overwrite:
            for name in mine:
                shutil.rmtree(run.folder / SETS / name, ignore_errors=True)
        entries = [entry for item in sets for entry in _entries(run, item, sets, settings)]
        failed = _warm(run, entries, mine, settings) if settings["warm"] else {}
        entries = [_planned(run, entry, failed) for entry in entries]
        merged = _merged(run, entries, settings, failed) if settings["multi_label"] else {}
        due = [entry for entry in entries if entry.item.name in mine]
        logger.info("panel: %d sets, %d runs", len(sets), sum(entry.run is not None for entry in due))
        failed |= {entry.name: entry.mistake for entry in due if entry.mistake}
        runs = [one for entry in due for one in (entry.run, entry.twin) if one is not None]
        runs += merged.values() if _is_first(settings) else ()
        failed |= play_all(runs, int(settings["workers"]), own_config_folders())
        results = _conclude(run, entries, merged, settings, failed)
    if failed:
        told = "".join(f"\n{name}: {why}" for name, why in failed.items())
        raise TrainingError(
            f"{len(failed)} of the panel's runs failed; the others are in {run.folder / TABLE}. The same command tries "
            f"them again.{told}"
        )
    return results


def _entries(run: Run, item: DataSet, sets: Sequence[DataSet], settings: Mapping[str, Any]) -> list[Entry]:
    """Return a set with each kind of negatives; those of other files than `.seq.gz` are its own."""
    own = [word for word in run.overrides if not is_of_the_panel(word)]
    given = [f"{key}={'null' if value is None else value}" for key, value in (settings["set"] or {}).items()]
    peaks = item.files and item.files[0].name.endswith(SUFFIX)
    found = []
    for kind in settings["negatives"] if peaks else [""]:
        words = [*item.words]
        if kind:
            words.append(f"data.negatives={kind}")
        if kind == "matched":
            others = dict.fromkeys(str(file) for one in sets for file in one.files if file.name.endswith(SUFFIX))
            words.append("data.others=[" + ",".join(assign("", name)[1:] for name in others) + "]")
        found.append(Entry(item, kind, ["stage=classify", *words, *given, *own]))
    return found


def _planned(run: Run, entry: Entry, failed: Mapping[str, str]) -> Entry:
    """Compose the runs of an entry."""
    settings = run.config.panel
    if entry.item.left_out:
        return entry
    group = _group_of(entry.item, settings.warm) if settings.warm else ""
    if f"{WARM}/{group}" in failed:
        return replace(entry, mistake=f"its language model {group} failed")
    words, folder = entry.words, run.folder / SETS / entry.name
    if group:
        words = [*words, assign("init_from", run.folder / WARM / group)]
    try:
        planned = _of_a_set(entry.name, words, folder)
        twin = None
        if settings.twin and planned.config.init_from:
            kept = [word for word in words if not word.startswith("init_from=")]
            twin = _of_a_set(
                f"{entry.name} from scratch", [*kept, *scratch_overrides(planned.config)], folder / "scratch"
            )
    except GulmfitError as error:
        return replace(entry, mistake=str(error))
    return replace(entry, run=planned, twin=twin)


def _of_a_set(name: str, words: Sequence[str], folder: Path) -> PlannedRun:
    own = [assign("run.name", name.replace("/", "_").replace(" ", "_")), assign("paths.run_dir", folder)]
    return plan(name, "", [*words, *own, *QUIET])


def _group_of(item: DataSet, warm: str) -> str:
    """Return the name of the language model that a set starts from."""
    return EVERY if warm == EVERY else item.about.get(warm, "")


def _warm(run: Run, entries: Sequence[Entry], mine: set[str], settings: Mapping[str, Any]) -> dict[str, str]:
    """Train the language models that sets start from, and return why some could not be."""
    own = [word for word in run.overrides if not is_of_the_panel(word)]
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        if not entry.item.left_out:
            groups.setdefault(_group_of(entry.item, str(settings["warm"])), []).append(entry)
    if set(groups) == {""}:
        known = sorted({key for entry in entries for key in entry.item.about})
        raise ConfigError(f"panel.warm={settings['warm']}: sets have no such column. Give all, or one of {known}.")
    groups.pop("", None)
    failed: dict[str, str] = {}
    for group, members in groups.items():
        if not mine & {entry.item.name for entry in members}:
            continue
        folder = run.folder / WARM
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with locked(folder / f".{group}.lock", wait=True):  # another shard may be at it
                if run.config.overwrite and {entry.item.name for entry in members} <= mine:  # else others start from it
                    shutil.rmtree(folder / group, ignore_errors=True)
                    (folder / f"{group}.fa").unlink(missing_ok=True)
                configs = [_of_a_set(one.name, one.words, folder).config for one in _one_each(members)]
                planned = language_run(group, folder, configs, own, str(settings["near_duplicates"]))
                for why in play_all([planned], 1, own_config_folders()).values():
                    failed[f"{WARM}/{group}"] = why
        except StoppedError:
            raise
        except GulmfitError as error:
            failed[f"{WARM}/{group}"] = str(error)
    return failed


def _one_each(entries: Sequence[Entry]) -> list[Entry]:
    """Return an entry of each set: positives do not depend on the kind of negatives."""
    return list({entry.item.name: entry for entry in reversed(entries)}.values())[::-1]


def _is_first(settings: Mapping[str, Any]) -> bool:
    return not settings["shard"] or str(settings["shard"]).startswith(FIRST)


def _merged(
    run: Run, entries: Sequence[Entry], settings: Mapping[str, Any], failed: dict[str, str]
) -> dict[str, PlannedRun]:
    """Plan the networks for all sets, by kind of negatives; why one cannot be goes into `failed`."""
    folder, first = run.folder / MERGED, _is_first(settings)
    if not first:
        logger.info("panel: the network for all sets is trained by panel.shard=%sn", FIRST)
    elif run.config.overwrite:
        shutil.rmtree(folder, ignore_errors=True)
    words = [f"{key}={'null' if value is None else value}" for key, value in (settings["set"] or {}).items()]
    words += [word for word in run.overrides if not is_of_the_panel(word)]
    if settings["warm"] == EVERY:
        words.append(assign("init_from", run.folder / WARM / EVERY))
    found = {}
    for kind in dict.fromkeys(entry.kind for entry in entries):
        sets = {entry.item.name: entry.run.config for entry in entries if entry.kind == kind and entry.run}
        try:
            planned = merged_run(kind, folder, sets, words, str(settings["near_duplicates"]), write=first)
        except GulmfitError as error:
            failed[f"{MERGED}/{kind or SETS}"] = str(error)
            continue
        if planned:
            found[kind] = planned
    return found


def _costs(entries: Sequence[Entry], merged: Mapping[str, PlannedRun]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what a network for all sets takes, and those of the sets together, by kind of negatives and method."""
    found = {}
    for kind, one in merged.items():
        alike = [entry for entry in entries if entry.kind == kind and entry.item.name in one.config.data.label]
        own = [entry.run.results() for entry in alike if entry.run and _ended(entry.run)]
        found[kind] = {
            name: {
                "networks": len(runs),
                "parameters": sum(result["model"]["parameters"] for result in runs),
                "training_sequences": sum(result["data"]["counts"]["train"] for result in runs),
                "seconds": round(sum(result["timing"]["seconds"] for result in runs)),
            }
            for name, runs in ((NETWORK, own), (MERGED, [one.results()]))
        }
    return found


def _ended(run: PlannedRun) -> bool:
    """Whether a run has results; those of other settings are told where its row is made."""
    try:
        return run.finished()
    except ConfigError:
        return False


def _conclude(
    run: Run,
    entries: Sequence[Entry],
    merged: Mapping[str, PlannedRun],
    settings: Mapping[str, Any],
    failed: dict[str, str],
) -> dict[str, Any]:
    """Put together what the finished runs say, and write it."""
    first = str(settings["score"])
    scores = list(dict.fromkeys((first, *SCORES)))
    rows = [_row(run, entry, scores, failed) for entry in entries]
    merged = {kind: one for kind, one in merged.items() if one.name not in failed and _ended(one)}
    for kind, one in merged.items():
        predictions = Predictions.read(one.folder / "predictions")
        for row, entry in zip(rows, entries, strict=True):
            if entry.kind == kind and entry.run and row.outcome:
                try:
                    its = scores_of_a_set(one, entry.item.name, entry.run, scores, predictions)
                except GulmfitError as error:
                    failed[f"{one.name}/{entry.item.name}"] = str(error)
                    continue
                if its:
                    row.outcome.models[MERGED] = its
    costs = _costs(entries, merged)
    comparison = compared(rows, first)
    medians = {
        f"test/{first}_median" + (f"_{kind}" if kind else ""): found[NETWORK]["median"]
        for kind, found in comparison.items()
    }
    results = {
        **run.facts,
        "metrics": medians,
        "score": first,
        "methods": comparison,
        **({"costs": {kind or SETS: found for kind, found in costs.items()}} if costs else {}),
        "sets": [
            {"name": row.name, "negatives": row.kind, "state": row.state, "note": row.note, "report": row.report}
            for row in rows
        ],
        "timing": {"seconds": sum(row.outcome.seconds for row in rows if row.outcome)},
    }
    write_whole(run.folder / TABLE, panel_tsv(rows, scores))
    details = [("config.yaml", run.config_yaml), ("command", run.command)]
    run.finish(results, panel_report(run.facts, rows, scores, settings["by"], details, costs))
    tables = [found for found in (set_rows(rows, scores), method_rows(comparison), cost_rows(costs)) if found]
    shown = "\n\n".join(format_table(found, list(found[0])) for found in tables)
    logger.info("\n%s\n\n%s", shown, panel_verdict(rows, comparison, first))
    return results


def _row(run: Run, entry: Entry, scores: Sequence[str], failed: Mapping[str, str]) -> PanelRow:
    """Return what is known of an entry."""
    item = entry.item
    row = PanelRow(item.name, entry.kind, "left out", item.about, item.sequences, note=item.left_out)
    if entry.run is None:
        return row if item.left_out else replace(row, state="failed", note=entry.mistake)
    if why := failed.get(entry.run.name):
        return replace(row, state="failed", note=why)
    try:
        if not entry.run.finished():
            return replace(row, state="not yet", note="")
        has_twin = entry.twin is not None and entry.twin.name not in failed and entry.twin.finished()
    except ConfigError as error:  # another shard was given other words
        return replace(row, state="failed", note=str(error))
    metrics = entry.run.results()
    outcome = read_outcome(item.name, scores[0], metrics, scores)
    if entry.twin is not None and has_twin:
        twin = read_outcome(item.name, scores[0], entry.twin.results(), scores)
        outcome.models[TWIN] = twin.models[NETWORK]
        outcome.seconds += twin.seconds
    leakage = metrics.get("leakage") or {}
    met = ((leakage.get("corpus") or {}).get("test") or {}).get("fraction")
    return replace(
        row,
        state="ran",
        note="",
        sequences=int(metrics["data"]["counts"]["train"]),
        outcome=outcome,
        validation=metrics["metrics"].get(f"val/{scores[0]}"),
        leaks=(leaked_fraction(leakage) if "pairs" in leakage else None, met),
        report=str((entry.run.folder / "report.html").relative_to(run.folder)),
    )


def is_of_the_panel(word: str) -> bool:
    """Whether an override is of the panel and not of its runs."""
    key = word.lstrip("+~").partition("=")[0]
    return key in OF_THE_PANEL or key.startswith(("panel.", "stage."))
