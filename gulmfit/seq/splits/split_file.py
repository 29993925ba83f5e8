"""A split as a file, so that any run can use the split of any other.

The file is a table with tabs and a header: `id`, `part`, `group`, `fold` (empty without folds) and `digest`, the first
16 hexadecimal digits of the SHA-256 of the sequence's letters. Rows and columns may be in any order.
Shape: N sequences.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError, DataError
from gulmfit.files import whole_file
from gulmfit.seq.formats.tables import not_one_of, read_rows
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.names import tsv_line
from gulmfit.seq.related.homology import Groups, join
from gulmfit.seq.splits.split import PARTS, Split, check_classes, check_parts, source_of

COLUMNS = ("id", "part", "group", "fold", "digest")
UNUSED = "unused"  # the part of a sequence that stands in none of the three
_DIGITS = 16
_EXAMPLES = 5


def write_split(
    path: str | Path,
    data: LabelledSequences,
    parts: npt.ArrayLike,
    groups: npt.ArrayLike,
    fold: npt.ArrayLike | None = None,
) -> None:
    """Write a split to a file, which appears under its name once it is complete.

    Args:
        path: The file, *.tsv; its folder is made.
        data: The sequences, each with an id of its own.
        parts: "train", "valid", "test" or `UNUSED` for each (N,).
        groups: What stays together (N,).
        fold: Number of the fold of each (N,), from 0.

    Raises:
        DataError: An id occurs twice, the lengths differ, or the file cannot be written.
    """
    _check_ids(data)
    size, folds = len(data), [""] * len(data) if fold is None else fold
    columns = [np.asarray(column).tolist() for column in (parts, groups, folds)]
    if (lengths := [len(column) for column in columns]) != [size] * len(columns):
        raise DataError(f"{path}: {lengths} parts, groups and folds for {size} sequences; one for each is needed")
    with whole_file(Path(path)) as unfinished, unfinished.open("wb") as handle:
        handle.write(tsv_line(COLUMNS, path))
        rows = zip(data.ids, *columns, map(sequence_digest, data.sequences), strict=True)
        handle.writelines(tsv_line([str(cell) for cell in row], path) for row in rows)


def sequence_digests(path: Path) -> dict[str, str]:
    """Return the digest of the sequence of each id in a split file; raise DataError if it is not one."""
    return {row["id"]: row["digest"] for _, row in read_rows(path, {name: name for name in ("id", "digest")})}


@dataclass(frozen=True)
class FileSplit(Split):
    """Use a split that a run has stored, or one made elsewhere in the same form.

    Args:
        path: The file, as `write_split` makes it.
        seed: Seed of folds, where the file has none.
    """

    path: str | None
    seed: int = 0
    advice: ClassVar[str] = "use the split file that belongs to this data, or another split"

    def __call__(self, data: LabelledSequences) -> npt.NDArray[np.str_]:
        """Return the stored part of each sequence (N,), which may be `UNUSED`.

        Raises:
            DataError: The file is not a split, or one of other data; or a part lacks a class.
        """
        parts = np.array([row["part"] for row in self._rows(data)], np.str_)
        used = parts != UNUSED
        check_parts(data.subset(used), parts[used], self.advice)
        return parts

    def groups(self, data: LabelledSequences) -> Groups:
        """Return the stored group of each sequence (N,), numbered in order of first member."""
        names = np.array([row["group"] for row in self._rows(data)], np.str_)
        return join(np.unique(names, return_inverse=True)[1].reshape(-1))

    def folds(
        self, data: LabelledSequences, folds: int, repeat: int = 0, groups: Groups | None = None
    ) -> npt.NDArray[np.int64]:
        """Return the stored fold of each sequence (N,); where none is stored, and for repeats, deal stored groups.

        Given `groups` are dealt as they are: the file is not read, and the data may be a part of the file's.

        Raises:
            ConfigError: Fewer than two folds, or a negative repeat.
            DataError: The file has another number of folds; more folds than groups; or a fold lacks a class.
        """
        stored = [] if groups is not None else [row["fold"] for row in self._rows(data)]
        if repeat or not any(stored):
            return super().folds(data, folds, repeat, groups)
        numbers = np.array([int(text) if text.isdecimal() and len(text) < 10 else -1 for text in stored], np.int64)
        if (found := set(numbers.tolist())) != set(range(folds)):
            raise DataError(
                f"{self.path}: holds the folds {sorted(found)} (-1: none), and {folds} are asked for, which are 0 to "
                f"{folds - 1}; ask for as many as it holds, or empty its column 'fold' to deal its groups anew"
            )
        check_classes(data, numbers, [f"fold {number + 1} of {folds}" for number in range(folds)], self.advice)
        return numbers

    def _rows(self, data: LabelledSequences) -> list[dict[str, str]]:
        """Read the rows of the data's sequences, in the order of the data, after checking that they belong to it."""
        if self.path is None or not Path(self.path).is_file():
            raise ConfigError(
                f"split.path={self.path or 'null'}: no such file; split=file needs the split.tsv of a run"
            )
        rows: dict[str, dict[str, str]] = {}
        for place, row in read_rows(Path(self.path), {column: column for column in COLUMNS}, own=True):
            if row["part"] not in (*PARTS, UNUSED):
                raise DataError(f"{place}: part {not_one_of(row['part'], (*PARTS, UNUSED))}")
            if rows.setdefault(row["id"], row) is not row:
                raise DataError(f"{place}: id {row['id']!r} stands in this file before; every id once")
        _check_ids(data)
        pairs = list(zip(data.ids, data.sequences, strict=True))
        faults = {
            "of the data are not in the file": [name for name, _ in pairs if name not in rows],
            "in the file are not in the data": sorted(rows.keys() - set(data.ids)),
            "have another sequence there": [
                name for name, sequence in pairs if name in rows and rows[name]["digest"] != sequence_digest(sequence)
            ],
        }
        if found := [f"{len(names)} {fault} ({_some(names)})" for fault, names in faults.items() if names]:
            raise DataError(
                f"{self.path} is not a split of {source_of(data)} ({len(data)} records, {len(rows)} in the file): of "
                f"its records, {'; '.join(found)}. {self.advice.capitalize()}."
            )
        return [rows[name] for name in data.ids]


def _check_ids(data: LabelledSequences) -> None:
    repeated = [name for name, count in Counter(data.ids).items() if count > 1]
    if repeated:
        raise DataError(
            f"{source_of(data)}: {len(repeated)} record id(s) stand more than once ({_some(repeated)}), and a split "
            "file knows records by their ids; make them unique"
        )


def sequence_digest(sequence: str) -> str:
    """Return the first digits of the SHA-256 of a sequence's letters."""
    return hashlib.sha256(sequence.encode("ascii")).hexdigest()[:_DIGITS]


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:_EXAMPLES])) + (", ..." if len(names) > _EXAMPLES else "")
