"""Who trains, who validates, who tests: splits of labelled sequences.

A split is a small frozen dataclass with three answers: called, the part of each sequence ("train", "valid" or
"test"); `groups`, what must stay together; `folds`, a cross-validation of the same groups. Copies and
reverse-complement twins are never torn apart, except where a source or the user says so.
Shapes: N sequences, C classes, P parts or folds.
"""

import logging
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.related.homology import (
    Groups,
    cluster_by_linclust,
    cluster_by_shared_kmers,
    find_mmseqs,
    group_overlaps,
    inseparable,
    join,
    related_k,
)
from gulmfit.seq.related.overlap import max_k
from gulmfit.seq.splits.dealing import deal, fold_targets, part_targets

_log = logging.getLogger(__name__)

PARTS = ("train", "valid", "test")
METHODS = ("kmers", "mmseqs", "auto")


class Split(ABC):
    """What all splits have in common.

    Attributes:
        seed: Seed of every draw.
        stratified: Whether parts and folds get the classes in the same proportion, as far as groups allow.
        advice: What messages tell to do where the data cannot be split so.
    """

    seed: int
    stratified: ClassVar[bool] = True
    advice: ClassVar[str] = "give the class more sequences or use other fractions"

    @abstractmethod
    def __call__(self, data: LabelledSequences) -> npt.NDArray[np.str_]:
        """Return "train", "valid" or "test" for each sequence (N,).

        Raises:
            DataError: A part would lack a class, or the data has not what this split goes by.
        """

    @abstractmethod
    def groups(self, data: LabelledSequences) -> Groups:
        """Return the number of the group that each sequence must stay with (N,), in order of first member.

        Raises:
            DataError: The data has not what this split goes by.
        """

    def folds(
        self, data: LabelledSequences, folds: int, repeat: int = 0, groups: Groups | None = None
    ) -> npt.NDArray[np.int64]:
        """Deal all sequences to folds of cross-validation, whatever part they are in.

        Args:
            data: The sequences.
            folds: Number of folds, 2 or more.
            repeat: Number of the repetition; each deals again.
            groups: What must stay together (N,), where it is known already, as of a part of the data that the split
                was made for; by default what `groups` returns.

        Returns:
            Fold of each sequence (N,), 0 to folds - 1: whole groups, as equal in size and classes as they allow.

        Raises:
            ConfigError: Fewer than two folds, or a negative repeat.
            DataError: More folds than groups, or a fold would lack a class.
        """
        if folds < 2 or repeat < 0:
            raise ConfigError(f"folds={folds}, repeat={repeat} is not allowed: at least 2 folds, and repeats from 0")
        groups, labels = self.groups(data) if groups is None else join(groups), self._strata(data)
        if folds > (found := len(np.unique(groups))):
            raise DataError(
                f"{folds} folds cannot be made of {source_of(data)}: its {len(data)} sequences are in {found} group(s) "
                f"that must stay whole; ask for {found} folds at most, or {self.advice}"
            )
        # A word of its own keeps these draws apart from those of the parts.
        rng = np.random.default_rng([self.seed, repeat, folds])
        numbers = deal(groups, labels, fold_targets(np.bincount(labels), folds, rng), rng)
        names = [f"fold {number + 1} of {folds}" for number in range(folds)]
        check_classes(data, numbers, names, f"use fewer folds, or {self.advice}", groups)
        return numbers

    def _strata(self, data: LabelledSequences) -> npt.NDArray[np.int64]:
        """Return what is dealt in proportion (N,): classes, label sets or quantiles, or one stratum for all."""
        return data.strata if self.stratified else np.zeros(len(data), np.int64)

    def _parts(
        self, data: LabelledSequences, groups: Groups, valid_fraction: float, test_fraction: float
    ) -> npt.NDArray[np.str_]:
        """Deal sequences to the parts that are asked for, and name them (N,)."""
        shares = {"valid": valid_fraction, "test": test_fraction}
        names = [part for part in PARTS if shares.get(part, 1.0) > 0]
        labels = self._strata(data)
        targets = part_targets(np.bincount(labels), [shares[name] for name in names[1:]])
        numbers = deal(groups, labels, targets, np.random.default_rng(self.seed))
        check_classes(data, numbers, [f"the {name} part" for name in names], self.advice, groups)
        return np.array(names, "<U5")[numbers]


@dataclass(frozen=True)
class FractionSplit(Split):
    """A split that makes its parts itself.

    Args:
        valid_fraction: Wanted share of each class for validation; 0 for no validation part.
        test_fraction: Wanted share of each class for the test; 0 for no test part.
        seed: Seed of the draw.

    Raises:
        ConfigError: A fraction is negative, or the two leave nothing to train on.
    """

    valid_fraction: float
    test_fraction: float
    seed: int

    def __post_init__(self) -> None:
        check_fractions(self.valid_fraction, self.test_fraction)

    def __call__(self, data: LabelledSequences) -> npt.NDArray[np.str_]:
        return self._parts(data, self.groups(data), self.valid_fraction, self.test_fraction)


