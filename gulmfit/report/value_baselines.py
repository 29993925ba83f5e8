"""Cheap predictors of values, as `gulmfit.report.baselines` has cheap classifiers.

`mean` knows the training mean; `length`, `gc`, `dinucleotide` and, of proteins, `composition` are least squares;
`kmer_ridge` and `onehot_ridge` are ridge regressions on k-mer content and on the letter at each position;
`onehot_boosting` finds letters that go together.

Shapes: `N` sequences, `C` values.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gulmfit.report import baselines
from gulmfit.report.baseline_cache import keep, recall
from gulmfit.report.baselines import (
    MAX_POSITIONS,
    MAX_TREES,
    OF_NUCLEOTIDES,
    OF_PROTEINS,
    PATIENCE,
    TREE,
    Featurise,
    chunks,
    features_of,
    of_alphabet,
    sequence_features,
)
from gulmfit.report.features import kmer_length
from gulmfit.seq.alphabet import DNA, Alphabet

Floats = NDArray[np.float64]

BASELINES = ("mean", "length", *OF_NUCLEOTIDES, *OF_PROTEINS, "kmer_ridge", "onehot_ridge", "onehot_boosting")

VERSION = 1  # raise it with any change of what is computed here
CHOICES_OF_ALPHA = (0.1, 1.0, 10.0, 100.0, 1000.0)  # L2 strengths, tried on the validation sequences


class Part(NamedTuple):
    """Sequences and their values (N, C)."""

    sequences: Sequence[str]
    values: Floats


def run_value_baselines(
    train: Part,
    valid: Part,
    test_sequences: Sequence[str],
    *,
    seed: int = 0,
    cache_dir: Path | None = None,
    alphabet: Alphabet = DNA,
) -> dict[str, Floats]:
    """Fit every baseline on the training part and give its predictions for the test sequences.

    Values are standardised for fitting. Ridge regressions take the L2 strength of least squared error on the validation
    part, boosting the number of trees.

    Args:
        train: Training part; of more than 50,000 sequences a random 50,000 are fitted.
        valid: Validation part, one sequence or more.
        test_sequences: Sequences to predict.
        seed: Of the choice of training sequences.
        cache_dir: Folder where results are kept, as in `gulmfit.report.baselines.run_baselines`.
        alphabet: What the letters are.

    Returns:
        (N_test, C) values in their units for each name of `BASELINES` that the alphabet has; without `length` where all
        training sequences have one length.
    """
    names = of_alphabet(BASELINES, alphabet)
    if len(set(map(len, train.sequences))) == 1:
        names.remove("length")
    if cache_dir is None:
        return _run(names, train, valid, test_sequences, seed, alphabet)
    path = Path(cache_dir) / f"value-baselines-{_digest(train, valid, test_sequences, seed, alphabet)}.npz"
    found = recall(path, names, (len(test_sequences), train.values.shape[1]))
    if found is None:
        found = _run(names, train, valid, test_sequences, seed, alphabet)
        keep(path, found)
    return found


def _run(
    names: Sequence[str], train: Part, valid: Part, test_sequences: Sequence[str], seed: int, alphabet: Alphabet
) -> dict[str, Floats]:
    if len(train.sequences) > baselines.MAX_TRAIN:
        rows = np.sort(np.random.default_rng(seed).permutation(len(train.sequences))[: baselines.MAX_TRAIN])
        train = Part([train.sequences[row] for row in rows], train.values[rows])
    location, scale = train.values.mean(axis=0), train.values.std(axis=0)
    train, valid = (Part(part.sequences, (part.values - location) / scale) for part in (train, valid))
    width = min(MAX_POSITIONS, max(map(len, train.sequences)))
    features = sequence_features(alphabet, width)
    fits: dict[str, tuple[str, Callable[[Featurise], Any]]] = {
        "length": ("length", lambda what: _fit_ridge(what, train, None)),
        "gc": ("gc", lambda what: _fit_ridge(what, train, None)),
        "dinucleotide": ("dinucleotide", lambda what: _fit_ridge(what, train, None)),
        "composition": ("composition", lambda what: _fit_ridge(what, train, None)),
        "kmer_ridge": ("kmers", lambda what: _fit_ridge(what, train, valid)),
        "onehot_ridge": ("onehot", lambda what: _fit_ridge(what, train, valid, standardise=False)),
        "onehot_boosting": ("positional", lambda what: _BoostedTrees(what, train, valid, seed)),
    }
    found = {"mean": np.tile(location, (len(test_sequences), 1))}
    for name in names[1:]:
        what, fit = fits[name]
        model = fit(features[what])
        parts = [np.reshape(model.predict(item), (-1, len(scale))) for item in chunks(features[what], test_sequences)]
        found[name] = np.concatenate([*parts, np.zeros((0, len(scale)))]) * scale + location
    return found


def _fit_ridge(featurise: Featurise, train: Part, valid: Part | None, *, standardise: bool = True) -> Any:
    """The ridge regression whose L2 strength does best on the validation part; the weakest without one."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = features_of(featurise, train.sequences)
    valid_features = None if valid is None else features_of(featurise, valid.sequences)
    best, least = None, np.inf
    for alpha in CHOICES_OF_ALPHA[:1] if valid is None else CHOICES_OF_ALPHA:
        model = Ridge(alpha=alpha)
        fitted = make_pipeline(*([StandardScaler()] if standardise else []), model).fit(features, train.values)
        error = 0.0
        if valid is not None:
            error = float(np.square(fitted.predict(valid_features).reshape(valid.values.shape) - valid.values).mean())
        if error < least:
            best, least = fitted, error
    return best


class _BoostedTrees:
    """Boosted trees on the base at each position, a model for each value; as many trees as validation likes."""

    def __init__(self, featurise: Featurise, train: Part, valid: Part, seed: int) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor

        features, valid_features = (features_of(featurise, part.sequences) for part in (train, valid))
        settings = {**TREE, "categorical_features": np.arange(features.shape[1]), "random_state": seed}
        stopping = {"max_iter": MAX_TREES, "early_stopping": True, "n_iter_no_change": PATIENCE}
        self._models = []
        for column, valid_column in zip(train.values.T, valid.values.T, strict=True):
            trial = HistGradientBoostingRegressor(**settings, **stopping)
            trial.fit(features, column, X_val=valid_features, y_val=valid_column)
            trees = max(1, int(np.argmax(trial.validation_score_)))
            model = HistGradientBoostingRegressor(**settings, max_iter=trees, early_stopping=False)
            self._models.append(model.fit(features, column))

    def predict(self, features: Any) -> Floats:
        return np.stack([model.predict(features) for model in self._models], axis=1)


def _digest(train: Part, valid: Part, test_sequences: Sequence[str], seed: int, alphabet: Alphabet) -> str:
    """SHA-256 of everything that the results depend on."""
    import sklearn

    settings = {
        "versions": [VERSION, baselines.VERSION, sklearn.__version__],
        "settings": [
            alphabet.name,
            kmer_length(alphabet),
            MAX_POSITIONS,
            *CHOICES_OF_ALPHA,
            MAX_TREES,
            PATIENCE,
            TREE,
            baselines.MAX_TRAIN,
            seed,
        ],
    }
    digest = hashlib.sha256(json.dumps(settings).encode())
    for part in (train, valid, Part(test_sequences, train.values[:0])):
        digest.update(f"{len(part.sequences)},{part.values.shape};".encode())
        digest.update(part.values.astype("<f8").tobytes())
        for text in part.sequences:
            digest.update(f"{len(text)}:{text}".encode())
    return digest.hexdigest()
