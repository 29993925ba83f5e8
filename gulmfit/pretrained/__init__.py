"""Models by name: those that ship with gulmfit, in a folder each of this package, and those that a hub keeps.

Beside what every model folder holds, a shipped one has `card.json`, which says what it learned and how well, the same
as a page (`README.md`), and `corpus.npz`, a sketch of what it has read (`gulmfit.seq.related.sketch`): the leak check
searches it. `scripts/ship_model.py` makes such a folder from a run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gulmfit.errors import CheckpointError
from gulmfit.seq.limits import parse_json

FOLDER = Path(__file__).parent
CARD, PAGE, SKETCH = "card.json", "README.md", "corpus.npz"


@dataclass(frozen=True)
class Hosted:
    """A model on a hub: its repository, OWNER/NAME, and the commit that is meant."""

    repo: str
    revision: str


# By the name under which `gulmfit-export pull` fetches them. None is hosted yet.
HOSTED: Mapping[str, Hosted] = {}


def shipped() -> dict[str, Path]:
    """Return the folders of the models that ship with gulmfit, by name."""
    return {file.parent.name: file.parent for file in sorted(FOLDER.glob("*/config.json"))}


def find(model: str | Path) -> Path:
    """Return where a model is: a path that exists is taken as it is, and else a name is looked up.

    Args:
        model: A path, or the name of a model that ships with gulmfit.

    Raises:
        CheckpointError: If it is the name of a model that has to be fetched first.
    """
    path, name = Path(model).expanduser(), str(model)
    if path.exists():
        return path
    if name in HOSTED:
        raise CheckpointError(f"{name} does not ship with gulmfit: gulmfit-export pull repo={name} fetches it.")
    return shipped().get(name, path)


def known() -> str:
    """List the names that stand for models, for error messages."""
    return ", ".join([*shipped(), *HOSTED]) or "none"


def read_card(folder: Path) -> dict[str, Any]:
    """Read what a model folder says of its model; empty if it says nothing.

    Raises:
        CheckpointError: If the card is damaged.
    """
    return read_object(folder / CARD, "Get the model again.")


def read_object(path: Path, advice: str) -> dict[str, Any]:
    """Read a JSON object, empty if there is no file.

    Raises:
        CheckpointError: If it is damaged; ends with the advice.
    """
    if not path.is_file():
        return {}
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"it holds {type(content).__name__}")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}. {advice}") from error
    return content
