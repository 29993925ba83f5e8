"""The step in `last.ckpt` is the promised one whatever validation says, and what is done is never done again."""

import math
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from torch.utils.data import DataLoader

from gulmfit.errors import ConfigError, StoppedError
from gulmfit.train.survive.callbacks import RunCheckpoint
from gulmfit.train.survive.durable import BEST, LAST, DurableCheckpointIO, newest_sound, read_best_score

# Validation never improves after its first time.
WORSE = "val/loss"


class Scripted(pl.LightningModule):
    """One number that learns; it notes each step and each validation."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.trained: list[int] = []
        self.judged: list[int] = []

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        if (index + 1) % self.trainer.accumulate_grad_batches == 0:
            self.trained.append(self.trainer.global_step + 1)
        return (self.weight * batch).mean()

    def validation_step(self, batch: torch.Tensor, index: int) -> None:
        self.judged.append(self.trainer.global_step)
        self.log(WORSE, float(self.trainer.global_step))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


class At(pl.Callback):
    """Do something after a step, before the step can be saved."""

    def __init__(self, step: int, signum: int | None = None) -> None:
        self.step, self.signum = step, signum

    def on_train_batch_end(self, trainer: pl.Trainer, *rest: Any) -> None:
        if trainer.global_step == self.step:
            if self.signum is None:
                raise RuntimeError("killed")
            os.kill(os.getpid(), self.signum)


@pytest.fixture(autouse=True)
def quiet() -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def run(folder: Path, every: int | None, batches: int, *more: pl.Callback, **arguments: Any) -> Scripted:
    """Train in a folder, from its last checkpoint on if it has one."""
    task = Scripted()
    options: dict[str, Any] = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    options |= {"enable_model_summary": False, "num_sanity_val_steps": 0, "plugins": [DurableCheckpointIO()]}
    options |= {"callbacks": [*more, RunCheckpoint(folder, WORSE, "min", every_n_steps=every)], **arguments}
    before = newest_sound_step(folder)
    train = DataLoader(torch.ones(batches, 1), batch_size=1)
    pl.Trainer(**options).fit(
        task, train, DataLoader(torch.ones(1, 1)), ckpt_path=str(folder / LAST) if before else None
    )
    return task


def newest_sound_step(folder: Path) -> int:
    return step_in(folder / LAST) if (folder / LAST).is_file() else 0


def step_in(path: Path) -> int:
    return int(torch.load(path, weights_only=True)["global_step"])


def promised(before: int, every: int | None, epoch: int, end: int | None = None) -> int:
    """Return the step that must be saved when a run is killed in a step, before the end of that step."""
    saved = 0
    for step in range(1, before):
        if step % epoch == 0 or step == end or (every and step - saved >= every):
            saved = step
    return saved


PLANS = {
    "one batch an epoch, never judged": (1, 1, None, {"max_epochs": 4, "check_val_every_n_epoch": 100}),
    "never better": (3, 3, None, {"max_epochs": 3}),
    "every 2 steps": (5, 5, 2, {"max_epochs": 2, "check_val_every_n_epoch": 2}),
    "limited": (9, 3, 2, {"max_epochs": 3, "limit_train_batches": 3, "check_val_every_n_epoch": 3}),
    "accumulated": (4, 2, 1, {"max_epochs": 3, "accumulate_grad_batches": 2}),
    "judged within": (4, 4, None, {"max_epochs": 2, "val_check_interval": 2}),
    "ends within": (4, 4, None, {"max_steps": 6, "max_epochs": -1}),
}


@pytest.mark.parametrize("name", PLANS)
def test_the_promised_step_is_in_the_file_and_no_more_is_done_again(name: str, tmp_path: Path) -> None:
    batches, epoch, every, arguments = PLANS[name]
    whole = run(tmp_path / "whole", every, batches, **arguments)
    steps = whole.trained[-1]
    assert whole.trained == list(range(1, steps + 1))
    assert step_in(tmp_path / "whole" / LAST) == steps
    for kill in sorted({2, epoch, epoch + 1, steps}):
        folder = tmp_path / str(kill)
        with pytest.raises(RuntimeError, match="killed"):
            run(folder, every, batches, At(kill), **arguments)
        saved = promised(kill, every, epoch, arguments.get("max_steps"))
        assert newest_sound_step(folder) == saved, kill
        resumed = run(folder, every, batches, **arguments)
        assert resumed.trained == list(range(saved + 1, steps + 1)), kill
        assert resumed.judged == [step for step in whole.judged if step > saved], kill
        assert step_in(folder / LAST) == steps
        if whole.judged:
            assert step_in(folder / BEST) == whole.judged[0], kill
            assert read_best_score(folder / BEST) == whole.judged[0], kill
    again = run(tmp_path / "whole", every, batches, **arguments)
    assert (again.trained, again.judged) == ([], [])


@pytest.mark.parametrize("step", [1, 2, 3, 6])
@pytest.mark.parametrize("judged_every", [1, 100])
def test_what_a_signal_says_is_saved_is_in_the_file(step: int, judged_every: int, tmp_path: Path) -> None:
    plan = {"max_epochs": 4, "check_val_every_n_epoch": judged_every}
    with pytest.raises(StoppedError, match=f"after step {step},"):
        run(tmp_path, None, 3, At(step, signal.SIGTERM), **plan)
    assert step_in(tmp_path / LAST) == step
    resumed = run(tmp_path, None, 3, **plan)
    assert resumed.trained == list(range(step + 1, 13))


def test_a_signal_just_before_training_stops_it_after_a_step(tmp_path: Path) -> None:
    class Early(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if not trainer.global_step:
                os.kill(os.getpid(), signal.SIGTERM)  # Lightning's handlers stand, ours not yet

    with pytest.raises(StoppedError, match="SIGTERM after step 1,"):
        run(tmp_path, None, 3, Early(), max_epochs=2)
    assert step_in(tmp_path / LAST) == 1
    assert run(tmp_path, None, 3, Early(), max_epochs=2).trained == list(range(2, 7))


def test_the_clock_goes_on_until_something_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four minutes a step, saved every ten: after step 3, and not before step 3 because an epoch went by unsaved."""
    now = [0.0]
    monkeypatch.setattr("gulmfit.train.survive.callbacks.time.monotonic", lambda: now[0])
    saved: list[int] = []
    save = DurableCheckpointIO.save_checkpoint

    def noted(self: DurableCheckpointIO, checkpoint: dict[str, Any], path: Path, storage_options: Any = None) -> None:
        if Path(path).name == LAST:
            saved.append(checkpoint["global_step"])
        save(self, checkpoint, path, storage_options)

    class Slow(pl.Callback):
        def on_train_batch_end(self, *rest: Any) -> None:
            now[0] += 240.0

    monkeypatch.setattr(DurableCheckpointIO, "save_checkpoint", noted)
    task = Scripted()
    keeper = RunCheckpoint(tmp_path, WORSE, "min", every_minutes=10)
    options: dict[str, Any] = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "max_epochs": 2}
    options |= {"enable_model_summary": False, "num_sanity_val_steps": 0, "plugins": [DurableCheckpointIO()]}
    pl.Trainer(**options, callbacks=[Slow(), keeper]).fit(
        task, DataLoader(torch.ones(8, 1)), DataLoader(torch.ones(1, 1))
    )
    assert saved == [3, 6, 8, 11, 14, 16]


