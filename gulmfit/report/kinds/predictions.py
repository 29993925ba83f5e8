"""What models said of sequences whose labels are known: the file that comparisons are made from.

Shapes: `N` sequences, `C` classes, labels or values.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gulmfit.errors import DataError
from gulmfit.report.kinds.kind import Kind, every_kind, kind_named
from gulmfit.seq.labels.targets import CLASSES, Labels, TargetKind, target_kind
from gulmfit.seq.names import column_names

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLEND = "blend"
"""The name of a blend of the model and its baselines among these."""
OUT_OF_FOLD, FOLD = "out_of_fold.tsv", ["fold", "repeat"]
"""Where a cross-validation puts what `test.tsv` holds of one run, and the columns that come last in its files."""


@dataclass(eq=False)
class Predictions:
    """What one model and its baselines predict of the same sequences.

    Attributes:
        ids: Record ids (N).
        labels: Index into `classes` of each sequence (N,); of label sets and values (N, C).
        groups: What belongs together, such as windows that overlap (N,): intervals count a group once.
        classes: Names of the classes, labels or values.
        by_model: For "model", each baseline and a blend of them its probabilities or values (N, C).
        positive: The positive one of two classes.
        source: Where they were read from, for messages.
        targets: What the labels are (`gulmfit.seq.labels.targets`).
    """

    ids: list[str]
    labels: Labels
    groups: Ints
    classes: list[str]
    by_model: dict[str, Floats]
    positive: str = ""
    source: str = ""
    targets: str = CLASSES

    def __len__(self) -> int:
        """Return N."""
        return len(self.ids)

    @property
    def kind(self) -> TargetKind:
        """What the labels are."""
        return target_kind(self.targets)

    @property
    def positive_index(self) -> int:
        """Index of the positive class."""
        return self.classes.index(self.positive) if self.positive else len(self.classes) - 1

    def tables(self) -> Iterator[tuple[str, list[str], Iterator[tuple[str, list[str | float]]]]]:
        """Yield name, columns and rows of each file: the model's predictions with labels, the baselines', a blend's."""
        judge = kind_named(self.targets)(self.classes, self.positive)
        if not judge.predictions_kept:
            return
        columns = [*column_names(["id", self.kind.column, "group"], self.classes), *self.classes]
        known = [
            [self.kind.text(label, self.classes), str(group)]
            for label, group in zip(self.labels, self.groups, strict=True)
        ]
        written = judge.cells
        own = zip(self.ids, known, self.by_model["model"], self.labels, strict=True)
        yield "test.tsv", columns, ((name, [*texts, *written(row, label)]) for name, texts, row, label in own)
        baselines = [name for name in self.by_model if name not in ("model", BLEND) and judge.baselines_kept]
        if baselines:
            columns = ["id", *(f"{name}:{item}" for name in baselines for item in self.classes)]
            wide = np.concatenate([self.by_model[name] for name in baselines], axis=1)
            yield (
                "baselines.tsv",
                columns,
                (
                    (name, list(written(row, label)))
                    for name, row, label in zip(self.ids, wide, self.labels, strict=True)
                ),
            )
        if BLEND in self.by_model:
            blended = zip(self.ids, self.by_model[BLEND], self.labels, strict=True)
            yield (
                "blend.tsv",
                [*column_names(["id"], self.classes), *self.classes],
                ((name, list(written(row, label))) for name, row, label in blended),
            )

    @classmethod
    def read(cls, folder: str | Path, positive: str = "") -> "Predictions":
        """Read what a run wrote into its `predictions/` folder: of a cross-validation what each fold's model predicts
        of the sequences that it has not seen. With repeats an id names its repeat, too.

        Raises:
            DataError: If a file is missing or is not as `tables` describes it.
        """
        path = Path(folder) / "test.tsv"
        if (pooled := path.with_name(OUT_OF_FOLD)).is_file():
            path = pooled
        header, cells = _read(path, pooled=path == pooled)
        # What the column of known labels is called tells what they are.
        kinds = list(every_kind().values())
        fixed = [kind for kind in kinds if header[:3] == column_names(["id", kind.labels.column, "group"], header[3:])]
        if not fixed or len(header) < 3 + fixed[0].labels.few:
            raise DataError(f"{path}: columns {header} are not id, label, group and two classes or more.")
        classes = header[3:]
        judge, kind = fixed[0](classes), fixed[0].labels
        by_model = {"model": _numbers(path, judge, [row[3:] for row in cells])}
        ids = [row[0] for row in cells]
        beside = Path(folder) / "baselines.tsv"
        if beside.is_file():
            names, rows = _read(beside, pooled=path == pooled)
            if [row[0] for row in rows] != ids:
                raise DataError(f"{beside}: its records are not those of {path.name}, in the same order.")
            values = _numbers(beside, judge, [row[1:] for row in rows])
            for start in range(1, len(names), len(classes)):
                columns = names[start : start + len(classes)]
                name = columns[0].removesuffix(f":{classes[0]}")
                if columns != [f"{name}:{item}" for item in classes]:
                    raise DataError(f"{beside}: columns {columns} are not those of one baseline for {classes}.")
                by_model[name] = values[:, start - 1 : start - 1 + len(classes)]
        if (blend := Path(folder) / "blend.tsv").is_file():
            names, rows = _read(blend, pooled=path == pooled)
            if [row[0] for row in rows] != ids or names[1:] != classes:
                raise DataError(f"{blend}: its records and classes are not those of {path.name}, in the same order.")
            by_model[BLEND] = _numbers(blend, judge, [row[1:] for row in rows])
        labels = kind.parse([row[1] for row in cells], classes, str(path))
        try:
            groups = np.array([int(row[2]) for row in cells], np.int64)
        except (ValueError, OverflowError) as error:
            raise DataError(f"{path}: column 'group' holds what is not a whole number: {error}.") from error
        return cls(ids, labels, groups, classes, by_model, positive, str(path), kind.name)

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
            targets=first.targets,
        )

    def beside(self, others: Mapping[str, "Predictions"]) -> "Predictions":
        """Return these predictions with the models of others beside, for the same records in any order.

        Raises:
            DataError: If another has other records, labels or classes.
        """
        place = {name: index for index, name in enumerate(self.ids)}
        added: dict[str, Floats] = {}
        for model, other in others.items():
            same = other.classes == self.classes and other.targets == self.targets
            if same and other.ids == self.ids and (other.labels == self.labels).all():
                added[model] = other.by_model["model"]
                continue
            if len(place) != len(self) or set(other.ids) != set(place) or not same:
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
        return replace(self, by_model={**self.by_model, **added})


def _read(path: Path, *, pooled: bool) -> tuple[list[str], list[list[str]]]:
    """Read header and rows; without the columns `FOLD` where predictions of several folds are pooled."""
    if not path.is_file():
        raise DataError(f"{path} does not exist: give a finished run of stage=classify.")
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            rows = list(csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is damaged: {error}.") from error
    for number, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            raise DataError(f"{path}, line {number}: {len(row)} columns where the header has {len(rows[0])}.")
    if len(rows) < 2 or not rows[0]:
        raise DataError(f"{path} holds no prediction.")
    if not pooled:
        return rows[0], rows[1:]
    if rows[0][-2:] != FOLD:
        raise DataError(f"{path}: its last columns are not {' and '.join(FOLD)}.")
    repeated = len({row[-1] for row in rows[1:]}) > 1
    cells = [[f"{row[0]}, repeat {row[-1]}" if repeated else row[0], *row[1:-2]] for row in rows[1:]]
    return rows[0][:-2], cells


def _numbers(path: Path, judge: Kind, cells: list[list[str]]) -> Floats:
    try:
        return judge.numbers(cells)
    except ValueError as error:
        raise DataError(f"{path}: {error}.") from error
