"""What a panel of data sets says: a table of the sets, methods against each other over them, and one page of both."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import numpy as np

from gulmfit.evaluate.many_sets import over_sets
from gulmfit.evaluate.outcomes import BLEND, MERGED, NETWORK, TWIN, Bounded, Outcome
from gulmfit.report.figures import PALETTE, Sheet, legend, name_rows, short
from gulmfit.report.html import Figure, Link, Report, Section, Table
from gulmfit.report.wording import heading, model_name, p_text

UNTOLD = ("majority",)  # what knows nothing is not a method
RAN = "ran"
HOW_TESTED = (
    "Each set is one observation. Wilcoxon's signed ranks compare the network with each other method over the sets "
    "that both have a score on; p-values are corrected for the number of methods (Holm). The best baseline of a set is "
    "the one that scores highest on its test part itself, which favours the baseline."
)
VALIDATION = (
    "Validation is a part of the training peaks. In DeepBind's files test positives are the thousand strongest peaks, "
    "so validation reads lower than the test part; both are told."
)
FOR_ALL = (
    "One network with a label for each set, trained on the training parts of all; a sequence has the labels of the "
    "sets that hold it, and the others are unknown. It is scored on each set's own test part. Seconds are those of "
    "training; parameters, training sequences and seconds of the other networks are sums."
)
_FEWEST = 2  # sets of a group that a box is drawn of
_MARKERS = ("o", "s", "D", "^")


@dataclass(frozen=True)
class PanelRow:
    """A set with one kind of negatives.

    Attributes:
        name: Of the set.
        kind: Of negatives; empty where the set brings its own.
        state: `ran`, `left out`, `failed` or `not yet`.
        about: What is known of the set, such as its cell line.
        sequences: Training sequences, before it has run those in its file; None where they were not counted.
        outcome: Of its run; None where there is none.
        validation: The network's score on the validation part.
        leaks: Share of the test part that is nearly in the training part, and in what the language model read.
        note: Why there is no outcome.
        report: Path of the run's own page, relative to this one.
    """

    name: str
    kind: str
    state: str
    about: Mapping[str, str] = field(default_factory=dict)
    sequences: int | None = None
    outcome: Outcome | None = None
    validation: float | None = None
    leaks: tuple[float | None, float | None] = (None, None)
    note: str = ""
    report: str = ""


def method_name(name: str) -> str:
    """Name a method: the network, its twin, a blend, one network for all sets, or a baseline."""
    ours = {NETWORK: "network", TWIN: "twin from scratch", BLEND: "blend", MERGED: "one network for all"}
    return ours.get(name, model_name(name))


def compared(rows: Sequence[PanelRow], score: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Compare methods over the sets, apart for each kind of negatives.

    Returns:
        By kind and method, what `over_sets` says of it; nothing of kinds that no set has been run with.
    """
    found = {}
    for kind in dict.fromkeys(row.kind for row in rows):
        outcomes = [row.outcome for row in rows if row.kind == kind and row.outcome is not None]
        methods = dict.fromkeys(name for one in outcomes for name in one.models if name not in UNTOLD)
        if outcomes:
            table = {name: [_value(one, name, score) for one in outcomes] for name in methods}
            found[kind] = over_sets(table, NETWORK)
    return found


def set_rows(rows: Iterable[PanelRow], scores: Sequence[str], *, page: bool = False) -> list[dict[str, object]]:
    """Return a row of the table for each set and kind: network, twin, blend and best baseline with their intervals.

    Args:
        rows: The sets.
        scores: The first is what methods are compared by.
        page: Whether names are links to the runs' own pages.
    """
    table: list[dict[str, object]] = []
    first, *others = scores
    for row in rows:
        name = Link(row.name, quote(row.report)) if page and row.report else row.name
        shown: dict[str, object] = {"set": name, "negatives": row.kind or None, "training n": row.sequences}
        if row.outcome is None:
            table.append({**shown, "": f"{row.state}: {row.note}" if row.note else row.state})
            continue
        best = row.outcome.best(first)
        for model in (NETWORK, TWIN, BLEND, MERGED):
            if model in row.outcome.models:
                shown[f"{method_name(model)} {heading(first)}"] = row.outcome.models[model].get(first)
        shown |= {
            f"best baseline {heading(first)}": row.outcome.models[best].get(first),
            "which": model_name(best),
            **{heading(score): row.outcome.models[NETWORK].get(score) for score in others},
            f"validation {heading(first)}": row.validation,
            "test n": row.outcome.tested,
            "near-duplicates in training": row.leaks[0],
            "read by the language model": row.leaks[1],
            "seconds": round(row.outcome.seconds),
        }
        table.append(shown)
    columns = [name for name in dict.fromkeys(name for row in table for name in row) if name]
    columns = [name for name in columns if any(row.get(name) is not None for row in table)]
    columns += [""] if any("" in row for row in table) else []
    return [{name: row.get(name) for name in columns} for row in table]


