"""Who trains, who validates, who tests: splits of labelled sequences.

A split is a small frozen dataclass that maps labelled sequences to one of "train", "valid", "test" for each.
Shapes: N sequences, C classes, G clusters of sequences.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.labelled import LabelledSequences
from gulmfit.seq.overlap import MAX_K, kmers_by_sequence

_log = logging.getLogger(__name__)

PARTS = ("train", "valid", "test")
_TRAIN, _VALID, _TEST = range(3)


@dataclass(frozen=True)
class RandomSplit:
    """Deal the sequences of each class at random, so that every part has the classes in the same proportion.

    Similar sequences may fall on both sides; `HomologySplit` keeps them together.

    Args:
        valid_fraction: Share of each class for validation; 0 for no validation part.
        test_fraction: Share of each class for the test; 0 for no test part.
        seed: Seed of the draw.

    Raises:
        ConfigError: A fraction is negative, or the two leave nothing to train on.
    """

    valid_fraction: float
    test_fraction: float
    seed: int

    def __post_init__(self) -> None:
        _check_fractions(self.valid_fraction, self.test_fraction)

    def __call__(self, data: LabelledSequences) -> npt.NDArray[np.str_]:
        """Return "train", "valid" or "test" for each sequence (N,).

        Raises:
            DataError: A class has too few sequences to stand in every part.
        """
        targets = _targets(_class_counts(data), self.valid_fraction, self.test_fraction)
        parts = _deal(data.labels, targets, np.random.default_rng(self.seed))
        return _named(parts, data, _wanted(targets), "give the class more sequences or use smaller fractions")


@dataclass(frozen=True)
class ColumnSplit:
    """Keep the split that the source came with; draw a validation part from train where it has none.

    Args:
        valid_fraction: Share of each class of train for validation, used only when the source marks no
            sequence as "valid"; 0 for no validation part. Nothing is ever drawn from test.
        seed: Seed of that draw.

    Raises:
        ConfigError: The fraction is negative or leaves nothing to train on.
    """

    valid_fraction: float
    seed: int

    def __post_init__(self) -> None:
        _check_fractions(self.valid_fraction, 0.0)

    def __call__(self, data: LabelledSequences) -> npt.NDArray[np.str_]:
        """Return "train", "valid" or "test" for each sequence (N,).

        Raises:
            DataError: The source has no split, no test or no train part, or a part lacks a class.
        """
        if data.splits is None:
            raise DataError(
                f"{_source(data)} comes without a split: name its column (split=...), give train and test "
                "files, or choose a random or homology split"
            )
        found = sorted(set(data.splits.tolist()))
        for part in ("train", "test"):
            if part not in found:
                raise DataError(f"the split of {_source(data)} marks no sequence as {part!r}: found {found}")
        parts = np.array([PARTS.index(name) for name in data.splits.tolist()])
        if "valid" not in found:
            members = np.flatnonzero(parts == _TRAIN)
            labels = data.labels[members]
            targets = _targets(np.bincount(labels, minlength=len(data.classes)), self.valid_fraction, 0.0)
            parts[members] = _deal(labels, targets, np.random.default_rng(self.seed))
        wanted = [part for part in range(3) if (parts == part).any()]
        return _named(parts, data, wanted, "mend the split column or files, or choose another split")


@dataclass(frozen=True)
class HomologySplit:
    """Keep sequences that share a k-mer on the same side, so that a test score is not a score of memory.

    Clusters (see `cluster_by_shared_kmers`) are dealt whole, larger ones first, each to the part that lacks
    its classes most and still has room for it, and to train where none has; single sequences then fill up
    each class, and where test or valid still lacks one, train lends its smallest cluster of it. So copies,
    reverse-complement twins and windows that overlap by k bases or more never stand on both sides.

    Args:
        valid_fraction: Wanted share of each class for validation; 0 for no validation part.
        test_fraction: Wanted share of each class for the test; 0 for no test part.
        seed: Seed of the order in which clusters are dealt.
        k: Bases that two sequences must share, on either strand, to be taken for related; 1 to 31.

    Raises:
        ConfigError: A fraction is negative, the two leave nothing to train on, or k is out of range.
    """

    valid_fraction: float
    test_fraction: float
    seed: int
    k: int = 20

    def __post_init__(self) -> None:
        _check_fractions(self.valid_fraction, self.test_fraction)
        if not 1 <= self.k <= MAX_K:
            raise ConfigError(f"k={self.k} is not allowed in a homology split: 1 to {MAX_K}")

    def __call__(self, data: LabelledSequences) -> npt.NDArray[np.str_]:
        """Return "train", "valid" or "test" for each sequence (N,).

        Raises:
            DataError: The clusters are too large for every class to stand in every part.
        """
        clusters = cluster_by_shared_kmers(data.sequences, self.k)
        sizes = np.bincount(clusters)
        _log.info(
            "homology split: %d sequences in %d clusters of shared %d-mers, the largest of %d",
            len(data),
            len(sizes),
            self.k,
            sizes.max(),
        )
        targets = _targets(_class_counts(data), self.valid_fraction, self.test_fraction)
        parts = _deal_clusters(clusters, data.labels, targets, np.random.default_rng(self.seed))
        advice = (
            f"the largest of {len(sizes)} clusters holds {sizes.max()} of {len(data)} sequences; raise k "
            f"(now {self.k}, at most {MAX_K}), use other fractions, or choose another split"
        )
        return _named(parts, data, _wanted(targets), advice)


def cluster_by_shared_kmers(sequences: Sequence[str], k: int) -> npt.NDArray[np.int64]:
    """Group sequences that are linked by shared k-mers.

    Clusters are the connected components of the graph in which two sequences are joined when a k-mer of one
    occurs in the other on either strand. k-mers with an ambiguous base count for nothing. A sequence without
    any k-mer (shorter than k, or ambiguous throughout) is joined to those that equal it or its reverse
    complement.

    Args:
        sequences: N upper-case sequences.
        k: Bases a k-mer, 1 to 31.

    Returns:
        Cluster of each sequence (N,), numbered from 0 in order of first member.

    Raises:
        DataError: k is not between 1 and 31.
        SequenceError: A sequence holds a letter outside the IUPAC alphabet.
    """
    kmers, owners = kmers_by_sequence(sequences, k)
    order = np.argsort(kmers)
    kmers, sorted_owners = kmers[order], owners[order]
    # Neighbours in sorted order suffice: they chain all owners of one k-mer together.
    linked = (kmers[1:] == kmers[:-1]) & (sorted_owners[1:] != sorted_owners[:-1])
    left, right = sorted_owners[:-1][linked], sorted_owners[1:][linked]

    without = np.flatnonzero(np.bincount(owners, minlength=len(sequences)) == 0)
    first: dict[str, int] = {}
    twins = np.array(
        [first.setdefault(min(sequences[i], reverse_complement_text(sequences[i])), i) for i in without.tolist()],
        np.int64,
    )
    return _components(len(sequences), np.concatenate([left, without]), np.concatenate([right, twins]))


def _components(nodes: int, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Label the connected components of a graph by hooking roots to smaller roots (Shiloach-Vishkin)."""
    root = np.arange(nodes)
    while True:
        a, b = root[left], root[right]
        differ = a != b
        if not differ.any():
            break
        left, right, a, b = left[differ], right[differ], a[differ], b[differ]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(jumped := root[root], root):
            root = jumped
    return np.unique(root, return_inverse=True)[1].astype(np.int64)


