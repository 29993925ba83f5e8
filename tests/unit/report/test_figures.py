"""Figures: well-formed SVG that holds its labels, nothing where there is nothing, no state left behind."""

import inspect
from xml.etree import ElementTree

import numpy as np
import pytest

from gulmfit.report import figures, spread_figures

ROWS = [
    {
        "step": "0",
        "epoch": "0",
        "train/loss": "0.70",
        "val/loss": "",
        "lr-AdamW/pg1": "1e-4",
        "val/accuracy": "",
    },
    {
        "step": "10",
        "epoch": "0",
        "train/loss": "0.50",
        "val/loss": "",
        "lr-AdamW/pg1": "1e-3",
        "val/accuracy": "",
    },
    {
        "step": "10",
        "epoch": "0",
        "train/loss": "",
        "val/loss": "0.6",
        "lr-AdamW/pg1": "",
        "val/accuracy": "0.8",
    },
    {"step": "20", "epoch": "1", "train/loss": "nan", "val/loss": "0.55", "val/accuracy": "0.85"},
]


def words(svg: str) -> str:
    """All text of a well-formed SVG."""
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    return " ".join(part.strip() for part in root.itertext() if part.strip())


def test_learning_curves_draw_what_is_there() -> None:
    text = words(figures.learning_curves(ROWS))
    for expected in (
        "train/loss",
        "val/loss",
        "val/accuracy",
        "training step",
        "loss (nats)",
        "validation score",
    ):
        assert expected in text
    only_loss = words(figures.learning_curves([{"epoch": 1, "train/loss": 0.5}]))
    assert "validation score" not in only_loss
    assert "epoch" in only_loss


def test_series_skips_empty_cells_and_keeps_steps() -> None:
    steps, values = figures._series(ROWS, "val/loss")
    assert steps.tolist() == [10, 20]
    assert values.tolist() == [0.6, 0.55]
    assert figures._series(ROWS, "train/loss")[1].tolist() == [0.7, 0.5]  # nan is no point
    assert figures._columns(ROWS) == [
        "step",
        "epoch",
        "train/loss",
        "val/loss",
        "lr-AdamW/pg1",
        "val/accuracy",
    ]


def test_schedule_and_comparison() -> None:
    assert "lr-AdamW/pg1" in words(figures.lr_schedule(ROWS))
    text = words(figures.compare_curves({"transferred": ROWS, "none": []}, "val/loss", "validation loss (nats)"))
    assert "transferred" in text
    assert "validation loss (nats)" in text
    assert "none" not in text


def test_bits_per_base_names_its_references() -> None:
    rows = [{"step": step, "val/bits_per_base": 2.0 - step / 100} for step in range(9)]
    text = words(figures.bits_per_base(rows, {"Markov model": 1.9512, "knowing nothing": 2.0}))
    for expected in ("bits per base", "Markov model 1.951", "knowing nothing 2.000"):
        assert expected in text


def test_roc_and_precision_recall_give_their_areas() -> None:
    truth = np.array([0, 0, 1, 1])
    curves = {"right": (truth, truth), "wrong": (truth, 1 - truth), "one class": (np.ones(4), truth)}
    text = words(figures.roc(curves))
    assert "right 1.000" in text
    assert "wrong 0.000" in text
    assert "false positive rate" in text
    assert "one class" not in text
    text = words(figures.precision_recall(curves))
    assert "right 1.000" in text
    assert "precision" in text
    assert "recall" in text


def test_reliability_names_its_curves_and_both_panels() -> None:
    curve = {"confidence": [0.1, 0.9], "frequency": [0.2, 0.7], "low": [0.1, 0.5], "high": [0.4, 0.8], "count": [30, 9]}
    none = dict.fromkeys(curve, ())
    text = words(figures.reliability({"before": curve, "after": curve | {"frequency": [0.1, 0.9]}, "nothing": none}))
    for expected in ("before", "after", "predicted probability", "observed frequency", "sequences"):
        assert expected in text
    assert "nothing" not in text


def test_confusion_shows_counts_and_shares_or_shades_alone() -> None:
    text = words(figures.confusion_matrix([[1480, 20], [35, 465]], ["promoter", "a very long name of a class"]))
    for expected in ("1,480", "99%", "465", "93%", "promoter", "predicted class", "true class"):
        assert expected in text
    big = words(figures.confusion_matrix(np.full((40, 40), 7777), [f"g{index}" for index in range(40)]))
    assert "7,777" not in big
    assert "g0" in big


def test_many_runs_are_drawn_model_by_model() -> None:
    points = {"transferred": {10: [0.5, 0.7], 2000: [0.9]}, "gc": {10: [0.25]}, "none": {}}
    text = words(spread_figures.label_curve(points, "accuracy"))
    for expected in ("transferred", "gc", "training labels", "accuracy", "2,000"):
        assert expected in text
    assert "none" not in text
    text = words(spread_figures.spread_dots({"transferred": [0.5, 0.75], "gc": [0.25], "none": []}, "accuracy"))
    for expected in ("transferred", "gc", "accuracy", "0.625", "0.250"):
        assert expected in text
    assert "none" not in text
    assert spread_figures.label_curve({}, "accuracy") == spread_figures.spread_dots({}, "accuracy") == ""


def test_score_bars_and_range_test() -> None:
    text = words(figures.score_bars({"model": (0.962, 0.95, 0.97), "gc": 0.61, "nan": float("nan")}, "accuracy"))
    assert "0.962" in text
    assert "0.610" in text
    assert "accuracy" in text
    assert "nan" not in text
    text = words(figures.lr_find([1e-5, 1e-4, 1e-3, 1e-2], [0.7, 0.6, 0.4, float("inf")], 1e-3))
    assert "suggested 0.001" in text
    assert "learning rate" in text


@pytest.mark.parametrize(
    "drawn",
    [
        lambda: figures.learning_curves([]),
        lambda: figures.learning_curves([{"step": "1", "train/loss": ""}]),
        lambda: figures.compare_curves({}, "val/loss", "loss"),
        lambda: figures.lr_schedule(ROWS[3:]),
        lambda: figures.bits_per_base(ROWS, {"markov": 1.9}),
        lambda: figures.roc({"model": ([1, 1], [0.1, 0.2])}),
        lambda: figures.precision_recall({}),
        lambda: figures.reliability({}),
        lambda: figures.confusion_matrix(np.zeros((0, 0)), []),
        lambda: figures.score_bars({"model": float("nan")}, "accuracy"),
        lambda: figures.lr_find([], [], None),
    ],
)
def test_nothing_to_draw_is_empty_text(drawn: object) -> None:
    assert drawn() == ""


def test_names_with_markup_and_dollars_are_text() -> None:
    name = "<b>$a_1$ & co"
    assert name in words(figures.score_bars({name: 0.5}, "accuracy"))
    assert name in words(figures.roc({name: ([0, 1], [0.1, 0.2])}))


def test_many_points_are_thinned() -> None:
    rows = [{"step": step, "train/loss": (step * 7919) % 1000} for step in range(50_000)]
    assert len(figures.learning_curves(rows)) < 60_000


def test_drawing_repeats_exactly_and_leaves_no_state() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    assert figures.learning_curves(ROWS) == figures.learning_curves(ROWS)
    assert dict(matplotlib.rcParams) == before
    assert "pyplot" not in inspect.getsource(figures)
