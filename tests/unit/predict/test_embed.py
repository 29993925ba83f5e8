"""Vectors against those of the encoder itself, and what they must not depend on."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gulmfit.errors import CheckpointError, ConfigError, SequenceError
from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.classifier import SequenceClassifier
from gulmfit.predict.language import reading
from gulmfit.predict.language.vectors import Embedder, Embedding
from gulmfit.seq.alphabet import encode, reverse_complement_text
from gulmfit.seq.tokens.tokenizer import KmerTokenizer, Tokenizer
from tests.unit.predict.test_likelihood import random_sequences, subwords

LENGTHS = [30, 7, 121, 64, 30, 400, 9, 11]


def classifier(tokenizer: Tokenizer) -> SequenceClassifier:
    torch.manual_seed(0)
    model = SequenceClassifier(AWDRNN(len(tokenizer), 8, 12, 2), 3, hidden_size=8).eval()
    for parameter in model.encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model


def embedder(k: int = 3, stride: int = 2, layer: str | int = "last") -> Embedder:
    tokenizer = KmerTokenizer(k, stride)
    return Embedder(classifier(tokenizer), tokenizer, layer=layer, device="cpu")


def embed(model: Embedder, sequences: list[str], **options: str | int) -> list[Embedding]:
    return list(model.embed(((str(number), text) for number, text in enumerate(sequences)), **options))  # type: ignore[arg-type]


@torch.no_grad()
def test_a_pooled_vector_is_what_a_classifiers_head_is_given() -> None:
    tokenizer = KmerTokenizer(3, 2)
    model = classifier(tokenizer)
    sequences = random_sequences(LENGTHS)
    found = embed(Embedder(model, tokenizer, device="cpu"), sequences, batch_size=3)
    for one, sequence in zip(found, sequences, strict=True):
        tokens = torch.from_numpy(tokenizer.encode(encode(sequence))).long()[None]
        pooled, _ = model.pool(tokens, torch.tensor([tokens.shape[1]]))
        np.testing.assert_allclose(one.vectors, pooled, atol=1e-6)
        assert one.sequence == sequence


def test_the_pools_are_parts_of_the_concatenation() -> None:
    model, sequences = embedder(), random_sequences(LENGTHS)
    for both in zip(
        *(embed(model, sequences, pooling=name) for name in ("concat", "last", "max", "mean")), strict=True
    ):
        concat, *parts = (one.vectors for one in both)
        np.testing.assert_array_equal(concat, np.concatenate(parts, axis=1))


@pytest.mark.parametrize("level", ["sequence", "token", "base"])
def test_neither_batch_mates_nor_order_nor_window_matter(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, sequences = embedder(), random_sequences(LENGTHS)
    expected = embed(model, sequences, level=level)
    monkeypatch.setattr(reading, "TOKENS_AT_ONCE", 24)
    monkeypatch.setattr(reading, "SHORTEST_WINDOW", 2)
    turned = embed(model, sequences[::-1], level=level, batch_size=3)[::-1]
    for one, other in zip(expected, turned, strict=True):
        np.testing.assert_allclose(one.vectors, other.vectors, atol=1e-6)
        np.testing.assert_array_equal(one.spans, other.spans)


@torch.no_grad()
def test_tokens_and_layers_are_those_of_the_encoder() -> None:
    tokenizer = KmerTokenizer(3, 2)
    model = classifier(tokenizer)
    (sequence,) = random_sequences([50], "ACGTN")
    tokens = torch.from_numpy(tokenizer.encode(encode(sequence))).long()[None]
    lookup = model.encoder.embedding(tokens)
    first, _ = model.encoder.recurrent_layers()[0].rnn(lookup)
    last, _ = model.encoder(tokens)
    for layer, expected in ((0, lookup), (1, first), (2, last), ("last", last)):
        model_of_layer = Embedder(model, tokenizer, layer=layer, device="cpu")
        (found,) = embed(model_of_layer, [sequence], level="token")
        np.testing.assert_allclose(found.vectors, expected[0], atol=1e-6)
        np.testing.assert_array_equal(found.tokens, tokens[0])
        np.testing.assert_array_equal(found.spans, tokenizer.spans(encode(sequence)))
        assert found.vectors.shape[1] == model_of_layer.size


@pytest.mark.parametrize(("k", "stride"), [(3, 1), (5, 2), (2, 3)])
def test_a_base_has_the_mean_of_the_tokens_that_cover_it(k: int, stride: int) -> None:
    model = embedder(k, stride)
    (sequence,) = random_sequences([38])
    (tokens,), (bases,) = embed(model, [sequence], level="token"), embed(model, [sequence], level="base")
    assert len(bases.vectors) == 38
    for at, vector in enumerate(bases.vectors):
        covering = [row for row, (start, end) in zip(tokens.vectors, tokens.spans, strict=True) if start <= at < end]
        if covering:
            np.testing.assert_allclose(vector, np.mean(covering, axis=0), atol=1e-6)
        else:
            assert np.isnan(vector).all()


def test_subwords_tile_a_sequence() -> None:
    tokenizer = subwords()
    model = Embedder(classifier(tokenizer), tokenizer, device="cpu")
    (sequence,) = random_sequences([50])
    (tokens,), (bases,) = embed(model, [sequence], level="token"), embed(model, [sequence], level="base")
    sizes = tokens.spans[:, 1] - tokens.spans[:, 0]
    np.testing.assert_array_equal(bases.vectors, np.repeat(tokens.vectors, sizes, axis=0))
    (one,), (other,) = (
        embed(model, [text], strand="average", level="base") for text in (sequence, reverse_complement_text(sequence))
    )
    np.testing.assert_allclose(one.vectors, other.vectors[::-1], atol=1e-6)


@pytest.mark.parametrize("length", [40, 41])
def test_both_strands_averaged_are_the_same_turned_round(length: int) -> None:
    model = embedder(5, 2)
    sequences = random_sequences([length, 23])
    others = [reverse_complement_text(sequence) for sequence in sequences]
    for one, other in zip(*(embed(model, texts, strand="average") for texts in (sequences, others)), strict=True):
        np.testing.assert_allclose(one.vectors, other.vectors, atol=1e-6)
    for one, other in zip(
        *(embed(model, texts, strand="average", level="base") for texts in (sequences, others)), strict=True
    ):
        np.testing.assert_allclose(one.vectors, other.vectors[::-1], atol=1e-6)
        assert not np.isnan(one.vectors).any()  # what one strand does not cover, the other does
    there, back = (embed(model, texts, level="base") for texts in (sequences, others))
    (both,) = embed(model, sequences[:1], strand="average", level="base")
    np.testing.assert_allclose(both.vectors[5:-5], (there[0].vectors + back[0].vectors[::-1])[5:-5] / 2, atol=1e-6)


def test_tokens_of_both_strands_are_averaged_where_they_lie_on_the_same_bases() -> None:
    model = embedder(3, 1)
    (sequence,) = random_sequences([40])
    (one,), (other,) = (
        embed(model, [text], strand="average", level="token") for text in (sequence, reverse_complement_text(sequence))
    )
    np.testing.assert_allclose(one.vectors, other.vectors[::-1], atol=1e-6)
    with pytest.raises(ConfigError, match=r"level=token strand=average.*stride=2"):
        embed(embedder(3, 2), [sequence], strand="average", level="token")


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"layer=3: .*\b0 .*\b2\b"):
        embedder(layer=3)
    with pytest.raises(ConfigError, match=r"level='word' .*\bsequence\b.*\btoken\b.*\bbase\b"):
        embed(embedder(), ["ACGT"], level="word")
    with pytest.raises(ConfigError, match="pooling='sum'"):
        embed(embedder(), ["ACGT"], pooling="sum")
    with pytest.raises(SequenceError, match=r"record '1': 2 bases .*\(k=3\)"):
        embed(embedder(), ["ACGT", "AC"])
    with pytest.raises(CheckpointError, match=r"/none\b.*\bexist\b"):
        Embedder.load(tmp_path / "none")
