"""Reduced precision is used only where its gradients are right and its kernel is the fast one."""

import re

import numpy as np
import pytest
import torch
from torch import Tensor

from gulmfit.models import precision
from gulmfit.models.awd_rnn import AWDRNN, RecurrentLayer, in_one_piece, with_idle_units
from gulmfit.models.dropout import DropoutRates
from gulmfit.models.hardware import computing
from gulmfit.models.language_model import LanguageModel
from gulmfit.models.precision import TOLERANCE, Verdict, fast_precision, guard, judge, runs_on_vendor_kernel
from gulmfit.seq.tokens.tokenizer import KmerTokenizer

NATIVE_BF16 = fast_precision("cpu") == "bf16-mixed"


def test_a_layer_is_in_reduced_precision_only_where_it_was_found_usable() -> None:
    model = AWDRNN(20, 32, 64, 2)
    refused = guard(model, torch.bfloat16)
    for index, layer in enumerate(model.layers):
        sizes = (layer.rnn.input_size, layer.rnn.hidden_size, layer.idle_units)
        assert judge("lstm", *sizes, torch.bfloat16).usable is (index not in refused)
        assert layer.reduced_precision is (index not in refused)


def test_a_wrong_kernel_is_not_used(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    wrong_at_16 = lambda kind, i, h, units, dtype, device: Verdict(1.2 if h == 16 else 0.005, False)  # noqa: E731
    monkeypatch.setattr(precision, "judge", wrong_at_16)
    model = AWDRNN(20, 8, 16, 3)
    assert guard(model, torch.bfloat16) == [0, 1]
    assert re.search(r"gradients .*\b120%", caplog.text)
    assert "stays in fp32" in caplog.text
    with torch.autocast("cpu", torch.bfloat16):
        x = torch.randn(2, 3, 8)
        assert model.layers[0](x, model.layers[0].initial_state(2, x))[0].dtype == torch.float32
        x = torch.randn(2, 3, 16)
        assert model.layers[2](x, model.layers[2].initial_state(2, x))[0].dtype == torch.bfloat16


def test_idle_units_lead_past_widths_that_are_wrong(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The trap as it was seen: wrong where the width is a multiple of 32."""
    wrong_at_32s = lambda kind, i, h, units, dtype, device: Verdict(1.2 * ((h + units) % 32 == 0), False)  # noqa: E731
    monkeypatch.setattr(precision, "judge", wrong_at_32s)
    model = AWDRNN(20, 24, 64, 2)
    assert guard(model, torch.bfloat16) == []
    assert [layer.idle_units for layer in model.recurrent_layers()] == [8, 0]
    assert "gets 8 idle units" in caplog.text


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_idle_units_change_nothing(kind: str) -> None:
    torch.manual_seed(0)
    layer = RecurrentLayer(kind, 5, 7, weight_p=0.0)
    x = torch.randn(3, 6, 5, requires_grad=True)
    state = tuple(torch.randn_like(part) for part in layer.initial_state(3, x))

    def run(units: int) -> list[Tensor]:
        rnn = layer.rnn
        weights = [rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0, rnn.bias_hh_l0]
        if units:
            weights = with_idle_units(weights, 7, units)
        padded = [torch.nn.functional.pad(part, (0, units)) for part in state]
        call, start = (torch.lstm, padded) if kind == "lstm" else (torch.gru, padded[0])
        outputs, *after = call(x, start, weights, True, 1, 0.0, True, False, True)
        assert not any(part[..., 7:].any() for part in (outputs, *after))
        gradients = torch.autograd.grad(outputs.sin().sum() + after[0].sum(), [x, *layer.parameters()])
        return [outputs[..., :7], *(part[..., :7] for part in after), *gradients]

    for wider, plain in zip(run(8), run(0), strict=True):
        torch.testing.assert_close(wider, plain)


def test_a_layer_with_idle_units_is_the_same_layer_under_autocast() -> None:
    torch.manual_seed(0)
    layer = RecurrentLayer("lstm", 12, 16, weight_p=0.0)
    x = torch.randn(3, 6, 12)
    with torch.autocast("cpu", torch.bfloat16):
        plain, plain_state = layer(x, layer.initial_state(3, x))
        layer.idle_units = 8
        wider, wider_state = layer(x, layer.initial_state(3, x))
    assert wider.shape == plain.shape
    torch.testing.assert_close(wider, plain, atol=0.02, rtol=0.02)
    torch.testing.assert_close(wider_state, plain_state, atol=0.02, rtol=0.02)


def test_weights_in_one_piece_are_the_weights() -> None:
    weights = [torch.randn(8, 3, requires_grad=True), torch.randn(8, 2, requires_grad=True), torch.randn(8)]
    pieces = in_one_piece(weights)
    assert len({piece.untyped_storage().data_ptr() for piece in pieces}) == 1
    offsets = [piece.storage_offset() for piece in pieces]
    assert offsets == [0, 24, 40]
    for piece, weight in zip(pieces, weights, strict=True):
        assert torch.equal(piece, weight)
    gradients = torch.autograd.grad(sum((piece * 2).sum() for piece in pieces), weights[:2])
    assert all((gradient == 2).all() for gradient in gradients)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this build of torch has no oneDNN")
def test_a_slow_path_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    layer = RecurrentLayer("lstm", 12, 16, weight_p=0.5).train()
    x = torch.randn(3, 6, 12)
    assert runs_on_vendor_kernel(layer(x, layer.initial_state(3, x))[0])
    with torch.backends.mkldnn.flags(enabled=False):
        assert not runs_on_vendor_kernel(layer(x, layer.initial_state(3, x))[0])
        precision.warn_of_slow_kernels(AWDRNN(20, 12, 16, 1))
        assert "without oneDNN" in caplog.text
        judge.cache_clear()
        assert not judge("lstm", 12, 16, 0, torch.bfloat16).usable
    judge.cache_clear()
    # oneDNN has no half-precision LSTM on most CPUs; where torch takes its own, a hundredfold slower, it is refused.
    assert judge("lstm", 12, 16, 0, torch.float16).usable is not judge("lstm", 12, 16, 0, torch.float16).slow


@pytest.mark.skipif(not NATIVE_BF16, reason="this CPU has no bf16 instructions")
@pytest.mark.slow
def test_every_gradient_of_the_published_size_agrees_with_fp32() -> None:
    """The whole language model as it trains, all regularisers on with the same masks: within 1 %.

    After a few steps: at the start the last layer's outputs are nearly 0, and AR pulls at their rounding errors.
    """
    torch.manual_seed(0)
    rates = DropoutRates(0.02, 0.25, 0.2, 0.15, 0.1)
    tokenizer = KmerTokenizer(5, 2)
    encoder = AWDRNN(len(tokenizer), 400, 1152, 3, rates, token_bases=torch.from_numpy(tokenizer.bases()))
    model = LanguageModel(encoder, tokenizer.num_special, 16, rates).train()
    assert guard(encoder, torch.bfloat16) == []
    codes = np.random.default_rng(0).choice(4, size=(16, 75), p=[0.4, 0.1, 0.1, 0.4]).astype(np.uint8)
    tokens = torch.from_numpy(np.stack([tokenizer.encode(row) for row in codes])).long()
    parameters = list(model.parameters())

    def gradients(seed: int, reduced: bool) -> tuple[Tensor, ...]:
        torch.manual_seed(seed)
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            output = model(tokens[:, :-1], tokens[:, 1:])
            return torch.autograd.grad(output.loss + output.penalty, parameters)

    optimizer = torch.optim.AdamW(parameters, lr=2e-3)
    for step in range(8):
        for parameter, gradient in zip(parameters, gradients(step, True), strict=True):
            parameter.grad = gradient
        optimizer.step()
    names = [name for name, _ in model.named_parameters()]
    for name, ours, exact in zip(names, gradients(99, True), gradients(99, False), strict=True):
        assert float((ours - exact).norm() / exact.norm()) < 0.01, name


def test_the_check_leaves_the_random_state_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    judge("gru", 5, 7, 0, torch.bfloat16)
    assert torch.equal(torch.rand(2), expected)


def test_the_tolerance_lies_between_right_and_wrong() -> None:
    assert 0.006 < TOLERANCE < 0.2


def test_the_choice_is_one_of_lightnings_names() -> None:
    assert fast_precision("cpu") in ("bf16-mixed", "32-true")


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("reduced", [True, False])
def test_thirty_two_bits_are_kept_for_as_long_as_it_computes(
    monkeypatch: pytest.MonkeyPatch, allowed: bool, reduced: bool
) -> None:
    """cuDNN may round to TF32 for others again afterwards, also where computing failed."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", allowed)
    found: list[bool] = []

    def fail() -> None:
        with computing(torch.device("cpu"), reduced):
            found.extend([torch.backends.cudnn.allow_tf32, torch.is_autocast_enabled("cpu")])
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert found == [allowed and reduced, reduced]
    assert torch.backends.cudnn.allow_tf32 == allowed
