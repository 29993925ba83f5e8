"""The best path through a hidden Markov model of genes with introns: start, codons, stop, introns and UTRs.

Each base is intergenic, untranslated, intron, or one of three places in a codon, and brings what that is worth. A path
obeys the letters: a gene begins with a start codon, has no stop codon in its frame but its last one, and its introns
begin and end with one of the pairs of dinucleotides that are allowed, within a codon, too.

What a state is worth grows by the same sums whatever came before, so only the difference from these sums is kept, and
it changes only at a start codon, a stop codon, and the ends of introns. Paths are linked lists that share their past;
those that lost are freed. So memory is that of a block of sums, of the letters, and of the genes that are found.

Shapes: `L` bases of a strand in its reading direction.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError
from gulmfit.predict.genes.splice_sites import SpliceSites
from gulmfit.seq.alphabet import AMBIGUOUS, DNA, Codes
from gulmfit.seq.genome.genes import Span
from gulmfit.seq.genome.genetic_code import CODONS, codon_numbers, genetic_code

Floats = npt.NDArray[np.float64]

INTRONS: Mapping[str, float] = {"GT-AG": 0.0, "GC-AG": -3.0, "AT-AC": -6.0}
"""Ends of introns, and what each adds to a path: others than the first are rare."""

BLOCK_BP = 1 << 16  # whose sums are held at once
CONTEXT_BP = 128  # bases around a block by which its ends of introns are known

_NEVER = float("-inf")
_Node = Any
"""(what, position, node before): the path of a state; None before the first gene."""
_State = tuple[float, _Node]
"""What a state is worth, and its path."""
_NONE: _State = (_NEVER, None)
_value = itemgetter(0)


@dataclass(frozen=True, kw_only=True)
class GeneGrammar:
    """What a gene may be, and what its signals are worth.

    Args:
        code: Number of the genetic code.
        starts: Codons that start.
        introns: Ends of introns and what each adds, as `INTRONS`.
        min_intron_bp: The shortest intron, its ends included.
        max_intron_bp: The longest one; 0 for any length.
        min_exon_bp: The shortest coding exon between two introns, at least 3. The first and the last one may be
            shorter, down to a single base of the start or stop codon.
        gene_constant: Added for every gene.
        intron_constant: Added for every intron.
        early_bp: Coding bases from the start codon on within which an intron is early.
        early_bonus: Added for an early intron, on top of `intron_constant`.
        late_bonus: Added for any other.
        splicing: What the letters say of the ends of introns; None for nothing but their dinucleotides.
        splice_weight: What that is multiplied by.

    Raises:
        ConfigError: The genetic code does not exist, a length is too small, or an intron is not two dinucleotides.
    """

    code: int = 1
    starts: tuple[str, ...] = ("ATG",)
    introns: Mapping[str, float] = field(default_factory=lambda: dict(INTRONS))
    min_intron_bp: int = 30
    max_intron_bp: int = 0
    min_exon_bp: int = 3
    gene_constant: float = 0.0
    intron_constant: float = 0.0
    early_bp: int = 0
    early_bonus: float = 0.0
    late_bonus: float = 0.0
    splicing: SpliceSites | None = None
    splice_weight: float = 1.0

    def __post_init__(self) -> None:
        genetic_code(self.code)
        if self.min_exon_bp < 3 or self.min_intron_bp < 4:
            raise ConfigError(
                f"min_exon_bp={self.min_exon_bp}, min_intron_bp={self.min_intron_bp}: an exon between introns has at "
                "least 3 bases, an intron 4"
            )
        for ends in self.introns:
            if len(ends) != 5 or ends[2] != "-" or set(ends) - {*DNA.letters, "-"}:
                raise ConfigError(f"introns: {ends!r} is not a pair of dinucleotides such as GT-AG")

    def best_path(self, codes: Codes, rates: Callable[[int, int], Floats]) -> list[tuple[list[Span], list[Span]]]:
        """Return exons and coding parts of each gene of the best path, in reading direction.

        Args:
            codes: Bases (L,).
            rates: Gives what the bases [first, last) add: to no gene, UTR, introns of CDS, introns of UTR, and to CDS
                in each frame (7, last - first).
        """
        return _genes(_Search(self, codes, rates).run())


class _Search:
    """One pass over the boundaries between the bases of a strand; a value is that of a state less its sum."""

    def __init__(self, grammar: GeneGrammar, codes: Codes, rates: Callable[[int, int], Floats]) -> None:
        self.grammar, self.length, self.rates = grammar, len(codes), rates
        self.codes = codes.tobytes() + bytes([AMBIGUOUS] * 3)
        is_stop = genetic_code(grammar.code).is_stop
        is_start = np.array([codon in grammar.starts for codon in [*CODONS, ""]]) & ~is_stop
        self.stop, self.start = _marked(codes, is_stop), _marked(codes, is_start)
        self.stops, self.starts = ({_CODES[number] for number in np.flatnonzero(own)} for own in (is_stop, is_start))
        self.begins = {codon[:size] for codon in self.starts for size in (1, 2)}
        pairs = [(ends[:2], ends[3:], value + grammar.intron_constant) for ends, value in grammar.introns.items()]
        accepting = list(dict.fromkeys(after for _, after, _ in pairs))
        self.longest = grammar.max_intron_bp - grammar.min_intron_bp if grammar.max_intron_bp else float("inf")
        self.whole = codes
        self.donor: dict[int, float] = {}  # of the block at hand, what the letters add where an intron may begin,
        self.acceptor: dict[int, float] = {}  # and where it may have ended
        # By the number of a dinucleotide: where an intron of it may lead, and which introns end with it.
        self.donors: list[list[tuple[int, float]]] = [[] for _ in range(25)]
        self.acceptors = [-1] * 25
        for before, after, value in pairs:
            self.donors[_pair(before)].append((accepting.index(after), value))
            self.acceptors[_pair(after)] = accepting.index(after)
        # Of introns that are long enough, by where they end and by what they have cut: where they are too long, value,
        # path. Each is worth more than all that began after it.
        self.open: list[dict[tuple[Any, ...], deque[tuple[float, float, _Node]]]] = [{} for _ in accepting]
        self.young: deque[tuple[int, int, tuple[Any, ...], float, _Node]] = deque()
        # Coding, by frame, the position of a first base of a codon modulo 3: value, path; and exons that are too short
        # for another intron: where that ends, value, path.
        self.exon: list[_State] = [_NONE] * 3
        self.short: list[list[tuple[int, float, _Node]]] = [[], [], []]
        # Starts that an intron may be early after: where that ends, where they are, value, path.
        self.begun: list[deque[tuple[int, int, float, _Node]]] = [deque() for _ in range(3)]
        # What a stop codon ends, until its last base: an intron may still cut it.
        self.ending: list[tuple[int, list[tuple[int, float, _Node]]]] = [(-1, []), (-1, []), (-1, [])]
        self._known: dict[bytes, bytes] = {}
        self.ends: dict[int, list[_State]] = {}  # of genes, by boundary

    def run(self) -> _Node:
        """Return the path of the best parse."""
        codes, donor, acceptor = self.codes, self.donor, self.acceptor
        anywhere = self.grammar.splicing is None  # an intron may begin and end at any of its dinucleotides
        # No gene; in a gene before its CDS, and after it.
        free, free_path = 0.0, None
        before, before_path = _NEVER, None
        after, after_path = _NEVER, None
        recent: deque[_State] = deque([_NONE] * 3, maxlen=3)  # of `before`, with its sum
        for t, pg, pu in self._sums():
            if t in self.ends:
                value, path = max(self.ends.pop(t), key=_value)
                if value - pu > after:
                    after, after_path = value - pu, path
            while self.young and self.young[0][0] <= t:
                _, kind, key, value, path = self.young.popleft()
                waiting = self.open[kind].setdefault(key, deque())
                while waiting and waiting[-1][1] <= value:
                    waiting.pop()
                waiting.append((t + self.longest, value, path))
            if (
                t >= 2
                and (kind := self.acceptors[codes[t - 2] * 5 + codes[t - 1]]) >= 0
                and (anywhere or t in acceptor)
            ):
                before, before_path = self._accept(t, kind, (before, before_path))
            if after + pu > free + pg:
                free, free_path = after + pu - pg, ("end", t, after_path)
            if free + pg > before + pu:
                before, before_path = free + pg - pu, ("begin", t, free_path)
            recent.append((before + pu, before_path))
            if (donors := self.donors[codes[t] * 5 + codes[t + 1]]) and (anywhere or t in donor):
                self._donate(t, donors, (after, after_path), recent)
            if self.stop[t]:
                self._stop(t)
            if self.start[t]:
                value = before + pu + self.grammar.gene_constant - self.pc[t % 3][t - self.base]
                if value > self.exon[t % 3][0]:
                    self.short[t % 3].append((t + 3, value, ("start", t, before_path)))
                if self.grammar.early_bp:
                    self.begun[t % 3].append((t + self.grammar.early_bp, t, value, ("start", t, before_path)))
        return free_path

    def _sums(self) -> Iterator[tuple[int, float, float]]:
        """Yield each boundary, with the sums of no gene and of UTR up to it; the others are at hand around it."""
        sums = np.zeros((7, 1))
        self.base = 0  # the boundary at which the lists of sums begin
        for first in range(0, self.length + 1, BLOCK_BP):
            begin, last = max(0, first - 2), min(self.length, first + BLOCK_BP + 3)
            carried = sums[:, begin - self.base, None]
            sums = carried + np.cumsum(np.pad(self.rates(begin, last), ((0, 0), (1, 0))), axis=1)
            self.base = begin
            pg, self.pu, self.pi, self.pr, *self.pc = sums.tolist()
            if self.grammar.splicing:
                self._splice(self.grammar.splicing, first, min(self.length + 1, first + BLOCK_BP))
            for t in range(first, min(self.length + 1, first + BLOCK_BP)):
                yield t, pg[t - begin], self.pu[t - begin]

    def _splice(self, splicing: SpliceSites, first: int, last: int) -> None:
        """Score the ends of introns at the boundaries of a block."""
        weight = self.grammar.splice_weight
        low, high = max(0, first - CONTEXT_BP), min(self.length, last + CONTEXT_BP)
        codes = self.whole[low:high]
        pairs = codes[:-1].astype(np.int64) * 5 + codes[1:]
        begins = np.flatnonzero(np.array([bool(one) for one in self.donors])[pairs]) + low
        ends = np.flatnonzero(np.array(self.acceptors)[pairs] >= 0) + low + 2
        for known, places, scores, least in (
            (self.donor, begins, splicing.donors, splicing.least_donor),
            (self.acceptor, ends, splicing.acceptors, splicing.least_acceptor),
        ):
            places = places[(places >= first) & (places < last)]
            worth = scores(codes, places - low)
            able = worth >= least
            known.clear()
            known.update(zip(places[able].tolist(), (weight * worth[able]).tolist(), strict=True))

    def _accept(self, t: int, kind: int, before: _State) -> _State:
        """End introns before base t; return what is best before a CDS."""
        codes, pc, at = self.codes, self.pc, t - self.base
        ended = self.acceptor.get(t, 0.0)
        for key, waiting in self.open[kind].items():
            while waiting and waiting[0][0] < t:
                waiting.popleft()
            if not waiting:
                continue
            _, value, node = waiting[0]
            value += ended + (self.pi if len(key) > 1 else self.pr)[at]
            if key[0] == "before":
                before = max(before, (value - self.pu[at], ("accept", t, node)), key=_value)
                continue
            if key[0] == "after":  # an exon has a base
                if t < self.length:
                    value += self.pu[at + 1] - self.pu[at]
                    self.ends.setdefault(t + 1, []).append((value, ("accept", t, node)))
                continue
            cut = key[1]
            frame = (t - len(cut)) % 3
            if cut:
                rest = codes[t : t + 3 - len(cut)]
                if t + len(rest) > self.length or (key[0] == "start" and cut + rest not in self.starts):
                    continue
                if key[0] == "codon" and cut + rest in self.stops:
                    value += pc[frame][at + len(rest)] - pc[frame][at]
                    path = ("stop", t + len(rest), ("accept", t, node))
                    self.ends.setdefault(t + len(rest), []).append((value, path))
                    continue
            value -= pc[frame][at]
            if value > self.exon[frame][0]:  # otherwise what is there already is better
                self.short[frame].append((t + self.grammar.min_exon_bp, value, ("accept", t, node)))
        return before

    def _donate(
        self,
        t: int,
        donors: list[tuple[int, float]],
        after: _State,
        recent: deque[_State],
    ) -> None:
        """Begin introns at base t, wherever a path may be."""
        codes, at = self.codes, t - self.base
        early, late = self.grammar.early_bonus, self.grammar.late_bonus
        found: list[tuple[tuple[Any, ...], float, _Node]] = [(("after",), after[0] + self.pu[at] + late, after[1])]
        if t:  # an exon has a base
            found.append((("before",), recent[-2][0] + self.pu[at] - self.pu[at - 1] + late, recent[-2][1]))
        for frame in range(3):
            (value, node), (soon, other) = self._ripe(t, frame), self._early(t, frame)
            value += late
            if soon + early > value:
                value, node = soon + early, other
            if value > _NEVER:
                cut = self._alike(codes[t - (t - frame) % 3 : t])
                found.append((("codon", cut), value + self.pc[frame][at], node))
        for size in (1, 2):  # of a start codon
            if t >= size and codes[t - size : t] in self.begins:
                frame = (t - size) % 3
                value, node = recent[-1 - size]
                value += self.grammar.gene_constant + self.pc[frame][at] - self.pc[frame][at - size]
                value += early if self.grammar.early_bp else late
                found.append((("start", codes[t - size : t]), value, ("start", t - size, node)))
        ready, own = t + self.grammar.min_intron_bp, self.donor.get(t, 0.0)
        for key, value, node in found:
            for kind, more in donors:
                relative = value + more + own - (self.pi if len(key) > 1 else self.pr)[at]
                waiting = self.open[kind].get(key)
                # Otherwise what is there already is better, for as long as it may last.
                if self.longest < float("inf") or not waiting or relative > waiting[0][1]:
                    self.young.append((ready, kind, key, relative, ("donate", t, node)))

    def _early(self, t: int, frame: int) -> _State:
        """Return the best path of a frame that has coded for no more than `early_bp` bases."""
        begun = self.begun[frame]
        while begun and begun[0][0] < t:
            begun.popleft()
        return max(((value, node) for _, start, value, node in begun if start + 3 <= t), key=_value, default=_NONE)

    def _ripe(self, t: int, frame: int) -> _State:
        """Return the best path of a frame whose exon is long enough to end at t."""
        if self.short[frame]:
            waiting = []
            for ready, value, node in self.short[frame]:
                if ready > t:
                    waiting.append((ready, value, node))
                elif value > self.exon[frame][0]:
                    self.exon[frame] = (value, node)
            self.short[frame] = waiting
        until, ending = self.ending[frame]
        if t >= until:
            return self.exon[frame]
        cut = [(value, node) for ready, value, node in ending if ready <= t]
        return max([self.exon[frame], *cut], key=_value)

    def _stop(self, t: int) -> None:
        """End the genes in whose frame a stop codon begins at t."""
        frame = t % 3
        ending = [(t, *self.exon[frame]), *self.short[frame]]
        _, value, node = max(ending, key=lambda one: one[1])
        if value > _NEVER:
            self.ends.setdefault(t + 3, []).append((value + self.pc[frame][t + 3 - self.base], ("stop", t + 3, node)))
            self.ending[frame] = (t + 3, ending)
        self.exon[frame], self.short[frame] = _NONE, []
        self.begun[frame] = deque((min(last, t + 2), *one) for last, *one in self.begun[frame])  # one may cut the stop

    def _alike(self, cut: bytes) -> bytes:
        """Return the first of all beginnings of a codon that the same rests make stop codons."""
        if cut not in self._known:

            def rests(begun: bytes) -> set[bytes]:
                return {codon[len(cut) :] for codon in self.stops if codon.startswith(begun)}

            self._known[cut] = next(codon[: len(cut)] for codon in _CODES if rests(codon[: len(cut)]) == rests(cut))
        return self._known[cut]


def _marked(codes: Codes, table: npt.NDArray[np.bool_]) -> bytes:
    """Return whether the codon that begins at each base (L,) is in a table (65), block by block; 0 at the end."""
    blocks = (codes[first : first + BLOCK_BP + 2] for first in range(0, max(0, len(codes) - 2), BLOCK_BP))
    return b"".join(table[codon_numbers(block)].tobytes() for block in blocks) + bytes(4)


_CODES = [bytes(map(DNA.letters.index, codon)) for codon in CODONS]


def _pair(letters: str) -> int:
    return DNA.letters.index(letters[0]) * 5 + DNA.letters.index(letters[1])


def _genes(node: _Node) -> list[tuple[list[Span], list[Span]]]:
    """Follow a path back, and turn it into exons and coding parts."""
    steps = []
    while node is not None:
        steps.append(node[:2])
        node = node[2]
    genes: list[tuple[list[Span], list[Span]]] = []
    exons: list[Span] = []
    cds: list[Span] = []
    first = coding = -1
    for what, t in reversed(steps):
        if what == "begin":
            first, exons, cds = t, [], []
        elif what == "start":
            coding = t
        elif what == "donate":
            exons.append((first, t))
            if coding >= 0:
                cds.append((coding, t))
        elif what == "accept":
            first, coding = t, t if coding >= 0 else -1
        elif what == "stop":
            cds.append((coding, t))
            coding = -1
        else:
            exons.append((first, t))
            genes.append(([span for span in exons if span[0] < span[1]], cds))
    return genes
