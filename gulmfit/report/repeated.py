"""Reports over many runs: the folds of a cross-validation, several seeds, a learning curve, a comparison of runs."""

from collections.abc import Mapping
from typing import Any

from gulmfit.report import figures, spread_figures
from gulmfit.report.html import Figure, Report, Section
from gulmfit.report.kinds.kind import Kind, objective_of
from gulmfit.report.sections import (
    curves_section,
    facts_sections,
    leakage_section,
    present,
    searched_unequally,
    tables_of,
)
from gulmfit.report.table import format_table
from gulmfit.report.wording import SEARCHED_UNEQUALLY, capital, finite, heading, model_name, p_text, subtitle

Results = Mapping[str, Any]

SCRATCH = "scratch"

FOLDS_SHARE = (
    "± is the standard deviation over folds. Folds share most of their training sequences, so it is not a standard "
    "error of the mean; the interval of the pooled out-of-fold predictions counts a group of related sequences once."
)
SEEDS_DIFFER = "± is the standard deviation over seeds: each redraws the split, the weights and the order."


def summary_table(results: Results) -> str:
    """Lay models and baselines side by side, best first: mean ± deviation, and the pooled score with its interval."""
    return format_table(*_summary(results))


def _summary(results: Results) -> tuple[list[dict[str, object]], list[str]]:
    spread: Results = results["spread"]
    objective = objective_of(results)
    pooled = results.get("pooled") or {}
    main = next(iter(spread))
    columns = [""]
    for name in objective.summary:
        over_all = name in (pooled.get("scores") or {}).get("model", {})
        columns += [f"{heading(name)}, mean", *([f"{heading(name)}, pooled"] if over_all else [])]
    rows: list[dict[str, object]] = []
    for model in sorted(spread, key=lambda item: -spread[item][objective.headline]["mean"]):
        row: dict[str, object] = {"": model_name(model)}
        for name in objective.summary:
            value = spread[model].get(name)
            row[f"{heading(name)}, mean"] = None if value is None else f"{value['mean']:.3f} ± {value['sd']:.3f}"
            own = "model" if model == main else model
            if name in (pooled.get("scores") or {}).get(own, {}):
                bounds = pooled["ci95"][own].get(name, (None, None))
                row[f"{heading(name)}, pooled"] = (pooled["scores"][own][name], *bounds)
        rows.append(row)
    return rows, columns


def repeated_report(results: Results) -> Report:
    """Build the report of a classifier over folds or seeds.

    Args:
        results: As `gulmfit.train.stages.cross_validation` puts them together; `predictions`, where there are any,
        are the
            pooled ones.
    """
    spread: Results = results["spread"]
    objective = objective_of(results)
    score = heading(objective.headline)
    main = next(iter(spread))
    rows, columns = _summary(results)
    order = [str(row[""]) for row in rows]
    dots = {
        model_name(model): [row[objective.headline] for row in results["trials"] if row["model"] == model]
        for model in dict.fromkeys(row["model"] for row in results["trials"])
    }
    scores = Section(
        f"Scores over {results['over']}",
        [FOLDS_SHARE if results["over"] == "folds" else SEEDS_DIFFER],
        [(columns, [[row.get(name) for name in columns] for row in rows])],
        [(f"{capital(score)} in each of the {results['over']}.", spread_figures.spread_dots(dots, score))],
    )
    sections = [
        searched_unequally(scores, spread),
        _pairs(results, model_name(main)),
        curves_section(objective.curves(results.get("predictions"), model_name(main))),
        _trials(results),
        leakage_section(results, objective.summary),
    ]
    sections += list(facts_sections(results))
    first = spread[main][objective.headline]
    own = model_name(main)
    other = order[0] if order[0] != own else order[1] if len(order) > 1 else None
    verdict = f"{capital(own)} reaches {first['mean']:.3f} ± {first['sd']:.3f} {score} over {len(dots[own])} "
    verdict += str(results["over"])
    if other is not None:
        verdict += f"; the best of all is {other}" if other == order[0] else f"; next comes {other}"
        verdict += _tested(results, objective, other)
    verdict += "."
    title = f"Over {results['over']}: {results['run']}"
    return Report(title, subtitle(results), verdict, sections=present(sections))


