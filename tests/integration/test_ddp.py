"""Two processes train one model: ranks stay equal through every thawing, and the commands work."""

import csv
import os
from pathlib import Path

import pytest

from .conftest import FEW_HELD_OUT, ROOT, TINY, run
from .forked import start_torchrun

pytestmark = pytest.mark.ddp


@pytest.mark.parametrize("kind", ["classification", "language", "averaged"])
def test_ranks_stay_equal(kind: str, tmp_path: Path) -> None:
    script = ROOT / "tests" / "integration" / "ddp_ranks.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = ["--standalone", "--nproc_per_node=2", str(script), kind]
    process = start_torchrun(*words, cwd=tmp_path, environment=environment)
    printed, _ = process.communicate()
    # The oracle is what the ranks say of their weights; how the process group is torn down afterwards is not ours.
    assert printed.count(": equal") == 3, f"exit {process.returncode}\n{printed[-5000:]}"
    assert "differ" not in printed


def test_the_three_stages_on_two_processes(tmp_path: Path) -> None:
    words = ["stage=ulmfit", "trainer=ddp_sim", "trainer.max_steps=6", "run.name=two", *TINY, *FEW_HELD_OUT]
    printed = run(*words, cwd=tmp_path, further=False).stdout
    folder = tmp_path / "outputs" / "ulmfit" / "two"
    assert (folder / "metrics.json").is_file()
    assert printed.count("report: ") == 1


def test_a_sweep_on_two_processes_is_refused(tmp_path: Path) -> None:
    result = run("-m", "stage=classify", "trainer=ddp_sim", "seed=1,2", *TINY, cwd=tmp_path, check=False)
    assert result.returncode == 1
    assert "trainer.devices=1" in result.stderr


def final(folder: Path, name: str) -> float:
    """Return the last value of a metric in `metrics.csv`."""
    with (folder / "metrics.csv").open(newline="") as handle:
        return [float(row[name]) for row in csv.DictReader(handle) if row.get(name)][-1]


def test_a_language_model_learns_the_same_from_one_process_and_from_two(tmp_path: Path) -> None:
    """Without dropout, with the same streams in all: what is left is the order of sums."""
    words = ["stage=pretrain", "pretrain.epochs=1", "drop_mult=0", "trainer.precision=32-true", *TINY]
    words += ["trainer.limit_train_batches=10", *FEW_HELD_OUT]
    run(*words, "run.name=one", "batch_size=8", cwd=tmp_path)
    run(*words, "run.name=two", "batch_size=4", "trainer=ddp_sim", cwd=tmp_path)
    one, two = (final(tmp_path / "outputs" / "pretrain" / name, "val/bits_per_base") for name in ("one", "two"))
    assert abs(one - two) < 1e-6, (one, two)


def test_a_classifier_is_judged_the_same_by_one_process_and_by_two(tmp_path: Path) -> None:
    """The rate is so small that nothing is learned: both judge the same weights."""
    words = ["stage=classify", "drop_mult=0", "classify.phases=[{epochs: 1, lr: 1e-30}]", "trainer.precision=32-true"]
    words += [*TINY, "data.num_valid=37", "batch_size=8"]  # a number that two processes cannot halve
    for name, extra in (("one", []), ("two", ["trainer=ddp_sim"])):
        run(*words, f"run.name={name}", *extra, cwd=tmp_path)
    for metric in ("val/loss", "val/accuracy", "val/mcc", "val/auroc"):
        one, two = (final(tmp_path / "outputs" / "classify" / name, metric) for name in ("one", "two"))
        assert abs(one - two) < 1e-6, (metric, one, two)
