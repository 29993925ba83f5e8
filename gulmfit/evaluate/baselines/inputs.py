"""What the baselines see of a sequence: its length, its composition, and its letters position by position.

Shapes: `N` sequences, `L` letters of all of them together, `A` letters of the alphabet, `P` positions.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gulmfit.seq.alphabet import DNA, Alphabet, encode

KMER, WORD = 4, 8  # bases: there are 256 and 65,536
RESIDUES_OF_KMER, RESIDUES_OF_WORD = 2, 4  # there are 400 and 160,000

Floats = NDArray[np.float64]


def kmer_length(alphabet: Alphabet = DNA) -> int:
    """Return the length of the k-mers whose frequencies are a baseline."""
    return KMER if alphabet.complements else RESIDUES_OF_KMER


def word_length(alphabet: Alphabet = DNA) -> int:
    """Return the length of the words of naive Bayes."""
    return WORD if alphabet.complements else RESIDUES_OF_WORD


def length_features(sequences: Sequence[str]) -> Floats:
    """Give (N, 2): length in letters and its logarithm; an empty sequence counts as one letter."""
    lengths = np.array([max(1, len(text)) for text in sequences], dtype=np.float64)
    return np.stack([lengths, np.log(lengths)], axis=1)


def gc_features(sequences: Sequence[str]) -> Floats:
    """Give (N, 2): GC content over unambiguous bases and its square; 0.5 where there is no such base."""
    codes, rows, _ = _flatten(sequences, DNA)
    known = codes < len(DNA)
    bases = np.bincount(rows[known], minlength=len(sequences))
    strong = np.bincount(rows[(codes == 1) | (codes == 2)], minlength=len(sequences))
    content = np.divide(strong, bases, out=np.full(len(sequences), 0.5), where=bases > 0)
    return np.stack([content, content**2], axis=1)


def kmer_features(sequences: Sequence[str], k: int = KMER, alphabet: Alphabet = DNA) -> Floats:
    """Give (N, A^k) frequencies of overlapping k-mers, lexicographic; unknown letters break a k-mer."""
    rows, ids = _kmers(sequences, k, alphabet)
    size = len(alphabet) ** k
    counts = np.bincount(rows * size + ids, minlength=len(sequences) * size).reshape(len(sequences), size)
    frequencies: Floats = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return frequencies


def word_features(sequences: Sequence[str], k: int, alphabet: Alphabet = DNA) -> Any:
    """Give a sparse (N, A^k) matrix with 1 where a sequence holds a k-mer, however often; unknown letters break one."""
    from scipy.sparse import csr_matrix

    rows, ids = _kmers(sequences, k, alphabet)
    size = len(alphabet) ** k
    cells = np.unique(rows * size + ids)
    return csr_matrix((np.ones(len(cells)), (cells // size, cells % size)), shape=(len(sequences), size))


def spectrum_features(sequences: Sequence[str], k: int, canonical: bool, alphabet: Alphabet = DNA) -> Any:
    """Give a sparse (N, A^k) matrix of counts of k-mers, damped and of unit length in each row.

    Args:
        sequences: Text; unknown letters break a k-mer.
        k: Letters of a k-mer.
        canonical: Whether a k-mer counts as the first, in the alphabet, of itself and its reverse complement.
        alphabet: What the letters are.
    """
    rows, ids = _kmers(sequences, k, alphabet)
    if canonical:
        ids = np.minimum(ids, _other_strand(ids, k, alphabet))
    return _damped(rows, ids, len(sequences), len(alphabet) ** k)


def gapped_features(sequences: Sequence[str], half: int, gaps: int, canonical: bool, alphabet: Alphabet = DNA) -> Any:
    """Give a sparse (N, gaps * A^(2 half)) matrix of counts of pairs of words, damped and of unit length in each row.

    Args:
        sequences: Text; unknown letters break a word, and may stand in a gap.
        half: Letters of each word of a pair.
        gaps: There are 0 to `gaps` - 1 letters between the words.
        canonical: Whether a pair counts as the first of itself and its reverse complement.
        alphabet: What the letters are.
    """
    words = len(alphabet) ** half
    rows, ids, starts = _kmer_places(sequences, half, alphabet)
    other = _other_strand(ids, half, alphabet) if canonical else ids
    at = np.full(int(starts.max(initial=-1)) + 1 + half + gaps, -1)
    at[starts] = np.arange(len(starts))
    found = []
    for gap in range(gaps):
        second = at[starts + half + gap]
        first = np.flatnonzero((second >= 0) & (rows[second] == rows))
        second = second[first]
        pairs = ids[first] * words + ids[second]
        if canonical:
            pairs = np.minimum(pairs, other[second] * words + other[first])
        found.append((rows[first], gap * words**2 + pairs))
    all_rows, columns = (np.concatenate(part) for part in zip(*found, strict=True))
    return _damped(all_rows, columns, len(sequences), gaps * words**2)


def _other_strand(ids: NDArray[np.int64], k: int, alphabet: Alphabet) -> NDArray[np.int64]:
    """Lexicographic numbers of the reverse complements of k-mers; letters pair first with last."""
    letters, found = len(alphabet), np.zeros_like(ids)
    for _ in range(k):
        ids, last = np.divmod(ids, letters)
        found = found * letters + (letters - 1 - last)
    return found


def _damped(rows: NDArray[np.int64], columns: NDArray[np.int64], count: int, width: int) -> Any:
    """Count (row, column) pairs, take log(1 + count), and give each row unit length, however long its sequence."""
    from scipy.sparse import csr_matrix

    cells, counts = np.unique(rows * width + columns, return_counts=True)
    rows, damped = cells // width, np.log1p(counts)
    lengths = np.sqrt(np.bincount(rows, damped**2, minlength=count))
    return csr_matrix((damped / lengths[rows], (rows, cells % width)), shape=(count, width))


def onehot_features(sequences: Sequence[str], width: int, alphabet: Alphabet = DNA) -> Any:
    """Give a sparse (N, A * width) one-hot matrix by position; 0 at unknown letters and past the end."""
    from scipy.sparse import csr_matrix

    letters = len(alphabet)
    codes, rows, positions = _flatten(sequences, alphabet)
    kept = (codes < letters) & (positions < width)
    columns = positions[kept] * letters + codes[kept]
    return csr_matrix((np.ones(len(columns)), (rows[kept], columns)), shape=(len(sequences), letters * width))


def positional_features(sequences: Sequence[str], width: int, alphabet: Alphabet = DNA) -> NDArray[np.uint8]:
    """Give the codes (N, P) of the first `width` positions; A at unknown letters and past the end."""
    codes, rows, positions = _flatten(sequences, alphabet)
    kept = positions < width
    table = np.full((len(sequences), width), len(alphabet), dtype=np.uint8)
    table[rows[kept], positions[kept]] = codes[kept]
    return table


def letter_features(sequences: Sequence[str], width: int, alphabet: Alphabet = DNA) -> NDArray[np.uint8]:
    """Give the codes (N, P) of the first `width` positions; A at unknown letters and A + 1 past the end."""
    found = positional_features(sequences, width, alphabet)
    lengths = np.array([len(text) for text in sequences])
    found[np.arange(width) >= lengths[:, None]] = len(alphabet) + 1
    return found


def _kmers(sequences: Sequence[str], k: int, alphabet: Alphabet) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sequence and lexicographic number of every k-mer of known letters, both (L,)."""
    return _kmer_places(sequences, k, alphabet)[:2]


