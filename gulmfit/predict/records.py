"""What is predicted record by record, from file to file: FASTA, FASTQ, tables, and features of a genome.

Shape letters: `S` strands that are told apart, `C` classes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from gulmfit.errors import ConfigError, DataError
from gulmfit.predict.outputs.registry import LOCUS, Output, opened
from gulmfit.predict.outputs.track_files import Placed, TrackSpan
from gulmfit.predict.outputs.writers import Row
from gulmfit.predict.predictor import STRANDS, Predictor, Record
from gulmfit.predict.spread import Spread
from gulmfit.seq.alphabet import DEFAULT, DNA, Alphabet, LetterCounts, Letters
from gulmfit.seq.formats.fasta import expand_paths, read_fasta
from gulmfit.seq.formats.tables import is_table, read_rows
from gulmfit.seq.genome.contigs import feature_codes, read_features
from gulmfit.seq.genome.store import GenomeStore

_FEATURE_SUFFIXES = (".bed", ".narrowpeak", ".broadpeak", ".gff", ".gff3", ".gtf", ".gb", ".gbk", ".gbff")


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
    input: str, *, sequence: str, id: str, alphabet: Alphabet = DNA, letters: Letters = DEFAULT
) -> Iterator[Record]:
    """Stream the records of FASTA, FASTQ or tables; arguments, warnings and errors as for `read_sequences`."""
    files = expand_paths(input)
    counts = LetterCounts(alphabet, letters.case)
    for file in files:
        rows = (
            read_rows(file, {"sequence": sequence, "id": id})
            if is_table(file)
            else ((f"{file}, record {one.id!r}", {"id": one.id, "sequence": one.sequence}) for one in read_fasta(file))
        )
        for place, row in rows:
            counts.add(row["sequence"])
            yield Record(row.get("id", str(counts.records)), letters.encode(row["sequence"], place, alphabet))
    counts.warn(", ".join(map(str, files)))


def feature_records(
    input: str, store: GenomeStore, kinds: Iterable[str], letters: Letters = DEFAULT
) -> Iterator[Record]:
    """Stream the sequences of features, each read on its own strand.

    Args:
        input: Files that `gulmfit.seq.genome.contigs.read_features` takes.
        store: The genome.
        kinds: Types to keep; all if empty.
        letters: How its letters were read.

    Raises:
        DataError: A file holds no such feature, or a feature does not lie on the genome.
        SequenceError: A base is ambiguous where that is refused.
    """
    chosen = sorted(kinds)
    for file in expand_paths(input):
        count = 0
        for feature in read_features(file, chosen or None):
            count += 1
            contig, start, end, strand = feature[:4]
            name = feature.name or f"{contig}:{start}-{end}:{strand}"
            codes = letters.accepted(feature_codes(store, feature), f"{input}, record {name!r}")
            yield Record(name, codes, contig, start, end, strand)
        if not count:
            raise DataError(f"{file}: no feature {f'of kind {chosen} ' if chosen else ''}in this file")


def open_records(
    input: str,
    genome: str,
    features: str,
    *,
    sequence: str,
    id: str,
    alphabet: Alphabet,
    letters: Letters,
    cache_dir: str,
) -> tuple[GenomeStore | None, Iterator[Record]]:
    """Return the records of a file and, if they are features of a genome, that genome.

    Args:
        input: Sequences; with `genome` the features on it.
        genome: FASTA; empty for none.
        features: Types of features, separated by commas; all if empty.
        sequence, id: Columns of a table.
        alphabet: What the letters are.
        letters: How they are read.
        cache_dir: Folder of genome stores.
    """
    if not genome:
        return None, sequence_records(input, sequence=sequence, id=id, alphabet=alphabet, letters=letters)
    store = GenomeStore.build(genome, cache_dir, case=letters.case)
    kinds = [kind.strip() for kind in features.split(",") if kind.strip()]
    return store, feature_records(input, store, kinds, letters)


def write_records(
    predictor: Predictor,
    records: Iterable[Record],
    outputs: Sequence[Output],
    *,
    strand: str,
    batch_size: int,
    where: str,
    raw: bool,
    positive: int,
    store: GenomeStore | None,
    spread: Spread,
) -> int:
    """Predict records and write what was found: tables as records come, and then what is in genome order.

    Args:
        predictor: The model.
        records: Sequences; with `strand=both` each is written twice.
        outputs: Files to write.
        strand: `forward`, `both` or `average`.
        batch_size: Sequences that are run at once.
        where: What error messages put before the name of a record.
        raw: Whether tables have the scores before calibration, too.
        positive: Index of the class that outputs in genome order are about.
        store: The genome on which records lie; None where they lie on none.
        spread: What tables tell of the spread over networks.

    Returns:
        How many rows were written.
    """
    place = LOCUS if store else LOCUS[3:] if strand == "both" else ()
    in_order = any(output.format.table is None for output in outputs)
    found = _OnGenome(store, outputs, predictor.gives_probabilities, strand == "both") if in_order else None
    count, columns, last = 0, [("id", str), *place], spread.with_names(predictor)
    with opened(outputs, columns, predictor, found, strands=STRANDS[strand], raw=raw, last=last) as tables:
        for group, scores in predictor.predict_records(
            records, strand=strand, batch_size=batch_size, where=where, spread=True
        ):
            scores, apart = np.split(scores, [len(predictor.classes)], axis=2)
            if apart.size:
                spread.count(apart)
            calibrated = predictor.calibrated(scores)
            cells = np.concatenate([calibrated, scores], axis=2) if raw else calibrated  # (N, S, C) or (N, S, 2C)
            rows: list[Row] = []
            flat, classes = calibrated.reshape(-1, len(predictor.classes)), predictor.classes
            named = len(last) > len(spread.columns)
            names = predictor.calibration.names(flat, classes, predictor.positive) if named else []
            for record, by_strand, doubts in zip(group, cells.tolist(), apart.tolist(), strict=True):
                signs = record.strand if strand != "both" else "-+" if record.strand == "-" else "+-"
                for sign, values, doubt in zip(signs, by_strand, doubts, strict=True):
                    locus = record.contig, record.start, record.end, sign
                    told = [*(spread.cells(doubt) if doubt else ()), *names[len(rows) : len(rows) + 1]]
                    rows.append([record.name, *locus[4 - len(place) :], *values, *told])
                    if found:
                        where_it_lies = locus[:3] if store else _whole(record)
                        found.records.append(Placed(*where_it_lies, record.name, sign, values[positive]))
            for write in tables:
                write(rows)
            count += len(rows)
    return count


def _whole(record: Record) -> tuple[str, int, int]:
    """Return where a record lies in a file whose contigs are the records themselves."""
    return "_".join(record.name.split()) or ".", 0, len(record.codes)


class _OnGenome:
    """Records that lie on a genome, or are contigs themselves, in genome order once all are there
    (`gulmfit.predict.outputs.track_files.OnGenome`)."""

    def __init__(self, store: GenomeStore | None, outputs: Sequence[Output], scaled: bool, apart: bool) -> None:
        self.lengths: Mapping[str, int] = {contig.name: contig.length for contig in (store.contigs if store else ())}
        self.scaled, self._apart = scaled, apart
        self._tracks = ", ".join(str(output.path) for output in outputs if output.format.track)
        self.records: list[Placed] = []

    def places(self) -> Iterator[Placed]:
        """Yield every record."""
        yield from sorted(self.records, key=lambda one: (one.contig.encode(), one.start, one.end, one.strand))

    def intervals(self, strand: str) -> Iterator[TrackSpan]:
        """Yield the records of a strand; of all strands where they are not told apart.

        Raises:
            DataError: Two overlap.
        """
        last: Placed | None = None
        for one in self.places():
            if self._apart and one.strand != strand:
                continue
            if last and one.contig == last.contig and one.start < last.end:
                places = f"{last.start}-{last.end}, {one.start}-{one.end}"
                raise DataError(
                    f"{self._tracks}: {last.name!r} and {one.name!r} overlap on {one.contig!r} ({places}), and a base "
                    "of a track has one value. Write .bed or .tsv."
                )
            yield TrackSpan(one.contig, one.start, one.end, one.value)
            last = one

    def calls(self) -> Iterator[str]:
        """Yield nothing: records are not merged."""
        return iter(())
