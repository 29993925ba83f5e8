"""From contributions to motifs: short stretches that contribute much, put together where they are alike.

Shape letters: `N` seqlets, `W` bases of one, `K` columns of a motif.

Source: Shrikumar et al. 2018, "TF-MoDISco", whose idea this is. Here seqlets are gathered around the strongest one that
is left, again and again, which needs no library and finds what is frequent; variants of a motif are not told apart.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gulmfit.explain.attribution import Attribution
from gulmfit.explain.refining import FEWEST, Refiner, trimmed
from gulmfit.seq.formats.motif_files import Motif

Floats = npt.NDArray[np.float64]

CORE_BP, FLANK_BP = 10, 5
SEQLET_BP = CORE_BP + 2 * FLANK_BP
FALSE = 0.05
ALIKE = 0.6
ROUNDS = 4
TRIALS = 60  # seqlets that others are gathered around


class Seqlet(NamedTuple):
    """A stretch of a record, `SEQLET_BP` long."""

    record: int
    start: int


def find_seqlets(attributions: Sequence[Attribution], output: int, seed: int = 0) -> list[Seqlet]:
    """Return the stretches that contribute more than chance lets them, the strongest first, none over another.

    Chance is what windows of the same contributions in shuffled order have: 5 % of the windows that are taken, at most,
    would be found there too.
    """
    rng = np.random.default_rng(seed)
    core = np.ones(CORE_BP)
    sums, null, places = list[Floats](), list[float](), list[tuple[int, int]]()
    for number, one in enumerate(attributions):
        gained = one.contributions[output]
        if len(gained) < SEQLET_BP:
            continue
        inner = slice(FLANK_BP, len(gained) - FLANK_BP)
        own = np.convolve(gained[inner], core, "valid")
        null.append(float(np.convolve(rng.permutation(gained)[inner], core, "valid").max()))
        taken = np.zeros(len(gained), bool)
        for start in np.argsort(-own, kind="stable").tolist():
            if not taken[start : start + SEQLET_BP].any():
                taken[start : start + SEQLET_BP] = True
                sums.append(own[start])
                places.append((number, start))
    if not sums:
        return []
    values, chance = np.array(sums), np.sort(null)
    order = np.argsort(-values, kind="stable")
    false = len(chance) - np.searchsorted(chance, values[order])
    good = np.nonzero(false <= FALSE * np.arange(1, len(order) + 1))[0]
    count = int(good[-1]) + 1 if len(good) else 0
    return [Seqlet(*places[number]) for number in order[:count] if values[number] > 0]


def find_motifs(
    attributions: Sequence[Attribution], output: int, *, most: int = 20, seed: int = 0
) -> tuple[list[Motif], int]:
    """Put seqlets together to motifs; return these, the most frequent first, and how many seqlets there were.

    Motifs are then estimated from all their sites in the sequences that are explained.
    """
    seqlets = find_seqlets(attributions, output, seed)
    if not seqlets:
        return [], 0
    cut = [_cut(attributions, output, one) for one in seqlets]
    weights, letters = np.stack([one for one, _ in cut]), np.stack([one for _, one in cut])
    left, motifs = np.ones(len(seqlets), bool), list[tuple[Motif, list[Seqlet]]]()
    for _ in range(TRIALS):
        if left.sum() < FEWEST or len(motifs) == most:
            break
        template = weights[left.nonzero()[0][0]]
        members: npt.NDArray[np.bool_] = left & False
        for _ in range(ROUNDS):
            likeness, shift, turned = _aligned(weights, template)
            members = left & (likeness >= ALIKE)
            if not members.any():
                break
            template = _moved(weights, shift, turned)[members].mean(0)
        left[left.nonzero()[0][0]] = False
        left &= ~members
        if members.sum() >= FEWEST:
            counts = _moved(letters, shift, turned)[members].sum(0)
            if (motif := trimmed(counts, int(members.sum()), f"m{len(motifs) + 1}")) is not None:
                motifs.append((motif, [seqlets[number] for number in members.nonzero()[0]]))
    motifs.sort(key=lambda one: -one[0].sites)
    refiner = Refiner([one.record.codes for one in attributions])
    refined = [refiner.refined(motif, places, SEQLET_BP) for motif, places in motifs]
    return [one._replace(name=f"m{number}") for number, one in enumerate(refined, 1)], len(seqlets)


def _cut(attributions: Sequence[Attribution], output: int, seqlet: Seqlet) -> tuple[Floats, Floats]:
    """Return contributions at their letters and the letters `(W, 4)`; an ambiguous base is none."""
    one, span = attributions[seqlet.record], slice(seqlet.start, seqlet.start + SEQLET_BP)
    letters = np.eye(5)[one.record.codes[span], :4]
    return letters * one.contributions[output, span, None], letters


def _moved(values: Floats, shift: npt.NDArray[np.int64], turned: npt.NDArray[np.bool_]) -> Floats:
    """Turn and shift seqlets `(N, W, 4)`; what is beyond an end is 0."""
    strand = np.where(turned[:, None, None], values[:, ::-1, ::-1], values)
    places = np.arange(values.shape[1]) + shift[:, None]
    inside = (places >= 0) & (places < values.shape[1])
    found: Floats = np.take_along_axis(strand, places.clip(0, values.shape[1] - 1)[..., None], 1) * inside[..., None]
    return found


def _aligned(weights: Floats, template: Floats) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return how alike seqlets and a template are at best, cosine, and the shift and strand at which they are."""
    best = np.full(len(weights), -np.inf)
    shift, turned = np.zeros(len(weights), np.int64), np.zeros(len(weights), bool)
    size = np.linalg.norm(template) + 1e-12
    for strand in (False, True):
        for step in range(-FLANK_BP, FLANK_BP + 1):
            moved = _moved(weights, np.full(len(weights), step), np.full(len(weights), strand))
            norms = np.linalg.norm(moved.reshape(len(moved), -1), axis=1) + 1e-12
            likeness = (moved * template).sum((1, 2)) / (norms * size)
            better = likeness > best + 1e-12
            best[better], shift[better], turned[better] = likeness[better], step, strand
    return best, shift, turned
