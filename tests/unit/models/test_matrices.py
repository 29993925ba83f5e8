"""Weight matrices against what torch computes with them."""

import torch
from torch import nn

from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.classifier import SequenceClassifier
from gulmfit.models.conv_rnn import ConvRNN
from gulmfit.models.dropout import DropoutRates
from gulmfit.models.language_model import LanguageModel
from gulmfit.models.matrices import weight_matrices


def test_the_gates_are_those_that_an_lstm_computes_with() -> None:
    torch.manual_seed(0)
    layer = nn.LSTM(3, 4)
    parts = {(one.name[:9], one.gate): one.weight for one in weight_matrices(layer)}
    assert len(parts) == 8
    x, h, c = torch.randn(1, 3), torch.randn(1, 4), torch.randn(1, 4)
    biases = (layer.bias_ih_l0 + layer.bias_hh_l0).chunk(4)
    logits = {
        gate: x @ parts["weight_ih", gate].T + h @ parts["weight_hh", gate].T + bias
        for gate, bias in zip(("input", "forget", "cell", "output"), biases, strict=True)
    }
    cell = logits["forget"].sigmoid() * c + logits["input"].sigmoid() * logits["cell"].tanh()
    _, (hidden, state) = layer(x[None], (h[None], c[None]))
    torch.testing.assert_close(state[0], cell)
    torch.testing.assert_close(hidden[0], logits["output"].sigmoid() * cell.tanh())


def test_every_weight_comes_once_and_undropped() -> None:
    torch.manual_seed(0)
    encoder = AWDRNN(20, 6, 10, 2, DropoutRates(weight_p=0.5))
    model = LanguageModel(encoder, 4, 4).train()
    found = list(weight_matrices(model))
    assert len(found) == 1 + 2 * 2 * 4  # the tied embedding once
    assert [one.gate for one in found[:5]] == ["", "input", "forget", "cell", "output"]
    state = model.state_dict()
    for name in dict.fromkeys(one.name for one in found):
        whole = torch.cat([one.weight for one in found if one.name == name])
        torch.testing.assert_close(whole, state[name])


def test_gru_convolution_and_head_are_taken_apart() -> None:
    model = SequenceClassifier(ConvRNN(20, 6, 7, 3, 2, 5, 1, cell="gru"), 3)
    found = list(weight_matrices(model))
    assert [one.gate for one in found if "rnn" in one.name] == ["reset", "update", "new"] * 2
    shapes = {one.name: tuple(one.weight.shape) for one in found}
    assert shapes["encoder.convolution.weight"] == (7, 6 * 3)
    assert sum(one.weight.numel() for one in found) == sum(p.numel() for p in model.parameters() if p.dim() > 1)
