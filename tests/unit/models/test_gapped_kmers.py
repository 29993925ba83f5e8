"""Weights of gapped k-mers: what they add up to is counted by hand, on either strand, whatever pads a row."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from gulmfit.errors import ConfigError
from gulmfit.evaluate.baselines.inputs import gapped_features
from gulmfit.models.classifier import SequenceClassifier
from gulmfit.models.conv_rnn import ConvRNN
from gulmfit.models.gapped_kmers import GappedKmers
from gulmfit.seq.alphabet import encode, reverse_complement_text
from gulmfit.seq.tokens.tokenizer import KmerTokenizer

GAPS = 4
LENGTHS = (3, 7, 20, 41)


def texts(lengths: tuple[int, ...] = LENGTHS, letters: str = "ACGT") -> list[str]:
    rng = np.random.default_rng(0)
    return ["".join(rng.choice(list(letters), length)) for length in lengths]


def batch(sequences: list[str], k: int) -> tuple[Tensor, Tensor]:
    rows = [torch.from_numpy(KmerTokenizer(k, 1).encode(encode(text)).astype(np.int64)) for text in sequences]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.tensor([len(row) for row in rows])


def module(k: int = 2, *, canonical: bool = True, classes: int = 3) -> GappedKmers:
    torch.manual_seed(0)
    built = GappedKmers(classes, GAPS, k, 1, "ACGT", 3, canonical).eval()
    torch.nn.init.normal_(built.weights.weight)
    return built


def by_hand(built: GappedKmers, text: str, *, canonical: bool) -> np.ndarray:
    """Spell every pair, and look its weight up in the order in which pairs of words are listed."""
    words = ["".join(letters) for letters in itertools.product("ACGT", repeat=3)]
    weights = built.weights.weight.detach().numpy()
    found = []
    for gap, at in itertools.product(range(GAPS), range(len(text))):
        pair = text[at : at + 3], text[at + 3 + gap : at + 6 + gap]
        if len(pair[1]) < 3 or "N" in "".join(pair):
            continue
        turned = reverse_complement_text(pair[1]), reverse_complement_text(pair[0])
        first, second = min(pair, turned) if canonical else pair
        found.append(weights[gap * 64**2 + words.index(first) * 64 + words.index(second)])
    return np.sum(found, axis=0) / len(found) ** 0.5 if found else np.zeros(weights.shape[1])


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("canonical", [True, False])
def test_the_sum_is_that_of_the_pairs(k: int, canonical: bool) -> None:
    built, sequences = module(k, canonical=canonical), [*texts(), "ACGTNNACGATTAGCNAGGATTACA"]
    found = built(batch(sequences, k)[0]).sum(1).detach().numpy()
    for text, row in zip(sequences, found, strict=True):
        np.testing.assert_allclose(row, by_hand(built, text, canonical=canonical), atol=1e-5)


def test_pairs_are_numbered_as_by_the_baseline() -> None:
    """Where no pair comes twice, unit length is the same as division by the root of the number of pairs."""
    built, sequences = module(), texts((12, 14))
    features = gapped_features(sequences, 3, GAPS, canonical=True)
    assert (features.getnnz(1) == [sum(length - 5 - gap for gap in range(GAPS)) for length in (12, 14)]).all()
    found = built(batch(sequences, 2)[0]).sum(1).detach().numpy()
    np.testing.assert_allclose(found, features @ built.weights.weight.detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_what_tokens_add_is_turned_with_the_strand(k: int) -> None:
    built = module(k)
    for text in texts():
        given, other = (built(batch([one], k)[0]) for one in (text, reverse_complement_text(text)))
        torch.testing.assert_close(given, other.flip(1))


def test_a_symmetric_classifier_stays_symmetric() -> None:
    tokenizer = KmerTokenizer(2, 1)
    complement = tokenizer.complement()
    assert complement is not None
    for strands, alike in (("symmetric", True), ("both", False)):
        torch.manual_seed(0)
        net = SequenceClassifier(
            ConvRNN(len(tokenizer), 8), 2, strands=strands, complement=complement.tolist(), gaps=GAPS, kmer_bases=2,
            kmer_stride=1, letters="ACGT", num_special=3,
        ).eval()  # fmt: skip
        assert net.gapped_kmers is not None
        before = net(*batch(texts(), 2))[0]
        torch.nn.init.normal_(net.gapped_kmers.weights.weight)
        given, other = (net(*batch(some, 2))[0] for some in (texts(), list(map(reverse_complement_text, texts()))))
        torch.testing.assert_close(given, before + net.gapped_kmers(batch(texts(), 2)[0]).sum(1))
        assert torch.allclose(given, other, atol=1e-5) is alike


def test_all_weights_are_learned_with_the_head_and_start_at_nothing() -> None:
    net = SequenceClassifier(
        ConvRNN(19, 8), 2, gaps=GAPS, kmer_bases=2, kmer_stride=1, letters="ACGT", num_special=3
    )  # fmt: skip
    assert net.gapped_kmers is not None
    assert not net.gapped_kmers.weights.weight.any()
    assert any(one is net.gapped_kmers.weights.weight for one in net.layer_groups()[-1])
    assert sum(map(len, net.layer_groups())) == len(list(net.parameters()))


def test_half_of_the_pairs_are_dropped_and_the_others_count_twice() -> None:
    built = module().train()
    torch.nn.init.ones_(built.weights.weight)
    tokens = batch(texts((400,)), 2)[0]
    pairs = sum(395 - gap for gap in range(GAPS))
    found = [float(built(tokens).sum(1)[0, 0].detach()) / pairs**0.5 for _ in range(20)]  # 1 on average
    assert np.mean(found) == pytest.approx(1, abs=5 / (20 * pairs) ** 0.5)
    assert np.std(found) == pytest.approx(pairs**-0.5, rel=0.6)


@pytest.mark.parametrize(
    ("gaps", "k", "stride", "letters"),
    [(0, 2, 1, "ACGT"), (-1, 2, 1, "ACGT"), (4, 4, 1, "ACGT"), (4, 2, 2, "ACGT"), (4, None, None, "ACGT"),
     (4, 1, 1, "ACDEFGHIKLMNPQRSTVWY")],
)  # fmt: skip
def test_other_tokens_are_refused(gaps: int, k: int | None, stride: int | None, letters: str) -> None:
    with pytest.raises(ConfigError, match=r"head\.gaps"):
        GappedKmers(2, gaps, k, stride, letters, 3, canonical=False)
