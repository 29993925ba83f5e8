"""What is known of a sequence: its class, a set of labels, or measured values.

Each kind knows how its labels are written in a table, what arrays they become, which of them a split deals in
proportion, and what nothing can be learned from. Classifiers, losses and scores name the kind that they are for.

Shapes: `N` sequences, `C` classes, labels or values.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError
from gulmfit.seq.cells import SEPARATOR as SEPARATOR
from gulmfit.seq.cells import check_no_container, warn_of_names
from gulmfit.seq.tables import not_one_of

Labels = npt.NDArray[Any]
Names = list[str]

CLASSES, LABEL_SETS, VALUES = "classes", "label_sets", "values"

_NOT_A_CLASS = re.compile(r"[+-]?((\d+\.\d*|\.\d+|\d+(?=e))(e[+-]?\d+)?|nan|inf|infinity)", re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_YES_NO = {"1": 1, "0": 0, "1.0": 1, "0.0": 0, "true": 1, "false": 0}
_MIN_STRATUM = 20  # sequences; fewer cannot be dealt to parts of a tenth in proportion
_MAX_QUANTILES = 10


class TargetKind(ABC):
    """One kind of what is known of sequences.

    Attributes:
        name: What configurations and files call it.
        needed_everywhere: Whether every part of a split must hold every class or label.
        few: Least number of classes, labels or values.
        one: What messages call one of the names.
        joined_by: What stands between the names of one sequence's labels, and in none of them.
    """

    name: ClassVar[str]
    needed_everywhere: ClassVar[bool] = False
    few: ClassVar[int] = 2
    one: ClassVar[str] = "class"
    joined_by: ClassVar[str] = ""

    @abstractmethod
    def read(
        self,
        cells: Sequence[Sequence[str]],
        columns: Sequence[str],
        places: Sequence[str],
        source: str,
        declared: Sequence[str] | None = None,
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

    @abstractmethod
    def array(self, labels: npt.ArrayLike) -> Labels:
        """Return labels as an array of this kind's type and dimensions."""

    @abstractmethod
    def check(self, labels: Labels, names: Sequence[str], ids: Sequence[str]) -> None:
        """Raise DataError where labels and names do not fit each other, naming the record."""

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

    def counts(self, labels: Labels, names: Sequence[str]) -> dict[str, Any]:
        """Sum up labels for a record of the data."""
        return dict(zip(names, labels.sum(axis=0).tolist(), strict=True))

    def _few(self, names: Sequence[str], columns: Sequence[str], source: str) -> None:
        if len(set(names)) < max(self.few, len(names)):
            raise DataError(
                f"column {', '.join(map(repr, columns))} of {source} has {len(set(names))} distinct "
                f"{self._noun}, {list(names)}: {self._user} needs at least {_NUMBERS[self.few]}, each named once"
            )

    _noun: ClassVar[str] = "class(es)"
    _user: ClassVar[str] = "a classifier"


_NUMBERS = {1: "one", 2: "two"}


class Classes(TargetKind):
    """One class a sequence; labels are indices, `(N,)` int64."""

    name = CLASSES
    needed_everywhere = True

    def read(
        self,
        cells: Sequence[Sequence[str]],
        columns: Sequence[str],
        places: Sequence[str],
        source: str,
        declared: Sequence[str] | None = None,
    ) -> tuple[Labels, Names]:
        if len(columns) != 1:
            raise DataError(
                f"{source}: a class stands in one column, and {len(columns)} are named: {list(columns)}; several are "
                "for head=multi_label and head=regressor"
            )
        column = columns[0]
        found = [_class_name(cell, column, place) for (cell,), place in zip(cells, places, strict=True)]
        names = _sorted(found) if declared is None else [str(name) for name in declared]
        if declared is None:
            warn_of_names(found, column, source)
        self._few(names, columns, source)
        index = {name: number for number, name in enumerate(names)}
        for name, place in zip(found, places, strict=True):
            if name not in index:
                raise DataError(f"{place}: {column} {not_one_of(name, names)}")
        held = set(found)
        if empty := [name for name in names if name not in held]:
            raise DataError(f"no example of declared class {', '.join(map(repr, empty))}: found {_sorted(found)}")
        return np.array([index[name] for name in found], np.int64), names

    def array(self, labels: npt.ArrayLike) -> Labels:
        return np.asarray(labels, np.int64)

    def check(self, labels: Labels, names: Sequence[str], ids: Sequence[str]) -> None:
        wrong = np.flatnonzero((labels < 0) | (labels >= len(names)))
        if wrong.size:
            raise DataError(
                f"label {labels[wrong[0]]} of record {ids[wrong[0]]!r} is out of range: "
                f"{len(names)} classes, so 0 to {len(names) - 1}"
            )

    def strata(self, labels: Labels) -> npt.NDArray[np.int64]:
        return labels

    def held(self, labels: Labels, count: int) -> npt.NDArray[np.bool_]:
        return np.bincount(labels, minlength=count) > 0

    def check_training(self, labels: Labels, names: Sequence[str], source: str) -> None:
        """Every split has seen to it."""

    def text(self, label: Any, names: Sequence[str]) -> str:
        return names[int(label)]

    def counts(self, labels: Labels, names: Sequence[str]) -> dict[str, Any]:
        return dict(zip(names, np.bincount(labels, minlength=len(names)).tolist(), strict=True))


