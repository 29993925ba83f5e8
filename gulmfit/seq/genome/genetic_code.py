"""Genetic codes: which codons start, which stop, and what the others mean.

A codon is a number, 16 a + 4 b + c for the base codes a, b and c; `AMBIGUOUS_CODON` stands for one with another letter.
Shape letters: `L` bases.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from Bio.Data import CodonTable

from gulmfit.errors import ConfigError
from gulmfit.seq.alphabet import AMBIGUOUS, DNA, Codes

CODONS = tuple(a + b + c for a in DNA.letters for b in DNA.letters for c in DNA.letters)
AMBIGUOUS_CODON = len(CODONS)
GENETIC_CODES: tuple[int, ...] = tuple(sorted(CodonTable.unambiguous_dna_by_id))
"""Numbers of NCBI's tables."""

Bools = npt.NDArray[np.bool_]


class GeneticCode(NamedTuple):
    """One of NCBI's tables.

    Attributes:
        number: Its number there.
        name: Its name there.
        residues: The residue of each codon, "*" for a stop, and X for an ambiguous codon (65).
        is_start: Whether each codon can start (65).
        is_stop: Whether each codon stops (65).
    """

    number: int
    name: str
    residues: bytes
    is_start: Bools
    is_stop: Bools

    def translate(self, codes: Codes) -> str:
        """Translate whole codons (L,), a stop as "*"; the first, if it can start, as M."""
        codons = codon_numbers(codes)[::3]
        text = np.frombuffer(self.residues, np.uint8)[codons].tobytes().decode("ascii")
        return "M" + text[1:] if len(codons) and self.is_start[codons[0]] else text


@cache
def genetic_code(number: int) -> GeneticCode:
    """Return one of NCBI's genetic codes.

    A codon that both stops and codes, as in codes 27, 28 and 31, counts as a stop.

    Raises:
        ConfigError: There is no code of this number.

    Source: https://www.ncbi.nlm.nih.gov/Taxonomy/Utils/wprintgc.cgi, as Biopython has it.
    """
    if number not in GENETIC_CODES:
        raise ConfigError(
            f"genetic code {number}: there is none of this number; NCBI has {', '.join(map(str, GENETIC_CODES))} (1 is "
            "the standard one, 11 that of bacteria, 4 that of Mycoplasma, 3 that of the mitochondria of yeast)"
        )
    table = CodonTable.unambiguous_dna_by_id[number]
    is_stop = np.array([codon in table.stop_codons for codon in CODONS] + [False])
    residues = "".join("*" if codon in table.stop_codons else table.forward_table[codon] for codon in CODONS) + "X"
    is_start = np.array([codon in table.start_codons for codon in CODONS] + [False]) & ~is_stop
    return GeneticCode(number, str(table.names[0]), residues.encode("ascii"), is_start, is_stop)


def stop_codons(number: int) -> list[str]:
    """List the stop codons of a genetic code.

    Raises:
        ConfigError: There is no code of this number.
    """
    return [codon for codon, stops in zip(CODONS, genetic_code(number).is_stop, strict=False) if stops]


def codon_numbers(codes: Codes) -> npt.NDArray[np.uint8]:
    """Number the codons that begin at each base of codes (L,), in every frame: (L - 2,)."""
    first, second, third = codes[:-2], codes[1:-1], codes[2:]
    numbers = (first << 4) + (second << 2) + third
    return np.where(np.maximum(np.maximum(first, second), third) < AMBIGUOUS, numbers, np.uint8(AMBIGUOUS_CODON))
