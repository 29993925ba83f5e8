"""Nucleotide letters and base codes: A=0, C=1, G=2, T=3 and 4 for everything that is not one known base.

Shapes: L bases. Positions in messages are 0-based.
"""

import math

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError, SequenceError

Codes = npt.NDArray[np.uint8]

AMBIGUOUS: int = 4
NUCLEOTIDE_LETTERS = "ACGTURYSWKMBDHVN"

_INVALID = 255
_BASE_CODES = {"A": 0, "C": 1, "G": 2, "T": 3, "U": 3}
_CODE_LETTERS = b"ACGTN"


def _lookup_table(case: str) -> bytes:
    table = np.full(256, _INVALID, dtype=np.uint8)
    for letter in NUCLEOTIDE_LETTERS:
        code = _BASE_CODES.get(letter, AMBIGUOUS)
        table[ord(letter)] = code
        table[ord(letter.lower())] = AMBIGUOUS if case == "mask" else code
    return table.tobytes()


# bytes.translate does the look-up: numpy's own indexing would first widen every letter to eight bytes.
_ENCODE = {case: _lookup_table(case) for case in ("upper", "mask")}
_DECODE = _CODE_LETTERS.ljust(256, b"?")
_COMPLEMENT = str.maketrans("ACGTURYSWKMBDHVNacgturyswkmbdhvn", "TGCAAYRSWMKVHDBNtgcaayrswmkvhdbn")


def encode(sequence: bytes | str, *, case: str = "upper", where: str = "", start: int = 0) -> Codes:
    """Turn nucleotide letters into base codes; U counts as T.

    Args:
        sequence: L letters, each one of ACGTU or IUPAC RYSWKMBDHVN in either case.
        case: "upper" reads a lower-case letter like its capital; "mask" reads every lower-case letter as
            ambiguous (soft-masked repeats).
        where: what an error message begins with, for example "genome.fa, record 'chr7'".
        start: position of the first letter in its record, for messages, where a record comes in pieces.

    Returns:
        A new writable uint8 array (L,) of codes 0 to 4.

    Raises:
        ConfigError: if `case` is neither "upper" nor "mask".
        SequenceError: if a letter is outside the alphabet; names `where`, the position and the letter.
    """
    if case not in _ENCODE:
        raise ConfigError(f"case={case!r} is no case policy. Use 'upper' or 'mask'.")
    # A character that latin-1 lacks becomes '?', one for one: refused below at its own position.
    letters = bytearray(sequence, "latin-1", "replace") if isinstance(sequence, str) else bytearray(sequence)
    codes: Codes = np.frombuffer(letters.translate(_ENCODE[case]), dtype=np.uint8)
    if codes.size and codes.max() == _INVALID:
        position = int(np.argmax(codes == _INVALID))
        found = sequence[position]
        letter = found if isinstance(found, str) else chr(found)
        raise SequenceError(
            f"{where}{', ' if where else ''}position {start + position}: {letter!r} is not a nucleotide letter "
            "(ACGTU or IUPAC RYSWKMBDHVN). Correct or remove it."
        )
    return codes


def decode(codes: Codes) -> str:
    """Turn base codes (L,) into L upper-case letters; the ambiguous code becomes N.

    Raises:
        SequenceError: if a code is above 4.
    """
    _check_codes(codes)
    return codes.tobytes().translate(_DECODE).decode("ascii")


def reverse_complement(codes: Codes) -> Codes:
    """Read the base codes (L,) from the other strand; doing it twice gives the input back.

    Raises:
        SequenceError: if a code is above 4.
    """
    complement = np.uint8(3) - codes
    if complement.size and complement.max() > 3:  # a code above 3 has wrapped round; most sequences hold none
        _check_codes(codes)
        np.minimum(complement, AMBIGUOUS, out=complement)
    # Copied, since numpy is slow to calculate on what lies backwards.
    return complement[::-1].copy()


def reverse_complement_text(sequence: str) -> str:
    """Read letters from the other strand, IUPAC letters and case kept; U pairs with A, and A with T.

    Raises:
        SequenceError: if a letter is outside the alphabet of `encode`.
    """
    encode(sequence)
    return sequence.translate(_COMPLEMENT)[::-1]


def gc_content(codes: Codes) -> float:
    """Return the share of G and C among the unambiguous bases of codes (L,), in [0, 1]; nan where none is."""
    strong = np.count_nonzero((codes == 1) | (codes == 2))
    known = np.count_nonzero(codes < AMBIGUOUS)
    return strong / known if known else math.nan


def _check_codes(codes: Codes) -> None:
    if codes.size and codes.max() > AMBIGUOUS:
        position = int(np.argmax(codes > AMBIGUOUS))
        raise SequenceError(
            f"position {position}: {int(codes[position])} is no base code (0 A, 1 C, 2 G, 3 T, 4 ambiguous)."
        )
