"""Several labels for every base of both strands, such as what a base is to a gene and its place in a codon.

Labels are `(N, 2, K, L)`: of each strand and track the index of a class among those of all tracks, on the coordinates
of the given strand; `IGNORED` where nothing is known and nothing is scored, and `END` past the end of a sequence that
is shorter than the longest. Names of classes are `track:class` (`gulmfit.label_tracks`).

Shapes: `N` sequences, `K` tracks, `L` positions of the longest; the axis of 2 is the strand, "+" and "-".
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError
from gulmfit.label_tracks import track_slices
from gulmfit.seq.labels.gene_labels import CLASSES, PHASES, GeneLabels
from gulmfit.seq.labels.position_labels import END, IGNORED, UNKNOWN, symbols
from gulmfit.seq.labels.targets import Labels, Names, TargetKind, Texts

TRACKS = "tracks"
GENE_CLASSES = [*(f"class:{name}" for name in CLASSES), *(f"phase:{name}" for name in PHASES)]
"""What `gene_tracks` gives each base."""

_ROWS = ","  # between the strands and tracks of a sequence, where labels are written


class Tracks(TargetKind):
    """One class a position in each of several tracks, on both strands; labels are `(N, 2, K, L)` int8."""

    name = TRACKS
    dtype = np.int8
    both_strands = True
    joined_by = _ROWS
    _user = "head=tracks"

    def read(
        self, cells: Sequence[Texts], columns: Texts, places: Texts, source: str, declared: Texts | None = None
    ) -> tuple[Labels, Names]:
        raise DataError(
            f"{source}: head=tracks learns labels of both strands, which data=annotation reads; head=labeller learns "
            "a column of one letter a base."
        )

    def array(self, labels: npt.ArrayLike) -> Labels:
        """Return labels `(N, 2, K, L)` as wide as the longest; shorter ones are filled up with `END`."""
        if isinstance(labels, np.ndarray) and labels.ndim == 4:
            width = int((labels[:, 0, 0] != END).sum(axis=1).max(initial=0))
            return labels[..., :width].astype(np.int8, copy=False)
        rows = [np.asarray(row, np.int8) for row in labels]  # type: ignore[union-attr]
        shape = rows[0].shape[:-1] if rows else (2, 1)
        found = np.full((len(rows), *shape, max((row.shape[-1] for row in rows), default=0)), END, np.int8)
        for at, row in enumerate(rows):
            found[at, ..., : row.shape[-1]] = row
        return found

    def turned(self, label: Any) -> Any:
        """Return the labels as the other strand has them: the strands change places, and each runs from its end."""
        length = int((label[0, 0] != END).sum())
        return np.concatenate([label[::-1, :, :length][..., ::-1], label[..., length:]], axis=-1)

    def batch(self, labels: list[Any]) -> Any:
        """Return labels `(B, 2, K, L)` of the longest of these sequences; what is past an end counts for nothing."""
        padded = self.array(self.array(labels))
        return np.where(padded == END, np.int8(IGNORED), padded)

    def check(self, labels: Labels, names: Sequence[str], ids: Sequence[str]) -> None:
        slices = list(track_slices(names).values())
        if labels.ndim != 4 or labels.shape[1:3] != (2, len(slices)):
            raise DataError(f"labels of shape {labels.shape} for {len(slices)} tracks: (N, 2, K, L) is needed")
        low, high = np.array([(own.start, own.stop) for own in slices]).T[:, :, None]
        known = ((labels >= low) & (labels < high)) | (labels == IGNORED) | (labels == END)
        if wrong := np.flatnonzero(~known.all(axis=(1, 2, 3))).tolist():
            strand, track, at = np.argwhere(~known[wrong[0]])[0].tolist()
            raise DataError(
                f"label {labels[wrong[0], strand, track, at]} of record {ids[wrong[0]]!r} at position {at} is out of "
                f"range: {slices[track].start} to {slices[track].stop - 1} in the track {names[slices[track].start]!r}"
            )

    def fits(self, labels: Labels, sequences: Texts, places: Texts) -> None:
        lengths = np.array([len(text) for text in sequences], np.int64)
        ends = (labels != END).sum(axis=-1).reshape(len(labels), -1)
        if wrong := np.flatnonzero((ends != lengths[:, None]).any(axis=1)).tolist():
            raise DataError(
                f"{places[wrong[0]]}: {ends[wrong[0]].tolist()} labels for a sequence of {lengths[wrong[0]]} letters; "
                "one for each is needed"
            )

    def strata(self, labels: Labels) -> npt.NDArray[np.int64]:
        return np.zeros(len(labels), np.int64)

    def held(self, labels: Labels, count: int) -> npt.NDArray[np.bool_]:
        return self._counted(labels, count) > 0

    def check_training(self, labels: Labels, names: Sequence[str], source: str) -> None:
        """A class that is not there, such as introns of bacteria, may be missing; one class alone teaches nothing."""
        held = self.held(labels, len(names))
        for track, own in track_slices(names).items():
            if held[own].sum() < 2:
                there = [name for name, known in zip(names[own], held[own], strict=True) if known]
                raise DataError(
                    f"{source}: every known position of the {len(labels)} training sequences has the same class of "
                    f"{track!r} ({', '.join(there) or 'none is known'}), so nothing can be learned of it; use another "
                    "split"
                )

    def text(self, label: Any, names: Sequence[str]) -> str:
        letters, length = [*symbols(names), UNKNOWN], int((label[0, 0] != END).sum())
        rows = label[..., :length].reshape(-1, length).tolist()
        return _ROWS.join("".join(letters[index if index >= 0 else -1] for index in row) for row in rows)

    def reordered(self, labels: Labels, names: Sequence[str], wanted: Sequence[str]) -> Labels:
        if list(names) != list(wanted):
            raise DataError(f"the labels are of {', '.join(names)}, and {', '.join(wanted)} are needed")
        return labels

    def counts(self, labels: Labels, names: Sequence[str]) -> dict[str, Any]:
        return dict(zip(names, self._counted(labels, len(names)).tolist(), strict=True))

    def _counted(self, labels: Labels, count: int) -> npt.NDArray[np.int64]:
        return np.bincount(labels[labels >= 0].astype(np.int64), minlength=count)


def gene_tracks(labels: GeneLabels) -> Labels:
    """Return the labels of a contig as tracks (2, 2, L), what is masked in each of them left out."""
    pairs = ((labels.classes, labels.masked), (labels.phases.astype(np.int16) + len(CLASSES), labels.phase_masked))
    return np.stack([np.where(masked, IGNORED, own.astype(np.int8)) for own, masked in pairs], axis=1)
