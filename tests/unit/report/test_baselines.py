"""Baselines on planted signals, and their features against a plain count."""

import itertools
import logging
import re
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gulmfit.errors import DataError, SequenceError
from gulmfit.evaluate.baselines import classes as baselines
from gulmfit.evaluate.baselines import fits as baseline_fits
from gulmfit.evaluate.baselines import views
from gulmfit.evaluate.baselines.classes import BASELINES, NAIVE_BAYES
from gulmfit.evaluate.baselines.fits import of_alphabet
from gulmfit.evaluate.baselines.inputs import (
    gc_features,
    kmer_features,
    length_features,
    onehot_features,
    positional_features,
    word_features,
)
from gulmfit.evaluate.baselines.naive_bayes import WordNaiveBayes
from gulmfit.seq.alphabet import DNA, PROTEIN

# Those of words and the network have tests of their own, in test_peers.py.
PEERS = ("canonical_kmer_logistic", "gapped_kmer_logistic", "cnn")
ALL = tuple(name for name in of_alphabet(BASELINES, DNA) if name not in PEERS)
WITHOUT_LENGTH = tuple(name for name in ALL if name != "length")


def run_baselines(*arguments: Any, **options: Any) -> dict[str, np.ndarray]:
    """Run all but the peers."""
    return baselines.run_baselines(*arguments, **options, names=[*ALL, NAIVE_BAYES])


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
    lengths = set(map(len, sequences[:first]))
    assert tuple(found) == (ALL if len(lengths) > 1 else WITHOUT_LENGTH)
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


def test_a_difference_of_length_alone_is_found_by_length() -> None:
    rng = np.random.default_rng(10)
    labels = rng.integers(2, size=400)
    sequences = [random_sequences(rng, 1, 30 + 20 * label + int(rng.integers(15)))[0] for label in labels]
    found = accuracies(sequences, labels)
    assert found["length"] == 1
    assert max(found[name] for name in ("majority", "gc", "dinucleotide", "kmer_logistic")) < 0.65


def test_dinucleotides_find_what_composition_hides() -> None:
    # All have the same letters; in one class each A has a C behind it, in the other each C an A.
    rng = np.random.default_rng(11)
    labels = rng.integers(2, size=400)
    pairs = [rng.permutation(["AC" if label else "CA"] * 5 + ["G", "T", "G", "T"] * 5) for label in labels]
    found = accuracies(["".join(parts) for parts in pairs], labels)
    assert found["dinucleotide"] > 0.95
    assert found["gc"] < 0.65


@pytest.mark.parametrize("valid", [False, True])
def test_bases_that_go_together_are_found_by_boosting_alone(valid: bool) -> None:
    # The class says whether the bases at two places are equal: no place alone tells anything.
    rng = np.random.default_rng(12)
    labels = rng.integers(2, size=1500)
    sequences = random_sequences(rng, 1500, 12)
    for index, label in enumerate(labels):
        text = sequences[index]
        sequences[index] = text[:8] + (text[2] if label else "CGTA"["ACGT".index(text[2])]) + text[9:]
    found = accuracies(sequences, labels, valid=valid)
    assert found["onehot_boosting"] > 0.95
    assert max(found[name] for name in found if name != "onehot_boosting") < 0.65


def test_boosting_stops_when_the_validation_sequences_say_so() -> None:
    # Nothing to learn: many trees would only learn the training sequences by heart.
    rng = np.random.default_rng(13)
    sequences, labels = random_sequences(rng, 900, 30), rng.integers(2, size=900)
    found = run_baselines(
        sequences[:600], labels[:600], sequences[:600], num_classes=2,
        valid_sequences=sequences[600:], valid_labels=labels[600:],
    )["onehot_boosting"]  # fmt: skip
    alone = run_baselines(sequences[:600], labels[:600], sequences[:600], num_classes=2)["onehot_boosting"]
    by_heart = [float((item.argmax(1) == labels[:600]).mean()) for item in (found, alone)]
    assert by_heart[0] < by_heart[1] - 0.1


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
    assert min(found["onehot_logistic"], found["onehot_boosting"]) > 0.95
    assert max(found[name] for name in ("majority", "gc", "dinucleotide", "kmer_logistic")) < 0.7


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
    assert list(found)[-1] == NAIVE_BAYES


