"""A label for every position of a sequence, such as the hidden state of each base or what is annotated there.

Labels are `(N, L)`: the index of a class, `IGNORED` where nothing is known and nothing is scored, and `END` past the
end of a sequence that is shorter than the longest. There is one track of them; a second would be a further axis.

Shapes: `N` sequences, `L` positions of the longest, `C` classes.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError
from gulmfit.seq.formats.tables import not_one_of
from gulmfit.seq.labels.targets import Labels, Names, TargetKind, Texts

POSITIONS = "positions"
IGNORED, END = -100, -1
UNKNOWN = "."
"""The letter of a position that is `IGNORED`."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Positions(TargetKind):
    """One class a position; labels are `(N, L)` int16."""

    name = POSITIONS
    dtype = np.int16
    _noun = "letter(s)"
    _user: ClassVar[str] = "head=labeller"

    def read(
        self, cells: Sequence[Texts], columns: Texts, places: Texts, source: str, declared: Texts | None = None
    ) -> tuple[Labels, Names]:
        if len(columns) != 1:
            raise DataError(f"{source}: labels of positions stand in one column, and {list(columns)} are named")
        texts = [cell.strip() for (cell,) in cells]
        found = sorted(set().union(*texts) - {UNKNOWN})
        names = found if declared is None else list(declared)
        self._few(names, columns, source)
        letters = symbols(names)
        if unknown := set(found) - set(letters):
            where = next(place for text, place in zip(texts, places, strict=True) if unknown & set(text))
            raise DataError(f"{where}: {columns[0]}: {not_one_of(min(unknown), [*letters, UNKNOWN])}")
        table = {letter: index for index, letter in enumerate(letters)} | {UNKNOWN: IGNORED}
        return self.array([[table[letter] for letter in text] for text in texts]), names

    def array(self, labels: npt.ArrayLike) -> Labels:
        """Return labels `(N, L)` as wide as the longest row; shorter ones are filled up with `END`."""
        if isinstance(labels, np.ndarray) and labels.ndim == 2:
            width = int((labels != END).sum(axis=1).max(initial=0))
            return labels[:, :width].astype(np.int16, copy=False)
        rows = [np.asarray(row, np.int16) for row in labels]  # type: ignore[union-attr]
        found = np.full((len(rows), max(map(len, rows), default=0)), END, np.int16)
        for at, row in enumerate(rows):
            found[at, : len(row)] = row
        return found

    def turned(self, label: Any) -> Any:
        """Return the labels of the other strand: those of this one from its end to its start."""
        length = int((label != END).sum())
        return np.concatenate([label[:length][::-1], label[length:]])

    def batch(self, labels: list[Any]) -> Any:
        """Return labels `(B, L)` of the longest of these sequences; what is past an end counts for nothing."""
        padded = self.array(self.array(labels))
        return np.where(padded == END, IGNORED, padded)

    def check(self, labels: Labels, names: Sequence[str], ids: Sequence[str]) -> None:
        known = ((labels >= 0) & (labels < len(names))) | (labels == IGNORED) | (labels == END)
        if wrong := np.flatnonzero(~known.all(axis=1)).tolist():
            at = int(np.argmin(known[wrong[0]]))
            raise DataError(
                f"label {labels[wrong[0], at]} of record {ids[wrong[0]]!r} at position {at} is out of range: "
                f"{len(names)} classes, so 0 to {len(names) - 1}"
            )

    def fits(self, labels: Labels, sequences: Texts, places: Texts) -> None:
        lengths, ends = np.array([len(text) for text in sequences], np.int64), (labels != END).sum(axis=1)
        if wrong := np.flatnonzero(lengths != ends).tolist():
            at = wrong[0]
            raise DataError(
                f"{places[at]}: {ends[at]} labels for a sequence of {lengths[at]} letters; one for each is needed, "
                f"{UNKNOWN!r} where it is not known"
            )

    def strata(self, labels: Labels) -> npt.NDArray[np.int64]:
        return np.zeros(len(labels), np.int64)

    def held(self, labels: Labels, count: int) -> npt.NDArray[np.bool_]:
        return self._counted(labels, count) > 0

    def check_training(self, labels: Labels, names: Sequence[str], source: str) -> None:
        if missing := [name for name, there in zip(names, self.held(labels, len(names)), strict=True) if not there]:
            raise DataError(
                f"{source}: no position of the {len(labels)} training sequences has the class "
                f"{', '.join(map(repr, missing))}, so nothing can be learned of it; use another split, or leave it out"
            )

    def text(self, label: Any, names: Sequence[str]) -> str:
        letters = [*symbols(names), UNKNOWN]
        return "".join(letters[index if index >= 0 else -1] for index in label[label != END].tolist())

    def parse(self, texts: Texts, names: Sequence[str], path: str) -> Labels:
        places = [f"{path}, line {number}" for number in range(2, len(texts) + 2)]
        return self.read([[text] for text in texts], [self.column], places, path, names)[0]

    def reordered(self, labels: Labels, names: Sequence[str], wanted: Sequence[str]) -> Labels:
        places = np.array([*(wanted.index(name) for name in names)], np.int16)
        return np.where(labels >= 0, places[np.maximum(labels, 0)], labels)

    def counts(self, labels: Labels, names: Sequence[str]) -> dict[str, Any]:
        return dict(zip(names, self._counted(labels, len(names)).tolist(), strict=True))

    def _counted(self, labels: Labels, count: int) -> npt.NDArray[np.int64]:
        return np.bincount(labels[labels >= 0].astype(np.int64), minlength=count)


def symbols(names: Sequence[str]) -> list[str]:
    """Return a letter for each class: its initial, where they all differ, else A, B, C…

    Raises:
        DataError: There are more classes than letters.
    """
    initials = [name[:1] for name in names]
    if len(set(initials)) == len(names) and UNKNOWN not in initials:
        return initials
    if len(names) > len(_LETTERS):
        raise DataError(f"{len(names)} classes of positions: {len(_LETTERS)} are the most that have a letter each")
    return list(_LETTERS[: len(names)])
