"""Does the strand that a sequence is given on tell anything of its label? Two linear models are asked."""

import numpy as np
from numpy.typing import NDArray

from gulmfit.evaluate.baselines.inputs import kmer_features, onehot_features
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.labels.labelled import LabelledSequences

MOST_LEARNED = 4_000  # sequences that the models learn from
DIFFERENT = 3.0  # standard errors


def strand_matters(train: LabelledSequences, valid: LabelledSequences) -> bool:
    """Tell whether labels depend on the strand that a sequence is given on, or whether that is not known.

    Two linear models, of 4-mers and of letters at positions, learn the training part. Labels that mean nothing of a
    strand are predicted as well from the reverse complements of the validation part; else the loss rises there.

    Returns:
        False where a model has learned something and neither loses more than three standard errors.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MaxAbsScaler

    chosen = np.random.default_rng(0).permutation(len(train))[:MOST_LEARNED]
    known = np.isin(valid.labels, np.unique(train.labels[chosen]))
    texts = [sequence for sequence, kept in zip(valid.sequences, known, strict=True) if kept]
    labels = valid.labels[known]
    if len(labels) < 2:
        return True
    turned = [reverse_complement_text(sequence, valid.alphabet) for sequence in texts]
    learned = [train.sequences[index] for index in chosen]
    width = min(1_000, max(map(len, learned)))
    counts = np.bincount(train.labels[chosen], minlength=len(train.classes)) / len(chosen)
    ignorant = -np.log(np.maximum(counts, 1e-12))[labels]
    informed = False
    for featurise in (
        lambda sequences: kmer_features(sequences, alphabet=train.alphabet),
        lambda sequences: onehot_features(sequences, width, alphabet=train.alphabet),
    ):
        model = make_pipeline(MaxAbsScaler(), LogisticRegression(C=0.1, max_iter=500))
        model.fit(featurise(learned), train.labels[chosen])
        given, other = (_losses(model, featurise(sequences), labels) for sequences in (texts, turned))
        if _rises(given, other):
            return True
        informed |= _rises(given, ignorant)
    return not informed


def _losses(model: object, features: object, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    columns = np.searchsorted(model.classes_, labels)  # type: ignore[attr-defined]
    of_truth = model.predict_proba(features)[np.arange(len(labels)), columns]  # type: ignore[attr-defined]
    losses: NDArray[np.float64] = -np.log(np.maximum(of_truth, 1e-12))
    return losses


def _rises(before: NDArray[np.float64], after: NDArray[np.float64]) -> bool:
    """Whether losses of the same sequences rise, by more than three standard errors."""
    change = after - before
    return bool(change.mean() > DIFFERENT * change.std() / np.sqrt(len(change)))
