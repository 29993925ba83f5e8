"""Negatives for positives that come alone: their own k-lets shuffled, or like windows of a genome, or some of both.

A negative is made for one positive, its partner, and has its length. What a model tells apart is what the two do not
share: below k letters nothing of a shuffle, GC content in a window. Shapes: N negatives, W windows, L bases each.
"""

import itertools
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import AMBIGUOUS, Codes, decode, encode, gc_content, reverse_complement
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.labelled import LabelledSequences, Locus
from gulmfit.seq.negatives.shuffle import shuffle
from gulmfit.seq.related.overlap import canonical_kmers, kmers_by_sequence

_log = logging.getLogger(__name__)

# A window with so many bases in a row of a positive may be one. It is the k of `HomologySplit`; a smaller one would
# rule out most windows of a large set by chance: of 14 million bases of positives, a window of 3 kb shares a 16-mer.
SHARED_K = 20
SHUFFLE_TRIES = 10
GC_STEP = 0.02  # by which a tolerance is widened where windows run out

_BATCH_BASES = 1 << 24  # read from the genome at once
_PATIENCE_BASES = 1 << 26  # read almost in vain before GC content gives way
_BIN_BP = 1024
_FILTER_MASK = np.uint64(2**26 - 1)

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Negatives:
    """N negatives, in the order of their positives.

    Attributes:
        ids: The id of the partner with "/shuffled-1" or "/genomic-1" behind it, numbered for each positive (N).
        sequences: Upper-case letters (N).
        loci: (contig, start, end, strand) of each, 0-based half-open; None for a shuffle (N).
        partners: Index of the positive that each was made for (N,): both belong on the same side of a split.
        record: How they were made, ready for JSON; see the functions below.
    """

    ids: list[str]
    sequences: list[str]
    loci: list[Locus | None]
    partners: Indices
    record: dict[str, Any]


def make_negatives(
    positives: LabelledSequences,
    store: GenomeStore | None = None,
    *,
    how: str = "shuffle",
    per_positive: int = 1,
    k: int = 2,
    gc_tolerance: float = 0.02,
    margin_bp: int = 0,
    shuffled_fraction: float = 0.5,
    seed: int = 0,
) -> Negatives:
    """Make negatives for positives, whose classes do not matter.

    `shuffle`: Every positive is shuffled, keeping its count of every k-let
    (`gulmfit.seq.negatives.shuffle.shuffle`). A shuffle
    that is the positive again, as where its k-lets allow nothing else, would be one sequence in two classes. It is
    drawn again, up to 10 times, and then left out, logged and recorded.

    `genomic`: Windows of a genome that have the length and the GC content of each positive. A window lies inside one
    contig, holds no ambiguous base, overlaps no other negative and is read from either strand at random. It keeps
    `margin_bp` away from every positive; where positives come without loci, it shares no 20-mer with any of them on
    either strand instead, so that copies of positives elsewhere are avoided, too. Windows are drawn at random from the
    memory map, batch by batch, so memory does not grow with the genome. Where 67 million bases have been read almost in
    vain (no batch gave a window to more than 1 % of those left), the tolerance of those left is widened by 0.02; how
    many windows lie beyond it, and how far, is logged and recorded.

    `mixed`: A random `shuffled_fraction` of shuffles, and windows.

    Args:
        positives: With `loci` in the store's contigs where known.
        store: The genome, for windows.
        how: As above.
        per_positive: Negatives for each positive.
        k: Letters of the words whose counts a shuffle keeps, 1 or more; 2 keeps dinucleotides.
        gc_tolerance: Largest difference of GC content of a window and its positive, in [0, 1].
        margin_bp: Least distance of a window from positives with loci, in bases.
        shuffled_fraction: Of mixed: share of shuffles, in [0, 1].
        seed: Seed of all draws.

    Returns:
        The negatives; the record holds `how per_positive seed positives negatives`; of shuffles `k shuffled left_out`;
        of windows `genomic genome avoided margin_bp gc_tolerance`, the mean and the largest `gc_difference`, and how
        many lie `beyond_tolerance`.

    Raises:
        ConfigError: A number is out of range.
        DataError: There is no positive, or none can be shuffled; or one has no unambiguous base, a locus outside the
            store, or no window.
    """
    partners, rng = partners_of(positives, per_positive), np.random.default_rng(seed)
    settings = {"how": how, "per_positive": per_positive, "seed": seed}
    is_shuffled = np.full(len(partners), store is None or how == "shuffle")
    if how == "mixed":
        if not 0 <= shuffled_fraction <= 1:
            raise ConfigError(f"shuffled_fraction={shuffled_fraction} is not a share of the negatives: 0 to 1")
        is_shuffled = rng.permutation(len(partners)) < round(shuffled_fraction * len(partners))
        settings["shuffled_fraction"] = shuffled_fraction
    made = [] if how == "genomic" else [_shuffled(positives, partners[is_shuffled], k, rng)]
    if store is not None and how != "shuffle":
        made.append(_Windows(positives, store, gc_tolerance, margin_bp, rng).like(partners[~is_shuffled]))
    return _in_order(positives, made, settings)


