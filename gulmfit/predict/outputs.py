"""The files that predictions are written to: one registry of formats, and what writes any of them.

A new format is one row of `FORMATS`, and a function that writes it if none of those here does.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from gulmfit.errors import ConfigError
from gulmfit.predict.tracks import Interval, OnGenome, bed_lines, pybigtools, write_bedgraph, write_bigwig, write_lines
from gulmfit.predict.writers import Columns, Row, Value, Write, parquet_table, pyarrow, tsv_table
from gulmfit.seq.names import column_names, raw_names

logger = logging.getLogger(__name__)

# What is predicted.
RECORDS, FEATURES, WINDOWS = "records that lie on no genome", "features of a genome", "windows of a genome"
GENOMIC = (FEATURES, WINDOWS)

LOCUS = (("contig", str), ("start", int), ("end", int), ("strand", str))


class WriteTrack(Protocol):
    """Write the values of one strand, and return how many there were."""

    def __call__(
        self, path: Path, lengths: Mapping[str, int], intervals: Iterable[Interval], *, scaled: bool = True
    ) -> int: ...


class Format(NamedTuple):
    """One way to write predictions, by exactly one of `table`, `track` and `lines`."""

    name: str
    suffixes: tuple[str, ...]
    """With their dots. Of several formats the one whose suffix is longest has a name, and of equal ones the first."""
    inputs: tuple[str, ...] = (RECORDS, *GENOMIC)
    """Of what it can be written."""
    table: Callable[[Path, Columns], AbstractContextManager[Write]] | None = None
    """Lends a function that writes rows in the order of the input: `id`, place, scores of all classes."""
    track: WriteTrack | None = None
    """Writes one class in genome order, a file for each strand."""
    lines: Callable[[OnGenome], Iterable[str]] | None = None
    """Yields the lines of a text about one class."""
    library: Callable[[], Any] | None = None
    """Imports what it needs, to fail early."""
    row_bytes: Callable[[Any], float] = np.sum
    """Turns the letters of each cell of a table's row into the bytes that a row takes; as text in full by default."""


# Of the letters of id, contig, start, end, strand and scores those that a line of bedGraph has, and nearly one of BED.
_CELLS = [1, 2, 3, 5]

FORMATS = [
    Format("tsv", (".tsv",), table=tsv_table),
    Format("parquet", (".parquet",), table=parquet_table, library=pyarrow, row_bytes=lambda cells: 8 * len(cells) - 24),
    Format("calls", (".bed",), (WINDOWS,), lines=lambda found: found.calls(), row_bytes=lambda cells: 0),  # few
    Format("bed", (".bed", ".windows.bed"), GENOMIC, lines=bed_lines, row_bytes=lambda cells: cells[_CELLS].sum() + 16),
    Format(
        "bedgraph", (".bedgraph", ".bg"), GENOMIC, track=write_bedgraph, row_bytes=lambda cells: cells[_CELLS].sum()
    ),
    Format("bigwig", (".bw", ".bigwig"), GENOMIC, track=write_bigwig, library=pybigtools, row_bytes=lambda cells: 9),
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
        return {strand: self.path.with_name(f"{self.path.stem}.{name}{self.path.suffix}") for strand, name in names}


def parse_outputs(text: str, predicted: str) -> list[Output]:
    """Read the names of `output=`, separated by commas, and make sure that what they need is installed.

    Args:
        text: The names; their suffixes say what they hold.
        predicted: `RECORDS`, `FEATURES` or `WINDOWS`.

    Raises:
        ConfigError: None is named, or one has no known suffix or one of a format that cannot hold what is predicted.
        DataError: A library is missing.
    """
    outputs: list[Output] = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        path = Path(name)
        fitting = [
            (len(suffix), one)
            for one in FORMATS
            for suffix in one.suffixes
            if path.suffix and path.name.lower().endswith(suffix)
        ]
        if not fitting:
            known = dict.fromkeys(suffix for one in FORMATS for suffix in one.suffixes)
            raise ConfigError(f"output={name}: no format has this suffix. Choose from {', '.join(known)}.")
        if not (possible := [pair for pair in fitting if predicted in pair[1].inputs]):
            known = dict.fromkeys(suffix for one in FORMATS if predicted in one.inputs for suffix in one.suffixes)
            raise ConfigError(
                f"output={name}: this format is not for {predicted}. Choose from {', '.join(known)}; or give "
                "window_bp= to scan a genome, or features (BED, GFF3) with genome=."
            )
        outputs.append(Output(path, max(possible, key=lambda pair: pair[0])[1]))
    if not outputs:
        raise ConfigError(f"output={text}: no file is named.")
    for output in outputs:
        if output.format.library:
            output.format.library()
    return outputs


def table_columns(fixed: Sequence[tuple[str, type]], classes: Sequence[str], *, scaled: bool, raw: bool) -> Columns:
    """Return the columns of a table: fixed ones, then scores, which have the names of classes, labels or values."""
    scores = [*classes, *(raw_names(classes) if raw else [])]
    names = column_names([name for name, _ in fixed], scores)
    kinds = [kind for _, kind in fixed] + [float if scaled else Value] * len(scores)
    return list(zip([*names, *scores], kinds, strict=True))


def write_outputs(
    outputs: Sequence[Output], columns: Columns, blocks: Iterable[Sequence[Row]], found: OnGenome | None, strands: str
) -> None:
    """Write every output: tables block after block, and then what is in genome order. All appear at the end.

    Args:
        outputs: Files.
        columns: Of tables.
        blocks: Rows of tables, in the order of the input.
        found: What lies on a genome, complete once the blocks have been read.
        strands: A letter for each strand that is told apart.
    """
    with ExitStack() as stack:
        writes = [stack.enter_context(one.format.table(one.path, columns)) for one in outputs if one.format.table]
        for rows in blocks:
            for write in writes:
                write(rows)
        for output in outputs:
            form = output.format
            if found is None:
                continue
            if form.track:
                for strand, path in output.by_strand(strands).items():
                    form.track(path, found.lengths, found.intervals(strand), scaled=found.scaled)
            if form.lines:
                count = write_lines(output.path, form.lines(found))
                logger.info("%s: %d %s", output.path, count, form.name)
