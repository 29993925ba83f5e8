"""What all tests share: one thread a process, no waiting, and where real data lies."""

import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import settings

from .quick import hurry

# A busy machine is slow at times; that is no failure.
settings.register_profile("gulmfit", deadline=None)
settings.load_profile("gulmfit")

# Whatever this machine says, and before torch is imported: test processes with several threads each would fight for the
# cores, what runs in a job of a cluster would take itself for a part of it, and each of some hundred processes that are
# started would compile all modules again.
OTHERS = ("MKL_NUM_THREADS", "PL_GLOBAL_SEED", "PYTHONDONTWRITEBYTECODE", "RANK", "LOCAL_RANK", "WORLD_SIZE")
for variable in [*os.environ]:
    if variable in OTHERS or variable.startswith(("MASTER_", "SLURM_", "TORCHELASTIC_")):
        del os.environ[variable]
os.environ["OMP_NUM_THREADS"] = "1"
sys.dont_write_bytecode = False
hurry()

REPOSITORY = Path(__file__).resolve().parent.parent
# The files that take longest, so that none of them is left for the end, when all workers but one have finished.
FIRST = (
    "integration/test_notebooks", "integration/test_many", "integration/test_predict.", "integration/test_interruption",
    "integration/", "unit/train/", "unit/models/", "unit/test_fuzz", "unit/test_collection", "unit/test_new_kind",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        name = item.path.as_posix()
        return next((number for number, start in enumerate(FIRST) if f"/tests/{start}" in name), len(FIRST))

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """What has been imported stays: do not look through it again and again for what could go."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real data: `$GULMFIT_DATA`, else `../shared/data` beside the checkout; else a skip."""
    folder = Path(os.environ.get("GULMFIT_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"real data not found in {folder}: set GULMFIT_DATA")
    return folder


@pytest.fixture(scope="module")
def unrendered() -> Iterator[None]:
    """In a module that looks at no pictures: those of runs in this process are drawn but not rendered."""
    from gulmfit.report import figures

    from .integration.forked import drawn_only

    with mock.patch.object(figures.Sheet, "svg", drawn_only):
        yield


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
