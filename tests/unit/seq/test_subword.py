"""Sub-words tile the sequence, spell it back, and are what the models' own definitions say."""

import json
import math
import os
import pickle
import subprocess
import sys
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Library
from tokenizers import models, pre_tokenizers, processors, trainers

from gulmfit.errors import ConfigError, TokenizerError
from gulmfit.seq.alphabet import PROTEIN, decode, encode
from gulmfit.seq.tokens.subword import CHUNK_BASES, SubwordTokenizer
from gulmfit.seq.tokens.subword_training import SubwordRecipe
from gulmfit.seq.tokens.tokenizer import SPECIAL

RANDOM = np.random.default_rng(0)
WORDS = ["ACGT", "TTA", "GGC", "CATG", "A", "C", "G", "T"]
TEXT = "".join(RANDOM.choice(WORDS, size=8000))
CODES = encode(TEXT)
LEARNED = {
    "bpe": SubwordRecipe(kind="bpe", vocab_size=40, train_bases=20_000).learn([CODES]),
    "unigram": SubwordRecipe(kind="unigram", vocab_size=40, train_bases=4_000).learn([CODES]),
}

both_kinds = pytest.mark.parametrize("kind", LEARNED)
dna = st.text(alphabet="ACGT", max_size=120)
dna_with_unknown = st.text(alphabet="ACGTN", max_size=120)


def document(**model: object) -> str:
    return json.dumps({"model": {"type": "BPE", "merges": [], **model}, "added_tokens": []})


def spelled(tokenizer: SubwordTokenizer, ids) -> str:
    unknown = tokenizer.alphabet.unknown
    return "".join(unknown if token == tokenizer.unk_id else tokenizer.spell(int(token)) for token in ids)


def vocabulary(*pieces: str) -> dict[str, int]:
    return {piece: number for number, piece in enumerate(pieces)}


@both_kinds
@given(dna)
def test_tokens_spell_the_sequence_and_their_spans_tile_it(kind, sequence):
    tokenizer, codes = LEARNED[kind], encode(sequence)
    ids, spans = tokenizer.encode(codes), tokenizer.spans(codes)
    assert ids.dtype == np.int32
    assert spelled(tokenizer, ids) == sequence
    assert [sequence[start:end] for start, end in spans] == [tokenizer.spell(int(token)) for token in ids]
    assert np.concatenate([[0], spans[:, 1]]).tolist() == [*spans[:, 0].tolist(), len(sequence)]
    assert tokenizer.bases_of(ids).tolist() == (spans[:, 1] - spans[:, 0]).tolist()


@both_kinds
@given(dna_with_unknown)
def test_a_run_of_ambiguous_bases_is_one_token_and_cuts_the_sequence(kind, sequence):
    tokenizer = LEARNED[kind]
    expected, place = [], 0
    for unknown, letters in groupby(sequence, key="N".__eq__):
        stretch = "".join(letters)
        parts = [(1, len(stretch))] if unknown else [
            (int(token), len(tokenizer.spell(int(token)))) for token in tokenizer.encode(encode(stretch))
        ]  # fmt: skip
        for token, length in parts:
            expected.append((token, place, place + length))
            place += length
    codes = encode(sequence)
    spans = tokenizer.spans(codes)
    found = [(int(token), *map(int, span)) for token, span in zip(tokenizer.encode(codes), spans, strict=True)]
    assert found == expected
    assert spans.shape == (len(found), 2)


