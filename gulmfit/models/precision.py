"""Choose a numeric precision that is fast here, and prove that its gradients are right.

A vendor's LSTM kernel for bf16 on CPUs has been seen to give right outputs and wrong gradients at hidden sizes of 1024
and more that are multiples of 32 (relative error of the input gradient above 1). Training then stalls without a word.
So a layer is run in reduced precision only after its own gradients have agreed with fp32 on this machine.
"""

import logging
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gulmfit.errors import ConfigError
from gulmfit.models.awd_rnn import RecurrentLayer

logger = logging.getLogger(__name__)

# bf16 keeps 8 bits: right gradients of a layer differ from fp32 by half a percent, wrong ones by 20 % and more.
TOLERANCE = 0.02
# Widths that were seen to be wrong are multiples of 32: a few idle units leave them behind.
IDLE_UNITS = (0, 8, 16)
# What autograd calls the kernels of oneDNN and cuDNN; all others are slower, up to a hundredfold.
VENDOR_KERNELS = ("MkldnnRnnLayerBackward", "CudnnRnnBackward")


class Verdict(NamedTuple):
    """How a layer does in reduced precision, against fp32 on the same machine."""

    error: float
    """Largest relative error of a gradient."""
    slow: bool
    """Whether it is an LSTM that does not run on the vendor library's kernel."""

    @property
    def usable(self) -> bool:
        """Whether it is right, and no slow path."""
        return self.error <= TOLERANCE and not self.slow


def fast_precision(accelerator: str = "auto") -> str:
    """Return Lightning's name of the fastest safe precision: `bf16-mixed` where the hardware computes in it, or
    `32-true`."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    native = any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
    return "bf16-mixed" if native and accelerator in ("auto", "cpu") else "32-true"


@cache
def judge(
    kind: str, input_size: int, hidden_size: int, idle_units: int, dtype: torch.dtype, device: str = "cpu"
) -> Verdict:
    """Run a recurrent layer forward and backward in a precision and in fp32, and compare.

    Args:
        kind: `lstm` or `gru`.
        input_size: Features in.
        hidden_size: Features out.
        idle_units: Units to add for the kernel's sake.
        dtype: The precision to judge.
        device: Where it will run.
    """
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        layer = RecurrentLayer(kind, input_size, hidden_size, weight_p=0.0).to(device)
        x = torch.randn(16, 8, input_size, device=device, requires_grad=True)
        direction = torch.randn(16, 8, hidden_size, device=device)

        def run(reduced: bool) -> tuple[Tensor, list[Tensor]]:
            layer.idle_units = idle_units if reduced else 0
            with torch.autocast(device, dtype, enabled=reduced):
                outputs, _ = layer(x, layer.initial_state(16, x))
            loss = (outputs.float() * direction).sum()
            return outputs, list(torch.autograd.grad(loss, [x, *layer.parameters()], retain_graph=True))

        (outputs, ours), (_, exact) = run(True), run(False)
        error = max(float((a - b).norm() / b.norm()) for a, b in zip(ours, exact, strict=True))
        return Verdict(error, slow=kind == "lstm" and not runs_on_vendor_kernel(outputs))


def runs_on_vendor_kernel(outputs: Tensor) -> bool:
    """Tell from the graph behind a recurrent layer's outputs whether oneDNN or cuDNN computed them."""
    nodes = [outputs.grad_fn]
    # Between the outputs and the kernel there are only views and casts.
    for _ in range(8):
        if any(node is not None and node.name().startswith(VENDOR_KERNELS) for node in nodes):
            return True
        nodes = [parent for node in nodes if node is not None for parent, _ in node.next_functions]
    return False


def guard(model: nn.Module, dtype: torch.dtype, device: str = "cpu") -> list[int]:
    """Run each recurrent layer of a model in reduced precision where that is right and fast on this machine, else in
    fp32.

    A layer whose kernel is wrong at its own width is given idle units, which change nothing but the width.

    Returns:
        The numbers of the layers that stay in fp32.

    Raises:
        ConfigError: If a recurrent layer of torch's own, in an encoder of your own, has wrong gradients.
    """
    refused = []
    layers = [module for module in model.modules() if isinstance(module, RecurrentLayer)]
    _check_plain(model, [layer.rnn for layer in layers], dtype, device)
    for index, layer in enumerate(layers):
        sizes = (layer.rnn.input_size, layer.rnn.hidden_size)
        verdicts = {}
        for units in IDLE_UNITS:
            verdicts[units] = judge(layer.kind, *sizes, units, dtype, device)
            if verdicts[units].usable:
                layer.reduced_precision, layer.idle_units = True, units
                break
        else:
            layer.reduced_precision, layer.idle_units = False, 0
            refused.append(index)
        first = verdicts[0]
        if not first.usable:
            logger.warning(
                "layer %d (%d -> %d): %s has %s on this machine; the layer %s.", index, *sizes, dtype,
                "no fast kernel" if first.slow else f"gradients that are off by {first.error:.0%}",
                "stays in fp32" if index in refused else f"gets {layer.idle_units} idle units, with which it is right",
            )  # fmt: skip
    return refused


def _check_plain(model: nn.Module, guarded: list[nn.LSTM | nn.GRU], dtype: torch.dtype, device: str) -> None:
    """Refuse layers of torch's own that are wrong: they can be given neither fp32 nor idle units."""
    for name, module in model.named_modules():
        if not isinstance(module, nn.LSTM | nn.GRU) or any(module is rnn for rnn in guarded):
            continue
        outputs = module.hidden_size * (1 + module.bidirectional)
        for size in (module.input_size, outputs)[: module.num_layers]:
            error = judge(module.mode.lower(), size, module.hidden_size, 0, dtype, device).error
            if error > TOLERANCE:
                raise ConfigError(
                    f"{name} ({size} -> {module.hidden_size}): {dtype} has gradients that are off by {error:.0%} on "
                    "this machine. Use 32 bits (trainer.precision=32-true, precision=32), another size, or "
                    "gulmfit.models.awd_rnn.RecurrentLayer, which finds a way round it."
                )


def warn_of_slow_kernels(model: nn.Module) -> None:
    """Warn if LSTM layers do not run on oneDNN's kernel on this CPU."""
    onednn: Any = torch.backends.mkldnn
    if onednn.is_available() and onednn.enabled:
        return
    if any(isinstance(module, nn.LSTM) for module in model.modules()):
        logger.warning(
            "torch runs without oneDNN here, and LSTM layers are several times slower for it. Install a build of torch "
            "that has it, or do not switch it off (torch.backends.mkldnn.enabled)."
        )
