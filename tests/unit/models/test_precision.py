"""Reduced precision is used only where its gradients are right."""

import pytest
import torch

from gulmfit.models import precision
from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.precision import TOLERANCE, fast_precision, gradient_error, guard


def test_gradients_agree_with_fp32_at_the_sizes_in_use() -> None:
    """A layer that this machine gets wrong is one that `guard` keeps in fp32."""
    model = AWDRNN(20, 32, 64, 2)
    refused = guard(model, torch.bfloat16)
    for index, layer in enumerate(model.layers):
        error = gradient_error("lstm", layer.rnn.input_size, layer.rnn.hidden_size, torch.bfloat16)
        assert (error > TOLERANCE) is (index in refused)
        assert layer.reduced_precision is (index not in refused)


def test_a_wrong_kernel_is_not_used(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(precision, "gradient_error", lambda kind, i, h, dtype, device: 1.2 if h == 16 else 0.005)
    model = AWDRNN(20, 8, 16, 3)
    assert guard(model, torch.bfloat16) == [0, 1]
    assert "stays in fp32" in caplog.text
    with torch.autocast("cpu", torch.bfloat16):
        x = torch.randn(2, 3, 8)
        assert model.layers[0](x, model.layers[0].initial_state(2, x))[0].dtype == torch.float32
        x = torch.randn(2, 3, 16)
        assert model.layers[2](x, model.layers[2].initial_state(2, x))[0].dtype == torch.bfloat16


def test_the_check_leaves_the_random_state_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    gradient_error("gru", 5, 7, torch.bfloat16)
    assert torch.equal(torch.rand(2), expected)


def test_the_choice_is_one_of_lightnings_names() -> None:
    assert fast_precision("cpu") in ("bf16-mixed", "32-true")