@both_kinds
def test_nothing_spans_the_border_of_a_chunk(kind):
    tokenizer, codes = LEARNED[kind], CODES[: 3 * CHUNK_BASES + 100].copy()
    codes[CHUNK_BASES - 5 : CHUNK_BASES + 5] = 4
    chunks = [codes[start : start + CHUNK_BASES] for start in range(0, len(codes), CHUNK_BASES)]
    assert tokenizer.encode(codes).tolist() == np.concatenate([tokenizer.encode(chunk) for chunk in chunks]).tolist()
    spans = tokenizer.spans(codes)
    assert ((spans[:, 1] - 1) // CHUNK_BASES == spans[:, 0] // CHUNK_BASES).all()
    assert (spans[1:, 0] == spans[:-1, 1]).all()
    assert spans[-1, 1] == len(codes)


@both_kinds
def test_blocks_put_together_are_the_whole(kind):
    tokenizer, codes = LEARNED[kind], np.tile(CODES, 40)[:600_000]
    blocks = list(tokenizer.blocks(len(codes)))
    assert len(blocks) > 2
    parts = [tokenizer.encode(codes[start:end]) for start, end in blocks]
    assert np.concatenate(parts).tolist() == tokenizer.encode(codes).tolist()


@both_kinds
def test_the_library_alone_reads_the_document_and_gives_the_same_ids(kind, tmp_path):
    tokenizer = LEARNED[kind]
    ((name, text),) = tokenizer.files().items()
    (tmp_path / name).write_text(text)
    library = Library.from_file(str(tmp_path / "tokenizer.json"))
    codes = CODES[:10_000].copy()
    codes[[0, 7, 8, 9, 4095, 4096, 9999]] = 4
    for piece in (codes, codes[:50], codes[8:9]):
        assert library.encode(decode(piece)).ids == tokenizer.encode(piece).tolist()
    assert library.get_vocab_size() == len(tokenizer)
    assert [library.id_to_token(token) for token in range(len(tokenizer))] == tokenizer.vocabulary()
    assert library.decode(tokenizer.encode(CODES[:99]).tolist()) == TEXT[:99]


@given(dna)
def test_bpe_applies_its_merges_in_order(sequence):
    """The definition, letter by letter: join the pair that was merged first, everywhere, until none is left."""
    tokenizer = LEARNED["bpe"]
    merges = json.loads(tokenizer.document)["model"]["merges"]
    ranks = {tuple(pair): rank for rank, pair in enumerate(merges)}
    pieces = list(sequence)
    while pairs := [pair for pair in pairwise(pieces) if pair in ranks]:
        best = min(pairs, key=ranks.__getitem__)
        joined, place = [], 0
        while place < len(pieces):
            match = tuple(pieces[place : place + 2]) == best
            joined.append("".join(pieces[place : place + 1 + match]))
            place += 1 + match
        pieces = joined
    assert [tokenizer.spell(int(token)) for token in tokenizer.encode(encode(sequence))] == pieces


@given(dna)
def test_unigram_finds_a_cut_of_the_highest_probability(sequence):
    tokenizer = LEARNED["unigram"]
    scores = dict(json.loads(tokenizer.document)["model"]["vocab"])
    best = [0.0] + [-math.inf] * len(sequence)
    for end in range(1, len(sequence) + 1):
        for start in range(max(0, end - 16), end):
            best[end] = max(best[end], best[start] + scores.get(sequence[start:end], -math.inf))
    found = sum(scores[tokenizer.spell(int(token))] for token in tokenizer.encode(encode(sequence)))
    assert found == pytest.approx(best[-1])


@both_kinds
def test_vocabulary_begins_with_the_special_tokens_and_has_every_letter(kind):
    tokenizer = LEARNED[kind]
    words = tokenizer.vocabulary()
    assert words[:3] == list(SPECIAL)
    assert set("ACGT") < set(words)
    assert len(words) == len(set(words)) == len(tokenizer) == 40
    assert tokenizer.sizes().tolist() == [0, 0, 0, *map(len, words[3:])]
    bases = tokenizer.bases()
    assert (bases[:3] == -1).all()
    assert [decode(row[row >= 0].astype(np.uint8)) for row in bases[3:]] == words[3:]
    assert tokenizer.num_successors is None
    assert (tokenizer.min_bases, tokenizer.overlap) == (1, 0)
    with pytest.raises(TokenizerError, match="token 40 is outside"):
        tokenizer.spell(40)


@both_kinds
def test_spec_is_plain_and_builds_an_equal_tokenizer(kind):
    tokenizer = LEARNED[kind]
    spec = json.loads(json.dumps(tokenizer.spec()))
    assert spec.pop("_target_") == "gulmfit.seq.tokens.subword.SubwordTokenizer"
    for again in (SubwordTokenizer(**spec), pickle.loads(pickle.dumps(tokenizer))):
        assert again == tokenizer
        assert hash(again) == hash(tokenizer)
        assert again.document == tokenizer.document
    assert LEARNED["bpe"] != LEARNED["unigram"]
    assert len(json.dumps(tokenizer.summary())) < 300


def test_ambiguous_bases_in_a_row_are_one_token():
    tokenizer = LEARNED["bpe"]
    assert spelled(tokenizer, tokenizer.encode(encode("ACNNNGT"))) == "ACNGT"


def test_a_foreign_tokenizer_keeps_its_pieces(tmp_path):
    """Other special tokens at other places, text around a sequence, a normaliser: as published DNA tokenizers have."""
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    foreign = Library(models.BPE(unk_token="[UNK]"))
    foreign.pre_tokenizer = pre_tokenizers.Whitespace()
    foreign.train_from_iterator([TEXT[:5000]], trainers.BpeTrainer(vocab_size=50, special_tokens=special))
    foreign.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[
        ("[CLS]", 1), ("[SEP]", 2)
    ])  # fmt: skip
    foreign.save(str(tmp_path / "foreign.json"))
    tokenizer = SubwordRecipe(kind="bpe", path=str(tmp_path / "foreign.json")).read()
    assert len(tokenizer) == 50 - len(special) + 3
    words = [tokenizer.spell(int(token)) for token in tokenizer.encode(CODES[:3000])]
    assert words == foreign.encode(TEXT[:3000], add_special_tokens=False).tokens


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no JSON", r"no tokenizer\.json .*JSON"),
        ("{}", r"no tokenizer\.json"),
        (document(type="WordPiece", vocab={}), "model is 'WordPiece'.*BPE or Unigram"),
        (document(vocab=vocabulary("A", "C", "G")), r"\bT as pieces .*missing .*vocabulary"),
        (document(vocab=vocabulary("a", "c", "g", "t")), "A, C, G, T as pieces.*cannot occur: 'a', 'c', 'g', 't'"),
        (document(vocab=vocabulary("A", "C", "G", "T", "▁AC")), r"cannot occur: '▁' \(in '▁AC', for one\)"),
        (document(vocab=vocabulary("A", "C", "G", "T"), end_of_word_suffix="</w>"), "end_of_word_suffix"),
        (document(vocab=vocabulary("A", "C", "G", "T"), merges=["A C"]), "merges .*vocabulary: .*`AC`"),
    ],
)
def test_a_document_that_cannot_be_used_is_told_why(text, message, tmp_path):
    with pytest.raises(TokenizerError, match=message):
        SubwordTokenizer(text)
    (tmp_path / "given.json").write_text(text)
    with pytest.raises(TokenizerError, match=rf"tokenizer\.path=.*given\.json: .*{message}"):
        SubwordRecipe(kind="bpe", path=str(tmp_path / "given.json")).read()


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "tokenizer.json").write_text(LEARNED["unigram"].document)
    recipe = SubwordRecipe(kind="bpe", path=str(tmp_path / "tokenizer.json"))
    with pytest.raises(
        TokenizerError, match=r"tokenizer\.json .*SubwordTokenizer\(unigram.*\bbpe\b.*tokenizer=unigram"
    ):
        recipe.read()
    with pytest.raises(TokenizerError, match=r"tokenizer\.path=.*none\.json .*Errno 2"):
        SubwordRecipe(kind="bpe", path=str(tmp_path / "none.json")).read()


