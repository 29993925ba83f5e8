"""The rules about outputs hold for random cases; `scripts/fuzz.py` tries many more."""

import importlib.util
import random
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "fuzz_rules_outputs.py"
_found = importlib.util.spec_from_file_location("fuzz_rules_outputs", SCRIPT)
assert _found is not None
assert _found.loader is not None
rules = importlib.util.module_from_spec(_found)
sys.modules[_found.name] = rules
_found.loader.exec_module(rules)


@pytest.mark.parametrize("rule", rules.RULES)
def test_a_rule_holds(tmp_path: Path, rule: str) -> None:
    for number in range(25):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert rules.RULES[rule](random.Random(f"{rule} {number}"), folder) is None
