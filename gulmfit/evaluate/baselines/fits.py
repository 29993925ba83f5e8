"""What baselines of classes and of values share: what they see, fits tuned on validation, and a cache of results.

Shapes: `N` sequences, `P` features.
"""

import hashlib
import json
import logging
import operator
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gulmfit.evaluate.baselines.fitted import FittedBaseline, Linear, Outputs
from gulmfit.evaluate.baselines.inputs import Floats, kmer_length, word_length
from gulmfit.evaluate.baselines.views import View
from gulmfit.files import remove_unfinished, whole_file
from gulmfit.seq.alphabet import Alphabet

log = logging.getLogger(__name__)

OF_NUCLEOTIDES, OF_PROTEINS = ("gc", "dinucleotide"), ("composition",)

VERSION = 4  # of what is computed by all baselines: raise it with any change, and cached results are not used

MAX_POSITIONS = 1000  # positional features stop here
MAX_TRAIN = 50_000  # sequences fitted on; more change models of this size very little
DEFAULT_TREES = 100
MAX_TREES = 500
PATIENCE = 20  # trees in a row that do not lower the loss on the validation sequences end the search for a number
LENGTHS, LENGTHS_OF_PROTEINS = (6, 5, 4, 7), (2, 1, 3)  # of k-mers, the likeliest first
HALF, HALF_OF_PROTEINS = 3, 1  # letters on either side of a gap
GAPS = 11  # gaps of 0 to 10 letters
# What keeps a baseline within a minute of one core: letters, each counted once for every fit or time it is met.
MOST_LETTERS = {
    "canonical_kmer_logistic": 24_000_000,
    "canonical_kmer_ridge": 24_000_000,
    "gapped_kmer_logistic": 4_000_000,
    "cnn": 12_000_000,
}
TREE = {"learning_rate": 0.1, "max_leaf_nodes": 31, "min_samples_leaf": 20}  # as scikit-learn has them


Held = tuple[Any, NDArray[Any]] | None
"""Features (N, P) and targets of the validation part; None without one."""


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


def views_of(alphabet: Alphabet, train: Part) -> dict[str, View]:
    """Return what each baseline sees of sequences."""
    width = {"width": min(MAX_POSITIONS, max(map(len, train.sequences)))}
    kmers, onehot = View("kmers", alphabet, {"k": kmer_length(alphabet)}), View("onehot", alphabet, width)
    return {
        "length": View("length", alphabet),
        "gc": View("gc", alphabet),
        "composition": View("kmers", alphabet, {"k": 1}),
        "dinucleotide": View("kmers", alphabet, {"k": 2}),
        **dict.fromkeys(("kmer_logistic", "kmer_ridge"), kmers),
        **dict.fromkeys(("onehot_logistic", "onehot_ridge"), onehot),
        "onehot_boosting": View("positions", alphabet, width),
        "kmer_naive_bayes": View("words", alphabet, {"k": word_length(alphabet)}),
    }


def word_views(alphabet: Alphabet, stranded: bool) -> dict[str, list[View]]:
    """Return what baselines of words may see; the first of each is seen where there is nothing to choose on."""
    canonical = bool(alphabet.complements) and not stranded
    lengths, half = (LENGTHS, HALF) if alphabet.complements else (LENGTHS_OF_PROTEINS, HALF_OF_PROTEINS)
    return {
        "canonical": [View("spectrum", alphabet, {"k": k, "canonical": canonical}) for k in lengths],
        "gapped": [View("gapped", alphabet, {"half": half, "gaps": GAPS, "canonical": canonical})],
    }


def at_most(
    train: Part, seed: int, kept: NDArray[np.int64], most: int | None = None, what: str = "baselines are"
) -> Part:
    """Draw `most` of more training sequences, 50,000 if None; those with the indices `kept` stay in."""
    most = MAX_TRAIN if most is None else most
    if len(train.targets) <= most:
        return train
    log.warning("%s fitted on %d of %d training sequences", what, most, len(train.targets))
    others = np.setdiff1d(np.arange(len(train.targets)), kept)
    drawn = np.random.default_rng(seed).permutation(others)[: max(0, most - len(kept))]
    chosen = np.sort(np.concatenate([kept, drawn]))
    return Part([train.sequences[index] for index in chosen], train.targets[chosen])


def seen(view: View, train: Part, valid: Part) -> tuple[Any, Held]:
    """Give what is seen of the training part and, with the targets, of the validation part."""
    held = (view.whole(valid.sequences), valid.targets) if len(valid.targets) else None
    return view.whole(train.sequences), held


