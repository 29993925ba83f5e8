"""The table of scripts/league.py, from made-up results whose answers are known."""

import csv
import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from scipy.stats import norm

from gulmfit.errors import ConfigError
from gulmfit.evaluate.outcomes import mean_outcome, read_outcome

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def scripts() -> dict[str, ModuleType]:
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        for name in ("league_table", "league"):
            spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
            assert spec is not None
            assert spec.loader is not None
            found[name] = sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(found[name])
    yield found
    for name in found:
        del sys.modules[name]


@pytest.fixture(scope="module")
def table(scripts: dict[str, ModuleType]) -> ModuleType:
    return scripts["league_table"]


def scores(value: float, auroc: float, width: float = 0.02) -> dict[str, Any]:
    bounds = {"accuracy": [value - width, value + width], "mcc": [0.1, 0.2], "auroc": [auroc - width, auroc + width]}
    return {"accuracy": value, "mcc": 2 * value - 1, "auroc": auroc, "ci95": bounds}


def single(
    network: float, tests: dict[str, tuple[float, float]], baselines: dict[str, dict[str, Any]], **more: Any
) -> dict[str, Any]:
    own = scores(network, network)
    return {
        "metrics": {f"test/{name}": own[name] for name in ("accuracy", "mcc", "auroc")} | {"val/accuracy": 0.99},
        "ci95": {f"test/{name}": pair for name, pair in own["ci95"].items()},
        "baselines": baselines,
        "sign_flip": {name: {"accuracy_difference": gain, "p_value": p} for name, (gain, p) in tests.items()},
        "data": {"counts": {"train": 800, "valid": 100, "test": 100}},
        "timing": {"seconds": 30.0},
        **more,
    }


def test_a_single_run_is_read(table: ModuleType) -> None:
    baselines = {
        "gc": scores(0.7, 0.75),
        "kmer_logistic": scores(0.85, 0.8),
        "majority": {**scores(0.5, 0.5), "mcc": None},
    }
    result = read_outcome("a", "mcc", single(0.8, {"gc": (0.1, 0.01), "kmer_logistic": (-0.05, 0.2)}, baselines))
    assert result.models["model"]["mcc"] == pytest.approx((0.6, 0.1, 0.2))
    assert result.models["kmer_logistic"]["auroc"] == pytest.approx((0.8, 0.78, 0.82))
    assert math.isnan(result.models["majority"]["mcc"][0])
    assert result.value("majority") == -math.inf
    assert "scratch" not in result.models
    assert (result.best(), result.rank, result.tested) == ("kmer_logistic", "2 of 4", 100)
    assert result.verdict() == (False, "tie", 0.2)


def test_a_twin_and_a_blend_are_read_apart(table: ModuleType) -> None:
    content = single(0.8, {"gc": (0.1, 0.01), "scratch": (0.1, 0.02)}, {"gc": scores(0.7, 0.85)})
    content["metrics"]["scratch/test/accuracy"] = 0.75
    content["ci95"]["scratch/test/accuracy"] = [0.7, 0.8]
    blend = single(0.9, {"gc": (0.2, 0.001)}, {})
    content["blend"] = {key: blend[key] for key in ("metrics", "ci95", "sign_flip")}
    result = read_outcome("a", "accuracy", content)
    assert result.models["scratch"]["accuracy"] == (0.75, 0.7, 0.8)
    assert result.models["blend"]["accuracy"] == pytest.approx((0.9, 0.88, 0.92))
    assert result.rank == "1 of 3"  # the blend is not a rival of the network that is in it
    assert result.best() == "gc"
    assert result.verdict("blend") == (True, "won", 0.001)
    row = table.summary([result], {"a": "A"}).splitlines()[-1]
    assert [cell.strip() for cell in row.split("|")][8:10] == ["won, p = 0.01", "won, p = 0.001"]
    network, blended = table.closing([result]).splitlines()
    assert "on 1 of 1" in network
    assert network.endswith("by AUROC at or above on 0")
    assert "on 1 of 1" in blended
    assert blended.endswith("by AUROC at or above on 1")


