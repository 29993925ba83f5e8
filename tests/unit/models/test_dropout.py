"""Masks have the right shape, rate and scale; penalties the right value."""

import pytest
import torch
from torch import Tensor, nn

from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.dropout import DropoutRates, activation_penalty


def test_an_encoder_drops_the_same_features_at_every_token_and_whole_tokens_for_the_batch() -> None:
    torch.manual_seed(0)
    encoder = AWDRNN(1000, 50, 8, 1, DropoutRates(embed_p=0.25, input_p=0.3)).train()
    nn.init.ones_(encoder.embedding.weight)
    seen: list[Tensor] = []
    encoder.layers[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    encoder(torch.arange(1000).repeat(50, 1))
    (dropped,) = seen  # (B, T, E)
    assert sorted(dropped.unique().tolist()) == [0.0, pytest.approx(1 / 0.75 / 0.7)]
    tokens, features = (dropped == 0).all(2), (dropped == 0).all(1)
    assert torch.equal(dropped == 0, tokens.unsqueeze(2) | features.unsqueeze(1))
    assert torch.equal(tokens, tokens[:1].expand_as(tokens)), "all of the batch drops the same tokens"
    assert not torch.equal(features[0], features[1]), "each sequence drops features of its own"
    assert tokens.float().mean().item() == pytest.approx(0.25, abs=0.05)
    assert features.float().mean().item() == pytest.approx(0.3, abs=0.02)


def test_drop_connect_is_off_in_evaluation_and_leaves_the_weights_alone() -> None:
    torch.manual_seed(0)
    encoder, tokens = AWDRNN(20, 6, 8, 1, DropoutRates(weight_p=0.5)), torch.randint(1, 20, (3, 9))
    before = {name: part.clone() for name, part in encoder.state_dict().items()}
    first, second = (encoder(tokens)[0] for _ in range(2))
    assert not torch.equal(first, second)
    assert all(torch.equal(before[name], part) for name, part in encoder.state_dict().items())
    encoder.eval()
    assert torch.equal(encoder(tokens)[0], encoder(tokens)[0])


def test_drop_connect_is_unbiased(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    encoder = AWDRNN(20, 300, 8, 1, DropoutRates(weight_p=0.5))
    nn.init.ones_(encoder.recurrent_layers()[0].rnn.weight_hh_l0)
    given: list[list[Tensor]] = []
    lstm = torch.lstm
    monkeypatch.setattr(torch, "lstm", lambda x, state, weights, *rest: (
        given.append(weights), lstm(x, state, weights, *rest)
    )[1])  # fmt: skip
    encoder(torch.ones(1, 1, dtype=torch.long))
    assert given[0][1].unique().tolist() == [0.0, 2.0]
    assert given[0][1].mean().item() == pytest.approx(1.0, abs=0.02)


def test_the_same_features_are_dropped_between_layers_at_every_token() -> None:
    torch.manual_seed(0)
    encoder, seen = AWDRNN(20, 6, 50, 2, DropoutRates(hidden_p=0.3)), list[Tensor]()
    encoder.layers[1].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    encoder(torch.randint(1, 20, (200, 9)))
    gone = seen[0] == 0
    assert torch.equal(gone, gone[:, :1].expand_as(gone))
    assert gone.float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert not torch.equal(gone[0], gone[1])


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
