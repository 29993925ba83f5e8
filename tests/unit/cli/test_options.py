"""Options are written once, in the signature of what a command ends in; `--help` says all of them, quickly."""

import functools
import importlib
import inspect
import shlex
import subprocess
import sys
from typing import Any

import pytest

import gulmfit
from gulmfit import cli
from gulmfit.cli.examples import EXAMPLES
from gulmfit.cli.options import REQUIRED, Option, read_signature
from gulmfit.errors import ConfigError

TARGETS = [target for entry in cli.COMMANDS.values() for target in entry.targets]
HEAVY = {"torch", "numpy", "hydra", "omegaconf", "yaml", "tqdm", "scipy", "sklearn", "matplotlib", "pytorch_lightning"}


def outcome(monkeypatch: pytest.MonkeyPatch, command: Any, *words: str) -> Any:
    monkeypatch.setattr(sys, "argv", ["gulmfit", *words])
    with pytest.raises(SystemExit) as caught:
        command()
    return caught.value.code


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_read_from_the_source_is_what_python_sees(target: str) -> None:
    read = read_signature(target)
    module, _, name = target.partition(":")
    parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    own = {key: item for key, item in parameters.items() if item.kind is inspect.Parameter.KEYWORD_ONLY}
    assert list(read.options) == list(own)
    for key, item in own.items():
        option = read.options[key]
        assert option.default == (REQUIRED if item.default is inspect.Parameter.empty else item.default)
        assert option.kind in ("str", "int", "float", "bool", "float | None", "int | None", "Sequence[str]")
        if option.choices:
            assert option.choices == item.annotation.__args__
            assert option.default in option.choices
    assert [read.words] * bool(read.words) == [key for key in parameters if key not in own]


@pytest.mark.parametrize("target", TARGETS)
def test_every_option_is_explained(target: str) -> None:
    read = read_signature(target)
    assert read.text
    assert [name for name, option in read.options.items() if not option.text] == []


def started(code: str) -> tuple[float, str, list[str]]:
    """Return the CPU seconds of the quicker of two processes, what it printed, and the modules that it loaded.

    Not what a clock on the wall shows, which others on the machine move too.
    """
    told = "import atexit, sys, time; atexit.register(lambda: print('told:', time.process_time(), *sys.modules)); "
    found = []
    for _ in range(2):
        command = [sys.executable, "-c", told + code]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=900)
        shown, _, after = done.stdout.rpartition("told:")
        seconds, *modules = after.split()
        found.append((float(seconds), shown, modules))
    return min(found)


@functools.cache
def bare_start() -> tuple[float, str, list[str]]:
    return started("pass")


@pytest.mark.parametrize("name", ["", "export", *cli.COMMANDS])
def test_help_is_quick_and_shows_every_option(name: str) -> None:
    bare, _, _ = bare_start()
    taken, shown, loaded = started(
        f"from gulmfit.cli import main; sys.argv = ['gulmfit', *{[*name.split(), '--help']}]; main()"
    )
    assert {module.partition(".")[0] for module in loaded} & HEAVY == set()
    assert taken < 20 * bare  # importing torch takes 50 to 100 times as long
    for target in cli.COMMANDS[name].targets if name in cli.COMMANDS else ():
        assert all(f"{option}=" in shown for option in read_signature(target).options)


def test_help_lists_the_commands_and_no_words_ask_for_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, code in (([], 2), (["--help"], 0)):
        assert outcome(monkeypatch, cli.main, *words) == code
        shown = capsys.readouterr().out
        assert [name for name in cli.COMMANDS if f"  {name} " not in shown] == []
    assert outcome(monkeypatch, cli.predict) == 2
    assert outcome(monkeypatch, cli.main, "predict", "-h") == 0
    assert capsys.readouterr().out.count("gulmfit-predict model=... input=... output=...") == 2


@pytest.mark.parametrize("command", [cli.main, cli.predict, cli.train, cli.export])
def test_the_version(command: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["gulmfit", "--version"])
    command()
    assert capsys.readouterr().out == f"gulmfit {gulmfit.__version__}\n"


def test_the_package_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "gulmfit", "--version"], capture_output=True, text=True, timeout=900)
    assert (done.returncode, done.stdout) == (0, f"gulmfit {gulmfit.__version__}\n")


