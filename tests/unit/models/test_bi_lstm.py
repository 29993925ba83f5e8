"""The encoder that reads both ways equals torch's own bidirectional layers, padding or not."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gulmfit.errors import ConfigError
from gulmfit.models.bi_lstm import BiLSTM
from gulmfit.models.dropout import DropoutRates
from gulmfit.models.encoder import check_encoder, is_causal

VOCABULARY = 23
TOKENS = torch.tensor([[3, 4, 5, 6, 7, 8, 9], [10, 11, 12, 0, 0, 0, 0], [22, 1, 2, 3, 4, 0, 0]])
LENGTHS = (TOKENS != 0).sum(1)


def torch_outputs(encoder: BiLSTM, cell: type[nn.LSTM] | type[nn.GRU]) -> Tensor:
    """Copy the weights into torch's bidirectional layers, and run them over packed sequences."""
    first = encoder.ahead[0].rnn
    layers = cell(first.input_size, first.hidden_size, len(encoder.ahead), batch_first=True, bidirectional=True)
    for index, pair in enumerate(zip(encoder.ahead, encoder.back, strict=True)):
        for suffix, layer in zip(("", "_reverse"), pair, strict=True):
            for name, weight in layer.rnn.named_parameters():
                getattr(layers, name.replace("_l0", f"_l{index}{suffix}")).data.copy_(weight.data)
    packed = pack_padded_sequence(encoder.embedding(TOKENS), LENGTHS, batch_first=True, enforce_sorted=False)
    outputs: Tensor = pad_packed_sequence(layers(packed)[0], batch_first=True)[0]
    return outputs


@pytest.mark.parametrize(("cell", "kind"), [("lstm", nn.LSTM), ("gru", nn.GRU)])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_it_equals_torchs_own_layers(cell: str, kind: type[nn.LSTM] | type[nn.GRU], num_layers: int) -> None:
    torch.manual_seed(0)
    encoder = BiLSTM(VOCABULARY, 5, 6, num_layers, summary_size=0, cell=cell).eval()
    wanted = torch_outputs(encoder, kind)
    real = (TOKENS != 0).unsqueeze(-1)
    torch.testing.assert_close(encoder(TOKENS)[0] * real, wanted * real, atol=1e-6, rtol=1e-5)


def test_the_summary_is_of_real_tokens() -> None:
    torch.manual_seed(0)
    encoder = BiLSTM(VOCABULARY, 5, 6, summary_size=4).eval()
    assert encoder.output_size == 16
    assert encoder.summary is not None
    outputs = encoder(TOKENS)[0]
    for row, length in enumerate(LENGTHS.tolist()):
        alone = encoder(TOKENS[row : row + 1, :length])[0][0]
        torch.testing.assert_close(outputs[row, :length], alone, atol=1e-6, rtol=1e-5)
        means = torch.cat([10 * encoder.embedding(TOKENS[row, :length]).mean(0), alone[:, :12].mean(0)])
        size = torch.tensor([length]).log() - 5.5
        summary = encoder.summary(torch.cat([means, size])).relu()
        torch.testing.assert_close(alone[:, 12:], summary.expand(length, -1))


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "cell": "gru"}, {"summary_size": 0}])
def test_it_keeps_the_contract(options: dict[str, object]) -> None:
    encoder = BiLSTM(VOCABULARY, 8, 8, dropout=DropoutRates(0.1, 0.1, 0.1, 0.1, 0.1), **options)  # type: ignore[arg-type]
    check_encoder(encoder)
    assert not is_causal(encoder)


def test_frozen_layers_have_no_gradient() -> None:
    encoder = BiLSTM(VOCABULARY, 4, 4, 2, summary_size=0)
    for frozen in range(3):
        encoder.zero_grad()
        encoder(TOKENS, frozen=frozen)[0].sum().backward()
        learned = [all(one.grad is not None for one in group) for group in encoder.layer_groups()]
        assert learned == [index >= frozen for index in range(3)]


@pytest.mark.parametrize("wrong", [{"hidden_size": 0}, {"num_layers": 0}, {"summary_size": -1}, {"cell": "rnn"}])
def test_sizes_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        BiLSTM(VOCABULARY, **wrong)  # type: ignore[arg-type]
