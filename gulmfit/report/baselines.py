"""Cheap classifiers that every score is shown beside: what a model must beat to have learned anything.

`majority` knows class frequencies; `length`, `gc` and `dinucleotide`, of proteins `composition`, what a careless choice
of negatives leaves behind; `kmer_logistic` the content of 4-mers wherever they stand, of proteins of 2-mers;
`onehot_logistic` and `onehot_boosting` which letter stands at which position, the latter also letters that go together,
so they find windows that were cut at a fixed site. Of three classes and more, `kmer_naive_bayes` is the usual
classifier of marker genes: which 8-mers a sequence holds, of proteins 4-mers.

Shapes: `N` sequences, `C` classes.
"""

import functools
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gulmfit.errors import DataError
from gulmfit.report.baseline_cache import keep, recall
from gulmfit.report.features import (
    Floats,
    gc_features,
    kmer_features,
    kmer_length,
    length_features,
    onehot_features,
    positional_features,
    word_features,
    word_length,
)
from gulmfit.report.naive_bayes import WordNaiveBayes
from gulmfit.seq.alphabet import DNA, Alphabet

log = logging.getLogger(__name__)

OF_NUCLEOTIDES, OF_PROTEINS = ("gc", "dinucleotide"), ("composition",)
BASELINES = ("majority", "length", *OF_NUCLEOTIDES, *OF_PROTEINS, "kmer_logistic", "onehot_logistic", "onehot_boosting")

# Of more classes boosted trees take hours.
MOST_CLASSES_BOOSTED = 20

NAIVE_BAYES = "kmer_naive_bayes"  # beside them, of three classes and more

VERSION = 2  # of what is computed here and in `features`: raise it with any change, and cached results are not used

MAX_POSITIONS = 1000  # positional features stop here
MAX_TRAIN = 50_000  # sequences fitted on; more change models of this size very little
DEFAULT_C = 1.0
CHOICES_OF_C = (0.01, 0.1, 1.0)  # inverse L2 strengths, tried on the validation sequences
DEFAULT_TREES = 100
MAX_TREES = 500
PATIENCE = 20  # trees in a row that do not lower the log loss on the validation sequences end the search for a number
TREE = {"learning_rate": 0.1, "max_leaf_nodes": 31, "min_samples_leaf": 20}  # as scikit-learn has them

_CHUNK = 4096  # sequences whose features are held at once
_MAX_ITERATIONS = 10_000

Featurise = Callable[[Sequence[str]], Any]


class _Part(NamedTuple):
    sequences: Sequence[str]
    labels: NDArray[np.int64]


def run_baselines(
    train_sequences: Sequence[str],
    train_labels: ArrayLike,
    test_sequences: Sequence[str],
    *,
    num_classes: int,
    valid_sequences: Sequence[str] | None = None,
    valid_labels: ArrayLike | None = None,
    seed: int = 0,
    cache_dir: Path | None = None,
    alphabet: Alphabet = DNA,
) -> dict[str, Floats]:
    """Fit every baseline on the training sequences and give its probabilities for the test sequences.

    All but `majority` and `onehot_boosting` are logistic regressions on standardised features (one-hot columns are
    left as they are). The dinucleotide, composition, k-mer and one-hot ones take the L2 strength of lowest log loss on
    the validation sequences, C = 1 without any, and boosting the number of trees, 100 without any.
    Validation sequences of a class that was not trained on say nothing about either and are not used. Of more than
    50,000 training sequences a random 50,000 are fitted.

    Args:
        train_sequences: Text, upper case; letters that are not one known base or residue count as unknown.
        train_labels: (N,) class indices.
        test_sequences: Sequences to score.
        num_classes: C; a class without a training sequence gets probability 0.
        valid_sequences: Sequences to choose the L2 strength and the number of trees on.
        valid_labels: Their class indices.
        seed: Seed of the choice of 50,000 training sequences.
        cache_dir: Folder where results are kept and found again for the same sequences, labels, parts, seed and
            settings; made if missing.
        alphabet: What the letters are.

    Returns:
        (N_test, C) probabilities for each name of `BASELINES` that the alphabet has, in that order, and `NAIVE_BAYES`
        where C is 3 or more; without `length` where all training sequences have one length, and without
        `onehot_boosting`, which grows a tree for each class in every round, of more than 20 classes.

    Raises:
        DataError: Sequences and labels differ in number, a label is not in [0, C), the training sequences
            hold fewer than two classes, or only one of the two validation arguments is given.
        SequenceError: A sequence holds a letter outside the alphabet.
    """
    train = _Part(train_sequences, _checked_labels(train_sequences, train_labels, num_classes, "training"))
    if (valid_sequences is None) != (valid_labels is None):
        raise DataError("valid_sequences and valid_labels go together; one of them is missing")
    valid = _Part([], np.zeros(0, dtype=np.int64))
    if valid_sequences is not None and valid_labels is not None:
        valid = _Part(valid_sequences, _checked_labels(valid_sequences, valid_labels, num_classes, "validation"))
    counts = np.bincount(train.labels, minlength=num_classes)
    if (counts > 0).sum() < 2:
        raise DataError(f"all {counts.sum()} training sequences are of class {train.labels[0]}; baselines need two")
    names = of_alphabet(BASELINES, alphabet)
    if len(set(map(len, train_sequences))) == 1:
        names.remove("length")
    if num_classes > MOST_CLASSES_BOOSTED:
        names.remove("onehot_boosting")
    names += [NAIVE_BAYES] if num_classes > 2 else []
    if cache_dir is None:
        return _run(names, train, valid, test_sequences, num_classes, seed, alphabet)
    path = Path(cache_dir) / f"baselines-{_digest(train, valid, test_sequences, num_classes, seed, alphabet)}.npz"
    found = recall(path, names, (len(test_sequences), num_classes))
    if found is None:
        found = _run(names, train, valid, test_sequences, num_classes, seed, alphabet)
        keep(path, found)
    return found


