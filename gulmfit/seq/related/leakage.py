"""What the parts of a split have in common: the leakage report of a run. Shape: N sequences of one part."""

import logging
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import DNA
from gulmfit.seq.labels.labelled import LabelledSequences, Locus
from gulmfit.seq.related.homology import locus_arrays
from gulmfit.seq.related.overlap import Mask, count_marked, find_overlaps, near_duplicate_k

_log = logging.getLogger(__name__)

ACTIONS = ("warn", "error", "ignore")
MET = ("train->test", "valid->test")  # where a test sequence must not have been met
KINDS = {
    "exact": "exact copies",
    "reverse_complement": "reverse complements",
    "near_duplicate": "near-duplicates",
    "coordinates": "overlaps by genome position",
}


def leakage_report(
    parts: Mapping[str, LabelledSequences],
    *,
    k: int | None = None,
    share: float = 0.5,
) -> dict[str, Any]:
    """Count the sequences of each part that a model may have met in the parts before it.

    A sequence counts once for each kind that applies: `exact` (the same letters), `reverse_complement` (the same
    letters on the other strand), `near_duplicate` (at least `share` of its k-mers occur there, on either strand),
    `coordinates` (the positions overlap by a base or more, on either strand; null where they are not known), and
    `any` of these.

    Args:
        parts: The parts in order of use: "train", "valid", "test". Empty ones are left out.
        k: Letters a k-mer, 1 to 31 (of amino acids 12); by default as long as `near_duplicate_k` says for the largest
            of the parts that are met.
        share: Least fraction of k-mers that makes a near-duplicate, above 0 and up to 1.

    Returns:
        A JSON-ready dict: `k`, `share`; `sequences`, how many each part has; `pairs`, by name ("train->test"), with
        `count`, `fraction` (of the later part) and `examples` (up to five record ids of the later part) of each kind.

    Raises:
        DataError: k or share is out of range.
    """
    filled = {name: part for name, part in parts.items() if len(part)}
    alphabet = next((part.alphabet for part in filled.values()), DNA)
    met = list(filled.values())[:-1]
    part_k = near_duplicate_k(alphabet, max((_letters(part) for part in met), default=0)) if k is None else k
    pairs: dict[str, Any] = {}
    for (earlier, known), (later, scored) in combinations(filled.items(), 2):
        kinds = find_overlaps(known.sequences, scored.sequences, part_k, share, alphabet)
        if known.loci is not None and scored.loci is not None:
            kinds["coordinates"] = _overlap(known.loci, scored.loci)
        kinds["any"] = np.logical_or.reduce(list(kinds.values()))
        pairs[f"{earlier}->{later}"] = {
            kind: count_marked(kinds[kind], scored.ids) if kind in kinds else None for kind in (*KINDS, "any")
        }
    return {
        "k": part_k,
        "share": float(share),
        "sequences": {name: len(part) for name, part in parts.items()},
        "pairs": pairs,
    }


def leaked_fraction(report: Mapping[str, Any], pair: str = "train->test") -> float:
    """Return the share of the later part of a pair that was met in the earlier one; 0 where one of them is empty."""
    found = report["pairs"].get(pair)
    return float(found["any"]["fraction"]) if found else 0.0


def most_leaking(report: Mapping[str, Any]) -> str:
    """Return which of the pairs `MET` leaks the largest share of the test part."""
    return max(MET, key=lambda pair: leaked_fraction(report, pair))


def check_leakage(report: Mapping[str, Any], threshold: float = 0.01, action: str = "warn") -> None:
    """Warn of, or refuse, a test part that was met in training, or in validation, where weights are chosen.

    Args:
        report: What `leakage_report` returned.
        threshold: Largest share of the test sequences that passes, of each of the two, from 0 to 1.
        action: `warn`, `error` or `ignore`, for a larger share.

    Raises:
        ConfigError: A value is not allowed.
        DataError: The share is larger, and `action` is `error`.
    """
    if action not in ACTIONS:
        raise ConfigError(f"leakage={action!r} is unknown; choose one of {', '.join(ACTIONS)}")
    if not 0 <= threshold <= 1:
        raise ConfigError(f"leakage threshold {threshold} is not allowed: a share from 0 to 1")
    pair = most_leaking(report)
    if action == "ignore" or leaked_fraction(report, pair) <= threshold:
        return
    found, where = report["pairs"][pair], "training" if pair == MET[0] else "validation"
    kinds = ", ".join(f"{found[kind]['count']} {name}" for kind, name in KINDS.items() if found[kind])
    message = (
        f"LEAKAGE: {found['any']['count']} of {report['sequences']['test']} test sequences "
        f"({found['any']['fraction']:.1%}, {threshold:.1%} allowed) were met in {where}: {kinds}; for example "
        f"{', '.join(map(repr, found['any']['examples']))}. The test score is in part a score of memory. Choose "
        "split=homology, which keeps relatives on one side, or take these sequences out of one part."
    )
    if action == "error":
        raise DataError(f"{message} leakage=warn goes on nevertheless.")
    _log.warning("%s", message)


def _letters(part: LabelledSequences) -> int:
    return sum(map(len, part.sequences))


def _overlap(known: Sequence[Locus], scored: Sequence[Locus]) -> Mask:
    """Mark the scored positions (N,) that overlap a known one on either strand."""
    contigs, starts, ends = locus_arrays([*known, *scored])
    # With the contigs laid end to end, all of them are one line.
    offset = contigs * (ends.max() + 1)
    starts, ends = starts + offset, ends + offset
    order = np.argsort(starts[: len(known)])
    reach = np.maximum.accumulate(ends[: len(known)][order])
    begun = np.searchsorted(starts[: len(known)][order], ends[len(known) :])
    # Of the known windows that begin before a scored one ends, does any reach past its start?
    marked: Mask = (begun > 0) & (reach[begun - 1] > starts[len(known) :])
    return marked
