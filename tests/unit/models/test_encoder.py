"""Encoders that keep the contract pass, each way of breaking it is refused, and states are trees of any form."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gulmfit.errors import ConfigError
from gulmfit.models import precision
from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.classifier import SequenceClassifier
from gulmfit.models.dropout import DropoutRates
from gulmfit.models.encoder import check_encoder, detach, encode_window, join_fresh, keep_rows
from gulmfit.models.language_model import LanguageModel
from gulmfit.models.precision import Verdict, guard

VOCABULARY = 19


class Tree(nn.Module):
    """Two GRUs whose state is a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.output_size = 6
        self.embedding = nn.Embedding(VOCABULARY, 6)
        self.first, self.second = (nn.GRU(6, 6, batch_first=True) for _ in range(2))

    def forward(self, tokens: Tensor, state: Any = None, frozen: int = 0) -> tuple[Tensor, Any]:
        x, a = self.first(self.embedding(tokens), state and state["a"])
        x, b = self.second(x, state and state["more"][0])
        return x, {"a": a, "more": [b]}

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return [list(part.parameters()) for part in (self.embedding, self.first, self.second)]


class Conv(nn.Module):
    """A convolution that looks back, and ahead if it is told to."""

    context: int | None = 3

    def __init__(self, size: int = 6, output_size: int = 6, ahead: int = 0) -> None:
        super().__init__()
        self.output_size, self.ahead = output_size, ahead
        self.embedding = nn.Embedding(VOCABULARY, size)
        self.convolution = nn.Conv1d(size, 6, 4)

    def forward(self, tokens: Tensor, state: Any = None, frozen: int = 0) -> tuple[Tensor, Any]:
        x = F.pad(self.embedding(tokens).transpose(1, 2), (3 - self.ahead, self.ahead))
        return self.convolution(x).transpose(1, 2), None

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return [list(self.embedding.parameters()), list(self.convolution.parameters())]


class Forgetful(Conv):
    context = None


class ShortSighted(Conv):
    context = 2


class Incomplete(Conv):
    def layer_groups(self) -> list[list[nn.Parameter]]:
        return super().layer_groups()[:1]


class Normalised(Conv):
    """Subtracts the mean over all tokens, padding among them."""

    causal = False

    def forward(self, tokens: Tensor, state: Any = None, frozen: int = 0) -> tuple[Tensor, Any]:
        outputs, _ = super().forward(tokens)
        return outputs - outputs.mean(1, keepdim=True), None


class BatchFirst(Tree):
    def forward(self, tokens: Tensor, state: Any = None, frozen: int = 0) -> tuple[Tensor, Any]:
        x, a = self.first(self.embedding(tokens), state if state is None else state.transpose(0, 1).contiguous())
        return x, a.transpose(0, 1)


class WarmStart(Tree):
    def forward(self, tokens: Tensor, state: Any = None, frozen: int = 0) -> tuple[Tensor, Any]:
        start = torch.ones(1, len(tokens), 6)
        return super().forward(tokens, state or {"a": start, "more": [start]}, frozen)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_awd_rnn_keeps_the_contract_and_is_left_as_it_was(cell: str) -> None:
    rates = DropoutRates(*[0.3] * 5)
    encoder = AWDRNN(VOCABULARY, 8, 12, 2, rates, cell=cell)
    before = torch.get_rng_state()
    check_encoder(encoder)
    assert encoder.training
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("encoder", [Tree(), Conv()])
def test_encoders_that_keep_the_contract_pass(encoder: Any) -> None:
    check_encoder(encoder)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (Conv(ahead=2), "causal = False"),
        (Forgetful(), "second window"),
        (ShortSighted(), "second window"),
        (Incomplete(), "layer_groups"),
        (Conv(output_size=7), "output_size is 7"),
        (Normalised(), "padding"),
        (BatchFirst(), "axis 1"),
        (WarmStart(), "zeros"),
    ],
)
def test_each_way_to_break_it_is_told(broken: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=f"{type(broken).__name__}.*{told}"):
        check_encoder(broken)


@pytest.mark.parametrize("encoder", [Tree(), Conv(), AWDRNN(VOCABULARY, 8, 12, 2)])
@torch.no_grad()
def test_lanes_come_and_go(encoder: Any) -> None:
    """What a sequence gives does not depend on those that were read before it or with it."""
    encoder.eval()
    tokens = torch.randint(1, VOCABULARY, (3, 30))
    expected, _ = encode_window(encoder, tokens)
    first, state = encode_window(encoder, tokens[:2, :10])
    state = join_fresh(keep_rows(detach(state), [1]), 1)  # row 0 has ended, row 2 begins
    rest = torch.stack([tokens[1, 10:30], tokens[2, :20]])
    found, _ = encode_window(encoder, rest, state)
    for ours, theirs in ((first, expected[:2, :10]), (found[0], expected[1, 10:]), (found[1], expected[2, :20])):
        torch.testing.assert_close(ours, theirs)


def test_an_encoder_up_to_a_layer_has_the_outputs_of_that_layer() -> None:
    encoder = AWDRNN(VOCABULARY, 8, 12, 3).eval()
    tokens = torch.randint(1, VOCABULARY, (2, 9))
    x = encoder.embedding(tokens)
    for depth in range(4):
        part = encoder.up_to(depth)
        assert torch.equal(part(tokens)[0], x)
        assert part.output_size == x.shape[-1]
        if depth < 3:
            layer = encoder.recurrent_layers()[depth]
            x, _ = layer(x, layer.initial_state(2, x))
    assert encoder.depth == 3


def test_truncated_gradients_reach_the_windows_end_and_no_further() -> None:
    model = SequenceClassifier(Tree(), 2, bptt=4)
    model.train()
    logits, penalty = model(torch.randint(1, VOCABULARY, (3, 10)), torch.tensor([10, 6, 1]))
    (logits.sum() + penalty).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_language_model_needs_what_it_is_tied_to() -> None:
    with pytest.raises(ConfigError, match=r"\b6 units .*embedding .*\b5: "):
        LanguageModel(Conv(size=5), 3, 4)
    with pytest.raises(ConfigError, match="Normalised"):
        LanguageModel(Normalised(), 3, 4)
    with pytest.raises(ConfigError, match=r"bptt=3.*Normalised"):
        SequenceClassifier(Normalised(), 2, bptt=3)


def test_torchs_own_layers_are_judged_at_their_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def judge(kind: str, inputs: int, size: int, units: int, dtype: Any, device: str) -> Verdict:
        asked.append((kind, inputs, size))
        return Verdict(1.2 if size == 16 else 0.005, slow=True)

    monkeypatch.setattr(precision, "judge", judge)
    assert guard(nn.ModuleList([nn.GRU(4, 8, 2, bidirectional=True), nn.Conv1d(3, 3, 3)]), torch.bfloat16) == []
    assert asked == [("gru", 4, 8), ("gru", 16, 8)]
    with pytest.raises(ConfigError, match="120%"):
        guard(nn.Sequential(nn.LSTM(4, 16)), torch.bfloat16)
