"""GenBank files: their features and their sequences."""

import warnings
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from Bio import BiopythonParserWarning, SeqIO
from Bio.Seq import UndefinedSequenceError
from Bio.SeqFeature import CompoundLocation, ExactPosition, SeqFeature, SimpleLocation, UnknownPosition
from Bio.SeqRecord import SeqRecord

from gulmfit.errors import DataError
from gulmfit.seq.formats.fasta import Paths, expand_paths
from gulmfit.seq.formats.features import CROSSES_ORIGIN, Feature, name_of
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.text import LENIENT, open_text

_NO_NAMES = ("", ".", "<unknown id>")

Location = SimpleLocation | CompoundLocation


def read_genbank(path: Path, kinds: Collection[str] | None = None) -> Iterator[Feature]:
    """Stream the features of a GenBank file, one record in memory at a time.

    A `join` comes part by part in reading order; its parts share the attribute ID, which is made up of the record, the
    kind and a number. The two sides of the origin of a circular contig are parts like that, marked as pieces
    (`gulmfit.seq.formats.features.CROSSES_ORIGIN`). Ends that are not exact ("<1", "(5.9)") count as they are
    written, and the
    feature has the attribute partial=true. Qualifiers become attributes, several values with commas between them.

    Args:
        path: File, plain, gzip or bgzip.
        kinds: Feature keys to keep; all if None.

    Raises:
        DataError: The file is truncated or no GenBank file, or an end is unknown ("?").
    """
    for record in _records(path):
        for number, feature in enumerate(record.features, start=1):
            if kinds is None or feature.type in kinds:
                yield from _parts(feature, str(record.id), f"{path}, record {record.id!r}, feature {number}", number)


def genbank_store(paths: Paths, *, case: str = "upper") -> GenomeStore:
    """Make a genome store in memory of the sequences of GenBank files.

    Raises:
        ConfigError: `case` is not a policy.
        DataError: A file is truncated or no GenBank file, or a record has no sequence, or the id of another one.
        SequenceError: One holds a letter outside the alphabet.
    """
    records: list[tuple[str, str]] = []
    first: dict[str, str] = {}
    for file in expand_paths(paths):
        for number, record in enumerate(_records(file), start=1):
            place = f"{file}, record number {number}"
            if (earlier := first.setdefault(str(record.id), place)) != place:
                raise DataError(f"{place}: {record.id!r} is the name of {earlier}, too; every sequence needs its own")
            records.append((str(record.id), _letters(record, file)))
    return GenomeStore.from_sequences([name for name, _ in records], [letters for _, letters in records], case=case)


def _parts(feature: SeqFeature, contig: str, place: str, number: int) -> Iterator[Feature]:
    """Yield each part of a feature, in the order in which it is read."""
    location = feature.location
    parts = [] if location is None else location.parts
    attributes = {key: ",".join(map(str, values)) for key, values in feature.qualifiers.items()}
    attributes |= {"ID": f"{contig}-{feature.type}-{number}"}
    ends = [(part.start, part.end) for part in parts]
    if not parts or any(isinstance(end, UnknownPosition) for pair in ends for end in pair):
        where = location or "a place that cannot be read"
        raise DataError(f"{place}: {feature.type} at {where} has no known start and end; remove or correct it")
    if not all(isinstance(end, ExactPosition) for pair in ends for end in pair):
        attributes["partial"] = "true"
    # Reading order goes up on the forward strand and down on the other; where it turns, the contig is circular.
    for (before, _), (after, _), part in zip(ends, ends[1:], parts, strict=False):
        if part.strand in (1, -1) and (int(after) - int(before)) * part.strand < 0:
            attributes[CROSSES_ORIGIN] = "true"
    for part in parts:
        strand = {1: "+", -1: "-"}.get(part.strand or 0, ".")
        start, end = int(part.start), int(part.end)
        yield Feature(
            part.ref or contig, start, end, strand, name_of(attributes), None, feature.type, attributes, place
        )


class CodingFeature(NamedTuple):
    """A CDS of a GenBank file, with the sequence of its contig."""

    contig: str
    genome: str
    location: Location
    qualifiers: Mapping[str, str]
    """By name; several values with commas between them, none as ""."""
    place: str

    @property
    def partial(self) -> bool:
        """Whether an end is not exact, such as "<1"."""
        return not all(isinstance(end, ExactPosition) for part in self.location.parts for end in (part.start, part.end))


def coding_features(path: Path) -> Iterator[CodingFeature]:
    """List each CDS of a GenBank file in its order.

    Raises:
        DataError: The file is truncated or no GenBank file, or a record with a CDS has no sequence.
    """
    for record in list(_records(path)):  # nothing is cut from a file that turns out to be damaged
        features = [feature for feature in record.features if feature.type == "CDS"]
        genome = _letters(record, path) if features else ""
        for number, feature in enumerate(features, start=1):
            if feature.location is not None:
                qualifiers = {name: ",".join(map(str, values)) for name, values in feature.qualifiers.items()}
                place = f"{path}, record {record.id!r}, CDS {number}"
                yield CodingFeature(str(record.id), genome, feature.location, qualifiers, place)


def coding_locations(path: Path) -> Iterator[tuple[str, str, Location]]:
    """List each CDS of a GenBank file in its order: contig, sequence of the contig, location."""
    yield from ((one.contig, one.genome, one.location) for one in coding_features(path))


def _letters(record: SeqRecord, path: Path) -> str:
    try:
        return str(record.seq)
    except UndefinedSequenceError as error:
        raise DataError(
            f"{path}, record {record.id!r}: features but no sequence (ORIGIN); download the full record"
        ) from error


def _records(path: Path) -> Iterator[SeqRecord]:
    """Stream the records of a GenBank file."""
    count = 0
    try:
        with open_text(path, errors=LENIENT) as handle:  # files of NCBI itself have letters of Latin-1
            records = SeqIO.parse(handle, "genbank")  # type: ignore[no-untyped-call]
            while (record := _next_record(records)) is not None:
                count += 1
                if str(record.id).strip() in _NO_NAMES:
                    raise DataError(
                        f"{path}, record number {count} (LOCUS {record.name!r}): no name, since ACCESSION and VERSION "
                        f"are {str(record.id)!r}; write the name of the sequence there"
                    )
                yield record
    except DataError:
        raise
    except Exception as error:  # Biopython asserts, indexes and splits what it expects to be there
        raise DataError(
            f"{path}: not a readable GenBank file, stopped after {count} record(s): "
            f"{' '.join(str(error).split())[:200]}; damaged or cut short?"
        ) from error
    if not count:
        raise DataError(f"{path}: not a GenBank file: no LOCUS record in it; give an annotated GenBank file")


def _next_record(records: Iterator[SeqRecord]) -> SeqRecord | None:
    with warnings.catch_warnings():
        # Biopython only warns of a sequence that is cut short.
        warnings.filterwarnings("error", "Premature end|Expected sequence length", BiopythonParserWarning)
        return next(records, None)
