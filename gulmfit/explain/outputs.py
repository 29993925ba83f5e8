"""The files that explanations are written to: one registry of formats, and what writes each.

A new format is one row of `FORMATS`, and a sink that takes explanations as they come. Shape letters: `N` sequences, `L`
bases of the longest, `A` letters, `O` outputs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gulmfit.errors import ConfigError, DataError
from gulmfit.explain.attribution import Attribution, Floats
from gulmfit.files import whole_file
from gulmfit.predict.outputs.registry import FEATURES, LOCUS, RECORDS, Format, Output
from gulmfit.predict.outputs.track_files import TrackSpan, pybigtools, write_bedgraph, write_bigwig
from gulmfit.predict.outputs.writers import Cell, Row, Value, Write, parquet_table, pyarrow, tsv_table
from gulmfit.seq.alphabet import Alphabet, decode

Add = Callable[[Attribution], None]


class About(NamedTuple):
    """What all explanations of one command share."""

    names: Sequence[str]
    """Of the `O` outputs."""
    alphabet: Alphabet
    lengths: Mapping[str, int] | None
    """Bases of each contig, where records lie on a genome."""
    facts: Mapping[str, object]
    """How they were made."""
    has_effects: bool
    """Whether they say what other letters would change."""


_PLACES = (RECORDS, FEATURES)
FORMATS = [
    Format("tsv", (".tsv",), _PLACES, table=tsv_table),
    Format("parquet", (".parquet",), _PLACES, table=parquet_table, library=pyarrow),
    Format("npz", (".npz",), _PLACES),
    Format("page", (".html",), _PLACES),
    Format("bedgraph", (".bedgraph", ".bg"), (FEATURES,), track=write_bedgraph),
    Format("bigwig", (".bw", ".bigwig"), (FEATURES,), track=write_bigwig, library=pybigtools),
]


def check_outputs(outputs: Sequence[Output], names: Sequence[str]) -> None:
    """Refuse a track of several outputs.

    Raises:
        ConfigError: It cannot hold them.
    """
    track = next((one.path for one in outputs if one.format.track), None)
    if track and len(names) > 1:
        raise ConfigError(f"output={track}: a track holds one of {', '.join(names)}. Say with positive= which.")


def sink(output: Output, about: About) -> AbstractContextManager[Add]:
    """Lend what takes explanations for a file, which appears once all are there; none for a page."""
    if output.format.table:
        return _table(output.path, output.format.table, about)
    return _track(output, about) if output.format.track else _arrays(output.path, about)


@contextmanager
def _table(path: Path, table: Callable[..., AbstractContextManager[Write]], about: About) -> Iterator[Add]:
    """A row for each base and output: what it contributes, and the change of the score with each letter there."""
    place = LOCUS if about.lengths is not None else ()
    letters = list(about.alphabet.letters) if about.has_effects else []
    columns = [("id", str), *place, ("output", str), ("position", int), ("base", str), ("contribution", Value)]
    with table(path, [*columns, *((letter, Value) for letter in letters)]) as write:

        def add(one: Attribution) -> None:
            record, text = one.record, decode(one.record.codes, about.alphabet)
            rows: list[Row] = []
            for number, name in enumerate(about.names):
                for position, (base, gained) in enumerate(zip(text, one.contributions[number].tolist(), strict=True)):
                    at = record.end - 1 - position if record.strand == "-" else record.start + position
                    locus: list[Cell] = [record.contig, at, at + 1, record.strand] if place else []
                    changes = [] if one.effects is None else one.effects[number, position].tolist()
                    rows.append([record.name, *locus, name, position, base, gained, *changes])
            write(rows)

        yield add


@contextmanager
def _track(output: Output, about: About) -> Iterator[Add]:
    """What each base of a genome contributes; the mean where records overlap."""
    found: dict[str, list[tuple[int, Floats]]] = {}

    def add(one: Attribution) -> None:
        record, row = one.record, one.contributions[0]
        turned = row[::-1] if record.strand == "-" else row
        found.setdefault(record.contig, []).append((record.start, turned))

    def spans() -> Iterator[TrackSpan]:
        for contig in sorted(found, key=str.encode):
            places = np.concatenate([np.arange(start, start + len(row)) for start, row in found[contig]])
            known, which = np.unique(places, return_inverse=True)
            values = np.concatenate([row for _, row in found[contig]])
            means = np.bincount(which, values) / np.bincount(which)
            for place, mean in zip(known.tolist(), means.tolist(), strict=True):
                yield TrackSpan(contig, place, place + 1, mean)

    yield add
    if output.format.track and about.lengths is not None:
        output.format.track(output.path, about.lengths, spans(), scaled=False)


@contextmanager
def _arrays(path: Path, about: About) -> Iterator[Add]:
    """Arrays, nan beyond the end of a sequence: with one output `(N, L, A)` and `(N, L)`, else one axis more."""
    found: list[Attribution] = []
    yield found.append
    if not found:
        raise DataError(f"{path}: there is no record to explain.")
    longest, outputs = max(len(one.record.codes) for one in found), len(about.names)
    arrays: dict[str, Any] = {
        "ids": np.array([one.record.name for one in found]),
        "sequences": np.array([decode(one.record.codes, about.alphabet) for one in found]),
        "lengths": np.array([len(one.record.codes) for one in found]),
        "outputs": np.array(list(about.names)),
        "letters": np.array(list(about.alphabet.letters)),
        "predictions": np.stack([one.scores for one in found]),
        "errors": np.stack([one.error for one in found]),
        "facts": np.array([f"{name}={value}" for name, value in about.facts.items()]),
    }
    contributions = np.full((len(found), longest, outputs), np.nan)
    for row, one in zip(contributions, found, strict=True):
        row[: len(one.record.codes)] = one.contributions.T
    arrays["contributions"] = contributions[..., 0] if outputs == 1 else contributions
    if about.has_effects:
        scores = np.full((len(found), longest, len(about.alphabet), outputs), np.nan)
        for row, one in zip(scores, found, strict=True):
            if one.effects is not None:
                row[: len(one.record.codes)] = np.moveaxis(one.effects, 0, -1)
        arrays["scores"] = scores[..., 0] if outputs == 1 else scores
    if about.lengths is not None:
        for name, kind in LOCUS:
            arrays[name] = np.array([getattr(one.record, name) for one in found], dtype=kind)
    with whole_file(path) as unfinished, unfinished.open("wb") as handle:
        np.savez_compressed(handle, **arrays)
