"""Threads that wait asleep, and their number by the sizes of a model."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from gulmfit.models.hardware import threads
from gulmfit.threads import HOW_MANY, HOW_TO_WAIT, PASSIVE, suited_threads, wait_passively
from gulmfit.train.loop import fit

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", sorted(HOW_TO_WAIT))
def test_who_has_said_how_to_wait_is_left_alone(name: str) -> None:
    environment = {name: "a user's"}
    wait_passively(environment)
    assert environment == {name: "a user's"}


def test_everybody_else_waits_asleep() -> None:
    environment = {"OMP_NUM_THREADS": "3"}
    wait_passively(environment)
    assert environment == {"OMP_NUM_THREADS": "3", **PASSIVE}


@pytest.mark.parametrize("start", ["import gulmfit", "import gulmfit.cli", "import runpy; runpy.run_path('train.py')"])
def test_it_is_set_before_torch_is_there(start: str) -> None:
    """OpenMP reads it once, when torch is loaded, so what stands there at that moment is what counts."""
    code = (
        "import os, sys\n"
        "class Watch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch':\n"
        "            sys.stdout.write(' '.join(os.environ.get(name, 'not set') for name in sys.argv[1:]))\n"
        "            sys.stdout.flush()\n"
        "            os._exit(0)\n"
        "sys.meta_path.insert(0, Watch())\n"
        f"{start}\n"
        "import torch\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in HOW_TO_WAIT}
    done = subprocess.run(
        [sys.executable, "-c", code, *PASSIVE], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.stdout == " ".join(PASSIVE.values()), done.stderr


@pytest.mark.parametrize(
    ("batch_size", "hidden_size", "available", "expected"),
    [
        (1024, 32, 1, 1),
        (64, 128, 8, 1),  # exactly one thread's work
        (64, 181, 8, 1),
        (64, 182, 8, 2),  # 2,119,936, just above two threads' 2,097,152
        (256, 1152, 8, 8),
        (64, 384, 64, 9),
    ],
)
def test_a_thread_is_added_for_as_much_work_as_it_is_worth(
    batch_size: int, hidden_size: int, available: int, expected: int
) -> None:
    assert suited_threads(batch_size, hidden_size, available, {}) == expected


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_a_number_that_was_asked_for_is_kept(name: str) -> None:
    assert suited_threads(1, 8, 4, {name: "4"}) == 4


@pytest.mark.parametrize(
    ("arch", "batch_size", "expected"),
    [({"hidden_size": 64}, 64, 1), ({"hidden_size": 384}, 64, 3), ({"channels": 64}, 64, 3)],
)
def test_a_run_takes_the_number_from_its_sizes(
    arch: dict[str, int], batch_size: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An encoder without recurrent layers keeps all threads: the rule says nothing about it."""
    for name in HOW_MANY:
        monkeypatch.delenv(name, raising=False)
    run = SimpleNamespace(config=OmegaConf.create({"arch": arch, "batch_size": batch_size}))
    with threads(3):
        assert fit._threads(run) == expected  # type: ignore[arg-type]