def test_learning_repeats_and_differs_by_seed():
    recipe = SubwordRecipe(kind="bpe", vocab_size=60, train_bases=3000)
    again = [recipe.learn([CODES], seed=seed) for seed in (0, 0, 1)]
    assert again[0].document == again[1].document
    assert again[0] != again[2]


@both_kinds
def test_learning_in_another_process_with_threads_gives_the_same_file(kind, tmp_path):
    script = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from gulmfit.seq.tokens.subword_training import SubwordRecipe\n"
        "codes = np.load(sys.argv[1])\n"
        "recipe = SubwordRecipe(kind=sys.argv[2], vocab_size=40, train_bases=int(sys.argv[3]))\n"
        "Path(sys.argv[4]).write_text(recipe.learn([codes]).document)\n"
    )
    np.save(tmp_path / "codes.npy", CODES)
    words = [str(tmp_path / "codes.npy"), kind, "20000" if kind == "bpe" else "4000", str(tmp_path / "out.json")]
    root = str(Path(__file__).resolve().parents[3])
    environment = {**os.environ, "PYTHONPATH": root, "TOKENIZERS_PARALLELISM": "true", "RAYON_NUM_THREADS": "3"}
    subprocess.run([sys.executable, "-c", script, *words], check=True, env=environment, timeout=900)
    assert (tmp_path / "out.json").read_text() == LEARNED[kind].document


