"""What the baselines see of a sequence: its length, its composition, and its bases position by position.

Shapes: `N` sequences, `L` bases of all of them together, `P` positions.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gulmfit.seq.alphabet import AMBIGUOUS, encode

KMER = 4

Floats = NDArray[np.float64]


def length_features(sequences: Sequence[str]) -> Floats:
    """Give (N, 2): length in bases and its logarithm; an empty sequence counts as one base."""
    lengths = np.array([max(1, len(text)) for text in sequences], dtype=np.float64)
    return np.stack([lengths, np.log(lengths)], axis=1)


def gc_features(sequences: Sequence[str]) -> Floats:
    """Give (N, 2): GC content over unambiguous bases and its square; 0.5 where there is no such base."""
    codes, rows, _ = _flatten(sequences)
    known = codes < AMBIGUOUS
    bases = np.bincount(rows[known], minlength=len(sequences))
    strong = np.bincount(rows[(codes == 1) | (codes == 2)], minlength=len(sequences))
    content = np.divide(strong, bases, out=np.full(len(sequences), 0.5), where=bases > 0)
    return np.stack([content, content**2], axis=1)


def dinucleotide_features(sequences: Sequence[str]) -> Floats:
    """Give (N, 16) frequencies of overlapping dinucleotides; see `kmer_features`."""
    return kmer_features(sequences, 2)


def kmer_features(sequences: Sequence[str], k: int = KMER) -> Floats:
    """Give (N, 4^k) frequencies of overlapping k-mers, lexicographic; unknown bases break a k-mer."""
    rows, ids = _kmers(sequences, k)
    counts = np.bincount(rows * 4**k + ids, minlength=len(sequences) * 4**k).reshape(len(sequences), 4**k)
    frequencies: Floats = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return frequencies


def word_features(sequences: Sequence[str], k: int) -> Any:
    """Give a sparse (N, 4^k) matrix with 1 where a sequence holds a k-mer, however often; unknown bases break one."""
    from scipy.sparse import csr_matrix

    rows, ids = _kmers(sequences, k)
    cells = np.unique(rows * 4**k + ids)
    return csr_matrix((np.ones(len(cells)), (cells // 4**k, cells % 4**k)), shape=(len(sequences), 4**k))


def onehot_features(sequences: Sequence[str], width: int) -> Any:
    """Give a sparse (N, 4 * width) one-hot matrix by position; 0 at unknown bases and past the end."""
    from scipy.sparse import csr_matrix

    codes, rows, positions = _flatten(sequences)
    kept = (codes < AMBIGUOUS) & (positions < width)
    columns = positions[kept] * 4 + codes[kept]
    return csr_matrix((np.ones(len(columns)), (rows[kept], columns)), shape=(len(sequences), 4 * width))


def positional_features(sequences: Sequence[str], width: int) -> NDArray[np.uint8]:
    """Give the base codes (N, P) of the first `width` positions; 4 at unknown bases and past the end."""
    codes, rows, positions = _flatten(sequences)
    kept = positions < width
    table = np.full((len(sequences), width), AMBIGUOUS, dtype=np.uint8)
    table[rows[kept], positions[kept]] = codes[kept]
    return table


def _kmers(sequences: Sequence[str], k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sequence and lexicographic number of every k-mer of known bases, both (L,)."""
    codes, rows, positions = _flatten(sequences)
    usable = max(0, len(codes) - k + 1)
    ids = np.zeros(usable, dtype=np.int64)
    whole = positions[k - 1 :] >= k - 1  # the k-mer does not reach into the next sequence
    for offset in range(k):
        part = codes[offset : offset + usable]
        ids = ids * 4 + part
        whole &= part < AMBIGUOUS
    return rows[:usable][whole], ids[whole]


def _flatten(sequences: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Base codes of all sequences end to end, with the sequence and the position of each base: three (L,)."""
    parts = [encode(text, where=f"sequence {index}") for index, text in enumerate(sequences)]
    lengths = np.array([len(part) for part in parts], dtype=np.int64)
    codes = np.concatenate([*parts, np.zeros(0, dtype=np.uint8)]).astype(np.int64)
    rows = np.repeat(np.arange(len(parts)), lengths)
    starts = np.cumsum(lengths) - lengths
    return codes, rows, np.arange(len(codes)) - starts[rows]
