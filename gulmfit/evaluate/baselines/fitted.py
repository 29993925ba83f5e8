"""Fitted baselines: they predict of sequences, and are saved as plain arrays and settings.

Shapes: `N` sequences, `P` features, `C` classes or values, `K` outputs of a model, `T` trees, `M` nodes of all trees.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gulmfit.errors import CheckpointError
from gulmfit.evaluate.baselines.inputs import Floats
from gulmfit.evaluate.baselines.naive_bayes import WordNaiveBayes
from gulmfit.evaluate.baselines.views import View

Arrays = Mapping[str, NDArray[Any]]

_WALKS = 1 << 18  # pairs of a sequence and a tree that are walked at once


class FittedBaseline(Protocol):
    """A baseline that has learned: `restore(baseline.settings(), baseline.to_arrays())` predicts the same."""

    name: str

    def predict(self, sequences: Sequence[str]) -> Floats:
        """Give the probabilities, or values, (N, C) of sequences."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the numbers that `predict` needs, by name."""

    def settings(self) -> dict[str, Any]:
        """Return what else `predict` needs, in plain words and numbers."""


@dataclass(frozen=True)
class Outputs:
    """How the outputs of a model become predictions.

    Args:
        columns: C.
        classes: Indices of the classes that the model knows; the others get probability 0. None for values.
    """

    columns: int
    classes: tuple[int, ...] | None = None

    def __call__(self, outputs: Floats) -> Floats:
        """Turn outputs (N, K) into predictions (N, C): one log-odds of two classes, else a score of each."""
        from scipy.special import expit, softmax

        if self.classes is None:
            return outputs
        if outputs.shape[1] == 1:
            second = expit(outputs)
            shares = np.hstack([1 - second, second])
        else:
            shares = softmax(outputs, axis=1)
        found = np.zeros((len(outputs), self.columns))
        found[:, list(self.classes)] = shares
        return found


@dataclass(eq=False)
class _Model(ABC):
    """A model whose arrays are the further fields of a subclass."""

    name: str
    view: View
    outputs: Outputs

    @abstractmethod
    def predict(self, sequences: Sequence[str]) -> Floats:
        """Give probabilities, or values, of sequences (N, C)."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        return {item.name: getattr(self, item.name) for item in fields(self)[3:]}

    def settings(self) -> dict[str, Any]:
        return {
            "kind": next(name for name, kind in KINDS.items() if kind is type(self)),
            "name": self.name,
            "view": self.view.to_dict(),
            "columns": self.outputs.columns,
            "classes": None if self.outputs.classes is None else list(self.outputs.classes),
        }


@dataclass(eq=False)
class _OfFeatures(_Model):
    """A model that sees features; a subclass says what it makes of them."""

    def predict(self, sequences: Sequence[str]) -> Floats:
        found = [self.outputs(self.decide(features)) for features in self.view.chunks(sequences)]
        return np.concatenate([*found, np.zeros((0, self.outputs.columns))])

    @abstractmethod
    def decide(self, features: Any) -> Floats:
        """Turn features (N, P) into outputs (N, K)."""


@dataclass(eq=False)
class Constant(_Model):
    """The same for every sequence: `row` (C,)."""

    row: Floats

    def predict(self, sequences: Sequence[str]) -> Floats:
        return np.tile(self.row, (len(sequences), 1))


@dataclass(eq=False)
class Linear(_OfFeatures):
    """Weighted features: `weights` (P, K) and `bias` (K,), standardisation included."""

    weights: Floats
    bias: Floats

    def decide(self, features: Any) -> Floats:
        found: Floats = features @ self.weights + self.bias
        return found


@dataclass(eq=False)
class Trees(_OfFeatures):
    """Boosted trees that ask which letter is at a position.

    A node sends a sequence to `left` if the letter at the position `feature` is one of `letters`, whose bits are the
    codes of letters, else to `right`; a leaf sends it to itself, and holds a `value`. All these are (M,).
    A tree begins at a node of `roots` (T,) and adds its leaf's value times `sums` (T, K); `start` (K,) is what trees
    add to.
    """

    start: Floats
    roots: NDArray[np.int32]
    sums: Floats
    feature: NDArray[np.int32]
    letters: NDArray[np.uint32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: Floats

    def __post_init__(self) -> None:
        """Make sure that every walk ends: a file from elsewhere might lead in circles or out of the tree."""
        nodes = np.arange(len(self.feature))
        below = np.stack([self.left, self.right])
        ends = (self.left == nodes) & (self.right == nodes)
        if not (np.all(ends | (below > nodes).all(0)) and below.max(initial=0) < len(nodes) == len(self.value)):
            raise CheckpointError("the trees of a baseline are damaged: a node leads back, or to none.")
        if not (np.all((self.roots >= 0) & (self.roots < len(nodes))) and np.all(self.feature >= 0)):
            raise CheckpointError("the trees of a baseline are damaged: a root or a position is out of range.")

    def decide(self, features: Any) -> Floats:
        step = max(1, _WALKS // max(1, len(self.roots)))
        found = [self._leaves(features[at : at + step]) for at in range(0, len(features), step)]
        return np.concatenate([self.value[leaves] @ self.sums for leaves in found]) + self.start

    def _leaves(self, letters: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Walk letters at positions (N, P) down all trees: (N, T)."""
        at = np.tile(self.roots, (len(letters), 1))
        rows = np.arange(len(letters))[:, None]
        while True:
            goes_left = self.letters[at] >> letters[rows, self.feature[at]] & 1
            below = np.where(goes_left, self.left[at], self.right[at])
            if np.array_equal(below, at):
                return at
            at = below