def fit_linear(
    name: str,
    views: Sequence[View],
    models: Sequence[Any],
    train: Part,
    valid: Part,
    loss: Callable[..., float],
    outputs: Outputs,
) -> Linear:
    """Fit linear models to views of the training part, and return the one that the validation part likes best.

    Args:
        name: Of the baseline.
        views: What may be seen; the first is taken without a validation part. Dense features are standardised; sparse
            ones, which say what is there at all, are not.
        models: One of scikit-learn's for each strength of regularisation; the first is taken without a validation part.
        train: To fit.
        valid: To choose on.
        loss: What is to be least: `loss(model, features, targets)`.
        outputs: What becomes of the outputs.
    """
    from scipy.sparse import issparse
    from sklearn.base import clone
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def tried() -> Iterator[tuple[float, View, Any]]:
        for view in views:
            features, held = seen(view, train, valid)
            for model in models:
                scale = "passthrough" if issparse(features) else StandardScaler()
                fitted = make_pipeline(scale, clone(model)).fit(features, train.targets)
                yield 0.0 if held is None else loss(fitted, *held), view, fitted

    _, view, (scale, model) = min(tried(), key=operator.itemgetter(0)) if len(valid.targets) else next(tried())
    weights, bias = np.atleast_2d(model.coef_).T, np.ravel(model.intercept_)
    if scale != "passthrough":
        weights = weights / scale.scale_[:, None]
        bias = bias - scale.mean_ @ weights
    return Linear(name, view, outputs, weights, bias)


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


def affordable(name: str, train: Part, times: float) -> int:
    """Return how many of the training sequences a baseline has time for, if it fits them `times` times."""
    mean = sum(map(len, train.sequences)) / len(train.sequences)
    return max(1, int(MOST_LETTERS[name] / (times * max(mean, 1))))


def tree_arrays(models: Sequence[Any], features: NDArray[np.uint8], alphabet: Alphabet) -> dict[str, NDArray[Any]]:
    """Return boosted trees of scikit-learn as `gulmfit.evaluate.baselines.fitted.Trees` has them.

    Args:
        models: One, or one for each value.
        features: Codes of letters (N, P) that they were fitted on.
        alphabet: What the letters are.
    """
    # scikit-learn counts the letters that it met at a position; one that it did not meet goes where missing ones go.
    letters = np.arange(len(alphabet) + 1)
    met = np.stack([(features == letter).any(axis=0) for letter in letters], axis=1)  # (P, letters)
    ranks = np.where(met, met.cumsum(axis=1) - 1, 0)
    into, found, size, column = [], [], 0, 0
    for model in models:
        for tree_of_output in model._predictors:
            for output, tree in enumerate(tree_of_output):
                nodes, leaf = tree.nodes, tree.nodes["is_leaf"].astype(bool)
                own = np.arange(size, size + len(nodes))
                feature = np.where(leaf, 0, nodes["feature_idx"])
                sets = np.concatenate([tree.raw_left_cat_bitsets[:, 0], np.zeros(1, dtype=np.uint32)]).astype(np.int64)
                chosen = sets[np.where(leaf, len(sets) - 1, nodes["bitset_idx"])][:, None] >> ranks[feature] & 1
                goes = np.where(met[feature], chosen, nodes["missing_go_to_left"][:, None])
                below = (np.where(leaf, own, nodes[side].astype(np.int64) + size) for side in ("left", "right"))
                found.append((feature, (goes << letters).sum(axis=1), *below, np.where(leaf, nodes["value"], 0.0)))
                into.append((size, column + output))
                size += len(nodes)
        column += model.n_trees_per_iteration_
    roots, outputs = np.array(into, dtype=np.int32).T
    start = np.concatenate([np.ravel(model._baseline_prediction) for model in models])
    joined = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    kinds = {"feature": np.int32, "letters": np.uint32, "left": np.int32, "right": np.int32, "value": np.float64}
    return {
        "start": start,
        "roots": roots,
        "sums": np.eye(len(start))[outputs],
        **{name: part.astype(kind) for (name, kind), part in zip(kinds.items(), joined, strict=True)},
    }


def fit_each(fits: Mapping[str, Callable[[str], FittedBaseline]]) -> dict[str, FittedBaseline]:
    """Fit baselines one by one, by name, and tell the seconds of each."""
    found = {}
    for name, fit in fits.items():
        start = time.perf_counter()
        found[name] = fit(name)
        log.info("baseline %s: fitted in %.1f s", name, time.perf_counter() - start)
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
    shared += [LENGTHS, LENGTHS_OF_PROTEINS, HALF, HALF_OF_PROTEINS, GAPS, MOST_LETTERS]
    digest = hashlib.sha256(json.dumps([shared, settings]).encode())
    for part in parts:
        # Lengths stand before what they are of, so that no two splits read alike.
        digest.update(f"{len(part.sequences)},{part.targets.shape};".encode())
        digest.update(part.targets.astype(part.targets.dtype.newbyteorder("<")).tobytes())
        for text in part.sequences:
            digest.update(f"{len(text)}:{text}".encode())
    return digest.hexdigest()