def partners_of(positives: LabelledSequences, per_positive: int) -> Indices:
    """Return the index of each positive as often as it gets negatives, after checking that there are any."""
    if per_positive < 1:
        raise ConfigError(f"per_positive={per_positive} gives no negatives: at least 1")
    if not len(positives):
        raise DataError("there is no positive to make negatives for")
    return np.repeat(np.arange(len(positives)), per_positive)


def _in_order(positives: LabelledSequences, kinds: list[Negatives], settings: dict[str, Any]) -> Negatives:
    """Put the kinds together in the order of the positives, named after them."""
    partners = np.concatenate([kind.partners for kind in kinds])
    if not len(partners):
        raise DataError(
            f"none of {len(positives)} positives can be shuffled: no other sequence has their k-lets. Use a smaller k."
        )
    record = {**settings, "positives": len(positives), "negatives": len(partners)}
    for kind in kinds:
        record |= kind.record
    order = np.argsort(partners, kind="stable").tolist()
    ids, sequences, loci = (
        list(itertools.chain.from_iterable(getattr(kind, name) for kind in kinds))
        for name in ("ids", "sequences", "loci")
    )
    return Negatives(
        [ids[i] for i in order], [sequences[i] for i in order], [loci[i] for i in order], partners[order], record
    )


def gc_of(positives: LabelledSequences, index: int) -> float:
    """Return the GC content of a positive; without an unambiguous base that is a DataError."""
    where = f"positive {positives.ids[index]!r}"
    content = gc_content(encode(positives.sequences[index], where=where))
    if np.isnan(content):
        raise DataError(f"{where} has no unambiguous base whose GC content another could have; remove it")
    return content


def gc_record(differences: npt.NDArray[np.float64], tolerance: float, kind: str, lack: str) -> dict[str, Any]:
    """Say how far the GC content of negatives is from that of their positives, and warn where it is too far."""
    beyond, largest = int((differences > tolerance + 1e-9).sum()), float(differences.max(initial=0.0))
    if beyond:
        message = "%d of %d %s negatives differ by more than gc_tolerance=%g from their positive, by %.3f at most: %s"
        _log.warning(message, beyond, len(differences), kind, tolerance, largest, lack)
    mean = float(differences.sum()) / max(1, len(differences))
    return {
        "gc_tolerance": tolerance,
        "gc_difference": {"mean": round(mean, 6), "max": round(largest, 6)},
        "beyond_tolerance": beyond,
    }


def numbered_ids(positives: LabelledSequences, partners: Indices, how: str) -> list[str]:
    """Number the negatives of each positive from 1; `partners` is sorted."""
    numbers = np.arange(len(partners)) - np.searchsorted(partners, partners) + 1
    return [f"{positives.ids[i]}/{how}-{n}" for i, n in zip(partners.tolist(), numbers.tolist(), strict=True)]


def _shuffled(positives: LabelledSequences, partners: Indices, k: int, rng: np.random.Generator) -> Negatives:
    sequences, kept = [], []
    for partner in partners.tolist():
        positive = positives.sequences[partner]
        drawn = (shuffle(positive, k, rng) for _ in range(SHUFFLE_TRIES))
        other = next((text for text in drawn if text != positive), None)
        if other is not None:
            sequences.append(other)
            kept.append(partner)
    if left_out := len(partners) - len(kept):
        message = "%d of %d shuffles are left out: no other sequence with the %d-lets of their positive was found"
        _log.warning(message, left_out, len(partners), k)
    made = np.array(kept, np.int64)
    record = {"k": k, "shuffled": len(kept), "left_out": left_out}
    return Negatives(numbered_ids(positives, made, "shuffled"), sequences, [None] * len(kept), made, record)


