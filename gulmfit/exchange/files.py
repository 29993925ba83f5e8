"""Folders that appear under their names once they are complete, and what optional libraries are called."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from gulmfit.errors import CheckpointError, ConfigError


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Lend an empty temporary folder; it takes the path's name when the block ends without an error.

    On any failure nothing is left.

    Raises:
        CheckpointError: If `path` is a file or holds something already, or cannot be written.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise CheckpointError(f"output={path} is there already and would be mixed or lost. Name a new folder.")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        for file in unfinished.iterdir():
            with file.open("rb+") as handle:
                os.fsync(handle.fileno())
        if path.is_dir():
            path.rmdir()
        os.replace(unfinished, path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {error}. Free space or choose another output=.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def library(name: str, extra: str) -> Any:
    """Import a library that comes with an extra.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigError(f"this needs {name}: pip install 'gulmfit[{extra}]'") from error
