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


def _kmers(sequences: Sequence[str], k: int, alphabet: Alphabet) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sequence and lexicographic number of every k-mer of known letters, both (L,)."""
    codes, rows, positions = _flatten(sequences, alphabet)
    usable = max(0, len(codes) - k + 1)
    ids = np.zeros(usable, dtype=np.int64)
    whole = positions[k - 1 :] >= k - 1  # the k-mer does not reach into the next sequence
    for offset in range(k):
        part = codes[offset : offset + usable]
        ids = ids * len(alphabet) + part
        whole &= part < len(alphabet)
    return rows[:usable][whole], ids[whole]


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
