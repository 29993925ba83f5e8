"""Both strands through one encoder: what is read is the other strand, and answers can be the same for either."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from gulmfit.errors import ConfigError
from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.both_strands import OtherStrand, turn
from gulmfit.models.classifier import ConcatPooling, MultiLabelClassifier, SequenceClassifier, SequenceRegressor
from gulmfit.models.conv_rnn import ConvRNN
from gulmfit.models.encoder import check_encoder
from gulmfit.seq.alphabet import encode, reverse_complement
from gulmfit.seq.tokens.tokenizer import KmerTokenizer

BASES = np.array(list("ACGTN"))


def sequences(lengths: list[int], seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(BASES[rng.choice(5, size, p=[0.24, 0.24, 0.24, 0.24, 0.04])]) for size in lengths]


def batch(texts: list[str], tokenizer: KmerTokenizer, *, reverse: bool = False) -> tuple[Tensor, Tensor]:
    codes = [encode(text) for text in texts]
    rows = [tokenizer.encode(reverse_complement(one) if reverse else one) for one in codes]
    tokens = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for index, row in enumerate(rows):
        tokens[index, : len(row)] = torch.from_numpy(row)
    return tokens, torch.tensor([len(row) for row in rows])


@pytest.mark.parametrize(("k", "stride"), [(1, 1), (2, 1), (3, 2), (4, 3), (5, 2), (2, 3)])
def test_tokens_turned_are_those_of_the_reverse_complement(k: int, stride: int) -> None:
    tokenizer = KmerTokenizer(k, stride)
    # Lengths that no base is left over of: a stride starts at the other end on the other strand.
    texts = sequences([k + stride * count for count in (0, 1, 7, 30)])
    tokens, lengths = batch(texts, tokenizer)
    complement = tokenizer.complement()
    assert complement is not None
    turned = OtherStrand(complement.tolist())(tokens, lengths)
    assert torch.equal(turned, batch(texts, tokenizer, reverse=True)[0])
    assert torch.equal(OtherStrand(complement.tolist())(turned, lengths), tokens)


def test_rna_has_another_strand_and_proteins_have_none() -> None:
    assert KmerTokenizer(3, 1, "rna").complement() is not None
    assert KmerTokenizer(1, 1, "protein").complement() is None
    with pytest.raises(ConfigError, match=r"arch\.strands"):
        OtherStrand(None)


def test_features_are_turned_within_the_real_length() -> None:
    values = torch.arange(12.0).view(2, 3, 2)
    assert turn(values, torch.tensor([3, 2])).tolist() == [[[4, 5], [2, 3], [0, 1]], [[8, 9], [6, 7], [0, 0]]]


@pytest.mark.parametrize("head", [SequenceClassifier, MultiLabelClassifier, SequenceRegressor])
@pytest.mark.parametrize("encoder", [functools.partial(AWDRNN, hidden_size=12), ConvRNN], ids=["AWDRNN", "ConvRNN"])
def test_a_symmetric_classifier_answers_the_same_for_either_strand(
    head: type[SequenceClassifier], encoder: Callable[[int, int], torch.nn.Module]
) -> None:
    tokenizer = KmerTokenizer(2, 1)
    complement = tokenizer.complement()
    assert complement is not None
    torch.manual_seed(0)
    texts = sequences([9, 40, 41, 64])
    for strands, alike in (("symmetric", True), ("both", False)):
        net = head(encoder(len(tokenizer), 8), 3, bins=4, strands=strands, complement=complement.tolist()).eval()
        given, other = (net(*batch(texts, tokenizer, reverse=reverse))[0] for reverse in (False, True))
        assert torch.allclose(given, other, atol=1e-5) is alike
        pooled = net.pool(*batch(texts, tokenizer))[0]
        turned = net.pool(*batch(texts, tokenizer, reverse=True))[0]
        torch.testing.assert_close(torch.cat(pooled.chunk(2, 1)[::-1], 1), turned)  # the halves change places


def test_a_forward_classifier_has_the_weights_it_always_had() -> None:
    net = SequenceClassifier(AWDRNN(20, 8, 12, 2), 3)
    assert not any("strand" in name for name in net.state_dict())
    assert net.head.layers[0].num_features == 3 * 8


@pytest.mark.parametrize("window", [1, 7, 50])
def test_means_of_stretches_equal_those_by_hand(window: int) -> None:
    lengths, bins = torch.tensor([7, 20, 3, 16, 1]), 8
    outputs = torch.randn(5, 20, 3)
    pooling = ConcatPooling(lengths, bins)
    for start in range(0, 20, window):
        pooling.add(outputs[:, start : start + window])
    found = pooling.result()[:, 9:].view(5, bins, 3)
    for row, length in enumerate(lengths.tolist()):
        for part in range(bins):
            inside = [step for step in range(length) if step * bins // length == part]
            expected = outputs[row, inside].mean(0) if inside else torch.zeros(3)
            torch.testing.assert_close(found[row, part], expected)


@pytest.mark.parametrize("num_layers", [0, 1, 2])
@pytest.mark.parametrize("pool", [1, 3])
def test_the_convolution_keeps_the_contract_of_an_encoder(num_layers: int, pool: int) -> None:
    torch.manual_seed(0)
    encoder = ConvRNN(20, 8, filters=12, width=5, pool=pool, hidden_size=6, num_layers=num_layers)
    check_encoder(encoder)
    # Not a multiple of the pooling window: what pads a row is no part of its last window.
    tokens = torch.randint(1, 20, (2, 17))
    padded = torch.cat([tokens, torch.zeros(2, 9, dtype=torch.long)], 1)
    torch.testing.assert_close(encoder.eval()(padded)[0][:, :17], encoder(tokens)[0])


@pytest.mark.parametrize("vocab_size", [20, 32])
def test_a_folded_embedding_changes_nothing(vocab_size: int) -> None:
    torch.manual_seed(0)
    encoder = ConvRNN(vocab_size, 32, filters=12, width=5, hidden_size=6).eval()
    tokens = torch.randint(1, vocab_size, (3, 17))
    tokens[1, 9:] = 0
    embedded: list[torch.Tensor] = []
    encoder.embedding.register_forward_hook(lambda *call: embedded.append(call[2]))
    layer_by_layer = encoder(tokens)[0]
    assert len(embedded) == 1  # what is asked for a gradient goes through the embedding
    with torch.no_grad():
        torch.testing.assert_close(encoder(tokens)[0], layer_by_layer)
    assert len(embedded) == 1
    with torch.no_grad():
        torch.testing.assert_close(encoder.double()(tokens)[0], layer_by_layer.double(), rtol=1e-4, atol=1e-5)


def test_frozen_groups_of_the_convolution_have_no_graph() -> None:
    encoder = ConvRNN(20, 8, filters=12, width=5, hidden_size=6)
    for frozen in range(4):
        encoder.zero_grad()
        outputs = encoder(torch.randint(1, 20, (2, 17)), None, frozen)[0]
        if frozen < 3:
            outputs.sum().backward()
        learned = [any(p.grad is not None for p in group) for group in encoder.layer_groups()]
        assert learned == [index >= frozen for index in range(3)]
        assert outputs.requires_grad is (frozen < 3)