def of_alphabet(names: Sequence[str], alphabet: Alphabet) -> list[str]:
    """Return the baselines that there are for an alphabet."""
    foreign = OF_PROTEINS if alphabet.complements else OF_NUCLEOTIDES
    return [name for name in names if name not in foreign]


def sequence_features(alphabet: Alphabet, width: int) -> dict[str, Featurise]:
    """Return what is calculated from sequences, by what it is called; `width` is the last position looked at."""
    return {
        "length": length_features,
        "gc": gc_features,
        "composition": functools.partial(kmer_features, k=1, alphabet=alphabet),
        "dinucleotide": functools.partial(kmer_features, k=2, alphabet=alphabet),
        "kmers": functools.partial(kmer_features, k=kmer_length(alphabet), alphabet=alphabet),
        "words": functools.partial(word_features, k=word_length(alphabet), alphabet=alphabet),
        "onehot": functools.partial(onehot_features, width=width, alphabet=alphabet),
        "positional": functools.partial(positional_features, width=width, alphabet=alphabet),
    }


def _run(
    names: Sequence[str],
    train: _Part,
    valid: _Part,
    test_sequences: Sequence[str],
    num_classes: int,
    seed: int,
    alphabet: Alphabet,
) -> dict[str, Floats]:
    counts = np.bincount(train.labels, minlength=num_classes)
    known = np.flatnonzero(counts[valid.labels] > 0)
    valid = _Part([valid.sequences[index] for index in known.tolist()], valid.labels[known])
    train = _at_most(train, seed)
    width = min(MAX_POSITIONS, max(map(len, train.sequences)))
    untuned = _Part([], valid.labels[:0])
    features = sequence_features(alphabet, width)
    fits: dict[str, tuple[str, Callable[[Featurise], Any]]] = {
        "length": ("length", lambda what: _fit_logistic(what, train, untuned)),
        "gc": ("gc", lambda what: _fit_logistic(what, train, untuned)),
        "dinucleotide": ("dinucleotide", lambda what: _fit_logistic(what, train, valid)),
        "composition": ("composition", lambda what: _fit_logistic(what, train, valid)),
        "kmer_logistic": ("kmers", lambda what: _fit_logistic(what, train, valid)),
        "onehot_logistic": ("onehot", lambda what: _fit_logistic(what, train, valid, standardise=False)),
        "onehot_boosting": ("positional", lambda what: _fit_boosting(what, train, valid, seed)),
        NAIVE_BAYES: ("words", lambda what: WordNaiveBayes().fit(features_of(what, train.sequences), train.labels)),
    }
    found = {"majority": np.tile(counts / counts.sum(), (len(test_sequences), 1))}
    for name in names[1:]:
        what, fit = fits[name]
        found[name] = _predict(fit(features[what]), features[what], test_sequences, num_classes)
    return found


