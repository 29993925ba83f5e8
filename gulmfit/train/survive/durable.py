"""Checkpoints that outlive whatever ends the run: a new one is whole and on the disk before it replaces the old one."""

import logging
import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from gulmfit.checkpoint import read_progress
from gulmfit.errors import CheckpointError
from gulmfit.files import HeldError, locked, whole_file

logger = logging.getLogger(__name__)

BEST, LAST = "best.ckpt", "last.ckpt"
# What last.ckpt was before: taken where last.ckpt turns out to be damaged.
PREVIOUS = "previous.ckpt"
# Under this name a callback's state in a checkpoint tells the monitored value of best.ckpt.
BEST_SCORE = "best_model_score"


class DurableCheckpointIO(TorchCheckpointIO):
    """Write as `gulmfit.files.whole_file` does; keep the last checkpoint but one."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Save a checkpoint.

        Raises:
            CheckpointError: If it cannot be written; the ones before are as they were.
        """
        target = Path(path)
        try:
            with whole_file(target, kind=None) as unfinished:
                with unfinished.open("wb") as handle:
                    torch.save(checkpoint, handle)
                    handle.flush()
                    os.fsync(handle.fileno())
                if target.name == LAST and target.is_file():
                    _keep(target, target.with_name(PREVIOUS))
        except (OSError, RuntimeError) as error:  # torch turns some failures to write into RuntimeError
            raise CheckpointError(
                f"{target} could not be written: {error}. What was saved before is intact: free space, then continue "
                "with resume=auto."
            ) from error

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Load a checkpoint: plain values and tensors, whatever Lightning's version asks for."""
        content: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=True)
        return content


def _keep(path: Path, name: Path) -> None:
    """Give a file a second name, under which it stays when the first is written again; at no moment has it neither."""
    name.unlink(missing_ok=True)
    try:
        os.link(path, name)
    except OSError:  # a file system without hard links
        os.replace(path, name)


def best_score(checkpoint: Mapping[str, Any]) -> float:
    """Return the best monitored value that a checkpoint knows of; nan if it knows of none."""
    states = [state for state in checkpoint.get("callbacks", {}).values() if isinstance(state, Mapping)]
    known = [state[BEST_SCORE] for state in states if state.get(BEST_SCORE) is not None]
    return float(known[0]) if known else math.nan


def read_best_score(path: Path) -> float:
    """Return the monitored value of the weights in `best.ckpt`; nan if there is none, or it does not say.

    Raises:
        CheckpointError: If it is damaged.
    """
    if not path.is_file():
        return math.nan
    try:
        return best_score(torch.load(path, map_location="cpu", weights_only=True, mmap=True))
    except Exception as error:  # a damaged file can raise nearly anything
        raise CheckpointError(f"{path}: not a gulmfit checkpoint, or damaged: {error}") from error


def newest_sound(folder: Path, *, up_to: int | None = None) -> Path | None:
    """Return the checkpoint to continue from: the last one, or the one before where it is damaged; None if none is.

    Weights that are not numbers are damage: the step that made the run diverge was saved.

    Args:
        folder: Folder of the checkpoints.
        up_to: Pass over checkpoints of later steps; None where there is no limit.

    Raises:
        CheckpointError: If there are checkpoints and none can be read.
    """
    errors: list[CheckpointError] = []
    for path in (folder / LAST, folder / PREVIOUS):
        if not path.is_file():
            continue
        try:
            _check(path)
            step = read_progress(path)[1]
            if up_to is not None and step > up_to:
                continue
            _check_finite(path)
        except CheckpointError as error:
            errors.append(error)
            continue
        if errors:
            logger.warning("%s\ncontinuing from the one saved before it, %s", errors[0], path)
        return path
    if errors:
        raise CheckpointError(
            f"{errors[0]}\nNo earlier checkpoint of this run can be read either. Start it anew with overwrite=true, "
            "or give resume= another checkpoint."
        )
    return None


def _check(path: Path) -> None:
    """Compare a checkpoint with the checksums in it, which torch writes and does not read.

    Raises:
        CheckpointError: If they differ.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:  # a damaged archive can raise nearly anything
        raise CheckpointError(f"{path}: damaged: {error}") from error
    if damaged:
        raise CheckpointError(f"{path}: damaged: the checksum of {damaged} in it is wrong")


def _check_finite(path: Path) -> None:
    """Look at all weights.

    Raises:
        CheckpointError: If one is not a number.
    """
    state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    wrong = [name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if wrong:
        raise CheckpointError(f"{path}: {wrong[0]} holds values that are not numbers: saved as training diverged")


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep a run folder for this process.

    Raises:
        CheckpointError: If another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder / ".lock"):
            yield
    except HeldError as error:
        raise CheckpointError(
            f"{folder} is being written by another process ({error}). Wait for it, stop it, or choose another "
            "run.name=."
        ) from error
