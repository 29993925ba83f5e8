"""The weights of a model: one safetensors file or, where that would be too large for a host, several shards.

Until a file has given them, they may stand without values, so that what a file claims costs no memory.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.numpy
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.overrides import TorchFunctionMode

from gulmfit.errors import CheckpointError
from gulmfit.files import cannot_be_written, whole_file

WEIGHTS, SHARDS = "model.safetensors", "model-*-of-*.safetensors"


def save_weights(folder: Path, state: Mapping[str, Tensor], shard_bytes: float = math.inf) -> None:
    """Write the weights of a model.

    Args:
        folder: Where to; it must not hold an older model of another number of shards.
        state: The weights, by name.
        shard_bytes: What goes beyond this goes into further files, named as elsewhere:
            `model-00001-of-00003.safetensors`. One tensor is never divided.

    Raises:
        CheckpointError: If they cannot be written.
    """
    shards: list[dict[str, Tensor]] = [{}]
    for name, tensor in state.items():
        taken = sum(other.nbytes for other in shards[-1].values())
        if shards[-1] and taken + tensor.nbytes > shard_bytes:
            shards.append({})
        shards[-1][name] = tensor.detach().cpu().contiguous()
    for number, tensors in enumerate(shards, 1):
        path = folder / (WEIGHTS if len(shards) == 1 else f"model-{number:05}-of-{len(shards):05}.safetensors")
        with whole_file(path, kind=CheckpointError) as unfinished:
            try:
                save_file(tensors, unfinished)
            except SafetensorError as error:  # what it makes of a full disk
                raise cannot_be_written(path, error, CheckpointError) from error


def weight_files(folder: Path) -> list[Path]:
    """List the files that hold the weights of a model folder, in order; none if it has no weights.

    Raises:
        CheckpointError: If shards are missing.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    shards = sorted(folder.glob(SHARDS))
    whole = [f"model-{number:05}-of-{len(shards):05}.safetensors" for number in range(1, len(shards) + 1)]
    if [shard.name for shard in shards] != whole:
        there = ", ".join(shard.name for shard in shards)
        raise CheckpointError(f"{folder}: some shards of the weights are missing; there are only {there}.")
    return shards


def load_weights(files: Sequence[Path]) -> dict[str, Tensor]:
    """Read the weights in these files (`weight_files`)."""
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays of numpy, by name, into one safetensors file.

    Raises:
        CheckpointError: If they cannot be written.
    """
    with whole_file(path, kind=CheckpointError) as unfinished:
        try:
            safetensors.numpy.save_file(dict(arrays), unfinished)
        except SafetensorError as error:
            raise cannot_be_written(path, error, CheckpointError) from error


def load_arrays(path: Path) -> dict[str, Any]:
    """Read what `save_arrays` wrote.

    Raises:
        CheckpointError: If it is missing or damaged.
    """
    try:
        return dict(safetensors.numpy.load_file(path))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is missing or damaged: {error}. The model beside it needs it.") from error


def weights_digest(source: Path) -> str:
    """Return the SHA-256 of the weights of a model folder, all shards in order, or of a checkpoint."""
    digest = hashlib.sha256()
    for file in [source] if source.is_file() else weight_files(source):
        with open(file, "rb") as handle:
            while piece := handle.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest()


class Undrawn(TorchFunctionMode):
    """Skips `torch.nn.init`, for weights without values: to draw none, torch would first load its compiler."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == torch.nn.init.__name__:
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)
