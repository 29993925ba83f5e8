"""NT-ASGD: the trigger is Algorithm 1, the result the mean of all iterates from it on, and resuming changes nothing."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parent))

import test_tasks as parts

from gulmfit.errors import ConfigError
from gulmfit.train.loop.ntasgd import NTASGD, Averaging
from gulmfit.train.survive.callbacks import RandomState, RunCheckpoint

OPTIMIZER = {"_target_": "gulmfit.train.loop.ntasgd.NTASGD", "nonmono": 0, "rate_factor": 100.0, "momentum": 0.5}
CONSTANT = {"div": 1.0, "final_div": 1.0}
MONITOR = "val/loss"


def algorithm_1(losses: list[float], nonmono: int) -> int | None:
    """Return at which look averaging begins, as the paper writes it down."""
    logs: list[float] = []
    for t, v in enumerate(losses):
        if t > nonmono and v > min(logs[at] for at in range(t - nonmono)):
            return t
        logs.append(v)
    return None


@given(st.lists(st.integers(0, 9).map(float), max_size=14), st.integers(0, 6))
def test_the_trigger_is_that_of_algorithm_1(losses: list[float], nonmono: int) -> None:
    optimizer = NTASGD([torch.nn.Parameter(torch.ones(1))], nonmono=nonmono)
    fired = None
    for look, loss in enumerate(losses):
        if optimizer.is_triggered_by(loss):
            optimizer.begin()
            fired = look
            break
        optimizer.looks.append(loss)
    assert fired == algorithm_1(losses, nonmono)


def test_five_looks_do_not_count() -> None:
    optimizer = NTASGD([torch.nn.Parameter(torch.ones(1))])
    optimizer.looks = [1.0, 2.0, 2.0, 2.0, 2.0]
    assert not optimizer.is_triggered_by(2.0)  # the best may still be among the last five
    optimizer.looks.append(2.0)
    assert optimizer.is_triggered_by(2.0)
    assert not optimizer.is_triggered_by(1.0)


@pytest.mark.parametrize("wrong", [{"nonmono": -1}, {"rate_factor": 0.0}, {"language_factor": -1.0}])
def test_arguments_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        NTASGD([torch.nn.Parameter(torch.ones(1))], **wrong)


class Iterates(pl.Callback):
    """Keep the weights after each step, and the steps at which averaging began."""

    def __init__(self) -> None:
        self.after: dict[int, dict[str, torch.Tensor]] = {}
        self.began: list[int] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        self.after[trainer.global_step] = {name: item.detach().clone() for name, item in pl_module.named_parameters()}
        if trainer.optimizers[0].averages is not None and trainer.optimizers[0].count == 2:
            self.began.append(trainer.global_step - 1)


class Judged(pl.Callback):
    """Keep the weights that validation sees."""

    def __init__(self) -> None:
        self.seen: dict[int, dict[str, torch.Tensor]] = {}

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seen[trainer.global_step] = {name: item.detach().clone() for name, item in pl_module.named_parameters()}


def built(kind: str, phases: int = 1) -> tuple[Any, Any]:
    """Return a task that averages, and its data."""
    plan = [{"epochs": 1, "lr": 2e-2, "groups": 2}, {"epochs": 4, "lr": 2e-2}][-phases:]
    task, data = (
        (parts.classification_task(plan), parts.classification_data())
        if kind == "classification"
        else (parts.language_task(phases=plan), parts.language_data())
    )
    return type(task)(task.hparams["spec"], OPTIMIZER, {"phases": plan, **CONSTANT}), data


def trained(kind: str, folder: Path, *more: pl.Callback, resume: bool = False, phases: int = 1) -> tuple[Any, NTASGD]:
    torch.manual_seed(3)
    task, data = built(kind, phases)
    torch.manual_seed(99 if resume else 7)
    callbacks = [*more, Averaging(MONITOR, "min"), RandomState(), RunCheckpoint(folder, MONITOR, "min", 3)]
    epochs = 6 if kind == "classification" else 3
    interval = {} if kind == "classification" else {"val_check_interval": 11}
    trainer = parts.trainer(folder, callbacks=callbacks, max_epochs=epochs, gradient_clip_val=1.0, **interval)
    trainer.fit(task, datamodule=data, ckpt_path=str(folder / "last.ckpt") if resume else None, weights_only=True)
    return task, trainer.optimizers[0]  # type: ignore[return-value]


@pytest.mark.parametrize("kind", ["classification", "language"])
def test_validation_and_checkpoints_have_the_mean_of_all_iterates(kind: str, tmp_path: Path) -> None:
    iterates, judged = Iterates(), Judged()
    task, optimizer = trained(kind, tmp_path, iterates, judged)
    (first,) = iterates.began
    last = max(iterates.after)
    assert 0 < first < last - 5
    for step, seen in judged.seen.items():
        chosen = range(first, step + 1) if step > first else [step]
        for name, found in seen.items():
            mean = np.mean([iterates.after[at][name].double().numpy() for at in chosen], axis=0)
            np.testing.assert_allclose(found.numpy(), mean, atol=1e-6, err_msg=f"{name} at step {step}")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    for name, average in optimizer.averaged(task).items():
        assert torch.equal(saved[name], average), name
    for name, weight in task.named_parameters():
        assert torch.equal(weight, iterates.after[last][name]), "training goes on from the iterate"


@pytest.mark.parametrize("kind", ["classification", "language"])
def test_a_run_killed_before_at_and_after_the_trigger_ends_bit_for_bit_the_same(kind: str, tmp_path: Path) -> None:
    iterates = Iterates()
    whole, optimizer = trained(kind, tmp_path / "whole", iterates)
    (first,) = iterates.began
    for stop in (first - 1, first + 1, first + 7):
        folder = tmp_path / str(stop)
        with pytest.raises(RuntimeError, match="killed"):
            trained(kind, folder, parts.StopAt(stop))
        resumed, again = trained(kind, folder, resume=True)
        parts.assert_equal(dict(resumed.state_dict()), dict(whole.state_dict()), f"killed in step {stop}")
        assert (again.looks, again.count) == (optimizer.looks, optimizer.count)
        for ours, theirs in zip(again.averages or [], optimizer.averages or [], strict=True):
            assert torch.equal(ours, theirs), stop


def test_a_phase_goes_on_from_the_average_of_the_phase_before() -> None:
    weight = torch.nn.Parameter(torch.tensor([0.0]))
    optimizer = NTASGD([weight], lr=1.0, nonmono=0)
    optimizer.begin()
    for _ in range(3):
        weight.grad = torch.tensor([-2.0])
        optimizer.step()
    assert float(weight) == 6.0
    optimizer.start_phase()
    assert float(weight) == pytest.approx(3.0)  # of 0, 2, 4, 6
    assert (optimizer.averages, optimizer.looks, optimizer.count) == (None, [], 0)
    optimizer.start_phase()
    assert float(weight) == pytest.approx(3.0)