def _pairs(results: Results, main: str) -> Section:
    pooled = results.get("pooled") or {}
    objective = objective_of(results)
    shown = (objective.headline, objective.second)
    tests = [pair for pair in (("sign_flip", "p (sign-flip)"), ("mcnemar", "p (McNemar)")) if pooled.get(pair[0])]
    rows = []
    for other, paired in (pooled.get("paired") or {}).items():
        cells: list[object] = [model_name(other)]
        for name in shown:
            item = paired.get(name)
            cells += (
                [(item["difference"], item["low"], item["high"]), p_text(item["p_value"])] if item else [None, None]
            )
        rows.append([*cells, *(_p((pooled[test] or {}).get(other)) for test, _ in tests)])
    header = ["against", *(cell for name in shown for cell in (f"{heading(name)} gained", "p"))]
    text = f"What {main} gains over each other on the same out-of-fold predictions: a paired bootstrap that counts a "
    text += "group of related sequences once."
    if tests:
        text += " The sign-flip test is of accuracy and counts a group as one observation."
    header += [name for _, name in tests]
    return Section("Paired tests", [text], [(header, rows)] if rows else [])


def _tested(results: Results, objective: Kind, other: str) -> str:
    """Add what the paired test of pooled predictions against another model says, where it was made."""
    tests = objective.tests(results.get("pooled") or {}, SCRATCH)
    p_value = next((finite(test.get("p_value")) for name, test in tests.items() if model_name(name) == other), None)
    if p_value is None:
        return ""
    return f" ({objective.test} on the pooled out-of-fold predictions, {p_text(p_value)})"


def _p(test: Results | None) -> str | None:
    return p_text(test["p_value"]) if test else None


def _trials(results: Results) -> Section:
    return Section("Every run", ["Each is a run folder of its own, with its report."], tables_of(results["trials"]))


def learning_curve_report(results: Results) -> Report:
    """Build the report of `stage=learning_curve`: a score against the number of labels.

    Args:
        results: `curve` ({score: {model: {labels: [score of each draw]}}}), `table` rows, and what other reports have.
    """
    pictures: list[Figure] = [
        (f"{capital(heading(name))} on the test part against training labels; dots are single draws.",
         spread_figures.label_curve(points, heading(name)))
        for name, points in results["curve"].items()
    ]  # fmt: skip
    section = Section(
        "What labels buy",
        [
            "Every model of a draw sees the same labels; larger draws hold the smaller ones. The validation part "
            "shrinks with the training part. ± is the standard deviation over draws. The best baseline is the one "
            f"that scores highest on the test part itself, which favours it. {SEARCHED_UNEQUALLY}"
        ],
        tables_of(results["table"]),
        pictures,
    )
    sections = [section, *facts_sections(results)]
    return Report(f"Learning curve: {results['run']}", subtitle(results), str(results["verdict"]), sections=sections)


def comparison_of_runs(results: Results) -> Report:
    """Build the report of `gulmfit-compare`.

    Args:
        results: `runs` (rows of scores), `pairs` (rows of paired tests), `curves` (labels and scores by run), `losses`
            (rows of `metrics.csv` by run), `verdict`.
    """
    losses = figures.compare_curves(results["losses"], "val/loss", "validation loss")
    sections = [
        Section("Scores on the same sequences", tables=tables_of(results["runs"])),
        Section("Paired tests", [str(results["tests_text"])], tables_of(results["pairs"])),
        curves_section(results["curves"]),
        Section("Training", figures=[("Validation loss.", losses)]),
    ]
    return Report(str(results["title"]), str(results["subtitle"]), str(results["verdict"]), sections=present(sections))
