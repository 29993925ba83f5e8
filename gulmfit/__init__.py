"""gulmfit: ULMFiT for genomes. A language model learns a genome and becomes a sequence classifier.

    run = gulmfit.train(data="labelled.csv", epochs=3)
    gulmfit.load(run).predict(["ACGT..."])

Both are described in `gulmfit.api`. The public names are imported when they are first used, so that `import gulmfit`
costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

from gulmfit.threads import wait_passively

if TYPE_CHECKING:
    from gulmfit.api import Model, Table, load
    from gulmfit.config import compose
    from gulmfit.predict.predictor import Predictor
    from gulmfit.seq.tokens.tokenizer import KmerTokenizer

# Here, since whatever imports torch through this package comes after it.
wait_passively()

__version__ = "0.1.0"

__all__ = ["KmerTokenizer", "Model", "Predictor", "Table", "compose", "load"]

_HOMES = {
    "KmerTokenizer": "gulmfit.seq.tokens.tokenizer",
    "Model": "gulmfit.api",
    "Predictor": "gulmfit.predict.predictor",
    "Table": "gulmfit.api",
    "compose": "gulmfit.config",
    "load": "gulmfit.api",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562); `train` is a package that can be called."""
    if name == "train":
        return importlib.import_module("gulmfit.train")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public are {', '.join(__all__)}.")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
