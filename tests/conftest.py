"""What all tests share: one thread a process, and where real data lies."""

import os
import time

# Before torch is imported: several test processes with several threads each would fight for the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is slow at times; that is no failure.
settings.register_profile("gulmfit", deadline=None)
settings.load_profile("gulmfit")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real data: `$GULMFIT_DATA`, else `../shared/data` beside the checkout; else a skip."""
    folder = Path(os.environ.get("GULMFIT_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"real data not found in {folder}: set GULMFIT_DATA")
    return folder


REFERENCE_SECONDS = 0.25  # of the loop below on a slow core that is idle


@pytest.fixture
def slowness() -> Callable[[], float]:
    """Return what measures how many times slower than a slow, idle core this one is, at least 1.

    Limits on time are multiplied by it. Time for which others have the core is not part of `time.process_time`, but
    their work on its twin, or in its cache, makes each instruction slower.
    """

    def measure() -> float:
        start, total = time.process_time(), 0
        for number in range(2_000_000):
            total += number & 7
        return max(1.0, (time.process_time() - start) / REFERENCE_SECONDS)

    return measure
