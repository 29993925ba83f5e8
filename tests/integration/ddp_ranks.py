"""Run under torchrun by test_ddp.py: thaw a classifier on two ranks and compare their weights after each epoch."""

import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "train"))

import test_tasks as parts

from gulmfit.train.loop.ntasgd import Averaging, averaging_optimizer

PHASES = [{"epochs": 1, "lr": 1e-2, "groups": 1}, {"epochs": 1, "lr": 1e-2, "groups": 2}, {"epochs": 1, "lr": 1e-2}]


class SameOnEveryRank(pl.Callback):
    """Fail where the ranks have drifted apart."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        weights = torch.cat([parameter.detach().flatten() for parameter in pl_module.parameters()])
        if optimizer := averaging_optimizer(trainer):
            weights = torch.cat([weights, *(item.flatten() for item in optimizer.averages or [])])
            if trainer.current_epoch == 2 and not optimizer.averages:
                raise SystemExit("nothing was averaged")
        gathered: Any = trainer.strategy.all_gather(weights)
        if not torch.equal(gathered[0], gathered[1]):
            raise SystemExit(
                f"epoch {trainer.current_epoch}: ranks differ by {(gathered[0] - gathered[1]).abs().max()}"
            )
        if trainer.is_global_zero:
            sys.stdout.write(f"epoch {trainer.current_epoch}: equal\n")


def main() -> None:
    kind = sys.argv[1]
    pl.seed_everything(3)
    task, data = (
        (parts.classification_task(PHASES), parts.classification_data())
        if kind == "classification"
        else (parts.language_task(), parts.language_data())
    )
    if kind == "averaged":
        optimizer = {"_target_": "gulmfit.train.loop.ntasgd.NTASGD", "nonmono": 0, "rate_factor": 1000.0}
        task = type(task)(task.hparams["spec"], optimizer, {"phases": [{"epochs": 3, "lr": 1e-2}], "div": 1.0})
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp_find_unused_parameters_true" if kind == "classification" else "ddp",
        max_epochs=3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        val_check_interval=5 if kind == "averaged" else None,
        callbacks=[SameOnEveryRank(), *([Averaging("val/loss", "min")] if kind == "averaged" else [])],
    )
    trainer.fit(task, datamodule=data)
    if trainer.is_global_zero and kind == "language":
        sys.stdout.write(f"bits {float(trainer.callback_metrics['val/bits_per_base']):.6f}\n")


main()
