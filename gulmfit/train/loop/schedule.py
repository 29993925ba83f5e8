"""Learning rates: phases of gradual unfreezing, each a one-cycle with discriminative rates.

Sources: Smith 2018, "A disciplined approach to neural network hyper-parameters" (one-cycle); Howard & Ruder 2018,
sections 3.2 and
3.3 (discriminative rates, gradual unfreezing). The cosine form and its constants follow the published genomic runs.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from gulmfit.errors import ConfigError
from gulmfit.train.loop.plateau import Patience


@dataclass(frozen=True)
class Phase:
    """One stretch of training with a fixed set of trainable layers.

    Args:
        epochs: Its length; under `trainer.max_steps` or `trainer.max_epochs`, its share of the training.
        lr: Peak learning rate of the last layer group.
        groups: How many layer groups train, counted from the output; null for all.
        decay: Every group below trains at the rate of the group above divided by this; 1 for one rate.
    """

    epochs: float
    lr: float
    groups: int | None = None
    decay: float = 1.0

    def __post_init__(self) -> None:
        if self.epochs <= 0 or self.lr <= 0 or self.decay < 1 or (self.groups is not None and self.groups < 1):
            raise ConfigError(
                f"schedule.phases: {self} needs epochs > 0, lr > 0, decay >= 1 and groups >= 1 (or null for all)."
            )


@dataclass(frozen=True)
class OneCycle:
    """The shape of every phase: cosine up, cosine down, momentum in mirror.

    Args:
        phases: In order.
        pct_start: Share of a phase that warms up.
        div: The rate starts at its peak divided by this.
        final_div: The rate ends at its peak divided by this.
        momentum: Momentum (or Adam's first beta) at the start and end of a phase, and at the peak.
        patience: How long the last phase stays at its peak; None for a length that is known beforehand.
    """

    phases: Sequence[Phase]
    pct_start: float = 0.3
    div: float = 25.0
    final_div: float = 1e5
    momentum: tuple[float, float] = (0.8, 0.7)
    patience: Patience | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "OneCycle":
        """Build from a plain dictionary.

        Raises:
            ConfigError: If there is no phase or a number is out of range.
        """
        arguments = {key: value for key, value in config.items() if key not in ("_target_", "phases")}
        phases = [Phase(**phase) for phase in config.get("phases") or []]
        if not phases:
            raise ConfigError("schedule.phases is empty: give at least one phase, such as [{epochs: 5, lr: 5e-3}].")
        if "momentum" in arguments:
            arguments["momentum"] = tuple(arguments["momentum"])
        patience = arguments.get("patience") or {}
        arguments["patience"] = Patience(**patience) if patience.get("steps") else None
        schedule = cls(phases=phases, **arguments)
        if not 0.0 <= schedule.pct_start <= 1.0 or schedule.div < 1 or schedule.final_div < 1:
            raise ConfigError("schedule: pct_start lies in [0, 1]; div and final_div are 1 or more.")
        return schedule

    @property
    def epochs(self) -> int:
        """Length of all phases together, rounded up."""
        return math.ceil(sum(phase.epochs for phase in self.phases))

    def edges(self, total_steps: int) -> list[int]:
        """Return the step at which each phase starts, and the total."""
        whole = sum(phase.epochs for phase in self.phases)
        shares = [0.0]
        for phase in self.phases:
            shares.append(shares[-1] + phase.epochs)
        return [round(total_steps * share / whole) for share in shares]

    def peak(self, total_steps: int) -> int:
        """Return the step at which the rate of the last phase is highest."""
        start, end = self.edges(total_steps)[-2:]
        return round(start + self.pct_start * (end - start))

    def phase_at(self, step: float, total_steps: int) -> tuple[int, float]:
        """Return the number of the phase at a step, and the share of that phase done, in [0, 1]."""
        edges = self.edges(total_steps)
        index = next((i for i in range(len(self.phases)) if step < edges[i + 1]), len(self.phases) - 1)
        length = max(1, edges[index + 1] - edges[index])
        return index, min(1.0, (step - edges[index]) / length)

    def factor(self, done: float) -> tuple[float, float]:
        """Return the learning rate as a share of its peak, and the momentum, at a share of a phase."""
        if done < self.pct_start:
            up = _cosine(done / self.pct_start)
            return 1 / self.div + (1 - 1 / self.div) * up, _between(*self.momentum, up)
        down = _cosine((done - self.pct_start) / max(1e-9, 1 - self.pct_start))
        return 1 + (1 / self.final_div - 1) * down, _between(self.momentum[1], self.momentum[0], down)

    def group_rates(self, phase: Phase, num_groups: int) -> list[float]:
        """Return the peak rate of each layer group, input to output; 0 for a frozen one."""
        first = num_groups - min(num_groups, phase.groups or num_groups)
        return [
            phase.lr / phase.decay ** (num_groups - 1 - index) if index >= first else 0.0 for index in range(num_groups)
        ]


def _cosine(share: float) -> float:
    return (1 - math.cos(math.pi * share)) / 2


def _between(start: float, end: float, share: float) -> float:
    return start + (end - start) * share


class OneCyclePhases(LRScheduler):
    """Set every parameter group's rate and momentum from the step alone, so that a resumed run needs nothing else.

    Args:
        optimizer: One parameter group for each layer group, input to output.
        schedule: The phases.
        total_steps: Optimizer steps of the whole training.
        scale: Gives a factor on all rates.
        clock: Gives the step of the schedule at a step of the training, where that stays at its peak.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: OneCycle,
        total_steps: int,
        scale: Callable[[], float] = lambda: 1.0,
        clock: Callable[[int], float] = float,
    ) -> None:
        self.schedule, self.total_steps, self.scale, self.clock = schedule, total_steps, scale, clock
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Any]:
        """Return the rates of the current step, and set the momentum beside them."""
        index, done = self.schedule.phase_at(self.clock(self.last_epoch), self.total_steps)
        share, momentum = self.schedule.factor(done)
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["betas"] = (momentum, group["betas"][1])
            elif group.get("momentum"):
                group["momentum"] = momentum
        rates = self.schedule.group_rates(self.schedule.phases[index], len(self.optimizer.param_groups))
        return [rate * share * self.scale() for rate in rates]

    def state_dict(self) -> dict[str, Any]:
        """Return the step; the schedule itself comes from the configuration."""
        return {"last_epoch": self.last_epoch, "_step_count": self._step_count, "_last_lr": self._last_lr}
