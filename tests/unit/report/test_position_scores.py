"""Scores and baselines of labels of positions, against scikit-learn and slow counts."""

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss, precision_score, recall_score

from gulmfit.errors import CheckpointError
from gulmfit.evaluate.baselines.position_lookups import MAX_FITTED, run_position_baselines
from gulmfit.evaluate.position_scores import circular_shifts, confusions, scores_by_class
from gulmfit.report.kinds.positions import PositionCalibration, PositionLabels
from gulmfit.report.kinds.predictions import Predictions
from gulmfit.report.kinds.single_label import SingleLabel
from gulmfit.seq.alphabet import DNA, PROTEIN
from gulmfit.seq.labels.position_labels import END, IGNORED, Positions

NAMES = ["a", "b", "c"]
JUDGE = PositionLabels(NAMES)


def example(seed: int = 0, count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = Positions().array([rng.choice([0, 1, 2, IGNORED], rng.integers(2, 30)) for _ in range(count)])
    predicted = rng.dirichlet([1, 1, 1], truth.shape)
    predicted[truth == END] = 0
    return truth, predicted


def flat(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return truth[truth >= 0], predicted[truth >= 0]


def test_scores_are_those_of_scikit_learn_over_all_labelled_positions() -> None:
    truth, predicted = example()
    known, given = flat(truth, predicted)
    chosen = given.argmax(1)
    assert JUDGE.scores(truth, predicted) == pytest.approx(
        {
            "accuracy": accuracy_score(known, chosen),
            "log_loss": log_loss(known, given, labels=[0, 1, 2]),
            "f1_macro": f1_score(known, chosen, average="macro"),
        }
    )
    np.testing.assert_array_equal(confusions(truth, predicted).sum(axis=0), confusion_matrix(known, chosen))
    by_class = scores_by_class(truth, predicted)(np.ones((1, len(truth))))
    for name, score in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score)):
        np.testing.assert_allclose(by_class[name][0], score(known, chosen, average=None))


def test_a_weight_is_a_number_of_copies() -> None:
    truth, predicted = example()
    weights = np.random.default_rng(1).integers(0, 4, (3, len(truth)))
    found = JUDGE.weighted(truth, predicted)(weights.astype(float))
    for draw, row in enumerate(weights):
        copies = np.repeat(np.arange(len(truth)), row)
        expected = JUDGE.scores(truth[copies], predicted[copies])
        assert {name: values[draw] for name, values in found.items()} == pytest.approx(expected)


def test_what_is_masked_or_past_the_end_changes_nothing() -> None:
    truth, predicted = example()
    other = predicted.copy()
    other[truth < 0] = [1, 0, 0]
    assert JUDGE.scores(truth, other) == JUDGE.scores(truth, predicted)
    assert JUDGE.intervals(truth, other) == JUDGE.intervals(truth, predicted)


def test_what_was_held_impossible_and_is_there_has_no_log_loss() -> None:
    truth, predicted = example()
    certain = np.eye(3)[predicted.argmax(axis=2)]
    assert np.isnan(JUDGE.scores(truth, certain)["log_loss"])
    assert JUDGE.scores(truth, certain)["accuracy"] == JUDGE.scores(truth, predicted)["accuracy"]


def test_shifts_are_those_of_a_slow_count() -> None:
    rng = np.random.default_rng(0)
    truth = Positions().array([rng.choice([0, 1, IGNORED], length) for length in (7, 12, 1)])
    predicted = rng.dirichlet([1, 1], truth.shape)
    found = circular_shifts(truth, predicted, draws=4000, seed=1)
    rolled = [
        [
            sum(
                known == call and known >= 0
                for known, call in zip(row[:length], np.roll(calls[:length], shift), strict=True)
            )
            for shift in range(length)
        ]
        for row, calls, length in zip(truth, predicted.argmax(axis=2), (7, 12, 1), strict=True)
    ]
    total = (truth >= 0).sum()
    assert found["accuracy"] == pytest.approx(sum(matches[0] for matches in rolled) / total)
    assert found["shifted"] == pytest.approx(sum(map(np.mean, rolled)) / total, abs=0.01)
    sums = [a + b + c for a in rolled[0] for b in rolled[1] for c in rolled[2]]
    share = np.mean(np.array(sums) >= sum(matches[0] for matches in rolled))
    assert found["p_value"] == pytest.approx(share, abs=0.03)
    exact = np.eye(2)[np.maximum(truth, 0)]
    long = np.repeat(truth, 4, axis=0)
    assert circular_shifts(long, np.repeat(exact, 4, axis=0))["p_value"] < 0.05


