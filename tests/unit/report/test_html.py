"""Reports: a sound page that needs nothing else, all sections in place, verdicts that follow the numbers."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gulmfit.errors import DataError
from gulmfit.evaluate.calibration import CALIBRATED_FORWARD
from gulmfit.report.html import Report, Section, render, write_report
from gulmfit.report.kinds.predictions import Predictions
from gulmfit.report.pages import classification_report, comparison_report, language_model_report
from gulmfit.report.sections import score_curves
from gulmfit.report.wording import CHOSE_THE_EPOCH, SEARCHED_UNEQUALLY

CLASSES = ["coding", "promoter"]
VOID = {"meta", "img", "br", "hr", "link", "input"}
HOSTILE = '<script>alert("x")</script> & more'


class Page(HTMLParser):
    """Collects tags, text and images, and complains about tags that do not pair."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.images: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.images += [value or "" for name, value in attrs if name == "src"]
        assert not any(name == "href" for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def check(report: Report) -> Page:
    """Render and assert what holds for every page."""
    html = render(report)
    page = Page(html)
    assert "script" not in page.tags
    assert not re.search(r"https?:|<script|url\(", html)
    assert 'name="viewport"' in html
    assert all(image.startswith("data:image/") for image in page.images)
    assert len(html) < 5_000_000
    return page


def titles(report: Report) -> list[str]:
    return [section.title for section in report.sections]


def facts(accuracy: float = 0.962) -> dict[str, Any]:
    """What a classifier's metrics.json holds."""
    return {
        "stage": "classify",
        "run": "mine",
        "seed": 0,
        "classes": ["coding", "promoter"],
        "positive": "promoter",
        "metrics": {"test/accuracy": accuracy, "test/mcc": 0.92, "test/auroc": 0.99, "val/accuracy": 0.5},
        "ci95": {"test/accuracy": [accuracy - 0.01, accuracy + 0.01]},
        "baselines": {
            "majority": {"accuracy": 0.5, "mcc": 0.0, "auroc": 0.5},
            "onehot_logistic": {"accuracy": 0.983, "mcc": 0.966, "ci95": {"accuracy": [0.97, 0.99]}},
        },
        "leakage": leakage(),
        "data": {"files": ["a.csv"], "sha256": "ab" * 32, "counts": {"train": 4000, "test": 1000}},
        "model": {"parameters": 22_900_000},
        "timing": {"seconds": 81.5},
        "versions": {"torch": "2.13.0"},
        "mcnemar": {
            "onehot_logistic": {
                "only_a_right": 5,
                "only_b_right": 26,
                "accuracy_difference": -0.021,
                "p_value": 2e-4,
            }
        },
        "config_yaml": "stage: classify\nseed: 0\n",
    }


def leakage(train: int = 0, valid: int = 0) -> dict[str, Any]:
    """What the leak check finds, with so many test sequences met in training and in validation."""

    def pair(met: int) -> dict[str, Any]:
        found = {"count": met, "fraction": met / 1000, "examples": []}
        return dict.fromkeys(("exact", "reverse_complement", "near_duplicate", "any"), found) | {"coordinates": None}

    sequences = {"train": 4000, "valid": 500, "test": 1000}
    pairs = {"train->test": pair(train), "valid->test": pair(valid)}
    return {"k": 16, "share": 0.5, "sequences": sequences, "pairs": pairs, "corpus": None}


def predictions(labels: Any, by_model: dict[str, Any], positive: str = "promoter") -> Predictions:
    count = len(labels)
    return Predictions([str(i) for i in range(count)], labels, np.arange(count), CLASSES, by_model, positive)


def drawn(seed: int = 0) -> dict[str, Any]:
    """What is shown as pictures."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=200)
    score = np.clip(rng.normal(0.3 + 0.4 * labels, 0.2), 0, 1)
    probabilities = np.stack([1 - score, score], axis=1)
    losses = {"val/loss": "0.5", "val/accuracy": "0.8", "lr": "1e-3"}
    return {
        "confusion": [[480, 20], [18, 482]],
        "curves": [{"step": str(step), "train/loss": str(1 / (step + 1)), **losses} for step in range(20)],
        "predictions": predictions(labels, {"model": probabilities, "onehot_logistic": probabilities[::-1]}),
        "lr_find": {"lrs": [1e-4, 1e-3, 1e-2], "losses": [0.7, 0.5, 2.0], "suggestion": 1e-3},
    }


def classifier() -> dict[str, Any]:
    return facts() | drawn()


def language_model(bits: float = 1.888, split: str = "test") -> dict[str, Any]:
    return {
        "stage": "pretrain",
        "run": "genome",
        "metrics": {f"{split}/bits_per_base": bits, f"{split}/loss": 2.6},
        "baselines": {"markov": {"bits_per_base": 1.951, "order": 8}},
        "curves": [{"step": step, "val/loss": 2.7, "val/bits_per_base": 2 - step / 100} for step in range(9)],
        "config_yaml": "stage: pretrain",
    }


def comparison(p_value: float = 0.003, transferred: float = 0.962, scratch: float = 0.941) -> dict[str, Any]:
    return {
        "run": "promoters",
        "seed": 0,
        "runs": {"transferred": facts(transferred), "scratch": facts(scratch)},
        "mcnemar": {"only_a_right": 30, "only_b_right": 9, "accuracy_difference": 0.021, "p_value": p_value},
        "config_yaml": "stage: ulmfit",
    }


def test_the_classifier_page_has_every_section() -> None:
    report = classification_report(classifier())
    assert titles(report) == [
        "Scores on the test sequences, beside the baselines", "Paired tests", "Leak check",
        "ROC and precision-recall", "Confusion", "Worst errors", "Training",
        "Data", "Model", "Timing", "Versions", "Configuration",
    ]  # fmt: skip
    page = check(report)
    for expected in (
        "0.962 [0.952, 0.972]",
        "0.983 [0.970, 0.990]",
        "22,900,000",
        "counts / train",
        "4000",
        "2.13.0",
    ):
        assert expected in page.text
    assert "seed 0" in page.text
    assert "coding, promoter" in page.text
    assert "seed: 0" in page.text
    assert len(page.images) == 7  # bars, ROC, precision-recall, confusion, curves, rate, range test


def test_the_classifier_verdict_names_the_winner() -> None:
    verdict = classification_report(facts()).verdict
    assert verdict.startswith(
        "This run's model reaches 0.962 [0.952, 0.972] accuracy on the test sequences; "
        "the positional one-hot baseline wins: 0.983 (McNemar p < 0.001)."
    )
    assert "data.jitter_bp" in verdict  # what such a baseline tells of the data
    better = classification_report(facts(0.99)).verdict
    assert "the best baseline, positional one-hot, reaches 0.983" in better
    assert "does as well: 0.983" in classification_report(facts(0.983)).verdict
    unsure = facts(0.98)
    unsure["mcnemar"]["onehot_logistic"]["p_value"] = 0.6
    assert "is not significantly different (McNemar p = 0.6)" in classification_report(unsure).verdict
    alone = facts() | {"baselines": {}}
    assert classification_report(alone).verdict.endswith("no baseline was run.")


@pytest.mark.parametrize("missing", list(facts()))
def test_a_missing_key_leaves_out_its_section_only(missing: str) -> None:
    results = facts()
    whole = titles(classification_report(results))
    del results[missing]
    report = classification_report(results)
    check(report)
    own = {
        "leakage": "Leak check", "data": "Data", "model": "Model", "timing": "Timing", "versions": "Versions",
        "mcnemar": "Paired tests", "config_yaml": "Configuration",
    }  # fmt: skip
    assert titles(report) == [title for title in whole if title != own.get(missing)]


@pytest.mark.parametrize(
    ("key", "title"),
    [
        ("confusion", "Confusion"),
        ("curves", "Training"),
        ("predictions", "ROC and precision-recall"),
        ("lr_find", "Training"),
    ],
)
def test_each_picture_stands_alone(key: str, title: str) -> None:
    report = classification_report({key: drawn()[key]})
    assert titles(report) == ([title, "Worst errors"] if key == "predictions" else [title])
    assert check(report).images


@pytest.mark.parametrize("build", [classification_report, language_model_report, comparison_report])
def test_nothing_at_all_is_still_a_page(build: Any) -> None:
    report = build({})
    assert report.sections == []
    assert report.verdict == ""
    check(report)


def test_a_leak_is_a_warning_wherever_it_stands() -> None:
    for found in (leakage(train=11), leakage(valid=11), {"fold_0": leakage(), "fold_1": leakage(train=11)}):
        report = classification_report({"leakage": found})
        assert report.sections[0].warning
        assert "met in training" in check(report).text
    for few in (leakage(train=10), leakage(valid=1), leakage(train=30) | {"threshold": 0.03}):
        report = classification_report({"leakage": few})
        assert not report.sections[0].warning  # nor did the run warn
        assert "met in training" in check(report).text
    assert classification_report({"leakage": leakage(train=1) | {"threshold": 0.0}}).sections[0].warning
    assert not classification_report(facts()).sections[2].warning


def test_the_score_curve_is_of_the_positive_class() -> None:
    labels = np.array([0, 0, 1, 1])
    right = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    for positive in (*CLASSES, ""):
        section = classification_report({"predictions": predictions(labels, {"model": right}, positive)}).sections[0]
        assert "model 1.000" in str(section.figures[0][1])
    rare = np.array([0, 0, 0, 1])
    shares = [
        score_curves(predictions(rare, {"model": right}, positive))["model"][0].mean()
        for positive in ("promoter", "coding")
    ]
    assert shares == [0.25, 0.75]
    many = Predictions(list("abcd"), labels, labels, ["x", "y", "z"], {"model": np.full((4, 3), 1 / 3)})
    assert titles(classification_report({"predictions": many})) == ["Worst errors"]


def test_calibration_is_shown_before_and_after() -> None:
    found = drawn()
    calibration = {
        "kind": "temperature", "temperature": 1.5, "knots": [], "threshold": 0.4,
        "test": {name: {"ece": 0.1, "brier": 0.2, "log_loss": 0.3} for name in ("before", "after")},
        "at_threshold": dict.fromkeys(("accuracy", "mcc", "f1", "precision", "recall"), 0.5),
    }  # fmt: skip
    report = classification_report(found | {"calibration": calibration, "raw": found["predictions"].by_model["model"]})
    assert "Calibration" in titles(report)
    page = check(report)
    assert "divided by 1.500" in page.text
    assert "0.400 and more are called positive" in page.text


def test_the_language_model_page() -> None:
    report = language_model_report(language_model())
    assert report.verdict == (
        "The model needs 1.888 bits per base on the test sequences, 0.063 less than the Markov model (1.951)."
    )
    assert titles(report) == ["Language model", "Training", "Configuration"]
    page = check(report)
    picture = base64.b64decode(page.images[0].split(",")[1]).decode()
    assert "Markov model 1.951" in picture
    assert "knowing nothing 2.000" in picture
    assert "Markov model wins" in language_model_report(language_model(1.96)).verdict
    lone = language_model() | {"baselines": None}
    assert "no Markov model was fitted" in language_model_report(lone).verdict


def test_the_comparison_page() -> None:
    results = comparison() | {"pretrain": language_model(), "finetune": language_model(1.85, "val")}
    results["runs"]["transferred"] |= drawn()
    results["runs"]["scratch"] |= drawn(seed=1)
    report = comparison_report(results)
    assert report.verdict == (
        "Transferred beats from-scratch on this run: accuracy 0.962 against 0.941 (McNemar p = 0.003); "
        "the positional one-hot baseline wins: 0.983."
    )
    assert titles(report) == [
        "Scores on the test sequences, beside the baselines", "Paired tests", "Leak check", "Training",
        "Confusion", "ROC and precision-recall", "Worst errors", "Language model", "Data", "Configuration",
    ]  # fmt: skip
    page = check(report)
    names = ("transferred", "from scratch", "positional one-hot", "pretrain", "finetune", "1.850", "1.951", "seed 0")
    assert all(name in page.text for name in names)
    pictures = [base64.b64decode(image.split(",")[1]).decode() for image in page.images]
    assert any("transferred" in picture and "false positive rate" in picture for picture in pictures)
    assert any("scratch" in picture and "validation loss" in picture for picture in pictures)


def test_what_the_comparison_itself_gives_stands_before_that_of_a_run() -> None:
    results = comparison() | {"baselines": {"gc": {"accuracy": 0.7}}, "data": {}, "leakage": None}
    report = comparison_report(results)
    assert "GC content, reaches 0.700" in report.verdict
    assert {"Data", "Leak check"} <= set(titles(report))


@pytest.mark.parametrize(("auroc", "low", "learned"), [(0.6, 0.55, True), (0.6, 0.45, False), (0.48, 0.4, False)])
def test_a_classifier_that_is_no_better_than_the_majority_is_told(auroc: float, low: float, learned: bool) -> None:
    results = facts()
    results["metrics"]["test/auroc"] = auroc
    results["ci95"]["test/auroc"] = [low, 0.7]
    assert ("init_from=" in classification_report(results).verdict) is not learned


def test_the_comparison_verdict_follows_the_numbers() -> None:
    unsure = comparison_report(comparison(p_value=0.2)).verdict
    assert "on this run is not significant at 0.05 (transferred is ahead, accuracy 0.962 against 0.941, " in unsure
    assert "McNemar p = 0.2)" in unsure
    worse = comparison_report(comparison(transferred=0.9)).verdict
    assert worse.startswith("From-scratch beats transferred on this run: accuracy 0.941 against 0.900")
    assert "same accuracy on this run" in comparison_report(comparison(transferred=0.941)).verdict
    untested = comparison_report(comparison() | {"mcnemar": None}).verdict
    assert "no paired test was made" in untested
    named = comparison() | {"mcnemar": {"scratch": {"p_value": 0.01}, "onehot_logistic": {"p_value": 0.4}}}
    verdict = comparison_report(named).verdict
    assert "Transferred beats" in verdict
    assert "0.983, is not significantly different (McNemar p = 0.4)" in verdict
    single = comparison_report({"runs": {"transferred": facts()}}).verdict
    assert single.startswith("Transferred reaches 0.962 accuracy on this run, held against no other model")


def test_everything_is_escaped() -> None:
    results = facts() | {
        "confusion": [[1, 0], [0, 1]],
        "run": HOSTILE,
        "classes": [HOSTILE, "b"],
        "positive": 1,
        "config_yaml": HOSTILE,
        "data": {HOSTILE: HOSTILE, "url": "ftp://x"},
        "baselines": {HOSTILE: {"accuracy": 0.9}},
        "mcnemar": {HOSTILE: {"p_value": 0.5}},
    }
    page = check(classification_report(results))
    assert HOSTILE in page.text
    section = Section(HOSTILE, [HOSTILE], [([HOSTILE], [[HOSTILE]])], [(HOSTILE, "<svg/>")], [(HOSTILE, HOSTILE)])
    assert check(Report(HOSTILE, HOSTILE, HOSTILE, HOSTILE, [section])).text.count(HOSTILE) == 12


def test_pictures_in_every_form() -> None:
    figures = [("a", "<svg/>"), ("b", b"\x89PNG"), ("c", "data:image/gif;base64,AA"), ("d", "")]
    images = check(Report("t", sections=[Section("s", figures=figures)])).images
    assert [image.split(";")[0] for image in images] == [
        "data:image/svg+xml",
        "data:image/png",
        "data:image/gif",
    ]


def test_writing_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    write_report(path, Report("first \udc80 name"))
    assert "first \\udc80 name" in path.read_text(encoding="utf-8")

    def fail(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(DataError, match="disk full"):
        write_report(path, Report("second"))
    assert "first" in path.read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == [path]


def test_newer_tests_stand_before_those_of_older_runs() -> None:
    flipped = {"only_a_right": 30, "only_b_right": 9, "accuracy_difference": 0.02, "groups": 90, "p_value": 0.3}
    results = comparison(p_value=0.001) | {"sign_flip": {"scratch": flipped}}
    report = comparison_report(results)
    assert "not significant" in report.verdict
    assert "p = 0.3" in report.verdict
    assert "McNemar" not in report.verdict
    both = results | {"mcnemar": {"scratch": flipped | {"p_value": 0.25}}}
    section = next(item for item in comparison_report(both).sections if item.title == "Paired tests")
    ((header, rows),) = section.tables
    assert dict(zip(header, rows[0], strict=True)) | {"p": 0.3, "p (McNemar)": 0.25} == dict(
        zip(header, rows[0], strict=True)
    )


def test_a_comparison_says_that_settings_were_not_searched_equally() -> None:
    assert SEARCHED_UNEQUALLY in check(comparison_report(comparison())).text
    assert SEARCHED_UNEQUALLY not in check(classification_report(facts())).text


def test_a_score_that_chose_the_epoch_says_so() -> None:
    assert CHOSE_THE_EPOCH in check(language_model_report(language_model())).text


def test_averaged_strands_are_said_to_be_calibrated_on_one() -> None:
    said = [
        CALIBRATED_FORWARD in check(classification_report(facts() | {"strand": strand})).text
        for strand in ("average", "forward")
    ]
    assert said == [True, False]
