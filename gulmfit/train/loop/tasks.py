"""What every stage trains: a model with its optimizer, its schedule, and gradual unfreezing.

A task takes plain dictionaries only, so that a checkpoint rebuilds it without arguments and loads with
`weights_only=True`.
"""

import math
from typing import Any, cast

import pytorch_lightning as pl
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from gulmfit.checkpoint import Spec, build_model
from gulmfit.config import instantiate
from gulmfit.models.classifier import LabelModel
from gulmfit.models.encoder import check_encoder
from gulmfit.models.language_model import LanguageModel
from gulmfit.train.loop.ntasgd import averaging_optimizer
from gulmfit.train.loop.plateau import Plateau
from gulmfit.train.loop.schedule import OneCycle, OneCyclePhases
from gulmfit.train.survive.identity import LEARNED_FROM


class Task(pl.LightningModule):
    """A model with its optimizer and schedule; gradual unfreezing happens here.

    All layer groups are in the optimizer from step 0, whatever is frozen: groups that are added later break resuming,
    and parameters that are frozen when DDP wraps them never get their gradients reduced. A frozen group has no
    gradient, so the optimizer, weight decay included, passes it over.

    Args:
        spec: How to build the model (`gulmfit.checkpoint`).
        optimizer: `_target_` of a torch optimizer and its arguments, without parameters and rate.
        schedule: Arguments of `OneCycle`.
    """

    model: LanguageModel | LabelModel

    def __init__(self, spec: Spec, optimizer: dict[str, Any], schedule: dict[str, Any]) -> None:
        super().__init__()
        self.save_hyperparameters({"spec": spec, "optimizer": optimizer, "schedule": schedule})
        model, self.tokenizer = build_model(spec)
        self.model = cast("LanguageModel | LabelModel", model)
        if not type(self.model.encoder).__module__.startswith("gulmfit."):  # ours keep the contract by test
            check_encoder(self.model.encoder)
        self.schedule = OneCycle.from_config(schedule)
        self.halvings = 0
        # Loss of a model that knows frequencies only; None where the first losses tell it.
        self.ignorance: float | None = None
        # Loss of the last step without penalties on activations.
        self.fitted_loss: Tensor | None = None
        self.validated_at = -1
        self.learned_from: dict[str, str] = {}
        self.plateau: Plateau | None = None
        self._plateau_before: dict[str, Any] | None = None

    def configure_optimizers(self) -> Any:
        """Build the optimizer over all layer groups and its schedule over all steps."""
        arguments = dict(self.hparams["optimizer"])
        if self._scales_gradients and arguments.get("fused"):
            arguments["fused"] = False  # it would undo the scaling itself, after they have been clipped
        groups = [{"params": group, "lr": self.schedule.phases[0].lr} for group in self.model.layer_groups()]
        optimizer = instantiate({**arguments, "params": groups})
        self._planned_steps = max(1, int(self.trainer.estimated_stepping_batches))
        if patience := self.schedule.patience:
            steps_an_epoch = max(1, self._planned_steps // self.schedule.epochs)
            unit = steps_an_epoch * int(self.trainer.check_val_every_n_epoch or 1)
            self.plateau = Plateau(self.schedule.peak(self._planned_steps), self._planned_steps, unit, patience)
            if self._plateau_before:
                self.plateau.take_up(self._plateau_before)
        name = "language_factor" if isinstance(self.model, LanguageModel) else "rate_factor"
        factor = getattr(optimizer, name, 1.0)
        scheduler = OneCyclePhases(
            optimizer, self.schedule, self._planned_steps, lambda: factor * 0.5**self.halvings, self._planned_step
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step", "name": "lr"}}

    @property
    def _scales_gradients(self) -> bool:
        return str(self.trainer.precision).startswith("16")

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm of all gradients together, and log what it was.

        Lightning refuses to clip for a fused optimizer, whose own unscaling matters in fp16 only.
        """
        if self._scales_gradients or gradient_clip_algorithm == "value":
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
            return
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        limit = math.inf if gradient_clip_val is None else float(gradient_clip_val)
        self.log("train/grad_norm", clip_grad_norm_(parameters, limit), on_step=True, on_epoch=False)

    def on_train_start(self) -> None:
        """Take the halved rates up at once: the checkpoint brings those of before."""
        if self.halvings:
            scheduler = cast(OneCyclePhases, self.lr_schedulers())
            for group, rate in zip(scheduler.optimizer.param_groups, scheduler.get_lr(), strict=True):
                group["lr"] = rate

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save how often divergence has halved the rate, when the model was last judged, and what it has learned.

        Weights that are averaged are saved as their average.
        """
        checkpoint["halvings"] = self.halvings
        checkpoint[LEARNED_FROM] = self.learned_from
        checkpoint["validated_at"] = self.validated_at
        if self.plateau:
            checkpoint["plateau"] = self.plateau.state()
        if optimizer := averaging_optimizer(self._trainer):  # None outside training
            checkpoint["state_dict"] |= optimizer.averaged(self)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it up again; the rate may have been halved once more since."""
        self.halvings = max(self.halvings, int(checkpoint["halvings"]))
        self.validated_at = int(checkpoint.get("validated_at", -1))
        self._plateau_before = checkpoint.get("plateau")

    def kept(self) -> dict[str, Any]:
        """Return what the model folder tells besides how the model is built."""
        return {LEARNED_FROM: self.learned_from}

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole training, as far as is known."""
        return self.plateau.total_steps if self.plateau else self._planned_steps

    def _planned_step(self, step: int) -> float:
        return self.plateau.planned_step(step) if self.plateau else step

    def frozen_groups(self) -> int:
        """Return how many of the lowest layer groups are frozen at this step."""
        index, _ = self.schedule.phase_at(self._planned_step(self.global_step), self._planned_steps)
        groups = self.schedule.phases[index].groups
        return max(0, len(self.model.layer_groups()) - groups) if groups else 0

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Forget the optimizer's moments where a phase begins, as a fresh optimizer would.

        The step alone decides, so that a run continued from an edge of phases, whose checkpoint still has the moments
        of the phase before, forgets them as well.
        """
        if self.global_step in self.schedule.edges(self._planned_steps)[:-1]:
            self.trainer.optimizers[0].state.clear()
            if optimizer := averaging_optimizer(self.trainer):
                optimizer.start_phase()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Take the gradients of frozen groups away."""
        for group in self.model.layer_groups()[: self.frozen_groups()]:
            for parameter in group:
                parameter.grad = None
