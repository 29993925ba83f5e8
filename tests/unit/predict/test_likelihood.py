"""Log-likelihoods against probabilities multiplied by hand, and what they must not depend on."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from gulmfit.errors import CheckpointError, ConfigError, SequenceError
from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.language_model import LanguageModel
from gulmfit.predict.language import reading
from gulmfit.predict.language.likelihood import LikelihoodScorer
from gulmfit.seq.alphabet import encode, reverse_complement_text
from gulmfit.seq.tokens.tokenizer import KmerTokenizer, Tokenizer


def scorer(k: int = 3, stride: int = 2, legal: bool = True, cell: str = "lstm") -> LikelihoodScorer:
    """A small model of k-mers."""
    return scorer_of(KmerTokenizer(k, stride), legal, cell)


def subwords() -> Tokenizer:
    """Pieces A C G T AC GT ACG."""
    pytest.importorskip("tokenizers")
    from gulmfit.seq.tokens.subword import SubwordTokenizer

    pieces = ["A", "C", "G", "T", "AC", "GT", "ACG"]
    model = {
        "type": "BPE",
        "vocab": {piece: token for token, piece in enumerate(pieces)},
        "merges": ["A C", "G T", "AC G"],
    }
    return SubwordTokenizer(json.dumps({"model": model}))


def scorer_of(tokenizer: Tokenizer, legal: bool = True, cell: str = "lstm") -> LikelihoodScorer:
    """A small model whose every weight matters."""
    torch.manual_seed(0)
    encoder = AWDRNN(len(tokenizer), 8, 12, 2, cell=cell)
    model = LanguageModel(encoder, tokenizer.num_special, tokenizer.num_successors, legal_successors=legal)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return LikelihoodScorer(model, tokenizer, "cpu")


def random_sequences(lengths: list[int], letters: str = "ACGT") -> list[str]:
    random = np.random.default_rng(1)
    return ["".join(random.choice(list(letters), size=length)) for length in lengths]


@torch.no_grad()
def by_hand(model: LikelihoodScorer, sequence: str) -> float:
    """Read one token after the other and multiply probabilities of the k-mers that begin as they must."""
    tokenizer, head = model.tokenizer, model.model.head
    kmers = tokenizer.vocabulary()
    before, state, total = tokenizer.sep_id, None, 0.0
    for token in tokenizer.encode(encode(sequence)).tolist():
        hidden, state = model.model.encoder(torch.tensor([[before]]), state)
        logits = (model.model.encoder.embedding.weight @ hidden[0, 0] + head.bias).double()
        known = before >= tokenizer.num_special
        if head.block_size is None:
            possible = list(range(len(tokenizer)))
        else:
            shared = kmers[before][len(kmers[before]) - tokenizer.overlap :] if known else ""
            possible = [
                number for number in range(tokenizer.num_special, len(tokenizer)) if kmers[number].startswith(shared)
            ]
        if token >= tokenizer.num_special:
            total += float(logits[token] - logits[possible].logsumexp(0))
        before = token
    return total


@pytest.mark.parametrize(("k", "stride"), [(2, 1), (3, 2), (3, 3), (2, 3)])
@pytest.mark.parametrize("legal", [True, False])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_log_likelihood_is_that_multiplied_by_hand(k: int, stride: int, legal: bool, cell: str) -> None:
    model = scorer(k, stride, legal, cell)
    sequences = random_sequences([k, 17, 40], "ACGTACGTACGTN")
    nats, _ = model.score(sequences)
    np.testing.assert_allclose(nats, [by_hand(model, sequence) for sequence in sequences], atol=1e-5)


def test_subwords_are_scored_like_kmers_and_leave_no_base_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model = scorer_of(subwords())
    sequences = [*random_sequences([1, 17, 90]), "ACGTNNNACGT"]
    nats, bases = model.score(sequences)
    np.testing.assert_allclose(nats, [by_hand(model, sequence) for sequence in sequences], atol=1e-5)
    assert bases.tolist() == [1, 17, 90, 8]
    both, _ = model.score(sequences, strand="average")
    others = [reverse_complement_text(sequence) for sequence in sequences]
    np.testing.assert_allclose(model.score(others, strand="average")[0], both, atol=1e-5)
    monkeypatch.setattr(reading, "TOKENS_AT_ONCE", 12)
    monkeypatch.setattr(reading, "SHORTEST_WINDOW", 2)
    np.testing.assert_allclose(model.score(sequences)[0], nats, atol=1e-5)


@pytest.mark.parametrize(("k", "stride"), [(1, 1), (2, 1), (3, 2)])
def test_the_probabilities_of_all_sequences_of_a_length_sum_to_one(k: int, stride: int) -> None:
    model = scorer(k, stride)
    length = k + 2 * stride if stride == 1 else k + stride
    everything = ["".join(letters) for letters in product("ACGT", repeat=length)]
    nats, bases = model.score(everything, batch_size=1024)
    assert np.exp(nats).sum() == pytest.approx(1.0, abs=1e-5)
    assert (bases == length).all()


def test_without_legal_successors_impossible_kmers_take_a_share() -> None:
    model = scorer(2, 1, legal=False)
    everything = ["".join(letters) for letters in product("ACGT", repeat=4)]
    assert 0 < np.exp(model.score(everything)[0]).sum() < 0.9


def test_neither_batch_mates_nor_order_nor_window_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    model = scorer()
    lengths = np.random.default_rng(0).integers(3, 400, size=40).tolist()
    sequences = random_sequences(lengths)
    nats, bases = model.score(sequences)
    alone = np.array([model.score([sequence])[0][0] for sequence in sequences])
    np.testing.assert_allclose(nats / bases, alone / bases, atol=1e-6)
    turned, turned_bases = model.score(sequences[::-1], batch_size=7)
    np.testing.assert_allclose(turned[::-1] / bases, nats / bases, atol=1e-6)
    np.testing.assert_array_equal(turned_bases[::-1], bases)
    monkeypatch.setattr(reading, "TOKENS_AT_ONCE", 24)  # windows of 3 tokens, and state that is carried over many
    monkeypatch.setattr(reading, "SHORTEST_WINDOW", 2)
    np.testing.assert_allclose(model.score(sequences, batch_size=8)[0] / bases, nats / bases, atol=1e-6)


def test_both_strands_averaged_are_the_same_for_either() -> None:
    model = scorer(5, 2)
    sequences = random_sequences([30, 31, 64, 77])
    others = [reverse_complement_text(sequence) for sequence in sequences]
    both, bases = model.score(sequences, strand="average")
    np.testing.assert_allclose(model.score(others, strand="average")[0], both, atol=1e-5)
    np.testing.assert_allclose((model.score(sequences)[0] + model.score(others)[0]) / 2, both, atol=1e-5)
    np.testing.assert_array_equal(bases, [29, 31, 63, 77])  # the last base of an even length is in no token


@pytest.mark.parametrize(("k", "stride"), [(3, 1), (5, 2), (2, 3)])
@pytest.mark.parametrize("reverse", [False, True])
def test_every_base_of_a_scored_token_is_counted_once(k: int, stride: int, reverse: bool) -> None:
    model = scorer(k, stride)
    (sequence,) = random_sequences([120], "ACGT" * 6 + "N")
    found = model.score_tokens(sequence, reverse=reverse)
    read = reverse_complement_text(sequence) if reverse else sequence
    expected = set()
    for start in range(0, len(read) - k + 1, stride):
        if "N" not in read[start : start + k]:
            expected |= set(range(start, start + k))
    counted = [at for start, end in found.new[~np.isnan(found.nats)] for at in range(start, end)]
    forward = sorted(len(read) - 1 - at if reverse else at for at in expected)
    assert sorted(counted) == forward
    assert np.isnan(found.nats).tolist() == (found.tokens < model.tokenizer.num_special).tolist()


def test_scores_of_tokens_add_up_to_that_of_the_sequence() -> None:
    model = scorer()
    (sequence,) = random_sequences([200])
    assert np.nansum(model.score_tokens(sequence).nats) == pytest.approx(float(model.score([sequence])[0][0]), abs=1e-4)


def test_nothing_to_score() -> None:
    model = scorer()
    nats, bases = model.score([])
    assert nats.shape == bases.shape == (0,)
    nats, bases = model.score(["NNNNNNNN"])
    assert (nats[0], bases[0]) == (0, 0)


def test_mistakes_are_named(tmp_path: Path) -> None:
    model = scorer()
    with pytest.raises(SequenceError, match=r"sequence 1: 2 bases .*\(k=3\)"):
        model.score(["ACGT", "AC"])
    with pytest.raises(SequenceError, match="sequence 0, position 3: 'x'"):
        model.score(["ACGx"])
    with pytest.raises(ConfigError, match="strand='minus'"):
        model.score(["ACGT"], strand="minus")
    with pytest.raises(ConfigError, match="batch_size=0"):
        model.score(["ACGT"], batch_size=0)
    with pytest.raises(CheckpointError, match=r"/nothing\b.*\bexist\b"):
        LikelihoodScorer.load(tmp_path / "nothing")
