"""Dealing groups of sequences to parts or folds: whole, balanced, seeded.

Shapes: N sequences, P parts (or folds), C classes. Parts and classes are numbers here; names are the splits' matter.
"""

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]


def part_targets(class_counts: Numbers, fractions: list[float]) -> Numbers:
    """Give the wanted number of sequences of each part and class.

    Args:
        class_counts: Sequences of each class (C,).
        fractions: Share of each class for every part but the first (P - 1), each above 0. The first part takes
            what is left.

    Returns:
        Targets (P, C): rounded, and at least one in each part but the first.
    """
    others = np.array([np.maximum(1, np.rint(fraction * class_counts)) for fraction in fractions], np.int64)
    others = others.reshape(len(fractions), len(class_counts))
    return np.vstack([np.maximum(0, class_counts - others.sum(axis=0)), others])


def fold_targets(class_counts: Numbers, folds: int, rng: np.random.Generator) -> Numbers:
    """Give the wanted number of sequences of each fold and class (P, C).

    Folds differ by one at most in each class, and by one at most in all: the sequences, sorted by class, go round.
    """
    ends = np.cumsum(class_counts)
    turns = rng.permutation(folds)[:, None]
    return (ends - turns + folds - 1) // folds - (ends - class_counts - turns + folds - 1) // folds


def deal(groups: Numbers, labels: Numbers, targets: Numbers, rng: np.random.Generator) -> Numbers:
    """Deal whole groups to parts so that each gets about as many sequences of each class as it should.

    Groups of two and more come first, the largest before the others, each to the part that lacks its classes
    most and has room for it; where none has room, to the one with the most. Single sequences then fill up each
    class. Where a part still lacks a class that it should have, another lends its smallest group of it.

    Args:
        groups: Group of each sequence (N,), numbered from 0 without gaps.
        labels: Class of each sequence (N,).
        targets: Wanted number of sequences of each part and class (P, C); not fewer than there are.
        rng: Draws the order of groups of one size, and which single sequences go where.

    Returns:
        Part of each sequence (N,).
    """
    sizes = np.bincount(groups)
    parts = np.zeros(len(labels), np.int64)
    by_group = np.argsort(groups, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])
    shuffled = rng.permutation(np.flatnonzero(sizes > 1))
    room = targets.copy()
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        members = by_group[starts[group] : starts[group + 1]]
        counts = np.bincount(labels[members], minlength=targets.shape[1])
        fits = (counts <= room).all(axis=1)
        need = np.where(fits, (counts * room / np.maximum(targets, 1)).sum(axis=1), -np.inf)
        part = int(np.argmax(need if fits.any() else (counts * room).sum(axis=1)))
        parts[members] = part
        room[part] -= counts
    single = sizes[groups] == 1
    for label in range(targets.shape[1]):
        members = rng.permutation(np.flatnonzero(single & (labels == label)))
        shares = _shares(len(members), np.maximum(0, room[:, label]), rng)[::-1]
        parts[members] = np.repeat(np.arange(len(shares))[::-1], shares)
    _lend(parts, groups, labels, targets)
    return parts


def _shares(count: int, weights: Numbers, rng: np.random.Generator) -> Numbers:
    """Divide `count` things in proportion to weights (P,) that come to no less, by largest remainders; return (P,)."""
    if weights.sum() == count:
        return weights
    exact = count * weights / weights.sum()
    shares: Numbers = np.floor(exact).astype(np.int64)
    remainder_order = np.lexsort((rng.random(len(weights)), shares - exact))
    shares[remainder_order[: count - shares.sum()]] += 1
    return shares


def _lend(parts: Numbers, groups: Numbers, labels: Numbers, targets: Numbers) -> None:
    """Move, for each class that a part wants and lacks, the smallest group that another part can spare."""
    sizes = np.bincount(groups)
    held = np.zeros_like(targets)
    np.add.at(held, (parts, labels), 1)
    # The last parts first: a test part comes before a validation part.
    for part, label in np.argwhere((targets > 0) & (held == 0))[::-1]:
        if held[part, label]:
            continue  # it came with a group that was lent for another class
        candidates = np.unique(groups[labels == label])
        for group in candidates[np.argsort(sizes[candidates], kind="stable")]:
            members = groups == group
            donor = parts[members][0]
            counts = np.bincount(labels[members], minlength=targets.shape[1])
            if ((held[donor] > counts) | (counts == 0)).all():
                parts[members] = part
                held[donor] -= counts
                held[part] += counts
                break