def test_pooled_folds_are_read_and_not_their_means(table: ModuleType) -> None:
    models = {"model": scores(0.84, 0.9), "gc": scores(0.78, 0.85), "scratch": scores(0.8, 0.87)}
    content = {
        "metrics": {"test/accuracy": 0.11},
        "data": {"counts": {"all": 500}},
        "timing": {"seconds": 5},
        "pooled": {
            "scores": {name: {key: item[key] for key in item if key != "ci95"} for name, item in models.items()},
            "ci95": {name: item["ci95"] for name, item in models.items()},
            "sign_flip": {"gc": {"accuracy_difference": 0.06, "p_value": 1e-9}},
        },
    }
    result = read_outcome("folds", "accuracy", content)
    assert result.models["model"]["accuracy"] == pytest.approx((0.84, 0.82, 0.86))
    assert set(result.models) == {"model", "gc", "scratch"}
    assert result.tested == 500
    assert result.verdict() == (True, "won", 1e-9)
    content["pooled"]["scores"]["blend"], content["pooled"]["ci95"]["blend"] = models["gc"], models["gc"]["ci95"]
    blended = read_outcome("folds", "accuracy", content)
    assert blended.verdict("blend")[:2] == (True, "not tested")
    assert table.closing([blended]).splitlines()[-1].endswith("; not tested on folds")
    content["pooled"]["blend"] = {"sign_flip": {"gc": {"accuracy_difference": 0.1, "p_value": 0.01}}}
    assert read_outcome("folds", "accuracy", content).verdict("blend") == (True, "won", 0.01)


def test_the_mean_of_runs(table: ModuleType) -> None:
    runs = [
        single(0.9, {"gc": (0.1, 0.04), "cnn": (0.0, 1.0)}, {"gc": scores(0.8, 0.8, 0.03), "cnn": scores(0.9, 0.9)}),
        single(0.7, {"gc": (-0.1, 0.02)}, {"gc": scores(0.8, 0.8, 0.04)}),
    ]
    parts = [read_outcome(f"part {number}", "accuracy", content) for number, content in enumerate(runs)]
    result = mean_outcome("both", "accuracy", parts)
    assert set(result.models) == {"model", "gc"}  # one run has no CNN
    assert result.models["model"]["accuracy"][0] == pytest.approx(0.8)
    half = math.hypot(0.03, 0.04) / 2
    assert result.models["gc"]["accuracy"] == pytest.approx((0.8, 0.8 - half, 0.8 + half))
    z = (norm.isf(0.02) - norm.isf(0.01)) / math.sqrt(2)
    assert result.tests["gc"] == pytest.approx((0.0, 2 * norm.sf(abs(z))))
    assert (result.seconds, result.tested) == (60, 200)


def test_runs_that_agree_are_surer_together(table: ModuleType) -> None:
    content = single(0.7, {"gc": (-0.1, 0.06)}, {"gc": scores(0.8, 0.8)})
    part = read_outcome("part", "accuracy", content)
    assert part.verdict()[1] == "tie"
    assert mean_outcome("three", "accuracy", [part] * 3).verdict()[:2] == (False, "lost")
    certain = read_outcome("part", "accuracy", single(0.7, {"gc": (-0.1, 0.0)}, {"gc": scores(0.8, 0.8)}))
    against = read_outcome("part", "accuracy", single(0.7, {"gc": (0.1, 0.0)}, {"gc": scores(0.8, 0.8)}))
    assert mean_outcome("two", "accuracy", [certain, against]).tests["gc"] == pytest.approx((0.0, 1.0))


def test_sets_are_counted(table: ModuleType) -> None:
    jury = {"gc": scores(0.8, 0.8)}
    results = [
        read_outcome("won", "accuracy", single(0.9, {"gc": (0.1, 0.01)}, jury)),
        read_outcome("equal", "accuracy", single(0.8, {"gc": (0.0, 1.0)}, jury)),
        read_outcome("below", "accuracy", single(0.79, {"gc": (-0.01, 0.6)}, jury)),
        read_outcome("lost", "accuracy", single(0.7, {"gc": (-0.1, 0.01)}, jury)),
    ]
    last = table.closing(results).splitlines()[-1]
    assert "at or above the best baseline on 2 of 4, significantly below on 1 (lost)" in last
    assert "significantly above on 1;" in last


