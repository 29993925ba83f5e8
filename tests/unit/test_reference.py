"""The reference of the configuration: complete, and what its script would write today."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from gulmfit.config import compose
from gulmfit.files import config_dir
from gulmfit.schema import KINDS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "reference.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current_and_nothing_is_without_a_meaning(reference: ModuleType) -> None:
    text, silent = reference.page()
    assert silent == []
    assert (ROOT / "docs" / "reference.md").read_text(encoding="utf-8") == text, "run python scripts/reference.py"


def leaves(node: object, prefix: str) -> set[str]:
    if isinstance(node, dict) and node:
        return {leaf for key, value in node.items() for leaf in leaves(value, f"{prefix}{key}.")}
    return {prefix.removesuffix(".")}


def test_every_key_and_file_is_there(reference: ModuleType) -> None:
    """Counted another way: every leaf of every YAML file that is not a choice among others."""
    rows = {line.split("`")[1] for line in reference.page()[0].splitlines() if line.startswith("| `")}
    text = reference.page()[0]
    for path in config_dir().rglob("*.yaml"):
        group = path.parent.name
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        content.pop("defaults", None)
        if path.name == "train.yaml":
            assert {leaf for leaf in leaves(content, "") if not leaf.startswith("holdout.contigs")} <= rows
            continue
        assert f"`{group}={path.stem}`" in text or path.stem in rows, path
        if f"### `{group}={path.stem}`" in text:
            own = {leaf for leaf in leaves(content, f"{group}.") if not leaf.endswith("_target_")}
            own = {leaf for leaf in own if not leaf.startswith(("search.space.", "search.set."))}
            assert own - {group} <= rows, path


def test_defaults_are_those_that_are_composed(reference: ModuleType) -> None:
    composed = compose(["stage=classify", "recipe=none"])
    cells = [line.strip("| ").split(" | ") for line in reference.page()[0].splitlines() if line.startswith("| `")]
    shown = {row[0].strip("`"): row[2].strip("`") for row in cells if len(row) == 4}
    for key in ("seed", "classify.drop_mult", "holdout.block_bp", "learning_curve.draws", "pretrain.lr"):
        value = composed
        for name in key.split("."):
            value = value[name]
        assert float(shown[key]) == float(value)
        assert key in KINDS
