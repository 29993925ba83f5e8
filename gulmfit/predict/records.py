"""Predict record by record, and write what was found.

Shape letter: `C` classes.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gulmfit.errors import ConfigError, DataError
from gulmfit.predict.inputs import Record, both_strands
from gulmfit.predict.outputs import TABLES, Output
from gulmfit.predict.predictor import Predictor, Probabilities
from gulmfit.predict.scan import STRANDS, gives_probabilities
from gulmfit.predict.tracks import Interval, bed_line, digits, write_lines, write_track
from gulmfit.predict.writers import Columns, Row, Value, parquet_table, tsv_table
from gulmfit.seq.names import column_names, raw_names
from gulmfit.seq.store import GenomeStore

LOCUS_COLUMNS = (("contig", str), ("start", int), ("end", int), ("strand", str))
WRITE_TABLE = {"tsv": tsv_table, "parquet": parquet_table}


class Placed(NamedTuple):
    """A record that lies on a genome, and its score."""

    contig: str
    start: int
    end: int
    strand: str
    name: str
    value: float


def table_columns(fixed: Sequence[tuple[str, type]], predictor: Predictor, raw: bool) -> Columns:
    """Return the columns of a table: fixed ones, then scores, which have the names of classes, labels or values."""
    kind = float if gives_probabilities(predictor) else Value
    scores = [*predictor.classes, *(raw_names(predictor.classes) if raw else [])]
    names = column_names([name for name, _ in fixed], scores)
    return [*zip(names, (kind for _, kind in fixed), strict=True), *((name, kind) for name in scores)]


def predict_records(
    predictor: Predictor, records: Iterable[Record], *, strand: str, batch_size: int, where: str
) -> Iterator[tuple[Record, Probabilities]]:
    """Yield each record without its sequence, and its scores before calibration, `(C,)`.

    With `strand=both` each record comes twice.
    """
    waiting: deque[Record] = deque()

    def names() -> Iterator[tuple[str, str]]:
        for record in both_strands(records) if strand == "both" else records:
            waiting.append(record._replace(sequence=""))
            yield record.name, record.sequence

    reading = "average" if strand == "average" else "forward"
    for _, row in predictor.predict_records(names(), strand=reading, batch_size=batch_size, where=where, raw=True):
        yield waiting.popleft(), row


def write_records(
    predictor: Predictor,
    found: Iterable[tuple[Record, Probabilities]],
    outputs: Sequence[Output],
    *,
    strand: str,
    raw: bool,
    positive: int,
    store: GenomeStore | None,
) -> int:
    """Write tables as records come, and then what is in genome order.

    Args:
        predictor: What found the scores.
        found: Records and their scores before calibration.
        outputs: Files to write.
        strand: `forward`, `both` or `average`.
        raw: Whether tables have the scores before calibration, too.
        positive: Index of the class whose score BED, bedGraph and bigWig have.
        store: The genome on which records lie; None where they lie on none.

    Returns:
        How many records were written.
    """
    tables = [output for output in outputs if output.kind in TABLES]
    placed = [output for output in outputs if output.kind not in TABLES]
    if placed and store is None:
        raise ConfigError(
            f"output={placed[0].path}: these records lie on no genome. Write .tsv or .parquet; or give window_bp= to "
            "scan a genome, or features (BED, GFF3) with genome=."
        )
    before = LOCUS_COLUMNS if store is not None else LOCUS_COLUMNS[3:] if strand == "both" else ()
    columns = table_columns([("id", str), *before], predictor, raw)
    of_record = attrgetter("name", *(name for name, _ in before)) if before else lambda record: (record.name,)
    placed_records: list[Placed] = []
    count = 0
    with ExitStack() as stack:
        writes = [stack.enter_context(WRITE_TABLE[output.kind](output.path, columns)) for output in tables]
        for record, scores in found:
            count += 1
            calibrated = predictor.calibrated(scores[None])[0]
            cells = np.concatenate([calibrated, scores]) if raw else calibrated
            row: Row = [*of_record(record), *cells.tolist()]
            for write in writes:
                write([row])
            if placed:
                placed_records.append(Placed(*record[2:], record.name, float(calibrated[positive])))
        if store is not None and placed:
            placed_records.sort(key=lambda one: (one.contig.encode(), *one[1:4]))
            lengths = {contig.name: contig.length for contig in store.contigs}
            for output in placed:
                for one_strand, path in output.by_strand(STRANDS[strand]).items():
                    chosen = [one for one in placed_records if strand != "both" or one.strand in one_strand]
                    _write_placed(path, output.kind, chosen, lengths, predictor)
    return count


def _write_placed(
    path: Path, kind: str, records: Sequence[Placed], lengths: dict[str, int], predictor: Predictor
) -> None:
    scaled = gives_probabilities(predictor)
    if kind == "bed":
        lines = (
            bed_line(*one[:3], one.name, one.strand, one.value, digits(one.value, scaled), scaled=scaled)
            for one in records
        )
        write_lines(path, lines)
        return
    for one, after in pairwise(records):
        if one.contig == after.contig and after.start < one.end:
            raise DataError(
                f"{path}: {one.name!r} and {after.name!r} overlap on {one.contig!r} ({one.start}-{one.end}, "
                f"{after.start}-{after.end}), and a base of a track has one value. Write .bed or .tsv."
            )
    write_track(path, kind, lengths, (Interval(*one[:3], one.value) for one in records), scaled=scaled)