class LabelSets(TargetKind):
    """Any number of labels a sequence, none included; labels are `(N, C)` int64, 1 where one is there.

    They stand in one column, names joined by `;`, or in a column of 0 and 1 for each.
    """

    name = LABEL_SETS
    one = "label"
    joined_by = SEPARATOR
    _noun = "label(s)"
    _user = "head=multi_label"

    def read(
        self,
        cells: Sequence[Sequence[str]],
        columns: Sequence[str],
        places: Sequence[str],
        source: str,
        declared: Sequence[str] | None = None,
    ) -> tuple[Labels, Names]:
        if len(columns) > 1:
            self._few(columns, columns, source)
            rows = [
                [_yes_no(cell, column, place) for cell, column in zip(row, columns, strict=True)]
                for row, place in zip(cells, places, strict=True)
            ]
            return np.array(rows, np.int64).reshape(len(rows), len(columns)), list(columns)
        sets = [_label_set(cell, columns[0], place) for (cell,), place in zip(cells, places, strict=True)]
        names = _sorted(name for one in sets for name in one) if declared is None else [str(item) for item in declared]
        if declared is None:
            warn_of_names([name for one in sets for name in one], columns[0], source, sets=True)
        self._few(names, columns, source)
        index = {name: number for number, name in enumerate(names)}
        labels = np.zeros((len(sets), len(names)), np.int64)
        for row, (one, place) in enumerate(zip(sets, places, strict=True)):
            for name in one:
                if name not in index:
                    raise DataError(f"{place}: {columns[0]} {not_one_of(name, names)}")
                labels[row, index[name]] = 1
        return labels, names

    def array(self, labels: npt.ArrayLike) -> Labels:
        return np.asarray(labels, np.int64)

    def check(self, labels: Labels, names: Sequence[str], ids: Sequence[str]) -> None:
        _check_columns(labels, names, "label")
        wrong = np.flatnonzero(((labels != 0) & (labels != 1)).any(axis=1))
        if wrong.size:
            raise DataError(f"labels of record {ids[wrong[0]]!r} are {labels[wrong[0]].tolist()}: each is 0 or 1")

    def strata(self, labels: Labels) -> npt.NDArray[np.int64]:
        """A stratum is a label set. Sets of few sequences are dealt by the rarest of their labels, where that is still
        too few together with the other sets in which it is the rarest."""
        sets = np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)
        few = np.bincount(sets)[sets] < _MIN_STRATUM
        frequency = np.where(labels == 1, labels.sum(axis=0), len(labels) + 1)
        rarest = np.where(labels.any(axis=1), frequency.argmin(axis=1), labels.shape[1])
        pools = np.bincount(rarest[few], minlength=labels.shape[1] + 1)
        few |= (pools > 0)[rarest] & (pools < _MIN_STRATUM)[rarest]
        strata = _numbered(np.where(few, sets.max(initial=0) + 1 + rarest, sets))
        sizes = np.bincount(strata, minlength=1)
        left = sizes[strata] < _MIN_STRATUM
        if 0 < left.sum() < _MIN_STRATUM:  # too few even together: they go with the most frequent
            left |= strata == sizes.argmax()
        return _numbered(np.where(left, len(sizes), strata))

    def held(self, labels: Labels, count: int) -> npt.NDArray[np.bool_]:
        return np.asarray(labels.any(axis=0))

    def check_training(self, labels: Labels, names: Sequence[str], source: str) -> None:
        share = labels.mean(axis=0)
        for found, what in ((share == 0, "no training sequence"), (share == 1, "every training sequence")):
            if found.any():
                missing = ", ".join(repr(names[label]) for label in np.flatnonzero(found).tolist())
                raise DataError(
                    f"{source}: {what} ({len(labels)} in all) has the label {missing}, so nothing can be learned of "
                    "it; give it more sequences, leave it out, or use another split"
                )

    def text(self, label: Any, names: Sequence[str]) -> str:
        return SEPARATOR.join(name for name, there in zip(names, label, strict=True) if there)


