"""ChIP-seq peaks in DeepBind's files (`.seq.gz`), and the negatives that come with them or are made for them.

A file is gzipped and tab-separated, with the header `FoldID EventID seq Bound`. The 506 ENCODE experiments have a pair
each: `NAME_AC.seq.gz` to train on and `NAME_B.seq.gz` to test on. An event `seq_00017_peak` is the 17th strongest peak,
101 bp around its centre, `Bound` 1. Of the thousand strongest, those of odd rank are fold A and those of even rank fold
B; all weaker ones are fold C. So `_AC` has the ranks 1, 3, ..., 999 and then 1001, 1002, ..., and nothing that is not
bound; `_B` has the ranks 2, 4, ..., 1000, and behind them `seq_00002_shuf` and so on, `Bound` 0: an exact dinucleotide
shuffle of each. The column `FoldID` says A everywhere, also in `_B`.

Source: Alipanahi, Delong, Weirauch and Frey 2015, Nat Biotechnol 33:831; the files of its software release. A comment
in that release (`deepbind_train_encode.py`) calls the training ranks even and the test ranks odd, the help text of the
same script the reverse; the files agree with the help text, and with DFLM, which uses them as they are.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from gulmfit.data.sources.base import Paths, Source
from gulmfit.data.sources.positives import BACKGROUND, POSITIVE
from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import clean_sequence
from gulmfit.seq.duplicates import check_distinct, unique_ids
from gulmfit.seq.formats.fasta import expand_paths
from gulmfit.seq.formats.tables import not_one_of
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.negatives.making import Negatives, make_negatives
from gulmfit.seq.negatives.matched import matched_negatives
from gulmfit.seq.text import numbered_lines

logger = logging.getLogger(__name__)

HOW = ("shuffle", "genomic", "matched", "given")

HEADER = ("FoldID", "EventID", "seq", "Bound")


class Peak(NamedTuple):
    """One line.

    Attributes:
        event: EventID, unique in its file.
        sequence: Letters as they stand in the file.
        bound: Whether this is a peak; else it is a negative.
        place: Where it stands: "USF1_AC.seq.gz, line 7".
    """

    event: str
    sequence: str
    bound: bool
    place: str

    @property
    def origin(self) -> str:
        """What a peak and its shuffle have in common: `seq_00002` of `seq_00002_peak` and `seq_00002_shuf`."""
        return self.event.rpartition("_")[0] or self.event


@dataclass(kw_only=True)
class ChipSeqSource(Source):
    """Peaks of one factor, against shuffles, windows of a genome, or peaks of other factors.

    Args:
        path: Files to train on, `*_AC.seq.gz`: one, several, or a glob.
        test: Files to test on, `*_B.seq.gz`; without them all is split as `split` says.
        negatives: `shuffle`: exact dinucleotide shuffles, those of the files where a part has some, else made here.
            `genomic`: windows of `genome`, and `matched`: peaks of `others`, both of the GC content and the length of a
            peak; negatives of the files are left out. `given`: those of the files.
        per_positive: Negatives made for each peak.
        others: Of matched: files of other factors; where a glob finds those of `path` and `test`, these are left out.
        gc_tolerance: Of genomic and matched: largest difference of GC content that passes without mention, in [0, 1].
        strongest: Train on the first so many peaks of each file only: files are sorted by strength.
        cache_dir: Folder of the store of `genome`.
        seed: Of the negatives. It belongs to the data, so it does not follow the seed of a run.

    Attributes:
        record: What `labelled` made and how, ready for JSON; empty before.

    Raises:
        ConfigError: A setting is unknown or impossible, or what the negatives are made of is missing.
    """

    needs_path: ClassVar[str] = "DeepBind's file of training peaks, *_AC.seq.gz"
    path: Paths = ""
    test: Paths | None = None
    negatives: str = "shuffle"
    per_positive: int = 1
    others: Paths | None = None
    gc_tolerance: float = 0.02
    strongest: int | None = None
    cache_dir: str = "outputs/store"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.negatives not in HOW:
            raise ConfigError(f"data.negatives: {not_one_of(str(self.negatives), HOW)}")
        for how, name, example in (
            ("genomic", "genome", "data.genome=genome.fa.gz"),
            ("matched", "others", "data.others='peaks/*_AC.seq.gz'"),
        ):
            if self.negatives == how and not getattr(self, name):
                raise ConfigError(f"data.negatives={how} needs data.{name}, such as {example}; or choose shuffle.")
        if self.strongest is not None and self.strongest < 1:
            raise ConfigError(f"data.strongest={self.strongest} leaves no peak: at least 1, or null for all.")
        self.record: dict[str, Any] = {}

    def _labelled(self) -> LabelledSequences:
        """Read the peaks, and read or make their negatives, which follow them.

        Peak and negatives are one group. Classes are "background" and "positive"; ids are those of the files, with
        "/shuffled-1" and the like behind them for negatives that were made, and their file before those that
        occur in several.
        """
        paths: dict[str, Paths] = {"train": self.path, **({"test": self.test} if self.test else {})}
        files = {part: expand_paths(found) for part, found in paths.items()}
        check_distinct([file for found in files.values() for file in found])
        rows = [
            (part, file, peak)
            for part, found in files.items()
            for file in found
            for peak in self._peaks(file, self.strongest if part == "train" else None)
        ]
        data = self._sequences(
            [peak for *_, peak in rows], _ids(rows), [str(file) for found in files.values() for file in found]
        )
        parts = np.array([part for part, *_ in rows])
        groups = np.unique([f"{file}\t{peak.origin}" for _, file, peak in rows], return_inverse=True)[1].reshape(-1)
        bound = data.labels == 1
        if not bound.any():
            raise DataError(f"{', '.join(data.files)}: no peak with Bound 1 among {len(data)} lines")
        keeps = self.negatives in ("given", "shuffle")
        lacking = [part for part in files if not keeps or bound[parts == part].all()]
        if self.negatives == "given" and lacking:
            raise DataError(
                f"{', '.join(map(str, files[lacking[0]]))}: no line with Bound 0, so no negatives are given; use "
                "data.negatives=shuffle, genomic or matched to have some made"
            )
        kept = np.flatnonzero(bound | keeps)
        given = int(np.count_nonzero(~bound))
        self.record = {"how": self.negatives, "given": given * keeps, "given_left_out": given * (not keeps)}
        ids, sequences, members = [data.ids[i] for i in kept], [data.sequences[i] for i in kept], kept
        if lacking:
            chosen = np.flatnonzero(bound & np.isin(parts, lacking))
            made = self._make(data.subset(chosen), {file.resolve() for found in files.values() for file in found})
            self.record |= made.record
            ids, sequences = ids + made.ids, sequences + made.sequences
            members = np.concatenate([kept, chosen[made.partners]])
        logger.info("%s: %d peaks, and negatives %s", ", ".join(data.files), int(bound.sum()), self.record)
        return replace(
            data,
            ids=ids,
            sequences=sequences,
            labels=np.concatenate([data.labels[kept], np.zeros(len(ids) - len(kept), np.int64)]),
            splits=parts[members] if self.test else None,
            groups=groups[members],
        )

    def _peaks(self, file: Path, limit: int | None) -> list[Peak]:
        """Read a file; of the peaks, the first ones only where there is a limit, and the negatives of those."""
        peaks = list(read_deepbind(file))
        if limit is None:
            return peaks
        kept = {peak.origin for peak in [peak for peak in peaks if peak.bound][:limit]}
        return [peak for peak in peaks if peak.origin in kept]

    def _sequences(self, peaks: Sequence[Peak], names: list[str], files: list[str]) -> LabelledSequences:
        return LabelledSequences(
            names,
            [clean_sequence(peak.sequence, peak.place, case=self.case, ambiguity=self.ambiguity) for peak in peaks],
            np.array([peak.bound for peak in peaks], np.int64),
            [BACKGROUND, POSITIVE],
            files=files,
            positive=POSITIVE,
        )

    def _make(self, positives: LabelledSequences, own: set[Path]) -> Negatives:
        common: dict[str, Any] = {"per_positive": self.per_positive, "seed": self.seed}
        if self.negatives == "shuffle":
            return make_negatives(positives, **common)
        common |= {"gc_tolerance": self.gc_tolerance}
        if self.negatives == "genomic":
            store = GenomeStore.build(self.genome or (), self.cache_dir, case=self.case)
            return make_negatives(positives, store, how="genomic", **common)
        files = [file for file in expand_paths(self.others or "") if file.resolve() not in own]
        if not files:
            raise DataError(f"data.others={self.others} names the files of data.path and data.test only; add others")
        peaks = [peak for file in files for peak in read_deepbind(file) if peak.bound]
        others = self._sequences(peaks, [peak.place for peak in peaks], [str(file) for file in files])
        made = matched_negatives(positives, others, **common)
        return replace(made, record={**made.record, "files": others.files})


def _ids(rows: Sequence[tuple[str, Path, Peak]]) -> list[str]:
    """Return the EventIDs, which are unique in a file; with the name of the file before those that repeat."""
    files = [file.name.removesuffix(".gz").removesuffix(".seq") for _, file, _ in rows]
    return unique_ids([peak.event for *_, peak in rows], files, "file")


def read_deepbind(path: Path) -> Iterator[Peak]:
    """Read a file of peaks, gzipped or not, in its order: that of falling strength where DeepBind wrote it.

    Raises:
        DataError: The file is unreadable, has another header, no peak, a line of another number of fields, an
            EventID that is empty or occurs twice, or a `Bound` that is neither 0 nor 1.
    """
    events = dict[str, int]()
    for line, text in numbered_lines(path):
        place, fields = f"{path}, line {line}", text.split("\t")
        if line == 1:
            if tuple(fields) != HEADER:
                raise DataError(
                    f"{place}: header {fields[:6]} is not {list(HEADER)}, separated by tabs: no DeepBind file"
                )
            continue
        if len(fields) != len(HEADER):
            raise DataError(f"{place}: {len(fields)} field(s) where the header has {len(HEADER)}")
        _, event, sequence, bound = (field.strip() for field in fields)
        if bound not in ("0", "1"):
            raise DataError(f"{place}: Bound {bound!r} is neither 0 nor 1")
        if not event:
            raise DataError(f"{place}: empty EventID; every peak needs one")
        if (earlier := events.setdefault(event, line)) != line:
            raise DataError(f"{place}: EventID {event!r} occurs on line {earlier} too; they must be unique")
        yield Peak(event, sequence, bound == "1", place)
    if not events:
        raise DataError(f"{path}: no peak in this file")
