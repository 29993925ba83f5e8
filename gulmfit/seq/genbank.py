"""GenBank files: their features, their sequences, and the promoter windows that are cut from the two."""

import logging
import warnings
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from Bio import BiopythonParserWarning, SeqIO
from Bio.Seq import UndefinedSequenceError
from Bio.SeqFeature import CompoundLocation, ExactPosition, SeqFeature, SimpleLocation, UnknownPosition
from Bio.SeqRecord import SeqRecord

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.fasta import expand_paths
from gulmfit.seq.features import CROSSES_ORIGIN, Feature, name_of
from gulmfit.seq.labelled import LabelledSequences, Locus, Paths
from gulmfit.seq.store import GenomeStore
from gulmfit.seq.text import LENIENT, open_text

_log = logging.getLogger(__name__)

CODING, PROMOTER = "coding", "promoter"
_NO_NAMES = ("", ".", "<unknown id>")

Location = SimpleLocation | CompoundLocation


def promoter_windows(
    path: Paths,
    *,
    upstream_bp: int = 100,
    downstream_bp: int = 50,
    margin_bp: int = 50,
    jitter_bp: int = 0,
    seed: int = 0,
) -> LabelledSequences:
    """Cut the E. coli "promoter" set of Genomic-ULMFiT from a GenBank file.

    Positives: for every CDS the window from `upstream_bp` before to `downstream_bp` after its start.
    Negatives: for every CDS long enough, one window of the same length at a uniformly random place inside it,
    at least `margin_bp` from either end. All windows are read on the gene's own strand. A CDS of several
    parts counts from its outer start to its outer end. Negatives do not depend on `jitter_bp`.

    The anchor is the start codon, not the transcription start, so without jitter a rule that looks for ATG,
    GTG or TTG at index `upstream_bp` separates the classes: see `jitter_bp`.

    Left out, and counted in the log, are windows that cross the end of their contig or that another CDS gave
    already, positives of a CDS without an exact start, and any CDS that spans the origin of a circular contig
    or has parts on both strands.

    Args:
        path: GenBank file, glob, or several of them; gzip is recognised by content.
        upstream_bp: Bases before the first base of the CDS.
        downstream_bp: Bases from the first base of the CDS on.
        margin_bp: Least distance of a negative from the ends of its CDS, in bases.
        jitter_bp: Each positive window is moved by a uniformly random whole number of bases from -jitter_bp
            to +jitter_bp, so that the start codon stands at no fixed index.
        seed: Seed of negatives and jitter.

    Returns:
        Classes "coding" and "promoter" (the positive one), in genome order, with `loci`. Ids read
        "NC_000913.3:190-340:+:promoter", 0-based half-open.

    Raises:
        ConfigError: A length is negative, or the window is empty.
        DataError: A file is truncated or no GenBank file, has no sequence, or no CDS gives a window of both
            classes.

    Source: https://github.com/kheyer/Genomic-ULMFiT, "E. coli 0"; there unseeded and without jitter.
    """
    window = upstream_bp + downstream_bp
    for name, value in (
        ("upstream_bp", upstream_bp),
        ("downstream_bp", downstream_bp),
        ("margin_bp", margin_bp),
        ("jitter_bp", jitter_bp),
    ):
        if value < 0:
            raise ConfigError(f"{name}={value} is not allowed: at least 0")
    if window == 0:
        raise ConfigError("upstream_bp + downstream_bp is 0: a window needs at least one base")

    # Two streams, so that asking for jitter leaves the negatives as they were.
    place_rng, jitter_rng = np.random.default_rng(seed).spawn(2)
    files = expand_paths(path)
    loci: dict[str, tuple[Locus, str, str]] = {}
    skipped: Counter[str] = Counter()

    def cut(contig: str, genome: str, start: int, strand: str, label: str) -> None:
        end = start + window
        if start < 0 or end > len(genome):
            skipped["window crosses the end of its contig"] += 1
            return
        name = f"{contig}:{start}-{end}:{strand}:{label}"
        if name in loci:
            skipped["same window as that of another CDS"] += 1
            return
        text = genome[start:end]
        if strand == "-":
            text = reverse_complement_text(text)
        loci[name] = (contig, start, end, strand), text, label

    genes = 0
    for contig, genome, location in (gene for file in files for gene in _coding(file)):
        genes += 1
        start, end = int(location.start), int(location.end)
        wraps = isinstance(location, CompoundLocation) and start == 0 and end == len(genome)
        if location.strand not in (1, -1) or wraps:
            skipped["CDS spans the origin or has parts on both strands"] += 1
            continue
        if end > len(genome):
            skipped["CDS leaves its contig"] += 1
            continue
        forward = location.strand == 1
        strand = "+" if forward else "-"
        shift = int(jitter_rng.integers(-jitter_bp, jitter_bp + 1))
        if isinstance(location.start if forward else location.end, ExactPosition):
            anchor = start - upstream_bp + shift if forward else end - downstream_bp - shift
            cut(contig, genome, anchor, strand, PROMOTER)
        else:
            skipped["CDS without an exact start"] += 1
        places = (end - start) - 2 * margin_bp - window
        if places > 0:
            offset = margin_bp + int(place_rng.integers(places))
            cut(contig, genome, start + offset if forward else end - offset - window, strand, CODING)

    source = ", ".join(map(str, files))
    for reason, count in skipped.items():
        _log.info("%s: %d window(s) or CDS left out: %s", source, count, reason)
    found = Counter(label for _, _, label in loci.values())
    if len(found) < 2:
        raise DataError(
            f"{source}: {genes} CDS feature(s) gave {found[PROMOTER]} promoter and {found[CODING]} "
            f"coding windows of {window} bases; both classes are needed: give an annotated GenBank file "
            "with its sequence"
        )
    return LabelledSequences.from_strings(
        list(loci),
        [text for _, text, _ in loci.values()],
        [label for _, _, label in loci.values()],
        classes=[CODING, PROMOTER],
        positive=PROMOTER,
        files=[str(file) for file in files],
        loci=[locus for locus, _, _ in loci.values()],
        places=[f"{source}, window {name!r}" for name in loci],
        column="windows",
    )


def read_genbank(path: Path, kinds: Collection[str] | None = None) -> Iterator[Feature]:
    """Stream the features of a GenBank file, one record in memory at a time.

    A `join` comes part by part in reading order; its parts share the attribute ID, which is made up of the record, the
    kind and a number. The two sides of the origin of a circular contig are parts like that, marked as pieces
    (`gulmfit.seq.features.CROSSES_ORIGIN`). Ends that are not exact ("<1", "(5.9)") count as they are written, and the
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
        ConfigError: `case` is no policy.
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


def _coding(path: Path) -> Iterator[tuple[str, str, Location]]:
    """List each CDS of a GenBank file in its order: contig, sequence of the contig, location."""
    for record in list(_records(path)):  # nothing is cut from a file that turns out to be damaged
        locations = [feature.location for feature in record.features if feature.type == "CDS"]
        genome = _letters(record, path) if locations else ""
        yield from ((str(record.id), genome, location) for location in locations if location is not None)


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
