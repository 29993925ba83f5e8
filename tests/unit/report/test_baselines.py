"""Baselines on planted signals, and their features against a plain count."""

import itertools
import time
import warnings

import numpy as np
import pytest

from gulmfit.errors import DataError, SequenceError
from gulmfit.report import baselines
from gulmfit.report.baselines import BASELINES, gc_features, kmer_features, onehot_features, run_baselines


def random_sequences(rng: np.random.Generator, count: int, length: int, gc: float = 0.5) -> list[str]:
    weights = [(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]
    return ["".join(row) for row in rng.choice(list("ACGT"), size=(count, length), p=weights)]


def accuracies(sequences: list[str], labels: np.ndarray, *, valid: bool = False) -> dict[str, float]:
    """Fit on the first 60 %, tune on the next 15 % if asked to, score the rest."""
    first, second = int(0.6 * len(labels)), int(0.75 * len(labels))
    extra = {}
    if valid:
        extra = {"valid_sequences": sequences[first:second], "valid_labels": labels[first:second]}
    found = run_baselines(sequences[:first], labels[:first], sequences[second:], num_classes=2, **extra)
    assert tuple(found) == BASELINES
    for probabilities in found.values():
        assert probabilities.shape == (len(labels) - second, 2)
        assert np.allclose(probabilities.sum(axis=1), 1)
    return {name: float((found[name].argmax(axis=1) == labels[second:]).mean()) for name in found}


def test_majority_gives_the_class_prior() -> None:
    rng = np.random.default_rng(0)
    found = run_baselines(random_sequences(rng, 10, 20), [0] * 7 + [1] * 3, ["ACGT", "A"], num_classes=2)
    assert np.allclose(found["majority"], [[0.7, 0.3], [0.7, 0.3]])


def test_gc_signal_is_found_by_gc() -> None:
    # The mean GC is 0.5 in both classes; only its square tells them apart.
    rng = np.random.default_rng(1)
    middle = random_sequences(rng, 150, 200, gc=0.5)
    extreme = random_sequences(rng, 75, 200, gc=0.3) + random_sequences(rng, 75, 200, gc=0.7)
    order = rng.permutation(300)
    sequences = [(middle + extreme)[index] for index in order]
    labels = (order >= 150).astype(int)
    found = accuracies(sequences, labels)
    assert found["gc"] > 0.95
    assert found["gc"] == max(found.values())


@pytest.mark.parametrize("valid", [False, True])
def test_a_motif_at_a_fixed_position_is_found_by_onehot_alone(valid: bool) -> None:
    rng = np.random.default_rng(2)
    sequences = random_sequences(rng, 600, 80)
    labels = rng.integers(2, size=600)
    # Every sequence has one ATG and one CAT; only the order of their places differs, so 4-mers see little.
    for index, label in enumerate(labels):
        here, there = ("ATG", "CAT") if label else ("CAT", "ATG")
        text = sequences[index]
        sequences[index] = text[:30] + here + text[33:60] + there + text[63:]
    found = accuracies(sequences, labels, valid=valid)
    assert found["onehot_logistic"] > 0.95
    assert max(found[name] for name in ("majority", "gc", "kmer_logistic")) < 0.7


def test_without_signal_all_are_near_chance() -> None:
    rng = np.random.default_rng(3)
    found = accuracies(random_sequences(rng, 800, 40), rng.integers(2, size=800), valid=True)
    assert all(0.4 < accuracy < 0.6 for accuracy in found.values())


def test_three_classes_one_of_them_never_trained_on() -> None:
    rng = np.random.default_rng(4)
    train = random_sequences(rng, 30, 50, gc=0.2) + random_sequences(rng, 30, 50, gc=0.8)
    labels = [0] * 30 + [2] * 30
    found = run_baselines(
        train,
        labels,
        random_sequences(rng, 5, 50, gc=0.8),
        num_classes=3,
        valid_sequences=train[::7],
        valid_labels=[1] * len(train[::7]),
    )
    for probabilities in found.values():
        assert probabilities.shape == (5, 3)
        assert not probabilities[:, 1].any()
    assert (found["gc"].argmax(axis=1) == 2).all()


def test_test_sequences_do_not_change_each_other() -> None:
    rng = np.random.default_rng(5)
    train, labels = random_sequences(rng, 60, 30), np.arange(60) % 2
    tests = [*random_sequences(rng, 9, 30), "", "N", "ACG", "ACGT" * 20]
    together = run_baselines(train, labels, tests, num_classes=2)
    for index, text in enumerate(tests):
        alone = run_baselines(train, labels, [text], num_classes=2)
        for name in BASELINES:
            assert np.allclose(alone[name][0], together[name][index])


def test_chunks_and_row_order_are_invisible(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    train, labels, tests = random_sequences(rng, 50, 30), np.arange(50) % 2, random_sequences(rng, 23, 30)
    whole = run_baselines(train, labels, tests, num_classes=2)
    monkeypatch.setattr(baselines, "_CHUNK", 7)
    parts = run_baselines(train, labels, tests, num_classes=2)
    assert all(np.allclose(whole[name], parts[name]) for name in BASELINES)


def test_kmer_frequencies_against_a_plain_count() -> None:
    sequences = ["ACGTACGTNACGTTT", "", "ACG", "AAAA", "NNNNNN", "TTTTT", "CCRCCCCC"]
    names = ["".join(letters) for letters in itertools.product("ACGT", repeat=4)]
    for row, text in zip(kmer_features(sequences), sequences, strict=True):
        windows = [text[start : start + 4] for start in range(len(text) - 3)]
        windows = [window for window in windows if set(window) <= set("ACGT")]
        expected = [windows.count(name) / max(len(windows), 1) for name in names]
        assert np.allclose(row, expected)


def test_gc_and_onehot_by_hand() -> None:
    assert np.allclose(gc_features(["GGNAA", "NN", "CCCA"]), [[0.5, 0.25], [0.5, 0.25], [0.75, 0.5625]])
    dense = onehot_features(["ACN", "", "TTTT"], 3).toarray()
    assert dense.shape == (3, 12)
    assert [np.flatnonzero(row).tolist() for row in dense] == [[0, 5], [], [3, 7, 11]]
    assert set(np.unique(dense)) == {0.0, 1.0}


def test_onehot_stops_at_its_last_position() -> None:
    sequences = ["A" * 1000 + tail for tail in ("C", "G") * 20]
    found = run_baselines(sequences, np.arange(40) % 2, sequences[:2], num_classes=2)
    assert np.allclose(found["onehot_logistic"], 0.5, atol=1e-3)


def test_more_training_sequences_than_are_fitted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(baselines, "MAX_TRAIN", 20)
    rng = np.random.default_rng(8)
    sequences = random_sequences(rng, 99, 50, gc=0.2) + random_sequences(rng, 1, 50, gc=0.9)
    labels = [0] * 99 + [1]
    one, same, other = (run_baselines(sequences, labels, sequences, num_classes=2, seed=seed) for seed in (1, 1, 2))
    assert "20 of 100 training sequences" in caplog.text
    assert np.allclose(one["majority"][0], [0.99, 0.01])  # the prior is that of all
    assert np.array_equal(one["kmer_logistic"], same["kmer_logistic"])
    assert not np.array_equal(one["kmer_logistic"], other["kmer_logistic"])


def test_nothing_warns_and_onehot_is_quick() -> None:
    rng = np.random.default_rng(9)
    sequences, labels = random_sequences(rng, 1000, 150), rng.integers(2, size=1000)
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_baselines(
            sequences[:800], labels[:800], sequences[900:], num_classes=2,
            valid_sequences=sequences[800:900], valid_labels=labels[800:900],
        )  # fmt: skip
    assert time.process_time() - start < 5


def test_bad_input_is_named() -> None:
    with pytest.raises(DataError, match="2 training sequences with labels of shape"):
        run_baselines(["A", "C"], [0], ["A"], num_classes=2)
    with pytest.raises(DataError, match="training label 3 at index 1"):
        run_baselines(["A", "C"], [0, 3], ["A"], num_classes=2)
    with pytest.raises(DataError, match="all 2 training sequences are of class 1"):
        run_baselines(["A", "C"], [1, 1], ["A"], num_classes=2)
    with pytest.raises(DataError, match="go together"):
        run_baselines(["A", "C"], [0, 1], ["A"], num_classes=2, valid_sequences=["A"])
    with pytest.raises(SequenceError, match="sequence 1"):
        run_baselines(["ACGT", "AC!T"], [0, 1], ["A"], num_classes=2)