def test_both_strands_are_learned_from_unless_one_is_asked_for():
    codes = encode("AACCAC" * 400)
    both, forward = (
        SubwordRecipe(kind="bpe", vocab_size=20, train_bases=2000).learn([codes], strands=strands)
        for strands in ("both", "forward")
    )
    letters = [{letter for piece in made.vocabulary()[3:] if len(piece) > 1 for letter in piece} for made in
               (both, forward)]  # fmt: skip
    assert letters == [set("ACGT"), set("AC")]


def test_ambiguous_bases_and_short_or_empty_stretches_do_no_harm():
    stretches = ["", "N" * 600, "ACGT" * 5 + "N" + "ACGT" * 5, "T"]
    learned = SubwordRecipe(kind="bpe", vocab_size=12).learn(stretches)
    assert all(set(piece) <= set("ACGT") for piece in learned.vocabulary()[3:])
    with pytest.raises(TokenizerError, match=r"no unambiguous .*sub-words"):
        SubwordRecipe(kind="bpe").learn(["NNN", ""])


@both_kinds
@pytest.mark.parametrize("longest", [4, 7])
def test_the_longest_piece_is_as_long_as_allowed(kind, longest):
    learned = SubwordRecipe(kind=kind, vocab_size=200, max_bases=longest, train_bases=6000).learn([CODES])
    assert max(learned.sizes()) == longest


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "bep"}, r"tokenizer\.kind='bep' .*\bbpe\b.*\bunigram\b"),
        ({"vocab_size": 7}, r"tokenizer\.vocab_size=7: 8 or more"),
        ({"vocab_size": 7.5}, r"tokenizer\.vocab_size=7.5"),
        ({"max_bases": 1}, r"tokenizer\.max_bases=1"),
        ({"train_bases": 10}, r"tokenizer\.train_bases=10"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(TokenizerError, match=message):
        SubwordRecipe(**settings)


def test_proteins_have_sub_words_too():
    text = "".join(RANDOM.choice(list(PROTEIN.letters), size=4000))
    learned = SubwordRecipe(kind="bpe", vocab_size=60, alphabet="protein").learn([text])
    codes = encode(text[:500] + "*XB" + text[500:600], alphabet=PROTEIN)
    ids = learned.encode(codes)
    assert spelled(learned, ids) == text[:500] + "X" + text[500:600]
    assert (ids == 1).sum() == 1
    assert SubwordTokenizer(**{key: value for key, value in learned.spec().items() if key != "_target_"}) == learned
    with pytest.raises(TokenizerError, match=r"^D, E, F, .*, W, Y .*missing .*vocabulary"):
        SubwordTokenizer(LEARNED["bpe"].document, "protein")
    with pytest.raises(ConfigError, match=r"alphabet='proteins' is unknown.*'protein'"):
        SubwordRecipe(alphabet="proteins")


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(TokenizerError, match=r"pip install 'gulmfit\[tokenize\]'"):
        SubwordTokenizer(LEARNED["bpe"].document)