def test_naive_bayes_is_the_formula_of_the_rdp_classifier() -> None:
    """By hand, word by word, as Wang et al. (2007) write it."""
    rng = np.random.default_rng(11)
    sequences = [*random_sequences(rng, 12, 30), "ACGTNACGTACGTA", "ACG"]
    labels = np.array([0, 1, 3] * 4 + [0, 1])
    tested = [*random_sequences(rng, 6, 25), sequences[0], sequences[1] + "N" + sequences[1], "AC"]
    k = 4
    model = WordNaiveBayes().fit(word_features(sequences, k), labels)

    def words(text: str) -> set[str]:
        return {text[i : i + k] for i in range(len(text) - k + 1) if set(text[i : i + k]) <= set("ACGT")}

    held = [words(text) for text in sequences]
    expected = np.zeros((len(tested), 3))
    for row, text in enumerate(tested):
        for column, label in enumerate((0, 1, 3)):
            members = [own for own, other in zip(held, labels, strict=True) if other == label]
            for word in words(text):
                prior = (sum(word in own for own in held) + 0.5) / (len(held) + 1)
                expected[row, column] += np.log((sum(word in own for own in members) + prior) / (len(members) + 1))
    expected = np.exp(expected - expected.max(1, keepdims=True))
    np.testing.assert_allclose(
        model.predict_proba(word_features(tested, k)), expected / expected.sum(1, keepdims=True), atol=1e-12
    )
    assert model.classes_.tolist() == [0, 1, 3]


def test_naive_bayes_knows_relatives_that_do_not_line_up() -> None:
    """Each class is an ancestor whose descendants differ from it in every tenth base."""
    rng = np.random.default_rng(12)
    ancestors = random_sequences(rng, 8, 200)

    def descendant(text: str) -> str:
        letters = np.array(list(text))
        changed = rng.random(200) < 0.1
        letters[changed] = rng.choice(list("ACGT"), changed.sum())
        return "".join(letters[rng.integers(0, 50) :])  # fragments do not line up

    labels = np.arange(240) % 8
    sequences = [descendant(ancestors[label]) for label in labels]
    found = run_baselines(sequences[:120], labels[:120], sequences[120:], num_classes=8)
    right = {name: float((found[name].argmax(1) == labels[120:]).mean()) for name in found}
    assert right[NAIVE_BAYES] > 0.98
    assert right[NAIVE_BAYES] > right["onehot_logistic"] + 0.2


def test_test_sequences_do_not_change_each_other() -> None:
    rng = np.random.default_rng(5)
    train, labels = random_sequences(rng, 60, 30), np.arange(60) % 2
    tests = [*random_sequences(rng, 9, 30), "", "N", "ACG", "ACGT" * 20]
    together = run_baselines(train, labels, tests, num_classes=2)
    for index, text in enumerate(tests):
        alone = run_baselines(train, labels, [text], num_classes=2)
        for name in WITHOUT_LENGTH:
            assert np.allclose(alone[name][0], together[name][index])


