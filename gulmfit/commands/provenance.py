"""Which model and which options made a file: a note next to it, `NAME.json`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gulmfit.model_files import digest_of_model
from gulmfit.train.run import versions, write_json


def note_of(path: Path) -> Path:
    """Return where the note of a file lies."""
    return path.with_name(f"{path.name}.json")


def write_notes(paths: Iterable[Path], model: str, options: Mapping[str, Any]) -> str:
    """Write a note next to each file, and return the SHA-256 of the model's weights.

    Args:
        paths: What was written; what is not there has no note.
        model: As it was named.
        options: What the command was asked for.
    """
    digest = digest_of_model(model)
    for path in filter(Path.is_file, paths):
        content = {"file": path.name, "model": model, "model_sha256": digest, "gulmfit": versions()["gulmfit"]}
        write_json(note_of(path), {**content, "options": dict(options)})
    return digest
