"""Positives that come alone, with negatives made for them: shuffles, windows of a genome, or both."""

import itertools
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from gulmfit.data.sources.base import Paths, Source
from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import clean_sequence, encode, reverse_complement
from gulmfit.seq.formats.fasta import expand_paths, read_fasta
from gulmfit.seq.formats.tables import is_table, not_one_of, read_rows
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.labelled import LabelledSequences, Locus
from gulmfit.seq.negatives.making import Negatives, make_negatives

logger = logging.getLogger(__name__)

BACKGROUND, POSITIVE = "background", "positive"
HOW = ("shuffle", "genomic", "mixed")

_LOCUS = re.compile(r"(\S+):(\d+)-(\d+)(?:\(([+-])\))?")


@dataclass(frozen=True, kw_only=True)
class NegativeSettings:
    """How negatives are made for positives; see `gulmfit.seq.negatives.making`.

    Args:
        how: `shuffle`, `genomic`, or `mixed` for some of both.
        per_positive: Negatives for each positive.
        k: Of shuffles: letters of the words whose counts are kept.
        genome: Of windows: FASTA files of the genome that they are drawn from.
        gc_tolerance: Of windows: largest difference of GC content to the positive, in [0, 1].
        margin_bp: Of windows: least distance from positives whose ids tell their loci (see `loci_from_ids`), in bases.
        shuffled_fraction: Of mixed: share of shuffles.

    Raises:
        ConfigError: `how` is unknown, or windows are wanted and no genome is given.
    """

    how: str = "shuffle"
    per_positive: int = 1
    k: int = 2
    genome: Paths | None = None
    gc_tolerance: float = 0.02
    margin_bp: int = 0
    shuffled_fraction: float = 0.5

    def __post_init__(self) -> None:
        if self.how not in HOW:
            raise ConfigError(f"data.negatives.how: {not_one_of(str(self.how), HOW)}")
        if self.how != "shuffle" and not self.genome:
            raise ConfigError(
                f"data.negatives.how={self.how} draws windows of a genome: give data.negatives.genome=genome.fa.gz, or "
                "use data.negatives.how=shuffle."
            )

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Return the settings that a configuration gives; raise ConfigError where one is unknown."""
        known = [item.name for item in fields(cls)]
        for key in given:
            if key not in known:
                raise ConfigError(f"data.negatives: {not_one_of(str(key), known)}")
        return cls(**given)

    def add_to(
        self, positives: LabelledSequences, *, seed: int, cache_dir: str, case: str
    ) -> tuple[LabelledSequences, dict[str, Any]]:
        """Return the positives and, in their order behind them, their negatives; and how these were made.

        The id of a negative is that of its positive with "/shuffled-1" or "/genomic-1" behind it. Classes are
        "background" and "positive". There are loci where every sequence has one.
        """
        negatives, positives = self._make(positives, seed, cache_dir, case)
        logger.info("%s: %d positives, and negatives %s", ", ".join(positives.files), len(positives), negatives.record)
        loci = [locus for locus in (*(positives.loci or []), *negatives.loci) if locus]
        data = LabelledSequences(
            ids=positives.ids + negatives.ids,
            sequences=positives.sequences + negatives.sequences,
            labels=np.repeat([1, 0], [len(positives), len(negatives.ids)]),
            classes=[BACKGROUND, POSITIVE],
            files=positives.files,
            positive=POSITIVE,
            loci=loci if len(loci) == len(positives) + len(negatives.ids) else None,
            groups=np.concatenate([np.arange(len(positives)), negatives.partners]).astype(np.int64),
        )
        return data, negatives.record

    def _make(
        self, positives: LabelledSequences, seed: int, cache_dir: str, case: str
    ) -> tuple[Negatives, LabelledSequences]:
        """Make the negatives; the positives come back with their loci, where these were found out."""
        settings = asdict(self)
        genome, store = settings.pop("genome"), None
        if self.how != "shuffle":
            store = GenomeStore.build(genome or (), cache_dir, case=case)
            positives = replace(positives, loci=positives.loci or loci_from_ids(positives, store))
        return make_negatives(positives, store, seed=seed, **settings), positives


@dataclass(kw_only=True)
class PositivesSource(Source):
    """Positives from FASTA files or tables, and the negatives that are made for them.

    Args:
        path: FASTA files or tables of the positives: one, several, or a glob.
        sequence: Column of the sequence, in tables.
        id: Column of the id, in tables; the number of the record if null.
        negatives: Arguments of `NegativeSettings`.
        cache_dir: Folder of the store of `negatives.genome`.
        seed: Of the negatives. It belongs to the data, so it does not follow the seed of a run.

    Attributes:
        record: What `labelled` made and how, ready for JSON; empty before.

    Raises:
        ConfigError: If no path is given, or the negatives have an unknown or impossible setting.
    """

    needs_path: ClassVar[str] = "FASTA files or tables of positives, or a glob such as peaks/*.fa"
    path: Paths = ""
    sequence: str = "sequence"
    id: str | None = None
    negatives: Mapping[str, Any] = field(default_factory=dict)
    cache_dir: str = "outputs/store"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._settings = NegativeSettings.of(self.negatives)
        self.record: dict[str, Any] = {}

    def _labelled(self) -> LabelledSequences:
        """Read the positives and make their negatives."""
        files = expand_paths(self.path)
        places: dict[str, str] = {}
        sequences = []
        for place, record, text in itertools.chain.from_iterable(map(self._read, files)):
            name = record or str(len(places) + 1)
            if (earlier := places.setdefault(name, place)) != place:
                raise DataError(f"id {name!r} occurs twice: {earlier} and {place}; ids must be unique")
            sequences.append(clean_sequence(text, place, case=self.case, ambiguity=self.ambiguity))
        labels = np.zeros(len(sequences), np.int64)
        positives = LabelledSequences(list(places), sequences, labels, [POSITIVE], files=[str(file) for file in files])
        data, self.record = self._settings.add_to(positives, seed=self.seed, cache_dir=self.cache_dir, case=self.case)
        return data

    def _read(self, file: Path) -> Iterator[tuple[str, str, str]]:
        """Yield where each record of a file stands, its id ("" for none) and its letters."""
        if is_table(file):
            for place, row in read_rows(file, {"sequence": self.sequence, "id": self.id}):
                yield place, row.get("id", ""), row["sequence"]
        else:
            for record in read_fasta(file):
                yield f"{file}, record {record.id!r}", record.id, record.sequence


def loci_from_ids(data: LabelledSequences, store: GenomeStore) -> list[Locus] | None:
    """Read loci from ids like "chr7:100-201(-)", as `bedtools getfasta` writes them, 0-based half-open.

    They are believed if the genome holds every sequence at its place; no strand means the forward one. Else the
    answer is None, with the reason in the log where the ids look like loci.
    """
    found = [_LOCUS.fullmatch(name) for name in data.ids]
    contigs = {contig.name: contig for contig in store.contigs}
    loci: list[Locus] = []
    for match, sequence in zip(found, data.sequences, strict=True):
        if match is None:
            return None
        name, start, end, strand = match[1], int(match[2]), int(match[3]), match[4] or "+"
        contig, codes = contigs.get(name), encode(sequence)
        first = contig.start + start if contig and end <= contig.length else 0
        there = store.codes[first : first + end - start] if contig else codes[:0]
        if not np.array_equal(there, codes if strand == "+" else reverse_complement(codes)):
            logger.warning(
                "%s: the genome of the negatives does not hold this positive there: loci are not used", match[0]
            )
            return None
        loci.append((name, start, end, strand))
    return loci
