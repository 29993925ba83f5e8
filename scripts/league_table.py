"""What finished runs of scripts/league.py say together: the model beside its twin, a blend and every baseline.

Scores are those of the runs' `metrics.json`: on the test part, or pooled over folds, with 95 % intervals. The best
baseline is the one that scores highest on the test part itself, which favours the baseline. The paired test is the
sign-flip test of accuracy; over several runs its one-sided p-values are combined by Stouffer's method.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gulmfit.files import write_whole
from gulmfit.report.table import format_table
from gulmfit.report.wording import heading, model_name, p_text

NETWORK, SCRATCH, BLEND = "model", "scratch", "blend"
SIGNIFICANT = 0.05
AUROC = "auroc"
SHOWN = {NETWORK: "network", SCRATCH: "twin from scratch", BLEND: "blend"}
Score = tuple[float, float, float]  # value, low, high
UNDEFINED = (math.nan, math.nan, math.nan)
Models = dict[str, dict[str, Score]]  # by model and name of the score


@dataclass
class Result:
    """One development set, or one of its runs.

    Attributes:
        name: Its name in the registry, or that of the run.
        score: What it is judged by: `accuracy` or `mcc`.
        models: Scores of the network ("model"), its twin ("scratch"), a blend and the baselines.
        tests: By opponent of the network: the accuracy that the network gains, and the p-value.
        blend_tests: The same for the blend.
        seconds: Of training, that of the twin included.
        tested: Test sequences.
        ranks: By model, the accuracy at each rank of a taxonomy.
        parts: Results of its runs, where there are several.
    """

    name: str
    score: str
    models: Models
    tests: dict[str, tuple[float, float]] = field(default_factory=dict)
    blend_tests: dict[str, tuple[float, float]] = field(default_factory=dict)
    seconds: float = 0.0
    tested: int = 0
    ranks: dict[str, dict[str, float]] = field(default_factory=dict)
    parts: list["Result"] = field(default_factory=list)

    def value(self, model: str, score: str = "") -> float:
        """Return a score of a model, or minus infinity where it has none."""
        found = self.models.get(model, {}).get(score or self.score, UNDEFINED)[0]
        return -math.inf if math.isnan(found) else found

    def best(self, score: str = "") -> str:
        """Name the baseline that scores highest."""
        return max((name for name in self.models if name not in SHOWN), key=lambda name: self.value(name, score))

    @property
    def rank(self) -> str:
        """Place of the network among itself, its twin and the baselines."""
        others = [self.value(name) for name in self.models if name not in (NETWORK, BLEND)]
        return f"{1 + sum(value > self.value(NETWORK) for value in others)} of {1 + len(others)}"

    def verdict(self, model: str = NETWORK) -> tuple[bool, str, float]:
        """Return whether a model is at or above the best baseline, what the test says of the two, and its p-value."""
        best = self.best()
        tests = self.blend_tests if model == BLEND else self.tests
        gained, p_value = tests.get(best, (0.0, math.nan))
        told = "tie" if p_value >= SIGNIFICANT or not gained else "won" if gained > 0 else "lost"
        told = "not tested" if math.isnan(p_value) else told
        return self.value(model) >= self.value(best), told, p_value


def read(name: str, score: str, metrics: Mapping[str, Any]) -> Result:
    """Read a `metrics.json` of `stage=classify`, over folds too, or of `stage=ulmfit`."""
    counts = metrics["data"]["counts"]
    result = Result(
        name,
        score,
        {},
        seconds=float(metrics["timing"]["seconds"]),
        tested=int(counts.get("test", counts.get("all", 0))),
    )
    if pooled := metrics.get("pooled"):
        found = {model: (scores, pooled["ci95"][model]) for model, scores in pooled["scores"].items()}
    else:
        found = {
            model: tuple(_below(metrics[key], f"{prefix}test/") for key in ("metrics", "ci95"))
            for model, prefix in ((NETWORK, ""), (SCRATCH, "scratch/"))
        }
        found |= {model: (scores, scores["ci95"]) for model, scores in metrics["baselines"].items()}
    result.models = {
        model: {key: _score(scores.get(key), bounds.get(key)) for key in dict.fromkeys((score, "accuracy", AUROC))}
        for model, (scores, bounds) in found.items()
        if scores
    }
    result.tests = _tests(pooled or metrics)
    if blend := metrics.get("blend"):
        scores, bounds = (_below(blend[key], "test/") for key in ("metrics", "ci95"))
        result.models[BLEND] = {key: _score(scores.get(key), bounds.get(key)) for key in result.models[NETWORK]}
    result.blend_tests = _tests((pooled or metrics).get("blend") or {})
    result.ranks = {model: dict(ranks) for model, ranks in (metrics.get("ranks") or {}).items()}
    return result


def mean(name: str, score: str, parts: Sequence[Result]) -> Result:
    """Return the mean of several runs on different test sequences; a model that one of them lacks is left out."""
    shared = [model for model in parts[0].models if all(model in part.models for part in parts)]
    result = Result(name, score, {}, parts=list(parts))
    for model in shared:
        result.models[model] = {
            key: _mean([part.models[model][key] for part in parts]) for key in parts[0].models[model]
        }
    result.tests = _combined([part.tests for part in parts])
    result.blend_tests = _combined([part.blend_tests for part in parts])
    result.seconds = sum(part.seconds for part in parts)
    result.tested = sum(part.tested for part in parts)
    return result


def summary(results: Sequence[Result], titles: Mapping[str, str]) -> str:
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


def every_model(results: Iterable[Result]) -> str:
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


def ranks(results: Iterable[Result]) -> str:
    """Lay out the accuracy at each rank of a taxonomy; empty where no set has ranks."""
    rows = [
        {"set": result.name, "model": SHOWN.get(model, model_name(model)), **found}
        for result in flat(results)
        for model, found in result.ranks.items()
    ]
    return format_table(rows, list(dict.fromkeys(key for row in rows for key in row))) if rows else ""


def closing(results: Sequence[Result]) -> str:
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


def write_tsv(path: Path, results: Iterable[Result]) -> None:
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


def draw(path: Path, results: Sequence[Result]) -> None:
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


def flat(results: Iterable[Result]) -> list[Result]:
    """Return sets, each followed by its runs."""
    return [row for whole in results for row in (whole, *whole.parts)]


def ordered(result: Result) -> list[str]:
    """Name the models of a set, best first."""
    return sorted(result.models, key=lambda name: -result.value(name))


def _below(scores: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): value for key, value in scores.items() if key.startswith(prefix)}


def _score(value: float | None, bounds: Sequence[float | None] | None) -> Score:
    numbers = [math.nan if number is None else float(number) for number in (value, *(bounds or (None, None)))]
    return numbers[0], numbers[1], numbers[2]


def _shown(result: Result, model: str, score: str = "") -> Score | None:
    return result.models.get(model, {}).get(score or result.score)


def _told(result: Result, model: str = NETWORK) -> str | None:
    _, told, p_value = result.verdict(model)
    if model not in result.models:
        return None
    return told if math.isnan(p_value) else f"{told}, {p_text(p_value)}"


def _tests(results: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    return {
        name: (float(found["accuracy_difference"]), float(found["p_value"]))
        for name, found in (results.get("sign_flip") or {}).items()
    }


def _mean(scores: Sequence[Score]) -> Score:
    """Average scores of unrelated sequences; half-widths of their intervals add in quadrature."""
    count = len(scores)
    value = sum(score[0] for score in scores) / count
    below = math.sqrt(sum((score[0] - score[1]) ** 2 for score in scores)) / count
    above = math.sqrt(sum((score[2] - score[0]) ** 2 for score in scores)) / count
    return value, value - below, value + above


def _combined(tests: Sequence[Mapping[str, tuple[float, float]]]) -> dict[str, tuple[float, float]]:
    """Combine two-sided tests of several runs: the mean gain, and the two-sided p-value of all."""
    from scipy.stats import norm

    found = {}
    for name in (name for name in tests[0] if all(name in test for test in tests)):
        pairs = [test[name] for test in tests]
        # A p-value of exactly 0 would outweigh whatever the others say.
        z = sum(math.copysign(norm.isf(max(p_value, 1e-300) / 2), gain) for gain, p_value in pairs)
        gained = sum(gain for gain, _ in pairs) / len(pairs)
        found[name] = (gained, float(2 * norm.sf(abs(z) / math.sqrt(len(pairs)))))
    return found