@dataclass(frozen=True)
class StratifiedSplit(FractionSplit):
    """Deal the sequences of each class at random, so that every part has the classes in the same proportion.

    Copies and reverse-complement twins stay together; other relatives may fall on both sides, and `HomologySplit`
    keeps them together too.
    """

    def groups(self, data: LabelledSequences) -> Groups:
        return inseparable(data)


@dataclass(frozen=True)
class RandomSplit(StratifiedSplit):
    """Deal sequences at random whatever their class; as `StratifiedSplit`, but parts differ in class by chance."""

    stratified: ClassVar[bool] = False
    advice: ClassVar[str] = "choose split=stratified, which deals every class by itself"


@dataclass(frozen=True)
class ColumnSplit(Split):
    """Keep the split that the source came with; draw a validation part from train where it has none.

    Folds take no notice of the source's parts.

    Args:
        valid_fraction: Share of each class of train for validation, used only when the source marks no
            sequence as "valid"; 0 for no validation part. Nothing is ever drawn from test.
        seed: Seed of that draw.

    Raises:
        ConfigError: The fraction is negative or leaves nothing to train on.
    """

    valid_fraction: float
    seed: int
    advice: ClassVar[str] = "mend the split column or files, or choose another split"

    def __post_init__(self) -> None:
        check_fractions(self.valid_fraction, 0.0)

    def __call__(self, data: LabelledSequences) -> npt.NDArray[np.str_]:
        """Return "train", "valid" or "test" for each sequence (N,).

        Raises:
            DataError: The source has no split, no test or no train part, or a part lacks a class.
        """
        if data.splits is None:
            raise DataError(
                f"{source_of(data)} comes without a split: name its column (split=...), give train and test "
                "files, or choose a random or homology split"
            )
        found = set(data.splits.tolist())
        for part in ("train", "test"):
            if part not in found:
                raise DataError(f"the split of {source_of(data)} marks no sequence as {part!r}: found {sorted(found)}")
        parts = data.splits.astype("<U5")
        check_parts(data, parts, self.advice)
        if "valid" not in found:
            members = np.flatnonzero(parts == "train")
            train = data.subset(members)
            parts[members] = self._parts(train, self.groups(train), self.valid_fraction, 0.0)
        return parts

    def groups(self, data: LabelledSequences) -> Groups:
        """Return one number for each sequence and its copies on either strand (N,)."""
        return inseparable(data)


