"""What two sets of sequences share: the leak check that stands beside every reported score.

Shapes: L bases (or residues) of one run of codes, K = L - k + 1 windows of k of them, N sequences.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError
from gulmfit.seq.alphabet import DNA, Alphabet, Codes, encode, reverse_complement_text

NO_KMER = np.uint64(2**64 - 1)  # the longest k-mer fills 62 bits, so none has this code
NEAR_BASES, NEAR_RESIDUES = 16, 7  # the shortest k-mers that near-duplicates are recognised by
BY_CHANCE = 0.01  # largest share of a random sequence's k-mers that may occur in what it is compared with
_EXAMPLES = 5
_CHUNK = 1 << 17  # bases at a time: their k-mers stay in a processor's cache

Kmers = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]


def letter_bits(alphabet: Alphabet) -> int:
    """Return the bits that tell the known letters apart: 2 of nucleotides, 5 of amino acids."""
    return (len(alphabet) - 1).bit_length()


def max_k(alphabet: Alphabet = DNA) -> int:
    """Return the length of the longest k-mers that can be compared: 31 bases, 12 residues."""
    return 62 // letter_bits(alphabet)


def near_duplicate_k(alphabet: Alphabet = DNA, letters: int = 0) -> int:
    """Return the length of the k-mers that near-duplicates are recognised by.

    It grows with what sequences are compared with, or everything would be found there: half of all 16-mers occur in
    1.5 billion random bases. It is the smallest k of which less than `BY_CHANCE` of the k-mers occur by chance, and
    at least 16 (of amino acids 7): 16 up to 21 million bases, 20 for 3 billion.

    Args:
        alphabet: What the letters are.
        letters: How many there are in the training part or corpus.
    """
    k = NEAR_BASES if alphabet.complements else NEAR_RESIDUES
    while k < max_k(alphabet) and letters >= BY_CHANCE * distinct_kmers(k, alphabet):
        k += 1
    return k


def distinct_kmers(k: int, alphabet: Alphabet = DNA) -> float:
    """Return how many k-mers there are to tell apart: with two strands a k-mer is its reverse complement, too."""
    return math.pow(len(alphabet), k) / (2 if alphabet.complements else 1)


def canonical_kmers(codes: Codes, k: int, alphabet: Alphabet = DNA) -> Kmers:
    """Number every window of k letters so that both strands, where there are two, get the same number.

    The number of a k-mer is its letters as digits of 2 bits (of amino acids 5); the canonical one is the smaller of
    the k-mer's and of its reverse complement's.

    Args:
        codes: Codes (L,), the ambiguous one among them.
        k: Letters a window, 1 to 31 (of amino acids 12).
        alphabet: What the codes mean.

    Returns:
        Canonical numbers (K,), `NO_KMER` where the window holds an ambiguous base; empty when L < k.

    Raises:
        DataError: k is out of range.
    """
    _check_k(k, alphabet)
    if len(codes) < k:
        return np.empty(0, np.uint64)
    if alphabet.complements:
        kmers = np.minimum(*_both_strands(codes, k))
    else:
        kmers = _one_strand(codes, k, letter_bits(alphabet))
    if (ambiguous := codes == len(alphabet)).any():
        before = np.concatenate([[0], np.cumsum(ambiguous)])
        kmers[before[k:] != before[:-k]] = NO_KMER
    return kmers


def _check_k(k: int, alphabet: Alphabet) -> None:
    if not 1 <= k <= max_k(alphabet):
        raise DataError(f"k={k} cannot be used to compare {alphabet.name} sequences: allowed is 1 to {max_k(alphabet)}")


def _one_strand(codes: Codes, k: int, bits: int) -> Kmers:
    """Number every window (K,) of k letters of so many bits, into which the ambiguous one fits as well."""
    windows = len(codes) - k + 1
    kmers = np.zeros(windows, np.uint64)
    for first in range(k):
        kmers = (kmers << np.uint64(bits)) | codes[first : first + windows].astype(np.uint64)
    return kmers


def _both_strands(codes: Codes, k: int) -> tuple[Kmers, Kmers]:
    """Number every window (K,) of k bases, and its reverse complement, whatever an ambiguous base comes to.

    A window is two halves, numbered in the same way, and one more base where k is odd: some log2(k) steps.
    """
    if k == 1:
        digits = (codes & 3).astype(np.uint64)
        return digits, np.uint64(3) - digits
    half, windows = k // 2, len(codes) - k + 1
    bits, ahead = np.uint64(2 * half), slice(half, half + windows)
    left, left_reverse = _both_strands(codes, half)
    forward = (left[:windows] << bits) | left[ahead]
    reverse = (left_reverse[ahead] << bits) | left_reverse[:windows]
    if k % 2:
        digits = (codes[k - 1 :] & 3).astype(np.uint64)
        forward = (forward << np.uint64(2)) | digits
        reverse |= (np.uint64(3) - digits) << np.uint64(2 * k - 2)
    return forward, reverse


def kmers_by_sequence(
    sequences: Sequence[str], k: int, alphabet: Alphabet = DNA
) -> tuple[Kmers, npt.NDArray[np.int32]]:
    """List the canonical k-mers of all sequences with the index of the sequence each stands in.

    Takes about 15 bytes of memory a base: what is worked out on the way is worked out a piece at a time.

    Args:
        sequences: N sequences of IUPAC letters.
        k: Letters a k-mer, 1 to 31 (of amino acids 12).
        alphabet: What the letters are.

    Returns:
        The k-mers without an ambiguous base, in order of sequence and position, and their sequence indices.

    Raises:
        DataError: k is out of range.
        SequenceError: A sequence holds a letter outside the alphabet.
    """
    _check_k(k, alphabet)
    codes = _end_to_end(sequences, alphabet)
    ends = np.cumsum([len(sequence) + 1 for sequence in sequences])  # each with the letter behind it
    kmers, owners = np.empty(len(codes), np.uint64), np.empty(len(codes), np.int32)
    start = size = 0
    for here in _pieces(codes, k, alphabet):
        clear = np.flatnonzero(here != NO_KMER)
        kmers[size : size + len(clear)] = here[clear]
        owners[size : size + len(clear)] = np.searchsorted(ends, clear + start, side="right")
        start, size = start + len(here), size + len(clear)
    return kmers[:size], owners[:size]


def _end_to_end(sequences: Sequence[str], alphabet: Alphabet) -> Codes:
    """Encode sequences with one ambiguous letter between neighbours, which keeps a window from spanning two of them."""
    return encode(alphabet.unknown.join(sequences), alphabet=alphabet)


def stand_in(
    sequences: Sequence[str], codes: Codes, k: int | None = None, share: float = 0.5, alphabet: Alphabet = DNA
) -> Mask:
    """Mark the sequences most of which can be found in a stretch of bases, such as a genome.

    The bases are read once, a piece at a time, so that memory grows with the sequences alone: about 30 bytes for
    each of their bases.

    Args:
        sequences: N sequences of IUPAC letters.
        codes: Base codes (L,), which may be a memory map. Where contigs lie end to end, the windows across two of
            them count as well: fewer than k at each joint.
        k: Letters a k-mer, 1 to 31 (of amino acids 12); by default as `near_duplicate_k` says for L letters. A
            sequence shorter than k has no k-mer.
        share: Least fraction of a sequence's k-mers that must occur in the bases, on either strand; above 0 and up
            to 1. k-mers with an ambiguous base count for nothing.
        alphabet: What letters and codes are.

    Returns:
        Whether each sequence stands there (N,); never one without a k-mer.

    Raises:
        DataError: k or share is out of range.
        SequenceError: A sequence holds a letter outside the IUPAC alphabet.
    """
    if not 0 < share <= 1:
        raise DataError(f"share={share} is not a fraction of k-mers: allowed is above 0 and up to 1")
    k = near_duplicate_k(alphabet, len(codes)) if k is None else k
    kmers, owners = kmers_by_sequence(sequences, k, alphabet)
    order = np.argsort(kmers)
    kmers = kmers[order]
    owners = owners[order]
    del order
    seen = _seen(kmers, codes, k, alphabet)
    total = np.bincount(owners, minlength=len(sequences))
    found = np.bincount(owners[seen], minlength=len(sequences))
    return (total > 0) & (found >= share * total)


def find_overlaps(
    train_sequences: Sequence[str],
    test_sequences: Sequence[str],
    k: int | None = None,
    share: float = 0.5,
    alphabet: Alphabet = DNA,
) -> dict[str, Mask]:
    """Mark the test sequences (N,) that a model may have met in training.

    The kinds are `exact` (the same letters), `reverse_complement` (the same letters on the other strand, where there
    is one) and `near_duplicate` (as `stand_in` says; copies are near-duplicates too where they hold a k-mer).

    Args:
        train_sequences: Upper-case sequences that were trained on.
        test_sequences: Upper-case sequences that are scored.
        k, share, alphabet: As in `stand_in`.

    Raises:
        DataError: k or share is out of range.
        SequenceError: A sequence holds a letter outside the alphabet.
    """
    known = set(train_sequences)
    kinds = {"exact": np.array([sequence in known for sequence in test_sequences], np.bool_)}
    if alphabet.complements:
        twins = [reverse_complement_text(sequence, alphabet) in known for sequence in test_sequences]
        kinds["reverse_complement"] = np.array(twins, np.bool_)
    train = _end_to_end(train_sequences, alphabet)
    return {**kinds, "near_duplicate": stand_in(test_sequences, train, k, share, alphabet)}


def count_marked(marked: Mask, names: Sequence[Any]) -> dict[str, Any]:
    """Return how many are marked (N,), which `fraction` of all that is, and the names of the first five of them."""
    return {
        "count": int(marked.sum()),
        "fraction": float(marked.mean()),
        "examples": [names[index] for index in np.flatnonzero(marked)[:_EXAMPLES].tolist()],
    }


def _seen(wanted: Kmers, codes: Codes, k: int, alphabet: Alphabet) -> Mask:
    """Mark the k-mers, in ascending order, that occur in a stretch of bases (L,) on either strand."""
    found = np.zeros(len(wanted), np.bool_)
    if not len(wanted):
        return found
    # Most k-mers of a genome are not wanted; their last bases tell for nearly all of them, at a tenth of the cost.
    bits = min(27, max(12, len(wanted).bit_length() + 3))
    last = np.uint64((1 << bits) - 1)
    possible = np.zeros(1 << bits, np.bool_)
    for start in range(0, len(wanted), _CHUNK):
        possible[wanted[start : start + _CHUNK] & last] = True
    for here in _pieces(codes, k, alphabet):
        likely = here[possible[here & last]]
        index = np.minimum(np.searchsorted(wanted, likely), len(wanted) - 1)
        found[index[wanted[index] == likely]] = True
    del possible
    # Of equal ones the first was marked; the others follow it.
    for start in range(1, len(wanted), _CHUNK):
        here = wanted[start - 1 : start + _CHUNK]
        repeated = np.flatnonzero(here[1:] == here[:-1]) + start
        found[repeated] = found[np.searchsorted(wanted, wanted[repeated])]
    return found


def _pieces(codes: Codes, k: int, alphabet: Alphabet) -> Iterator[Kmers]:
    """Yield the canonical k-mers of bases (L,), a piece of them at a time, `NO_KMER` among them."""
    for start in range(0, max(0, len(codes) - k + 1), _CHUNK):
        yield canonical_kmers(np.asarray(codes[start : start + _CHUNK + k - 1]), k, alphabet)
