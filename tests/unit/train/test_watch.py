"""Losses that run away, signals, and what each process keeps for itself."""

import signal
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from gulmfit.checkpoint import read_progress
from gulmfit.errors import CheckpointError, DivergenceError
from gulmfit.train.console import Load
from gulmfit.train.runner import train
from gulmfit.train.survive.ranks import gather, job_id, own, requeue
from gulmfit.train.survive.watch import WINDOW, LossWatch, Signals

TINY = [
    "stage=pretrain", "data.length_bp=40000", "data.num_train=4", "data.num_valid=4", "data.num_test=4",
    "arch=awd_lstm_tiny", "arch.hidden_size=8", "arch.embed_size=8", "tokenizer.k=3", "batch_size=16",
    "trainer.precision=32-true", "pretrain.epochs=3", "holdout.block_bp=2000", "holdout.margin_bp=10",
]  # fmt: skip


def step(watch: LossWatch, loss: float) -> None:
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    trainer: Any = SimpleNamespace(strategy=strategy, accumulate_grad_batches=1, world_size=1, global_step=watch.steps)
    watch.on_train_batch_end(trainer, None, {"loss": torch.tensor(loss)}, None, 0)  # type: ignore[arg-type]


def first_stop(watch: LossWatch, losses: Iterable[float]) -> int | None:
    """Return the number of the loss at which a watch stops, or None."""
    for number, loss in enumerate(losses):
        try:
            step(watch, loss)
        except DivergenceError:
            return number
    return None


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_a_number_stops_at_once(loss: float) -> None:
    assert first_stop(LossWatch(), [1.0, loss]) == 1


def test_a_loss_that_runs_away_stops_and_a_noisy_one_does_not() -> None:
    watch = LossWatch()
    assert first_stop(watch, [10.0 if number % 40 == 39 else 1.0 for number in range(400)]) is None
    stopped = first_stop(watch, (float(number) for number in range(1, 400)))
    assert stopped is not None
    assert stopped < WINDOW + 20  # a quarter of the window still holds 10 and 1


@pytest.mark.parametrize("batch", [8, 32, 128])
@pytest.mark.parametrize("kind", ["log-normal", "outliers"])
def test_healthy_regressions_of_heavy_tails_are_left_alone(batch: int, kind: str) -> None:
    """Squared errors of a model that predicts the mean: single batches are hundreds of times the usual one."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        if kind == "log-normal":
            values = rng.lognormal(0.0, 1.5, (600, batch))
        else:
            values = rng.normal(size=(600, batch)) * np.where(rng.random((600, batch)) < 0.02, 30.0, 1.0)
        losses = ((values - values.mean()) ** 2).mean(1) * np.linspace(1.0, 0.8, 600)
        assert first_stop(LossWatch(), losses) is None, seed


def language_model_losses(collapses: bool) -> np.ndarray:
    """Nats of a token as the demonstration's network had them: 1.955 bits a base, down to 1.90, and back."""
    bits = np.concatenate([np.linspace(1.955, 1.90, 440), np.full(400, 1.957) if collapses else np.full(400, 1.89)])
    return bits * 2 * np.log(2) + np.random.default_rng(0).normal(0.0, 0.02, len(bits))


@pytest.mark.parametrize("ignorance", [None, 1.957 * 2 * np.log(2)])
def test_a_loss_that_falls_back_to_where_it_began_stops(ignorance: float | None) -> None:
    stopped = first_stop(LossWatch(ignorance), language_model_losses(collapses=True))
    assert stopped is not None
    assert 440 < stopped < 440 + WINDOW
    assert first_stop(LossWatch(ignorance), language_model_losses(collapses=False)) is None


def test_a_language_model_that_is_tuned_may_return_to_where_it_began() -> None:
    """A warm-up to a high rate costs what tuning has gained at first: the reference is what frequencies know."""
    losses = np.concatenate([np.linspace(2.55, 2.50, 100), np.full(100, 2.56), np.linspace(2.56, 2.45, 100)])
    assert first_stop(LossWatch(ignorance=2.71), losses) is None
    assert first_stop(LossWatch(), losses) is not None


