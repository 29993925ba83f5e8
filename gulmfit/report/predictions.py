"""What models said of sequences whose classes are known: the file that comparisons are made from.

Shapes: `N` sequences, `C` classes.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gulmfit.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FIXED = ("id", "label", "group")


@dataclass(eq=False)
class Predictions:
    """Class probabilities of one model and its baselines for the same sequences.

    Attributes:
        ids: Record ids (N).
        labels: Index into `classes` of each sequence (N,).
        groups: What belongs together, such as windows that overlap (N,): intervals count a group once.
        classes: Names of the classes.
        by_model: For "model" and each baseline its probabilities (N, C).
        positive: The positive one of two classes.
        source: Where they were read from, for messages.
    """

    ids: list[str]
    labels: Ints
    groups: Ints
    classes: list[str]
    by_model: dict[str, Floats]
    positive: str = ""
    source: str = ""

    def __len__(self) -> int:
        """Return N."""
        return len(self.ids)

    @property
    def positive_index(self) -> int:
        """Index of the positive class."""
        return self.classes.index(self.positive) if self.positive else len(self.classes) - 1

    def tables(self) -> Iterator[tuple[str, list[str], Iterator[tuple[str, list[str | float]]]]]:
        """Yield name, columns and rows of the two files: the model's predictions with labels, and the baselines'."""
        columns = ["label", "group", *self.classes]
        known = [[self.classes[label], str(group)] for label, group in zip(self.labels, self.groups, strict=True)]
        rows = ((name, [*known[i], *self.by_model["model"][i].tolist()]) for i, name in enumerate(self.ids))
        yield "test.tsv", columns, rows
        baselines = [name for name in self.by_model if name != "model"]
        if baselines:
            columns = [f"{name}:{item}" for name in baselines for item in self.classes]
            wide = np.concatenate([self.by_model[name] for name in baselines], axis=1)
            yield "baselines.tsv", columns, ((name, wide[i].tolist()) for i, name in enumerate(self.ids))

    @classmethod
    def read(cls, folder: str | Path, positive: str = "") -> "Predictions":
        """Read what a run wrote into its `predictions/` folder.

        Raises:
            DataError: If a file is missing or is not as `tables` describes it.
        """
        path = Path(folder) / "test.tsv"
        header, cells = _read(path)
        if tuple(header[:3]) != FIXED or len(header) < 5:
            raise DataError(f"{path}: columns {header} are not id, label, group and two classes or more.")
        classes = header[3:]
        unknown = sorted({row[1] for row in cells} - set(classes))
        if unknown:
            raise DataError(f"{path}: label {unknown[0]!r} is not one of the columns {', '.join(classes)}.")
        by_model = {"model": _numbers(path, [row[3:] for row in cells])}
        ids = [row[0] for row in cells]
        beside = Path(folder) / "baselines.tsv"
        if beside.is_file():
            names, rows = _read(beside)
            if [row[0] for row in rows] != ids:
                raise DataError(f"{beside}: its records are not those of {path.name}, in the same order.")
            values = _numbers(beside, [row[1:] for row in rows])
            for start in range(1, len(names), len(classes)):
                name = names[start].rpartition(":")[0]
                by_model[name] = values[:, start - 1 : start - 1 + len(classes)]
        labels = np.array([classes.index(row[1]) for row in cells], np.int64)
        groups = np.array([int(row[2]) for row in cells], np.int64)
        return cls(ids, labels, groups, classes, by_model, positive, str(path))

    @classmethod
    def concatenate(cls, parts: Sequence["Predictions"]) -> "Predictions":
        """Lay the test parts of several folds end to end; only models that every fold has are kept."""
        first = parts[0]
        names = [name for name in first.by_model if all(name in part.by_model for part in parts)]
        return cls(
            [name for part in parts for name in part.ids],
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.groups for part in parts]),
            first.classes,
            {name: np.concatenate([part.by_model[name] for part in parts]) for name in names},
            first.positive,
        )

    def beside(self, others: Mapping[str, "Predictions"]) -> "Predictions":
        """Return these predictions with the models of others beside, for the same records in any order.

        Raises:
            DataError: If another has other records, labels or classes.
        """
        place = {name: index for index, name in enumerate(self.ids)}
        added: dict[str, Floats] = {}
        for model, other in others.items():
            if other.ids == self.ids and other.classes == self.classes and (other.labels == self.labels).all():
                added[model] = other.by_model["model"]
                continue
            if len(place) != len(self) or set(other.ids) != set(place) or other.classes != self.classes:
                raise DataError(
                    f"{other.source or model} and {self.source or 'the first run'} did not score the same sequences: "
                    f"{len(other)} and {len(self)} records, {len(set(other.ids) & set(place))} in common. Runs are "
                    "compared on one test part: give the second one split=file split.path=SPLIT_OF_THE_FIRST."
                )
            order = np.empty(len(self), np.int64)
            order[[place[name] for name in other.ids]] = np.arange(len(other))
            if (other.labels[order] != self.labels).any():
                raise DataError(f"{other.source or model}: some records have other labels than in {self.source}.")
            added[model] = other.by_model["model"][order]
        return Predictions(
            self.ids, self.labels, self.groups, self.classes, {**self.by_model, **added}, self.positive, self.source
        )


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    if not path.is_file():
        raise DataError(f"{path} does not exist: give a finished run of stage=classify.")
    with path.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.reader(handle, delimiter="\t"))
    for number, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            raise DataError(f"{path}, line {number}: {len(row)} columns where the header has {len(rows[0])}.")
    if len(rows) < 2:
        raise DataError(f"{path} holds no prediction.")
    return rows[0], rows[1:]


def _numbers(path: Path, cells: list[list[str]]) -> Floats:
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError as error:
        raise DataError(f"{path}: {error}.") from error
