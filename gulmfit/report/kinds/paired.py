"""Kinds whose every comparison is a paired bootstrap, because no sequence is simply right or wrong.

Shapes: `N` sequences, `C` labels or values, `D` sets of weights (bootstrap draws).
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gulmfit.evaluate.uncertainty import Weighted, resampled_differences, resampled_intervals
from gulmfit.report.html import Section
from gulmfit.report.kinds.kind import Bounds, Floats, Gains, Ints, Judged, Kind, Models, Results
from gulmfit.report.wording import heading, model_name, p_text

ByTarget = Callable[[Floats], Mapping[str, Floats]]
"""(D, N) weights to (D, C) values of each score."""


class Bootstrapped(Kind):
    """Base of kinds that are compared by paired bootstraps; arguments as of `Kind`."""

    @abstractmethod
    def weighted(self, truth: Any, predicted: Floats) -> Weighted:
        """Return the scores of predictions (N, C) as a function of the weights of the sequences."""

    def intervals(self, truth: Any, predicted: Floats, groups: Ints | None = None, seed: int = 0) -> Bounds:
        columns = len(self.classes)
        return resampled_intervals(
            self.weighted(truth, predicted), _one_stratum(truth), groups=groups, columns=columns, seed=seed
        )

    def paired(self, truth: Any, first: Judged, second: Judged, groups: Ints | None = None, seed: int = 0) -> Gains:
        one, two = (
            judge.weighted(truth, predicted) for predicted, judge in (first, second) if isinstance(judge, Bootstrapped)
        )
        columns = len(self.classes)
        return resampled_differences(one, two, _one_stratum(truth), groups=groups, columns=columns, seed=seed)

    def comparisons(self, truth: Any, judged: Models, groups: Ints, seed: int) -> dict[str, Any]:
        others = {name: item for name, item in judged.items() if name != "model"}
        return {
            "paired": {name: self.paired(truth, item, judged["model"], groups, seed) for name, item in others.items()}
        }

    def tests(self, results: Results, opponent: str) -> dict[str, Results]:
        found: Mapping[str, Results] = results.get("paired") or {}
        return {name: scores.get(self.headline) or {} for name, scores in found.items()}

    def paired_section(self, model: str, results: Results) -> Section:
        shown = (self.headline, self.second)
        rows: list[list[object]] = []
        for name, scores in (results.get("paired") or {}).items():
            row: list[object] = [model_name(name)]
            for item in shown:
                found = scores.get(item)
                row += [(found["difference"], found["low"], found["high"]), _p(found)] if found else [None, None]
            rows.append(row)
        header = ["against", *(cell for item in shown for cell in (f"{heading(item)} gained", "p"))]
        text = [
            f"What {model} gains over each other on the same sequences: a paired bootstrap that counts a group of "
            "related sequences once."
        ]
        return Section("Paired tests", text, [(header, rows)] if rows else [])


def by_target(
    scores: Mapping[str, ByTarget], names: Sequence[str], groups: Ints, seed: int
) -> dict[str, dict[str, Any]]:
    """Lay out the scores of each label or value: the model's with intervals, the baselines' below "baselines".

    Args:
        scores: By model, the (D, C) scores as a function of weights.
        names: Of the labels or values (C).
        groups: What belongs together (N,).
        seed: Of the bootstrap.
    """
    once = np.ones((1, len(groups)))
    points = {model: {name: values[0] for name, values in score(once).items()} for model, score in scores.items()}

    def flat(weights: Floats) -> dict[str, Floats]:
        return {
            f"{name}/{at}": values[:, at]
            for name, values in scores["model"](weights).items()
            for at in range(len(names))
        }

    bounds = resampled_intervals(flat, np.zeros(len(groups), np.int64), groups=groups, columns=len(names), seed=seed)
    return {
        target: {
            **{name: float(values[at]) for name, values in points["model"].items()},
            "ci95": {name: bounds[f"{name}/{at}"] for name in points["model"]},
            "baselines": {
                model: {name: float(values[at]) for name, values in found.items()}
                for model, found in points.items()
                if model != "model"
            },
        }
        for at, target in enumerate(names)
    }


def _one_stratum(truth: Any) -> Ints:
    return np.zeros(len(truth), np.int64)


def _p(found: Results) -> str | None:
    value = found.get("p_value")
    return None if value is None or np.isnan(value) else p_text(value)
