"""What a finished run says of its network, its twin, a blend and every baseline, read from its `metrics.json`.

Scores are those of the test part, or pooled over folds, with 95 % intervals. The best baseline is the one that scores
highest on the test part itself, which favours the baseline. The paired test is the sign-flip test of accuracy; over
several runs its one-sided p-values are combined by Stouffer's method.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NETWORK, TWIN, BLEND, MERGED = "model", "scratch", "blend", "multi_label"
OURS = (NETWORK, TWIN, BLEND, MERGED)
SIGNIFICANT = 0.05
AUROC = "auroc"
UNDEFINED = (math.nan, math.nan, math.nan)
Bounded = tuple[float, float, float]
"""A score: value, low, high."""


@dataclass
class Outcome:
    """One data set, or one of its runs.

    Attributes:
        name: That of the set, or of the run.
        score: What it is judged by, such as `accuracy`.
        models: By model and name of the score: the network ("model"), its twin ("scratch"), a blend, one network for
            all sets of a panel ("multi_label"), the baselines.
        tests: By opponent of the network: the accuracy that the network gains, and the p-value.
        blend_tests: The same for the blend.
        seconds: Of training, that of the twin included.
        tested: Test sequences.
        ranks: By model, the accuracy at each rank of a taxonomy.
        parts: Outcomes of its runs, where there are several.
    """

    name: str
    score: str
    models: dict[str, dict[str, Bounded]]
    tests: dict[str, tuple[float, float]] = field(default_factory=dict)
    blend_tests: dict[str, tuple[float, float]] = field(default_factory=dict)
    seconds: float = 0.0
    tested: int = 0
    ranks: dict[str, dict[str, float]] = field(default_factory=dict)
    parts: list["Outcome"] = field(default_factory=list)

    def value(self, model: str, score: str = "") -> float:
        """Return a score of a model, or minus infinity where it has none."""
        found = self.models.get(model, {}).get(score or self.score, UNDEFINED)[0]
        return -math.inf if math.isnan(found) else found

    def best(self, score: str = "") -> str:
        """Name the baseline that scores highest."""
        return max((name for name in self.models if name not in OURS), key=lambda name: self.value(name, score))

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


def read_outcome(name: str, score: str, metrics: Mapping[str, Any], also: Sequence[str] = ()) -> Outcome:
    """Read a `metrics.json` of `stage=classify`, over folds too, or of `stage=ulmfit`.

    Args:
        name, score: Of the outcome.
        metrics: Content of the file.
        also: Scores to read as well; accuracy and AUROC always are.
    """
    counts = metrics["data"]["counts"]
    result = Outcome(
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
            model: (_below(metrics["metrics"], f"{prefix}test/"), _below(metrics["ci95"], f"{prefix}test/"))
            for model, prefix in ((NETWORK, ""), (TWIN, "scratch/"))
        }
        found |= {model: (scores, scores["ci95"]) for model, scores in metrics["baselines"].items()}
    wanted = dict.fromkeys((score, "accuracy", AUROC, *also))
    result.models = {
        model: {key: _score(scores.get(key), bounds.get(key)) for key in wanted}
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


def mean_outcome(name: str, score: str, parts: Sequence[Outcome]) -> Outcome:
    """Return the mean of several runs on different test sequences; a model that one of them lacks is left out."""
    shared = [model for model in parts[0].models if all(model in part.models for part in parts)]
    result = Outcome(name, score, {}, parts=list(parts))
    for model in shared:
        result.models[model] = {
            key: _mean([part.models[model][key] for part in parts]) for key in parts[0].models[model]
        }
    result.tests = _combined([part.tests for part in parts])
    result.blend_tests = _combined([part.blend_tests for part in parts])
    result.seconds = sum(part.seconds for part in parts)
    result.tested = sum(part.tested for part in parts)
    return result


def _below(scores: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): value for key, value in scores.items() if key.startswith(prefix)}


def _score(value: float | None, bounds: Sequence[float | None] | None) -> Bounded:
    numbers = [math.nan if number is None else float(number) for number in (value, *(bounds or (None, None)))]
    return numbers[0], numbers[1], numbers[2]


def _tests(results: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    return {
        name: (float(found["accuracy_difference"]), float(found["p_value"]))
        for name, found in (results.get("sign_flip") or {}).items()
    }


def _mean(scores: Sequence[Bounded]) -> Bounded:
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