def method_rows(comparison: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[dict[str, object]]:
    """Return a row for each method, best mean first, apart for each kind of negatives."""
    return [
        {
            "negatives": kind or None,
            "method": method_name(name),
            "sets": one["sets"],
            "mean": one["mean"],
            "median": one["median"],
            "lowest": one["lowest"],
            "best on": one["best_on"],
            "network wins": one.get("wins"),
            "network loses": one.get("losses"),
            "median gain of the network": one.get("median_difference"),
            "p (Holm)": None if math.isnan(one.get("p_holm", math.nan)) else p_text(one["p_holm"]),
        }
        for kind, methods in comparison.items()
        for name, one in sorted(methods.items(), key=lambda pair: -np.nan_to_num(pair[1]["mean"], nan=-np.inf))
    ]


def cost_rows(costs: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[dict[str, object]]:
    """Return what one network for all sets takes, and what those of the same sets take together.

    Args:
        costs: By kind of negatives and method, `networks`, `parameters`, `training_sequences` and `seconds`.
    """
    return [
        {"negatives": kind or None, "method": method_name(name), **{key.replace("_", " "): one[key] for key in one}}
        for kind, methods in costs.items()
        for name, one in methods.items()
    ]


def panel_tsv(rows: Iterable[PanelRow], scores: Sequence[str]) -> str:
    """Write a row for each method of each set, with plain numbers; one for a set without results."""
    bounds = [f"{score}{end}" for score in scores for end in ("", "_low", "_high")]
    lines = [["set", "negatives", "state", "model", *bounds, "training_sequences", "test_sequences", "seconds", "note"]]
    for row in rows:
        start, count = [row.name, row.kind, row.state], "" if row.sequences is None else str(row.sequences)
        note = " ".join(row.note.split())
        if row.outcome is None:
            lines.append([*start, "", *[""] * len(bounds), count, "", "", note])
            continue
        for model, found in row.outcome.models.items():
            numbers = [number for score in scores for number in found.get(score, (math.nan,) * 3)]
            shown = ["" if math.isnan(number) else f"{number:.6g}" for number in numbers]
            tested, seconds = str(row.outcome.tested), f"{row.outcome.seconds:.0f}"
            lines.append([*start, model, *shown, count, tested, seconds, note])
    return "".join("\t".join(line) + "\n" for line in lines)


def panel_report(
    facts: Mapping[str, Any],
    rows: Sequence[PanelRow],
    scores: Sequence[str],
    by: str | None,
    details: Sequence[Any],
    costs: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
) -> Report:
    """Lay out a panel.

    Args:
        facts: `run` and `seed`.
        rows: The sets.
        scores: The first is what methods are compared by.
        by: What box plots group the sets by; None for the first column that has groups.
        details: What is folded at the end of the page: (summary, text) each.
        costs: As of `cost_rows`, where there is one network for all sets.
    """
    comparison, first = compared(rows, scores[0]), heading(scores[0])
    sets, methods = set_rows(rows, scores, page=True), method_rows(comparison)
    ran = [row for row in rows if row.outcome is not None]
    shown, tested = _tables(sets), _tables(methods)
    grouped = by or next((key for key in _keys(ran) if _groups(ran, key)), None)
    figures: list[Figure] = [
        (f"{first} of the network against the best baseline of each set; above the line the network is better.",
         against_best(ran, scores[0])),
        (f"{first} of every method over the sets.", method_boxes(ran, scores[0])),
    ]  # fmt: skip
    if grouped:
        figures.append((f"{first} of the network by {grouped}.", group_boxes(ran, scores[0], grouped)))
    return Report(
        title=f"panel: {facts['run']}",
        subtitle=f"{len({row.name for row in rows})} data sets · seed {facts['seed']}",
        verdict=panel_verdict(rows, comparison, scores[0]),
        sections=[
            Section("Methods over all sets", [HOW_TESTED], tested, figures),
            *([Section("One network for all sets", [FOR_ALL], _tables(cost_rows(costs)))] if costs else []),
            Section("Sets", [VALIDATION], shown),
            Section("Settings", details=list(details)),
        ],
    )


def panel_verdict(
    rows: Sequence[PanelRow], comparison: Mapping[str, Mapping[str, Mapping[str, Any]]], score: str
) -> str:
    """Say in a few sentences what came out."""
    told = []
    for kind, methods in comparison.items():
        network = methods[NETWORK]
        outcomes = [row.outcome for row in rows if row.kind == kind and row.outcome is not None]
        count = sum(one.value(NETWORK, score) >= one.value(one.best(score), score) for one in outcomes)
        against = f"against {kind}, " if kind else ""
        told.append(
            f"{against}the network's median {heading(score)} over {network['sets']} sets is {network['median']:.3f} "
            f"(lowest {network['lowest']:.3f}), at or above the best baseline on {count}."
        )
    states = [row.state for row in rows if row.outcome is None]
    without = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    return " ".join([*(text[:1].upper() + text[1:] for text in told), *([", ".join(without) + "."] if without else [])])


def against_best(rows: Sequence[PanelRow], score: str) -> str:
    """Draw the network against the best baseline, a dot for a set and a colour for a kind of negatives."""
    with Sheet(panels=1 if rows else 0, square=True) as sheet:
        for axes in sheet.axes:
            for number, kind in enumerate(dict.fromkeys(row.kind for row in rows)):
                found = [row.outcome for row in rows if row.kind == kind and row.outcome is not None]
                x = [one.value(one.best(score), score) for one in found]
                y = [one.value(NETWORK, score) for one in found]
                axes.plot(
                    x, y, _MARKERS[number % len(_MARKERS)], color=PALETTE[number % len(PALETTE)], markersize=5,
                    label=kind or "sets",
                )  # fmt: skip
            low = min(*axes.get_xlim(), *axes.get_ylim())
            high = max(*axes.get_xlim(), *axes.get_ylim())
            axes.plot([low, high], [low, high], color="#888888", linestyle=":", linewidth=1)
            axes.set(xlabel=f"best baseline, {heading(score)}", ylabel=f"network, {heading(score)}")
            legend(axes)
        return sheet.svg()


def method_boxes(rows: Sequence[PanelRow], score: str) -> str:
    """Draw a box over the sets for each method, apart for each kind of negatives."""
    boxes: dict[str, list[float]] = {}
    for row in rows:
        for name in row.outcome.models if row.outcome else ():
            value = _value(row.outcome, name, score) if row.outcome else math.nan
            if name not in UNTOLD and not math.isnan(value):
                boxes.setdefault(method_name(name) + (f", {row.kind}" if row.kind else ""), []).append(value)
    return _boxes(boxes, heading(score))


def group_boxes(rows: Sequence[PanelRow], score: str, by: str) -> str:
    """Draw a box of the network's score for each group of sets."""
    boxes: dict[str, list[float]] = {}
    for row in rows:
        value = _value(row.outcome, NETWORK, score) if row.outcome else math.nan
        if not math.isnan(value) and row.about.get(by):
            boxes.setdefault(row.about[by] + (f", {row.kind}" if row.kind else ""), []).append(value)
    return _boxes(dict(sorted(boxes.items())), heading(score))


def _boxes(values: Mapping[str, Sequence[float]], label: str) -> str:
    with Sheet(panels=1 if values else 0, height=1.0 + 0.4 * len(values)) as sheet:
        for axes in sheet.axes:
            for place, found in enumerate(values.values()):
                low, quarter, middle, three_quarters, high = np.percentile(found, [0, 25, 50, 75, 100])
                axes.plot([low, high], [place, place], color="#888888", linewidth=1)
                axes.barh(place, three_quarters - quarter, left=quarter, height=0.55, color="#9DB8CC")
                axes.plot([middle, middle], [place - 0.27, place + 0.27], color="#222222", linewidth=1.5)
                axes.plot(found, [place] * len(found), "o", color=PALETTE[0], markersize=3, alpha=0.7)
            everything = [value for found in values.values() for value in found]
            room = 0.05 * (max(everything) - min(everything)) + 1e-3
            axes.set_xlim(min(everything) - room, max(everything) + room)
            name_rows(axes, [f"{short(name, 20)} ({len(found)})" for name, found in values.items()], label)
        return sheet.svg()


def _tables(rows: Sequence[Mapping[str, object]]) -> list[Table]:
    return [(list(rows[0]), [list(row.values()) for row in rows])] if rows else []


def _keys(rows: Iterable[PanelRow]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row.about))


def _groups(rows: Sequence[PanelRow], key: str) -> bool:
    """Whether a column makes groups: several values, one of them of several sets."""
    names = [row.about.get(key, "") for row in {row.name: row for row in rows}.values()]
    return len(set(names)) > 1 and any(name and names.count(name) >= _FEWEST for name in names)


def _value(outcome: Outcome | None, model: str, score: str) -> float:
    empty: Bounded = (math.nan, math.nan, math.nan)
    return outcome.models.get(model, {}).get(score, empty)[0] if outcome else math.nan
