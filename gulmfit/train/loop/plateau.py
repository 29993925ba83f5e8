"""How long the learning rate stays at its peak: as long as validation improves, then it falls.

Sources: Hu et al. 2024, "MiniCPM", section 4 (warm-up, stable, decay). Where theirs is as long as planned, ours lasts
until the validation part shows a plateau, so that no training ends while it still learns.
"""

import logging
import math
from dataclasses import dataclass, field
from typing import Any, cast

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn

from gulmfit.errors import ConfigError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """When a plateau is reached.

    Attributes:
        steps: Optimizer steps in which the score has to improve.
        gain: By how much, as a share of the score.
        longest: The training is at most so many times as long as planned.
    """

    steps: int
    gain: float
    longest: float

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 <= self.gain < 1 or self.longest < 1:
            raise ConfigError(f"schedule.patience: {self} needs steps >= 1, 0 <= gain < 1 and longest >= 1.")


@dataclass
class Plateau:
    """The clock of a schedule whose last phase stays at its peak until validation no longer improves.

    Attributes:
        peak: Step at which the rate of the last phase is highest.
        planned: Steps of the whole schedule if it falls at once.
        unit: The training is a multiple of so many steps, those between two looks at the validation part.
        patience: When a plateau is reached.
        looks: Step and loss of each look before the rate falls, a lower loss being better.
        falls_at: Step from which on the rate falls; None before that is known.
    """

    peak: int
    planned: int
    unit: int
    patience: Patience
    looks: list[tuple[int, float]] = field(default_factory=list)
    falls_at: int | None = None

    @property
    def total_steps(self) -> int:
        """Steps of the whole training, as far as is known."""
        held_until = max(self.peak, self._last_look if self.falls_at is None else self.falls_at)
        return self.unit * math.ceil((held_until + self.planned - self.peak) / self.unit)

    def planned_step(self, step: int) -> float:
        """Return where a step stands in the schedule as it was planned; at the peak, time stands still."""
        if self.falls_at is None or step <= self.falls_at:
            return min(step, self.peak)
        done = (step - self.falls_at) / (self.total_steps - self.falls_at)
        return self.peak + done * (self.planned - self.peak)

    def look(self, step: int, loss: float) -> bool:
        """Take note of a look at the validation part; return whether the rate falls from here on."""
        if self.falls_at is not None or step <= self._last_look:
            return False
        self.looks.append((step, loss))
        longest_reached = self.total_steps + self.unit > self.patience.longest * self.planned
        if step >= self.peak and (self.stalled() or longest_reached):
            self.falls_at = step
        return self.falls_at is not None

    def stalled(self) -> bool:
        """Tell whether the last steps, one look at least, brought no gain."""
        since = min(self._last_look - self.patience.steps, self.looks[-2][0] if len(self.looks) > 1 else -1)
        before = [loss for step, loss in self.looks if step <= since]
        if not before:
            return False
        return min(loss for _, loss in self.looks) > min(before) - self.patience.gain * abs(min(before))

    @property
    def _last_look(self) -> int:
        return self.looks[-1][0] if self.looks else 0

    def state(self) -> dict[str, Any]:
        """Return what a resumed training needs, as plain values."""
        return {"looks": [list(look) for look in self.looks], "falls_at": self.falls_at}

    def take_up(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.looks = [(int(step), float(loss)) for step, loss in state["looks"]]
        self.falls_at = state["falls_at"]


class Patient(pl.Callback):
    """Show each look at the validation part to the plateau, and let the training last as long as that says.

    Args:
        monitor: The score of the validation part.
        mode: `min` or `max`, which is better.
    """

    def __init__(self, monitor: str, mode: str) -> None:
        self.monitor, self.sign = monitor, 1 if mode == "min" else -1

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give a resumed training as many epochs as it had."""
        self._lengthen(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Decide, before the checkpoint of this look is written."""
        plateau = cast("Plateau | None", pl_module.plateau)
        if plateau is None or trainer.state.fn != TrainerFn.FITTING:
            return
        if plateau.look(trainer.global_step, self.sign * float(trainer.callback_metrics[self.monitor])):
            gain, steps = plateau.patience.gain, plateau.patience.steps
            why = f"has not improved by {gain:.0%} in {steps} steps" if plateau.stalled() else "still improves"
            logger.info(
                "%s %s; the learning rate now falls until step %s", self.monitor, why, f"{plateau.total_steps:,}"
            )
        self._lengthen(trainer, pl_module)

    def _lengthen(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        plateau = cast("Plateau | None", pl_module.plateau)
        if plateau is not None:
            steps_an_epoch = plateau.unit // int(trainer.check_val_every_n_epoch or 1)
            trainer.fit_loop.max_epochs = plateau.total_steps // steps_an_epoch