def test_a_classifier_that_forgets_stops_and_one_that_stays_at_chance_does_not() -> None:
    rng = np.random.default_rng(1)
    learned = np.concatenate([np.linspace(0.70, 0.1, 300), np.full(200, 0.69)]) + rng.normal(0, 0.05, 500)
    assert first_stop(LossWatch(), learned) is not None
    for seed in range(50):
        assert first_stop(LossWatch(), 0.7 + np.random.default_rng(seed).normal(0, 0.05, 1000)) is None


@pytest.mark.parametrize("losses", [language_model_losses(collapses=True), np.array([1.02**n for n in range(300)])])
def test_a_continued_watch_decides_like_one_that_was_not_interrupted(losses: np.ndarray) -> None:
    def stops_at(restart: int) -> int | None:
        watch = LossWatch()
        before = first_stop(watch, losses[:restart])
        saved, watch = watch.state_dict(), LossWatch()
        watch.load_state_dict(saved)
        after = first_stop(watch, losses[restart:])
        return before if before is not None else None if after is None else restart + after

    assert {stops_at(restart) for restart in (0, 5, WINDOW - 1, WINDOW, 200)} == {first_stop(LossWatch(), losses)}


def test_signals_are_noted_and_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    signals = Signals()
    signals.listen()
    signal.raise_signal(signal.SIGTERM)
    assert signals.received == signal.SIGTERM
    signals.leave()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="Windows has no such signal")
def test_a_launcher_has_its_signal_once_the_step_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As submitit does: its handler, there before training, puts the job back into the queue and exits."""
    folder, steps = tmp_path / "pretrain" / "default" / "checkpoints", []

    def handler(number: int, frame: object) -> None:
        steps.append((number, read_progress(folder / "last.ckpt")[1]))
        raise SystemExit(-1)

    asked = 0

    def look(self: Load) -> str:
        nonlocal asked
        asked += 1
        if asked == 3:
            signal.raise_signal(signal.SIGUSR2)
        return ""

    monkeypatch.setattr(Load, "look", look)
    before = signal.signal(signal.SIGUSR2, handler)
    try:
        with pytest.raises(SystemExit):
            train([*TINY, f"paths.output_dir={tmp_path}"])
        assert signal.getsignal(signal.SIGUSR2) is handler
    finally:
        signal.signal(signal.SIGUSR2, before)
    ((number, step),) = steps
    assert number == signal.SIGUSR2
    assert step in (3, 4)  # whether the step that was being done is counted before or after callbacks


def test_one_process_keeps_its_own_and_refuses_what_two_have_saved() -> None:
    assert own(gather({"state": 1})) == {"state": 1}
    with pytest.raises(CheckpointError, match=r"\b2 process\(es\) .*\b1: .*trainer\.devices=2"):
        own([1, 2])


def test_a_job_of_slurm_puts_itself_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert not requeue()
    program = tmp_path / "scontrol"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/called\nexit ${{SCONTROL_FAILS:-0}}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    assert requeue()
    assert job_id({"SLURM_JOB_ID": "45", "SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "5"}) == "40_5"
    monkeypatch.setenv("SCONTROL_FAILS", "1")
    assert not requeue()
    assert (tmp_path / "called").read_text() == "requeue 41\n" * 2


def test_a_language_model_that_explodes_in_its_first_steps_is_noticed() -> None:
    losses = np.concatenate([[2.7, 2.7], np.full(100, 40.0)])
    assert first_stop(LossWatch(ignorance=2.7), losses) == WINDOW - 1


def test_penalties_on_activations_are_no_collapse() -> None:
    """They grow while the model learns, so that the sum of both may return to where it began."""
    watch, strategy = LossWatch(ignorance=2.7), SimpleNamespace(root_device=torch.device("cpu"))
    trainer: Any = SimpleNamespace(strategy=strategy, accumulate_grad_batches=1, world_size=1, global_step=0)
    for loss in np.linspace(2.7, 2.5, 300):
        task: Any = SimpleNamespace(fitted_loss=torch.tensor(loss))
        watch.on_train_batch_end(trainer, task, {"loss": torch.tensor(2.7)}, None, 0)
    with pytest.raises(DivergenceError):
        watch.on_train_batch_end(
            trainer, SimpleNamespace(fitted_loss=torch.tensor(2.5)), {"loss": torch.tensor(float("nan"))}, None, 0
        )  # type: ignore[arg-type]
