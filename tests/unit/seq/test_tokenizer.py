"""Tokens are the k-mers that plain Python finds, and the vocabulary is every k-mer once, in order."""

import importlib
import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gulmfit.errors import TokenizerError
from gulmfit.seq.alphabet import PROTEIN, encode
from gulmfit.seq.tokens import tokenizer as tokenizer_module
from gulmfit.seq.tokens.tokenizer import PAD, SEP, SPECIAL, UNK, KmerTokenizer

ks = st.integers(1, 8)
strides = st.integers(1, 9)
dna = st.text(alphabet="ACGT", max_size=80)
dna_with_unknown = st.text(alphabet="AACCGGTTNR", max_size=80)


def kmers_of(sequence: str, k: int, stride: int) -> list[str]:
    """Cut a sequence letter by letter, straight from the definition."""
    return [sequence[i : i + k] for i in range(0, len(sequence), stride) if i + k <= len(sequence)]


def vocabulary(k: int) -> list[str]:
    """List every token of a vocabulary in order, straight from the definition."""
    return [*SPECIAL, *map("".join, itertools.product("ACGT", repeat=k))]


@given(dna_with_unknown, ks, strides)
def test_tokens_spell_the_kmers_of_the_sequence(sequence, k, stride):
    tokenizer = KmerTokenizer(k, stride)
    tokens = tokenizer.encode(encode(sequence))
    expected = kmers_of(sequence, k, stride)
    assert tokens.dtype == np.int32
    assert [tokenizer.spell(int(token)) for token in tokens] == [
        kmer if set(kmer) <= set("ACGT") else "<unk>" for kmer in expected
    ]
    assert len(tokens) == tokenizer.num_tokens(len(sequence)) == len(expected)


@given(dna_with_unknown, ks, strides, st.integers(1, 30))
def test_blocks_leave_no_seam(sequence, k, stride, bases_at_once):
    whole = KmerTokenizer(k, stride).encode(encode(sequence))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer_module, "_BASES_AT_ONCE", bases_at_once)
        assert KmerTokenizer(k, stride).encode(encode(sequence)).tolist() == whole.tolist()


@given(dna_with_unknown, ks, strides)
def test_any_type_that_holds_the_vocabulary_will_do(sequence, k, stride):
    tokenizer, codes = KmerTokenizer(k, stride), encode(sequence)
    ids = np.zeros(tokenizer.num_tokens(len(codes)), dtype=np.min_scalar_type(len(tokenizer) - 1))
    tokenizer.encode_into(codes, ids)
    assert ids.tolist() == tokenizer.encode(codes).tolist()


@given(dna_with_unknown, ks, strides, st.integers(1, 3))
def test_rows_are_encoded_each_by_itself(sequence, k, stride, count):
    tokenizer, width = KmerTokenizer(k, stride), len(sequence) // count
    rows = encode(sequence)[: count * width].reshape(count, width)
    assert [row.tolist() for row in tokenizer.encode_rows(rows)] == [tokenizer.encode(row).tolist() for row in rows]


@given(dna, st.integers(1, 4), strides)
def test_ids_are_places_in_the_sorted_vocabulary(sequence, k, stride):
    places = {kmer: place for place, kmer in enumerate(vocabulary(k))}
    tokens = KmerTokenizer(k, stride).encode(encode(sequence))
    assert tokens.tolist() == [places[kmer] for kmer in kmers_of(sequence, k, stride)]


@pytest.mark.parametrize("k", range(1, 6))
def test_vocabulary_is_the_special_tokens_and_every_kmer_in_lexicographic_order(k):
    tokenizer = KmerTokenizer(k)
    assert tokenizer.vocabulary() == vocabulary(k)
    assert len(tokenizer) == 3 + 4**k
    assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.sep_id) == (PAD, UNK, SEP) == (0, 1, 2)


def test_ends_of_the_largest_vocabulary():
    tokenizer = KmerTokenizer(8, 1)
    assert len(tokenizer) == 65_539
    assert [tokenizer.spell(token) for token in (3, 4, 65_537, 65_538)] == [
        "A" * 8,
        "A" * 7 + "C",
        "T" * 7 + "G",
        "T" * 8,
    ]
    assert tokenizer.encode(encode("T" * 8 + "N" + "A" * 8)).tolist() == [65_538] + [UNK] * 8 + [3]


@pytest.mark.parametrize("k", [1, 3, 5])
def test_bases_of_the_vocabulary_are_the_codes_of_its_kmers(k):
    tokenizer = KmerTokenizer(k)
    bases = tokenizer.bases()
    assert bases.shape == (len(tokenizer), k)
    assert (bases[:3] == -1).all()
    assert bases[3:].tolist() == [encode(kmer).tolist() for kmer in vocabulary(k)[3:]]


@given(dna, ks, strides)
def test_spans_say_where_the_kmers_stand(sequence, k, stride):
    tokenizer = KmerTokenizer(k, stride)
    spans = tokenizer.spans(encode(sequence))
    assert spans.shape == (tokenizer.num_tokens(len(sequence)), 2)
    assert spans.dtype == np.int64
    assert [sequence[start:end] for start, end in spans] == kmers_of(sequence, k, stride)


@given(ks, strides)
def test_overlap_and_new_bases_are_those_of_neighbouring_spans(k, stride):
    tokenizer = KmerTokenizer(k, stride)
    first, second = (set(range(*span)) for span in tokenizer.spans(np.zeros(k + stride, dtype=np.uint8)))
    assert tokenizer.overlap == len(first & second)
    assert tokenizer.new_bases == len(second - first)


