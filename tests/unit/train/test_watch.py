"""Losses that run away, signals, and what each process keeps for itself."""

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gulmfit.errors import CheckpointError, DivergenceError
from gulmfit.train import slurm
from gulmfit.train.ranks import gather, own
from gulmfit.train.watch import FIRST_STEPS, LossWatch, Signals


def step(watch: LossWatch, loss: float) -> None:
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    trainer: Any = SimpleNamespace(strategy=strategy, accumulate_grad_batches=1, world_size=1, global_step=watch.steps)
    watch.on_train_batch_end(trainer, None, {"loss": torch.tensor(loss)}, None, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_at_once(loss: float) -> None:
    watch = LossWatch()
    step(watch, 1.0)
    with pytest.raises(DivergenceError, match="no number at step"):
        step(watch, loss)


def test_a_loss_that_runs_away_stops_and_a_noisy_one_does_not() -> None:
    watch = LossWatch()
    for number in range(400):  # single bad batches, ten times the usual loss, are no divergence
        step(watch, 10.0 if number % 40 == 39 else 1.0)

    def run_away() -> None:
        for number in range(1, 400):
            step(watch, float(number))

    with pytest.raises(DivergenceError, match=r"its running mean was 1 at the start and is [\d.]+ at step"):
        run_away()
    assert watch.steps < 400 + 60


def test_a_continued_watch_decides_like_one_that_was_not_interrupted() -> None:
    losses = [1.0] * FIRST_STEPS + [1.5 * 1.02**number for number in range(300)]

    def stops_at(restart: int) -> int:
        watch = LossWatch()
        for number, loss in enumerate(losses):
            if number == restart:
                saved, watch = watch.state_dict(), LossWatch()
                watch.load_state_dict(saved)
            try:
                step(watch, loss)
            except DivergenceError:
                return number
        raise AssertionError("never stopped")

    assert {stops_at(restart) for restart in (-1, 5, FIRST_STEPS, 50)} == {stops_at(-1)}


def test_signals_are_noted_and_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    signals = Signals()
    signals.listen()
    signal.raise_signal(signal.SIGTERM)
    assert signals.received == signal.SIGTERM
    signals.leave()
    assert signal.getsignal(signal.SIGTERM) is before


def test_one_process_keeps_its_own_and_refuses_what_two_have_saved() -> None:
    assert own(gather({"state": 1})) == {"state": 1}
    with pytest.raises(
        CheckpointError, match=r"saved by 2 process\(es\) and cannot be continued by 1.*trainer\.devices=2"
    ):
        own([1, 2])


def test_a_job_of_slurm_puts_itself_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert not slurm.requeue()
    program = tmp_path / "scontrol"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/called\nexit ${{SCONTROL_FAILS:-0}}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    assert slurm.requeue()
    assert slurm.job_id({"SLURM_JOB_ID": "45", "SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "5"}) == "40_5"
    monkeypatch.setenv("SCONTROL_FAILS", "1")
    assert not slurm.requeue()
    assert (tmp_path / "called").read_text() == "requeue 41\n" * 2
