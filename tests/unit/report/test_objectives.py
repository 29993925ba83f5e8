"""Every kind of target has its scores, tests and pages: none of another kind, none empty, verdicts that follow."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from gulmfit.evaluate.calibration import Calibration
from gulmfit.evaluate.target_calibration import AsPredicted, LabelCalibration
from gulmfit.report.html import Report, render
from gulmfit.report.kinds.kind import Judged, kind_named, objective_of
from gulmfit.report.kinds.predictions import Predictions
from gulmfit.report.pages import classification_report, comparison_report
from gulmfit.report.target_figures import measured_against_predicted, target_bars

COUNT = 80
KINDS: dict[str, tuple[list[str], Calibration]] = {
    "classes": (["no", "yes"], Calibration("temperature", temperature=1.5, threshold=0.4)),
    "label_sets": (
        ["tata", "cpg", "inr"],
        LabelCalibration("temperature", temperatures=(1.0, 2.0, 0.5), thresholds=(0.3, 0.5, 0.6)),
    ),
    "values": (["activity", "halflife"], AsPredicted()),
}


def results(targets: str, skill: float = 0.7, *, with_tests: bool = True) -> dict[str, Any]:
    """What a run keeps, of a model of some skill beside a baseline of little."""
    classes, calibration = KINDS[targets]
    rng = np.random.default_rng(0)
    noise = rng.random((COUNT, len(classes)))
    if targets == "classes":
        labels: np.ndarray = rng.integers(2, size=COUNT)
        truth = np.eye(2)[labels]
    else:
        labels = truth = rng.integers(2, size=(COUNT, 3)) if targets == "label_sets" else rng.normal(size=(COUNT, 2))
    model, baseline = ((strength * truth + noise) for strength in (skill, 0.2))
    if targets == "values":
        model, baseline = np.sign(skill) * truth + (noise - 0.5) / skill, noise
    else:
        model, baseline = (item / item.max() for item in (model, baseline))
    if targets == "classes":
        model, baseline = (item / item.sum(1, keepdims=True) for item in (model, baseline))
    plain = kind_named(targets)(classes, "yes" if targets == "classes" else "")
    own = plain.decided(calibration)
    judged: dict[str, Judged] = {"model": (model, own), "gc": (baseline, own)}
    groups = np.arange(COUNT)
    scores = {name: own.scores(labels, item) for name, (item, _) in judged.items()}
    bounds = {name: own.intervals(labels, item, groups) for name, (item, _) in judged.items()}
    by_model = {name: item for name, (item, _) in judged.items()}
    return {
        "stage": "classify",
        "run": "r",
        "targets": targets,
        "classes": classes,
        "positive": plain.positive,
        "metrics": {f"test/{name}": value for name, value in scores["model"].items()},
        "ci95": {f"test/{name}": pair for name, pair in bounds["model"].items()},
        "baselines": {"gc": {**scores["gc"], "ci95": bounds["gc"]}},
        **(own.comparisons(labels, judged, groups, 0) if with_tests else {}),
        **own.details(labels, model, judged, calibration, groups, 0),
        "predictions": Predictions(
            [f"r{i}" for i in range(COUNT)], labels, groups, classes, by_model, plain.positive, targets=targets
        ),
        "sequences": {f"r{i}": "ACGT" for i in range(COUNT)},
        "curves": [{"step": 1, "val/loss": 1.0, f"val/{plain.headline}": 0.5}, {"step": 2, "val/loss": 0.5}],
    }


def titles(report: Report) -> list[str]:
    return [section.title for section in report.sections]


@pytest.mark.parametrize(
    ("targets", "own"),
    [
        ("classes", ["ROC and precision-recall", "Confusion", "Calibration", "Worst errors"]),
        ("label_sets", ["Each label by itself", "Calibration", "Worst errors"]),
        ("values", ["Each value by itself", "Measured against predicted", "Worst errors"]),
    ],
)
def test_a_page_has_the_sections_of_its_kind_and_none_is_empty(targets: str, own: list[str]) -> None:
    report = classification_report(results(targets))
    expected = ["Scores on the test sequences, beside the baselines", "Paired tests", *own, "Training"]
    assert titles(report) == expected
    page = render(report)
    for section in report.sections:
        assert section.tables or any(picture for _, picture in section.figures)
        for header, rows in section.tables:
            assert rows
            assert all(len(row) == len(header) for row in rows)
        assert all(picture for _, picture in section.figures if section.title != "Training")
    assert "nan" not in page.replace("Hannan", "")
    foreign = {
        "values": ("probability", "AUROC", "Confusion"),
        "label_sets": ("RMSE", "Confusion"),
        "classes": ("RMSE",),
    }
    assert not [word for word in foreign[targets] if word in page]


@pytest.mark.parametrize(("targets", "name"), [("label_sets", "macro AUROC"), ("values", "R²")])
def test_verdicts_follow_the_numbers(targets: str, name: str) -> None:
    good = classification_report(results(targets, 3.0)).verdict
    assert name in good
    assert "the best baseline, GC content, reaches" in good
    assert "paired bootstrap p < 0.0" in good or "paired bootstrap p = 0.00" in good
    assert "GC content baseline wins" in classification_report(results(targets, -1.0)).verdict


@pytest.mark.parametrize("targets", list(KINDS))
def test_paired_tests_are_of_model_against_baseline(targets: str) -> None:
    found = results(targets, 3.0)
    judge = objective_of(found)
    test = judge.tests(found, "baseline")["gc"]
    assert test["p_value"] < 0.01
    gained = test.get("accuracy_difference", test.get("difference"))
    assert gained == pytest.approx(
        found["metrics"][f"test/{judge.headline}"] - found["baselines"]["gc"][judge.headline]
    )
    untested = results(targets, with_tests=False)
    assert "Paired tests" not in titles(classification_report(untested))


@pytest.mark.parametrize("targets", list(KINDS))
def test_transferred_is_held_against_scratch_in_the_score_of_its_kind(targets: str) -> None:
    better, worse = results(targets, 3.0), results(targets, 0.5)
    judge = objective_of(better)
    models: Mapping[str, Judged] = {
        "model": (better["predictions"].by_model["model"], judge),
        "scratch": (worse["predictions"].by_model["model"], judge),
    }
    labels = better["predictions"].labels
    tests = judge.comparisons(labels, models, np.arange(COUNT), 0)
    report = comparison_report({"run": "r", "runs": {"transferred": better, "scratch": worse}, **tests})
    assert report.verdict.startswith("Transferred beats from-scratch")
    assert judge.test in report.verdict
    assert "Paired tests" in titles(report)


def test_one_value_is_not_laid_out_twice() -> None:
    found = results("values")
    one = {**found, "classes": ["activity"], "by_target": {}}
    assert "Each value by itself" not in titles(classification_report(one))


def test_accuracy_of_paths_is_shown_rank_by_rank() -> None:
    classes = ["Bacteria;Firmicutes", "Bacteria;Chlorobi", "Archaea;Thermo"]
    labels = np.array([0, 1, 2, 0])
    probabilities = np.array([[0.5, 0.4, 0.1], [0.6, 0.3, 0.1], [0.2, 0.2, 0.6], [0.3, 0.3, 0.4]])
    judge = kind_named("classes")(classes)
    judged: dict[str, Judged] = {"model": (probabilities, judge), "gc": (np.eye(3)[[2] * 4], judge)}
    found = judge.details(labels, probabilities, judged, Calibration(), np.arange(4), 0)
    assert found["ranks"] == {"model": {"1": 1.0, "2": 0.5}, "gc": {"1": 0.25, "2": 0.25}}
    report = classification_report({"classes": classes, "ranks": found["ranks"]})
    assert titles(report) == ["Accuracy at each rank"]
    assert "ranks" not in kind_named("classes")(["a", "b", "c"]).details(
        labels, probabilities, judged, Calibration(), np.arange(4), 0
    )


def test_pictures_draw_what_they_hold_and_nothing_else() -> None:
    found = {name: {"auroc": value, "ci95": {}} for name, value in (("a", 0.7), ("b", float("nan")), ("c", None))}
    picture = target_bars(found, "auroc", "AUROC", dict.fromkeys(found, 0.5))
    assert "0.700" in picture
    assert ">b<" not in picture
    assert target_bars({}, "auroc", "AUROC", {}) == ""
    many = {f"l{number:02d}": {"auroc": number / 100} for number in range(60)}
    drawn = target_bars(many, "auroc", "AUROC", dict.fromkeys(many, 0.5))
    assert ">l39<" in drawn
    assert ">l40<" not in drawn  # the lowest are those to look at
    assert measured_against_predicted([], [], "y") == ""
    assert "predicted: activity" in measured_against_predicted([1.0, 2.0], [1.1, 2.1], "activity")


def test_decisions_are_scored_at_the_validated_threshold_too() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=COUNT)
    positive = np.clip(0.3 * labels + 0.4 * rng.random(COUNT), 0, 1)
    predicted = np.stack([1 - positive, positive], axis=1)
    judge = kind_named("classes")(["no", "yes"], "yes")
    scores, bounds = judge.at_threshold(labels, predicted, Calibration(threshold=0.35), np.arange(COUNT) // 2)
    called = positive >= 0.35
    assert scores["accuracy_at_threshold"] == pytest.approx((called == labels).mean())
    assert scores["recall_at_threshold"] == pytest.approx(called[labels == 1].mean())
    assert scores["accuracy_at_threshold"] > judge.scores(labels, predicted)["accuracy"]
    assert all(low <= scores[name] <= high for name, (low, high) in bounds.items())
    assert set(bounds) == set(scores)
    assert judge.at_threshold(labels, predicted, Calibration()) == ({}, {})
    for targets in ("label_sets", "values"):  # their scores have the thresholds already, or there are none
        classes, calibration = KINDS[targets]
        assert kind_named(targets)(classes).at_threshold(labels, predicted, calibration) == ({}, {})
