"""scripts/ablations.py: its plan composes, and over a toy set its table says what the predictions say."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from gulmfit.config import compose, instantiate, plain, validate

from .conftest import ROOT

SMALL = [
    "data=synthetic", "data.num_train=90", "data.num_valid=30", "data.num_test=50", "data.length_bp=200000",
    "arch.filters=8", "arch.hidden_size=8", "trainer.max_steps=3",
]  # fmt: skip


@pytest.fixture
def ablations(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("ablations")


def test_each_change_is_one_change_of_the_recipe(ablations: ModuleType) -> None:
    plan = yaml.safe_load(Path(ablations.PLAN).read_text(encoding="utf-8"))
    for own in plan["sets"].values():
        words = [*own, "stage=classify", *ablations.SPLIT, f"recipe={plan['recipe']}"]
        recipe = compose(words)
        validate(recipe)
    for change in plan["changes"].values():
        changed = compose([*words, *change["words"]])
        validate(changed)
        ((key, value),) = [word.split("=") for word in change["words"]]
        group, name = key.split(".")
        assert str(changed[group][name]) == value != str(recipe[group][name])
        changed[group][name] = recipe[group][name]
        assert plain(changed) == plain(recipe)


@pytest.mark.slow
def test_a_table_of_toys(
    ablations: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    plan = {
        "recipe": "scratch", "seeds": [0, 1], "sets": {"toy": SMALL},
        "changes": {"no_gaps": {"title": "no gapped k-mers", "words": ["classify.gaps=0"]}},
    }  # fmt: skip
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["ablations.py", "plan=plan.yaml", "output=found"])
    ablations.main()
    table = (tmp_path / "found" / "ablations.md").read_text(encoding="utf-8").strip()
    assert table in caplog.text
    found = {name: np.load(tmp_path / "found" / "toy" / name / "held_out.npz") for name in ("recipe_0", "no_gaps")}
    labels = found["recipe_0"]["labels"]
    assert (labels == found["no_gaps"]["labels"]).all()
    assert len(labels) == pytest.approx(60, abs=3)
    auroc = {name: roc_auc_score(labels, one["probabilities"][:, 1]) for name, one in found.items()}
    row = next(line for line in table.splitlines() if "no gapped k-mers" in line)
    assert f"{auroc['no_gaps'] - auroc['recipe_0']:+.4f}" in row

    monkeypatch.setattr(ablations, "learn_labels", lambda *_: pytest.fail("was trained again"))
    caplog.clear()
    ablations.main()
    assert table in caplog.text

    monkeypatch.setattr("sys.argv", ["ablations.py", "plan=plan.yaml", "output=found", "sequences=100"])
    with pytest.raises(SystemExit):
        ablations.main()
    assert "120 sequences" in caplog.text + capsys.readouterr().err


def test_the_test_part_is_left_out(ablations: ModuleType) -> None:
    words = [*SMALL, "recipe=scratch"]
    known = ablations.known_sequences(words, 1000)
    source = instantiate(compose([*words, "stage=classify"]).data).labelled()
    tested = {sequence for sequence, part in zip(source.sequences, source.splits, strict=True) if part == "test"}
    assert len(known) == 120
    assert len(tested) == 50
    assert not tested & set(known.sequences)
