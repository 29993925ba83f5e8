"""Sequences that stand in the data with several labels: found, counted, and dealt with as `data.conflicts` says."""

import logging
from collections.abc import Sequence

import numpy as np

from gulmfit.errors import DataError
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.labels.labelled import LabelledSequences

POLICIES = ("warn", "error", "drop")

_log = logging.getLogger(__name__)

_SHOWN = 3
_LETTERS = 40  # of a label


def settle_conflicts(data: LabelledSequences, policy: str, *, both_strands: bool) -> LabelledSequences:
    """Find sequences whose copies differ in their labels.

    Args:
        data: Labelled sequences, of whatever kind of target.
        policy: `warn` keeps all, and counts them in a warning; `error` refuses them; `drop` leaves all copies of such a
            sequence out, and counts them.
        both_strands: Whether a sequence and its reverse complement are copies of each other.

    Returns:
        The data, or what is left of it.

    Raises:
        DataError: There are some and the policy is `error`, or nothing is left of a class that is needed.
    """
    contested = [same for same in _copies(data.sequences, both_strands) if _differing(data, same)]
    if not contested:
        return data
    records = sum(map(len, contested))
    examples = "; ".join(_example(data, same) for same in contested[:_SHOWN])
    strand = " or its reverse complement" if both_strands else ""
    told = (
        f"{', '.join(data.files) or 'the data'}: {len(contested)} sequence(s), {records} of {len(data)} records, have "
        f"more than one label{' (on either strand)' if both_strands else ''}: {examples}"
    )
    if policy == "error":
        raise DataError(
            f"{told}. Give each sequence{strand} one label, or leave such records out with data.conflicts=drop"
        )
    if policy == "warn":
        _log.warning("%s. They are kept; data.conflicts=drop leaves them out, data.conflicts=error stops here", told)
        return data
    _log.warning("%s. All these records are left out (data.conflicts=drop)", told)
    kept = np.ones(len(data), np.bool_)
    kept[[index for same in contested for index in same]] = False
    left = data.subset(kept)
    if not len(left) or (data.kind.needed_everywhere and not data.kind.held(left.labels, len(data.classes)).all()):
        raise DataError(f"{told}. Without them a class has no sequence left; correct the labels")
    return left


def _copies(sequences: Sequence[str], both_strands: bool) -> list[list[int]]:
    """List the indices of sequences that are there more than once, in the order of the first of each."""

    def key(sequence: str) -> str:
        return min(sequence, reverse_complement_text(sequence)) if both_strands else sequence

    # Hashes find what may be equal in 16 bytes a sequence; the sequences themselves decide.
    hashes = np.fromiter((hash(key(sequence)) for sequence in sequences), np.int64, len(sequences))
    order = np.argsort(hashes, kind="stable")
    like_next = np.diff(hashes[order]) == 0
    suspected = np.zeros(len(order), np.bool_)
    suspected[1:] |= like_next
    suspected[:-1] |= like_next
    copies: dict[str, list[int]] = {}
    for index in np.sort(order[suspected]).tolist():
        copies.setdefault(key(sequences[index]), []).append(index)
    return [same for same in copies.values() if len(same) > 1]


def _differing(data: LabelledSequences, same: list[int]) -> list[int]:
    """Return which copies have other labels than the first, read on its strand."""
    letters, label = data.sequences[same[0]], data.labels[same[0]]
    turned = data.kind.turned(label)
    return [
        one
        for one in same[1:]
        if data.kind.differ(data.labels[one], label if data.sequences[one] == letters else turned)
    ]


def _example(data: LabelledSequences, same: list[int]) -> str:
    """Name two records of one sequence that differ in their label."""
    first = same[0]
    other = _differing(data, same)[0]
    texts = {index: data.kind.text(data.labels[index], data.classes) for index in (first, other)}
    shown = {index: text if len(text) <= _LETTERS else f"{text[:_LETTERS]}…" for index, text in texts.items()}
    return " and ".join(f"record {data.ids[index]!r} has {text!r}" for index, text in shown.items())
