"""A run folder: results are never written over unasked, and a run that failed early does not keep its name."""

import hashlib
from pathlib import Path

import pytest

from gulmfit.config import compose, instantiate
from gulmfit.errors import ConfigError
from gulmfit.train.run import OF_A_START, RESULTS, Run


def run_in(folder: Path, *words: str) -> Run:
    return Run(compose(["stage=classify", *words]), folder)


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("name", [name for name in RESULTS if name not in OF_A_START])
def test_a_refused_command_leaves_every_byte(tmp_path: Path, name: str) -> None:
    run_in(tmp_path).prepare()
    result = tmp_path / name if "." in name else tmp_path / name / "something"
    result.parent.mkdir(exist_ok=True)
    result.write_text("what was found")
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match=r"run\.name"):
        run_in(tmp_path, "drop_mult=0.99").prepare()
    assert contents(tmp_path) == before
    run_in(tmp_path, "drop_mult=0.99", "overwrite=true").prepare()
    assert not result.exists()


def test_a_run_that_failed_early_does_not_keep_its_name(tmp_path: Path) -> None:
    run_in(tmp_path).prepare()
    for name in OF_A_START:
        (tmp_path / name).write_text("of before")
    (tmp_path / "checkpoints").mkdir()
    run_in(tmp_path, "drop_mult=0.99").prepare()
    assert "0.99" in (tmp_path / "config.yaml").read_text()
    assert not any((tmp_path / name).exists() for name in OF_A_START)


def test_a_library_that_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match=r"NeedsMore.*module_that_nobody_has"):
        instantiate({"_target_": f"{__name__}.NeedsMore"})


class NeedsMore:
    def __init__(self) -> None:
        import module_that_nobody_has  # type: ignore[import-not-found]  # noqa: F401


@pytest.mark.parametrize(("shard", "kept"), [("panel.shard=1/2", True), ("panel.shard=null", False)])
def test_a_shard_leaves_the_sets_of_others(tmp_path: Path, shard: str, kept: bool) -> None:
    for name in ("sets/ONE", "warm/all"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "metrics.json").write_text("{}")
    (tmp_path / "panel.tsv").write_text("set\n")
    config = compose(["stage=panel", "panel=peaks", shard, "overwrite=true"])
    Run(config, tmp_path).prepare()
    assert not (tmp_path / "panel.tsv").exists()
    assert (tmp_path / "sets" / "ONE" / "metrics.json").exists() == kept
    assert (tmp_path / "warm" / "all" / "metrics.json").exists() == kept
