"""`metrics.csv`: what was logged while training, one row a step.

Lightning's own logger of this kind begins an empty file whenever a run is continued, and what a killed process had not
written yet is gone. This one keeps the rows before the checkpoint, and writes them whenever a checkpoint is saved.
"""

import csv
import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from gulmfit.errors import DataError
from gulmfit.files import whole_file

CURVES = "metrics.csv"

# The file is written whole, at most so often and for at most so small a share of the time.
SECONDS_BETWEEN = 10.0
SHARE_OF_TIME = 0.01

Row = dict[str, float]


class CurveLogger(Logger):
    """Write `metrics.csv`.

    Args:
        folder: Run folder.
        resumed_at: Step of the checkpoint that the run is continued from; rows up to there are kept. None for a new
            run.
    """

    def __init__(self, folder: Path, resumed_at: int | None = None) -> None:
        super().__init__()
        self.path = folder / CURVES
        earlier = [] if resumed_at is None else read_curves(self.path)
        self.rows: list[Row] = [row for row in earlier if row.get("step", 0.0) <= (resumed_at or 0)]
        self._next = 0.0

    @property
    def name(self) -> str:
        """Return a name that Lightning asks for."""
        return "curves"

    @property
    def version(self) -> str:
        """Return a version that Lightning asks for."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Leave hyper-parameters to `config.yaml`."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Take the values of a step; what is logged at the same step goes into the same row."""
        number = float(step or 0)
        values = {name: float(value) for name, value in metrics.items()}
        if self.rows and self.rows[-1]["step"] == number:
            self.rows[-1].update(values)
        else:
            self.rows.append({"step": number, **values})
        if time.monotonic() >= self._next:
            self.save()

    @rank_zero_only
    def save(self) -> None:
        """Write all rows: whole or not at all."""
        start = time.monotonic()
        columns = sorted({name for row in self.rows for name in row} - {"step", "epoch"})
        with (
            whole_file(self.path, sync=False) as unfinished,
            unfinished.open("w", encoding="utf-8", newline="") as handle,
        ):
            writer = csv.DictWriter(handle, ["epoch", "step", *columns])
            writer.writeheader()
            writer.writerows(
                {key: int(value) if key in ("step", "epoch") else value for key, value in row.items()}
                for row in self.rows
            )
        now = time.monotonic()
        self._next = now + max(SECONDS_BETWEEN, (now - start) / SHARE_OF_TIME)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is not written yet."""
        if self.rows:
            self.save()


def read_curves(path: Path) -> list[Row]:
    """Read `metrics.csv`, numbers as floats; empty if there is none. Raise DataError if it is damaged."""
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(handle)]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{path} is damaged: {error}. Remove it: only curves are drawn from it.") from error
