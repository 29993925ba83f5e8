"""Labelled sequences (N, of C classes): one container, and the readers of tables and of one FASTA file a class."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError
from gulmfit.seq.alphabet import DEFAULT, DNA, Alphabet, LetterCounts, Letters, clean_sequence, held_alphabet
from gulmfit.seq.duplicates import check_distinct, unique_ids
from gulmfit.seq.formats.fasta import Paths, expand_paths, read_fasta
from gulmfit.seq.formats.tables import is_table, not_one_of, read_rows
from gulmfit.seq.labels.label_sets import LabelSets as LabelSets
from gulmfit.seq.labels.position_labels import Positions as Positions
from gulmfit.seq.labels.targets import CLASSES, Labels, TargetKind, target_kind
from gulmfit.seq.names import check_ids, check_names, default_positive

_log = logging.getLogger(__name__)

Locus = tuple[str, int, int, str]

_SPLIT_NAMES = {"validation": "valid", "val": "valid", "dev": "valid", "training": "train"} | {
    name: name for name in ("train", "valid", "test")
}


class ReadOptions(TypedDict, total=False):
    """How labelled records are read; `LabelledSequences.from_strings` has the defaults."""

    targets: str
    """What the labels are (`gulmfit.seq.labels.targets`): "classes", "label_sets" or "values"."""
    classes: Sequence[str] | None
    """All classes in the wanted order; by default those found, sorted (numbers by value)."""
    positive: str | int | None
    """Positive class of a two-class set; by default as `default_positive` says."""
    case: str
    ambiguity: str
    alphabet: str
    """These three as in `gulmfit.seq.alphabet.clean_sequence`."""


@dataclass(eq=False)
class LabelledSequences:
    """N sequences and what is known of each.

    Attributes:
        ids: Record ids (N).
        sequences: Upper-case IUPAC letters (N); of nucleotides, U written as T.
        labels: Index into `classes` of each sequence (N,); of label sets 1 where a label is there, else 0, and -1
            where nobody knows, (N, C); of values the values (N, C); of positions an index each (N, L).
        classes: Names of the classes, labels or values, in order of their index.
        splits: "train", "valid" or "test" for each sequence (N,) where the source says it, else None.
        files: Paths that the sequences were read from.
        positive: Class that recall, precision and AUROC of a two-class set are about; by default as
            `default_positive` says.
        loci: (contig, start, end, strand) of each sequence, 0-based half-open, where known.
        groups: What must stay on one side of a split (N,), such as a positive and its own negatives; None for nothing.
        targets: What the labels are (`gulmfit.seq.labels.targets`), such as "classes", "label_sets" or "values".
        alphabet: What the letters are: `DNA`, also of RNA, or `PROTEIN`.
        stranded: Whether a sequence and its reverse complement may differ in their labels.

    Raises:
        DataError: Lengths differ, a label is out of range, or `positive` is not a class.
    """

    ids: list[str]
    sequences: list[str]
    labels: Labels
    classes: list[str]
    splits: npt.NDArray[np.str_] | None = None
    files: list[str] = field(default_factory=list)
    positive: str = ""
    loci: list[Locus] | None = None
    groups: npt.NDArray[np.int64] | None = None
    targets: str = CLASSES
    alphabet: Alphabet = DNA
    stranded: bool = False

    def __post_init__(self) -> None:
        self.labels = self.kind.array(self.labels)
        lengths = {"ids": len(self.ids), "sequences": len(self.sequences), "labels": len(self.labels)}
        lengths |= {} if self.splits is None else {"splits": len(self.splits)}
        lengths |= {} if self.loci is None else {"loci": len(self.loci)}
        lengths |= {} if self.groups is None else {"groups": len(self.groups)}
        if len(set(lengths.values())) > 1:
            raise DataError(f"labelled sequences of unequal lengths: {lengths}")
        self.kind.check(self.labels, self.classes, self.ids)
        self.kind.fits(self.labels, self.sequences, self.ids)
        source = ", ".join(self.files) or "the data"
        check_names(self.classes, self.kind.one, source, joined_by=self.kind.joined_by)
        check_ids(self.ids, source)
        if not self.classes:
            raise DataError("labelled sequences without classes: at least one is needed")
        if not self.kind.exclusive:
            if self.positive:
                raise DataError(f"positive={self.positive}: of {self.targets} none is the positive one; leave it out")
        elif self.positive not in ("", *self.classes):
            raise DataError(f"positive class {not_one_of(self.positive, self.classes)}")
        else:
            self.positive = self.positive or default_positive(self.classes)

    def __len__(self) -> int:
        """Return N."""
        return len(self.ids)

    @property
    def kind(self) -> TargetKind:
        """What the labels are."""
        return target_kind(self.targets)

    @property
    def strata(self) -> npt.NDArray[np.int64]:
        """Number of what a split deals in proportion (N,): the classes, kinds of label sets, or quantiles."""
        return self.kind.strata(self.labels)

    def subset(self, indices: npt.ArrayLike) -> Self:
        """Return the sequences at these indices (or under this mask) in that order; the classes stay."""
        chosen = np.arange(len(self))[np.asarray(indices)]
        return replace(
            self,
            ids=[self.ids[i] for i in chosen],
            sequences=[self.sequences[i] for i in chosen],
            labels=self.labels[chosen],
            splits=None if self.splits is None else self.splits[chosen],
            loci=None if self.loci is None else [self.loci[i] for i in chosen],
            groups=None if self.groups is None else self.groups[chosen],
        )

    @classmethod
    def from_strings(
        cls,
        ids: Sequence[str],
        sequences: Sequence[str],
        labels: Sequence[str | Sequence[str]],
        *,
        splits: Sequence[str] | None = None,
        files: Sequence[str] = (),
        loci: Sequence[Locus] | None = None,
        places: Sequence[str] | None = None,
        column: str | Sequence[str] = "label",
        targets: str = CLASSES,
        classes: Sequence[str] | None = None,
        positive: str | int | None = None,
        case: str = "upper",
        ambiguity: str = "unk",
        alphabet: str = DNA.name,
    ) -> Self:
        """Build from texts, checking every cell.

        Args:
            ids: Record ids (N).
            sequences: IUPAC letters (N) in either case.
            labels: Class names (N), and numbers of classes are names too; label sets or numbers where `targets` says
                so. Of several columns a text each.
            splits: "train", "valid" ("val", "validation", "dev") or "test" for each sequence (N).
            files: Paths that the sequences came from.
            loci: Genome position of each sequence (N).
            places: Where each record stands (N), for messages: "train.csv, line 7".
            column: What the labels are called at their source, for messages; several names for several columns.
            targets, classes, positive, case, ambiguity, alphabet: See `ReadOptions`.

        Raises:
            DataError: A label is empty, a fraction or not declared; there are fewer than two classes, or one
                has no example; a split has another name.
        """
        where = places or [f"record {record!r}" for record in ids]
        source = ", ".join(files) or "the data"
        cells = [[str(cell) for cell in ([label] if isinstance(label, str | int) else label)] for label in labels]
        columns = [column] if isinstance(column, str) else list(column)
        found, names = target_kind(targets).read(cells, columns, where, source, classes)
        cleaned = [
            clean_sequence(text, place, case=case, ambiguity=ambiguity, alphabet=alphabet)
            for text, place in zip(sequences, where, strict=True)
        ]
        target_kind(targets).fits(found, cleaned, where)
        held = held_alphabet(alphabet)
        letters_seen = LetterCounts(held)
        for text in cleaned:
            letters_seen.add(text)
        letters_seen.warn(source)
        counts = [len(text.encode("ascii").translate(None, held.letters.encode("ascii"))) for text in cleaned]
        if letters := sum(counts):
            message = "%s: %d of %d sequences hold ambiguous letters, %d in all, which are read as unknown"
            _log.info(message, source, sum(map(bool, counts)), len(counts), letters)
        return cls(
            ids=list(ids),
            sequences=cleaned,
            labels=found,
            classes=names,
            splits=None
            if splits is None
            else np.array([_split_name(text, place) for text, place in zip(splits, where, strict=True)]),
            files=list(files),
            positive="" if positive is None else str(positive),
            loci=None if loci is None else list(loci),
            targets=targets,
            alphabet=held,
        )


def read_table(
    path: Paths,
    *,
    sequence: str = "sequence",
    label: str | Sequence[str] = "label",
    id: str | None = None,
    split: str | None = None,
    **options: Unpack[ReadOptions],
) -> LabelledSequences:
    """Read labelled sequences from tables: .csv, .tsv, .tab, .jsonl (each with .gz or not) or .parquet.

    Args:
        path: File, glob, or several of them; their rows are put one after the other.
        sequence: Name of the column of sequences.
        label: Name of the column of classes: names or whole numbers; of label sets, names joined by ";", or several
            columns of 0 and 1; of values, one or several columns of numbers.
        id: Name of the column of record ids, of which those that repeat get a number behind them; without it, records
            are numbered from 1.
        split: Name of the column that says train, valid or test.
        options: See `ReadOptions`.

    Raises:
        DataError: A column is missing, a row is broken, an id is empty, a label or split is not one, or two files
            have the same content.
        SequenceError: A file is missing, or a sequence is none.
    """
    columns = {"sequence": sequence, "id": id, "split": split}
    return _read_parts({"": path}, columns, label, options)


def read_table_splits(
    train: Paths,
    test: Paths,
    valid: Paths | None = None,
    *,
    sequence: str = "sequence",
    label: str | Sequence[str] = "label",
    id: str | None = None,
    **options: Unpack[ReadOptions],
) -> LabelledSequences:
    """Read labelled sequences from tables that hold one part each; `splits` says which.

    The arguments are those of `read_table`. An id that occurs in more than one part is prefixed with its part
    ("test/17").

    Raises:
        DataError: Train and test, or train and valid, do not have the same classes.
    """
    paths = {"train": train, "test": test} if valid is None else {"train": train, "valid": valid, "test": test}
    columns = {"sequence": sequence, "id": id}
    data = _read_parts(paths, columns, label, options)
    occurs = {name: data.kind.held(data.labels[data.splits == name], len(data.classes)) for name in paths}
    held = {name: {data.classes[i] for i in np.flatnonzero(found)} for name, found in occurs.items()}
    for name, path in paths.items():
        missing, extra = sorted(held["train"] - held[name]), sorted(held[name] - held["train"])
        # A small validation file may miss a rare class; a test file may not.
        if extra or (missing and name == "test" and data.kind.needed_everywhere):
            raise DataError(
                f"labels that differ between train and {name}: only in train ({paths['train']}) {missing}, "
                f"only in {name} ({path}) {extra}; every part needs the same classes"
            )
    return data


def read_fasta_classes(files: Mapping[str, Paths], **options: Unpack[ReadOptions]) -> LabelledSequences:
    """Read labelled sequences from FASTA files that hold one class each.

    Ids that are unique over all files are kept. Those that repeat are prefixed with their class ("promoter/seq1");
    where they repeat inside a class, they get the number of their occurrence behind them ("seq1/2").

    Args:
        files: Class name to file, glob, or several of them.
        options: See `ReadOptions`.

    Raises:
        DataError: Fewer than two classes, or two files with the same content.
        SequenceError: A file is missing, empty or damaged.
    """
    check_distinct([file for paths in files.values() for file in expand_paths(paths)])
    records = [(str(name), record) for name, paths in files.items() for record in read_fasta(paths, repeated_ids=True)]
    names = [name for name, _ in records]
    return LabelledSequences.from_strings(
        unique_ids([record.id for _, record in records], names),
        [record.sequence for _, record in records],
        names,
        files=list(dict.fromkeys(record.path for _, record in records)),
        places=[f"{record.path}, record {record.id!r}" for _, record in records],
        column="classes",
        **options,
    )


def read_sequences(
    path: Paths,
    *,
    sequence: str = "sequence",
    id: str | None = None,
    alphabet: str = DNA.name,
    letters: Letters = DEFAULT,
) -> Iterator[tuple[str, str]]:
    """Read sequences without labels, one (id, sequence) after the other, from FASTA files or tables.

    What is a table is told by its name (see `read_table`); every other file is taken for FASTA. Letters are read as
    `letters` says. At the end a warning counts records without a known letter, and says where proteins look like DNA.

    Raises:
        DataError: A table lacks a column or has a broken row.
        SequenceError: A FASTA file is damaged, or a sequence is empty or holds a letter outside the alphabet.
    """
    files = expand_paths(path)
    counts = LetterCounts(held_alphabet(alphabet))
    for file in files:
        if not is_table(file):
            for record in read_fasta(file):
                place = f"{file}, record {record.id!r}"
                cleaned = clean_sequence(record.sequence, place, alphabet=alphabet, **letters._asdict())
                counts.add(cleaned)
                yield record.id, cleaned
        else:
            for place, row in read_rows(file, {"sequence": sequence, "id": id}):
                cleaned = clean_sequence(row["sequence"], place, alphabet=alphabet, **letters._asdict())
                counts.add(cleaned)
                yield row.get("id", str(counts.records)), cleaned
    counts.warn(", ".join(map(str, files)))


def _read_parts(
    parts: Mapping[str, Paths], columns: Mapping[str, str | None], label: str | Sequence[str], options: ReadOptions
) -> LabelledSequences:
    """Read the tables of each part; `columns` maps "sequence", "id" and "split" to column names."""
    named = [label] if isinstance(label, str) else list(label)
    roles = [f"label {number}" for number in range(len(named))]
    columns = {**columns, **dict(zip(roles, named, strict=True))}
    cells: dict[str, list[str]] = {role: [] for role, column in columns.items() if column}
    places: list[str] = []
    groups: list[str] = []
    files = {name: expand_paths(paths) for name, paths in parts.items()}
    check_distinct([file for found in files.values() for file in found])
    sets = roles if target_kind(options.get("targets", CLASSES)).joined_by and len(roles) == 1 else []
    for name, file in ((name, file) for name, found in files.items() for file in found):
        for place, row in read_rows(file, columns, sets=sets):
            if "id" in row and not row["id"]:
                raise DataError(f"{place}: empty id; every record needs one, or leave the id column out")
            places.append(f"{place}, record {row['id']!r}" if "id" in row else place)
            groups.append(name)
            for role, text in row.items():
                cells[role].append(text)
    ids = cells.get("id") or [str(number) for number in range(1, len(places) + 1)]
    return LabelledSequences.from_strings(
        unique_ids(ids, groups),
        cells["sequence"],
        list(zip(*(cells[role] for role in roles), strict=True)),
        splits=cells.get("split", groups if len(parts) > 1 else None),
        files=[str(file) for found in files.values() for file in found],
        places=places,
        column=named,
        **options,
    )


def _split_name(text: str, place: str) -> str:
    name = _SPLIT_NAMES.get(text.strip().lower())
    if name is None:
        raise DataError(f"{place}: split {text!r} is not one of {sorted(_SPLIT_NAMES)}")
    return name