@dataclass(eq=False)
class Words(_OfFeatures):
    """Naive Bayes over the words of a sequence, as `WordNaiveBayes.to_arrays` gives it."""

    held_data: NDArray[Any]
    held_indices: NDArray[Any]
    held_indptr: NDArray[Any]
    priors: Floats
    sizes: NDArray[np.int64]

    def decide(self, features: Any) -> Floats:
        return WordNaiveBayes.from_arrays(self.to_arrays()).scores(features)


@dataclass(eq=False)
class Peer(_OfFeatures):
    """The weights of `gulmfit.models.peer_cnn`; `both_strands` () says whether it reads both."""

    filters: NDArray[np.float32]
    bias: NDArray[np.float32]
    head_weight: NDArray[np.float32]
    head_bias: NDArray[np.float32]
    both_strands: NDArray[np.bool_]

    def decide(self, features: Any) -> Floats:
        from gulmfit.models.peer_cnn import peer_outputs

        weights = self.to_arrays()
        both = bool(weights.pop("both_strands"))
        found: Floats = peer_outputs(weights, features, both)
        return found


KINDS: dict[str, type[_Model]] = {"constant": Constant, "linear": Linear, "trees": Trees, "words": Words, "peer": Peer}


def restore(settings: Mapping[str, Any], arrays: Arrays) -> FittedBaseline:
    """Make a baseline from what its `settings` and `to_arrays` gave.

    Raises:
        CheckpointError: It is of a kind that this version does not know, or lacks an array.
    """
    name, kind = settings.get("name"), settings.get("kind")
    if kind not in KINDS:
        raise CheckpointError(
            f"baseline {name!r} is of the kind {kind!r}, and this version knows {', '.join(KINDS)}. Use the version "
            "that saved it."
        )
    wanted = [item.name for item in fields(KINDS[kind])[3:]]
    if missing := [item for item in wanted if item not in arrays]:
        raise CheckpointError(f"baseline {name!r} lacks {', '.join(missing)}; was a file of it lost?")
    classes = settings["classes"]
    outputs = Outputs(settings["columns"], None if classes is None else tuple(classes))
    return KINDS[kind](
        settings["name"], View.from_dict(settings["view"]), outputs, **{item: arrays[item] for item in wanted}
    )
