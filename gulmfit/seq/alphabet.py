"""Letters, how they are read, and their codes: a base (or an amino acid) is its place in the alphabet, and what is not
one known letter has the next code after them. DNA: A=0, C=1, G=2, T=3 and 4 for everything ambiguous.

Shapes: L bases. Positions in messages are 0-based.
"""

import difflib
import logging
import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError, SequenceError

_log = logging.getLogger(__name__)

Codes = npt.NDArray[np.uint8]

_INVALID = 255
CASES = ("upper", "mask")
AMBIGUITIES = ("split", "unk", "error")
_DNA_LETTERS = b"ACGTUN"


@dataclass(frozen=True)
class Alphabet:
    """Which letters there are, and what they mean.

    Args:
        name: By which a configuration calls it.
        letters: The known letters in the order of their codes; in an alphabet with complements the first pairs with
            the last, the second with the last but one.
        ambiguous: Letters that are allowed and stand for no single known one.
        unknown: The letter that an ambiguous code is written as.
        allowed: What messages say of the letters.
        synonym: A letter, and the known letter that it is read as; empty if there is none.
        complements: For every letter of `every_letter` the one on the other strand; empty where there is no other
            strand.
        unit: What messages call a letter.
    """

    name: str
    letters: str
    ambiguous: str
    unknown: str
    allowed: str
    synonym: str = ""
    complements: str = ""
    unit: str = "base"

    def __len__(self) -> int:
        """Return the number of known letters, which is also the code of an ambiguous one."""
        return len(self.letters)

    @property
    def every_letter(self) -> str:
        """Every allowed letter, as a capital: known letters, a synonym, ambiguous ones."""
        return self.letters + self.synonym[:1] + self.ambiguous

    @cached_property
    def encode_tables(self) -> dict[str, bytes]:
        """For every case policy the code of each byte.

        `bytes.translate` does the look-up: numpy's own indexing would first widen every letter to eight bytes.
        """
        codes = {letter: code for code, letter in enumerate(self.letters)}
        if self.synonym:
            codes[self.synonym[0]] = codes[self.synonym[1]]
        tables = {}
        for case in CASES:
            table = np.full(256, _INVALID, dtype=np.uint8)
            for letter in self.every_letter:
                code = codes.get(letter, len(self))
                table[ord(letter.lower())] = len(self) if case == "mask" else code
                table[ord(letter)] = code
            tables[case] = table.tobytes()
        return tables

    @cached_property
    def decode_table(self) -> bytes:
        """The letter of each code, for `bytes.translate`."""
        return (self.letters + self.unknown).encode("ascii").ljust(256, b"?")

    @cached_property
    def complement_table(self) -> dict[int, int]:
        """The complement of each letter, in either case, for `str.translate`."""
        letters = self.every_letter
        return str.maketrans(letters + letters.lower(), self.complements + self.complements.lower())

    @property
    def bits(self) -> float:
        """Bits that a letter needs where nothing is known of it: 2 of nucleotides, 4.32 of amino acids."""
        return math.log2(len(self))

    def strands(self, asked: str) -> str:
        """Return which strands are read: those asked for, and of an alphabet without complements the one there is."""
        return asked if self.complements else "forward"

    def check_strands(self) -> None:
        """Raise SequenceError if there is no other strand."""
        if not self.complements:
            raise SequenceError(
                f"a {self.name} sequence has no reverse complement. Read it as it is: strand=forward, "
                "reverse_complement_p=0."
            )


_NUCLEOTIDES = "ACGTU or IUPAC RYSWKMBDHVN"
DNA = Alphabet("dna", "ACGT", "RYSWKMBDHVN", "N", _NUCLEOTIDES, "UT", "TGCAAYRSWMKVHDBN")
RNA = Alphabet("rna", "ACGU", "RYSWKMBDHVN", "N", _NUCLEOTIDES, "TU", "UGCAAYRSWMKVHDBN")
PROTEIN = Alphabet("protein", "ACDEFGHIKLMNPQRSTVWY", "BZXJUO*", "X", "ACDEFGHIKLMNPQRSTVWY or BZXJUO*", unit="residue")
ALPHABETS = {alphabet.name: alphabet for alphabet in (DNA, RNA, PROTEIN)}

AMBIGUOUS: int = len(DNA)
NUCLEOTIDE_LETTERS = DNA.every_letter


def alphabet_named(name: str) -> Alphabet:
    """Return the alphabet of a name; raise ConfigError if there is none."""
    if name not in ALPHABETS:
        near = difflib.get_close_matches(str(name), ALPHABETS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"alphabet={name!r} is unknown; choose one of {', '.join(ALPHABETS)}.{hint}")
    return ALPHABETS[name]


def held_alphabet(name: str) -> Alphabet:
    """Return the alphabet that sequences of a named one are kept in: of RNA that of DNA, whose codes are the same."""
    alphabet = alphabet_named(name)
    return DNA if alphabet == RNA else alphabet


