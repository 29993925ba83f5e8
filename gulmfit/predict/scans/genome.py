"""Scan a genome in sliding windows: score them, keep what was found, then write the outputs from it.

Shape letters: `N` windows, `S` strands, `C` classes.
"""

import heapq
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError
from gulmfit.files import hidden
from gulmfit.predict.outputs.registry import LOCUS, Output, opened
from gulmfit.predict.outputs.track_files import Placed, TrackSpan, bed_line, digits
from gulmfit.predict.outputs.writers import Row
from gulmfit.predict.predictor import Probabilities
from gulmfit.predict.progress import Bar, duration
from gulmfit.predict.scans.calls import Call, Floats, Integers, merge
from gulmfit.predict.scans.grid import Stretch
from gulmfit.predict.scans.partial import PartialScores
from gulmfit.predict.scans.scan import Scan, model_digest
from gulmfit.predict.spread import Spread

logger = logging.getLogger(__name__)

# Windows that are scored together; the same in every run, so that one that was stopped goes on with the same batches.
WINDOWS_AT_ONCE = 1024
# Bases that are read together at most, where windows are long.
BASES_AT_ONCE = 1 << 22


class Wanted(NamedTuple):
    """What the outputs of a scan are to hold."""

    outputs: Sequence[Output]
    raw: bool
    """Whether tables have the scores before calibration, too."""
    positive: int
    """Index of the class whose score tracks and calls have."""
    threshold: float
    """Of calls; nan where there are none."""
    merge_bp: int
    """Of calls: bases between windows that are merged."""
    spread: Spread
    """What is told of the spread over networks, and when nothing is called."""


def scan_genome(scan: Scan, wanted: Wanted, *, restart: bool = False) -> int:
    """Scan a genome, or go on where an earlier process stopped, and write what was found.

    Args:
        scan: What is scored, and how.
        wanted: What is written.
        restart: Begin anew in any case.

    Returns:
        How many windows there are.

    Raises:
        ConfigError: What a stopped scan left is of another one.
        DataError: There is no window, or a file cannot be written.
    """
    windows, needed = scan.windows, scan.predictor.tokenizer.min_bases
    if not len(windows):
        raise DataError(f"no contig has the {needed} bases that the model's tokenizer needs.")
    if windows.contigs_left_out:
        logger.info("%d contigs have fewer than %d bases and are left out", windows.contigs_left_out, needed)
    first = wanted.outputs[0].path
    shape = len(scan.strands), scan.columns
    scores = PartialScores(hidden(first, ".partial"), _asked(scan), shape, restart=restart)
    try:
        if scores.done:
            logger.info("going on after %d of %d windows", scores.done, len(windows))
        score_windows(scan, scores, wanted)
        _write(scan, scores, wanted)
    except BaseException:
        scores.leave()
        raise
    scores.remove()
    return len(windows)


