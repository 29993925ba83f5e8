"""Negatives that are real sequences of another kind, such as peaks of other factors, of like length and GC content.

Against shuffles a model may win by knowing what any genome looks like; against windows of a genome, by knowing open
chromatin. What tells a factor's peaks from those of others is the factor. Shapes: N negatives, L bases each.
"""

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import AMBIGUOUS, encode
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.negatives.making import SHARED_K, Indices, Negatives, gc_of, gc_record, numbered_ids, partners_of
from gulmfit.seq.related.homology import cluster_by_shared_kmers

_Shelves = dict[int, list[list[int]]]  # by length, then by number of G and C: indices of sequences still to be had


def matched_negatives(
    positives: LabelledSequences,
    others: LabelledSequences,
    *,
    per_positive: int = 1,
    gc_tolerance: float = 0.02,
    seed: int = 0,
) -> Negatives:
    """Choose for every positive another sequence of its length and, as nearly as there are any, its GC content.

    What is chosen shares no 20-mer, on either strand, with any positive, nor with anything else that is chosen, so that
    no negative is a positive of another experiment and none has a copy in another part of a split: of each cluster of
    `others` by shared 20-mers one at most is a candidate, drawn at random. Those with ambiguous letters are none.
    Positives choose in random order, the nearest GC content first; how many had to go beyond the tolerance, and how
    far, is logged and recorded.

    Args:
        positives: Sequences to match.
        others: Where negatives are taken from; their classes do not matter.
        per_positive: Negatives for each positive.
        gc_tolerance: Difference of GC content to the positive up to which a negative counts as matched, in [0, 1].
        seed: Seed of all draws.

    Returns:
        The negatives, ids like "seq_00001_peak/matched-1"; the record holds `how per_positive seed positives
        negatives others candidates avoided gc_tolerance`, the mean and the largest `gc_difference`, and how many lie
        `beyond_tolerance`.

    Raises:
        ConfigError: per_positive is below 1, or gc_tolerance below 0.
        DataError: There is no positive, one has no unambiguous base, or candidates of a length run out.
    """
    partners = partners_of(positives, per_positive)
    if gc_tolerance < 0:
        raise ConfigError(f"gc_tolerance={gc_tolerance} is not allowed: at least 0")
    rng = np.random.default_rng(seed)
    candidates = _candidates(positives, others, rng)
    shelves = _shelves(others, candidates)
    wanted = np.array([gc_of(positives, index) for index in range(len(positives))])[partners]
    chosen, differences = np.zeros(len(partners), np.int64), np.zeros(len(partners))
    for turn in rng.permutation(len(partners)).tolist():
        length = len(positives.sequences[partners[turn]])
        level = _nearest(shelves.get(length, []), float(wanted[turn]) * length)
        if level is None:
            raise DataError(_too_few(positives, others, length, per_positive, candidates))
        chosen[turn] = shelves[length][level].pop()
        differences[turn] = abs(level / length - wanted[turn])
    return Negatives(
        numbered_ids(positives, partners, "matched"),
        [others.sequences[index] for index in chosen.tolist()],
        [None] * len(partners),
        partners,
        {
            "how": "matched",
            "per_positive": per_positive,
            "seed": seed,
            "positives": len(positives),
            "negatives": len(partners),
            "others": len(others),
            "candidates": len(candidates),
            "avoided": f"shared {SHARED_K}-mers",
            **gc_record(differences, gc_tolerance, "matched", "there are too few nearer ones among the others"),
        },
    )


def _candidates(positives: LabelledSequences, others: LabelledSequences, rng: np.random.Generator) -> Indices:
    """Return indices of others, in random order: one of each cluster that holds no positive."""
    clusters = cluster_by_shared_kmers(positives.sequences + others.sequences, SHARED_K)
    taken, offered = np.split(clusters, [len(positives)])
    order = rng.permutation(len(others))
    order = order[~np.isin(offered[order], taken)]
    firsts = np.unique(offered[order], return_index=True)[1]
    return np.asarray(order[np.sort(firsts)], np.int64)


def _shelves(others: LabelledSequences, candidates: Indices) -> _Shelves:
    shelves: _Shelves = {}
    for index in candidates.tolist():
        codes = encode(others.sequences[index])
        if (codes == AMBIGUOUS).any():
            continue
        levels = shelves.setdefault(len(codes), [[] for _ in range(len(codes) + 1)])
        levels[int(np.count_nonzero((codes == 1) | (codes == 2)))].append(index)
    return shelves


def _nearest(levels: list[list[int]], wanted: float) -> int | None:
    """Return the level nearest to the wanted number of G and C that has sequences left; the lower one of two."""
    filled: npt.NDArray[np.int64] = np.array([level for level, left in enumerate(levels) if left], np.int64)
    return int(filled[np.abs(filled - wanted).argmin()]) if len(filled) else None


def _too_few(
    positives: LabelledSequences, others: LabelledSequences, length: int, per_positive: int, candidates: Indices
) -> str:
    asked = sum(len(text) == length for text in positives.sequences) * per_positive
    offered = sum(len(others.sequences[index]) == length for index in candidates.tolist())
    return (
        f"{asked} negatives of {length} bases are asked for, and of {len(others)} other sequences {offered} have that "
        f"length and share no {SHARED_K}-mer with a positive or with each other. Give more of them, or fewer positives."
    )
