"""Which model and which options made a file: a note next to it, `NAME.json`."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gulmfit.files import claimed
from gulmfit.metadata import versions, write_json
from gulmfit.model_files import digest_of_model, files_of

logger = logging.getLogger(__name__)

# The options that name a model.
MODELS = ("model", "language_model")


def note_of(path: Path) -> Path:
    """Return where the note of a file lies."""
    return path.with_name(f"{path.name}.json")


@contextmanager
def noted(outputs: Iterable[Path], inputs: Iterable[str | Path], options: Mapping[str, Any]) -> Iterator[None]:
    """Claim what a command writes; once it is written, write a note next to each file, and say which model it was.

    Args:
        outputs: What may be written; what is not there in the end has no note.
        inputs: Files that are read, besides those of the models.
        options: What the command was asked for, the models among it.

    Raises:
        ConfigError: If an output is an input, or another process is writing it.
    """
    written, named = list(outputs), {key: str(options[key]) for key in MODELS if options.get(key)}
    read = [*inputs, *(file for model in named.values() for file in files_of(model))]
    with claimed([*written, *map(note_of, written)], read):
        yield
        digests = {f"{key}_sha256": digest_of_model(model) for key, model in named.items()}
        content = {**named, **digests, "gulmfit": versions()["gulmfit"], "options": dict(options)}
        for path in filter(Path.is_file, written):
            write_json(note_of(path), {"file": path.name, **content})
        for key, model in named.items():
            logger.info("%s: %s, SHA-256 %s", key.replace("_", " "), model, digests[f"{key}_sha256"])
