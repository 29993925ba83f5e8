"""Proteins and the codons of their genes, from GenBank files or coding sequences."""

import logging
from dataclasses import dataclass
from typing import ClassVar

from gulmfit.data.sources.base import Paths, Source
from gulmfit.errors import ConfigError
from gulmfit.seq.alphabet import PROTEIN
from gulmfit.seq.duplicates import unique_ids
from gulmfit.seq.formats.fasta import expand_paths
from gulmfit.seq.genome.coding_sequences import read_coding_sequences, told
from gulmfit.seq.genome.genetic_code import genetic_code
from gulmfit.seq.labels.codon_labels import CODON_LABELS, CodonClasses, Codons, codon_classes
from gulmfit.seq.labels.labelled import LabelledSequences

logger = logging.getLogger(__name__)

TOO_LONG = "longer than data.max_residues"


@dataclass(kw_only=True)
class CodonSource(Source):
    """Proteins, each residue with its codon as label; a stop codon is the residue "*" at the end.

    Args:
        path: GenBank files or FASTA of coding sequences, plain or gzip: one, several, or a glob.
        genetic_code: What codons mean, by NCBI's number: 11 bacteria, 1 the standard code.
        max_residues: Longer proteins are left out and counted: labels of all are held as wide as the longest.
        alphabet: `protein`.
        stranded: A protein has one strand.

    Attributes:
        left_out: How many coding sequences were left out, by reason.

    Raises:
        ConfigError: There is no such genetic code, or the alphabet is another.
    """

    has_proteins: ClassVar[bool] = True
    targets: ClassVar[str] = CODON_LABELS
    needs_path: ClassVar[str] = "a GenBank file or a FASTA of coding sequences, such as genome.gbff.gz or cds.fa"
    path: Paths = ""
    genetic_code: int = 11
    max_residues: int = 10_000
    alphabet: str = PROTEIN.name
    stranded: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alphabet != PROTEIN.name:
            raise ConfigError(f"data.alphabet={self.alphabet}: codons are chosen for proteins; set alphabet=protein.")
        if self.max_residues < 1:
            raise ConfigError(f"data.max_residues={self.max_residues}: 1 or more is needed.")
        self._code = genetic_code(self.genetic_code)
        self.left_out: dict[str, int] = {}

    def _labelled(self) -> LabelledSequences:
        found, reasons = read_coding_sequences(self.path, self._code)
        kept = [one for one in found if len(one.protein) <= self.max_residues]
        if len(kept) < len(found):
            reasons[TOO_LONG] = len(found) - len(kept)
        self.left_out = reasons
        files = [str(file) for file in expand_paths(self.path)]
        logger.info(
            "%s: %d coding sequences, genetic code %d (%s); left out: %s",
            ", ".join(files), len(kept), self._code.number, self._code.name, told(reasons) or "none",
        )  # fmt: skip
        classes = CodonClasses(codon_classes(self._code))
        return LabelledSequences(
            unique_ids([one.id for one in kept], [""] * len(kept)),
            [one.protein for one in kept],
            Codons().array([classes.labels(one.protein, one.bases) for one in kept]),
            classes.names,
            files=files,
            targets=self.targets,
            alphabet=PROTEIN,
        )