def _check_fractions(valid_fraction: float, test_fraction: float) -> None:
    for name, fraction in (("valid_fraction", valid_fraction), ("test_fraction", test_fraction)):
        if not 0 <= fraction < 1:
            raise ConfigError(f"{name}={fraction} is not allowed: at least 0 and below 1")
    if valid_fraction + test_fraction >= 1:
        raise ConfigError(
            f"valid_fraction={valid_fraction} and test_fraction={test_fraction} leave nothing to train on: "
            "their sum must be below 1"
        )


def _class_counts(data: LabelledSequences) -> npt.NDArray[np.int64]:
    return np.bincount(data.labels, minlength=len(data.classes))


def _targets(class_counts: npt.NDArray[np.int64], valid_fraction: float, test_fraction: float) -> npt.NDArray[np.int64]:
    """Give the wanted number of sequences of each part and class (3, C): rounded, and one at least."""
    targets = np.zeros((3, len(class_counts)), np.int64)
    for part, fraction in ((_VALID, valid_fraction), (_TEST, test_fraction)):
        if fraction > 0:
            targets[part] = np.maximum(1, np.rint(fraction * class_counts))
    targets[_TRAIN] = np.maximum(0, class_counts - targets.sum(axis=0))
    return targets


def _wanted(targets: npt.NDArray[np.int64]) -> list[int]:
    """List the parts that were asked for; train always is."""
    return [part for part in range(3) if part == _TRAIN or targets[part].any()]


