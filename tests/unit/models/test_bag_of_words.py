"""The bag of words equals torch's own EmbeddingBag, and knows nothing of order or of padding."""

import pytest
import torch
from torch.nn import functional as F

from gulmfit.errors import ConfigError
from gulmfit.models.bag_of_words import BagOfWords
from gulmfit.models.dropout import DropoutRates
from gulmfit.models.encoder import check_encoder, is_causal

TOKENS = torch.tensor([[3, 4, 5, 6, 7], [10, 11, 12, 0, 0], [22, 0, 0, 0, 0]])


def test_every_output_is_the_mean_of_the_words() -> None:
    encoder = BagOfWords(23, 6).eval()
    outputs, state = encoder(TOKENS)
    wanted = F.embedding_bag(TOKENS, encoder.embedding.weight, padding_idx=0, mode="mean")
    assert state is None
    torch.testing.assert_close(outputs, wanted.unsqueeze(1).expand(-1, 5, -1))
    shuffled = TOKENS[:1, [4, 2, 0, 3, 1]]
    torch.testing.assert_close(encoder(shuffled)[0][:, 0], outputs[:1, 0])


def test_only_the_direction_of_a_normalized_mean_is_left() -> None:
    plain, encoder = BagOfWords(23, 6).eval(), BagOfWords(23, 6, normalize=True).eval()
    encoder.load_state_dict(plain.state_dict())
    means, outputs = plain(TOKENS)[0][:, 0], encoder(TOKENS)[0][:, 0]
    torch.testing.assert_close(outputs.norm(dim=1), torch.full((3,), 6**0.5))
    torch.testing.assert_close(F.cosine_similarity(outputs, means), torch.ones(3))


def test_it_keeps_the_contract() -> None:
    encoder = BagOfWords(23, 6)
    check_encoder(encoder)
    assert not is_causal(encoder)
    encoder(TOKENS)[0].sum().backward()
    assert encoder.embedding.weight.grad is not None
    assert not encoder(TOKENS, frozen=1)[0].requires_grad


def test_whole_words_are_dropped() -> None:
    torch.manual_seed(0)
    encoder = BagOfWords(23, 6, DropoutRates(embed_p=0.5)).train()
    row = torch.full((1, 4), 7)
    seen = {float(encoder(row)[0][0, 0, 0]) for _ in range(40)}
    assert seen == {0.0, float(2 * encoder.embedding.weight[7, 0])}


def test_a_size_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="embed_size=0"):
        BagOfWords(23, 0)