def test_the_tsv_has_every_number(table: ModuleType, tmp_path: Path) -> None:
    part = read_outcome("MYC", "accuracy", single(0.9, {"gc": (0.1, 0.01)}, {"gc": scores(0.8, 0.85)}))
    table.write_tsv(tmp_path / "league.tsv", [mean_outcome("chip", "accuracy", [part, part])])
    with (tmp_path / "league.tsv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    assert [(row["set"], row["run"], row["model"]) for row in rows] == [
        ("chip", run, model) for run in ("", "MYC", "MYC") for model in ("model", "gc")
    ]
    assert {row["value"] for row in rows} == {"0.9", "0.8"}
    assert [float(rows[3][f"auroc{end}"]) for end in ("_value", "_low", "_high")] == pytest.approx([0.85, 0.83, 0.87])
    assert [row["p_against_network"] for row in rows[2:4]] == ["", "0.01"]


def test_the_picture_and_the_page(scripts: dict[str, ModuleType], tmp_path: Path) -> None:
    content = single(0.9, {"gc": (0.1, 0.01)}, {"gc": scores(0.8, 0.85)}, ranks={"model": {"genus": 0.9}})
    result = read_outcome("a", "accuracy", content)
    sets = {"a": {"title": "Genera", "words": [], "published": "0.880 elsewhere"}}
    printed = scripts["league"].report(sets, [result], tmp_path)
    page = (tmp_path / "league.md").read_text(encoding="utf-8")
    assert "| Genera | accuracy | 0.900 [0.880, 0.920] |" in page
    assert "0.880 elsewhere" in page
    assert "genus" in page
    assert printed.splitlines()[-1].startswith("network: at or above the best baseline on 1 of 1")
    assert (tmp_path / "league.png").read_bytes().startswith(b"\x89PNG")


def test_the_sets_compose(scripts: dict[str, ModuleType]) -> None:
    sets = scripts["league"].registry(SCRIPTS / "league_sets.yaml")
    assert len([name for name in sets if not name.endswith("_bacteria")]) == 10
    names = set()
    for name, entry in sets.items():
        for run in scripts["league"].runs_of(name, entry, "outputs/league", ["seed=3"]):
            assert run.config.seed == 3
            assert (run.config.init_from == "bacteria") == name.endswith("_bacteria")
            names.add(run.folder)
    assert len(names) == 18


def test_experiments_of_the_league_bring_no_recipe(scripts: dict[str, ModuleType]) -> None:
    sets = scripts["league"].registry(SCRIPTS / "league_sets.yaml")
    words = [
        word for entry in sets.values() for run in (entry.get("runs") or {"": entry["words"]}).values() for word in run
    ]
    for name in {word.removeprefix("experiment=") for word in words if word.startswith("experiment=")}:
        content = yaml.safe_load((SCRIPTS.parent / "conf" / "experiment" / f"{name}.yaml").read_text(encoding="utf-8"))
        groups = {key.removeprefix("override /") for item in content.pop("defaults") for key in item}
        assert groups <= {"data", "split", "stage"}, name
        assert content.keys() <= {"run", "data", "split", "holdout"}, name


def test_a_registry_that_says_too_much_is_refused(scripts: dict[str, ModuleType], tmp_path: Path) -> None:
    path = tmp_path / "sets.yaml"
    path.write_text(
        yaml.safe_dump({"good": {"title": "x", "words": []}, "both": {"title": "x", "words": [], "runs": {}}})
    )
    with pytest.raises(ConfigError, match=r"sets\.yaml: both"):
        scripts["league"].registry(path)


def test_other_settings_are_told_from_the_same(scripts: dict[str, ModuleType], tmp_path: Path) -> None:
    entry = {"title": "x", "words": ["stage=classify", "data=synthetic"]}
    (run,) = scripts["league"].runs_of("toy", entry, str(tmp_path / "a b"), [])
    assert not run.finished()
    run.folder.mkdir(parents=True)
    from omegaconf import OmegaConf

    (run.folder / "config.yaml").write_text(OmegaConf.to_yaml(run.config, resolve=True), encoding="utf-8")
    assert not run.finished()
    (run.folder / "metrics.json").write_text("{}", encoding="utf-8")
    assert run.finished()
    (other,) = scripts["league"].runs_of("toy", entry, str(tmp_path / "a b"), ["drop_mult=0.7"])
    with pytest.raises(ConfigError, match="drop_mult"):
        other.finished()
