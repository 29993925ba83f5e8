"""What finished runs of scripts/league.py say together: the model beside its twin, a blend and every baseline.

Scores are those of the runs' `metrics.json`: on the test part, or pooled over folds, with 95 % intervals. The best
baseline is the one that scores highest on the test part itself, which favours the baseline. The paired test is the
sign-flip test of accuracy; over several runs its one-sided p-values are combined by Stouffer's method.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from gulmfit.evaluate.outcomes import AUROC, BLEND, NETWORK, TWIN, UNDEFINED, Bounded, Outcome
from gulmfit.files import write_whole
from gulmfit.report.table import format_table
from gulmfit.report.wording import heading, model_name, p_text

SHOWN = {NETWORK: "network", TWIN: "twin from scratch", BLEND: "blend"}


def summary(results: Sequence[Outcome], titles: Mapping[str, str]) -> str:
    """Lay out a row for each set, and below it one for each of its runs."""
    blended = any(BLEND in result.models for result in results)
    rows: list[dict[str, object]] = []
    for result in (row for whole in results for row in (whole, *whole.parts)):
        best, best_auroc = result.best(), result.best(AUROC)
        row: dict[str, object] = {"set": titles.get(result.name, f"– {result.name}"), "score": heading(result.score)}
        row |= {SHOWN[name]: _shown(result, name) for name in SHOWN if name != BLEND or blended}
        row |= {"best baseline": _shown(result, best), "which": model_name(best), "network against it": _told(result)}
        row |= {"blend against it": _told(result, BLEND)} if blended else {}
        row |= {
            "rank": result.rank,
            "AUROC": _shown(result, NETWORK, AUROC),
            "best AUROC of a baseline": _shown(result, best_auroc, AUROC),
            "test n": result.tested,
            "seconds": round(result.seconds),
        }
        rows.append(row)
    return format_table(rows, list(rows[0]))


def every_model(results: Iterable[Outcome]) -> str:
    """Lay out a row for each model of each set and run, best first."""
    rows = [
        {
            "set": result.name,
            "model": SHOWN.get(model, model_name(model)),
            "score": heading(result.score),
            "value": _shown(result, model),
            "AUROC": _shown(result, model, AUROC),
            "p against the network": None if model not in result.tests else p_text(result.tests[model][1]),
        }
        for result in flat(results)
        for model in ordered(result)
    ]
    return format_table(rows, list(rows[0]))


def ranks(results: Iterable[Outcome]) -> str:
    """Lay out the accuracy at each rank of a taxonomy; empty where no set has ranks."""
    rows = [
        {"set": result.name, "model": SHOWN.get(model, model_name(model)), **found}
        for result in flat(results)
        for model, found in result.ranks.items()
    ]
    return format_table(rows, list(dict.fromkeys(key for row in rows for key in row))) if rows else ""


def closing(results: Sequence[Outcome]) -> str:
    """Count sets on which the network, and a blend, reach the best baseline, and where they are significantly below."""
    lines = []
    for model in (NETWORK, BLEND):
        having = [result for result in results if model in result.models]
        if not having:
            continue
        verdicts = {result.name: result.verdict(model) for result in having}
        reached = sum(above for above, _, _ in verdicts.values())
        won = sum(told == "won" for _, told, _ in verdicts.values())
        lost = [name for name, (_, told, _) in verdicts.items() if told == "lost"]
        untested = [name for name, (_, told, _) in verdicts.items() if told == "not tested"]
        by_auroc = sum(result.value(model, AUROC) >= result.value(result.best(AUROC), AUROC) for result in having)
        below = f"significantly below on {len(lost)}" + (f" ({', '.join(lost)})" if lost else "")
        lines.append(
            f"{SHOWN[model]}: at or above the best baseline on {reached} of {len(having)}, {below}; significantly "
            f"above on {won}; by AUROC at or above on {by_auroc}"
            + (f"; not tested on {', '.join(untested)}" if untested else "")
        )
    return "\n".join(lines)


def write_tsv(path: Path, results: Iterable[Outcome]) -> None:
    """Write a row for each model of each set and run, with plain numbers."""
    names = ["value", "low", "high"]
    header = ["set", "run", "model", "score", *names, *(f"auroc_{name}" for name in names), "p_against_network"]
    lines = ["\t".join([*header, "test_sequences", "seconds"])]
    for whole in results:
        for result in (whole, *whole.parts):
            for model in ordered(result):
                numbers = [*result.models[model][result.score], *result.models[model][AUROC]]
                numbers += [result.tests.get(model, (0.0, math.nan))[1]]
                cells = [whole.name, "" if result is whole else result.name, model, result.score]
                cells += ["" if math.isnan(number) else f"{number:.6g}" for number in numbers]
                lines.append("\t".join([*cells, str(result.tested), f"{result.seconds:.0f}"]))
    write_whole(path, "\n".join(lines) + "\n")


def draw(path: Path, results: Sequence[Outcome]) -> None:
    """Draw a row of dots with intervals for each set: network, best baseline and, where there is one, blend."""
    from io import BytesIO

    from gulmfit.report.figures import PALETTE, Sheet, name_rows

    scores = " or ".join(dict.fromkeys(heading(result.score) for result in results))
    with Sheet(panels=1, height=1.4 + 0.5 * len(results)) as sheet:
        axes = sheet.axes[0]
        for number, (label, marker) in enumerate((("network", "o"), ("best baseline", "s"), ("blend", "D"))):
            for place, result in enumerate(results):
                model = {"network": NETWORK, "blend": BLEND}.get(label) or result.best()
                value, low, high = result.models.get(model, {}).get(result.score, UNDEFINED)
                axes.errorbar(
                    value, place + 0.22 * (number - 1), xerr=[[value - low], [high - value]], fmt=marker, markersize=5,
                    color=(PALETTE[0], "#5A6B78", PALETTE[1])[number], label="" if place else label,
                )  # fmt: skip
        name_rows(axes, [result.name for result in results], f"{scores}, 95 % intervals")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
        picture = BytesIO()
        axes.figure.savefig(picture, format="png", dpi=150)
    write_whole(path, picture.getvalue())


def flat(results: Iterable[Outcome]) -> list[Outcome]:
    """Return sets, each followed by its runs."""
    return [row for whole in results for row in (whole, *whole.parts)]


def ordered(result: Outcome) -> list[str]:
    """Name the models of a set, best first."""
    return sorted(result.models, key=lambda name: -result.value(name))


def _shown(result: Outcome, model: str, score: str = "") -> Bounded | None:
    return result.models.get(model, {}).get(score or result.score)


def _told(result: Outcome, model: str = NETWORK) -> str | None:
    _, told, p_value = result.verdict(model)
    if model not in result.models:
        return None
    return told if math.isnan(p_value) else f"{told}, {p_text(p_value)}"
