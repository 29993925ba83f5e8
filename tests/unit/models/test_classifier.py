"""Pooling and the head: padding, batch mates and windows must not matter, BatchNorm must be right."""

import pytest
import torch

from gulmfit.errors import ConfigError
from gulmfit.models import classifier
from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.classifier import ConcatPooling, SequenceClassifier
from gulmfit.models.dropout import DropoutRates


def model(**arguments: object) -> SequenceClassifier:
    torch.manual_seed(0)
    return SequenceClassifier(AWDRNN(20, 8, 12, 2), num_classes=3, **arguments)  # type: ignore[arg-type]


def test_pooling_by_hand() -> None:
    outputs = torch.tensor([[[1.0, -1.0], [3.0, -5.0], [9.0, 9.0]], [[2.0, 2.0], [4.0, 0.0], [0.0, 1.0]]])
    pooling = ConcatPooling(torch.tensor([2, 3]))
    mask = pooling.add(outputs[:, :2])
    assert mask.tolist() == [[True, True], [True, True]]
    assert pooling.add(outputs[:, 2:]).tolist() == [[False], [True]]
    expected = [[3.0, -5.0, 3.0, -1.0, 2.0, -3.0], [0.0, 1.0, 4.0, 2.0, 2.0, 1.0]]
    torch.testing.assert_close(pooling.result(), torch.tensor(expected))


def test_padding_and_batch_mates_do_not_matter() -> None:
    net = model().eval()
    sequences = [torch.randint(1, 20, (n,)) for n in (1, 5, 9, 30)]
    alone = torch.cat([net(s.unsqueeze(0), torch.tensor([len(s)]))[0] for s in sequences])
    padded = torch.zeros(4, 40, dtype=torch.long)
    for row, sequence in enumerate(sequences):
        padded[row, : len(sequence)] = sequence
    together, _ = net(padded, torch.tensor([1, 5, 9, 30]))
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)


def test_windows_outside_training_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    net = model().eval()
    tokens, lengths = torch.randint(1, 20, (3, 50)), torch.tensor([50, 13, 31])
    whole, _ = net(tokens, lengths)
    monkeypatch.setattr(classifier, "EVALUATION_WINDOW", 7)
    torch.testing.assert_close(net(tokens, lengths)[0], whole, atol=1e-6, rtol=1e-5)


def test_gradients_reach_the_first_token_unless_bptt_cuts_them() -> None:
    for bptt, reached in ((None, True), (10, False)):
        net = model(bptt=bptt).train()
        tokens = torch.arange(1, 20).repeat(2, 2)[:, :30]
        tokens[:, 0] = 19  # a token that stands nowhere else in the last window
        tokens[:, 1:][tokens[:, 1:] == 19] = 1
        embedding = net.encoder.embedding.weight
        state = net.encoder(tokens[:, :1])[0]
        assert state.requires_grad
        pooled, _ = net.pool(tokens, torch.tensor([30, 30]))
        last = pooled[:, :8].sum()
        gradient = torch.autograd.grad(last, embedding)[0]
        assert bool(gradient[19].abs().sum() > 0) is reached


def test_calibration_gives_exact_statistics_whatever_the_batches() -> None:
    net = model(dropout=DropoutRates(output_p=0.4)).train()
    features = torch.randn(13, 24) * 5 + 3
    net.head.calibrate(features)
    first, second = net.head.layers[0], net.head.layers[4]
    torch.testing.assert_close(first.running_mean, features.mean(0))
    torch.testing.assert_close(first.running_var, features.var(0))
    net.eval()
    hidden = torch.relu(net.head.layers[2](net.head.layers[0](features)))
    torch.testing.assert_close(second.running_mean, hidden.mean(0))
    assert net.head.layers[1].training is False
    assert torch.isfinite(net.head(features)).all()


def test_calibration_keeps_training_mode() -> None:
    net = model().train()
    net.head.calibrate(torch.randn(1, 24))
    assert all(module.training for module in net.modules())


def test_penalty_ignores_padding() -> None:
    net = model().train()
    tokens, lengths = torch.randint(1, 20, (2, 12)), torch.tensor([12, 12])
    padded = torch.cat([tokens, torch.zeros(2, 9, dtype=torch.long)], 1)
    torch.testing.assert_close(net(tokens, lengths)[1], net(padded, lengths)[1], atol=1e-6, rtol=1e-5)


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 classes"):
        SequenceClassifier(AWDRNN(20, 8, 12, 2), num_classes=1)
    with pytest.raises(ConfigError, match="bptt=0"):
        model(bptt=0)