@pytest.mark.parametrize("num_bases", range(5))
def test_nothing_shorter_than_a_kmer_has_tokens(num_bases):
    tokenizer = KmerTokenizer(5, 9)
    assert tokenizer.num_tokens(num_bases) == 0
    assert tokenizer.encode(encode("A" * num_bases)).tolist() == []
    assert tokenizer.spans(encode("A" * num_bases)).shape == (0, 2)


def test_codes_are_left_as_they_are():
    codes = encode("ACGTNACGT")
    codes.flags.writeable = False
    KmerTokenizer(3, 2).encode(codes)
    assert codes.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3]


@given(ks, strides)
def test_spec_is_plain_and_builds_an_equal_tokenizer(k, stride):
    tokenizer = KmerTokenizer(k, stride)
    spec = json.loads(json.dumps(tokenizer.spec()))
    module, _, name = spec.pop("_target_").rpartition(".")
    again = getattr(importlib.import_module(module), name)(**spec)
    assert again == tokenizer
    assert hash(again) == hash(tokenizer)
    assert repr(again) == f"KmerTokenizer(k={k}, stride={stride})"


def test_tokenizers_differ_by_k_and_stride_and_from_other_things():
    assert len({KmerTokenizer(5, 2), KmerTokenizer(5, 1), KmerTokenizer(2, 5), KmerTokenizer(5, 2)}) == 3
    assert KmerTokenizer(5, 2) != KmerTokenizer(5, 2).spec()


def test_numbers_of_any_whole_type_are_taken():
    spec = KmerTokenizer(np.int64(4), np.int64(3)).spec()
    assert json.loads(json.dumps(spec)) == KmerTokenizer(4, 3).spec()


@pytest.mark.parametrize("k", [0, -1, 9, 2.5, "5", None])
def test_k_out_of_range(k):
    with pytest.raises(TokenizerError, match=rf"tokenizer\.k={k}: a k-mer has 1 to 8 bases"):
        KmerTokenizer(k, 2)


@pytest.mark.parametrize("stride", [0, -2, 1.5, "2", None])
def test_stride_out_of_range(stride):
    with pytest.raises(TokenizerError, match=rf"tokenizer\.stride={stride}: .*\b1 base\b"):
        KmerTokenizer(5, stride)


@pytest.mark.parametrize("token", [-1, 67, 1000])
def test_token_outside_the_vocabulary(token):
    with pytest.raises(TokenizerError, match=rf"token {token} is outside .*k=3, stride=1.*0 to 66"):
        KmerTokenizer(3, 1).spell(token)


@given(st.text(alphabet="ACDEFGHIKLMNPQRSTVWYBZXJUO*", max_size=60), st.integers(1, 4), strides)
def test_kmers_of_proteins(sequence, k, stride):
    tokenizer = KmerTokenizer(k, stride, "protein")
    known = set(PROTEIN.letters)
    tokens = tokenizer.encode(encode(sequence, alphabet=PROTEIN))
    assert [tokenizer.spell(int(token)) for token in tokens] == [
        kmer if set(kmer) <= known else "<unk>" for kmer in kmers_of(sequence, k, stride)
    ]


@pytest.mark.parametrize(("alphabet", "k"), [("protein", 2), ("rna", 3)])
def test_vocabularies_of_other_alphabets_are_in_order(alphabet, k):
    tokenizer = KmerTokenizer(k, 1, alphabet)
    letters = sorted(tokenizer.alphabet.letters)
    assert tokenizer.vocabulary()[3:] == ["".join(kmer) for kmer in itertools.product(letters, repeat=k)]
    assert tokenizer.num_successors == len(letters)
    assert tokenizer.spec()["alphabet"] == alphabet


def test_a_vocabulary_of_proteins_stays_within_bounds():
    assert len(KmerTokenizer(4, 1, "protein")) == 160_003
    with pytest.raises(TokenizerError, match=r"tokenizer\.k=5: a k-mer has 1 to 4 residues of 20 letters"):
        KmerTokenizer(5, 1, "protein")


@given(dna_with_unknown, ks, strides)
def test_bases_of_tokens_count_every_base_once(sequence, k, stride):
    tokenizer = KmerTokenizer(k, stride)
    codes = encode(sequence)
    ids, seen, expected = tokenizer.encode(codes), set(), []
    for token, (start, end) in zip(ids, tokenizer.spans(codes), strict=True):
        # What an unknown token covered has not been spelled to anybody: the next one adds all its bases.
        new = set(range(start, end)) - seen if token != UNK else set()
        expected.append(len(new))
        seen = set(range(start, end)) if token != UNK else set()
    assert tokenizer.bases_of(ids).tolist() == expected


@given(ks, strides, st.integers(0, 60), st.integers(1, 30))
def test_blocks_put_together_are_the_whole(k, stride, num_bases, bases_at_once):
    tokenizer = KmerTokenizer(k, stride)
    codes = np.random.default_rng(num_bases).integers(0, 5, num_bases).astype(np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer_module, "_BASES_AT_ONCE", bases_at_once)
        parts = [tokenizer.encode(codes[start:end]).tolist() for start, end in tokenizer.blocks(num_bases)]
    assert list(itertools.chain(*parts)) == tokenizer.encode(codes).tolist()
