"""Numbers never need pages: each file of the report is one or the other, and the former import none of the latter."""

from pathlib import Path

import pytest

from tests.unit.test_imports import PACKAGE, imports

NUMBERS = {
    "baseline_fits", "baselines", "calibration", "features", "label_scores", "naive_bayes", "predictions",
    "projections", "ranks", "scores", "sign_flip", "spectra", "target_calibration", "uncertainty", "value_baselines",
    "value_scores",
}  # fmt: skip
PAGES = {
    "figures", "html", "maps", "pages", "repeated", "sections", "spread_figures", "table", "target_figures", "tokens",
    "words",
}  # fmt: skip
# Judge predictions and lay out sections as well. The list only shrinks.
BOTH = {"multi_label", "objective", "paired", "registry", "regression", "single_label"}

FILES = {path.stem: path for path in (PACKAGE / "report").glob("*.py") if path.stem != "__init__"}


def test_every_file_is_of_one_kind() -> None:
    assert set(FILES) == NUMBERS | PAGES | BOTH
    assert len(FILES) == len(NUMBERS) + len(PAGES) + len(BOTH)


@pytest.mark.parametrize("path", [FILES[name] for name in sorted(NUMBERS)], ids=lambda path: path.stem)
def test_numbers_need_no_page(path: Path) -> None:
    for line, name in imports(path):
        place = f"{path}:{line} imports {name}"
        assert name.partition(".")[0] not in {"torch", "matplotlib", "jinja2"}, place
        if name.startswith("gulmfit.report."):
            inside = name.split(".")[2]
            assert inside in NUMBERS, place


@pytest.mark.parametrize("room", ["predict", "train", "data", "exchange"])
def test_only_numbers_and_whole_pages_are_used_elsewhere(room: str) -> None:
    parts = {"figures", "spread_figures", "target_figures"}
    found = [f"{path}:{line} imports {name}" for path in (PACKAGE / room).glob("*.py") for line, name in imports(path)]
    assert not [one for one in found if set(one.partition("gulmfit.report.")[2].split(".")) & parts]
