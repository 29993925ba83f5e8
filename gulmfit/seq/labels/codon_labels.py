"""A codon for every residue of a protein.

A class is a residue with one of its codons: "K:AAA", "*:TAA", and "start:GTG" for a codon that begins a protein with M.
The classes of a residue stand next to each other, so that a codon is told by its place among them. Labels are `(N, L)`,
as those of positions; a residue that its codon does not spell, such as selenocysteine, is `IGNORED`.

Shapes: `N` proteins, `L` residues of the longest, stop included, `C` classes, `R` residues, `K` codons of the residue
that has most.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError
from gulmfit.seq.alphabet import PROTEIN
from gulmfit.seq.genome.coding_sequences import RECODED
from gulmfit.seq.genome.genetic_code import CODONS, GeneticCode
from gulmfit.seq.labels.position_labels import END, IGNORED, Positions
from gulmfit.seq.labels.targets import Labels, Names, Texts

CODON_LABELS = "codons"
STOP, START, START_RESIDUE = "*", "start", "M"

Ints = npt.NDArray[np.int64]
_UNKNOWN = "..."


def codon_classes(code: GeneticCode) -> Names:
    """Name the classes of a genetic code: the codons of each residue, those of a stop, and those that start."""
    meanings = dict(zip(CODONS, code.residues.decode("ascii"), strict=False))
    spelled = [
        f"{residue}:{codon}" for residue in (*PROTEIN.letters, STOP) for codon in CODONS if meanings[codon] == residue
    ]
    return spelled + [f"{START}:{codon}" for codon, starts in zip(CODONS, code.is_start, strict=False) if starts]


class CodonClasses:
    """What the names of classes say.

    Args:
        names: As `codon_classes` gives them.

    Attributes:
        codons: Number of the codon of each class (C,).
        row: Number of the residue of each class (C,).
        first: First class of each residue (R,).
        count: Codons of each residue (R,).
        width: `K`.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        pairs = [name.partition(":") for name in names]
        residues = list(dict.fromkeys(residue for residue, _, _ in pairs))
        self.rows = {residue: row for row, residue in enumerate(residues)}
        self.codons = np.array([CODONS.index(codon) for _, _, codon in pairs], np.int64)
        self.row = np.array([self.rows[residue] for residue, _, _ in pairs], np.int64)
        self.first, self.count = (
            np.asarray(part) for part in np.unique(self.row, return_index=True, return_counts=True)[1:]
        )
        self.width = int(self.count.max())

    @cached_property
    def of_codon(self) -> tuple[dict[str, int], dict[str, int]]:
        """The class of each codon inside a protein, and of each that starts one."""
        found: tuple[dict[str, int], dict[str, int]] = ({}, {})
        for index, name in enumerate(self.names):
            residue, _, codon = name.partition(":")
            found[residue == START][codon] = index
        return found

    def rows_of(self, protein: str) -> Ints:
        """Return the row of each residue (L,), -1 for a letter without codons.

        An M at the start has the row of start codons, a residue that is `RECODED` that of stops.
        """
        rows = [self.rows.get(STOP if letter in RECODED else letter, -1) for letter in protein]
        if protein[:1] == START_RESIDUE:
            rows[0] = self.rows.get(START, rows[0])
        return np.array(rows, np.int64)

    def options(self, rows: Ints) -> Ints:
        """Return the classes of each residue, (..., K): -1 where it has fewer, or its row is negative."""
        known = np.maximum(rows, 0)[..., None]
        places = np.arange(self.width)
        there = (places < self.count[known]) & (rows[..., None] >= 0)
        return np.where(there, self.first[known] + places, -1)

    def labels(self, protein: str, bases: str) -> list[int]:
        """Return the classes of a protein's codons, `IGNORED` where a residue is recoded."""
        inside, at_start = self.of_codon
        found = [inside[bases[at : at + 3]] for at in range(0, len(bases), 3)]
        if protein[:1] == START_RESIDUE:
            found[0] = at_start[bases[:3]]
        return [IGNORED if letter in RECODED else label for letter, label in zip(protein, found, strict=True)]

    def places(self, labels: npt.NDArray[Any]) -> Ints:
        """Return the place of each class among those of its residue; negative labels stay."""
        known = np.maximum(labels, 0)
        return np.where(labels >= 0, known - self.first[self.row[known]], labels)

    def chosen(self, labels: npt.NDArray[Any], places: npt.NDArray[Any]) -> Ints:
        """Return the classes of places among the codons of the residues that labels are of; negative labels stay."""
        return np.where(labels >= 0, self.first[self.row[np.maximum(labels, 0)]] + places, labels)


class Codons(Positions):
    """One codon a residue; labels are `(N, L)` int16."""

    name = CODON_LABELS
    one, many = "codon", "codons"
    _user: ClassVar[str] = "head=codons"

    def read(
        self, cells: Sequence[Texts], columns: Texts, places: Texts, source: str, declared: Texts | None = None
    ) -> tuple[Labels, Names]:
        if declared is None or len(columns) != 1:
            raise DataError(
                f"{source}: codons are read from coding sequences, not from a table: data=codons data.path=..."
            )
        inside, at_start = CodonClasses(declared).of_codon
        inside = inside | {_UNKNOWN: IGNORED}
        rows: list[list[int]] = []
        for (text,), place in zip(cells, places, strict=True):
            codons = [text[at : at + 3] for at in range(0, len(text), 3)]
            if unknown := [codon for codon in codons if codon not in inside]:
                raise DataError(
                    f"{place}: {unknown[0]!r} in {columns[0]} is not a codon of the model, nor {_UNKNOWN!r}"
                )
            rows.append(
                [(at_start if at == 0 and codon in at_start else inside)[codon] for at, codon in enumerate(codons)]
            )
        return self.array(rows), list(declared)

    def check_training(self, labels: Labels, names: Sequence[str], source: str) -> None:
        """A codon that is never chosen is less likely, that is all."""

    def text(self, label: Any, names: Sequence[str]) -> str:
        """Write the codons one after the other, as a coding sequence."""
        codons = [*(name.partition(":")[2] for name in names), _UNKNOWN]
        return "".join(codons[index if index >= 0 else -1] for index in label[label != END].tolist())
