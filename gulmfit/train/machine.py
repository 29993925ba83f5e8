"""Say when other processes have the cores that training needs."""

import logging
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback

logger = logging.getLogger(__name__)

SECONDS = 30.0
SHARE = 0.2


class MachineWatch(Callback):
    """Say, once, when steps spend much of their time waiting for a core.

    Linux counts for every thread how long it was ready to run and had no core. Elsewhere nothing is said.

    Args:
        seconds: How long to watch before it is judged; it is judged again after each such stretch.
        share: Part of that time that a thread may wait.
        tasks: Folder with a folder for each thread of this process.
    """

    def __init__(self, seconds: float = SECONDS, share: float = SHARE, tasks: Path = Path("/proc/self/task")) -> None:
        self.seconds, self.share, self.tasks = seconds, share, tasks
        self.said = False
        self._since, self._waited = 0.0, dict[str, float]()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to watch."""
        self._since, self._waited = time.monotonic(), waited(self.tasks)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Judge the stretch that has passed, if it is long enough."""
        passed = time.monotonic() - self._since
        if self.said or passed < self.seconds:
            return
        now = waited(self.tasks)
        share = max((seconds - self._waited.get(thread, 0.0) for thread, seconds in now.items()), default=0.0) / passed
        if share > self.share:
            self.said = True
            logger.warning(
                "the machine is busy: training waited for a core during %.0f %% of the last %.0f seconds, because "
                "other processes have them. It goes on, more slowly; results do not depend on it.",
                100 * share, passed,
            )  # fmt: skip
        self._since, self._waited = time.monotonic(), now


def waited(tasks: Path) -> dict[str, float]:
    """Return the seconds for which each thread has been ready to run without a core; nothing where this is unknown."""
    found = {}
    for path in tasks.glob("*/schedstat"):
        try:
            found[path.parent.name] = int(path.read_text(encoding="ascii").split()[1]) * 1e-9
        except (OSError, ValueError, IndexError):  # the thread has ended, or the kernel does not count
            continue
    return found
