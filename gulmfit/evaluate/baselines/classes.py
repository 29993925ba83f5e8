"""Cheap classifiers that every score is shown alongside: what a model must beat to have learned anything.

`majority` knows class frequencies; `length`, `gc` and `dinucleotide`, of proteins `composition`, what a careless choice
of negatives leaves behind; `kmer_logistic` the content of 4-mers wherever they stand, of proteins of 2-mers;
`onehot_logistic` and `onehot_boosting` which letter stands at which position, the latter also letters that go together,
so they find windows that were cut at a fixed site. Of three classes and more, `kmer_naive_bayes` is the usual
classifier of marker genes: which 8-mers a sequence holds, of proteins 4-mers.

Shapes: `N` sequences, `C` classes.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gulmfit.errors import DataError
from gulmfit.evaluate.baselines import fits as shared
from gulmfit.evaluate.baselines.fits import Part
from gulmfit.evaluate.baselines.inputs import Floats, kmer_length, word_length
from gulmfit.evaluate.baselines.naive_bayes import WordNaiveBayes
from gulmfit.seq.alphabet import DNA, Alphabet

BASELINES = (
    "majority",
    "length",
    *shared.OF_NUCLEOTIDES,
    *shared.OF_PROTEINS,
    "kmer_logistic",
    "onehot_logistic",
    "onehot_boosting",
)

# Of more classes boosted trees take hours.
MOST_CLASSES_BOOSTED = 20

NAIVE_BAYES = "kmer_naive_bayes"  # beside them, of three classes and more

DEFAULT_C = 1.0
CHOICES_OF_C = (0.01, 0.1, 1.0)  # inverse L2 strengths, tried on the validation sequences

_MAX_ITERATIONS = 10_000


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
    """shared.Fit every baseline on the training sequences and give its probabilities for the test sequences.

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
    train = Part(train_sequences, _checked_labels(train_sequences, train_labels, num_classes, "training"))
    if (valid_sequences is None) != (valid_labels is None):
        raise DataError("valid_sequences and valid_labels go together; one of them is missing")
    valid = Part([], np.zeros(0, dtype=np.int64))
    if valid_sequences is not None and valid_labels is not None:
        valid = Part(valid_sequences, _checked_labels(valid_sequences, valid_labels, num_classes, "validation"))
    counts = np.bincount(train.targets, minlength=num_classes)
    if (counts > 0).sum() < 2:
        raise DataError(f"all {counts.sum()} training sequences are of class {train.targets[0]}; baselines need two")
    names = shared.usable(BASELINES, alphabet, train)
    if num_classes > MOST_CLASSES_BOOSTED:
        names.remove("onehot_boosting")
    names += [NAIVE_BAYES] if num_classes > 2 else []
    lengths = kmer_length(alphabet), word_length(alphabet)
    return shared.cached(
        functools.partial(_run, names, train, valid, test_sequences, num_classes, seed, alphabet),
        cache_dir,
        "baselines",
        (train, valid, Part(test_sequences, train.targets[:0])),
        {"alphabet": [alphabet.name, *lengths], "C": [DEFAULT_C, *CHOICES_OF_C], "run": [num_classes, seed]},
        (names, (len(test_sequences), num_classes)),
    )


def _run(
    names: Sequence[str],
    train: Part,
    valid: Part,
    test_sequences: Sequence[str],
    num_classes: int,
    seed: int,
    alphabet: Alphabet,
) -> dict[str, Floats]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    counts = np.bincount(train.targets, minlength=num_classes)
    known = np.flatnonzero(counts[valid.targets] > 0)
    valid = Part([valid.sequences[index] for index in known.tolist()], valid.targets[known])
    # The first sequence of every class stays in, so that no class is lost to chance.
    train = shared.at_most(train, seed, np.unique(train.targets, return_index=True)[1])

    def probabilities(model: Any) -> Callable[[Any], Floats]:
        def predict(features: Any) -> Floats:
            found = np.zeros((features.shape[0], num_classes))  # classes that were never trained on get 0
            found[:, model.classes_] = model.predict_proba(features)
            return found

        return predict

    def logistic(known: Any, held: shared.Held) -> Callable[[Any], Floats]:
        strengths = CHOICES_OF_C if held else (DEFAULT_C,)
        models = [LogisticRegression(C=strength, max_iter=_MAX_ITERATIONS) for strength in strengths]
        return probabilities(shared.fit_linear(models, known, train.targets, held, _log_loss))

    def boosting(known: Any, held: shared.Held) -> Callable[[Any], Floats]:
        return probabilities(shared.fit_trees(HistGradientBoostingClassifier, known, train.targets, held, seed))

    others: dict[str, shared.Fit] = {
        **dict.fromkeys(("length", "gc"), lambda known, held: logistic(known, None)),
        "onehot_boosting": boosting,
        NAIVE_BAYES: lambda known, held: probabilities(WordNaiveBayes().fit(known, train.targets)),
    }
    fits = {name: others.get(name, logistic) for name in names[1:]}
    majority = np.tile(counts / counts.sum(), (len(test_sequences), 1))
    found = shared.predict_each(fits, alphabet, train, valid, test_sequences, num_classes)
    return {"majority": majority, **found}


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
