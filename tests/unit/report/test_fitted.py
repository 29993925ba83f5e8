"""Saved baselines predict what they predicted before, and what scikit-learn's own models do."""

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gulmfit.errors import CheckpointError, DataError
from gulmfit.evaluate.baselines import fits
from gulmfit.evaluate.baselines.classes import fit_baselines, run_baselines_on_parts
from gulmfit.evaluate.baselines.fits import Part
from gulmfit.evaluate.baselines.fitted import FittedBaseline, Outputs, Trees, restore
from gulmfit.evaluate.baselines.inputs import gc_features, kmer_features, positional_features
from gulmfit.evaluate.baselines.values import _fit_values
from gulmfit.evaluate.baselines.views import View
from gulmfit.models import peer_cnn
from gulmfit.seq.alphabet import DNA, PROTEIN, Alphabet


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grow fewer trees, and train the network for less time."""
    monkeypatch.setattr(peer_cnn, "MOST_TIMES", 3)
    monkeypatch.setattr(peer_cnn, "TIMES_ALONE", 3)
    monkeypatch.setattr(fits, "DEFAULT_TREES", 15)
    monkeypatch.setattr(fits, "MAX_TREES", 15)


ODD = ["", "N", "ACG", "ACGTN" * 20, "C" * 40]


def random_sequences(rng: np.random.Generator, count: int, letters: str = "ACGT") -> list[str]:
    """Sequences of 20 to 39 letters."""
    return ["".join(rng.choice(list(letters), size=rng.integers(20, 40))) for _ in range(count)]


def split(classes: int, alphabet: Alphabet = DNA) -> dict[str, Any]:
    """A letter at a place tells the class, most of the time; the last class has no example."""
    rng = np.random.default_rng(classes)
    sequences, labels = random_sequences(rng, 300, alphabet.letters), rng.integers(0, classes, 300)
    sequences = [
        text[:8] + alphabet.letters[label] + text[9:] if rng.random() < 0.8 else text
        for text, label in zip(sequences, labels, strict=True)
    ]
    return {
        "train_sequences": [*sequences[:200], sequences[0][:4] + "N" + sequences[0][5:]],
        "train_labels": [*labels[:200], labels[0]],
        "num_classes": classes + 1,
        "valid_sequences": sequences[200:],
        "valid_labels": labels[200:],
        "alphabet": alphabet,
    }


def reread(baseline: FittedBaseline) -> FittedBaseline:
    """Write a baseline to files that hold plain arrays and JSON, and read it again."""
    file = io.BytesIO()
    np.savez(file, **baseline.to_arrays())  # type: ignore[arg-type]
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return restore(json.loads(json.dumps(baseline.settings(), allow_nan=False)), dict(arrays))


@pytest.mark.parametrize(("classes", "alphabet"), [(2, DNA), (3, DNA), (3, PROTEIN)])
def test_saved_baselines_predict_the_same(classes: int, alphabet: Alphabet) -> None:
    given = split(classes, alphabet)
    found = fit_baselines(**given)
    tests = [*given["valid_sequences"][:20], *ODD]
    on_parts = run_baselines_on_parts(test_sequences=tests, **given)
    assert list(on_parts) == list(found)
    for name, baseline in found.items():
        predicted = baseline.predict(tests)
        assert baseline.name == reread(baseline).name == name
        tolerance = 1e-6 if name == "cnn" else 1e-12
        np.testing.assert_allclose(reread(baseline).predict(tests), predicted, rtol=0, atol=tolerance)
        np.testing.assert_allclose(on_parts[name].test, predicted, rtol=0, atol=tolerance)
        np.testing.assert_allclose(
            on_parts[name].valid, baseline.predict(given["valid_sequences"]), rtol=0, atol=tolerance
        )
        assert baseline.predict([]).shape == (0, classes + 1)


def test_saved_predictors_of_values_predict_the_same() -> None:
    rng = np.random.default_rng(3)
    sequences = random_sequences(rng, 200)
    values = np.stack([gc_features(sequences)[:, 0] * 1e3 + 5, rng.normal(size=200) * 1e-3], axis=1)
    found = _fit_values(
        ["mean", "gc", "kmer_ridge", "onehot_boosting"],
        Part(sequences[:150], values[:150]), Part(sequences[150:], values[150:]), 0, DNA,
    )  # fmt: skip
    np.testing.assert_allclose(found["gc"].predict(sequences)[:, 0], values[:, 0], rtol=1e-2)
    for baseline in found.values():
        np.testing.assert_array_equal(
            reread(baseline).predict([*sequences, *ODD]), baseline.predict([*sequences, *ODD])
        )


@pytest.mark.parametrize("kind", [HistGradientBoostingClassifier, HistGradientBoostingRegressor])
@pytest.mark.parametrize("classes", [2, 4])
def test_trees_are_those_of_scikit_learn(kind: Any, classes: int) -> None:
    rng = np.random.default_rng(5)
    # Not every letter is met at every position, and positions 6 and 7 know one letter alone.
    features = rng.integers(0, 5, (700, 8)).astype(np.uint8)
    features[:, 1] = rng.choice([0, 3], 700)
    features[:, 2] = rng.choice([1, 2, 4], 700)
    features[:, 6:] = 2
    labels = (features[:, 0] + (features[:, 1] == 3) * 2 + features[:, 2]) % classes
    model = fits.fit_trees(kind, features, labels, None, 0)
    known = tuple(range(classes)) if kind is HistGradientBoostingClassifier else None
    trees = Trees("boosted", View("positions"), Outputs(classes, known), **fits.tree_arrays([model], features, DNA))
    anything = rng.integers(0, 5, (3000, 8)).astype(np.uint8)
    expected = model.predict_proba(anything) if known else model.predict(anything)[:, None]
    np.testing.assert_allclose(trees.outputs(trees.decide(anything)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_fitted_baselines_are_those_of_scikit_learn(classes: int) -> None:
    given = split(classes)
    train, labels, tests = given["train_sequences"], given["train_labels"], [*given["valid_sequences"], *ODD]
    found = fit_baselines(**{**given, "valid_sequences": None, "valid_labels": None})
    dense = {"gc": gc_features, "dinucleotide": lambda texts: kmer_features(texts, 2), "kmer_logistic": kmer_features}
    for name, features in dense.items():
        model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=10_000)).fit(features(train), labels)
        np.testing.assert_allclose(
            found[name].predict(tests)[:, :classes], model.predict_proba(features(tests)), rtol=0, atol=1e-12
        )
    codes = [positional_features(texts, 39) for texts in (train, tests)]
    trees = fits.fit_trees(HistGradientBoostingClassifier, codes[0], labels, None, 0)
    np.testing.assert_allclose(
        found["onehot_boosting"].predict(tests)[:, :classes], trees.predict_proba(codes[1]), rtol=0, atol=1e-12
    )


def test_a_baseline_does_not_depend_on_those_fitted_beside_it() -> None:
    given = split(3)
    whole, some = fit_baselines(**given), fit_baselines(**given, names=["onehot_boosting", "kmer_logistic"])
    assert list(some) == ["kmer_logistic", "onehot_boosting"]
    for name, baseline in some.items():
        np.testing.assert_array_equal(baseline.predict(ODD), whole[name].predict(ODD))
    with pytest.raises(DataError, match=r"baseline .*\bforest; .*kmer_logistic"):
        fit_baselines(**given, names=["forest"])


def test_what_cannot_be_restored_is_told() -> None:
    baseline = fit_baselines(**split(2), names=["gc"])["gc"]
    settings, arrays = baseline.settings(), baseline.to_arrays()
    cases: list[tuple[Mapping[str, Any], Mapping[str, Any], str]] = [
        ({**settings, "kind": "forest"}, arrays, r"baseline 'gc' .*'forest', .*\bconstant\b"),
        (settings, {"bias": arrays["bias"]}, "'gc' lacks weights"),
    ]
    for content, numbers, message in cases:
        with pytest.raises(CheckpointError, match=message):
            restore(content, numbers)
