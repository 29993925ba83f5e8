"""What is noted about a result: its values as plain JSON, the versions that made it, and the files it came from."""

import json
import math
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from gulmfit.files import write_whole
from gulmfit.seq.checksums import checksums

PACKAGES = ("gulmfit", "torch", "pytorch-lightning", "torchmetrics", "hydra-core", "numpy", "scikit-learn", "biopython")


def json_ready(value: Any) -> Any:
    """Turn numpy values, tuples and paths into plain JSON ones; nan and infinities become None.

    Raises:
        TypeError: A value has no plain JSON form.
    """
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return json_ready(value.tolist())
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no plain JSON form: {value!r}")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write plain values as JSON, whole or not at all."""
    write_whole(path, json.dumps(json_ready(content), indent=2, allow_nan=False) + "\n")


def file_checksums(files: Sequence[str], cache_dir: Path) -> list[dict[str, str | None]]:
    """Return the name and SHA-256 of each file that data came from; null for what is none, such as a simulation.

    Args:
        files: What the data calls them.
        cache_dir: Folder where checksums are remembered.
    """
    with checksums(cache_dir) as sha256:
        return [{"name": file, "sha256": sha256(Path(file)) if Path(file).is_file() else None} for file in files]


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide what is computed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