class _Windows:
    """Windows of a genome that are like positives but not among them."""

    def __init__(
        self,
        positives: LabelledSequences,
        store: GenomeStore,
        gc_tolerance: float,
        margin_bp: int,
        rng: np.random.Generator,
    ) -> None:
        for name, value in (("gc_tolerance", gc_tolerance), ("margin_bp", margin_bp)):
            if value < 0:
                raise ConfigError(f"{name}={value} is not allowed: at least 0")
        self._positives, self._store, self._rng = positives, store, rng
        self._codes = np.asarray(store.codes)  # the map itself: arrays cut from it are plain ones
        self._tolerance, self._margin_bp = gc_tolerance, margin_bp
        self._contig_starts = np.array([contig.start for contig in store.contigs], np.int64)
        self._contig_lengths = np.array([contig.length for contig in store.contigs], np.int64)
        self._taken = _Taken()
        self._forbidden = np.zeros(0, np.uint64)
        # Most k-mers are told by their last bits to be none of these, ten times as fast as by a search.
        self._filter = np.zeros(int(_FILTER_MASK) + 1, np.bool_)
        if positives.loci is None:
            self._forbidden = np.sort(kmers_by_sequence(positives.sequences, SHARED_K)[0])
            self._filter[self._forbidden & _FILTER_MASK] = True
        else:
            self._avoid(positives.loci)

    def like(self, partners: Indices) -> Negatives:
        """Draw one window for each partner, which are sorted; see `make_negatives`."""
        wanted = np.array([gc_of(self._positives, i) for i in partners.tolist()])
        lengths = np.array([len(self._positives.sequences[i]) for i in partners.tolist()], np.int64)
        starts = np.zeros(len(partners), np.int64)
        for length in np.unique(lengths)[::-1].tolist():  # long windows while there is still room
            members = np.flatnonzero(lengths == length)
            starts[members] = self._of_length(length, wanted[members], partners[members])
        contigs = np.searchsorted(self._contig_starts, starts, side="right") - 1
        strands = self._rng.choice(["+", "-"], len(starts)).tolist()
        sequences, loci, differences = [], list[Locus | None](), np.zeros(len(starts))
        for index, (start, length, contig, strand) in enumerate(
            zip(starts.tolist(), lengths.tolist(), contigs.tolist(), strands, strict=True)
        ):
            codes = self._codes[start : start + length]
            first = start - self._store.contigs[contig].start
            differences[index] = abs(gc_content(codes) - wanted[index])
            sequences.append(decode(codes if strand == "+" else reverse_complement(codes)))
            loci.append((self._store.contigs[contig].name, first, first + length, strand))
        record = {
            "genomic": len(differences),
            "genome": self._store.digest,
            "avoided": f"shared {SHARED_K}-mers" if self._positives.loci is None else "loci",
            "margin_bp": self._margin_bp,
            **gc_record(differences, self._tolerance, "genomic", "the genome has too few nearer windows"),
        }
        return Negatives(numbered_ids(self._positives, partners, "genomic"), sequences, loci, partners, record)

    def _avoid(self, loci: list[Locus]) -> None:
        contigs = {contig.name: contig for contig in self._store.contigs}
        if len(contigs) < len(self._store.contigs):
            raise DataError("contig names repeat in the genome, so loci of positives are not clear; rename the contigs")
        for record, (name, start, end, _) in zip(self._positives.ids, loci, strict=True):
            contig = contigs.get(name)
            if contig is None or not 0 <= start < end <= contig.length:
                found = f"a contig of {contig.length:,} bases" if contig else f"no contig {name!r}"
                raise DataError(
                    f"positive {record!r} lies at {name}:{start}-{end}, but the genome has {found}; give the genome "
                    "that the positives come from, or positives without loci"
                )
            first, last = max(0, start - self._margin_bp), min(contig.length, end + self._margin_bp)
            self._taken.add(contig.start + first, contig.start + last)

    def _of_length(self, length: int, wanted: npt.NDArray[np.float64], partners: Indices) -> Indices:
        """Draw starts of windows of one length, in store coordinates, of the wanted GC contents (N,)."""
        starts = np.full(len(wanted), -1, np.int64)
        tolerance = np.full(len(wanted), self._tolerance)
        queue, size, in_vain = np.arange(len(wanted)), 4 * len(wanted) + 64, 0
        while len(queue):
            size = min(size, max(1, _BATCH_BASES // length))
            turn, queue = np.split(queue, [size // 4 + 1])
            windows, strong = self._draw(length, size, partners[turn[0]])
            # Rounded outwards, so that a difference of exactly the tolerance is allowed.
            first = np.searchsorted(strong, np.ceil((wanted - tolerance)[turn] * length - 1e-6), side="left")
            end = np.searchsorted(strong, np.floor((wanted + tolerance)[turn] * length + 1e-6), side="right")
            fits = first < end
            picks = self._rng.integers(first[fits], end[fits])
            starts[turn[fits]] = self._take(windows[picks], length)
            missed = turn[starts[turn] < 0]
            in_vain = in_vain + size * length if len(missed) > 0.99 * len(turn) else 0
            if in_vain >= _PATIENCE_BASES:
                if tolerance[missed].max() >= 1:
                    raise DataError(self._no_room(length, int(partners[missed[0]])))
                tolerance[missed] += GC_STEP
                in_vain = 0
            queue = np.concatenate([queue, missed])
            size *= 2
        return starts

    def _draw(self, length: int, count: int, partner: int) -> tuple[Indices, Indices]:
        """Draw windows uniformly: the starts of those without ambiguous bases, by their number of G and C."""
        room = np.cumsum(np.maximum(0, self._contig_lengths - length + 1))
        if not room[-1]:
            raise DataError(
                f"positive {self._positives.ids[partner]!r} has {length:,} bases, and the longest contig of the genome "
                f"{self._contig_lengths.max():,}: no window is as long. Remove it, or give another genome."
            )
        places = self._rng.integers(room[-1], size=count)
        contigs = np.searchsorted(room, places, side="right")
        starts = self._contig_starts[contigs] + places - np.concatenate([[0], room])[contigs]
        codes = self._read(starts, length)
        clear = (codes != AMBIGUOUS).all(axis=1)
        strong = np.count_nonzero((codes == 1) | (codes == 2), axis=1)[clear]
        order = np.argsort(strong, kind="stable")
        return starts[clear][order], strong[order].astype(np.int64)

    def _no_room(self, length: int, partner: int) -> str:
        return (
            f"no window of {length:,} bases is left for positive {self._positives.ids[partner]!r}: all that were drawn "
            "hold ambiguous bases or meet positives or other negatives. Give a larger genome, fewer negatives "
            "(per_positive) or a smaller margin_bp."
        )

    def _take(self, starts: Indices, length: int) -> Indices:
        """Take the windows that are free, one after the other; -1 stands for the others (W,)."""
        taken = np.where(self._like_a_positive(starts, length), -1, starts)
        for index in np.flatnonzero(taken >= 0).tolist():
            start = int(starts[index])
            if self._taken.meets(start, start + length):
                taken[index] = -1
            else:
                self._taken.add(start, start + length)
        return taken

    def _like_a_positive(self, starts: Indices, length: int) -> npt.NDArray[np.bool_]:
        """Mark the windows that share a k-mer with a positive without locus (W,)."""
        found = np.zeros(len(starts), np.bool_)
        if len(self._forbidden):
            # One ambiguous base between neighbours keeps a k-mer from spanning two windows.
            codes = np.full((len(starts), length + 1), AMBIGUOUS, np.uint8)
            codes[:, :-1] = self._read(starts, length)
            kmers = canonical_kmers(codes.ravel(), SHARED_K)
            doubtful = np.flatnonzero(self._filter[kmers & _FILTER_MASK])
            place = np.searchsorted(self._forbidden, kmers[doubtful])
            place = np.minimum(place, len(self._forbidden) - 1)
            found[doubtful[self._forbidden[place] == kmers[doubtful]] // (length + 1)] = True
        return found

    def _read(self, starts: Indices, length: int) -> Codes:
        """Read windows (W, L) from the genome."""
        windows: Codes = np.lib.stride_tricks.sliding_window_view(self._codes, length)[starts]
        return windows


class _Taken:
    """Intervals of a genome in bins, so that an overlap is found at once however many there are."""

    def __init__(self) -> None:
        self._bins: dict[int, list[tuple[int, int]]] = {}

    def add(self, start: int, end: int) -> None:
        for number in self._numbers(start, end):
            self._bins.setdefault(number, []).append((start, end))

    def meets(self, start: int, end: int) -> bool:
        held = (self._bins.get(number, ()) for number in self._numbers(start, end))
        return any(first < end and start < last for first, last in itertools.chain.from_iterable(held))

    @staticmethod
    def _numbers(start: int, end: int) -> range:
        return range(start // _BIN_BP, (end - 1) // _BIN_BP + 1)
