"""Ending trainings early that are worse than others were."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.trainer.states import TrainerFn

from gulmfit.errors import ConfigError
from gulmfit.train.search.studies import DECILES


class PrunedError(Exception):
    """A trial ends here, as it is worse than others were."""


class Pruning(Callback):
    """Tell a study what validation says, and end a training that it gives up.

    Trials differ in their number of epochs, and the rate falls with the share of training that is done. So what is
    compared are tenths of a training.

    Args:
        trial: Of Optuna.
        monitor: What is told.
        give_up: Says of so many tenths whether the training is to end there; None to tell, and end nothing.

    Raises:
        ConfigError: In training, if the monitor is not measured.
        PrunedError: In training, where the study gives the trial up.
    """

    def __init__(self, trial: Any, monitor: str, give_up: Callable[[int], bool] | None = None) -> None:
        self.trial, self.monitor, self.give_up = trial, monitor, give_up
        self._told = 0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell the value for all tenths since the last time."""
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        if self.monitor not in trainer.callback_metrics:
            raise ConfigError(f"{self.monitor} is not measured, so a trial has no curve. Set search.pruner=none.")
        value = float(trainer.callback_metrics[self.monitor])
        reached = min(DECILES, int(DECILES * trainer.global_step / max(1, int(trainer.estimated_stepping_batches))))
        known = self.trial.storage.get_trial(self.trial._trial_id).intermediate_values
        for step in range(self._told + 1, reached + 1):
            if step not in known:  # of a trial that is continued
                self.trial.report(value, step)
        self._told = max(self._told, reached)
        if self.give_up is not None and 0 < reached < DECILES and self.give_up(reached):
            raise PrunedError(f"pruned after {trainer.current_epoch + 1} epochs")