def score_windows(scan: Scan, scores: PartialScores, wanted: Wanted) -> None:
    """Score the windows that are not done yet, telling how long it will take and how it goes."""
    total = len(scan.windows)
    size = max(1, min(WINDOWS_AT_ONCE, BASES_AT_ONCE // scan.windows.window_bp))
    estimate = partial(_estimate, scan, scores, wanted)
    with Bar("scan", "windows", total=total, done=scores.done, estimate=estimate) as bar:
        while scores.done < total:
            block = scan.score(scores.done, min(total, scores.done - scores.done % size + size))
            scores.append(block)
            bar.update(len(block))
    scores.save()


def _write(scan: Scan, scores: PartialScores, wanted: Wanted) -> None:
    """Write every output from the scores of all windows, a block of them in memory."""
    result, total = _Result(scan, scores, wanted), len(scan.windows)
    passed_over = 0
    for block in _blocks(0, total):
        found = scores.read(*block)
        passed_over += int(np.isnan(found[:, 0, 0]).sum())
        wanted.spread.count(found[:, :, len(scan.predictor.classes) :])
    if passed_over:
        share = scan.max_ambiguous
        logger.info("%d windows are skipped: more than %g of their bases are ambiguous", passed_over, share)
    columns, last = [("id", str), *LOCUS], result.last
    with opened(
        wanted.outputs, columns, scan.predictor, result, strands=scan.strands, raw=wanted.raw, last=last
    ) as tables:
        for block in _blocks(0, total if tables else 0):
            rows = list(result.rows(*block))
            for write in tables:
                write(rows)


class _Result:
    """What a scan has found, as the outputs want it (`gulmfit.predict.outputs.track_files.OnGenome`)."""

    def __init__(self, scan: Scan, scores: PartialScores, wanted: Wanted) -> None:
        self.scan, self.scores, self.wanted = scan, scores, wanted
        self.lengths: Mapping[str, int] = {contig.name: contig.length for contig in scan.store.contigs}
        self.names = list(self.lengths)
        self.name = scan.predictor.classes[wanted.positive]
        self.scaled = scan.predictor.gives_probabilities
        self.last = wanted.spread.with_names(scan.predictor)
        """Columns after those of scores."""

    def rows(self, first: int, last: int) -> Iterator[Row]:
        """Yield a row of a table for each window and strand that was scored, in the order of the input."""
        predictor, named = self.scan.predictor, len(self.last) > len(self.wanted.spread.columns)
        for stretch, scores, apart in self._by_contig(first, last):
            calibrated = self._calibrated(scores)
            flat = calibrated.reshape(-1, calibrated.shape[2])
            names = iter(predictor.calibration.names(flat, predictor.classes, predictor.positive) if named else ())
            cells = np.concatenate([calibrated, scores], axis=2) if self.wanted.raw else calibrated
            contig = self.names[stretch.contig]
            columns = (part.tolist() for part in (stretch.starts, stretch.ends, cells, apart))
            for start, end, by_strand, doubts in zip(*columns, strict=True):
                for strand, values, doubt in zip(self.scan.strands, by_strand, doubts, strict=True):
                    name = [next(names)] if named else []
                    if values[0] == values[0]:  # a window that was skipped has nan
                        place = [f"{contig}:{start}-{end}:{strand}", contig, start, end, strand]
                        yield [*place, *values, *(self.wanted.spread.cells(doubt) if doubt else ()), *name]

    def intervals(self, strand: str) -> Iterator[TrackSpan]:
        """Yield the bases that belong to each window (`Windows.cells`) with its score."""
        for contig in self._contigs():
            for stretch, values, _ in self._values(contig):
                lows, highs = self.scan.windows.cells(stretch)
                column = values[:, self.scan.strands.index(strand)]
                for at in np.flatnonzero(~np.isnan(column)):
                    yield TrackSpan(self.names[contig], int(lows[at]), int(highs[at]), float(column[at]))

    def places(self) -> Iterator[Placed]:
        """Yield each window and strand."""
        for contig in self._contigs():
            for stretch, values, _ in self._values(contig):
                for start, end, row in zip(
                    *(part.tolist() for part in (stretch.starts, stretch.ends, values)), strict=True
                ):
                    for strand, value in zip(self.scan.strands, row, strict=True):
                        if value == value:
                            yield Placed(self.names[contig], start, end, self.name, strand, value)

    def calls(self) -> Iterator[str]:
        """Yield a line of BED for each call."""
        number = 0
        for contig in self._contigs():
            for call, strand in heapq.merge(*map(partial(self._calls_of, contig), self.scan.strands)):
                number += 1
                yield bed_line(
                    self.names[contig], call.start, call.end, f"{self.name}_{number}", strand, call.value,
                    call.best_start, call.best_end, 0, digits(call.value, self.scaled), call.windows,
                    scaled=self.scaled,
                )  # fmt: skip
        logger.info("%d calls with a score of %.6f or more", number, self.wanted.threshold)

    def _calls_of(self, contig: int, strand: str) -> Iterator[tuple[Call, str]]:
        for call in merge(self._called(contig, strand), self.wanted.threshold, self.wanted.merge_bp):
            yield call, strand

    def _called(self, contig: int, strand: str) -> Iterator[tuple[Integers, Integers, Floats]]:
        """Yield the windows of a contig with their scores, nan where the networks disagree too much for a call."""
        column = self.scan.strands.index(strand)
        for stretch, values, refused in self._values(contig):
            scores, doubtful = values[:, column], refused[:, column]
            yield stretch.starts, stretch.ends, np.where(doubtful, np.nan, scores)

    def _contigs(self) -> list[int]:
        return sorted(range(len(self.names)), key=lambda contig: self.names[contig].encode())

    def _values(self, contig: int) -> Iterator[tuple[Stretch, Floats, npt.NDArray[np.bool_]]]:
        """Yield the windows of a contig with the scores of one class and whether it is not called, `(N, S)` each."""
        begin, end = self.scan.windows.offsets[contig : contig + 2].tolist()
        column = self.wanted.positive
        for block in _blocks(begin, end):
            for stretch, scores, apart in self._by_contig(*block):
                yield stretch, self._calibrated(scores)[:, :, column], self.wanted.spread.refused(apart, column)

    def _by_contig(self, first: int, last: int) -> Iterator[tuple[Stretch, Probabilities, Probabilities]]:
        """Yield the windows of each contig with their scores `(N, S, C)` and the spread of these `(N, S, K)`."""
        scores, apart = np.split(self.scores.read(first, last), [len(self.scan.predictor.classes)], axis=2)
        done = 0
        for stretch in self.scan.windows.by_contig(first, last):
            here = slice(done, done + len(stretch.starts))
            yield stretch, scores[here], apart[here]
            done = here.stop

    def _calibrated(self, scores: Probabilities) -> Probabilities:
        """Calibrate scores `(N, S, C)`; nan stays nan."""
        missing = np.isnan(scores[:, :, :1])
        return np.where(missing, np.nan, self.scan.predictor.calibrated(np.where(missing, 0.5, scores)))


def _blocks(begin: int, end: int) -> Iterator[tuple[int, int]]:
    return ((first, min(first + WINDOWS_AT_ONCE, end)) for first in range(begin, end, WINDOWS_AT_ONCE))


def _asked(scan: Scan) -> dict[str, Any]:
    """Return all that decides what a score is."""
    return {
        "model": model_digest(scan.predictor),
        "precision": scan.predictor.precision,
        "genome": scan.store.digest,
        "window_bp": scan.windows.window_bp,
        "step_bp": scan.windows.step_bp,
        "strand": scan.strand,
        "max_ambiguous": scan.max_ambiguous,
        "batch_size": scan.batch_size,
    }


def _estimate(scan: Scan, scores: PartialScores, wanted: Wanted, rate: float) -> str:
    """Say how long a scan will take and how much it will write, going by its first windows."""
    total, left = len(scan.windows), len(scan.windows) - scores.done
    sample = list(_Result(scan, scores, wanted).rows(0, min(scores.done, WINDOWS_AT_ONCE)))
    texts = [[f"{cell:.6f}" if isinstance(cell, float) else str(cell) for cell in row] for row in sample]
    characters = np.array([[len(text) + 1 for text in row] for row in texts]).mean(axis=0) if texts else np.zeros(6)
    rows = total * len(scan.strands)
    size = rows * sum(output.format.row_bytes(characters) for output in wanted.outputs)
    return (
        f"{left:,} of {total:,} windows are left: about {duration(left / rate)} at {rate:,.0f} windows a second; "
        f"about {size / 1e6:,.1f} MB of output, and {rows * 8 * scan.columns / 1e6:,.1f} MB beside it "
        "until it is written"
    )
