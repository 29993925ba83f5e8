"""Motifs as MEME and JASPAR files.

Shape letters: `W` columns of a motif.
"""

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError
from gulmfit.files import write_whole

Floats = npt.NDArray[np.float64]

_MATRIX = re.compile(r"letter-probability matrix:(.*)")
_SUM = 0.02  # how far a column of a file may be from 1


class Motif(NamedTuple):
    """What sites have in common."""

    name: str
    probabilities: Floats
    """Of A, C, G and T in each column, `(W, 4)`."""
    sites: int = 0
    other: str = ""
    """Another name, as databases have it."""

    def turned(self) -> "Motif":
        """Return the motif of the other strand."""
        return self._replace(probabilities=self.probabilities[::-1, ::-1])

    def bits(self) -> Floats:
        """Return the information of each column, `(W,)`, 0 to 2 bits."""
        known = np.clip(self.probabilities, 1e-12, 1)
        found: Floats = 2 + (self.probabilities * np.log2(known)).sum(1)
        return found

    def consensus(self) -> str:
        """Spell the motif: a letter that has half of a column, or else N."""
        return "".join("ACGT"[row.argmax()] if row.max() >= 0.5 else "N" for row in self.probabilities)


def read_motifs(path: str | Path) -> list[Motif]:
    """Read the motifs of a file in MEME's or JASPAR's format.

    Raises:
        DataError: It is neither, not of nucleotides, or damaged; names the line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    if any(line.startswith("MEME version") for line in lines[:20]):
        motifs = _read_meme(path, lines)
    elif next((line for line in lines if line.strip()), "").startswith(">"):
        motifs = _read_jaspar(path, lines)
    else:
        raise DataError(
            f"{path}: neither a MEME nor a JASPAR file: no line begins with 'MEME version', and the first not with "
            "'>'. Give motifs in the minimal MEME format or in JASPAR's, as JASPAR offers them."
        )
    if not motifs:
        raise DataError(f"{path}: there is no motif in it.")
    return motifs


def _read_jaspar(path: str | Path, lines: Sequence[str]) -> list[Motif]:
    """Read counts: a line `>ID name`, then one for each letter, with or without its letter and brackets."""
    motifs: list[Motif] = []
    held = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    for start in range(0, len(held), 5):
        (number, head), rows = held[start], held[start + 1 : start + 5]
        name, *other = head[1:].split() if head.startswith(">") else [""]
        counts: list[list[float]] = []
        for letter, (_, line) in zip("ACGT", rows, strict=False):
            cells = line.removeprefix(letter).replace("[", " ").replace("]", " ").split()
            try:
                counts.append([float(cell) for cell in cells])
            except ValueError:
                break
        widths = {len(row) for row in counts}
        if not name or len(counts) != 4 or len(widths) != 1 or widths == {0}:
            raise DataError(
                f"{path}, line {number}: {head!r}: a line '>ID name' and four lines of as many counts each, of A, C, G "
                "and T, are needed."
            )
        columns = np.array(counts).T
        if not np.isfinite(columns).all() or columns.min() < 0 or columns.sum(1).min() <= 0:
            raise DataError(f"{path}, line {number}: {head!r}: counts of 0 or more, not all 0 in a column, are needed.")
        sites = round(columns.sum(1).max())
        motifs.append(Motif(name, columns / columns.sum(1, keepdims=True), sites, " ".join(other)))
    return motifs


def _read_meme(path: str | Path, lines: Sequence[str]) -> list[Motif]:
    motifs: list[Motif] = []
    names: list[str] = []
    number = 0
    while number < len(lines):
        line = lines[number].strip()
        number += 1
        if line.startswith("ALPHABET") and "ACGT" not in line:
            raise DataError(f"{path}, line {number}: {line!r}: motifs of nucleotides (ACGT) are needed.")
        if line.startswith("MOTIF"):
            names = line.split()[1:]
        if found := _MATRIX.match(line):
            sites = re.search(r"nsites=\s*(\d+)", found[1])
            rows: list[list[float]] = []
            while number < len(lines) and (cells := lines[number].split()):
                try:
                    row = [float(cell) for cell in cells]
                except ValueError:
                    break
                if len(row) != 4 or not all(map(math.isfinite, row)) or min(row) < 0 or abs(sum(row) - 1) > _SUM:
                    found_text = lines[number].strip()
                    raise DataError(
                        f"{path}, line {number + 1}: {found_text!r}: 4 probabilities that add up to 1 are needed."
                    )
                rows.append([value / sum(row) for value in row])
                number += 1
            if not rows or not names:
                raise DataError(f"{path}, line {number}: a motif without a {'matrix' if names else 'name'}.")
            motifs.append(Motif(names[0], np.array(rows), int(sites[1]) if sites else 0, " ".join(names[1:])))
    return motifs


def write_meme(path: Path, motifs: Sequence[Motif]) -> None:
    """Write motifs in the minimal MEME format.

    Raises:
        DataError: If the file cannot be written.
    """
    parts = ["MEME version 5\n\nALPHABET= ACGT\n\nstrands: + -\n\n"]
    parts.append("Background letter frequencies\nA 0.25 C 0.25 G 0.25 T 0.25\n")
    for one in motifs:
        head = f"letter-probability matrix: alength= 4 w= {len(one.probabilities)} nsites= {one.sites} E= 0"
        parts.append(f"\nMOTIF {one.name} {one.other}".rstrip() + f"\n{head}\n" + _rows(one.probabilities))
    write_whole(path, "".join(parts))


def write_jaspar(path: Path, motifs: Iterable[Motif]) -> None:
    """Write motifs as counts of their sites, in JASPAR's format.

    Raises:
        DataError: If the file cannot be written.
    """
    parts = []
    for one in motifs:
        parts.append(f">{one.name}\t{one.other or one.consensus()}\n")
        for letter, row in zip("ACGT", one.probabilities.T, strict=True):
            parts.append(f"{letter}  [{' '.join(f'{value * max(1, one.sites):7.0f}' for value in row)} ]\n")
    write_whole(path, "".join(parts))


def _rows(probabilities: Floats) -> str:
    return "".join(" ".join(f"{value:.6f}" for value in row) + "\n" for row in probabilities)
