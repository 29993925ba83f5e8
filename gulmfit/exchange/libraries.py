"""What optional libraries are called."""

from importlib import import_module
from typing import Any

from gulmfit.errors import ConfigError


def library(name: str, extra: str) -> Any:
    """Import a library that comes with an extra; raise ConfigError if it is not installed."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigError(f"this needs {name}: pip install 'gulmfit[{extra}]'") from error
