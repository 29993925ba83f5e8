"""Where a reader of training data stands, so that a resumed run reads on with the very next batch.

Lightning saves the position of a loader too, but forgets to restore it where the number of steps was asked for before
training, as every one-cycle schedule does. The data modules therefore keep it themselves.
"""

from typing import Protocol, TypedDict

import pytorch_lightning as pl


class Position(TypedDict):
    """An epoch, and how many of its batches have been read."""

    epoch: int
    step: int


class Reader(Protocol):
    """Something that yields batches and can tell and take a position."""

    def position(self) -> Position:
        """Return the current position."""
        ...

    def seek(self, position: Position) -> None:
        """Read on from a position at the next iteration."""
        ...


class ResumableDataModule(pl.LightningDataModule):
    """A data module that saves the position of its training reader with every checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self._reader: Reader | None = None
        self._saved: Position | None = None

    def resume(self, reader: Reader) -> None:
        """Take a new training reader, and put it where the checkpoint left off, if there is one."""
        self._reader = reader
        if self._saved is not None:
            reader.seek(self._saved)
            self._saved = None

    def state_dict(self) -> dict[str, Position]:
        """Return the position of the training reader."""
        if self._reader is None:
            return {}
        position = self._reader.position()
        # Where trainer.limit_train_batches ends an epoch, the reader has not noticed.
        if self.trainer is not None and position["step"] >= self.trainer.num_training_batches:
            position = {"epoch": position["epoch"] + 1, "step": 0}
        return {"train": position}

    def load_state_dict(self, state_dict: dict[str, Position]) -> None:
        """Remember a position for the next training reader."""
        self._saved = state_dict.get("train")
