"""What is known of a sequence: its class, a set of labels, or measured values.

Each kind knows how its labels are written in a table, what arrays they become, which of them a split deals in
proportion, and what nothing can be learned from. It is half of a kind of target: `gulmfit.report.kinds.kind.Kind` has
the other half, what predictions are judged by, and names this one.

Shapes: `N` sequences, `C` classes, labels or values.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError
from gulmfit.seq.cells import SEPARATOR as SEPARATOR
from gulmfit.seq.cells import warn_of_names
from gulmfit.seq.formats.tables import not_one_of
from gulmfit.seq.labels.label_text import class_name, number
from gulmfit.seq.labels.use import only_scored

Labels = npt.NDArray[Any]
Names = list[str]
Texts = Sequence[str]

CLASSES, LABEL_SETS, VALUES = "classes", "label_sets", "values"

_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
MIN_STRATUM = 20  # sequences; fewer cannot be dealt to parts of a tenth in proportion
_MAX_QUANTILES = 10

KINDS: "dict[str, type[TargetKind]]" = {}
"""Every kind that is defined, by name."""


class TargetKind(ABC):
    """How one kind of label is read and held. A subclass with a name of its own is known by it once it is defined.

    Attributes:
        name: What configurations and files call it.
        column: What the column of known labels is called in a file of predictions; by default the name.
        dtype: Of the array of labels.
        exclusive: Whether one of the names holds of each sequence: probabilities add up to 1, and of two names one is
            the positive one.
        both_strands: Whether a sequence has labels of both its strands.
        probabilities: Whether what is predicted are probabilities; else they are numbers of any size.
        needed_everywhere: Whether every part of a split must hold every class or label.
        needs_all: Whether data that a model is scored on must have all of its names.
        few: Least number of classes, labels or values.
        one: What messages call one of the names.
        many: What they call several.
        joined_by: What stands between the names of one sequence's labels, and in none of them.
    """

    name: ClassVar[str]
    column: ClassVar[str]
    dtype: ClassVar[npt.DTypeLike] = np.int64
    exclusive: ClassVar[bool] = False
    both_strands: ClassVar[bool] = False
    probabilities: ClassVar[bool] = True
    needed_everywhere: ClassVar[bool] = False
    needs_all: ClassVar[bool] = False
    few: ClassVar[int] = 2
    one: ClassVar[str] = "class"
    many: ClassVar[str] = "classes"
    joined_by: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        if "name" in cls.__dict__:
            cls.column = cls.__dict__.get("column", cls.name)
            KINDS[cls.name] = cls

    @abstractmethod
    def read(
        self, cells: Sequence[Texts], columns: Texts, places: Texts, source: str, declared: Texts | None = None
    ) -> tuple[Labels, Names]:
        """Turn the texts of label columns into labels and the names of classes, labels or values.

        Args:
            cells: The text of each label column, for each record (N).
            columns: What these columns are called.
            places: Where each record stands (N), for messages.
            source: What messages call the whole.
            declared: All names in the wanted order; those found, sorted, if None.

        Raises:
            DataError: A cell is not of this kind, naming record and column; or there are too few names.
        """

    def array(self, labels: npt.ArrayLike) -> Labels:
        """Return labels as an array of this kind's type and dimensions."""
        return np.asarray(labels, self.dtype)

    def turned(self, label: Any) -> Any:
        """Return the label of the other strand of a sequence: the same, unless places have labels."""
        return label

    def differ(self, label: Any, other: Any) -> bool:
        """Tell whether two labels contradict each other."""
        return bool(np.any(label != other))

    def batch(self, labels: list[Any]) -> Any:
        """Return the labels of a batch, plain numbers or lists of them, in equal shapes: as they are, by default."""
        return labels

    @abstractmethod
    def check(self, labels: Labels, names: Sequence[str], ids: Sequence[str]) -> None:
        """Raise DataError where labels and names do not fit each other, naming the record."""

    def fits(self, labels: Labels, sequences: Texts, places: Texts) -> None:  # noqa: B027, most have nothing to check
        """Raise DataError where labels do not fit the letters of their sequence, naming its place."""

    def choices(self, labels: Labels) -> list[npt.NDArray[np.int64]]:
        """Return the class of each sequence `(N,)`, -1 where it is unknown, for each choice between classes that labels
        make: one for classes, one for each label of label sets, by default none."""
        return []

    @abstractmethod
    def strata(self, labels: Labels) -> npt.NDArray[np.int64]:
        """Number what a split deals in proportion, `(N,)`, from 0 without gaps where there is a choice."""

    @abstractmethod
    def held(self, labels: Labels, count: int) -> npt.NDArray[np.bool_]:
        """Tell which of `count` classes or labels occur, `(C,)`."""

    @abstractmethod
    def check_training(self, labels: Labels, names: Sequence[str], source: str) -> None:
        """Raise DataError where nothing can be learned from these labels of training sequences."""

    @abstractmethod
    def text(self, label: Any, names: Sequence[str]) -> str:
        """Write the label of one sequence."""

    def parse(self, texts: Texts, names: Sequence[str], path: str) -> Labels:
        """Undo `text` for the lines of a file, the first of which is its second.

        Raises:
            DataError: A text is not of this kind and these names.
        """
        cells = [text.split(SEPARATOR) for text in texts]
        places = [f"{path}, line {number}" for number in range(2, len(texts) + 2)]
        if wrong := [place for place, row in zip(places, cells, strict=True) if len(row) != len(names)]:
            raise DataError(f"{wrong[0]}: one {self.one} for each of {', '.join(names)} is needed.")
        return self.read(cells, names, places, path, names)[0]

    def reordered(self, labels: Labels, names: Sequence[str], wanted: Sequence[str]) -> Labels:
        """Return labels of some names as those of all wanted names; one that never occurs is there nowhere."""
        found = np.zeros((len(labels), len(wanted)), labels.dtype)
        found[:, [wanted.index(name) for name in names]] = labels
        return found

    def counts(self, labels: Labels, names: Sequence[str]) -> dict[str, Any]:
        """Sum up labels for a record of the data."""
        return dict(zip(names, labels.sum(axis=0).tolist(), strict=True))

    def _few(self, names: Sequence[str], columns: Sequence[str], source: str) -> None:
        few = 1 if only_scored() else self.few
        if len(set(names)) < max(few, len(names)):
            raise DataError(
                f"column {', '.join(map(repr, columns))} of {source} has {len(set(names))} distinct "
                f"{self._noun}, {list(names)}: {self._user} needs at least {_NUMBERS[self.few]}, each named once"
            )

    def _rows(
        self, read: Callable[[str, str, str], Any], cells: Sequence[Texts], columns: Texts, places: Texts
    ) -> tuple[Labels, Names]:
        """Read a column for each name."""
        rows = [
            [read(*one, place) for one in zip(row, columns, strict=True)]
            for row, place in zip(cells, places, strict=True)
        ]
        return self.array(rows).reshape(len(rows), len(columns)), list(columns)

    _noun: ClassVar[str] = "class(es)"
    _user: ClassVar[str] = "a classifier"


