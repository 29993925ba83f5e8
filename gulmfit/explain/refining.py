"""Motifs from all their sites, not only from those that contribute most.

Shape letters: `W` columns of a motif, `P` positions of all sequences, one after another.

Source: Bailey and Elkan 1994, "Fitting a mixture model by expectation maximization to discover motifs in biopolymers"
(MEME, zero or one site a sequence). Sites are weighted by how likely they are, not cut off at a score: the best sites
alone make a motif that is sharper than it is.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gulmfit.seq.alphabet import AMBIGUOUS, Codes
from gulmfit.seq.formats.motif_files import Motif

Floats = npt.NDArray[np.float64]

FEWEST = 10  # sites of a motif
KEPT = 0.75  # of the stretches that a motif was found in: those where the best site of their sequence lies
FAINT = 0.25  # bits of a column at a motif's edge that is cut off
SIDE_BP = 5  # bases beside a site by which a motif may grow at once
WIDTHS = 3  # times that flanks are added and faint columns cut off
STEPS = 20  # of expectation and maximization, for each
STILL = 1e-3  # change of a probability at which it is done
UNLIKELY = -1e3  # logarithm of the odds of an ambiguous base


class Refiner:
    """Estimates motifs anew from their sites in sequences.

    The sites of a motif are taken from the sequences before those of the next one are looked for.

    Args:
        sequences: Base codes.
    """

    def __init__(self, sequences: Sequence[Codes]) -> None:
        gap = np.full(SIDE_BP, AMBIGUOUS, np.uint8)  # no flank reaches into the next sequence
        self._codes = np.concatenate([part for one in sequences for part in (gap, one)] + [gap])
        lengths = np.array([len(one) + SIDE_BP for one in sequences])
        self._starts = lengths.cumsum() - lengths
        letters = np.bincount(self._codes, minlength=AMBIGUOUS)[:AMBIGUOUS] + 1.0
        self._background = np.log((letters + letters[::-1]) / (2 * letters.sum()))

    def refined(self, motif: Motif, places: Sequence[tuple[int, int]], length: int) -> Motif:
        """Return the motif of all sites, or the same one if its sites are few or not where it was found.

        A motif that sequences share but the model does not look at would draw any other one to it.

        Args:
            motif: As it was found.
            places: Sequence and start of each stretch that it was found in.
            length: Of these stretches.
        """
        found, share, width = motif, 0.5, 0
        for _ in range(WIDTHS):
            width = len(found.probabilities)
            for _ in range(STEPS):
                chances, share = _expected(found, self._codes, self._starts, self._background, share)
                counts = _counted(chances, self._codes, width)
                inner = counts[SIDE_BP : SIDE_BP + width] + 0.25
                moved = inner / inner.sum(1, keepdims=True)
                change = np.abs(moved - found.probabilities).max()
                found = found._replace(probabilities=moved)
                if change < STILL:
                    break
            trim = trimmed(counts, motif.sites, motif.name)
            if trim is None or chances.sum() < FEWEST:
                return motif
            found = trim
            if len(trim.probabilities) == width:
                break
        width = len(found.probabilities)
        chance = _expected(found, self._codes, self._starts, self._background, share)[0].sum(0)
        kept = 0
        ends = np.append(self._starts[1:], len(self._codes))
        for number, start in places:
            begin = self._starts[number]
            middle = chance[begin : ends[number]].argmax() + width / 2 - SIDE_BP
            kept += start <= middle < start + length
        if kept < KEPT * len(places):
            return motif
        self._codes[(np.nonzero(chance > 0.5)[0][:, None] + np.arange(width)).ravel()] = AMBIGUOUS
        return found


def trimmed(counts: Floats, sites: int, name: str) -> Motif | None:
    """Turn counts of letters `(W, 4)` into a motif without faint columns at its edges; None if little is left."""
    motif = Motif(name, (counts + 0.25) / (counts + 0.25).sum(1, keepdims=True), sites)
    strong = np.nonzero(motif.bits() >= FAINT)[0]
    if not len(strong) or strong[-1] - strong[0] < 3:
        return None
    return motif._replace(probabilities=motif.probabilities[strong[0] : strong[-1] + 1])


def _expected(
    motif: Motif, codes: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], background: Floats, share: float
) -> tuple[Floats, float]:
    """Return the chance `(2, P)` that a site starts at a position, on each strand, and the share of sequences with one.

    Args:
        motif: The motif.
        codes: Base codes `(P,)`; `AMBIGUOUS` also between sequences.
        starts: Where sequences start.
        background: Logarithms of the frequencies of letters.
        share: Of the sequences that have a site, as far as known.
    """
    odds = np.log((motif.probabilities + 1e-3) / (1 + 4e-3)) - background
    width, places = len(odds), len(codes) - len(odds) + 1
    ratio = np.zeros((2, len(codes)))
    for strand, rows in enumerate((odds, odds[::-1, ::-1])):
        logs = np.full(len(codes), UNLIKELY)
        logs[:places] = sum(np.append(row, UNLIKELY)[codes[at : at + places]] for at, row in enumerate(rows))
        ratio[strand] = np.exp(logs)
    known = np.append(0, (codes < AMBIGUOUS).cumsum())
    whole = np.zeros(len(codes))
    whole[:places] = known[width:] - known[:places] == width
    free = np.maximum(np.add.reduceat(whole, starts), 1)
    spread = np.diff(np.append(starts, len(codes)))
    ratio *= np.repeat(share / (2 * free), spread)
    total = np.add.reduceat(ratio.sum(0), starts)
    chances = ratio / np.repeat(total + 1 - share, spread)
    return chances, float(np.clip(np.mean(total / (total + 1 - share)), 0.001, 0.999))


def _counted(chances: Floats, codes: npt.NDArray[np.uint8], width: int) -> Floats:
    """Add up the letters of sites and of their flanks, `(SIDE_BP + W + SIDE_BP, 4)`."""
    sides = np.pad(codes, SIDE_BP, constant_values=AMBIGUOUS)
    both = np.zeros((2, width + 2 * SIDE_BP, 4))
    for strand, weights in enumerate(chances):
        places = np.nonzero(weights > 1e-6)[0]
        for at in range(both.shape[1]):
            # Beyond the end of all sequences nothing can be a site of this width.
            both[strand, at] = np.bincount(sides[places + at], weights[places], minlength=AMBIGUOUS)[:AMBIGUOUS]
    total: Floats = both[0] + both[1, ::-1, ::-1]
    return total
