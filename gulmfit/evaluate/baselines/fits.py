"""What baselines of classes and of values share: their features, fits tuned on validation, and a cache of results.

Shapes: `N` sequences, `P` features.
"""

import functools
import hashlib
import json
import logging
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gulmfit.evaluate.baselines.inputs import (
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
from gulmfit.files import remove_unfinished, whole_file
from gulmfit.seq.alphabet import Alphabet

log = logging.getLogger(__name__)

OF_NUCLEOTIDES, OF_PROTEINS = ("gc", "dinucleotide"), ("composition",)

VERSION = 2  # of what is computed by all baselines: raise it with any change, and cached results are not used

MAX_POSITIONS = 1000  # positional features stop here
MAX_TRAIN = 50_000  # sequences fitted on; more change models of this size very little
DEFAULT_TREES = 100
MAX_TREES = 500
PATIENCE = 20  # trees in a row that do not lower the loss on the validation sequences end the search for a number
TREE = {"learning_rate": 0.1, "max_leaf_nodes": 31, "min_samples_leaf": 20}  # as scikit-learn has them

_CHUNK = 4096  # sequences whose features are held at once

Featurise = Callable[[Sequence[str]], Any]
Held = tuple[Any, NDArray[Any]] | None
"""Features (N, P) and targets of the validation part; None without one."""
Fit = Callable[[Any, Held], Callable[[Any], Floats]]
"""Fits a baseline to features of the training part (N, P); what it returns predicts of features."""


class Part(NamedTuple):
    """Sequences and what is known of them: class indices (N,) or values (N, C)."""

    sequences: Sequence[str]
    targets: NDArray[Any]


def of_alphabet(names: Sequence[str], alphabet: Alphabet) -> list[str]:
    """Return the baselines that there are for an alphabet."""
    foreign = OF_PROTEINS if alphabet.complements else OF_NUCLEOTIDES
    return [name for name in names if name not in foreign]


def usable(names: Sequence[str], alphabet: Alphabet, train: Part) -> list[str]:
    """Return the baselines of an alphabet, without `length` where all training sequences have one length."""
    alike = len(set(map(len, train.sequences))) == 1
    return [name for name in of_alphabet(names, alphabet) if not (alike and name == "length")]


def _sequence_features(alphabet: Alphabet, train: Part) -> dict[str, Featurise]:
    """What each baseline sees of sequences."""
    width = min(MAX_POSITIONS, max(map(len, train.sequences)))
    kmers, pairs, letters = (
        functools.partial(kmer_features, k=k, alphabet=alphabet) for k in (kmer_length(alphabet), 2, 1)
    )
    onehot = functools.partial(onehot_features, width=width, alphabet=alphabet)
    return {
        "length": length_features,
        "gc": gc_features,
        "composition": letters,
        "dinucleotide": pairs,
        **dict.fromkeys(("kmer_logistic", "kmer_ridge"), kmers),
        **dict.fromkeys(("onehot_logistic", "onehot_ridge"), onehot),
        "onehot_boosting": functools.partial(positional_features, width=width, alphabet=alphabet),
        "kmer_naive_bayes": functools.partial(word_features, k=word_length(alphabet), alphabet=alphabet),
    }


def _features_of(featurise: Featurise, sequences: Sequence[str]) -> Any:
    """Gather the features (N, P) of sequences, chunk by chunk."""
    from scipy.sparse import issparse, vstack

    parts = list(_chunks(featurise, sequences))
    return vstack(parts, format="csr") if issparse(parts[0]) else np.concatenate(parts)


def _chunks(featurise: Featurise, sequences: Sequence[str]) -> Iterator[Any]:
    """Yield the features of as many sequences as are held at once."""
    for start in range(0, len(sequences), _CHUNK):
        yield featurise(sequences[start : start + _CHUNK])


def at_most(train: Part, seed: int, kept: NDArray[np.int64]) -> Part:
    """Draw 50,000 of more training sequences; those with the indices `kept` stay in."""
    if len(train.targets) <= MAX_TRAIN:
        return train
    log.warning("baselines are fitted on %d of %d training sequences", MAX_TRAIN, len(train.targets))
    others = np.setdiff1d(np.arange(len(train.targets)), kept)
    drawn = np.random.default_rng(seed).permutation(others)[: max(0, MAX_TRAIN - len(kept))]
    chosen = np.sort(np.concatenate([kept, drawn]))
    return Part([train.sequences[index] for index in chosen], train.targets[chosen])


def fit_linear(
    models: Sequence[Any], features: Any, targets: NDArray[Any], valid: Held, loss: Callable[..., float]
) -> Any:
    """Fit linear models, and return the one of least `loss(model, features, targets)` on the validation part.

    Args:
        models: One for each strength of regularisation; the first is returned without a validation part.
        features: (N, P). They are standardised, but sparse ones, which are one-hot.
        targets: Class indices (N,) or values (N, C).
        valid: To choose on.
        loss: What is to be least.
    """
    from scipy.sparse import issparse
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scale = "passthrough" if issparse(features) else StandardScaler()
    fitted = [make_pipeline(scale, model).fit(features, targets) for model in models]
    return fitted[0] if valid is None else min(fitted, key=lambda model: loss(model, *valid))


def fit_trees(kind: Any, features: Any, targets: NDArray[Any], valid: Held, seed: int) -> Any:
    """Fit boosted trees on the letter at each position, as many trees as the validation part likes best.

    A letter is a category of its position, and a tree splits it by any set of letters. On 6,764 promoters of 81 bp in
    grouped folds that gives the AUC of splits by one-hot columns (.90) in half of the time.
    """
    settings = {**TREE, "categorical_features": np.arange(features.shape[1]), "random_state": seed}
    trees = DEFAULT_TREES
    if valid is not None:
        # Not judged on a random part of the training sequences, which would separate those that are alike.
        trial = kind(**settings, max_iter=MAX_TREES, early_stopping=True, n_iter_no_change=PATIENCE)
        trial.fit(features, targets, X_val=valid[0], y_val=valid[1])
        trees = max(1, int(np.argmax(trial.validation_score_)))  # it goes on for a while after the best one
    return kind(**settings, max_iter=trees, early_stopping=False).fit(features, targets)


def predict_each(
    fits: Mapping[str, Fit], alphabet: Alphabet, train: Part, valid: Part, sequences: Sequence[str], columns: int
) -> dict[str, Floats]:
    """Fit baselines one by one, by name, and predict (N, `columns`) of sequences."""
    features, found = _sequence_features(alphabet, train), {}
    for name, fit in fits.items():
        what = features[name]
        held = (_features_of(what, valid.sequences), valid.targets) if len(valid.targets) else None
        predict = fit(_features_of(what, train.sequences), held)
        found[name] = np.concatenate([*map(predict, _chunks(what, sequences)), np.zeros((0, columns))])
    return found


def cached(
    run: Callable[[], dict[str, Floats]],
    cache_dir: Path | None,
    stem: str,
    parts: Sequence[Part],
    settings: Mapping[str, Any],
    expected: tuple[Sequence[str], tuple[int, int]],
) -> dict[str, Floats]:
    """Return what baselines predicted before for the same parts and settings, or run them and keep what they predict.

    Results that cannot be read or written are told in the log; the baselines are then run.

    Args:
        run: Fits the baselines and predicts.
        cache_dir: Folder of kept results, made if missing; None for none.
        stem: First part of the file's name.
        parts: What is fitted, tuned and predicted.
        settings: What else the results depend on, with that of all baselines.
        expected: Names of the baselines, in order, and shape of the array of each.
    """
    if cache_dir is None:
        return run()
    path = Path(cache_dir) / f"{stem}-{_digest(parts, settings)}.npz"
    found = _recall(path, *expected)
    if found is None:
        found = run()
        remove_unfinished(path)
        try:
            with whole_file(path, sync=False, kind=None) as unfinished, unfinished.open("wb") as handle:
                np.savez(handle, **found)  # type: ignore[arg-type]
        except OSError as error:
            log.warning("%s: results of baselines cannot be kept (%s)", path, error)
    return found


def _recall(path: Path, names: Sequence[str], shape: tuple[int, int]) -> dict[str, Floats] | None:
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:  # an archive that checks the sum of each array
            found = {name: kept[name] for name in kept.files}
        if list(found) != list(names) or any(array.shape != shape for array in found.values()):
            raise ValueError(f"it holds {', '.join(found)}")
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        log.warning("%s: kept results of baselines are damaged (%s); they are fitted again", path, error)
        return None
    log.info("baselines of this split were fitted before: %s", path)
    return found


def _digest(parts: Sequence[Part], settings: Mapping[str, Any]) -> str:
    """SHA-256 of everything that the results depend on."""
    import sklearn

    shared = [VERSION, sklearn.__version__, MAX_POSITIONS, MAX_TRAIN, DEFAULT_TREES, MAX_TREES, PATIENCE, TREE]
    digest = hashlib.sha256(json.dumps([shared, settings]).encode())
    for part in parts:
        # Lengths stand before what they are of, so that no two splits read alike.
        digest.update(f"{len(part.sequences)},{part.targets.shape};".encode())
        digest.update(part.targets.astype(part.targets.dtype.newbyteorder("<")).tobytes())
        for text in part.sequences:
            digest.update(f"{len(text)}:{text}".encode())
    return digest.hexdigest()
