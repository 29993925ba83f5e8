"""Optional libraries, loaded where they are needed."""

from importlib import import_module
from typing import Any

from gulmfit.errors import DataError, GulmfitError


def library(name: str, extra: str, what: str, kind: type[GulmfitError] = DataError) -> Any:
    """Load a module and return its package; where it is missing, an error says what needs it and which extra has it."""
    package = name.partition(".")[0]
    try:
        import_module(name)
    except ImportError as error:
        raise kind(f"{what} needs {package}: pip install 'gulmfit[{extra}]'") from error
    return import_module(package)
