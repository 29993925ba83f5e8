"""Bits per base along a genome: every contig is read from its start to its end with the memory carried along.

Shape letters: `L` bases, `S` steps (of all contigs, one after the other), `T` tokens.

A contig is cut at runs of ambiguous bases, and the model starts afresh after each, unless it has learned to read them
as unknown (`data.ambiguity=unk`). The nats of a
token are shared out evenly over the bases that it adds, so that what stands in disjoint windows adds up to the total.
Sums of steps lie in a scratch file: memory does not grow with the genome.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError, SequenceError
from gulmfit.predict.language.likelihood import STRANDS, LikelihoodScorer
from gulmfit.predict.language.reading import Reading, Window
from gulmfit.seq.genome.gatherer import Contig
from gulmfit.seq.genome.store import GenomeStore, Interval

Floats = npt.NDArray[np.float64]

STEPS_AT_ONCE = 1 << 16


class WindowBits(NamedTuple):
    """What one step of a contig is given: the bits of the window around it."""

    contig: str
    start: int
    """Of the step, 0-based."""
    end: int
    bits: float
    """-log2 p of the scored bases of the window."""
    bases: float
    """Scored bases of the window; with both strands the mean of their numbers."""

    @property
    def bits_per_base(self) -> float:
        """Bits a scored base."""
        return self.bits / self.bases


class GenomeBits:
    """Sums of bits and of scored bases for every step of a genome; made by `score_genome`.

    Args:
        contigs: Of the store, in its order.
        step_bp: Bases of a step; the last one of a contig may have fewer.
        folder: Where the scratch file lies.
    """

    def __init__(self, contigs: list[Contig], step_bp: int, folder: Path) -> None:
        self.contigs, self.step_bp = contigs, step_bp
        self.edges = np.concatenate([[0], np.cumsum([-(-contig.length // step_bp) for contig in contigs])])
        shape = (2, int(self.edges[-1]))
        self.sums: npt.NDArray[np.float64] = np.memmap(folder / "sums", np.float64, "w+", shape=shape)

    def add(self, interval: Interval, window: Window, nats: Floats) -> None:
        """Add tokens of an interval: bits `(T,)` nan where not scored, each shared out over the bases it adds."""
        scored = ~np.isnan(nats)
        starts, ends = window.new[scored].T
        if not len(starts):
            return
        contig, counts = self.contigs[interval.contig], ends - starts
        first_of_token = np.concatenate([[0], np.cumsum(counts)[:-1]])
        bases = np.repeat(starts - first_of_token, counts) + np.arange(counts.sum()) + interval.start - contig.start
        steps = bases // self.step_bp
        low, bits = int(steps.min()), np.repeat(-nats[scored] / math.log(2) / counts, counts)
        place = slice(self.edges[interval.contig] + low, self.edges[interval.contig] + int(steps.max()) + 1)
        self.sums[0, place] += np.bincount(steps - low, bits)
        self.sums[1, place] += np.bincount(steps - low)

    def windows(self, window_bp: int) -> Iterator[WindowBits]:
        """Yield the steps in genome order (contigs by name), each with the window of `window_bp` bases around it.

        Windows are cut at the ends of a contig; a step without a scored base in its window is left out. With
        `window_bp` equal to the step, windows are disjoint and add up to the total.
        """
        width = window_bp // self.step_bp
        before, after = (width - 1) // 2, width // 2
        for place in sorted(range(len(self.contigs)), key=lambda number: self.contigs[number].name):
            contig, first, stop = self.contigs[place], self.edges[place], self.edges[place + 1]
            for start in range(int(first), int(stop), STEPS_AT_ONCE):
                end = min(start + STEPS_AT_ONCE, int(stop))
                low, high = max(int(first), start - before), min(int(stop), end + after)
                room = ((0, 0), (before - (start - low), after - (high - end)))
                padded = np.pad(self.sums[:, low:high], room)
                sums = np.lib.stride_tricks.sliding_window_view(padded, width, axis=1).sum(-1)
                for step, (bits, bases) in enumerate(sums.T, start=start - int(first)):
                    if bases:
                        left = step * self.step_bp
                        yield WindowBits(contig.name, left, min(left + self.step_bp, contig.length), bits, bases)

    def total(self) -> tuple[float, float]:
        """Return the bits and the scored bases of the whole genome."""
        bits, bases = (float(row.sum()) for row in self.sums)
        return bits, bases


@contextmanager
def score_genome(
    scorer: LikelihoodScorer,
    store: GenomeStore,
    *,
    step_bp: int = 1000,
    strand: str = "forward",
    batch_size: int = 64,
    folder: Path | None = None,
    progress: Callable[[int], object] = lambda bases: None,
) -> Iterator[GenomeBits]:
    """Score every base of a genome given all bases before it in its contig; gives what a `with` statement can read.

    Args:
        scorer: The language model.
        store: The genome; contigs need names of their own.
        step_bp: Bases of a step.
        strand: `forward`; or `average`, for the mean of both strands: a base is then scored once given what lies to its
            left and once given what lies to its right.
        batch_size: Contigs (and strands) that are read side by side.
        folder: Where to put the scratch file, 16 bytes a step; the system's folder of temporary files by default.
        progress: Called with the number of bases that have been read since its last call.

    Raises:
        ConfigError: If a number or the strand is out of range.
        SequenceError: If two contigs have one name, or nothing is long enough to be scored.
    """
    if strand not in STRANDS:
        raise ConfigError(f"strand={strand!r} is unknown; choose {' or '.join(STRANDS)}.")
    if min(step_bp, batch_size) < 1:
        raise ConfigError(f"step_bp={step_bp}, batch_size={batch_size}: both must be 1 or more.")
    _check_names(store.contigs)
    directions = (False, True) if strand == "average" else (False,)
    # Bases that a model has learned to refuse are cut out: it reads none of them.
    policy = "unk" if scorer.letters.ambiguity == "unk" else "split"
    jobs = [(interval, reverse) for interval in store.clear_intervals(policy) for reverse in directions]
    # The longest first: at the end the lanes then have the least to wait for each other.
    jobs.sort(key=lambda job: job[0].start - job[0].end)
    codes = np.asarray(store.codes)
    readings = (
        Reading(codes[interval.start : interval.end], scorer.tokenizer, reverse=reverse) for interval, reverse in jobs
    )
    with TemporaryDirectory(dir=folder, prefix=".gulmfit-bits-", ignore_cleanup_errors=True) as scratch:
        genome = GenomeBits(store.contigs, step_bp, Path(scratch))
        for number, window, nats in scorer.read(readings, batch_size=batch_size):
            genome.add(jobs[number][0], window, nats)
            progress(int((window.new[:, 1] - window.new[:, 0]).sum()))
        genome.sums /= len(directions)
        if not genome.total()[1]:
            raise SequenceError(
                f"{store.contigs[0].path or 'the genome'}: no stretch without ambiguous bases is as long as one token "
                f"of {scorer.tokenizer!r}. Give longer sequences."
            )
        yield genome


def check_windows(window_bp: int, step_bp: int) -> None:
    """Refuse windows that cannot be put together from whole steps.

    Raises:
        ConfigError: If the window is not a multiple of the step.
    """
    if step_bp < 1 or window_bp < 1 or window_bp % step_bp:
        raise ConfigError(
            f"window_bp={window_bp}, step_bp={step_bp}: give a window of 1 base or more that is a multiple of the step."
        )


def _check_names(contigs: list[Contig]) -> None:
    first: dict[str, Contig] = {}
    for contig in contigs:
        other = first.setdefault(contig.name, contig)
        if other is not contig:
            raise SequenceError(
                f"{contig.path}, record {contig.name!r}: {other.path} has a record of this name too, and a track could "
                "not tell them apart. Rename one, or score the files one by one."
            )
