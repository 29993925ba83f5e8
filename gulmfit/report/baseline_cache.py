"""What baselines predicted, kept from run to run: fitting them again would give the same."""

import logging
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gulmfit.files import remove_unfinished, whole_file

Floats = NDArray[np.float64]

log = logging.getLogger(__name__)


def recall(path: Path, names: Sequence[str], shape: tuple[int, int]) -> dict[str, Floats] | None:
    """Read kept results.

    Args:
        path: Where `keep` put them.
        names: Of the baselines, in order.
        shape: Of the array of each.

    Returns:
        What was kept; None where there is nothing, or it is damaged.
    """
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:  # an archive that checks the sum of each array
            found = {name: kept[name] for name in kept.files}
        if list(found) != list(names) or any(array.shape != shape for array in found.values()):
            raise ValueError(f"it holds {', '.join(found)}")
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        log.warning("%s: kept results of baselines are damaged (%s); they are fitted again", path, error)
        return None
    log.info("baselines of this split were fitted before: %s", path)
    return found


def keep(path: Path, found: dict[str, Floats]) -> None:
    """Write results, whole or not at all; where they cannot be written, the log says so."""
    remove_unfinished(path)
    try:
        with whole_file(path, sync=False, kind=None) as unfinished, unfinished.open("wb") as handle:
            np.savez(handle, **found)  # type: ignore[arg-type]
    except OSError as error:
        log.warning("%s: results of baselines cannot be kept (%s)", path, error)
