"""Cheap classifiers that every score is shown alongside: what a model must beat to have learned anything.

`majority` knows class frequencies; `length`, `gc` and `dinucleotide`, of proteins `composition`, what a careless choice
of negatives leaves behind; `kmer_logistic` the content of 4-mers wherever they stand, of proteins of 2-mers;
`onehot_logistic` and `onehot_boosting` which letter stands at which position, the latter also letters that go together,
so they find windows that were cut at a fixed site. `canonical_kmer_logistic` and `gapped_kmer_logistic` know longer
words and pairs of words, and `cnn` learns motifs; all three read both strands as one where strand means nothing. Of
three classes and more, `kmer_naive_bayes` is the usual classifier of marker genes: which 8-mers a sequence holds, of
proteins 4-mers.

Shapes: `N` sequences, `C` classes.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gulmfit.errors import DataError
from gulmfit.evaluate.baselines import fits as shared
from gulmfit.evaluate.baselines.fits import Part
from gulmfit.evaluate.baselines.fitted import Constant, FittedBaseline, Outputs, Peer, Trees, Words
from gulmfit.evaluate.baselines.inputs import Floats, kmer_length, word_length
from gulmfit.evaluate.baselines.naive_bayes import WordNaiveBayes
from gulmfit.evaluate.baselines.views import View
from gulmfit.seq.alphabet import DNA, Alphabet

BASELINES = (
    "majority",
    "length",
    *shared.OF_NUCLEOTIDES,
    *shared.OF_PROTEINS,
    "kmer_logistic",
    "onehot_logistic",
    "onehot_boosting",
    "canonical_kmer_logistic",
    "gapped_kmer_logistic",
    "cnn",
)

# What is fitted to each of many labels by itself.
QUICK = tuple(name for name in BASELINES if name not in ("gapped_kmer_logistic", "cnn"))

# Of more classes boosted trees and pairs of words take hours.
SLOW_OF_CLASSES = ("onehot_boosting", "gapped_kmer_logistic")
MOST_CLASSES_OF_SLOW = 20
CLASSES_AT_ONCE = 20  # take a fit about as long as two

NAIVE_BAYES = "kmer_naive_bayes"  # beside them, of three classes and more

DEFAULT_C = 1.0
CHOICES_OF_C = (0.01, 0.1, 1.0)  # inverse L2 strengths, tried on the validation sequences

CHOICES_OF_C_OF_WORDS = (10.0, 1.0, 100.0)  # of rows of unit length; the first without validation sequences

_MAX_ITERATIONS = 10_000


class OnParts(NamedTuple):
    """What a baseline predicts."""

    valid: Floats
    """Probabilities (N_valid, C) of the validation sequences."""
    test: Floats
    """Probabilities (N_test, C) of the test sequences."""


def fit_baselines(
    train_sequences: Sequence[str],
    train_labels: ArrayLike,
    *,
    num_classes: int,
    valid_sequences: Sequence[str] | None = None,
    valid_labels: ArrayLike | None = None,
    seed: int = 0,
    alphabet: Alphabet = DNA,
    stranded: bool = False,
    names: Sequence[str] | None = None,
) -> dict[str, FittedBaseline]:
    """Fit baselines on the training sequences; each can be saved (`gulmfit.evaluate.baselines.fitted`).

    All but `majority`, `onehot_boosting`, naive Bayes and `cnn` are logistic regressions on standardised features
    (sparse ones are left as they are). All of those but `length` and `gc` take the L2 strength of lowest log loss on
    the validation sequences, `canonical_kmer_logistic` also k, boosting the number of trees, and `cnn` the time to
    stop. Without validation sequences C = 1 (of words 10), k = 6, there are 100 trees, and `cnn` trains for 20 epochs.
    Validation sequences of a class that was not trained on say nothing about either and are not used. Of more than
    50,000 training sequences a random 50,000 are fitted, by words as many as `fits.MOST_LETTERS` allows. The same
    arguments give the same baselines, whichever are fitted beside them.

    Args:
        train_sequences: Text, upper case; letters that are not one known base or residue count as unknown.
        train_labels: (N,) class indices.
        num_classes: C; a class without a training sequence gets probability 0.
        valid_sequences: Sequences to choose the L2 strength and the number of trees on.
        valid_labels: Their class indices.
        seed: Seed of the choice of training sequences, and of `cnn`.
        alphabet: What the letters are.
        stranded: Whether a sequence and its reverse complement may differ in their labels.
        names: Of the baselines to fit, where there are such of the data; None for all.

    Returns:
        A baseline for each name of `BASELINES` that the alphabet has, in that order, and `NAIVE_BAYES` where C is 3 or
        more; without `length` where all training sequences have one length, and without `onehot_boosting` and
        `gapped_kmer_logistic`, whose time grows with the classes, of more than 20.

    Raises:
        DataError: Sequences and labels differ in number, a label is not in [0, C), the training sequences
            hold fewer than two classes, only one of the two validation arguments is given, or there is no baseline of
            a name.
        SequenceError: A sequence holds a letter outside the alphabet.
    """
    train, valid = _parts(train_sequences, train_labels, num_classes, valid_sequences, valid_labels)
    return _fit(_names(train, num_classes, alphabet, names), train, valid, num_classes, seed, alphabet, stranded)


def run_baselines_on_parts(
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
    stranded: bool = False,
    names: Sequence[str] | None = None,
) -> dict[str, OnParts]:
    """Predict the validation and the test sequences by what `fit_baselines` gives, or as was predicted before.

    Args:
        train_sequences, train_labels, num_classes: As of `fit_baselines`.
        test_sequences: Sequences to score.
        valid_sequences, valid_labels, seed, alphabet, stranded, names: As of `fit_baselines`.
        cache_dir: Folder where results are kept and found again for the same sequences, labels, parts, seed and
            settings; made if missing.

    Returns:
        Predictions of each baseline, in the order of `fit_baselines`; those of validation are (0, C) without one.

    Raises:
        DataError, SequenceError: As of `fit_baselines`.
    """
    train, valid = _parts(train_sequences, train_labels, num_classes, valid_sequences, valid_labels)
    chosen = _names(train, num_classes, alphabet, names)
    scored = [*valid.sequences, *test_sequences]

    def run() -> dict[str, Floats]:
        fitted = _fit(chosen, train, valid, num_classes, seed, alphabet, stranded)
        return {name: baseline.predict(scored) for name, baseline in fitted.items()}

    lengths = kmer_length(alphabet), word_length(alphabet)
    found = shared.cached(
        run,
        cache_dir,
        "baselines",
        (train, valid, Part(test_sequences, train.targets[:0])),
        {
            "alphabet": [alphabet.name, stranded, *lengths],
            "C": [DEFAULT_C, *CHOICES_OF_C, *CHOICES_OF_C_OF_WORDS],
            "run": [num_classes, seed, *chosen],
        },
        (chosen, (len(scored), num_classes)),
    )
    first = len(valid.sequences)
    return {name: OnParts(predicted[:first], predicted[first:]) for name, predicted in found.items()}


def run_baselines(
    train_sequences: Sequence[str], train_labels: ArrayLike, test_sequences: Sequence[str], **options: Any
) -> dict[str, Floats]:
    """Give the probabilities (N_test, C) of the test sequences alone; arguments as of `run_baselines_on_parts`."""
    found = run_baselines_on_parts(train_sequences, train_labels, test_sequences, **options)
    return {name: predicted.test for name, predicted in found.items()}


def _parts(
    train_sequences: Sequence[str],
    train_labels: ArrayLike,
    num_classes: int,
    valid_sequences: Sequence[str] | None,
    valid_labels: ArrayLike | None,
) -> tuple[Part, Part]:
    train = Part(train_sequences, _checked_labels(train_sequences, train_labels, num_classes, "training"))
    if (valid_sequences is None) != (valid_labels is None):
        raise DataError("valid_sequences and valid_labels go together; one of them is missing")
    valid = Part([], np.zeros(0, dtype=np.int64))
    if valid_sequences is not None and valid_labels is not None:
        valid = Part(valid_sequences, _checked_labels(valid_sequences, valid_labels, num_classes, "validation"))
    counts = np.bincount(train.targets, minlength=num_classes)
    if (counts > 0).sum() < 2:
        raise DataError(f"all {counts.sum()} training sequences are of class {train.targets[0]}; baselines need two")
    return train, valid


def _names(train: Part, num_classes: int, alphabet: Alphabet, asked: Sequence[str] | None) -> list[str]:
    """Which baselines there are, and of them those asked for."""
    names = shared.usable(BASELINES, alphabet, train)
    if num_classes > MOST_CLASSES_OF_SLOW:
        names = [name for name in names if name not in SLOW_OF_CLASSES]
    names += [NAIVE_BAYES] if num_classes > 2 else []
    if unknown := set(asked or ()) - {*BASELINES, NAIVE_BAYES}:
        raise DataError(f"no baseline is called {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return [name for name in names if asked is None or name in asked]


def _fit(
    names: Sequence[str],
    train: Part,
    valid: Part,
    num_classes: int,
    seed: int,
    alphabet: Alphabet,
    stranded: bool,
) -> dict[str, FittedBaseline]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    counts = np.bincount(train.targets, minlength=num_classes)
    known = np.flatnonzero(counts[valid.targets] > 0)
    valid = Part([valid.sequences[index] for index in known.tolist()], valid.targets[known])
    # The first sequence of every class stays in, so that no class is lost to chance.
    train = shared.at_most(train, seed, np.unique(train.targets, return_index=True)[1])
    known_classes = np.flatnonzero(counts)
    outputs = Outputs(num_classes, tuple(known_classes.tolist()))
    views = shared.views_of(alphabet, train)

    def majority(name: str) -> FittedBaseline:
        return Constant(name, View("length"), outputs, counts / counts.sum())

    def logistic(name: str, strengths: Sequence[float] = (DEFAULT_C, *CHOICES_OF_C)) -> FittedBaseline:
        models = [LogisticRegression(C=strength, max_iter=_MAX_ITERATIONS) for strength in dict.fromkeys(strengths)]
        return shared.fit_linear(name, [views[name]], models, train, valid, _log_loss, outputs)

    def plain(name: str) -> FittedBaseline:
        return logistic(name, (DEFAULT_C,))

    def boosting(name: str) -> FittedBaseline:
        view = views[name]
        features, held = shared.seen(view, train, valid)
        model = shared.fit_trees(HistGradientBoostingClassifier, features, train.targets, held, seed)
        return Trees(name, view, outputs, **shared.tree_arrays([model], features, alphabet))

    def words(name: str) -> FittedBaseline:
        model = WordNaiveBayes().fit(views[name].whole(train.sequences), train.targets)
        return Words(name, views[name], outputs, **model.to_arrays())

    first_of_each = np.unique(train.targets, return_index=True)[1]

    def of_words(kind: str, name: str) -> FittedBaseline:
        choices = shared.word_views(alphabet, stranded)[kind]
        strengths: Sequence[float] = CHOICES_OF_C_OF_WORDS
        cost = max(1, len(known_classes) / CLASSES_AT_ONCE)
        if len(known_classes) > 2 and shared.affordable(name, train, len(choices) * cost) < len(train.targets):
            # With many classes every sequence tells more than the choice between settings.
            choices, strengths = choices[:1], strengths[:1]
        most = shared.affordable(name, train, len(choices) * cost)
        some = shared.at_most(train, seed, first_of_each, most, f"{name} is")
        models = [LogisticRegression(C=strength, max_iter=_MAX_ITERATIONS) for strength in strengths]
        return shared.fit_linear(name, choices, models, some, valid, _log_loss, outputs)

    def cnn(name: str) -> FittedBaseline:
        from gulmfit.models.peer_cnn import train_peer

        view = View("letters", alphabet, {"width": shared.MAX_POSITIONS})
        features, held = shared.seen(view, train, valid)
        both = bool(alphabet.complements) and not stranded
        weights = train_peer(
            features,
            np.searchsorted(known_classes, train.targets),
            held and (held[0], np.searchsorted(known_classes, held[1])),
            letters=len(alphabet),
            classes=len(known_classes),
            both_strands=both,
            seed=seed,
            most_letters=shared.MOST_LETTERS[name],
        )
        return Peer(name, view, outputs, both_strands=np.array(both), **weights)

    fits: dict[str, Callable[[str], FittedBaseline]] = {
        "canonical_kmer_logistic": functools.partial(of_words, "canonical"),
        "gapped_kmer_logistic": functools.partial(of_words, "gapped"),
        "cnn": cnn,
        "majority": majority,
        "length": plain,
        "gc": plain,
        "onehot_boosting": boosting,
        NAIVE_BAYES: words,
    }
    return shared.fit_each({name: fits.get(name, logistic) for name in names})


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
