"""The rules of the fuzzer hold, and a rule that does not hold is told and changes the exit status."""

import json
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from fuzz_rules import find_rules, report_rules, run_rules

RULES = find_rules()
CASES = 200


@pytest.mark.parametrize("name", RULES)
def test_a_rule_holds(name: str, tmp_path: Path) -> None:
    found = run_rules({name: RULES[name]}, CASES, seed=1, root=str(tmp_path))[name]
    assert found["cases"] == CASES
    assert found["first"] == []


def test_differences_and_surprises_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def odd(rng: random.Random, folder: Path) -> str | None:
        assert not list(folder.iterdir())
        (folder / "left").touch()
        return f"{rng.random()}" if rng.random() < 0.5 else None

    def surprising(rng: random.Random, folder: Path) -> str | None:
        raise KeyError("surprise")

    rules = {"odd": odd, "surprising": surprising, "good": lambda rng, folder: None}
    found = run_rules(rules, 60, seed=3, root=str(tmp_path))
    assert [row["cases"] for row in found.values()] == [20, 20, 20]
    assert 0 < found["odd"]["differences"] < 20
    assert found["surprising"]["differences"] == 20
    assert found == {
        name: {**row, "seconds": found[name]["seconds"]} for name, row in run_rules(rules, 60, seed=3).items()
    }
    assert report_rules(found, 3, tmp_path / "f.json") == 1
    assert json.loads((tmp_path / "f.json").read_text())["differences"] == found["odd"]["differences"] + 20
    assert "surprise" in capsys.readouterr().out
    assert report_rules({"good": found["good"]}, 3, None) == 0


def test_rules_are_chosen_by_name() -> None:
    assert list(find_rules("counts,labels")) == ["counts", "labels"]
    with pytest.raises(SystemExit, match="unknown rules: none"):
        find_rules("none")
