"""The pictures of a search: its history, its trials over all settings, what matters, slices, and the Pareto front."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from gulmfit.report.figures import PALETTE, Sheet, legend, name_rows, short
from gulmfit.report.html import Figure

Results = Mapping[str, Any]


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


def parallel(results: Results) -> str:
    """Draw every finished trial as a line over its settings and its value."""
    shown = [one for one in results["trials"] if one["state"] == "complete"]
    axes_of = [*results["space"], results["monitor"]]
    if len(shown) < 2:
        return ""
    places = {name: _places(results, shown, name) for name in axes_of}
    sign = 1 if results["minimise"] else -1
    ordered = sorted(shown, key=lambda one: -sign * one["value"])  # the best above the others
    with Sheet(panels=1, height=4.2) as sheet:
        for axes in sheet.axes:
            for rank, one in enumerate(ordered, start=1):
                won = one["trial"] == results["winner"]
                heights = [places[name][0].get(one["trial"], math.nan) for name in axes_of]
                axes.plot(
                    range(len(axes_of)), heights, color=PALETTE[1 if won else 0], linewidth=2.5 if won else 1.2,
                    alpha=1.0 if won else 0.1 + 0.8 * rank / len(ordered), zorder=3 if won else 2,
                )  # fmt: skip
            for at, name in enumerate(axes_of):
                axes.axvline(at, color="#888888", linewidth=1)
                for height, text in places[name][1]:
                    axes.annotate(short(text, 12), (at, height), (3, 0), textcoords="offset points", fontsize=8)
            axes.set_xticks(range(len(axes_of)), axes_of, rotation=30, ha="right")
            axes.set_yticks([])
        return sheet.svg()


def _places(
    results: Results, shown: Sequence[Mapping[str, Any]], name: str
) -> tuple[dict[int, float], list[tuple[float, str]]]:
    """Return the height, 0 to 1, of each trial on an axis, and the marks of that axis."""
    kind = results["space"].get(name, "")
    raw = {one["trial"]: one["params"].get(name) if kind else one["value"] for one in shown}
    raw = {trial: value for trial, value in raw.items() if value is not None}
    if kind == "choice":
        choices = sorted(set(raw.values()))
        ends = max(1, len(choices) - 1)
        marks = [(at / ends, str(json.loads(choice))) for at, choice in enumerate(choices)]
        return {trial: choices.index(value) / ends for trial, value in raw.items()}, marks
    scale = math.log if kind == "log" else float
    low, high = min(raw.values(), default=0.0), max(raw.values(), default=1.0)
    width = (scale(high) - scale(low)) or 1.0
    return (
        {trial: (scale(value) - scale(low)) / width for trial, value in raw.items()},
        [(0.0, f"{low:.3g}"), (1.0, f"{high:.3g}")] if high > low else [(0.0, f"{low:.3g}")],
    )


def pareto(results: Results) -> str:
    """Draw the score of every finished trial against what it costs, with the front; nothing of one objective."""
    costs = results.get("objectives", [])[1:]
    shown = [one for one in results["trials"] if one["state"] == "complete"]
    with Sheet(panels=len(costs) if shown else 0) as sheet:
        for axes, cost in zip(sheet.axes, costs, strict=False):
            front = sorted((one[cost], one["value"]) for one in shown if one["trial"] in results["front"])
            axes.plot(
                [one[cost] for one in shown], [one["value"] for one in shown], "o", color=PALETTE[0], markersize=5
            )
            axes.step(*zip(*front, strict=True), where="post", color=PALETTE[1], label="front")
            (won,) = (one for one in shown if one["trial"] == results["winner"])
            axes.plot(won[cost], won["value"], "*", color=PALETTE[1], markersize=13, label="winner")
            axes.set(
                xlabel=cost, ylabel=results["monitor"], xscale="log", ylim=_around([one["value"] for one in shown])
            )
            legend(axes)
        return sheet.svg()


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