def _kmer_places(
    sequences: Sequence[str], k: int, alphabet: Alphabet
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Sequence, lexicographic number and start among all letters of every k-mer of known letters: three (L,)."""
    codes, rows, positions = _flatten(sequences, alphabet)
    usable = max(0, len(codes) - k + 1)
    ids = np.zeros(usable, dtype=np.int64)
    whole = positions[k - 1 :] >= k - 1  # the k-mer does not reach into the next sequence
    for offset in range(k):
        part = codes[offset : offset + usable]
        ids = ids * len(alphabet) + part
        whole &= part < len(alphabet)
    return rows[:usable][whole], ids[whole], np.flatnonzero(whole)


def _flatten(
    sequences: Sequence[str], alphabet: Alphabet
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Codes of all sequences end to end, with the sequence and the position of each letter: three (L,)."""
    parts = [encode(text, where=f"sequence {index}", alphabet=alphabet) for index, text in enumerate(sequences)]
    lengths = np.array([len(part) for part in parts], dtype=np.int64)
    codes = np.concatenate([*parts, np.zeros(0, dtype=np.uint8)]).astype(np.int64)
    rows = np.repeat(np.arange(len(parts)), lengths)
    starts = np.cumsum(lengths) - lengths
    return codes, rows, np.arange(len(codes)) - starts[rows]