def test_calibration_divides_logits_and_knows_its_kind() -> None:
    truth, predicted = example(count=200)
    sharp = predicted**3 / (predicted**3).sum(axis=2, keepdims=True).clip(1e-9)
    fitted = JUDGE.fit_calibration(sharp, truth, "temperature")
    assert JUDGE.scores(truth, fitted.calibrated(sharp))["log_loss"] < JUDGE.scores(truth, sharp)["log_loss"]
    assert PositionLabels.read_calibration(fitted.to_dict()) == fitted
    with pytest.raises(CheckpointError, match=r"calibration .*\bpositions\b.*\bNone\b"):
        PositionLabels.read_calibration(SingleLabel.calibration().to_dict())
    with pytest.raises(CheckpointError):
        SingleLabel.read_calibration(PositionCalibration().to_dict())


def test_predictions_are_written_and_read_again(tmp_path: Any) -> None:
    truth, predicted = example()
    ids = [f"r{number}" for number in range(len(truth))]
    own = Predictions(
        ids, truth, np.arange(len(truth)), NAMES, {"model": predicted, "majority": predicted}, targets="positions"
    )
    tables = list(own.tables())
    assert [name for name, _, _ in tables] == ["test.tsv"]
    name, columns, rows = tables[0]
    lines = ["\t".join(columns), *("\t".join([record, *map(str, cells)]) for record, cells in rows)]
    (tmp_path / name).write_text("\n".join(lines) + "\n")
    again = Predictions.read(tmp_path)
    assert (again.targets, again.ids, again.classes) == ("positions", ids, NAMES)
    np.testing.assert_array_equal(again.labels, truth)
    np.testing.assert_allclose(again.by_model["model"], predicted, atol=1e-4)


def chain(count: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Sequences where a label says whether the next base is A; the last one is masked."""
    rng = np.random.default_rng(seed)
    texts = ["".join(rng.choice(list("ACGT"), rng.integers(8, 20))) for _ in range(count)]
    labels = [[int(after == "A") for after in text[1:]] + [IGNORED] for text in texts]
    return texts, Positions().array(labels)


def test_baselines_see_what_they_say() -> None:
    train, valid, (texts, truth) = chain(300, 0), chain(60, 1), chain(60, 2)
    found = run_position_baselines(train, valid, texts, 2, width=truth.shape[1], seed=0, alphabet=DNA)
    assert list(found) == ["majority", "base_lookup", "window_lookup", "window_logistic"]
    judge = PositionLabels(["no", "A"])
    scores = {name: judge.scores(truth, predicted) for name, predicted in found.items()}
    counts = np.bincount(train[1][train[1] >= 0]) + 1
    np.testing.assert_allclose(found["majority"][0, 0], counts / counts.sum())
    for letter in "ACGT":
        pairs = [
            label for text, row in zip(*train, strict=True) for base, label in zip(text, row, strict=False)
            if base == letter and label >= 0
        ]  # fmt: skip
        share = (sum(pairs) + found["majority"][0, 0, 1]) / (len(pairs) + 1)
        places = [(row, text.index(letter)) for row, text in enumerate(texts) if letter in text]
        assert found["base_lookup"][places[0]][1] == pytest.approx(share)
    assert scores["majority"]["accuracy"] == pytest.approx(scores["base_lookup"]["accuracy"])  # the next base is free
    assert scores["window_lookup"]["accuracy"] > 0.9
    assert scores["window_logistic"]["accuracy"] == 1.0
    for predicted in found.values():
        np.testing.assert_allclose(predicted.sum(axis=2), 1)


def test_logistic_regression_is_that_of_scikit_learn() -> None:
    (texts, labels), (others, truth) = chain(40, 0), chain(10, 3)
    labels = np.where(labels >= 0, np.add.outer(np.arange(40), np.arange(labels.shape[1])) % 3, labels).astype(np.int16)
    assert (labels >= 0).sum() < MAX_FITTED
    width = truth.shape[1]
    found = run_position_baselines((texts, labels), (texts, labels), others, 3, width=width, seed=0, alphabet=DNA)

    def window(text: str, at: int) -> np.ndarray:
        around = ("N" * 15 + text + "N" * 15)[at : at + 31]
        return np.array([[letter == base for base in "ACGT"] for letter in around], float).ravel()

    rows = [
        (window(text, at), row[at]) for text, row in zip(texts, labels, strict=True) for at in np.flatnonzero(row >= 0)
    ]
    model = LogisticRegression(max_iter=1000).fit(*map(np.array, zip(*rows, strict=True)))
    for at in (0, 4, len(others[3]) - 1):
        expected = model.predict_proba(window(others[3], at)[None])[0]
        np.testing.assert_allclose(found["window_logistic"][3, at], expected, atol=1e-3)


def test_residues_have_shorter_windows() -> None:
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), 30)) for _ in range(20)]
    labels = Positions().array([[int(letter == "W") for letter in text] for text in texts])
    found = run_position_baselines((texts, labels), (texts, labels), texts, 2, width=30, seed=0, alphabet=PROTEIN)
    assert PositionLabels(["other", "W"]).scores(labels, found["base_lookup"])["accuracy"] == 1.0
