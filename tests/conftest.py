"""What all tests share: one thread a process, and where real data lies."""

import os

# Before torch is imported: several test processes with several threads each would fight for the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

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