def test_chunks_and_row_order_are_invisible(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    train, labels, tests = random_sequences(rng, 50, 30), np.arange(50) % 2, random_sequences(rng, 23, 30)
    whole = run_baselines(train, labels, tests, num_classes=2)
    monkeypatch.setattr(views, "_CHUNK", 7)
    parts = run_baselines(train, labels, tests, num_classes=2)
    assert all(np.allclose(whole[name], parts[name]) for name in WITHOUT_LENGTH)


@pytest.mark.parametrize("k", [2, 4])
def test_kmer_frequencies_against_a_plain_count(k: int) -> None:
    sequences = ["ACGTACGTNACGTTT", "", "ACG", "AAAA", "NNNNNN", "TTTTT", "CCRCCCCC"]
    names = ["".join(letters) for letters in itertools.product("ACGT", repeat=k)]
    for row, text in zip(kmer_features(sequences, k), sequences, strict=True):
        windows = [text[start : start + k] for start in range(len(text) - k + 1)]
        windows = [window for window in windows if set(window) <= set("ACGT")]
        expected = [windows.count(name) / max(len(windows), 1) for name in names]
        assert np.allclose(row, expected)


def test_features_of_proteins_against_a_plain_count() -> None:
    sequences = ["MKVLAAGXAAM", "", "AC"]
    names = ["".join(pair) for pair in itertools.product(PROTEIN.letters, repeat=2)]
    for row, text in zip(kmer_features(sequences, 2, PROTEIN), sequences, strict=True):
        pairs = [text[at : at + 2] for at in range(len(text) - 1) if "X" not in text[at : at + 2]]
        assert np.allclose(row, [pairs.count(name) / max(len(pairs), 1) for name in names])
    assert positional_features(["AYX", "C"], 3, PROTEIN).tolist() == [[0, 19, 20], [1, 20, 20]]
    onehot = onehot_features(["AYX", "C"], 2, PROTEIN).toarray()
    assert np.argwhere(onehot).tolist() == [[0, 0], [0, 39], [1, 1]]


def test_length_gc_and_positions_by_hand() -> None:
    assert np.allclose(length_features(["ACGT", "", "A"]), [[4, np.log(4)], [1, 0], [1, 0]])
    assert positional_features(["ACN", "", "TTTT"], 3).tolist() == [[0, 1, 4], [4, 4, 4], [3, 3, 3]]
    assert np.allclose(gc_features(["GGNAA", "NN", "CCCA"]), [[0.5, 0.25], [0.5, 0.25], [0.75, 0.5625]])
    dense = onehot_features(["ACN", "", "TTTT"], 3).toarray()
    assert dense.shape == (3, 12)
    assert [np.flatnonzero(row).tolist() for row in dense] == [[0, 5], [], [3, 7, 11]]
    assert set(np.unique(dense)) == {0.0, 1.0}


def test_positions_stop_at_the_last_one() -> None:
    sequences = ["A" * 1000 + tail for tail in ("C", "G") * 20]
    found = run_baselines(sequences, np.arange(40) % 2, sequences[:2], num_classes=2)
    assert np.allclose(found["onehot_logistic"], 0.5, atol=1e-3)
    assert np.allclose(found["onehot_boosting"], 0.5, atol=1e-3)


def test_more_training_sequences_than_are_fitted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(baseline_fits, "MAX_TRAIN", 20)
    rng = np.random.default_rng(8)
    sequences = random_sequences(rng, 99, 50, gc=0.2) + random_sequences(rng, 1, 50, gc=0.9)
    labels = [0] * 99 + [1]
    one, same, other = (run_baselines(sequences, labels, sequences, num_classes=2, seed=seed) for seed in (1, 1, 2))
    assert "20 of 100 training sequences" in caplog.text
    assert np.allclose(one["majority"][0], [0.99, 0.01])  # the prior is that of all
    assert np.array_equal(one["kmer_logistic"], same["kmer_logistic"])
    assert not np.array_equal(one["kmer_logistic"], other["kmer_logistic"])


def test_nothing_warns_and_all_are_quick(slowness: Callable[[], float]) -> None:
    rng = np.random.default_rng(9)
    sequences, labels = random_sequences(rng, 1000, 150), rng.integers(2, size=1000)
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_baselines(
            sequences[:800], labels[:800], sequences[900:], num_classes=2,
            valid_sequences=sequences[800:900], valid_labels=labels[800:900],
        )  # fmt: skip
    assert time.process_time() - start < 10 * slowness()


def test_bad_input_is_named() -> None:
    with pytest.raises(DataError, match=r"\b2 training sequences .*shape \(1,\)"):
        run_baselines(["A", "C"], [0], ["A"], num_classes=2)
    with pytest.raises(DataError, match="training label 3 at index 1"):
        run_baselines(["A", "C"], [0, 3], ["A"], num_classes=2)
    with pytest.raises(DataError, match=r"\b2 training sequences .*class 1\b"):
        run_baselines(["A", "C"], [1, 1], ["A"], num_classes=2)
    with pytest.raises(DataError, match="go together"):
        run_baselines(["A", "C"], [0, 1], ["A"], num_classes=2, valid_sequences=["A"])
    with pytest.raises(SequenceError, match="sequence 1"):
        run_baselines(["ACGT", "AC!T"], [0, 1], ["A"], num_classes=2)


def split_of(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "train_sequences": random_sequences(rng, 40, 20),
        "train_labels": np.arange(40) % 2,
        "test_sequences": random_sequences(rng, 10, 20),
        "num_classes": 2,
        "valid_sequences": random_sequences(rng, 10, 20),
        "valid_labels": np.arange(10) % 2,
        "seed": 0,
    }


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """What was fitted: one entry for each time that the baselines were not found in the cache."""
    made: list[Sequence[str]] = []
    run = baselines._fit

    def counted(names: Sequence[str], *rest: Any) -> dict[str, np.ndarray]:
        made.append(names)
        return run(names, *rest)

    monkeypatch.setattr(baselines, "_fit", counted)
    return made


def test_the_same_split_is_fitted_once(tmp_path: Path, fits: list[Sequence[str]]) -> None:
    first = run_baselines(**split_of(0), cache_dir=tmp_path / "new")
    again = run_baselines(**split_of(0), cache_dir=tmp_path / "new")
    assert len(fits) == 1
    assert list(first) == list(again) == list(WITHOUT_LENGTH)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert [path.suffix for path in (tmp_path / "new").iterdir()] == [".npz"]
    run_baselines(**split_of(0))
    assert len(fits) == 2


def test_any_other_split_is_fitted_anew(
    tmp_path: Path, fits: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_baselines(**split_of(0), cache_dir=tmp_path)
    given = split_of(0)
    train, test, valid = (given[f"{part}_sequences"] for part in ("train", "test", "valid"))
    other_base = "A" if train[3][7] != "A" else "C"
    flipped = 1 - given["train_labels"][:1]
    changes: list[dict[str, Any]] = [
        {"train_sequences": [*train[:3], train[3][:7] + other_base + train[3][8:], *train[4:]]},
        {"train_labels": np.concatenate([flipped, given["train_labels"][1:]])},
        {"valid_labels": 1 - given["valid_labels"]},
        {"test_sequences": valid, "valid_sequences": test},
        {"valid_sequences": None, "valid_labels": None},
        {"test_sequences": test[::-1]},
        {"train_sequences": [train[0] + train[1][:1], train[1][1:], *train[2:]]},
        {"num_classes": 3},
        {"seed": 1},
    ]
    for number, change in enumerate(changes, start=2):
        run_baselines(**{**given, **change}, cache_dir=tmp_path)
        assert len(fits) == number, change
    fitting = {"VERSION": 99, "MAX_TREES": 7, "MAX_POSITIONS": 5}
    settings = [(baselines, "CHOICES_OF_C", (0.5,)), *((baseline_fits, *item) for item in fitting.items())]
    for module, name, value in settings:
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            run_baselines(**given, cache_dir=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("sklearn.__version__", "0.0")
        run_baselines(**given, cache_dir=tmp_path)
    assert len(fits) == 1 + len(changes) + 5
    assert len(list(tmp_path.iterdir())) == len(fits)
    run_baselines(**given, cache_dir=tmp_path)
    assert len(fits) == len(list(tmp_path.iterdir()))


def test_a_damaged_cache_is_told_and_made_anew(
    tmp_path: Path, fits: list[Sequence[str]], caplog: pytest.LogCaptureFixture
) -> None:
    first = run_baselines(**split_of(0), cache_dir=tmp_path)
    path = next(tmp_path.iterdir())
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(first["gc"].tobytes()) + 9] ^= 1
    for damaged in (b"", whole[:100], whole[:-40], bytes(flipped), b"not an archive"):
        caplog.clear()
        path.write_bytes(damaged)
        again = run_baselines(**split_of(0), cache_dir=tmp_path)
        assert re.search(rf"{re.escape(str(path))}: .*baselines .*damaged", caplog.text)
        assert all(np.array_equal(first[name], again[name]) for name in first)
        assert path.read_bytes() == whole
    with open(path, "wb") as handle:
        np.savez(handle, gc=first["gc"])
    run_baselines(**split_of(0), cache_dir=tmp_path)
    assert re.search(rf"{re.escape(str(path))}: .*\bgc\)", caplog.text)
    assert len(fits) == 7


def test_a_cache_that_cannot_be_written_costs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    (tmp_path / "file").write_text("in the way")
    assert run_baselines(**split_of(0), cache_dir=tmp_path / "file")
    assert re.search(r"file/.*: .*\bkept\b", caplog.text)
