"""Any number of labels of a sequence, of which some may be unknown.

Shapes: `N` sequences, `C` labels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError
from gulmfit.seq.cells import SEPARATOR, warn_of_names
from gulmfit.seq.formats.tables import not_one_of
from gulmfit.seq.labels.label_text import NOT_KNOWN, label_set, yes_no
from gulmfit.seq.labels.targets import (
    LABEL_SETS,
    MIN_STRATUM,
    Labels,
    Names,
    TargetKind,
    Texts,
    check_columns,
    check_known,
    sorted_names,
    stratum_numbers,
)

UNKNOWN_LABEL = -1
"""Nobody knows whether the label is there."""


class LabelSets(TargetKind):
    """Any number of labels a sequence, none included; labels are `(N, C)` int64, 1 where one is there, 0 where it is
    not, `UNKNOWN_LABEL` where nobody knows.

    They stand in one column, names joined by `;`, or in a column of 0 and 1 for each. `?` before a name, or in the
    column, is what is unknown.
    """

    name = LABEL_SETS
    column = "labels"
    one, many = "label", "labels"
    joined_by = SEPARATOR
    _noun = "label(s)"
    _user = "head=multi_label"

    def read(
        self, cells: Sequence[Texts], columns: Texts, places: Texts, source: str, declared: Texts | None = None
    ) -> tuple[Labels, Names]:
        if len(columns) > 1:
            self._few(columns, columns, source)
            return self._rows(yes_no, cells, columns, places)
        sets = [label_set(cell, columns[0], place) for (cell,), place in zip(cells, places, strict=True)]
        found = [name.removeprefix(NOT_KNOWN) for one in sets for name in one]
        names = sorted_names(found) if declared is None else [str(item) for item in declared]
        if declared is None:
            warn_of_names(found, columns[0], source, sets=True)
        self._few(names, columns, source)
        index = {name: number for number, name in enumerate(names)}
        labels = np.zeros((len(sets), len(names)), np.int64)
        for row, (one, place) in enumerate(zip(sets, places, strict=True)):
            for text in one:
                name = text.removeprefix(NOT_KNOWN)
                if name not in index:
                    raise DataError(f"{place}: {columns[0]} {not_one_of(name, names)}")
                labels[row, index[name]] = 1 if text == name else UNKNOWN_LABEL
        return labels, names

    def check(self, labels: Labels, names: Sequence[str], ids: Sequence[str]) -> None:
        check_columns(labels, names, "label")
        wrong = np.flatnonzero(~np.isin(labels, (0, 1, UNKNOWN_LABEL)).all(axis=1))
        if wrong.size:
            raise DataError(
                f"labels of record {ids[wrong[0]]!r} are {labels[wrong[0]].tolist()}: each is 0, 1 or {UNKNOWN_LABEL}"
            )

    def choices(self, labels: Labels) -> list[npt.NDArray[np.int64]]:
        return list(labels.T)

    def strata(self, labels: Labels) -> npt.NDArray[np.int64]:
        """A stratum is a label set. Sets of few sequences are dealt by the rarest of their labels, where that is still
        too few together with the other sets in which it is the rarest."""
        sets = np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)
        few = np.bincount(sets)[sets] < MIN_STRATUM
        there = labels == 1
        frequency = np.where(there, there.sum(axis=0), len(labels) + 1)
        rarest = np.where(there.any(axis=1), frequency.argmin(axis=1), labels.shape[1])
        pools = np.bincount(rarest[few], minlength=labels.shape[1] + 1)
        few |= (pools > 0)[rarest] & (pools < MIN_STRATUM)[rarest]
        strata = stratum_numbers(np.where(few, sets.max(initial=0) + 1 + rarest, sets))
        sizes = np.bincount(strata, minlength=1)
        left = sizes[strata] < MIN_STRATUM
        if 0 < left.sum() < MIN_STRATUM:  # too few even together: they go with the most frequent
            left |= strata == sizes.argmax()
        return stratum_numbers(np.where(left, len(sizes), strata))

    def differ(self, label: Any, other: Any) -> bool:
        return bool(((label != other) & (label != UNKNOWN_LABEL) & (other != UNKNOWN_LABEL)).any())

    def held(self, labels: Labels, count: int) -> npt.NDArray[np.bool_]:
        return np.asarray((labels == 1).any(axis=0))

    def check_training(self, labels: Labels, names: Sequence[str], source: str) -> None:
        for there, what in ((1, "no training sequence"), (0, "every training sequence")):
            never = ~(labels == there).any(axis=0)
            if never.any():
                missing = ", ".join(repr(names[label]) for label in np.flatnonzero(never).tolist())
                raise DataError(
                    f"{source}: {what} ({len(labels)} in all) has the label {missing}, so nothing can be learned of "
                    "it; give it more sequences, leave it out, or use another split"
                )

    def text(self, label: Any, names: Sequence[str]) -> str:
        return SEPARATOR.join(
            name if there == 1 else NOT_KNOWN + name for name, there in zip(names, label, strict=True) if there
        )

    def parse(self, texts: Texts, names: Sequence[str], path: str) -> Labels:
        sets = [set(filter(None, text.split(SEPARATOR))) for text in texts]
        check_known([name.removeprefix(NOT_KNOWN) for one in sets for name in one], names, path)
        rows = [[UNKNOWN_LABEL if NOT_KNOWN + name in one else int(name in one) for name in names] for one in sets]
        return self.array(rows).reshape(len(sets), len(names))

    def counts(self, labels: Labels, names: Sequence[str]) -> dict[str, Any]:
        return super().counts(labels == 1, names)
