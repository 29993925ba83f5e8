"""SGD that ends in the average of its iterates: the "A" in AWD-LSTM.

Source: Merity, Keskar and Socher 2018, "Regularizing and optimizing LSTM language models", Algorithm 1 (NT-ASGD), with
the trigger of the ICLR version and of the authors' code: the newest `nonmono` values are left out of the comparison.
(The first version on arXiv compares with these alone, which its authors call a mistake.) Theirs hands over to
`torch.optim.ASGD`, which is not used here: its rate follows a schedule one step late, and its average is lost where the
moments of a phase are forgotten.
"""

import logging
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor
from torch.optim import SGD
from torch.optim.swa_utils import get_swa_multi_avg_fn

from gulmfit.errors import ConfigError
from gulmfit.train.survive.watch import agreed

logger = logging.getLogger(__name__)

AVERAGING = "averaging"  # its name in the state of the optimizer


class NTASGD(SGD):
    """SGD, and from the trigger on the mean of the weights after each step.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate.
        nonmono: The trigger fires where validation is worse than the best of all looks but the newest so many.
        rate_factor: The rates of the phases are those of AdamW, whose steps have the size of the rate. A step of SGD
            has the size of the gradient, too: all rates are multiplied by this.
        language_factor: The same for language models, whose gradients are smaller; None for `rate_factor`.
        momentum, weight_decay: As of `torch.optim.SGD`.

    Attributes:
        looks: Losses of validation before averaging began, a lower one being better.
        averages: Means of the parameters, in the order of `weights`; None before the trigger.
        count: Iterates in them.

    Raises:
        ConfigError: If an argument is out of range.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        nonmono: int = 5,
        rate_factor: float = 1.0,
        language_factor: float | None = None,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        factors = rate_factor, rate_factor if language_factor is None else language_factor
        if nonmono < 0 or min(factors) <= 0:
            raise ConfigError(
                f"optimizer: nonmono={nonmono} is 0 or more, rate_factor and language_factor={factors} above 0."
            )
        super().__init__(params, lr, momentum=momentum, weight_decay=weight_decay)
        self.nonmono, (self.rate_factor, self.language_factor) = nonmono, factors
        self.looks: list[float] = []
        self.averages: list[Tensor] | None = None
        self.count = 0
        self._add: Callable[..., None] = get_swa_multi_avg_fn()  # type: ignore[no-untyped-call]

    @property
    def weights(self) -> list[Tensor]:
        """All parameters, group by group."""
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make a step, and add where it leads to the average."""
        loss = super().step(closure)
        if self.averages is not None:
            with torch.no_grad():
                self._add(self.averages, self.weights, self.count)
            self.count += 1
        return loss

    def is_triggered_by(self, loss: float) -> bool:
        """Tell whether averaging has to begin after this look at validation."""
        before = self.looks[: len(self.looks) - self.nonmono] if len(self.looks) > self.nonmono else []
        return self.averages is None and bool(before) and loss > min(before)

    def begin(self) -> None:
        """Begin to average; the present weights are the first iterate."""
        self.averages, self.count = [weight.detach().clone() for weight in self.weights], 1

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the weights and their average; without an average nothing happens."""
        for weight, average in zip(self.weights, self.averages or [], strict=self.averages is not None):
            held = weight.detach().clone()
            weight.copy_(average)
            average.copy_(held)

    def start_phase(self) -> None:
        """Begin anew, as another optimizer would, from what the phase before returned: the average where it has one."""
        self.swap()
        self.looks, self.averages, self.count = [], None, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the state; the averages are the weights of a checkpoint (`averaged`), the iterates are here."""
        iterates = [weight.detach().clone() for weight in self.weights] if self.averages is not None else None
        return {**super().state_dict(), AVERAGING: {"looks": self.looks, "iterates": iterates, "count": self.count}}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up again; the weights of the model are those of the checkpoint by now."""
        state = dict(state_dict)
        averaging = state.pop(AVERAGING, {"looks": [], "iterates": None, "count": 0})
        super().load_state_dict(state)
        self.looks, self.averages, self.count = list(averaging["looks"]), None, int(averaging["count"])
        if averaging["iterates"] is not None:
            self.averages = [weight.detach().clone() for weight in self.weights]
            for weight, iterate in zip(self.weights, averaging["iterates"], strict=True):
                weight.copy_(iterate)

    def averaged(self, module: torch.nn.Module) -> dict[str, Tensor]:
        """Return the average of each parameter of a module by its name; empty without an average."""
        found = dict(zip(map(id, self.weights), self.averages or [], strict=False))
        named = module.named_parameters(remove_duplicate=False)
        return {name: found[id(weight)].clone() for name, weight in named if id(weight) in found}


class Averaging(Callback):
    """Show each look at the validation part to the trigger, and let validation see the average.

    Args:
        monitor: The score of the validation part.
        mode: `min` or `max`, which is better.
    """

    def __init__(self, monitor: str, mode: str) -> None:
        self.monitor, self.sign = monitor, 1 if mode == "min" else -1

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the average."""
        if optimizer := averaging_optimizer(trainer):
            optimizer.swap()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the iterate again, and decide, before the checkpoint of this look is written."""
        optimizer = averaging_optimizer(trainer)
        if optimizer is None:
            return
        optimizer.swap()
        if optimizer.averages is not None or trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        loss = self.sign * float(trainer.callback_metrics[self.monitor])
        if agreed(trainer, int(optimizer.is_triggered_by(loss))):
            optimizer.begin()
            logger.info(
                "%s has not improved for %d looks: weights are averaged from step %d on",
                self.monitor, optimizer.nonmono + 1, trainer.global_step,
            )  # fmt: skip
        optimizer.looks.append(loss)


def averaging_optimizer(trainer: pl.Trainer | None) -> NTASGD | None:
    """Return the optimizer of a trainer if it averages."""
    found = trainer.optimizers[0] if trainer and trainer.optimizers else None
    return found if isinstance(found, NTASGD) else None
