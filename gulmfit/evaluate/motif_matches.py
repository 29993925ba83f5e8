"""Motifs against a database, and their sites in sequences: exact p-values by adding up column after column.

Shape letters: `W` columns, `L` bases, `N` sequences.

Source: Gupta et al. 2007, "Quantifying similarity between motifs" (Tomtom): the score of two motifs at one offset is a
sum over columns, whose distribution follows from all columns of the database. As in Tomtom's default, scores are
complete: columns that are not matched count as half of all columns would.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gulmfit.seq.alphabet import Codes
from gulmfit.seq.formats.motif_files import Motif

Floats = npt.NDArray[np.float64]

BINS = 200  # steps of the largest distance there is
SITE_P = 1e-4
_SCALE = 50  # steps of a bit of a site's score


class Match(NamedTuple):
    """A motif of a database that is like another one."""

    target: Motif
    p_value: float
    q_value: float
    offset: int
    """Columns from the start of the motif to that of the target."""
    strand: str


def match_motif(query: Motif, targets: Sequence[Motif]) -> list[Match]:
    """Compare a motif with those of a database, the least likely likeness first.

    A column of the motif scores by how much nearer it is to that of the target than to half of all columns. Columns
    that the target leaves out score 0, as would those of a random target. The score of a target is that of its best
    offset, and its p-value the chance that one of random columns, as long, scores as much at any offset and strand.
    """
    if not targets:
        return []
    width = len(query.probabilities)
    columns = np.concatenate([part.probabilities for one in targets for part in (one, one.turned())])
    likeness = np.stack([_likeness(row, columns) for row in query.probabilities])
    lowest = int(likeness.min())
    tables = [np.bincount(row - lowest) / len(columns) for row in likeness]
    # Of each run of the motif's columns: the chance of each score or more, from the lowest score there can be.
    tails: dict[tuple[int, int], Floats] = {}
    for start in range(width):
        chance = np.ones(1)
        for end in range(start + 1, width + 1):
            chance = np.convolve(chance, tables[end - 1])
            tails[start, end] = chance[::-1].cumsum()[::-1]

    def p_value(length: int, score: int) -> float:
        none = 0.0  # the logarithm of the chance that no offset scores as much
        for offset in range(1 - length, width):
            start, end = max(0, offset), min(width, offset + length)
            tail, place = tails[start, end], score - (end - start) * lowest
            chance = 1.0 if place <= 0 else float(tail[place]) if place < len(tail) else 0.0
            none += 2 * np.log1p(-min(chance, 1 - 1e-16))
        return float(max(-np.expm1(none), 1e-300))

    p_values: dict[tuple[int, int], float] = {}
    found, first = list[tuple[float, int, str, Motif]](), 0
    for one in targets:
        length, best = len(one.probabilities), (-(1 << 30), 0, "+")
        diagonals = (np.arange(width)[:, None] + np.arange(length)[::-1]).ravel()
        for strand in "+-":
            scores = np.bincount(diagonals, likeness[:, first : first + length].ravel()).round().astype(np.int64)
            place = int(scores.argmax())
            if scores[place] > best[0]:
                best = int(scores[place]), place + 1 - length, strand
            first += length
        score, offset, strand = best
        if (length, score) not in p_values:
            p_values[length, score] = p_value(length, score)
        found.append((p_values[length, score], offset, strand, one))
    q_values = adjusted(np.array([p for p, *_ in found]))
    matches = [
        Match(one, p, float(q), offset, strand) for (p, offset, strand, one), q in zip(found, q_values, strict=True)
    ]
    return sorted(matches, key=lambda match: (match.p_value, match.target.name))


def _likeness(column: Floats, columns: Floats) -> npt.NDArray[np.int64]:
    """Return how much nearer columns `(W, 4)` are to one than half of them are, in whole steps (Euclidean distance)."""
    distance = np.linalg.norm(columns - column, axis=1) / np.sqrt(2)
    found: npt.NDArray[np.int64] = np.round((np.median(distance) - distance) * BINS).astype(np.int64)
    return found


def adjusted(p_values: Floats) -> Floats:
    """Return q-values (Benjamini and Hochberg)."""
    from scipy.stats import false_discovery_control

    found: Floats = false_discovery_control(p_values) if len(p_values) else p_values
    return found


class Site(NamedTuple):
    """Where a motif lies in a sequence."""

    start: int
    strand: str
    score: float
    """Log-odds against equal letters, in bits."""


class MotifScanner:
    """Finds the sites of a motif that a random sequence has with a chance of 1e-4 a position and strand.

    Args:
        motif: The motif.
    """

    def __init__(self, motif: Motif) -> None:
        bits = np.log2((motif.probabilities + 1e-3) / (1 + 4e-3) / 0.25)
        steps = np.round(bits * _SCALE).astype(np.int64)
        lowest = steps.min(1, keepdims=True)
        chance = np.ones(1)
        for row in steps - lowest:
            chance = np.convolve(chance, np.bincount(row, minlength=int(row.max()) + 1) / 4)
        tail = chance[::-1].cumsum()[::-1]
        enough = np.nonzero(tail <= SITE_P)[0]
        # A motif too short to be rare has its best words as sites.
        self.least = int(enough[0] if len(enough) else len(tail) - 1) + int(lowest.sum())
        unknown = np.full((len(steps), 1), -(1 << 30))
        self._steps = {"+": np.hstack([steps, unknown]), "-": np.hstack([steps[::-1, ::-1], unknown])}

    def sites(self, codes: Codes) -> list[Site]:
        """Return the sites in base codes `(L,)`, by position."""
        found = []
        for strand, steps in self._steps.items():
            starts = len(codes) - len(steps) + 1
            if starts < 1:
                continue
            scores = sum(row[codes[place : place + starts]] for place, row in enumerate(steps))
            good = np.nonzero(scores >= self.least)[0].tolist()
            found += [Site(start, strand, float(scores[start]) / _SCALE) for start in good]
        return sorted(found)


def enrichment(with_site: int, count: int, background_with_site: int, background: int) -> tuple[float, float]:
    """Return by which factor sites are more frequent than in the background, and Fisher's one-sided p-value."""
    from scipy.stats import fisher_exact

    table = [[with_site, count - with_site], [background_with_site, background - background_with_site]]
    ratio = ((with_site + 0.5) / (count + 1)) / ((background_with_site + 0.5) / (background + 1))
    return ratio, float(fisher_exact(table, alternative="greater").pvalue)
