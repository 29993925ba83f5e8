"""Masks have the right shape, rate and scale; penalties the right value."""

import pytest
import torch
from torch import nn

from gulmfit.models.dropout import (
    DropoutRates,
    EmbeddingDropout,
    VariationalDropout,
    activation_penalty,
    drop_connect,
)


def test_one_variational_mask_for_all_positions() -> None:
    torch.manual_seed(0)
    dropped = VariationalDropout(0.3).train()(torch.ones(200, 9, 50))
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert dropped.unique().tolist() == [0.0, pytest.approx(1 / 0.7)]
    assert (dropped == 0).float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert not torch.equal(dropped[0], dropped[1])


def test_embedding_dropout_drops_whole_tokens_for_the_batch() -> None:
    torch.manual_seed(0)
    embedding = nn.Embedding(1000, 4)
    tokens = torch.arange(1000).repeat(2, 1)
    dropped = EmbeddingDropout(0.25).train()(embedding, tokens)
    gone = (dropped == 0).all(-1)
    assert torch.equal(gone[0], gone[1])
    assert gone.float().mean().item() == pytest.approx(0.25, abs=0.05)
    torch.testing.assert_close(dropped[~gone], embedding(tokens)[~gone] / 0.75)


def test_drop_connect_is_unbiased_and_off_in_evaluation() -> None:
    torch.manual_seed(0)
    weight = torch.ones(300, 300)
    assert drop_connect(weight, 0.5, training=False) is weight
    assert drop_connect(weight, 0.5, training=True).mean().item() == pytest.approx(1.0, abs=0.02)


def test_penalty_by_hand() -> None:
    outputs = torch.tensor([[[1.0], [3.0], [100.0]]])
    mask = torch.tensor([[True, True, False]])
    assert activation_penalty(outputs, mask, 2.0, 0.0).item() == pytest.approx(2 * (1 + 9) / 2)
    assert activation_penalty(outputs, mask, 0.0, 1.0).item() == pytest.approx(4.0)
    assert activation_penalty(outputs[:, :1], None, 2.0, 1.0).item() == pytest.approx(2.0)


def test_rates_scale_once() -> None:
    rates = DropoutRates(embed_p=0.1, output_p=0.4, drop_mult=0.5)
    assert (rates.embed_p, rates.output_p, rates.drop_mult) == (0.05, 0.2, 1.0)
    assert DropoutRates(rates.embed_p, 0, 0, 0, rates.output_p, rates.drop_mult) == rates