def test_groups_of_the_configuration_are_listed_with_those_of_the_user(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "arch").mkdir()
    (tmp_path / "arch" / "mine.yaml").touch()
    assert outcome(monkeypatch, cli.train, "--help", "--config-dir", str(tmp_path)) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("  arch:"))
    assert {"awd_lstm", "mine"} <= set(line.partition(":")[2].replace(",", " ").split())


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "0", 0), ("int", "18", 18), ("float", "1e3", 1000.0), ("float", "-.5", -0.5), ("float", "2.", 2.0),
        ("float", "7", 7.0), ("bool", "True", True), ("bool", "false", False), ("float | None", "", None),
        ("float | None", "0.9", 0.9), ("str", "²", "²"),
    ],
)  # fmt: skip
def test_values(kind: str, text: str, value: object) -> None:
    read = Option("key", kind).read(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        *(
            (["score", f"window_bp={text}"], [f"window_bp={text}"])
            for text in ("²", "٣", "1.0", "1e3", "-1", "", "1" * 19)
        ),
        *(
            (["predict", f"max_ambiguous={text}"], [f"max_ambiguous={text}"])
            for text in ("inf", "nan", "-inf", "1e999", "٣", "½", "1_0", "0x1", "hot", " 1", "")
        ),
        (["predict", "raw=yes"], ["raw=yes", "true", "false"]),
        (["predict", "strand=Forward"], ["strand=Forward", "forward, both, average"]),
        (["variants", "on_mismatch="], ["on_mismatch=", "error, skip"]),
        (["embed", "layers=1"], ["layers=1", "pooling=", "Did you mean layer=?"]),
        (["predict", "input"], ["'input'", "input="]),
        (["predict", "model=m", "output="], ["input=, output= is missing"]),
        (["evaluate", "model=m"], ["data=", "missing"]),
        (["compare", "seed=1"], ["RUN", "missing"]),
        (["predcit"], ["'predcit'", "predict"]),
        (["export", "torchscript"], ["'torchscript'", "onnx, card, push, pull, fastai"]),
    ],
)  # fmt: skip
def test_a_wrong_word_is_refused_with_what_is_allowed(
    words: list[str], told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = outcome(monkeypatch, cli.main, *words)
    assert said.startswith("ConfigError: ")
    assert [text for text in told if text not in said] == []


def test_words_that_are_no_options_reach_the_function(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "lr=1").mkdir()
    monkeypatch.chdir(tmp_path)
    reached: list[dict[str, Any]] = []
    for target in ("gulmfit.commands.compare.compare", "gulmfit.commands.evaluate.evaluate_file"):
        monkeypatch.setattr(target, lambda **values: reached.append(values))
    monkeypatch.setattr(sys, "argv", ["gulmfit", "compare", "a", "lr=1", "seed=3"])
    cli.main()
    monkeypatch.setattr(sys, "argv", ["gulmfit-evaluate", "model=m", "data=table", "data.path=x", "paths.cache_dir=y"])
    cli.evaluate()
    compared, evaluated = reached
    assert compared == {"runs": ["a", "lr=1"], "output": "", "seed": 3, "figures": ""}
    assert evaluated["data_overrides"] == ["data=table", "data.path=x", "paths.cache_dir=y"]
    assert evaluated["model"] == "m"


def test_ranks_of_training_are_started_with_its_own_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    reached: list[tuple[str, list[str]]] = []
    monkeypatch.setattr("gulmfit.commands.train.start_training", lambda words: reached.append((sys.argv[0], words)))
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "gulmfit"), "train", "seed=1"])
    cli.main()
    monkeypatch.setattr(sys, "argv", ["train.py"])
    cli.train()
    assert reached == [(str(tmp_path / "gulmfit-train"), ["seed=1"]), ("train.py", [])]


def test_an_option_that_may_be_repeated_keeps_every_value() -> None:
    read = read_signature("gulmfit.commands.inspect:inspect_models")
    assert read.read(["model=a", "output=o", "model=b=c"], "usage")["model"] == ["a", "b=c"]
    for words in (["output=o"], ["output=o", "model="]):
        with pytest.raises(ConfigError, match="model= is missing"):
            read.read(words, "usage")


def test_examples_are_understood_as_they_stand() -> None:
    assert set(EXAMPLES) == set(cli.COMMANDS) - {"train", "compare"}  # which have theirs in their docstrings
    for name, lines in EXAMPLES.items():
        entry = cli.COMMANDS[name]
        for line in lines:
            words = [
                word for word in shlex.split(line.partition(" | ")[0].partition(" < ")[0]) if not entry.takes(word)
            ]
            streams = ("output",) if not entry.pipes else (entry.reads, "output")
            values = read_signature(entry.targets[0]).read(words, "")
            assert {key for key, value in values.items() if value == "-"} <= set(streams), line