def encode(
    sequence: bytes | str, *, case: str = "upper", where: str = "", start: int = 0, alphabet: Alphabet = DNA
) -> Codes:
    """Turn letters into codes; in DNA U counts as T.

    Args:
        sequence: L letters, each one of the alphabet in either case.
        case: "upper" reads a lower-case letter like its capital; "mask" reads every lower-case letter as
            ambiguous (soft-masked repeats).
        where: what an error message begins with, for example "genome.fa, record 'chr7'".
        start: position of the first letter in its record, for messages, where a record comes in pieces.
        alphabet: which letters there are.

    Returns:
        A new writable uint8 array (L,) of codes, 0 to the size of the alphabet.

    Raises:
        ConfigError: if `case` is neither "upper" nor "mask".
        SequenceError: if a letter is outside the alphabet; names `where`, the position and the letter.
    """
    if case not in CASES:
        raise ConfigError(f"case={case!r} is not a case policy. Use 'upper' or 'mask'.")
    # A character that latin-1 lacks becomes '?', one for one: refused below at its own position.
    letters = bytearray(sequence, "latin-1", "replace") if isinstance(sequence, str) else bytearray(sequence)
    codes: Codes = np.frombuffer(letters.translate(alphabet.encode_tables[case]), dtype=np.uint8)
    if codes.size and codes.max() == _INVALID:
        position = int(np.argmax(codes == _INVALID))
        found = sequence[position]
        letter = found if isinstance(found, str) else chr(found)
        kind = "a nucleotide" if alphabet.complements else "an amino-acid"
        protein = alphabet.complements and letter.upper() in PROTEIN.every_letter
        raise SequenceError(
            f"{where}{', ' if where else ''}position {start + position}: {letter!r} is not {kind} letter "
            f"({alphabet.allowed}). Correct or remove it{', or for proteins give alphabet=protein' if protein else ''}."
        )
    return codes


class Letters(NamedTuple):
    """The policies of letters; those of models that do not say are the defaults."""

    case: str = "upper"
    """`upper` reads lower-case letters like capitals, `mask` as ambiguous ones."""
    ambiguity: str = "split"
    """What ambiguous letters do: `split` cuts a genome there, `unk` reads them as unknown, `error` refuses them. A
    sequence cannot be cut: `split` reads it as `unk` does."""

    def checked(self) -> "Letters":
        """Return the policies.

        Raises:
            ConfigError: If one is unknown.
        """
        for name, value, known in (("case", self.case, CASES), ("ambiguity", self.ambiguity, AMBIGUITIES)):
            if value not in known:
                raise ConfigError(f"{name}={value!r} is not a policy of letters; choose one of {', '.join(known)}.")
        return self

    def asked(self, case: str = "", ambiguity: str = "") -> "Letters":
        """Return these policies, or others where they are asked for, which the log then says.

        Raises:
            ConfigError: If a policy is unknown.
        """
        chosen = Letters(case or self.case, ambiguity or self.ambiguity).checked()
        for name, own, other in zip(self._fields, self, chosen, strict=True):
            if own != other:
                _log.warning("%s=%s is asked for, and the model has learned with data.%s=%s", name, other, name, own)
        return chosen

    def compared(self, theirs: "Letters", source: str) -> None:
        """Say in the log where a model that this one starts from reads letters in another way."""
        for name, own, other in zip(self._fields, self, theirs, strict=True):
            if own != other:
                _log.warning("%s has learned with data.%s=%s, and this run has %s", source, name, other, own)

    def encode(self, sequence: str, where: str, alphabet: Alphabet = DNA) -> Codes:
        """Turn letters into codes under these policies.

        Raises:
            SequenceError: If a letter is outside the alphabet, or ambiguous where that is refused.
        """
        codes = encode(sequence, case=self.case, where=where, alphabet=alphabet)
        return self.accepted(codes, where, alphabet, sequence)

    def accepted(self, codes: Codes, where: str, alphabet: Alphabet = DNA, sequence: str = "") -> Codes:
        """Return codes that were read under the same `case`, none of them ambiguous where that is refused."""
        if self.ambiguity == "error" and codes.size and codes.max() == len(alphabet):
            position = int(codes.argmax())
            letter = sequence[position] if sequence else alphabet.unknown
            raise SequenceError(
                f"{where}, position {position}: {letter!r} is ambiguous ({alphabet.unknown}, another IUPAC letter, or "
                "a lower-case one under case=mask), and ambiguity=error (asked for, or learned by the model) refuses "
                "it. Leave the sequence out, or give ambiguity=unk (in training set data.ambiguity=unk to read them as "
                "unknown)."
            )
        return codes


DEFAULT = Letters()