_NUMBERS = {1: "one", 2: "two"}


class Classes(TargetKind):
    """One class a sequence; labels are indices, `(N,)` int64."""

    name = CLASSES
    column = "label"
    exclusive = True
    needed_everywhere = True

    def read(
        self, cells: Sequence[Texts], columns: Texts, places: Texts, source: str, declared: Texts | None = None
    ) -> tuple[Labels, Names]:
        if len(columns) != 1:
            raise DataError(
                f"{source}: a class stands in one column, and {len(columns)} are named: {list(columns)}; several are "
                "for head=multi_label and head=regressor"
            )
        column = columns[0]
        found = [class_name(cell, column, place) for (cell,), place in zip(cells, places, strict=True)]
        names = sorted_names(found) if declared is None else [str(name) for name in declared]
        if declared is None:
            warn_of_names(found, column, source)
        self._few(names, columns, source)
        index = {name: number for number, name in enumerate(names)}
        for name, place in zip(found, places, strict=True):
            if name not in index:
                raise DataError(f"{place}: {column} {not_one_of(name, names)}")
        held = set(found)
        if (empty := [name for name in names if name not in held]) and not only_scored():
            raise DataError(f"no example of declared class {', '.join(map(repr, empty))}: found {sorted_names(found)}")
        return np.array([index[name] for name in found], np.int64), names

    def check(self, labels: Labels, names: Sequence[str], ids: Sequence[str]) -> None:
        wrong = np.flatnonzero((labels < 0) | (labels >= len(names)))
        if wrong.size:
            raise DataError(
                f"label {labels[wrong[0]]} of record {ids[wrong[0]]!r} is out of range: "
                f"{len(names)} classes, so 0 to {len(names) - 1}"
            )

    def choices(self, labels: Labels) -> list[npt.NDArray[np.int64]]:
        return [labels]

    def strata(self, labels: Labels) -> npt.NDArray[np.int64]:
        return labels

    def held(self, labels: Labels, count: int) -> npt.NDArray[np.bool_]:
        return np.bincount(labels, minlength=count) > 0

    def check_training(self, labels: Labels, names: Sequence[str], source: str) -> None:
        """Every split has seen to it."""

    def text(self, label: Any, names: Sequence[str]) -> str:
        return names[int(label)]

    def parse(self, texts: Texts, names: Sequence[str], path: str) -> Labels:
        check_known(texts, names, path)
        return self.array([names.index(text) for text in texts])

    def reordered(self, labels: Labels, names: Sequence[str], wanted: Sequence[str]) -> Labels:
        return self.array([wanted.index(names[label]) for label in labels])

    def counts(self, labels: Labels, names: Sequence[str]) -> dict[str, Any]:
        return dict(zip(names, np.bincount(labels, minlength=len(names)).tolist(), strict=True))