def _fit_logistic(featurise: Featurise, train: _Part, valid: _Part, *, standardise: bool = True) -> Any:
    """The logistic regression whose L2 strength does best on the validation sequences."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = features_of(featurise, train.sequences)
    valid_features = features_of(featurise, valid.sequences) if len(valid.labels) else None
    best, best_loss = None, np.inf
    for strength in (DEFAULT_C,) if valid_features is None else CHOICES_OF_C:
        model = LogisticRegression(C=strength, max_iter=_MAX_ITERATIONS)
        fitted = make_pipeline(*([StandardScaler()] if standardise else []), model).fit(features, train.labels)
        loss = 0.0 if valid_features is None else _log_loss(fitted, valid_features, valid.labels)
        if loss < best_loss:
            best, best_loss = fitted, loss
    return best


def _fit_boosting(featurise: Featurise, train: _Part, valid: _Part, seed: int) -> Any:
    """Boosted trees on the base at each position.

    A base is a category of its position, and a tree splits it by any set of bases. On 6,764 promoters of 81 bp in
    grouped folds that gives the AUC of splits by one-hot columns (.90) in half of the time.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    features = features_of(featurise, train.sequences)
    settings = {**TREE, "categorical_features": np.arange(features.shape[1]), "random_state": seed}
    trees = DEFAULT_TREES
    if len(valid.labels):
        # Not judged on a random cut of the training sequences, which would part those that are alike.
        valid_features = features_of(featurise, valid.sequences)
        stopping = {"max_iter": MAX_TREES, "early_stopping": True, "n_iter_no_change": PATIENCE}
        trial = HistGradientBoostingClassifier(**settings, **stopping)
        trial.fit(features, train.labels, X_val=valid_features, y_val=valid.labels)
        trees = max(1, int(np.argmax(trial.validation_score_)))  # it goes on for a while after the best one
    model = HistGradientBoostingClassifier(**settings, max_iter=trees, early_stopping=False)
    return model.fit(features, train.labels)


def features_of(featurise: Featurise, sequences: Sequence[str]) -> Any:
    """Gather the features (N, P) of sequences, chunk by chunk."""
    from scipy.sparse import issparse, vstack

    parts = list(chunks(featurise, sequences))
    return vstack(parts, format="csr") if issparse(parts[0]) else np.concatenate(parts)


def chunks(featurise: Featurise, sequences: Sequence[str]) -> Iterator[Any]:
    """Yield the features of as many sequences as are held at once."""
    for start in range(0, len(sequences), _CHUNK):
        yield featurise(sequences[start : start + _CHUNK])


def _predict(model: Any, featurise: Featurise, sequences: Sequence[str], num_classes: int) -> Floats:
    """(N, C) probabilities; classes that the model never saw get 0."""
    probabilities = np.zeros((len(sequences), num_classes))
    for index, features in enumerate(chunks(featurise, sequences)):
        rows = slice(index * _CHUNK, index * _CHUNK + features.shape[0])
        probabilities[rows, model.classes_] = model.predict_proba(features)
    return probabilities


def _log_loss(model: Any, features: Any, labels: NDArray[np.int64]) -> float:
    columns = np.searchsorted(model.classes_, labels)
    of_truth = model.predict_proba(features)[np.arange(len(labels)), columns]
    return float(-np.log(np.maximum(of_truth, 1e-12)).mean())


def _checked_labels(sequences: Sequence[str], labels: ArrayLike, num_classes: int, split: str) -> NDArray[np.int64]:
    found = np.asarray(labels, dtype=np.int64)
    if found.shape != (len(sequences),) or (split == "training" and not len(found)):
        raise DataError(f"{len(sequences)} {split} sequences with labels of shape {found.shape}; give one each")
    outside = np.flatnonzero((found < 0) | (found >= num_classes))
    if len(outside):
        at = outside[0]
        raise DataError(f"{split} label {found[at]} at index {at} is not one of the {num_classes} classes")
    return found


def _at_most(train: _Part, seed: int) -> _Part:
    if len(train.labels) <= MAX_TRAIN:
        return train
    log.warning("baselines are fitted on %d of %d training sequences", MAX_TRAIN, len(train.labels))
    # The first sequence of every class stays in, so that no class is lost to chance.
    firsts = np.unique(train.labels, return_index=True)[1]
    others = np.setdiff1d(np.arange(len(train.labels)), firsts)
    drawn = np.random.default_rng(seed).permutation(others)[: max(0, MAX_TRAIN - len(firsts))]
    chosen = np.sort(np.concatenate([firsts, drawn]))
    return _Part([train.sequences[index] for index in chosen], train.labels[chosen])


def _digest(
    train: _Part, valid: _Part, test_sequences: Sequence[str], num_classes: int, seed: int, alphabet: Alphabet
) -> str:
    """SHA-256 of everything that the results depend on."""
    import sklearn

    settings = {
        "versions": [VERSION, sklearn.__version__],
        "features": [alphabet.name, kmer_length(alphabet), MAX_POSITIONS, word_length(alphabet)],
        "logistic": [DEFAULT_C, *CHOICES_OF_C],
        "boosting": [DEFAULT_TREES, MAX_TREES, PATIENCE, TREE],
        "run": [MAX_TRAIN, num_classes, seed],
    }
    digest = hashlib.sha256(json.dumps(settings).encode())
    for part in (train, valid, _Part(test_sequences, train.labels[:0])):
        # Lengths stand before what they are of, so that no two splits read alike.
        digest.update(f"{len(part.sequences)},{len(part.labels)};".encode())
        digest.update(part.labels.astype("<i8").tobytes())
        for text in part.sequences:
            digest.update(f"{len(text)}:{text}".encode())
    return digest.hexdigest()