class LetterCounts:
    """Counts of sequences, one after the other.

    Args:
        alphabet: What the sequences are to be written in.
        case: How they are read (`gulmfit.seq.alphabet`).
    """

    def __init__(self, alphabet: Alphabet, case: str = "upper") -> None:
        self.records = 0
        self._case = case
        self._known = (alphabet.letters + alphabet.synonym[:1]).encode("ascii")
        self._blank = 0
        self._like_dna = not alphabet.complements

    def add(self, sequence: str) -> None:
        """Take the letters of a sequence into account."""
        self.records += 1
        text = sequence.encode("ascii", "replace")
        if self._case == "upper":
            text = text.upper()
        self._blank += not text.translate(None, text.translate(None, self._known))
        self._like_dna = self._like_dna and not text.translate(None, _DNA_LETTERS)

    def warn(self, source: str) -> None:
        """Warn of what was found, naming `source`."""
        if self._blank:
            _log.warning(
                "%s: %d of %d records hold no known letter, only ambiguous ones such as N: what is said of them is "
                "said of nothing",
                source, self._blank, self.records,
            )  # fmt: skip
        if self._like_dna and self.records:
            _log.warning(
                "%s: all letters of all %d records are among ACGTUN, which is DNA, and they are read as proteins. If "
                "they are DNA, give proteins, or a model of DNA",
                source, self.records,
            )  # fmt: skip


def clean_sequence(
    text: str, where: str, *, case: str = "upper", ambiguity: str = "unk", alphabet: str = DNA.name
) -> str:
    """Return a sequence in upper case; of nucleotides with T for U.

    Args:
        text: Letters in either case.
        where: What messages begin with: "train.csv, line 7".
        case: "upper" reads lower-case (soft-masked) letters like capitals, "mask" turns them into N (in a protein X).
        ambiguity: "error" refuses N and the other letters that are not one known base; "unk" and "split" both
            keep them, because a labelled sequence cannot be cut.
        alphabet: Name of the letters: dna, rna or protein.

    Raises:
        ConfigError: `case` or `ambiguity` is not a policy, or the alphabet is unknown.
        SequenceError: The sequence is empty, holds a letter outside the alphabet, or an ambiguous one where they are
            refused; the message starts at `where` and gives the 0-based position.
    """
    policy, letters = Letters(case, ambiguity).checked(), held_alphabet(alphabet)
    if not text:
        raise SequenceError(f"{where}: empty sequence; every record needs at least one {letters.unit}")
    policy.encode(text, where, letters)
    if case == "mask":
        text = re.sub("[a-z]", letters.unknown, text)
    text = text.upper()
    return text.replace(letters.synonym[0], letters.synonym[1]) if letters.synonym else text


def decode(codes: Codes, alphabet: Alphabet = DNA) -> str:
    """Turn codes (L,) into L upper-case letters; the ambiguous code becomes N (in a protein X).

    Raises:
        SequenceError: if a code is above the ambiguous one.
    """
    _check_codes(codes, alphabet)
    return codes.tobytes().translate(alphabet.decode_table).decode("ascii")


def reverse_complement(codes: Codes, alphabet: Alphabet = DNA) -> Codes:
    """Read the codes (L,) from the other strand; doing it twice gives the input back.

    Raises:
        SequenceError: if a code is above the ambiguous one, or the alphabet has no other strand.
    """
    alphabet.check_strands()
    last = len(alphabet) - 1
    complement = np.uint8(last) - codes
    if complement.size and complement.max() > last:  # a greater code has wrapped round; most sequences hold none
        _check_codes(codes, alphabet)
        np.minimum(complement, len(alphabet), out=complement)
    # Copied, since numpy is slow to calculate on what lies backwards.
    return complement[::-1].copy()


def reverse_complement_text(sequence: str, alphabet: Alphabet = DNA) -> str:
    """Read letters from the other strand, IUPAC letters and case kept; U pairs with A, and A with T (in RNA with U).

    Raises:
        SequenceError: if a letter is outside the alphabet of `encode`, or the alphabet has no other strand.
    """
    alphabet.check_strands()
    encode(sequence, alphabet=alphabet)
    return sequence.translate(alphabet.complement_table)[::-1]


def gc_content(codes: Codes) -> float:
    """Return the share of G and C among the unambiguous bases of nucleotide codes (L,), in [0, 1]; nan if none is."""
    strong = np.count_nonzero((codes == 1) | (codes == 2))
    known = np.count_nonzero(codes < AMBIGUOUS)
    return strong / known if known else math.nan


def _check_codes(codes: Codes, alphabet: Alphabet) -> None:
    if codes.size and codes.max() > len(alphabet):
        position = int(np.argmax(codes > len(alphabet)))
        known = ", ".join(f"{code} {letter}" for code, letter in enumerate(alphabet.letters))
        raise SequenceError(
            f"position {position}: {int(codes[position])} is not a {alphabet.unit} code ({known}, {len(alphabet)} "
            "ambiguous)."
        )