@dataclass(frozen=True)
class HomologySplit(FractionSplit):
    """Keep relatives on the same side, so that a test score is not a score of memory.

    Related are, on either strand: copies, sequences that share a k-mer, windows of a genome that overlap, where
    positions are known, and with `method=mmseqs` sequences that it aligns. So mmseqs only ever makes groups larger.

    The default is `kmers` wherever mmseqs is installed or not: a split must be the same on every machine.

    Args:
        valid_fraction, test_fraction, seed: As in `StratifiedSplit`.
        method: `kmers`, `mmseqs`, or `auto`: mmseqs where it is installed, which the log tells.
        k: Bases that two sequences must share to be taken for related, 1 to 31 (residues 1 to 12); `auto` for 20
            (9), more for very large sets (see `related_k`); null, with mmseqs only, for not looking at k-mers.
        min_seq_id: Least identity of an alignment by mmseqs, above 0 and up to 1.
        coverage: Least share of both sequences that it must cover, above 0 and up to 1.

    Raises:
        ConfigError: A fraction is negative, the two leave nothing to train on, or another value is not allowed.
    """

    method: str = "kmers"
    k: int | str | None = "auto"
    min_seq_id: float = 0.8
    coverage: float = 0.8
    advice: ClassVar[str] = (
        "make groups smaller (a larger split.k, at most 31, or with mmseqs a larger split.min_seq_id), or choose "
        "other fractions or another split"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method not in METHODS:
            raise ConfigError(f"split.method={self.method!r} is unknown; choose one of {', '.join(METHODS)}")
        if self.k is None and self.method != "mmseqs":
            raise ConfigError(f"split.k=null needs split.method=mmseqs: {self.method!r} may have k-mers only to go by")
        if self.k not in (None, "auto") and not (isinstance(self.k, int) and 1 <= self.k <= max_k()):
            raise ConfigError(f"k={self.k} is not allowed in a homology split: 1 to {max_k()}, or auto")
        for name, value in (("min_seq_id", self.min_seq_id), ("coverage", self.coverage)):
            if not 0 < value <= 1:
                raise ConfigError(f"split.{name}={value} is not allowed: above 0 and up to 1")

    def groups(self, data: LabelledSequences) -> Groups:
        """Return the group of relatives of each sequence (N,).

        Raises:
            ConfigError: mmseqs is asked for and not installed.
            DataError: mmseqs failed.
        """
        global _found_last
        if _found_last and _found_last[0]() is data and _found_last[1] == self:
            return _found_last[2]
        groupings, known = [inseparable(data)], ["copies"]
        if self.k is not None:
            k = related_k(len(data), sum(map(len, data.sequences)), data.alphabet) if self.k == "auto" else int(self.k)
            groupings.append(cluster_by_shared_kmers(data.sequences, k, data.alphabet))
            known.append(f"shared {k}-mers")
        if self.method == "mmseqs" or (self.method == "auto" and find_mmseqs()):
            groupings.append(cluster_by_linclust(data.sequences, self.min_seq_id, self.coverage, data.alphabet))
            known.append(f"mmseqs (identity {self.min_seq_id}, coverage {self.coverage})")
        if data.loci is not None:
            groupings.append(group_overlaps(data.loci))
            known.append("overlapping positions")
        groups = join(*groupings)
        sizes = np.bincount(groups, minlength=1)
        message = "homology split: %d sequences in %d groups by %s, the largest of %d"
        _log.info(message, len(data), len(sizes), ", ".join(known), sizes.max())
        groups.setflags(write=False)
        _found_last = weakref.ref(data), self, groups
        return groups


# A run asks for the parts of its sequences, and then for the groups that they were dealt by.
_found_last: tuple["weakref.ref[LabelledSequences]", HomologySplit, Groups] | None = None


@dataclass(frozen=True)
class AutoSplit(HomologySplit):
    """Use the split that the source brings; where it brings none, and for folds, keep relatives together."""

    def __call__(self, data: LabelledSequences) -> npt.NDArray[np.str_]:
        if data.splits is None:
            return super().__call__(data)
        own = ColumnSplit(0.0, self.seed)(data)
        if "valid" in own or not self.valid_fraction:
            return own
        # Relatives of training sequences would tell too little of new ones: what validation chooses would be too bold.
        members = np.flatnonzero(own == "train")
        train = data.subset(members)
        try:
            own[members] = self._parts(train, self.groups(train), self.valid_fraction, 0.0)
        except DataError as error:
            _log.warning("the validation part has relatives in the training part, copies apart: %s", error)
            return ColumnSplit(self.valid_fraction, self.seed)(data)
        return own


def check_fractions(valid_fraction: float, test_fraction: float) -> None:
    """Raise ConfigError if a share of the sequences is none, or the two leave nothing to train on."""
    for name, fraction in (("valid_fraction", valid_fraction), ("test_fraction", test_fraction)):
        if not 0 <= fraction < 1:
            raise ConfigError(f"{name}={fraction} is not allowed: at least 0 and below 1")
    if valid_fraction + test_fraction >= 1:
        raise ConfigError(
            f"valid_fraction={valid_fraction} and test_fraction={test_fraction} leave nothing to train on: "
            "their sum must be below 1"
        )


def check_classes(
    data: LabelledSequences,
    parts: npt.NDArray[np.int64],
    names: Sequence[str],
    advice: str,
    groups: Groups | None = None,
) -> None:
    """Check that every part holds every class. Of label sets and values that is not asked.

    Args:
        data: The sequences.
        parts: Number of the part of each (N,).
        names: What messages call each part (P).
        advice: What messages tell to do.
        groups: What had to stay together (N,), for messages.

    Raises:
        DataError: A part lacks a class, which nothing can be learned or measured of there.
    """
    if not data.kind.needed_everywhere:
        return
    held = np.zeros((len(names), len(data.classes)), np.int64)
    np.add.at(held, (parts, data.labels), 1)
    for name, counts in zip(names, held, strict=True):
        missing = np.flatnonzero(counts == 0)
        if not missing.size:
            continue
        members = data.labels == missing[0]
        reason = f"there are {members.sum()} of {data.classes[missing[0]]!r}"
        if groups is not None:
            sizes = np.bincount(groups[members])
            reason += (
                f", in {np.count_nonzero(sizes)} group(s) that must stay whole, up to {sizes.max(initial=0)} in one"
            )
        raise DataError(
            f"{name} of {source_of(data)} has no example of class "
            f"{', '.join(repr(data.classes[label]) for label in missing)} (of {len(data.classes)} classes, {len(data)} "
            f"sequences): {reason}; {advice}"
        )


def check_parts(data: LabelledSequences, parts: npt.NDArray[np.str_], advice: str) -> None:
    """Check as `check_classes` that every part that `parts` (N,) names holds every class."""
    names, numbers = np.unique(parts, return_inverse=True)
    check_classes(data, numbers.reshape(-1), [f"the {name} part" for name in names], advice)


def source_of(data: LabelledSequences) -> str:
    """Return what messages call the data: its files."""
    return ", ".join(data.files) or "the data"
