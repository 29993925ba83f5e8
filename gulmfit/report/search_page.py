"""The page of `stage=search`: what was tried, what won, and what that is worth."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from gulmfit.report.figures import PALETTE, Sheet, compare_curves, learning_curves, legend, name_rows
from gulmfit.report.html import Figure, Report, Section
from gulmfit.report.table import format_value
from gulmfit.report.wording import heading, p_text

Results = Mapping[str, Any]

ONE_LOOK = (
    "Trials were compared on the validation part alone. The best of them and the first trial, the settings without a "
    "search, were trained again with new seeds; the best mean minus its error won. Only then was the test part opened, "
    "for these two trials at once."
)
NO_TEST = "A language model has no test part: the held-out part chose, so a new one would score slightly worse."
ALPHA = (
    "Mean alpha of a network's weight matrices needs no data (docs/inspect.md). Rho is Spearman's correlation of alpha "
    "with validation over the finished trials, positive where a smaller alpha goes with better validation."
)


def search_rows(results: Results) -> list[dict[str, object]]:
    """Return a row for each finalist: its trial, its value there, with new seeds, and on the test part."""
    rows: list[dict[str, object]] = []
    for one in results["finalists"]:
        number = one["trial"]
        name = "defaults" if number == 0 else f"trial {number}"
        tests: Results = results.get("test") or {}
        test: Results = tests.get(str(number)) or {}
        row: dict[str, object] = {
            "": f"{name} (winner)" if number == results["winner"] else name,
            f"{results['monitor']}, trial": one["first"],
            "new seeds": f"{one['mean']:.4f}" + (f" ± {one['error']:.4f}" if math.isfinite(one["error"]) else ""),
        }
        for score in test.get("headline", []):
            row[f"val {heading(score)}"] = one["scores"].get(score)
            row[f"test {heading(score)}"] = (test["scores"][score], *(test["ci95"].get(score) or (None, None)))
        rows.append(row)
    columns = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name) for name in columns} for row in rows]


def search_report(results: Results) -> Report:
    """Lay out a search.

    Args:
        results: As `gulmfit.train.search.searching` puts them together.
    """
    rows = search_rows(results)
    finalists = (list(rows[0]), [list(row.values()) for row in rows])
    trials = results["trials"]
    header = ["trial", "state", results["monitor"], "epochs", "seconds", "alpha", "settings"]
    table = [
        [
            one["trial"], one["state"], one["value"], one["epochs"], one["seconds"], one["alpha"],
            one["error"] or " ".join(one["words"] or []) or "as they are",
        ]
        for one in trials
    ]  # fmt: skip
    alpha = results["alpha"]
    agreement = (["trials", "rho", "95 %"], [[alpha["trials"], alpha["spearman"], (alpha["low"], alpha["high"])]])
    curves = results["curves"]
    return Report(
        title=f"search: {results['run']}",
        subtitle=f"stage {results['searched']} · {len(trials)} trials · seed {results['seed']}",
        verdict=bought(results),
        sections=[
            Section("Finalists", [ONE_LOOK if results.get("test") else NO_TEST, optimism(results)], [finalists]),
            Section(
                "Search",
                figures=[
                    ("Trials in order; the line is the best so far, crosses were pruned.", history(results)),
                    ("Importance: the share of the differences that a parameter explains.", importances(results)),
                ],
            ),
            Section("Slices", figures=slices(results)),
            Section(
                "The winner",
                figures=[
                    ("The winner's curves.", learning_curves(curves["winner"])),
                    ("Winner and defaults.", compare_curves(curves, results["monitor"], results["monitor"])),
                ],
                details=[("best.yaml", results["best_yaml"])],
            ),
            Section("Weights and validation", [ALPHA], [agreement]),
            Section("Trials", [price(results)], [(header, table)]),
            Section("Settings", details=[("config.yaml", results["config_yaml"]), ("command", results["command"])]),
        ],
    )


def bought(results: Results) -> str:
    """Say what the search has bought over the defaults, in validation and in test."""
    by_trial = {one["trial"]: one for one in results["finalists"]}
    winner, default = by_trial[results["winner"]], by_trial[0]
    hours = results["timing"]["seconds"] / 3600
    cost = f"The search took {hours:.2f} hours of training"
    if results["winner"] == 0:
        return f"{cost} and bought nothing: no setting beat the defaults with new seeds."
    sign = -1 if results["minimise"] else 1
    gain = sign * (winner["mean"] - default["mean"])
    told = (
        f"{cost}. Trial {results['winner']} gains {gain:.4f} in {results['monitor']} over the defaults with new seeds "
        f"({default['mean']:.4f} to {winner['mean']:.4f})"
    )
    tests = results.get("test") or {}
    if not tests:
        return f"{told}."
    own, theirs = tests[str(results["winner"])], tests["0"]
    score = own["headline"][0]
    p_value = results.get("p_value")
    sure = f", {p_text(p_value)}" if isinstance(p_value, float) and math.isfinite(p_value) else ""
    return (
        f"{told}; in the test part {heading(score)} goes from {format_value(theirs['scores'][score])} to "
        f"{format_value(own['scores'][score])}{sure}."
    )


def optimism(results: Results) -> str:
    """Say how much the best of so many trials flattered itself."""
    finished = sum(one["state"] == "complete" for one in results["trials"])
    sign = 1 if results["minimise"] else -1
    best = min((one for one in results["finalists"]), key=lambda one: sign * one["first"])
    flattered = sign * (best["mean"] - best["first"])
    return (
        f"The best of {finished} finished trials reached {best['first']:.4f}, and {best['mean']:.4f} with new seeds: "
        f"the best of many is flattered, here by {flattered:.4f}. Compare the means alone."
    )


def price(results: Results) -> str:
    """Say what was spent, and what pruning saved."""
    states = [one["state"] for one in results["trials"]]
    pruned = [one for one in results["trials"] if one["state"] == "pruned"]
    # A pruned trial was told after so many tenths of its training.
    unspent = sum(
        (one["epochs"] or 0) * (10 / max(map(int, one["told"]), default=10) - 1) for one in pruned if one["told"]
    )
    spent = results["epochs"]["trained"]
    share = unspent / max(1, spent + unspent)
    return (
        f"{states.count('complete')} trials finished, {len(pruned)} pruned, {states.count('fail')} failed; "
        f"{spent} epochs were trained, and pruning saved {share:.0%} of those without it."
    )


def history(results: Results) -> str:
    """Draw the value of every trial in order, and the best so far."""
    finished = [one for one in results["trials"] if one["state"] == "complete"]
    pruned = [one for one in results["trials"] if one["state"] == "pruned" and one["value"] is not None]
    better = min if results["minimise"] else max
    with Sheet(panels=1 if finished else 0) as sheet:
        for axes in sheet.axes:
            numbers, values = _numbers(finished)
            best = [better(values[: at + 1]) for at in range(len(values))]
            axes.step(numbers, best, where="post", color=PALETTE[0], label="best so far")
            axes.plot(numbers, values, "o", color=PALETTE[0], markersize=5, label="finished")
            if pruned:
                axes.plot(*_numbers(pruned), "x", color="#888888", label="pruned")
            axes.set(xlabel="trial", ylabel=results["monitor"], ylim=_around(values))
            legend(axes)
        return sheet.svg()


def importances(results: Results) -> str:
    """Draw the importance of each parameter as a bar."""
    found = results["importances"]
    with Sheet(panels=1 if found else 0, height=1.0 + 0.32 * len(found)) as sheet:
        for axes in sheet.axes:
            axes.barh(range(len(found)), list(found.values()), height=0.6, color=PALETTE[0])
            name_rows(axes, found, "importance")
        return sheet.svg()


def slices(results: Results) -> list[Figure]:
    """Draw validation against each parameter, a dot for a trial."""
    return [(f"{name}.", _slice(results, name, kind)) for name, kind in results["space"].items()]


def _slice(results: Results, name: str, kind: str) -> str:
    shown = [one for one in results["trials"] if one["state"] == "complete" and name in one["params"]]
    with Sheet(panels=1 if shown else 0) as sheet:
        for axes in sheet.axes:
            values = [one["params"][name] for one in shown]
            if kind == "choice":
                choices = sorted(set(values))
                axes.set_xticks(range(len(choices)), [str(json.loads(choice)) for choice in choices])
                values = [choices.index(value) for value in values]
            won = [one["trial"] == results["winner"] for one in shown]
            scores = [one["value"] for one in shown]
            axes.scatter(values, scores, c=[PALETTE[1] if one else PALETTE[0] for one in won], s=24)
            axes.set(
                xlabel=name, ylabel=results["monitor"], xscale="log" if kind == "log" else "linear",
                ylim=_around(scores),
            )  # fmt: skip
        return sheet.svg()


def _numbers(trials: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[float]]:
    return [one["trial"] for one in trials], [one["value"] for one in trials]


def _around(values: Sequence[float]) -> tuple[float, float]:
    """Return limits in which the better half of the values is told apart: one that diverged would flatten the rest."""
    ordered = sorted(values)
    middle = ordered[len(ordered) // 2]
    spread = max(abs(middle - ordered[0]), abs(ordered[-1] - middle) if len(ordered) < 4 else 0.0, 1e-6)
    low, high = max(ordered[0], middle - 4 * spread), min(ordered[-1], middle + 4 * spread)
    return low - 0.1 * spread, high + 0.1 * spread