class Values(TargetKind):
    """Measured values; labels are `(N, C)` float64 in the units of the table, one column each."""

    name = VALUES
    one = "value"
    few = 1
    _noun = "value(s)"
    _user = "head=regressor"

    def read(
        self,
        cells: Sequence[Sequence[str]],
        columns: Sequence[str],
        places: Sequence[str],
        source: str,
        declared: Sequence[str] | None = None,
    ) -> tuple[Labels, Names]:
        self._few(columns, columns, source)
        rows = [
            [_number(cell, column, place) for cell, column in zip(row, columns, strict=True)]
            for row, place in zip(cells, places, strict=True)
        ]
        return np.array(rows, np.float64).reshape(len(rows), len(columns)), list(columns)

    def array(self, labels: npt.ArrayLike) -> Labels:
        return np.asarray(labels, np.float64)

    def check(self, labels: Labels, names: Sequence[str], ids: Sequence[str]) -> None:
        _check_columns(labels, names, "value")
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
        bins = int(np.clip(len(labels) // _MIN_STRATUM, 1, _MAX_QUANTILES))
        edges = np.quantile(score, np.linspace(0, 1, bins + 1)[1:-1]) if len(score) else np.zeros(0)
        return _numbered(np.searchsorted(edges, score, side="left"))

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


KINDS: dict[str, TargetKind] = {kind.name: kind for kind in (Classes(), LabelSets(), Values())}


def target_kind(name: str) -> TargetKind:
    """Return a kind by its name.

    Raises:
        DataError: If there is none of that name.
    """
    if name not in KINDS:
        raise DataError(f"targets {not_one_of(name, list(KINDS))}")
    return KINDS[name]


def _class_name(label: str, column: str, place: str) -> str:
    name = str(label).strip()
    if not name:
        raise DataError(f"{place}: empty {column}; every record needs a class")
    check_no_container(name, f"{place}: {column}")
    if _NOT_A_CLASS.fullmatch(name):
        raise DataError(
            f"{place}: {column} {name!r} is not a class; use a name or whole number (1, not 1.0). For measured values "
            "choose head=regressor."
        )
    return name


def _label_set(cell: str, column: str, place: str) -> list[str]:
    if not cell.strip():
        return []
    names = [_class_name(name, column, place) for name in cell.split(SEPARATOR)]
    if len(set(names)) < len(names):
        raise DataError(f"{place}: {column} {cell!r} names a label twice; each once at most")
    return names


def _yes_no(cell: str, column: str, place: str) -> int:
    found = _YES_NO.get(cell.strip().lower())
    if found is None:
        raise DataError(
            f"{place}: column {column!r} holds {cell!r}; a label's column holds 1 where it is there, else 0"
        )
    return found


def _number(cell: str, column: str, place: str) -> float:
    # float() alone would read "1_5" as 15, and digits of every script.
    value = float(cell) if _NUMBER.fullmatch(cell.strip()) else math.nan
    if not math.isfinite(value):
        raise DataError(
            f"{place}: column {column!r} holds {cell!r}; every record needs a finite number there: mend it, or leave "
            "the record out"
        )
    return value


def _check_columns(labels: Labels, names: Sequence[str], noun: str) -> None:
    if labels.ndim != 2 or labels.shape[1] != len(names):
        raise DataError(f"labels of shape {labels.shape} for {len(names)} names; one column a {noun} is needed")


def _numbered(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number what occurs from 0 without gaps."""
    numbers: npt.NDArray[np.int64] = np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return numbers


def _sorted(names: Iterable[str]) -> Names:
    unique = sorted(set(names))
    return sorted(unique, key=int) if all(_WHOLE.fullmatch(name) for name in unique) else unique
