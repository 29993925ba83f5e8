"""What is predicted record by record: FASTA, FASTQ, tables, and features of a genome."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import DNA, reverse_complement_text
from gulmfit.seq.fasta import expand_paths
from gulmfit.seq.intervals import extract, read_features
from gulmfit.seq.labelled import read_sequences
from gulmfit.seq.letters import DEFAULT, Letters
from gulmfit.seq.store import GenomeStore

_FEATURE_SUFFIXES = (".bed", ".narrowpeak", ".broadpeak", ".gff", ".gff3", ".gtf", ".gb", ".gbk", ".gbff")


class Record(NamedTuple):
    """A sequence, and where it lies; the fields from `contig` on mean nothing where it lies on no genome."""

    name: str
    sequence: str
    contig: str = ""
    start: int = 0
    end: int = 0
    strand: str = "+"


def check_input(input: str, genome: str, features: str) -> None:
    """Check that records and a genome come together where they belong together.

    Raises:
        ConfigError: Features come without their genome, or kinds of features without features.
    """
    name = Path(input).name.lower().removesuffix(".gz").removesuffix(".bgz")
    if name.endswith(_FEATURE_SUFFIXES) and not genome:
        raise ConfigError(f"input={input}: features are read from a genome; name its FASTA with genome=.")
    if features and not genome:
        raise ConfigError(f"features={features} chooses features of a GFF3, GTF or GenBank file, read with genome=.")


def sequence_records(
    input: str, *, sequence: str, id: str, alphabet: str = DNA.name, letters: Letters = DEFAULT
) -> Iterator[Record]:
    """Stream the records of FASTA, FASTQ or tables; arguments as for `gulmfit.seq.labelled.read_sequences`."""
    for name, text in read_sequences(input, sequence=sequence, id=id or None, alphabet=alphabet, letters=letters):
        yield Record(name, text)


def feature_records(input: str, store: GenomeStore, kinds: Iterable[str]) -> Iterator[Record]:
    """Stream the sequences of features, each read on its own strand.

    Args:
        input: Files that `gulmfit.seq.intervals.read_features` takes.
        store: The genome.
        kinds: Types to keep; all if empty.

    Raises:
        DataError: A file holds no such feature, or a feature does not lie on the genome.
    """
    chosen = sorted(kinds)
    for file in expand_paths(input):
        count = 0
        for feature in read_features(file, chosen or None):
            count += 1
            contig, start, end, strand = feature[:4]
            name = feature.name or f"{contig}:{start}-{end}:{strand}"
            yield Record(name, extract(store, feature), contig, start, end, strand)
        if not count:
            raise DataError(f"{file}: no feature {f'of kind {chosen} ' if chosen else ''}in this file")


def both_strands(records: Iterable[Record]) -> Iterator[Record]:
    """Yield each record as it is, and then the other strand of it."""
    for record in records:
        given, other = ("-", "+") if record.strand == "-" else ("+", "-")
        yield record._replace(strand=given)
        yield record._replace(strand=other, sequence=reverse_complement_text(record.sequence))
