"""Vocabularies of other programs: a list of entries in the order of their rows, read without running anything."""

import io
import json
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gulmfit.errors import CheckpointError, ConfigError


def read_vocabulary(path: Path) -> list[str]:
    """Read the entries of a vocabulary: JSON, text (an entry a line), NumPy (`.npy`) or pickle, chosen by file name.

    Raises:
        ConfigError: If the name says something else.
        CheckpointError: If the file is not there, is damaged, or holds anything but a list of names.
    """
    if path.suffix not in _READERS:
        raise ConfigError(f"vocab={path}: not a vocabulary by its name; allowed are {', '.join(_READERS)}.")
    try:
        with path.open("rb") as handle:
            entries = _READERS[path.suffix](handle)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not a plain list of names: {error}. Nothing in it was run. Save the vocabulary as JSON where "
            "it was made: json.dump(list(itos), file)."
        ) from error
    except Exception as error:  # a damaged file can raise nearly anything
        raise CheckpointError(f"{path} cannot be read as a vocabulary: {error!r}.") from error
    if not isinstance(entries, list | tuple) or not all(isinstance(entry, str) for entry in entries):
        raise CheckpointError(f"{path} holds {type(entries).__name__}; a vocabulary is a list of names.")
    if not entries:
        raise CheckpointError(f"{path} holds no entry.")
    return list(entries)


class _PlainUnpickler(pickle.Unpickler):
    """Reads strings, numbers and containers: what a pickle runs it must first find, and here nothing is found."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}")


def _read_pickle(handle: BinaryIO) -> Any:
    """Read a pickle that numbers no more objects than it has bytes: room is made for all numbers up to the largest."""
    content = handle.read()
    for operation, argument, _ in pickletools.genops(content):
        if operation.name.endswith("PUT") and isinstance(argument, int) and argument > len(content):
            raise pickle.UnpicklingError(f"it numbers an object {argument}, and has {len(content)} bytes")
    return _PlainUnpickler(io.BytesIO(content)).load()


def _read_text(handle: BinaryIO) -> list[str]:
    return [line for line in handle.read().decode("utf-8-sig").splitlines() if line.strip()]


def _read_numpy(handle: BinaryIO) -> list[Any]:
    array = np.load(handle, allow_pickle=False)
    return list(array.tolist()) if array.ndim == 1 else [array]


_READERS: dict[str, Callable[[BinaryIO], Any]] = {
    ".json": json.load,
    ".txt": _read_text,
    ".npy": _read_numpy,
    ".pkl": _read_pickle,
    ".pickle": _read_pickle,
}
