"""Whatever word a user gives, the configuration holds what they meant."""

import os
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from gulmfit.config import compose, validate
from gulmfit.errors import ConfigError
from gulmfit.overrides import assign, overrides_for_hydra
from gulmfit.train.run import Run, sub_run

PATHS = (
    "/home/josé/t.csv", "/models/münchen", "/x/My Drive (1)/t.csv", "a=b.csv", "a#b", "a&b", "it's.csv", "a;b", 'a"b',
    "[old] a.csv", "{a}.csv", "a,b.csv", "a$b", "(a)", "a(1", "a{b,c", "a: b", "20240101", "1e5", "true", "1_000",
    " a", "a ", "<a>", "a'b'c", "'a", "ω", "数据/あ.fa", "a~b", "#", "nan", "x=y=z", "a\tb", "a\\b(c", "range(1,3)",
)  # fmt: skip


def read(word: str) -> object:
    """Return the value that a word has in the end, plain."""
    (ready,) = overrides_for_hydra([word])
    config = OmegaConf.create({"paths": {"output_dir": "outputs"}})
    OmegaConf.update(config, "value", OverridesParser.create().parse_override(ready).value())
    return OmegaConf.to_container(config, resolve=True)["value"]  # type: ignore[index, call-overload]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("key", ["data.path", "init_from", "paths.output_dir", "resume", "run.name", "data.genome"])
def test_a_path_arrives_as_it_was_given(key: str, path: str) -> None:
    assert read(f"{key}={path}") == path


def test_hydra_composes_with_them() -> None:
    words = {"data.path": PATHS[0], "init_from": "it's", "data.genome": "a,b (1)", "run.name": "1e5", "resume": "[x] y"}
    config = compose(["stage=classify", "data=table", *(f"{key}={path}" for key, path in words.items())])
    assert {key: OmegaConf.select(config, key) for key in words} == words


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
@settings(max_examples=150)
def test_what_is_assigned_is_read_again(text: str) -> None:
    assert read(assign("run.name", text)) == text


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
@settings(max_examples=150)
def test_any_word_is_read_and_read_alike_when_it_is_made_ready_twice(text: str) -> None:
    assume(not (text.strip().startswith("{") and text.strip().endswith("}")))  # which may be a broken mapping
    words = overrides_for_hydra([f"data.path={text}"])
    OverridesParser.create().parse_override(words[0])
    assert overrides_for_hydra(words) == words


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("data.path=[a.fa, b.fa]", ["a.fa", "b.fa"]),
        ("data.path=[é.fa, '/x/b, (1).fa', \"it's\"]", ["é.fa", "/x/b, (1).fa", "it's"]),
        ("data.path=genomes/*.fna.gz", "genomes/*.fna.gz"),
        ("data.path=chr[1-3].fa", "chr[1-3].fa"),
        ("data.path='a b'", "a b"),
        ("data.path=null", None),
        ("data.path=${paths.output_dir}/é (1)", "outputs/é (1)"),
        ("data.path=a\\,b", "a,b"),
        ("data.label=[2023,x]", ["2023", "x"]),
        ("batch_size=7", 7),
        ("seeds=null", None),
        ("data.classes={a: é.fa, b c: 'x, y'}", {"a": "é.fa", "b c": "x, y"}),
        (
            "data.classes={true: a.fa, 1e3: [b, c (1)], null: c}",
            {"true": "a.fa", "1e3": ["b", "c (1)"], "null": "c"},
        ),
        ("data.classes={'GO:1, x': a, it's: b, 'q\"q': 2024}", {"GO:1, x": "a", "it's": "b", 'q"q': "2024"}),
        ("holdout.contigs={NC_000913.3: 0.2}", {"NC_000913.3": 0.2}),
        ("holdout.contigs={'a:b': 0.2}", {"a:b": 0.2}),
    ],
)
def test_lists_globs_mappings_and_numbers_stay_what_they_are(word: str, value: object) -> None:
    assert read(word) == value


def test_home_is_written_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = compose(
        ["stage=classify", "data=table", "data.path=[~/a.csv, ~/b]", "init_from=~/m", "paths.output_dir=~"]
    )
    assert list(config.data.path) == [f"{tmp_path}/a.csv", f"{tmp_path}/b"]
    assert (config.init_from, config.paths.output_dir) == (f"{tmp_path}/m", str(tmp_path))


@pytest.mark.parametrize(
    "word", ["seed=1,2,3", "drop_mult=0.3,0.5", "data.path=a,b", "seed=range(1,3)", "~callbacks.lr"]
)
def test_sweeps_and_removals_are_left_alone(word: str) -> None:
    assert overrides_for_hydra([word, "-m", "--config-dir=/é"], multirun=True) == [word, "-m", "--config-dir=/é"]


def test_each_value_of_a_sweep_is_a_path_or_a_name() -> None:
    words = overrides_for_hydra(["data.path=é a,b (1)", "run.name=20240101,x"], multirun=True)
    parser = OverridesParser.create()
    swept = [list(parser.parse_override(word).sweep_string_iterator()) for word in words]
    assert swept == [["'é a'", "'b (1)'"], ["'20240101'", "x"]]


@pytest.mark.parametrize("word", ["größe=1", "nothing", "a b=c"])
def test_what_is_not_a_word_is_named_without_a_parser_s_own_words(word: str) -> None:
    with pytest.raises(ConfigError, match="key=value") as caught:
        compose([word])
    assert repr(word) in str(caught.value)
    assert "expecting" not in str(caught.value)


def test_a_mapping_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match=r"data\.classes.*'b'"):
        compose(["data=fasta_classes", "data.classes={a: x, b}"])


def test_bytes_of_another_encoding_are_refused() -> None:
    with pytest.raises(ConfigError, match="PYTHONUTF8"):
        overrides_for_hydra([f"data.path={os.fsdecode(b'caf') + chr(0xDCE9)}"])


def test_parts_of_a_run_are_composed_whatever_its_folder_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "o'brien's (1) é ${x}, {y}"
    words = overrides_for_hydra(["experiment=demo", assign("paths.output_dir", folder), "run.name=1e5"])
    config = compose(words)
    validate(config)
    run = Run(config, Path(str(config.paths.run_dir)), words)
    part = sub_run(run, "classify", "classify", str(folder / "model"))
    assert part.config.run.name == "1e5_classify"
    assert str(part.config.paths.run_dir) == str(folder / "ulmfit" / "1e5" / "classify")
    assert str(part.config.init_from) == str(folder / "model")