def _deal(
    labels: npt.NDArray[np.int64], room: npt.NDArray[np.int64], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Fill the room (3, C) of test, then valid, with random sequences of each class; the rest are train."""
    parts = np.full(len(labels), _TRAIN)
    for label in range(room.shape[1]):
        members = rng.permutation(np.flatnonzero(labels == label))
        test, valid = max(0, int(room[_TEST, label])), max(0, int(room[_VALID, label]))
        parts[members[:test]] = _TEST
        parts[members[test : test + valid]] = _VALID
    return parts


def _deal_clusters(
    clusters: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    targets: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Deal whole clusters to parts; see `HomologySplit`."""
    sizes = np.bincount(clusters)
    parts = np.full(len(labels), _TRAIN)
    by_cluster = np.argsort(clusters, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])
    shuffled = rng.permutation(np.flatnonzero(sizes > 1))
    room = targets.copy()
    for cluster in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        members = by_cluster[starts[cluster] : starts[cluster + 1]]
        counts = np.bincount(labels[members], minlength=targets.shape[1])
        fits = (counts <= room).all(axis=1)
        need = (counts * room / np.maximum(targets, 1)).sum(axis=1)
        part = int(np.argmax(np.where(fits, need, -np.inf))) if fits.any() else _TRAIN
        parts[members] = part
        room[part] -= counts
    single = np.flatnonzero(sizes[clusters] == 1)
    parts[single] = _deal(labels[single], room, rng)
    _lend_smallest(parts, clusters, labels, targets)
    return parts


def _lend_smallest(
    parts: npt.NDArray[np.int64],
    clusters: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    targets: npt.NDArray[np.int64],
) -> None:
    """Move, for each class that test or valid wants and lacks, the smallest cluster that train can spare."""
    sizes = np.bincount(clusters)
    for part in (_TEST, _VALID):
        for label in np.flatnonzero(targets[part]):
            if (labels[parts == part] == label).any():
                continue
            candidates = np.unique(clusters[(parts == _TRAIN) & (labels == label)])
            for cluster in candidates[np.argsort(sizes[candidates], kind="stable")]:
                members = clusters == cluster
                kept = labels[(parts == _TRAIN) & ~members]
                if np.isin(labels[members], kept).all():
                    parts[members] = part
                    break


def _named(
    parts: npt.NDArray[np.int64], data: LabelledSequences, wanted: Sequence[int], advice: str
) -> npt.NDArray[np.str_]:
    """Turn part numbers into names after checking that each wanted part holds every class."""
    for part in wanted:
        counts = np.bincount(data.labels[parts == part], minlength=len(data.classes))
        missing = [name for name, count in zip(data.classes, counts, strict=True) if count == 0]
        if missing:
            raise DataError(
                f"the {PARTS[part]} part of {_source(data)} has no example of class "
                f"{', '.join(map(repr, missing))} (of {len(data.classes)} classes, {len(data)} sequences): "
                f"{advice}"
            )
    return np.array(PARTS)[parts]


def _source(data: LabelledSequences) -> str:
    return ", ".join(data.files) or "the data"
