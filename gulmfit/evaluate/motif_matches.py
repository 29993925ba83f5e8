"""Motifs against a database, and their sites in sequences: exact p-values by adding up column after column.

Shape letters: `W` columns, `L` bases, `N` sequences.

Source: Gupta et al. 2007, "Quantifying similarity between motifs" (Tomtom): the score of two motifs at one offset is a
sum over columns, whose distribution follows from all columns of the database. Here only offsets at which most of the
shorter motif overlaps are tried, and unmatched columns do not count.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gulmfit.seq.alphabet import Codes
from gulmfit.seq.formats.motif_files import Motif

Floats = npt.NDArray[np.float64]

BINS = 100
MIN_OVERLAP = 5
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
    """Compare a motif with those of a database, best first."""
    width = len(query.probabilities)
    columns = np.concatenate([part.probabilities for one in targets for part in (one, one.turned())])
    # Of each column of the motif the likeness to every column there is, 0 to BINS.
    tables = [np.bincount(_likeness(row, columns), minlength=BINS + 1) / len(columns) for row in query.probabilities]
    tails: dict[tuple[int, int], Floats] = {}

    def p_value(start: int, end: int, score: int) -> float:
        if (start, end) not in tails:
            chance = np.ones(1)
            for table in tables[start:end]:
                chance = np.convolve(chance, table)
            tails[start, end] = chance[::-1].cumsum()[::-1]
        return float(min(1.0, max(tails[start, end][score], 1e-300)))

    found = []
    for one in targets:
        best, tried = (1.0, 0, "+"), 0
        for strand, target in (("+", one.probabilities), ("-", one.turned().probabilities)):
            least = min(MIN_OVERLAP, width, len(target))
            likeness = np.stack([_likeness(row, target) for row in query.probabilities])
            for offset in range(least - len(target), width - least + 1):
                start, end = max(0, offset), min(width, offset + len(target))
                if end - start < 0.5 * min(width, len(target)):
                    continue
                score = int(np.trace(likeness[start:end, start - offset : end - offset]))
                best, tried = min(best, (p_value(start, end, score), offset, strand)), tried + 1
        p, offset, strand = best
        found.append((-np.expm1(tried * np.log1p(-min(p, 1 - 1e-16))), offset, strand, one))
    q_values = adjusted(np.array([p for p, *_ in found]))
    matches = [
        Match(one, float(p), float(q), offset, strand)
        for (p, offset, strand, one), q in zip(found, q_values, strict=True)
    ]
    return sorted(matches, key=lambda match: (match.p_value, match.target.name))


def _likeness(column: Floats, columns: Floats) -> npt.NDArray[np.int64]:
    """Return how near columns `(W, 4)` are to one, in whole steps from 0 to BINS (Euclidean distance)."""
    distance = np.linalg.norm(columns - column, axis=1) / np.sqrt(2)
    found: npt.NDArray[np.int64] = np.floor((1 - distance).clip(0, 1) * BINS).astype(np.int64)
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
