"""The page of `stage=search`: what was tried, what won, and what that is worth."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from gulmfit.report.figures import compare_curves, learning_curves
from gulmfit.report.html import Report, Section
from gulmfit.report.kinds.kind import objective_of
from gulmfit.report.repeated import repeated_report
from gulmfit.report.search_figures import history, importances, parallel, pareto, slices
from gulmfit.report.sections import present
from gulmfit.report.table import format_value
from gulmfit.report.wording import heading, p_text

Results = Mapping[str, Any]

SEARCHED, DEFAULTS = "searched", "defaults"
SIGNIFICANT = 0.05
NESTED = (
    "Every fold searched by itself, on its own training and validation parts; its winner and the defaults, the "
    "settings without a search, were scored once on what the fold holds out. So the pooled scores are those of "
    "searching. Validation is the mean of finalists with new seeds."
)
ONE_LOOK = (
    "Trials were compared on the validation part alone. The best of them and the first trial, the settings without a "
    "search, were trained again with new seeds; the best mean minus its error won. Only then was the test part opened, "
    "for these two trials at once."
)
NO_TEST = "A language model has no test part: the held-out part chose, so a new one would score slightly worse."
FRONT = (
    "No other trial is better both in score and in cost than one on the front. The finalists are those of the front "
    "with the best scores. The cheapest whose mean with new seeds is within one standard error of the best wins."
)
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
        for cost in results.get("objectives", [])[1:]:
            row[cost] = one[cost]
        for score in test.get("headline", []):
            row[f"val {heading(score)}"] = one["scores"].get(score)
            row[f"test {heading(score)}"] = (test["scores"][score], *(test["ci95"].get(score) or (None, None)))
        rows.append(row)
    columns = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name) for name in columns} for row in rows]


def pareto_table(results: Results) -> tuple[list[str], Iterator[tuple[str, list[str | float]]]]:
    """Return the columns and rows of a table of the finished trials, and whether each is on the front."""
    costs = results["objectives"][1:]
    finished = (one for one in results["trials"] if one["state"] == "complete")
    rows = (
        (
            str(one["trial"]),
            [
                str(int(one["trial"] in results["front"])), one["value"],
                *(str(one[cost]) if isinstance(one[cost], int) else one[cost] for cost in costs),
                " ".join(one["words"]),
            ],
        )
        for one in finished
    )  # fmt: skip
    return ["trial", "front", results["monitor"], *costs, "settings"], rows


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
        sections=present(
            [
                Section("Finalists", [ONE_LOOK if results.get("test") else NO_TEST, optimism(results)], [finalists]),
                Section(
                    "Search",
                    figures=[
                        ("Trials in order; the line is the best so far, crosses were pruned.", history(results)),
                        (
                            "A line is a trial, over settings to value; darker is better, orange the winner.",
                            parallel(results),
                        ),
                        (
                            "Importance (fANOVA): the share of the differences that a parameter explains by itself.",
                            importances(results),
                        ),
                    ],
                ),
                Section(
                    "Pareto front", [FRONT], figures=[("Every finished trial; the line is the front.", pareto(results))]
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
            ]
        ),
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
    costs = results.get("objectives", [])[1:]
    dear = "".join(f", at {winner[name] / default[name]:.2f} of the {name}" for name in costs)
    gain = sign * (winner["mean"] - default["mean"])
    told = (
        f"{cost}. Trial {results['winner']} gains {gain:.4f} in {results['monitor']} over the defaults with new seeds "
        f"({default['mean']:.4f} to {winner['mean']:.4f}){dear}"
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


def nested_report(results: Results) -> Report:
    """Lay out a search in the folds of a cross-validation.

    Args:
        results: As of `gulmfit.report.repeated.repeated_report`, of the models `searched` and `defaults`, and `search`
            with `seconds` and a row for each of the `folds`.
    """
    rows = [
        [
            one["fold"], one["trials"], one["winner"] or DEFAULTS, one["validation"][DEFAULTS],
            one["validation"][SEARCHED], one["seconds"] / 3600, " ".join(one["words"]) or "as they are",
        ]
        for one in results["search"]["folds"]
    ]  # fmt: skip
    monitor = results["search"]["folds"][0]["monitor"]
    header = ["fold", "trials", "winner", f"{monitor}, defaults", f"{monitor}, winner", "hours", "settings"]
    report = repeated_report(results)
    first, *rest = report.sections
    sections = [first, Section("The search of each fold", [NESTED], [(header, rows)]), *rest]
    return replace(report, verdict=bought_in_folds(results), sections=sections)


def bought_in_folds(results: Results) -> str:
    """Say what searching has bought in scores of all folds, and whether the paired test can tell it from nothing."""
    folds, pooled, judge = results["search"]["folds"], results["pooled"], objective_of(results)
    cost = f"Searching in {len(folds)} folds took {results['search']['seconds'] / 3600:.2f} hours of training"
    if not any(one["winner"] for one in folds):
        return f"{cost} and the search bought nothing: the defaults won in every fold."
    paired = pooled["paired"][DEFAULTS]
    told, gained = [], False
    for score in dict.fromkeys((judge.second, judge.headline)):
        if test := paired.get(score):
            before, after = (pooled["scores"][name][score] for name in (DEFAULTS, "model"))
            gained |= test["difference"] > 0 and test["p_value"] < SIGNIFICANT
            told.append(
                f"{heading(score)} {before:.4f} to {after:.4f} ({test['difference']:+.4f}, 95 % {test['low']:+.4f} to "
                f"{test['high']:+.4f}, {p_text(test['p_value'])})"
            )
    what = (
        "the search gained over the defaults" if gained else "the search bought nothing that the paired test can tell"
    )
    return f"{cost}; {what}. Out of fold, defaults to searched: {'; '.join(told)}."


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
    if len(results.get("objectives", [])) > 1:
        return (
            f"{states.count('complete')} trials finished, {states.count('fail')} failed; {spent} epochs were trained. "
            "None is pruned where there are several objectives."
        )
    return (
        f"{states.count('complete')} trials finished, {len(pruned)} pruned, {states.count('fail')} failed; "
        f"{spent} epochs were trained, and pruning saved {share:.0%} of those without it."
    )
