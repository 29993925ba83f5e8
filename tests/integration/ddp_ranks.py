"""Run under torchrun by test_ddp.py: thaw a classifier on two ranks and compare their weights after each epoch."""

import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "train"))

import test_tasks as parts

PHASES = [{"epochs": 1, "lr": 1e-2, "groups": 1}, {"epochs": 1, "lr": 1e-2, "groups": 2}, {"epochs": 1, "lr": 1e-2}]


class SameOnEveryRank(pl.Callback):
    """Fail where the ranks have drifted apart."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        weights = torch.cat([parameter.detach().flatten() for parameter in pl_module.parameters()])
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
        callbacks=[SameOnEveryRank()],
    )
    trainer.fit(task, datamodule=data)
    if trainer.is_global_zero and kind == "language":
        sys.stdout.write(f"bits {float(trainer.callback_metrics['val/bits_per_base']):.6f}\n")


main()
