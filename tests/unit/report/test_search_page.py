"""What the page of a search says: whether it bought anything, its front, and lines over parameters that are missing."""

from typing import Any

import pytest

from gulmfit.report.search_figures import parallel, pareto
from gulmfit.report.search_page import bought_in_folds, pareto_table


def in_folds(winners: list[int], difference: float, p_value: float) -> dict[str, Any]:
    test = {"difference": difference, "low": difference - 0.01, "high": difference + 0.01, "p_value": p_value}
    scores = {"auroc": 0.9, "accuracy": 0.8}
    return {
        "classes": ["a", "b"],
        "positive": "b",
        "search": {"folds": [{"winner": winner} for winner in winners], "seconds": 7200.0},
        "pooled": {
            "scores": {"defaults": scores, "model": {name: value + difference for name, value in scores.items()}},
            "paired": {"defaults": {"auroc": test, "accuracy": test | {"p_value": 0.5}}},
        },
    }


@pytest.mark.parametrize(
    ("winners", "difference", "p_value", "nothing"),
    [
        ([0, 0], 0.0, 1.0, True),
        ([3, 0], 0.004, 0.2, True),
        ([3, 5], -0.02, 0.001, True),
        ([3, 5], 0.02, 0.001, False),
    ],
)
def test_a_search_has_bought_what_the_paired_test_can_tell(
    winners: list[int], difference: float, p_value: float, nothing: bool
) -> None:
    told = bought_in_folds(in_folds(winners, difference, p_value))
    assert ("the search bought nothing" in told) == nothing
    assert "2.00 hours" in told
    assert any(winners) == (f"{0.9 + difference:.4f}" in told and f"{difference:+.4f}" in told)


def test_a_line_goes_over_parameters_that_are_not_there_and_the_front_is_drawn() -> None:
    def trial(number: int, value: float | None, parameters: int, **params: Any) -> dict[str, Any]:
        state = "pruned" if value is None else "complete"
        return {
            "trial": number, "state": state, "value": value, "parameters": parameters, "params": params, "words": [],
        }  # fmt: skip

    results = {
        "trials": [
            trial(0, 0.5, 10, x=0.1, kind='"a"'),
            trial(1, 0.4, 20, x=0.01, kind='"b"', n=3),
            trial(2, 0.6, 30, x=1.0, kind='"a"'),
            trial(3, None, 0, x=0.5, kind='"b"', n=5),
        ],
        "space": {"x": "log", "kind": "choice", "n": "int"},
        "monitor": "val/loss",
        "minimise": True,
        "winner": 1,
        "objectives": ["score", "parameters"],
        "front": [0, 1],
    }
    assert "kind" in parallel(results)
    assert "parameters" in pareto(results)
    assert pareto({**results, "objectives": ["score"]}) == ""
    columns, rows = pareto_table(results)
    assert columns[:4] == ["trial", "front", "val/loss", "parameters"]
    assert [(name, cells[0], *cells[1:3]) for name, cells in rows] == [
        ("0", "1", 0.5, "10"), ("1", "1", 0.4, "20"), ("2", "0", 0.6, "30"),
    ]  # fmt: skip
