"""A table over runs: only seeds are averaged, what differs is named, and the choice is made on validation."""

import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from gulmfit.errors import DataError
from gulmfit.train.run_table import alike, differing, read_finished, runs_in, table_over_runs

SETTINGS = {
    "stage": {"name": "classify", "monitor": "val/calibrated_loss"},
    "arch": {"_target_": "Small", "hidden_size": 8},
    "callbacks": {"progress": {"refresh_rate": 10}},
}


def finished(folder: Path, loss: float, accuracy: float, **settings: object) -> Path:
    """Write the two files of a finished classifier."""
    folder.mkdir(parents=True)
    follows = {"split": {"seed": settings["seed"]}, "schedule": {"drop_mult": settings["drop_mult"]}}
    (folder / "config.yaml").write_text(
        OmegaConf.to_yaml({**SETTINGS, **settings, **follows, "run": {"name": folder.name}})
    )
    metrics = {"val/calibrated_loss": loss, "val/accuracy": 1 - loss, "test/accuracy": accuracy}
    results = {"stage": "classify", "metrics": metrics, "classes": ["a", "b"], "positive": "b"}
    (folder / "metrics.json").write_text(json.dumps(results))
    return folder


@pytest.fixture
def sweep(tmp_path: Path) -> list[Path]:
    """Write two settings with two seeds each, and a third; the best on validation is not the best on the test part."""
    values = {(0.1, 1): (0.5, 0.9), (0.1, 2): (0.7, 0.92), (0.4, 1): (0.3, 0.8), (0.4, 2): (0.31, 0.7)}
    jobs = [
        finished(tmp_path / f"sweep_{number}", *scores, drop_mult=drop_mult, seed=seed)
        for number, ((drop_mult, seed), scores) in enumerate(values.items())
    ]
    return [*jobs, finished(tmp_path / "sweep_10", 0.6, 0.95, drop_mult=0.4, seed=1, arch={"_target_": "Large"})]


def cells(table: str) -> list[dict[str, str]]:
    lines = [
        [cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines() if line.startswith("|")
    ]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def test_settings_are_not_averaged_and_seeds_are(sweep: list[Path]) -> None:
    runs = [read_finished(folder) for folder in sweep]
    groups = [[run.folder.name for run in group] for group in alike(runs)]
    assert groups == [["sweep_0", "sweep_1"], ["sweep_2", "sweep_3"], ["sweep_10"]]
    assert differing(runs[:4]) == ["drop_mult"]
    assert sorted(differing(runs)) == ["arch._target_", "drop_mult"]
    text = table_over_runs(runs[:4])
    first, second = cells(text)
    assert (first["run"], first["drop_mult"], first["seeds"]) == ("sweep_2, sweep_3", "0.4", "2")
    spread = statistics.stdev([0.5, 0.7])
    assert second["val/calibrated_loss"] == f"0.600 ± {spread:.3f}"


def test_the_choice_is_made_on_validation_and_only_its_test_score_is_told(sweep: list[Path]) -> None:
    text = table_over_runs([read_finished(folder) for folder in sweep])
    assert "test/" not in text
    last = text.splitlines()[-1]
    assert "drop_mult=0.4" in last
    assert [float(number) for number in re.findall(r"\b0\.\d{3}\b", last)] == pytest.approx([0.75, 0.071])
    assert "0.950" not in text


def test_a_folder_stands_for_the_runs_in_it(sweep: list[Path], tmp_path: Path) -> None:
    assert runs_in([tmp_path]) == sweep  # sweep_10 is the last
    assert runs_in(sweep[:2]) == sweep[:2]


@pytest.mark.parametrize("change", [{"metrics": None}, {"metrics": [1]}])
def test_a_damaged_run_is_named(sweep: list[Path], change: dict[str, Any]) -> None:
    path = sweep[0] / "metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=re.escape(str(sweep[0]))):
        read_finished(sweep[0])
    path.unlink()
    with pytest.raises(DataError, match=re.escape(str(sweep[0]))):
        read_finished(sweep[0])
