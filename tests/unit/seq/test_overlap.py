"""Canonical k-mers and leak counts against definitions written out in plain Python."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gulmfit.errors import DataError
from gulmfit.seq.alphabet import DNA, PROTEIN, encode, reverse_complement, reverse_complement_text
from gulmfit.seq.related.overlap import (
    NO_KMER,
    canonical_kmers,
    count_marked,
    find_overlaps,
    kmers_by_sequence,
    near_duplicate_k,
    stand_in,
)

dna = st.text("ACGTN", max_size=60)


def random_dna(rng, length: int) -> str:
    return "".join(rng.choice(list("ACGT"), length))


def number(kmer: str) -> int:
    return int("".join(str("ACGT".index(base)) for base in kmer), 4)


def plain_kmers(sequence: str, k: int) -> list[int | None]:
    windows = [sequence[i : i + k] for i in range(len(sequence) - k + 1)]
    return [
        None if "N" in window else min(number(window), number(reverse_complement_text(window))) for window in windows
    ]


@given(dna, st.integers(1, 31))
@settings(deadline=None)
def test_canonical_kmers_are_the_smaller_of_both_strands(sequence, k):
    got = [None if kmer == NO_KMER else int(kmer) for kmer in canonical_kmers(encode(sequence), k)]
    assert got == plain_kmers(sequence, k)


@given(dna, st.integers(1, 31))
@settings(deadline=None)
def test_the_other_strand_has_the_same_kmers_backwards(sequence, k):
    codes = encode(sequence)
    there = canonical_kmers(reverse_complement(codes), k)
    assert there[::-1].tolist() == canonical_kmers(codes, k).tolist()


def test_known_kmers():
    # AAC=1, GTT=47, its reverse complement; ACG=6 and CGT=27 are twins; 31 T's are 31 A's, number 0.
    assert canonical_kmers(encode("AACGTT"), 3).tolist() == [1, 6, 6, 1]
    assert canonical_kmers(encode("T" * 31), 31).tolist() == [0]
    assert NO_KMER not in canonical_kmers(encode("TG" * 40), 31)


@given(st.lists(dna, max_size=6), st.integers(1, 8))
@settings(deadline=None)
def test_kmers_know_their_sequence_and_never_span_two(sequences, k):
    kmers, owners = kmers_by_sequence(sequences, k)
    expected = [(kmer, i) for i, text in enumerate(sequences) for kmer in plain_kmers(text, k) if kmer is not None]
    assert list(zip(kmers.tolist(), owners.tolist(), strict=True)) == expected


@pytest.mark.parametrize("k", [0, 32])
def test_k_out_of_range(k):
    with pytest.raises(DataError, match=f"k={k} cannot"):
        canonical_kmers(encode("ACGT"), k)


def test_hand_built_leaks():
    rng = np.random.default_rng(0)
    base = [random_dna(rng, 100) for _ in range(6)]
    fresh = random_dna(rng, 100)
    half = base[3][:58] + fresh[:42]  # 43 of 85 windows of 16 lie in the shared part
    other = "ACGT"["CGTA".index(base[4][57])]  # so that the shared part does not go on by chance
    less = base[4][:57] + other + fresh[:42]  # 42 of 85: under half
    flipped = reverse_complement_text(base[5][:90] + fresh[:10])
    test = [fresh, base[0], reverse_complement_text(base[1]), half, less, flipped, "ACGT", base[2][10:60]]
    found = {
        kind: count_marked(marked, range(len(test))) for kind, marked in find_overlaps([*base, "ACGT"], test).items()
    }
    assert found["exact"] == {"count": 2, "fraction": 0.25, "examples": [1, 6]}
    # ACGT is its own reverse complement.
    assert found["reverse_complement"] == {"count": 2, "fraction": 0.25, "examples": [2, 6]}
    assert found["near_duplicate"] == {"count": 5, "fraction": 0.625, "examples": [1, 2, 3, 5, 7]}


def test_share_is_the_least_fraction():
    rng = np.random.default_rng(1)
    train = random_dna(rng, 100)
    test = train[:58] + random_dna(rng, 42)
    assert find_overlaps([train], [test], share=43 / 85)["near_duplicate"].tolist() == [True]
    assert find_overlaps([train], [test], share=44 / 85)["near_duplicate"].tolist() == [False]


def test_unrelated_and_ambiguous_sequences_share_nothing():
    rng = np.random.default_rng(2)
    train = [random_dna(rng, 80) for _ in range(20)]
    found = find_overlaps([*train, "N" * 50], [random_dna(rng, 80), "N" * 40])
    assert [found[name].sum() for name in ("exact", "reverse_complement", "near_duplicate")] == [0] * 3


def test_errors():
    for share in (0, 1.5):
        with pytest.raises(DataError, match="share="):
            find_overlaps(["ACGT"], ["ACGT"], share=share)


def by_chance(k: int, letters: int, letters_per_kmer: float = 4.0, strands: int = 2) -> float:
    """The share of all k-mers that so many random letters hold."""
    return float(-np.expm1(-letters * strands / letters_per_kmer**k))


@pytest.mark.parametrize(
    ("letters", "k"), [(0, 16), (4_600_000, 16), (21_000_000, 16), (22_000_000, 17), (3_000_000_000, 20)]
)
def test_k_follows_what_is_searched(letters, k):
    assert near_duplicate_k(DNA, letters) == k
    assert by_chance(k, letters) < 0.01
    assert k == 16 or by_chance(k - 1, letters) > 0.0095


def test_k_of_residues_follows_too():
    assert [near_duplicate_k(PROTEIN, letters) for letters in (0, 10**7, 10**8, 10**11)] == [7, 7, 8, 10]


@pytest.mark.parametrize("letters", [10**6, 10**8, 1_440_000_000, 3_000_000_000])
@pytest.mark.parametrize("kmers", [1, 2, 30, 130])
def test_random_sequences_are_not_found_in_any_corpus(letters, kmers):
    """The arithmetic of a large corpus: each k-mer of a random sequence occurs there with a known probability."""
    hits = np.random.default_rng(0).binomial(kmers, by_chance(near_duplicate_k(DNA, letters), letters), 20_000)
    assert (hits >= 0.5 * kmers).mean() < (0.012 if kmers == 1 else 0.0201 if kmers == 2 else 1e-4)


def test_the_arithmetic_is_that_of_sequences():
    """Of a corpus a hundredth of the size of k-mer space a hundredth is found; of one 1.4 times its size nearly all."""
    rng = np.random.default_rng(1)
    k = 7  # 8,192 canonical k-mers stand for the half trillion of k = 20
    for letters, low, high in ((82, 0.0, 0.01), (11_800, 0.98, 1.0)):
        corpus = rng.integers(0, 4, letters).astype(np.uint8)
        found = stand_in([random_dna(rng, 40) for _ in range(2_000)], corpus, k)
        assert low <= found.mean() <= high


def test_a_base_takes_less_than_half_of_the_memory_it_took():
    """49 bytes to list k-mers, and 64 to look them up, before they were listed a piece at a time."""
    rng = np.random.default_rng(0)
    texts = [bytes(row).decode() for row in np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, (1_000, 1_000))]]
    corpus = encode(texts[0])
    for work, most in ((lambda: kmers_by_sequence(texts, 20), 24), (lambda: stand_in(texts, corpus, 16), 32)):
        tracemalloc.start()
        work()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak / 1e6 < most
