"""Where sequences come from: each source gives a genome to learn, labelled sequences, or both.

A new kind of data is one class here (or anywhere under gulmfit) and one file in `conf/data/`.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import DNA, held_alphabet
from gulmfit.seq.duplicates import check_distinct, unique_ids
from gulmfit.seq.formats.fasta import expand_paths
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.conflicts import POLICIES as CONFLICTS
from gulmfit.seq.labels.conflicts import settle_conflicts
from gulmfit.seq.labels.gene_starts import promoter_windows
from gulmfit.seq.labels.labelled import (
    LabelledSequences,
    ReadOptions,
    read_fasta_classes,
    read_table,
    read_table_splits,
)
from gulmfit.seq.simulate.synthetic_task import simulate

logger = logging.getLogger(__name__)

Paths = str | Sequence[str]
POLICIES = {"case": ("upper", "mask"), "ambiguity": ("split", "unk", "error"), "conflicts": CONFLICTS}


@dataclass(kw_only=True)
class Source:
    """Base of all sources.

    Args:
        genome: FASTA of the genome that `stage=pretrain` and `stage=ulmfit` learn, alongside the labelled sequences.
        case: `upper` reads soft-masked bases as bases, `mask` as ambiguous ones.
        ambiguity: What N and other ambiguous letters do to a genome: `split` cuts the contig there, `unk` reads a
            token of their own, `error` refuses. In labelled sequences, which cannot be cut, `split` acts as `unk`.
        alphabet: What sequences are written in: `dna`, `rna` or, where the source has them, `protein`.
        conflicts: What happens to a sequence that is there with several labels: `warn`, the default, counts and keeps
            it, `error` refuses it, `drop` leaves all its copies out.
        stranded: Whether a sequence and its reverse complement may differ in their labels; of RNA they always may.

    Raises:
        ConfigError: If a policy or the alphabet is unknown, or the source has no proteins.
    """

    has_proteins: ClassVar[bool] = False
    needs_path: ClassVar[str] = ""
    """What `path` has to name, for the message where it is empty; "" where it may be."""
    policies_of_genome_alone: ClassVar[bool] = False
    """Whether labelled sequences are read as `upper` and `split` whatever the policies."""
    genome: Paths | None = None
    case: str = "upper"
    ambiguity: str = "split"
    alphabet: str = DNA.name
    conflicts: str | None = None
    stranded: bool = False

    def __post_init__(self) -> None:
        if self.needs_path and not getattr(self, "path", ""):
            raise ConfigError(f"data.path is empty: give {self.needs_path}.")
        if not held_alphabet(self.alphabet).complements and not self.has_proteins:
            raise ConfigError(f"data.alphabet={self.alphabet}: a {type(self).__name__} reads nucleotides.")
        for name, allowed in POLICIES.items():
            if getattr(self, name) not in (*allowed, *((None,) if name == "conflicts" else ())):
                raise ConfigError(f"data.{name}={getattr(self, name)!r} is unknown; choose {' or '.join(allowed)}.")

    @property
    def has_labels(self) -> bool:
        """Whether the source gives labelled sequences."""
        return True

    @property
    def has_genome(self) -> bool:
        """Whether there is a genome to learn."""
        return bool(self.genome) or type(self).store is not Source.store

    def store(self, cache_dir: Path) -> GenomeStore:
        """Return the genome to learn, built once and kept in `cache_dir`.

        Raises:
            ConfigError: If the source has no genome.
        """
        if not self.genome:
            raise ConfigError(
                "this data has labelled sequences but no genome to learn. Set data.genome=genome.fa.gz, start from a "
                "language model with init_from=..., or learn the sequences themselves with stage=finetune."
            )
        return GenomeStore.build(self.genome, cache_dir, case=self.case, alphabet=self.alphabet)

    def labelled(self) -> LabelledSequences:
        """Return the labelled sequences, soft-masked and ambiguous letters, and conflicts, as the policies say.

        Raises:
            ConfigError: If the source has no labels.
            DataError: If the data cannot be read, or are refused.
        """
        both_strands = self.alphabet == DNA.name and not self.stranded
        found = settle_conflicts(self._labelled(), self.conflicts or "warn", both_strands=both_strands)
        found.stranded = not both_strands
        return found

    def ceilings(self, data: LabelledSequences) -> dict[str, npt.NDArray[np.float64]]:
        """Return what can be predicted of sequences by whoever knows how they were simulated, by name; else nothing."""
        return {}

    def baselines(self, train: LabelledSequences, data: LabelledSequences) -> dict[str, npt.NDArray[np.float64]]:
        """Return what baselines of this source alone, fitted to a training part, predict of sequences, by name."""
        return {}

    @property
    def _options(self) -> ReadOptions:
        """How the policies, and keys of this source, say that labelled records are read."""
        known = ("case", "ambiguity", "alphabet", "targets", "positive")
        return cast(ReadOptions, {name: getattr(self, name) for name in known if hasattr(self, name)})

    def _labelled(self) -> LabelledSequences:
        """Read the labelled sequences, conflicts included."""
        raise ConfigError("this data has no labels. Use data=table, data=fasta_classes or another labelled source.")


@dataclass(kw_only=True)
class FastaSource(Source):
    """Genomes without labels.

    Args:
        path: FASTA files: one, several, or a glob.
    """

    has_proteins: ClassVar[bool] = True
    needs_path: ClassVar[str] = "one or more FASTA files, or a glob such as genomes/*.fna.gz"
    path: Paths = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.genome = self.path

    @property
    def has_labels(self) -> bool:
        """Whether the source gives labelled sequences: no."""
        return False


@dataclass(kw_only=True)
class TableSource(Source):
    """Labelled sequences from CSV, TSV, JSONL or Parquet.

    Args:
        path: One table, several, or a glob; or else `train`, `test` and perhaps `valid`.
        train: Table of the training part.
        valid: Table of the validation part.
        test: Table of the test part.
        sequence: Column of the sequence.
        label: Column of the label, or several.
        targets: What the labels are: `classes`, `label_sets` or `values` (`gulmfit.seq.labels.targets`).
        id: Column of the id; the number of the record if null.
        split: Column that says train, valid or test.
        positive: The positive one of two classes; by default the one that the names tell, else the last.
    """

    has_proteins: ClassVar[bool] = True
    path: Paths | None = None
    train: Paths | None = None
    valid: Paths | None = None
    test: Paths | None = None
    sequence: str = "sequence"
    label: str | Sequence[str] = "label"
    targets: str = "classes"
    id: str | None = None
    split: str | None = None
    positive: str | int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.path) == bool(self.train or self.test or self.valid) or bool(self.train) != bool(self.test):
            raise ConfigError(
                "data=table needs either data.path (one table) or both data.train and data.test (one for each part)."
            )

    def _labelled(self) -> LabelledSequences:
        columns: dict[str, Any] = {"sequence": self.sequence, "label": self.label, "id": self.id}
        if self.path:
            return read_table(self.path, **columns, split=self.split, **self._options)
        return read_table_splits(self.train or "", self.test or "", self.valid, **columns, **self._options)


@dataclass(kw_only=True)
class FastaClassesSource(Source):
    """Labelled sequences from one FASTA for each class.

    Args:
        classes: Name of the class to its file, files or glob.
        valid: The same for a validation part, where there is one.
        test: The same for a test part; without it all is split as `split` says.
        positive: The positive one of two classes; by default the one that the names tell, else the last.
    """

    has_proteins: ClassVar[bool] = True
    classes: Mapping[str, Paths]
    valid: Mapping[str, Paths] | None = None
    test: Mapping[str, Paths] | None = None
    positive: str | int | None = None

    def _labelled(self) -> LabelledSequences:
        if self.valid and not self.test:
            raise ConfigError("data.valid without data.test: name the files of a test part too, or of none.")
        parts = {"train": self.classes, "valid": self.valid, "test": self.test}
        wanted = sorted(map(str, self.classes))
        for name, classes in parts.items():
            if classes and (found := sorted(map(str, classes))) != wanted:
                raise DataError(f"data.{name} has the classes {found}, data.classes has {wanted}: name all.")
        paths = [one for classes in parts.values() if classes for one in classes.values()]
        check_distinct([file for one in paths for file in expand_paths(one)])
        read = {name: self._read(classes) for name, classes in parts.items() if classes}
        return read["train"] if len(read) == 1 else _joined(read)

    def _read(self, classes: Mapping[str, Paths]) -> LabelledSequences:
        return read_fasta_classes({str(name): paths for name, paths in classes.items()}, **self._options)


def _joined(parts: Mapping[str, LabelledSequences]) -> LabelledSequences:
    """Put parts that were read from files of their own together; an id that repeats begins with its part."""
    first = parts["train"]
    names = [name for name, part in parts.items() for _ in part.ids]
    return LabelledSequences(
        unique_ids([record for part in parts.values() for record in part.ids], names),
        [sequence for part in parts.values() for sequence in part.sequences],
        np.concatenate([part.labels for part in parts.values()]),
        first.classes,
        splits=np.repeat(list(parts), [len(part) for part in parts.values()]),
        files=[file for part in parts.values() for file in part.files],
        positive=first.positive,
        alphabet=first.alphabet,
    )


@dataclass(kw_only=True)
class GenBankPromoterSource(Source):
    """Windows around annotated start codons against windows inside genes (`gulmfit.seq.genome.genbank`).

    Args:
        path: GenBank file, plain or gz.
        upstream_bp: Bases before the start codon.
        downstream_bp: Bases from the start codon on.
        jitter_bp: Move every positive window by up to so many bases, at random.
        seed: Of the negatives and the jitter.
    """

    policies_of_genome_alone: ClassVar[bool] = True

    path: Paths
    upstream_bp: int = 100
    downstream_bp: int = 50
    jitter_bp: int = 0
    seed: int = 0

    def _labelled(self) -> LabelledSequences:
        names = ("upstream_bp", "downstream_bp", "jitter_bp", "seed")
        return promoter_windows(self.path, **{name: getattr(self, name) for name in names})


@dataclass(kw_only=True)
class SyntheticSource(Source):
    """A simulated bacterial genome and its promoter task (`gulmfit.seq.simulate.synthetic_task`). Nothing in it is
    real.

    Args:
        length_bp: Length of the genome; its last part is kept from the language model and holds validation and test.
        num_train: Labelled training sequences.
        num_valid: Labelled validation sequences.
        num_test: Labelled test sequences.
        seed: Of the simulation.
    """

    length_bp: int = 1_600_000
    num_train: int = 300
    num_valid: int = 100
    num_test: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        logger.info(
            "data: SIMULATED genome of %s bases and its promoters; nothing in it is real", f"{self.length_bp:,}"
        )
        names = ("length_bp", "num_train", "num_valid", "num_test", "seed")
        self._data = simulate(**{name: getattr(self, name) for name in names})

    def store(self, cache_dir: Path) -> GenomeStore:
        """Return the part of the simulated genome that the language model may learn."""
        names, sequences = zip(*self._data.corpus, strict=True)
        return GenomeStore.from_sequences(list(names), list(sequences))

    def _labelled(self) -> LabelledSequences:
        """Return the simulated task, already split by genome position."""
        return replace(self._data.labelled, files=[f"SIMULATED genome and promoters, seed {self.seed}"])
