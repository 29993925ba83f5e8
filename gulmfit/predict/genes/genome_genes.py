"""The genes of a genome, run of contigs after run, so that a stopped command goes on where it was.

A folder beside the output holds, of each run of contigs, the probabilities of its bases in 16 bits until its genes are
found, and then the genes. Where the probabilities are an output they stay until the end.

Shapes: `L` bases, `C` classes of both tracks; an axis of 2 is the strand.
"""

import json
import logging
import shutil
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from gulmfit.files import write_whole
from gulmfit.predict.genes.decoding import Decoding, Probabilities
from gulmfit.predict.outputs.track_files import TrackSpan
from gulmfit.predict.scans.bases import BaseScan, read_codes
from gulmfit.predict.scans.partial import PartialScores, check_same
from gulmfit.seq.genome.gatherer import Contig
from gulmfit.seq.genome.genes import GeneModel

logger = logging.getLogger(__name__)

TRACK_STEPS = 1000  # of the values of a track, from 0 to 1: neighbours that are equal become one line
DECODING = {"orfs": 0.2, "genes": 1.0}  # how long decoders take for a base, in the time of reading it once
_AT_ONCE = 1 << 18


class GenomeGenes:
    """Find the genes of a genome.

    Args:
        scan: What reads which genome.
        decoding: What makes genes of it.
        folder: Where to keep what has been found so far.
        asked: What decides which genes are found.
        keep: Whether `track` or `probabilities` will be called.
        restart: Drop what is there.

    Raises:
        ConfigError: The folder holds what another command has found, or the scan is out of range.
    """

    def __init__(
        self,
        scan: BaseScan,
        decoding: Decoding,
        folder: Path,
        asked: Mapping[str, Any],
        *,
        keep: bool = False,
        restart: bool = False,
    ) -> None:
        scan.check()
        self.scan, self.decoding, self.folder, self.asked = scan, decoding, folder, dict(asked)
        self.keep = keep
        if restart:
            shutil.rmtree(folder, ignore_errors=True)
        self.runs = scan.runs()
        self.seconds_decoding = 0.0
        self._begins = [run[0].start for run in self.runs]
        self._kept: dict[int, PartialScores] = {}

    def find(self, progress: Callable[[int], object] = lambda bases: None) -> list[GeneModel]:
        """Return the genes, contigs in the order of the genome.

        Args:
            progress: Called with the number of bases that are done since its last call. One that has been read, and
                whose genes are not known yet, is done by the share that reading has of the time.

        Raises:
            DataError: What is found cannot be kept.
        """
        found: list[GeneModel] = []
        done, times = 0.0, self.scan.reader.offsets
        reading = times / (times + DECODING[self.decoding.kind])

        def count(bases: float) -> None:
            nonlocal done
            before, done = done, done + bases
            progress(round(done) - round(before))

        for number, contigs in enumerate(self.runs):
            genes = self._recalled(number)
            if genes is None or self.keep:
                scores = self._read(number, contigs, lambda bases: count(reading * bases))
            else:
                count(reading * _bases(contigs))
            if genes is not None:
                count((1 - reading) * _bases(contigs))
            else:
                genes = self._decoded(number, contigs, scores, lambda bases: count((1 - reading) / 2 * bases))
                if not self.keep:
                    scores.remove()
                    del self._kept[number]
            found += genes
        return found

    def track(self, column: int, strand: int, order: Sequence[Contig]) -> Iterator[TrackSpan]:
        """Yield the probability of one class on one strand, in steps of a thousandth, contigs in the order given."""
        for contig in order:
            begin, last = 0, -1
            for start in range(0, contig.length, _AT_ONCE):
                values = self.probabilities(contig, start, min(start + _AT_ONCE, contig.length))[:, strand, column]
                steps = np.rint(values.astype(np.float32) * TRACK_STEPS).astype(np.int64)
                for at in np.flatnonzero(np.diff(steps, prepend=last)).tolist():
                    if last >= 0:
                        yield TrackSpan(contig.name, begin, start + at, last / TRACK_STEPS)
                    begin, last = start + at, int(steps[at])
            yield TrackSpan(contig.name, begin, contig.length, last / TRACK_STEPS)

    def leave(self) -> None:
        """Keep what is done for another process."""
        for scores in self._kept.values():
            scores.leave()
        with suppress(OSError):
            self.folder.rmdir()  # empty where nothing is done

    def remove(self) -> None:
        """Drop all, once it is no longer needed."""
        for scores in self._kept.values():
            scores.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self, number: int, contigs: Sequence[Contig], progress: Callable[[int], object]) -> PartialScores:
        """Return the probabilities of a run of contigs, once they are all there."""
        shape = (2, len(self.scan.reader.unknown))
        scores = self._kept[number] = PartialScores(
            self.folder / f"{number}", self.asked, shape, dtype="<f2", unit="bases"
        )
        progress(scores.done)
        if scores.done < _bases(contigs):
            for piece in self.scan.probabilities(contigs, contigs[0].start + scores.done):
                scores.append(piece)
                progress(len(piece))
            scores.save()
        return scores

    def _decoded(
        self, number: int, contigs: Sequence[Contig], scores: PartialScores, progress: Callable[[int], object]
    ) -> list[GeneModel]:
        began, first = time.perf_counter(), contigs[0].start
        found: list[GeneModel] = []
        for contig in contigs:
            base = contig.start - first
            codes = read_codes(self.scan.store, contig.start, contig.start + contig.length)

            def read(start: int, end: int, base: int = base) -> Probabilities:
                return scores.read(base + start, base + end)

            found += self.decoding(codes, read, contig.name, progress)
        content = {"asked": self.asked, "genes": [asdict(gene) for gene in found]}
        write_whole(self._genes_file(number), json.dumps(content))
        self.seconds_decoding += time.perf_counter() - began
        return found

    def _recalled(self, number: int) -> list[GeneModel] | None:
        """Return the genes of a run of contigs, if they were found before."""
        file = self._genes_file(number)
        if not file.exists():
            return None
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            before, genes = dict(content["asked"]), [_gene(one) for one in content["genes"]]
        except (OSError, ValueError, LookupError, TypeError):
            logger.warning("%s is damaged; its genes are found again.", file)
            return None
        check_same(self.folder, f"{len(genes):,} genes", before, self.asked)
        return genes

    def probabilities(self, contig: Contig, start: int, end: int) -> Probabilities:
        """Return those of bases [start, end) of a contig, `(end - start, 2, C)`, after `find`, if they are kept."""
        number = bisect_right(self._begins, contig.start) - 1
        base = contig.start - self._begins[number]
        return self._kept[number].read(base + start, base + end)

    def _genes_file(self, number: int) -> Path:
        return self.folder / f"{number}.genes.json"


def _bases(contigs: Sequence[Contig]) -> int:
    return contigs[-1].start + contigs[-1].length - contigs[0].start


def _gene(content: Mapping[str, Any]) -> GeneModel:
    """Make a gene of what JSON makes of one."""
    parts = {name: tuple((int(start), int(end)) for start, end in content[name]) for name in ("cds", "exons")}
    first, last = content["partial"]
    scores = tuple(map(float, content.get("cds_scores", ())))
    return GeneModel(**{**content, **parts, "partial": (bool(first), bool(last)), "cds_scores": scores})
