"""Put a model where it is to run, in the precision that was asked for."""

import torch
from torch import nn

from gulmfit.errors import ConfigError
from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.precision import fast_precision, guard

PRECISIONS = ("32", "bf16", "auto")


def place(
    model: nn.Module, encoder: AWDRNN, device: str | torch.device | None = None, precision: str = "32"
) -> tuple[torch.device, bool]:
    """Move a model to a device, in evaluation mode.

    Args:
        model: The whole model.
        encoder: Its encoder, whose layers are checked where they are to run in reduced precision.
        device: Where to run; the first GPU if there is one.
        precision: `32`; `bf16`, faster where the hardware computes in it; or `auto`, the faster one.

    Returns:
        The device, and whether to run under autocast to bf16.

    Raises:
        ConfigError: If the precision is unknown.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision={precision!r} is unknown; choose one of {', '.join(PRECISIONS)}.")
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model.to(place).eval()
    reduced = precision == "bf16" or (precision == "auto" and fast_precision(place.type) == "bf16-mixed")
    if reduced:
        guard(encoder, torch.bfloat16, place.type)
    return place, reduced
