"""The files that predictions are written to: one registry of formats, and what writes any of them.

A new format is one row of `FORMATS`, and a function that writes it if none of those here does.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gulmfit.errors import ConfigError
from gulmfit.predict.outputs.gene_files import FoundGenes, found_gff3, found_proteins
from gulmfit.predict.outputs.track_files import (
    OnGenome,
    bed_lines,
    pybigtools,
    write_bedgraph,
    write_bigwig,
    write_lines,
)
from gulmfit.predict.outputs.writers import Columns, Value, Write, json_lines, parquet_table, pyarrow, tsv_table
from gulmfit.predict.predictor import Predictor
from gulmfit.seq.names import column_names, raw_names

# What is predicted.
RECORDS, FEATURES, WINDOWS = "records that lie on no genome", "features of a genome", "windows of a genome"
GENES = "genes of a genome"
GENOMIC = (FEATURES, WINDOWS)
ON_GENOME = (*GENOMIC, GENES)

LOCUS = (("contig", str), ("start", int), ("end", int), ("strand", str))


class Format(NamedTuple):
    """One way to write predictions, by one of `table`, `track`, `lines` and `genes`."""

    name: str
    suffixes: tuple[str, ...]
    """Of several formats the one with the longest suffix has a name, and of equal ones the first."""
    inputs: tuple[str, ...] = (RECORDS, *GENOMIC)
    """What can be written in it."""
    table: Callable[[Path, Columns], AbstractContextManager[Write]] | None = None
    """Lends a function that writes rows in the order of the input: id, place, scores of all classes."""
    track: Callable[..., int] | None = None
    """Writes one class in genome order, a file for each strand (`write_bigwig`)."""
    lines: Callable[[OnGenome], Iterable[str]] | None = None
    """Yields the lines of a text about one class."""
    genes: Callable[[Path, FoundGenes], int] | None = None
    """Writes genes."""
    library: Callable[[], Any] | None = None
    """Imports what it needs, to fail early."""
    row_bytes: Callable[[Any], float] = np.sum
    """Turns the mean number of letters of each cell of a row into the bytes of a row: all of them by default."""


_PLACE = [1, 2, 3, 5]  # of id, contig, start, end, strand, scores: what a line of bedGraph has, and BED among others
FORMATS = [
    Format("tsv", (".tsv",), table=tsv_table),
    Format("parquet", (".parquet",), table=parquet_table, library=pyarrow, row_bytes=lambda row: 8 * len(row) - 24),
    Format("jsonl", (".jsonl",), table=json_lines, row_bytes=lambda row: row.sum() + 14 * len(row)),  # names are in it
    Format("records", (".records.bed",), (RECORDS,), lines=bed_lines),
    Format("calls", (".bed",), (WINDOWS,), lines=lambda found: found.calls(), row_bytes=lambda row: 0),  # few
    Format("bed", (".bed", ".windows.bed"), GENOMIC, lines=bed_lines, row_bytes=lambda row: row[_PLACE].sum() + 16),
    Format("bedgraph", (".bedgraph", ".bg"), ON_GENOME, track=write_bedgraph, row_bytes=lambda row: row[_PLACE].sum()),
    Format("bigwig", (".bw", ".bigwig"), ON_GENOME, track=write_bigwig, library=pybigtools, row_bytes=lambda row: 9),
    Format("gff3", (".gff3", ".gff"), (GENES,), genes=found_gff3),
    Format("proteins", (".faa",), (GENES,), genes=found_proteins),
]


class Output(NamedTuple):
    """One file, or with a track of two strands one for each."""

    path: Path
    format: Format

    def by_strand(self, strands: str) -> dict[str, Path]:
        """Return the file of each strand: where a track has two of them, `a.plus.bw` and `a.minus.bw` for `a.bw`."""
        if not self.format.track or len(strands) == 1:
            return {strands: self.path}
        names = zip(strands, ("plus", "minus"), strict=True)
        return {strand: self._named(name) for strand, name in names}

    def by_class(self, classes: Iterable[str]) -> dict[tuple[str, str], Path]:
        """Return the file of each class and strand of a track: `a.CDS.plus.bw`, `a.CDS.minus.bw` and so on."""
        strands = (("+", "plus"), ("-", "minus"))
        return {(one, strand): self._named(f"{one}.{name}") for one in classes for strand, name in strands}

    def _named(self, name: str) -> Path:
        return self.path.with_name(f"{self.path.stem}.{name}{self.path.suffix}")


def parse_outputs(text: str, predicted: str, formats: Sequence[Format] | None = None) -> list[Output]:
    """Read the names of `output=`, separated by commas, and make sure that what they need is installed.

    Args:
        text: The names; their suffixes say what they hold.
        predicted: `RECORDS`, `FEATURES`, `WINDOWS` or `GENES`.
        formats: What there is to choose from; `FORMATS` by default.

    Raises:
        ConfigError: None is named, or one has no known suffix or one of a format that cannot hold what is predicted.
        DataError: A library is missing.
    """
    outputs: list[Output] = []
    formats = FORMATS if formats is None else formats
    suffixes = [(suffix, one) for one in formats for suffix in one.suffixes]
    for name in filter(None, (part.strip() for part in text.split(","))):
        path = Path(name)
        fitting = [pair for pair in suffixes if path.suffix and path.name.lower().endswith(pair[0])]
        possible = [pair for pair in fitting if predicted in pair[1].inputs]
        if not possible:
            why = f"this format is not for {predicted}" if fitting else "no format has this suffix"
            known = ", ".join(dict.fromkeys(suffix for suffix, one in suffixes if predicted in one.inputs))
            scan = "scan a genome (window_bp=), or " if any(WINDOWS in one.inputs for one in formats) else ""
            other = f"; or {scan}give features (BED, GFF3) with genome="
            advice = other if fitting and predicted != GENES else ""
            raise ConfigError(f"output={name}: {why}. Choose from {known}{advice}.")
        outputs.append(Output(path, max(possible, key=lambda pair: len(pair[0]))[1]))
    if not outputs:
        raise ConfigError(f"output={text}: no file is named.")
    for output in outputs:
        if output.format.library:
            output.format.library()
    return outputs


@contextmanager
def opened(
    outputs: Sequence[Output],
    fixed: Columns,
    predictor: Predictor,
    found: OnGenome | None,
    *,
    strands: str,
    raw: bool,
    last: Columns = (),
) -> Iterator[list[Write]]:
    """Lend what writes rows, one function for each table; then write what is in genome order. All appear at the end.

    Args:
        outputs: Files.
        fixed: Columns before those of scores, which have the names of classes, labels or values.
        predictor: What finds the scores.
        found: What lies on a genome, complete once the block ends; None where nothing does.
        strands: A letter for each strand that is told apart.
        raw: Whether tables have the scores before calibration, too.
        last: Columns after those of scores.
    """
    scores = [*predictor.classes, *(raw_names(predictor.classes) if raw else [])]
    names = column_names([name for name, _ in fixed], scores)
    kinds = [kind for _, kind in fixed] + [float if predictor.gives_probabilities else Value] * len(scores)
    columns = [*zip([*names, *scores], kinds, strict=True), *last]
    with ExitStack() as stack:
        yield [stack.enter_context(one.format.table(one.path, columns)) for one in outputs if one.format.table]
        for output in outputs:
            if found is None:
                continue
            if output.format.track:
                for strand, path in output.by_strand(strands).items():
                    output.format.track(path, found.lengths, found.intervals(strand), scaled=found.scaled)
            if output.format.lines:
                write_lines(output.path, output.format.lines(found))
