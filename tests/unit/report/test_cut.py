"""Numbers never need pages, and nothing but a report draws: the rest of the package sees whole pages only."""

import pytest

from tests.unit.test_imports import PACKAGE, imports


@pytest.mark.parametrize("room", ["predict", "train", "data", "exchange", "commands"])
def test_only_whole_pages_are_used_elsewhere(room: str) -> None:
    parts = {"figures", "spread_figures", "target_figures"}
    files = (PACKAGE / room).rglob("*.py")
    found = [f"{path}:{line} imports {name}" for path in files for line, name in imports(path)]
    assert any("gulmfit" in one for one in found)
    assert not [one for one in found if set(one.partition("gulmfit.report.")[2].split(".")) & parts]
