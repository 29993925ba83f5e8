"""A table over finished runs: what they differ in, what validation says of each, and the test score of the best.

Runs are averaged only where they differ in nothing but their seeds. A choice among runs is made on validation, so only
the chosen one shows what it reaches on the test part.
"""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gulmfit.config import plain
from gulmfit.errors import DataError
from gulmfit.report.kinds.kind import every_kind
from gulmfit.report.table import format_table
from gulmfit.report.wording import heading
from gulmfit.seq.labels.targets import CLASSES
from gulmfit.seq.limits import parse_json
from gulmfit.train.run import METRICS, read_config

# What says how a run is started and watched, not what it learns.
_NO_SETTINGS = ("run.", "paths.", "callbacks.", "logger.", "resume", "overwrite", "trust", "checkpoint.")
_LOWER_IS_BETTER = ("loss", "bits_per_base", "brier", "ece")
_BITS = "bits_per_base"


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Attributes:
        folder: Its run folder.
        settings: What decided its results, by dotted key; seeds are left out.
        seed: Its seed.
        validation: Scores by name, those that weights are chosen by first.
        test: Scores of the test part by name; empty for a language model.
        judged_by: Name of the test score that verdicts are about.
        lower_is_better: Whether the first validation score falls as a model gets better.
    """

    folder: Path
    settings: Mapping[str, Any]
    seed: int
    validation: Mapping[str, float]
    test: Mapping[str, float]
    judged_by: str
    lower_is_better: bool


def runs_in(places: Sequence[str | Path]) -> list[Path]:
    """Return run folders: each place that is one, and of another, such as outputs/classify, the finished runs in it.

    Raises:
        DataError: If a place holds none.
    """
    found: list[Path] = []
    for place in map(Path, places):
        inside = sorted((path.parent for path in place.glob(f"*/{METRICS}")), key=_in_order)
        if (place / METRICS).is_file() or (place / "predictions").is_dir() or not inside:
            inside = [place]
        found += inside
    return found


def _in_order(folder: Path) -> tuple[str, int]:
    """Sort sweep_10 behind sweep_9."""
    stem, _, number = folder.name.rpartition("_")
    return (stem, int(number)) if number.isascii() and number.isdigit() else (folder.name, -1)


def read_finished(folder: Path) -> Finished:
    """Read what a table over runs needs of one.

    Raises:
        DataError: If it is not finished, or a file of it is damaged.
    """
    path = folder / METRICS
    try:
        config = read_config(folder)
        if config is None or not path.is_file():
            raise DataError(f"{folder} is not a finished run: it needs config.yaml and {METRICS}.")
        results = parse_json(path.read_text(encoding="utf-8"))
        own = results["metrics"]
        part = folder / "classify" / METRICS  # of stage=ulmfit: the classifier's own validation
        checked = parse_json(part.read_text(encoding="utf-8"))["metrics"] if part.is_file() else own
        scores = {name: float(value) for name, value in checked.items() if isinstance(value, int | float)}
        test = {name.removeprefix("test/"): value for name, value in scores.items() if name.startswith("test/")}
        kind = every_kind().get(results.get("targets") or CLASSES)  # none for one of your own that is not imported
        judged_by = kind.headline if kind and test else next(iter(test), _BITS)
        stage = read_config(folder / "classify") if part.is_file() else config
        monitor = str(stage.stage.monitor) if stage else ""
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged: {error}.") from error
    shown = dict.fromkeys([monitor, f"val/{judged_by}"])
    validation = {name: scores[name] for name in shown if name in scores}
    first = next(iter(validation), "")
    settings = {key: value for key, value in _flat(plain(config)) if not key.startswith(_NO_SETTINGS)}
    seedless = {key: value for key, value in settings.items() if key.rpartition(".")[2] != "seed"}
    return Finished(
        folder, seedless, int(settings["seed"]), validation, test, judged_by, first.endswith(_LOWER_IS_BETTER)
    )


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def alike(runs: Sequence[Finished]) -> list[list[Finished]]:
    """Put runs together that differ in nothing but their seeds."""
    groups: list[list[Finished]] = []
    for run in runs:
        own = next((group for group in groups if group[0].settings == run.settings), None)
        groups.append([run]) if own is None else own.append(run)
    return groups


def differing(runs: Sequence[Finished]) -> list[str]:
    """Name the settings that are not the same in all runs.

    Of a part that is another one, its class alone is named; of settings that follow from each other, the first.
    """
    keys = list(dict.fromkeys(key for run in runs for key in run.settings))
    missing = object()
    found = [key for key in keys if len({repr(run.settings.get(key, missing)) for run in runs}) > 1]
    swapped = tuple(key.removesuffix("_target_") for key in found if key.endswith("._target_"))
    own = [key for key in found if key.endswith("._target_") or not key.startswith(swapped or "\0")]
    by_values = {repr([run.settings.get(key) for run in runs]): key for key in reversed(own)}
    return [key for key in own if key in by_values.values()]


def common_name(runs: Sequence[Finished], keys: Sequence[str]) -> str:
    """Name runs that are alike: the folder of one; of several what they have in common, and their number."""
    if len(runs) == 1:
        return str(runs[0].folder.name)
    told = ", ".join(f"{key}={_short(runs[0].settings.get(key))}" for key in keys)
    return f"{told or runs[0].folder.name.rpartition('_')[0] or runs[0].folder.name} ({len(runs)} seeds)"


def _short(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def spread_of(values: Sequence[float]) -> str:
    """Write a mean and, of several values, their standard deviation."""
    mean = f"{statistics.mean(values):.3f}"
    return f"{mean} ± {statistics.stdev(values):.3f}" if len(values) > 1 else mean


def table_over_runs(runs: Sequence[Finished]) -> str:
    """Lay runs out with the settings that differ, best on validation first, and tell the test score of the first."""
    tables = []
    for stage in dict.fromkeys(run.settings["stage.name"] for run in runs):
        tables.append(_table([run for run in runs if run.settings["stage.name"] == stage]))
    return "\n\n".join(tables)


def _table(runs: Sequence[Finished]) -> str:
    groups, keys = alike(runs), differing(runs)
    names = list(dict.fromkeys(name for run in runs for name in run.validation))
    first = names[0] if names else ""
    groups.sort(key=lambda group: _rank(group, first))
    repeated = any(len(group) > 1 for group in groups)
    rows = [
        {
            "run": common_name(group, ()) if len(group) == 1 else ", ".join(run.folder.name for run in group),
            **{key: _short(group[0].settings.get(key)) for key in keys},
            "seeds" if repeated else "seed": len(group) if repeated else group[0].seed,
            **{name: _cell(group, name) for name in names},
        }
        for group in groups
    ]
    text = format_table(rows, list(rows[0]))
    best = groups[0]
    score = best[0].judged_by
    if names:
        text += f"\n\nBest on validation ({first}): {common_name(best, keys)}."
    if names and all(score in run.test for run in best):
        text += f" On the test part: {heading(score)} {spread_of([run.test[score] for run in best])}."
    return text


def _cell(group: Sequence[Finished], name: str) -> str | None:
    values = [run.validation[name] for run in group if name in run.validation]
    return spread_of(values) if len(values) == len(group) else None


def _rank(group: Sequence[Finished], name: str) -> float:
    values = [run.validation.get(name, math.nan) for run in group]
    mean = statistics.mean(values)
    return math.inf if math.isnan(mean) else mean if group[0].lower_is_better else -mean
