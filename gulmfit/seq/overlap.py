"""What two sets of sequences share: the leak check that stands beside every reported score.

Shapes: L bases of one run of codes, K = L - k + 1 windows of k bases, N sequences.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError
from gulmfit.seq.alphabet import AMBIGUOUS, encode, reverse_complement_text

MAX_K = 31
NO_KMER = np.uint64(2**64 - 1)  # 31 bases fill 62 bits, so no k-mer has this code
_EXAMPLES = 5


def canonical_kmers(codes: npt.NDArray[np.uint8], k: int) -> npt.NDArray[np.uint64]:
    """Number every window of k bases so that both strands get the same number.

    The number of a k-mer is its bases as digits of base 4; the canonical one is the smaller of the k-mer's
    and of its reverse complement's.

    Args:
        codes: Base codes (L,), 0 to 3, and 4 for an ambiguous base.
        k: Bases a window, 1 to 31.

    Returns:
        Canonical numbers (K,), `NO_KMER` where the window holds an ambiguous base; empty when L < k.

    Raises:
        DataError: k is not between 1 and 31.
    """
    if not 1 <= k <= MAX_K:
        raise DataError(f"k={k} cannot be used to compare sequences: 2-bit codes in 64 bits allow 1 to {MAX_K}")
    windows = max(0, len(codes) - k + 1)
    forward = np.zeros(windows, np.uint64)
    reverse = np.zeros(windows, np.uint64)
    clear = np.ones(windows, np.bool_)
    for offset in range(k):
        base = codes[offset : offset + windows]
        clear &= base != AMBIGUOUS
        # Two bits a base whatever the code: windows with an ambiguous base are discarded below.
        digit = (base & 3).astype(np.uint64)
        forward = (forward << np.uint64(2)) | digit
        reverse |= (np.uint64(3) - digit) << np.uint64(2 * offset)
    return np.where(clear, np.minimum(forward, reverse), NO_KMER)


def kmers_by_sequence(sequences: Sequence[str], k: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """List the canonical k-mers of all sequences with the index of the sequence each stands in.

    Takes about 40 bytes of memory a base.

    Args:
        sequences: N sequences of IUPAC letters.
        k: Bases a k-mer, 1 to 31.

    Returns:
        The k-mers without an ambiguous base, in order of sequence and position, and their sequence indices.

    Raises:
        DataError: k is not between 1 and 31.
        SequenceError: A sequence holds a letter outside the IUPAC alphabet.
    """
    # One ambiguous base between neighbours keeps a window from spanning two sequences.
    kmers = canonical_kmers(encode("N".join(sequences)), k)
    owners = np.repeat(np.arange(len(sequences)), [len(sequence) + 1 for sequence in sequences])[: len(kmers)]
    clear = kmers != NO_KMER
    return kmers[clear], owners[clear]


def overlap(
    train_sequences: Sequence[str], test_sequences: Sequence[str], k: int = 16, share: float = 0.5
) -> dict[str, Any]:
    """Count the test sequences that a model may have met in training.

    Four counts, each on its own, so that one test sequence can be in several: `exact` (the same letters),
    `reverse_complement` (the same letters on the other strand), `near_duplicate` (at least `share` of its
    k-mers occur in training sequences on either strand; copies are near-duplicates too where they hold a
    k-mer) and `any` of the three. IUPAC letters other than A, C, G, T break a k-mer.

    Args:
        train_sequences: Upper-case sequences that were trained on.
        test_sequences: Upper-case sequences that are scored.
        k: Bases a k-mer, 1 to 31.
        share: Least fraction of a test sequence's k-mers that makes it a near-duplicate, above 0 and up to 1.

    Returns:
        A JSON-ready dict: `k`, `share`, `train` and `test` (numbers of sequences) and, for each of the four,
        a dict of `count`, `fraction` (of the test sequences) and `examples` (up to five indices of test
        sequences).

    Raises:
        DataError: One of the sets is empty, or k or share is out of range.
        SequenceError: A sequence holds a letter outside the IUPAC alphabet.
    """
    if not train_sequences or not test_sequences:
        raise DataError(
            f"overlap needs both sets: found {len(train_sequences)} training and {len(test_sequences)} test sequences"
        )
    if not 0 < share <= 1:
        raise DataError(f"share={share} is not a fraction of k-mers: allowed is above 0 and up to 1")
    known = set(train_sequences)
    exact = np.array([sequence in known for sequence in test_sequences])
    twin = np.array([reverse_complement_text(sequence) in known for sequence in test_sequences])

    test_kmers, owners = kmers_by_sequence(test_sequences, k)
    seen = _occur(test_kmers, kmers_by_sequence(train_sequences, k)[0])
    total = np.bincount(owners, minlength=len(test_sequences))
    found = np.bincount(owners[seen], minlength=len(test_sequences))
    near = (total > 0) & (found >= share * total)

    groups = {"exact": exact, "reverse_complement": twin, "near_duplicate": near, "any": exact | twin | near}
    return {
        "k": k,
        "share": float(share),
        "train": len(train_sequences),
        "test": len(test_sequences),
        **{
            name: {
                "count": int(members.sum()),
                "fraction": float(members.mean()),
                "examples": np.flatnonzero(members)[:_EXAMPLES].tolist(),
            }
            for name, members in groups.items()
        },
    }


def _occur(kmers: npt.NDArray[np.uint64], among: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Mark the k-mers that occur among others; ten times quicker than numpy.isin on millions."""
    found = np.zeros(len(kmers), np.bool_)
    if len(among):
        among = np.sort(among)
        order = np.argsort(kmers)
        wanted = kmers[order]
        place = np.searchsorted(among, wanted)
        found[order] = among[np.minimum(place, len(among) - 1)] == wanted
    return found