def test_a_run_that_stopped_early_is_not_trained_again(tmp_path: Path) -> None:
    first = run(tmp_path, None, 2, EarlyStopping(WORSE, patience=2), max_epochs=9)
    assert first.trained[-1] == 6
    assert run(tmp_path, None, 2, EarlyStopping(WORSE, patience=2), max_epochs=9).trained == []


def test_a_run_that_its_time_ended_goes_on_by_the_same_words(tmp_path: Path) -> None:
    steps = [run(tmp_path, None, 3, max_epochs=2, max_time=timedelta(microseconds=1)).trained for _ in range(7)]
    assert steps == [[1], [2], [3], [4], [5], [6], []]


def test_a_moved_folder_keeps_its_best(tmp_path: Path) -> None:
    """Lightning knows the best one by its path, and would take the next for better."""
    with pytest.raises(RuntimeError, match="killed"):
        run(tmp_path / "there", None, 2, At(5), max_epochs=4)
    (tmp_path / "there").rename(tmp_path / "here")
    run(tmp_path / "here", None, 2, max_epochs=4)
    assert step_in(tmp_path / "here" / BEST) == 2


def test_a_run_goes_back_to_the_last_weights_that_are_numbers(tmp_path: Path) -> None:
    spec = {"arch": {}, "head": {}, "dropout": {}, "tokenizer": {}}
    for step, value in ((1, 1.0), (2, 2.0), (3, math.nan)):
        weights = {"w": torch.tensor([value])}
        content = {"hyper_parameters": {"spec": spec}, "state_dict": weights, "global_step": step}
        DurableCheckpointIO().save_checkpoint(content, tmp_path / LAST)
    good = newest_sound(tmp_path)
    assert good is not None
    assert step_in(good) == 2


def test_a_monitor_that_is_not_measured_is_told(tmp_path: Path) -> None:
    keeper = RunCheckpoint(tmp_path, "val/nothing", "min")
    options: dict[str, Any] = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "max_epochs": 1}
    options |= {"enable_model_summary": False, "num_sanity_val_steps": 0, "callbacks": [keeper]}
    with pytest.raises(ConfigError, match=r"val/nothing.*val/loss"):
        pl.Trainer(**options).fit(Scripted(), DataLoader(torch.ones(2, 1)), DataLoader(torch.ones(1, 1)))
