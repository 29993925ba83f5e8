"""Base codes: round trips, the other strand, and messages that name the place."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gulmfit.errors import ConfigError, SequenceError
from gulmfit.seq.alphabet import (
    AMBIGUOUS,
    DNA,
    NUCLEOTIDE_LETTERS,
    PROTEIN,
    RNA,
    alphabet_named,
    decode,
    encode,
    gc_content,
    reverse_complement,
    reverse_complement_text,
)

dna = st.text(alphabet="ACGTN", max_size=200)
any_case = st.text(alphabet=NUCLEOTIDE_LETTERS + NUCLEOTIDE_LETTERS.lower(), max_size=200)


def one_by_one(sequence: str, case: str) -> list[int]:
    """Encode letter by letter, straight from the definition."""
    codes = []
    for letter in sequence:
        masked = case == "mask" and letter.islower()
        codes.append(4 if masked else {"A": 0, "C": 1, "G": 2, "T": 3, "U": 3}.get(letter.upper(), 4))
    return codes


@given(dna)
def test_decode_undoes_encode(sequence: str) -> None:
    assert decode(encode(sequence)) == sequence


@given(any_case, st.sampled_from(["upper", "mask"]))
def test_encode_agrees_with_the_definition(sequence: str, case: str) -> None:
    codes = encode(sequence, case=case)
    assert codes.dtype == np.uint8
    assert codes.tolist() == one_by_one(sequence, case)
    assert encode(sequence.encode(), case=case).tolist() == codes.tolist()


def test_the_result_is_new_and_writable() -> None:
    letters = b"ACGT"
    codes = encode(letters)
    codes[0] = AMBIGUOUS
    assert letters == b"ACGT"
    assert encode(letters).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("case", ["upper", "mask"])
def test_every_other_byte_is_refused_at_its_position(case: str) -> None:
    allowed = NUCLEOTIDE_LETTERS + NUCLEOTIDE_LETTERS.lower()
    for letter in sorted(set(map(chr, range(256))) - set(allowed)):
        with pytest.raises(SequenceError, match=r"^genome\.fa, record 'chr7', position 5: ") as caught:
            encode("ACGTN" + letter + "A!", case=case, where="genome.fa, record 'chr7'")
        assert f"position 5: {letter!r} " in str(caught.value)


def test_the_message_reads_as_a_whole() -> None:
    with pytest.raises(SequenceError) as caught:
        encode("A" * 10523 + "J", where="genome.fa, record 'chr7'")
    assert str(caught.value) == (
        "genome.fa, record 'chr7', position 10523: 'J' is not a nucleotide letter "
        "(ACGTU or IUPAC RYSWKMBDHVN). Correct or remove it, or for proteins give alphabet=protein."
    )


def test_positions_count_from_the_start_of_the_record() -> None:
    with pytest.raises(SequenceError, match=r"^record 'x', position 1002: 'J' is not"):
        encode(b"ACJ", where="record 'x'", start=1000)


def test_a_letter_beyond_one_byte_is_named_as_it_is() -> None:
    with pytest.raises(SequenceError, match=r"^position 2: 'Ω' is not"):
        encode("ACΩG")


def test_an_unknown_case_policy_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"case='lower'.*'upper' or 'mask'"):
        encode("ACGT", case="lower")


@given(dna)
def test_reverse_complement_is_an_involution_and_agrees_with_text(sequence: str) -> None:
    codes = encode(sequence)
    other = reverse_complement(codes)
    assert other.dtype == np.uint8
    assert reverse_complement(other).tolist() == codes.tolist()
    assert decode(other) == reverse_complement_text(sequence)


@given(st.text(alphabet="ACGTRYSWKMBDHVNacgtryswkmbdhvn", max_size=100))
def test_reverse_complement_text_is_an_involution(sequence: str) -> None:
    assert reverse_complement_text(reverse_complement_text(sequence)) == sequence


def test_reverse_complement_by_hand() -> None:
    assert reverse_complement(np.array([0, 0, 1, 4], dtype=np.uint8)).tolist() == [4, 2, 3, 3]
    assert reverse_complement_text("AACGUnRYKMBDHVSW") == "WSBDHVKMRYnACGTT"


def test_iupac_complements_are_the_complements_of_their_sets() -> None:
    sets = {"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"}
    sets |= {"B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT"}
    for letter, bases in sets.items():
        complement = {reverse_complement_text(base) for base in bases}
        assert set(sets[reverse_complement_text(letter)]) == complement


def test_reverse_complement_text_refuses_other_letters() -> None:
    with pytest.raises(SequenceError, match="position 1: '-'"):
        reverse_complement_text("A-C")


@pytest.mark.parametrize("function", [decode, reverse_complement])
def test_a_number_that_is_no_code_is_refused(function: object) -> None:
    assert callable(function)
    with pytest.raises(SequenceError, match=r"position 1: 5 .*0 A, 1 C, 2 G, 3 T, 4 "):
        function(np.array([0, 5], dtype=np.uint8))


def test_gc_content_leaves_ambiguous_bases_out() -> None:
    assert gc_content(encode("GGCANNNN")) == 0.75
    assert math.isnan(gc_content(encode("NNN")))
    assert math.isnan(gc_content(encode("")))


@pytest.mark.parametrize("alphabet", [DNA, RNA, PROTEIN])
@given(st.data())
def test_every_alphabet_reads_and_writes_its_letters(alphabet, data) -> None:  # type: ignore[no-untyped-def]
    letters = alphabet.every_letter
    text = data.draw(st.text(alphabet=letters + letters.lower(), max_size=60))
    codes = encode(text, alphabet=alphabet)
    known = {letter: letter for letter in alphabet.letters} | dict([alphabet.synonym] if alphabet.synonym else [])
    assert decode(codes, alphabet) == "".join(known.get(letter, alphabet.unknown) for letter in text.upper())
    assert codes.tolist() == [
        alphabet.letters.index(known[letter]) if letter in known else len(alphabet.letters) for letter in text.upper()
    ]


@given(any_case)
def test_rna_is_dna_by_another_letter(sequence: str) -> None:
    codes = encode(sequence, alphabet=RNA)
    assert codes.tolist() == encode(sequence).tolist()
    assert decode(codes, RNA) == decode(codes).replace("T", "U")
    turned = reverse_complement_text(sequence, RNA)
    assert encode(turned, alphabet=RNA).tolist() == reverse_complement(codes, RNA).tolist()
    assert "T" not in turned.upper()


def test_letters_of_another_alphabet_are_refused() -> None:
    with pytest.raises(SequenceError, match=r"p\.fa, position 2: '-' .*\(ACDEFGHIKLMNPQRST"):
        encode("MK-L", where="p.fa", alphabet=PROTEIN)
    with pytest.raises(SequenceError, match=r"position 1: 'E' .*\(ACGTU"):
        encode("GE", alphabet=RNA)
    with pytest.raises(SequenceError, match=r"position 0: 21 .*\(0 A, .*19 Y, 20 "):
        decode(np.array([21], dtype=np.uint8), PROTEIN)


def test_proteins_have_no_other_strand() -> None:
    with pytest.raises(SequenceError, match=r"protein .*reverse complement.*strand=forward"):
        reverse_complement(encode("MKL", alphabet=PROTEIN), PROTEIN)
    with pytest.raises(SequenceError, match=r"reverse complement.*strand=forward"):
        reverse_complement_text("MKL", PROTEIN)


def test_alphabets_by_name() -> None:
    assert [alphabet_named(name) for name in ("dna", "rna", "protein")] == [DNA, RNA, PROTEIN]
    with pytest.raises(ConfigError, match=r"alphabet='portein' .*\bdna\b.*'protein'"):
        alphabet_named("portein")
