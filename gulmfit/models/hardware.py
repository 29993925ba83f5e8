"""What a process asks of its machine before it computes: memory, threads, a device and a precision."""

import ctypes
import ctypes.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from gulmfit.errors import ConfigError
from gulmfit.models.precision import fast_precision, guard

PRECISIONS = ("32", "bf16", "auto")

# Names of <malloc.h>.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Let the C library keep the memory that tensors give back, for the next tensors.

    By default glibc returns every large block to the system when it is freed. A training step allocates the same
    hundreds of MiB again and again, and each time the kernel fills them with zeros, page by page. Kept memory saves
    8 to 20 % of a step on a CPU. The process does not shrink any more while it lives.

    Returns:
        Whether it was done: only glibc has this switch.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, -1))


def memory_so_far() -> str:
    """Say how much memory this process has held at most: what work that goes on in equal steps needs throughout."""
    held = []
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        held.append(f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB of the GPU's memory")
    try:
        import resource
    except ImportError:  # Windows
        return held[0] if held else "memory is not measured here"
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return " and ".join([*held, f"{most / 1e9:.1f} GB of memory so far"])


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with so many threads, and with as many as before afterwards.

    Args:
        count: At least 1.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def place(
    model: nn.Module, device: str | torch.device | None = None, precision: str = "32"
) -> tuple[torch.device, bool]:
    """Move a model to a device, in evaluation mode.

    Args:
        model: Its recurrent layers are checked where they are to run in reduced precision.
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
        guard(model, torch.bfloat16, place.type)
    return place, reduced


@contextmanager
def computing(device: torch.device, reduced: bool) -> Iterator[None]:
    """Compute in bf16 where it is fast, or in 32 bits throughout.

    cuDNN rounds inputs of recurrent layers to TF32 unless told otherwise; batch mates then move the fifth digit. What
    is computed outside, such as a training that goes on, keeps its setting.

    Args:
        device: As `place` gave it.
        reduced: As `place` gave it.
    """
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = before and reduced
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=reduced):
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