class Values(TargetKind):
    """Measured values; labels are `(N, C)` float64 in the units of the table, one column each."""

    name = VALUES
    dtype = np.float64
    one, many = "value", "values"
    probabilities = False
    needs_all = True
    few = 1
    _noun = "value(s)"
    _user = "head=regressor"

    def read(
        self, cells: Sequence[Texts], columns: Texts, places: Texts, source: str, declared: Texts | None = None
    ) -> tuple[Labels, Names]:
        self._few(columns, columns, source)
        return self._rows(number, cells, columns, places)

    def check(self, labels: Labels, names: Sequence[str], ids: Sequence[str]) -> None:
        check_columns(labels, names, "value")
        wrong = np.flatnonzero(~np.isfinite(labels).all(axis=1))
        if wrong.size:
            raise DataError(f"values of record {ids[wrong[0]]!r} are {labels[wrong[0]].tolist()}: all must be finite")

    def strata(self, labels: Labels) -> npt.NDArray[np.int64]:
        """A stratum is a quantile: of the values, or of the first principal component of the ranks of several."""
        score = labels[:, 0]
        if labels.shape[1] > 1:
            ranks = np.argsort(np.argsort(labels, axis=0, kind="stable"), axis=0, kind="stable")
            centred = ranks - ranks.mean(axis=0)
            direction = np.linalg.eigh(centred.T @ centred)[1][:, -1]
            score = centred @ (direction * np.sign(direction[np.abs(direction).argmax()]))
        bins = int(np.clip(len(labels) // MIN_STRATUM, 1, _MAX_QUANTILES))
        edges = np.quantile(score, np.linspace(0, 1, bins + 1)[1:-1]) if len(score) else np.zeros(0)
        return stratum_numbers(np.searchsorted(edges, score, side="left"))

    def held(self, labels: Labels, count: int) -> npt.NDArray[np.bool_]:
        return np.zeros(count, np.bool_)

    def check_training(self, labels: Labels, names: Sequence[str], source: str) -> None:
        constant = np.flatnonzero(np.ptp(labels, axis=0) == 0).tolist()
        if constant:
            raise DataError(
                f"{source}: {names[constant[0]]!r} is {labels[0, constant[0]]:g} in all {len(labels)} training "
                "sequences, so nothing can be learned of it; leave it out, or name another column"
            )

    def text(self, label: Any, names: Sequence[str]) -> str:
        return SEPARATOR.join(repr(float(value)) for value in label)

    def counts(self, labels: Labels, names: Sequence[str]) -> dict[str, Any]:
        return {
            name: {"mean": float(column.mean()), "sd": float(column.std())}
            for name, column in zip(names, labels.T, strict=True)
        }


def target_kind(name: str) -> TargetKind:
    """Return a kind by its name.

    Raises:
        DataError: If none of that name is defined.
    """
    if name not in KINDS:
        raise DataError(f"targets {not_one_of(name, list(KINDS))}")
    return KINDS[name]()


def check_known(found: Iterable[str], names: Sequence[str], path: str) -> None:
    if unknown := sorted(set(found) - set(names)):
        raise DataError(f"{path}: label {unknown[0]!r} is not one of the columns {', '.join(names)}.")


def check_columns(labels: Labels, names: Sequence[str], noun: str) -> None:
    if labels.ndim != 2 or labels.shape[1] != len(names):
        raise DataError(f"labels of shape {labels.shape} for {len(names)} names; one column a {noun} is needed")


def stratum_numbers(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number what occurs from 0 without gaps."""
    numbers: npt.NDArray[np.int64] = np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return numbers


def sorted_names(names: Iterable[str]) -> Names:
    unique = sorted(set(names))
    return sorted(unique, key=int) if all(_WHOLE.fullmatch(name) for name in unique) else unique
