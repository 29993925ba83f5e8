"""What is quicker in the tests is the same: they compose what a user composes."""

from pathlib import Path
from unittest import mock

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from omegaconf import OmegaConf

from gulmfit.config import compose

CONF = Path(__file__).resolve().parents[2] / "conf"
WORDS = [
    [],
    ["stage=classify", "recipe=words", "data=table", "data.path=a b.csv"],
    ["stage=label", "head=codons", "trainer=ddp_sim", "+callbacks.trace._target_=step_trace.StepTrace"],
    ["experiment=demo_simulated", "run.name=x", "~logger"],
]


def test_the_result_is_that_of_hydra_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    composed = [compose(words) for words in WORDS]
    for config in composed:  # what one does with its own reaches no other
        config.batch_size = -1
        config.trainer.max_steps = -1
    quick = [OmegaConf.to_yaml(compose(words)) for words in WORDS]
    for owner, name in (
        (ConfigRepository, "load_config"),
        (CachingConfigRepository, "__init__"),
        (ConfigLoaderImpl, "_compose_config_from_defaults_list"),
        (defaults_list, "_create_interpolation_map"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name).__wrapped__)
    assert quick == [OmegaConf.to_yaml(compose(words)) for words in WORDS]


def test_a_file_that_changes_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "main.yaml"
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "two.yaml").write_text("of: two\n")
    for number in (1, 22, 333):
        path.write_text(f"defaults:\n  - part: two\n  - other: ${{part}}_more\n  - _self_\nnumber: {number}\n")
        (tmp_path / "other").mkdir(exist_ok=True)
        (tmp_path / "other" / "two_more.yaml").write_text(f"of: {number}\n")
        with initialize_config_dir(str(tmp_path), version_base="1.3"):
            assert hydra_compose("main") == {"number": number, "part": {"of": "two"}, "other": {"of": number}}


def test_no_file_is_parsed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [OmegaConf.to_yaml(compose(words)) for words in WORDS]
    parsed = mock.Mock(wraps=OmegaConf.load)
    monkeypatch.setattr(OmegaConf, "load", parsed)
    assert [OmegaConf.to_yaml(compose(words)) for words in WORDS] == before
    assert not parsed.called


@pytest.mark.parametrize("word", ["hydra.mode=MULTIRUN", "hydra.sweep.dir=x", "run.name=x"])
def test_what_says_how_to_run_is_heard(word: str) -> None:
    main = Hydra("train", ConfigLoaderImpl(create_config_search_path(str(CONF))))
    plain = type(main).get_mode.__wrapped__  # type: ignore[attr-defined]
    assert main.get_mode("train", [word]) == plain(main, "train", [word])
    assert (main.get_mode("train", [word]) is None) == ("mode" not in word)


def test_no_file_says_how_to_run() -> None:
    for path in sorted(CONF.rglob("*.yaml")):
        told = OmegaConf.load(path)
        assert "mode" not in (OmegaConf.select(told, "hydra") or {}), path
