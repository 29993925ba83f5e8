"""Note every step that a run has trained, so that `kill_and_resume.py` can count those that were trained twice."""

import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

VARIABLE = "STEP_TRACE"


class StepTrace(pl.Callback):
    """Append a line for each step to the file that an environment variable names: run folder, process, step."""

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        """Note the step; what was handed to the system outlives a kill."""
        if not trainer.is_global_zero:
            return
        line = f"{os.path.abspath(trainer.default_root_dir)}\t{os.getpid()}\t{trainer.global_step}\n"
        with Path(os.environ[VARIABLE]).open("a", encoding="utf-8") as handle:
            handle.write(line)
