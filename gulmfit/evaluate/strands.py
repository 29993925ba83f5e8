"""Does the strand that a sequence is given on tell anything of its label? Two linear models are asked."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gulmfit.evaluate.baselines.inputs import kmer_features, onehot_features
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.labels.labelled import LabelledSequences

Ints = NDArray[np.int64]

MOST_LEARNED = 4_000  # sequences that the models learn from
MOST_LABELS = 8  # that they are asked about, the most even ones
LONGEST_BP = 1_000  # of the letters at positions
DIFFERENT = 3.0  # standard errors


def strand_matters(train: LabelledSequences, valid: LabelledSequences) -> bool:
    """Tell whether labels depend on the strand that a sequence is given on, or whether that is not known.

    Two linear models, of 4-mers and of letters at positions, learn the training part. Labels that mean nothing of a
    strand are predicted as well from the reverse complements of the validation part; else the loss rises there. Of
    label sets it is asked of each label for itself, of `MOST_LABELS` at most.

    Returns:
        False where a model has learned something and none loses more than three standard errors; True where labels
        make no choice between classes that a model can be asked about, as values do.
    """
    learned = train.subset(np.random.default_rng(0).permutation(len(train))[:MOST_LEARNED])
    asked = sorted(
        zip(*(one.kind.choices(one.labels) for one in (learned, valid)), strict=True),
        key=lambda labels: -_of_rarest(labels[0]),
    )[:MOST_LABELS]
    informed = False
    for featurise in _featurisers(learned) if asked else ():
        views = [featurise(sequences) for sequences in (learned.sequences, valid.sequences, _turned(valid))]
        for labels in asked:
            rises, tells = _ask(views, *labels)
            if rises:
                return True
            informed |= tells
    return not informed


def _featurisers(data: LabelledSequences) -> Sequence[Callable[[Sequence[str]], object]]:
    width = min(LONGEST_BP, max(map(len, data.sequences)))
    return (
        lambda sequences: kmer_features(sequences, alphabet=data.alphabet),
        lambda sequences: onehot_features(sequences, width, alphabet=data.alphabet),
    )


def _turned(data: LabelledSequences) -> list[str]:
    return [reverse_complement_text(sequence, data.alphabet) for sequence in data.sequences]


def _of_rarest(labels: Ints) -> int:
    """Return how many sequences have the rarer of the answers that are known."""
    counts = np.unique(labels[labels >= 0], return_counts=True)[1]
    return int(counts.min()) if len(counts) > 1 else 0


def _ask(views: Sequence[Any], labels: Ints, truth: Ints) -> tuple[bool, bool]:
    """Ask a linear model of one kind of features.

    Args:
        views: Features of the sequences to learn from (N, F), of those to be asked about (M, F), and of the reverse
            complements of these (M, F).
        labels: Class of each sequence to learn from (N,), -1 where it is unknown.
        truth: Class of each of the others (M,).

    Returns:
        Whether the loss rises on the other strand, and whether anything was learned.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MaxAbsScaler

    known = labels >= 0
    found, counts = np.unique(labels[known], return_counts=True)
    asked = np.isin(truth, found)
    if len(found) < 2 or asked.sum() < 2:
        return False, False
    learned, given, other = views
    model = make_pipeline(MaxAbsScaler(), LogisticRegression(C=0.1, max_iter=500))
    model.fit(learned[known], labels[known])
    columns = np.searchsorted(found, truth[asked])
    losses = [
        -np.log(np.maximum(model.predict_proba(one[asked])[np.arange(len(columns)), columns], 1e-12))
        for one in (given, other)
    ]
    ignorant = -np.log(counts / counts.sum())[columns]
    return _rises(*losses), _rises(losses[0], ignorant)


def _rises(before: NDArray[np.float64], after: NDArray[np.float64]) -> bool:
    """Whether losses of the same sequences rise, by more than three standard errors."""
    change = after - before
    return bool(change.mean() > DIFFERENT * change.std() / np.sqrt(len(change)))
