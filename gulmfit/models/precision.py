"""Choose a numeric precision that is fast here, and prove that its gradients are right.

A vendor's LSTM kernel for bf16 on CPUs has been seen to give right outputs and wrong gradients at hidden sizes of 1024
and more that are multiples of 32 (relative error of the input gradient above 1). Training then stalls without a word.
So a layer is run in reduced precision only after its own gradients have agreed with fp32 on this machine.
"""

import logging
from functools import cache

import torch
from torch import Tensor

from gulmfit.models.awd_rnn import AWDRNN, RecurrentLayer

logger = logging.getLogger(__name__)

# bf16 keeps 8 bits: right gradients differ from fp32 by half a percent, wrong ones by 20 % and more.
TOLERANCE = 0.05


def fast_precision(accelerator: str = "auto") -> str:
    """Return Lightning's name of the fastest safe precision: `bf16-mixed` where the hardware computes in it, or
    `32-true`."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    native = any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
    return "bf16-mixed" if native and accelerator in ("auto", "cpu") else "32-true"


@cache
def gradient_error(kind: str, input_size: int, hidden_size: int, dtype: torch.dtype, device: str = "cpu") -> float:
    """Return the largest relative error of a recurrent layer's gradients in a precision, against fp32.

    Args:
        kind: `lstm` or `gru`.
        input_size: Features in.
        hidden_size: Features out.
        dtype: The precision to judge.
        device: Where it will run.
    """
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        layer = RecurrentLayer(kind, input_size, hidden_size, weight_p=0.0).to(device)
        x = torch.randn(16, 8, input_size, device=device, requires_grad=True)
        direction = torch.randn(16, 8, hidden_size, device=device)

        def gradients(enabled: bool) -> list[Tensor]:
            with torch.autocast(device, dtype, enabled=enabled):
                outputs, _ = layer(x, layer.initial_state(16, x))
            return list(torch.autograd.grad((outputs.float() * direction).sum(), [x, *layer.parameters()]))

        pairs = zip(gradients(True), gradients(False), strict=True)
        return max(float((ours - exact).norm() / exact.norm()) for ours, exact in pairs)


def guard(encoder: AWDRNN, dtype: torch.dtype, device: str = "cpu") -> list[int]:
    """Keep those layers of an encoder in fp32 whose gradients are wrong in a precision on this machine.

    Returns:
        The numbers of these layers.
    """
    refused = []
    for index, layer in enumerate(encoder.recurrent_layers()):
        sizes = (layer.rnn.input_size, layer.rnn.hidden_size)
        error = gradient_error(layer.kind, *sizes, dtype, device)
        layer.reduced_precision = error <= TOLERANCE
        if not layer.reduced_precision:
            refused.append(index)
            logger.warning(
                "layer %d (%d -> %d): gradients in %s are off by %.0f %% on this machine; the layer stays in fp32.",
                index, *sizes, dtype, 100 * error,
            )  # fmt: skip
    return refused
