"""What a score hides is told where it is so, and only there."""

from typing import Any

import pytest

from gulmfit.report.cautions import cautions
from gulmfit.report.pages import classification_report


def found(counts: dict[str, int], **more: Any) -> dict[str, Any]:
    return {"data": {"classes": {"train": counts}}, "classes": list(counts), **more}


@pytest.mark.parametrize(
    ("counts", "share"), [({"no": 95, "yes": 5}, "5.0%"), ({"no": 80, "yes": 20}, ""), ({"no": 1, "yes": 99}, "1.0%")]
)
def test_a_rare_class_is_told(counts: dict[str, int], share: str) -> None:
    told = cautions(found(counts), {"": 0.9}, "accuracy", {})
    assert (share in told) if share else not told
    assert not cautions(found(counts), {"": 0.9}, "mcc", {})


def test_weights_are_advised_where_there_are_none() -> None:
    counts = {"no": 95, "yes": 5}
    assert "loss.class_weights=balanced" in cautions(
        found(counts, config_yaml="loss:\n  class_weights: null\n"), {}, "accuracy", {}
    )
    assert "loss.class_weights" not in cautions(
        found(counts, config_yaml="loss:\n  class_weights: balanced\n"), {}, "accuracy", {}
    )
    assert not cautions(found({"a": 98, "b": 1, "c": 1}), {}, "accuracy", {})  # accuracy of many classes


@pytest.mark.parametrize(
    ("baseline", "score", "p_value", "told"),
    [
        ("onehot_boosting", 0.96, 0.001, True),
        ("onehot_boosting", 0.96, 0.2, False),
        ("onehot_logistic", 0.6, 0.001, False),  # the model wins
        ("kmer_logistic", 0.96, 0.001, False),
    ],
)
def test_aligned_windows_are_told(baseline: str, score: float, p_value: float, told: bool) -> None:
    tests = {baseline: {"p_value": p_value}}
    said = cautions({}, {"": 0.7, baseline: score, "gc": 0.5}, "accuracy", tests)
    assert ("data.jitter_bp" in said) == told


def test_the_verdict_of_a_report_says_it() -> None:
    results = found({"no": 90, "yes": 10}) | {
        "stage": "classify", "run": "x", "seed": 0, "positive": 1, "baselines": {}, "targets": "classes",
        "metrics": {"test/accuracy": 0.9, "test/mcc": 0.1}, "ci95": {},
    }  # fmt: skip
    assert "10.0% of the training sequences are 'yes'" in classification_report(results).verdict
