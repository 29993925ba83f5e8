"""Hold out a part of a genome for validating a language model, by whole blocks of contig.

Coordinates are 0-based half-open positions in a genome store.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.genome.store import Interval


@dataclass(frozen=True)
class Holdout:
    """Intervals to learn from and intervals to validate on; what was apart in the genome stays apart."""

    train: list[Interval]
    valid: list[Interval]

    def bases(self) -> dict[str, int]:
        """Return how many bases each part holds."""
        return {
            "train": sum(part.end - part.start for part in self.train),
            "valid": sum(part.end - part.start for part in self.valid),
        }


def hold_out(
    intervals: Sequence[Interval],
    *,
    how: str = "blocks",
    fraction: float = 0.1,
    block_bp: int = 50_000,
    margin_bp: int = 1_000,
    seed: int = 0,
    contigs: Mapping[str, float] | None = None,
    names: Sequence[str] = (),
) -> Holdout:
    """Split intervals into training and validation parts.

    Args:
        intervals: Stretches of contigs, never overlapping.
        how: `blocks` holds out random blocks of about `block_bp` bases, `tail` the last part of every contig.
        fraction: Share of the bases to hold out, between 0 and 1.
        block_bp: Length of a block; a shorter contig is one block.
        margin_bp: Bases dropped from training on either side of a held-out stretch, so that no training token
            or hidden state touches it.
        seed: Chooses the blocks.
        contigs: Other shares for the tails of contigs, by record id.
        names: Record id of each contig, for `contigs`.

    Raises:
        ConfigError: If an argument is out of range, or a contig does not exist or is named twice in the corpus.
        DataError: If the corpus is too small to leave something on both sides.
    """
    if how not in ("blocks", "tail"):
        raise ConfigError(f"holdout.how={how!r} is unknown; choose blocks or tail.")
    if not 0.0 < fraction < 1.0:
        raise ConfigError(f"holdout.fraction={fraction}: give a share between 0 and 1, such as 0.1.")
    if block_bp < 1 or margin_bp < 0:
        raise ConfigError(
            f"holdout.block_bp={block_bp}, holdout.margin_bp={margin_bp}: a block has 1 base or more, a "
            "margin 0 or more."
        )
    fractions = _fractions(how, contigs or {}, names)
    intervals = sorted(intervals)
    valid = _tails(intervals, fraction, fractions) if how == "tail" else _blocks(intervals, fraction, block_bp, seed)
    held_out = _by_contig(valid)
    train = [piece for part in intervals for piece in _without(part, held_out[part.contig], margin_bp)]
    if not train or not valid:
        total = sum(part.end - part.start for part in intervals)
        raise DataError(
            f"a corpus of {total:,} bases in {len(intervals)} stretches cannot give up a fraction of "
            f"{fraction} ({how}, block_bp={block_bp}, margin_bp={margin_bp}). Lower holdout.block_bp and "
            "holdout.margin_bp."
        )
    return Holdout(train, valid)


def _fractions(how: str, contigs: Mapping[str, float], names: Sequence[str]) -> dict[int, float]:
    """Return the shares to hold out by number of contig."""
    if contigs and how != "tail":
        raise ConfigError(f"holdout.contigs holds out tails, and holdout.how={how}: set holdout.how=tail.")
    fractions = {}
    for name, fraction in contigs.items():
        if not 0.0 <= fraction <= 1.0:
            raise ConfigError(f"holdout.contigs.{name}={fraction}: give a share from 0 to 1.")
        if names.count(name) != 1:
            raise ConfigError(f"holdout.contigs: {names.count(name)} records of the corpus have the id {name!r}.")
        fractions[names.index(name)] = fraction
    return fractions


def _tails(intervals: Sequence[Interval], fraction: float, fractions: Mapping[int, float]) -> list[Interval]:
    """Cut the last part of every contig off, across the gaps that ambiguous runs leave in it."""
    valid = []
    for contig, parts in _by_contig(intervals).items():
        wanted = int(fractions.get(contig, fraction) * sum(part.end - part.start for part in parts))
        for part in reversed(parts):
            take = min(wanted, part.end - part.start)
            if take > 0:
                valid.append(Interval(contig, part.end - take, part.end))
            wanted -= take
    return sorted(valid)


def _blocks(intervals: Sequence[Interval], fraction: float, block_bp: int, seed: int) -> list[Interval]:
    """Choose blocks at random until they hold `fraction` of the bases."""
    blocks = []
    for part in intervals:
        count = max(1, round((part.end - part.start) / block_bp))
        edges = np.linspace(part.start, part.end, count + 1).astype(np.int64)
        blocks += [Interval(part.contig, int(start), int(end)) for start, end in pairwise(edges) if end > start]
    wanted = fraction * sum(part.end - part.start for part in intervals)
    order = [blocks[index] for index in np.random.default_rng(seed).permutation(len(blocks))]
    chosen: list[Interval] = []
    held = 0
    for block in order:
        size = block.end - block.start
        # A block that overshoots by more than half its length is skipped for a smaller one.
        if held + size / 2 <= wanted:
            chosen.append(block)
            held += size
    if not chosen and len(order) > 1:
        chosen.append(min(order, key=lambda block: block.end - block.start))
    return sorted(chosen)


def _by_contig(intervals: Sequence[Interval]) -> defaultdict[int, list[Interval]]:
    """Group intervals by contig; the order within a contig stays."""
    groups: defaultdict[int, list[Interval]] = defaultdict(list)
    for part in intervals:
        groups[part.contig].append(part)
    return groups


def _without(interval: Interval, held_out: Sequence[Interval], margin_bp: int) -> list[Interval]:
    """Return what is left of an interval without its contig's held-out stretches (sorted) and margins."""
    pieces = []
    start = interval.start
    for gap in held_out:
        end = min(gap.start - margin_bp, interval.end)
        if start < end:
            pieces.append(Interval(interval.contig, start, end))
        start = max(start, gap.end + margin_bp)
    if start < interval.end:
        pieces.append(Interval(interval.contig, start, interval.end))
    return pieces
