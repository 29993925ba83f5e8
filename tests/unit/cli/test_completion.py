"""What a shell completes is what the commands understand: the script is run by the shell itself."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gulmfit import cli
from gulmfit.cli.completing import script, words_of
from gulmfit.cli.options import read_signature
from gulmfit.config import compose

BASH = shutil.which("bash")
ASK = """
source "$1"; COMP_WORDBREAKS="= "; COMP_LINE="$2"; COMP_POINT=${#2}
_gulmfit "$3"; printf "%s\\n" "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "script"
    path.write_text(script("bash"), encoding="utf-8")
    return path


def completed(script: Path, line: str) -> set[str]:
    """Let bash complete the last word of a line."""
    words = ["-c", ASK, "bash", str(script), line, line.partition(" ")[0]]
    result = subprocess.run([str(BASH), *words], capture_output=True, text=True, check=True, timeout=60)
    assert not result.stderr
    return set(filter(None, result.stdout.splitlines()))


@pytest.mark.skipif(BASH is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("gulmfit pred", {"predict "}),
        ("gulmfit export o", {"onnx "}),
        ("gulmfit-export p", {"pull ", "push "}),
        ("gulmfit predict strand=b", {"both "}),  # a "=" has ended a word: bash asks for what is behind it
        ("/opt/bin/gulmfit-predict model=a strand=forward thr", {"threshold="}),
        ("gulmfit-train stage=cl", {"classify "}),
        ("gulmfit-train run.n", {"run.name="}),
        ("gulmfit-predict input=x", set()),  # files, which bash itself completes
        ("gulmfit nonsense mod", set()),
        ("gulmfit completion ", {"bash ", "zsh ", "--help "}),
    ],
)
def test_a_word_is_completed(written: Path, line: str, expected: set[str]) -> None:
    assert completed(written, line) == expected


@pytest.mark.skipif(BASH is None, reason="bash is not installed")
def test_every_command_is_completed(written: Path) -> None:
    assert {name.partition(" ")[0] for name in cli.COMMANDS} <= {
        word.strip() for word in completed(written, "gulmfit ")
    }


@pytest.mark.parametrize("name", [name for name in cli.COMMANDS if name not in ("train", "completion")])
def test_what_is_offered_is_understood(name: str) -> None:
    functions = [read_signature(target) for target in cli.COMMANDS[name].targets]
    options = {key: one for function in functions for key, one in function.options.items()}
    everywhere = {"--help", "trust=true", "trust=false", "quiet=true", "quiet=false"}
    assert everywhere <= set(words_of(name))
    offered = [word.partition("=") for word in words_of(name) if word not in everywhere]
    assert {key for key, _, _ in offered} == set(options)
    for key, _, value in offered:
        if value:
            options[key].read(value)


def test_groups_and_keys_that_are_offered_compose() -> None:
    offered = words_of("train")
    chosen = ["arch=awd_gru", "head=regressor", "data=table", "stage=classify", "run.name=", "seed=", "loss=huber"]
    assert set(chosen) <= set(offered)
    compose([word.replace("=", "=1") if word.endswith("=") else word for word in chosen])


def test_another_shell_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["gulmfit-completion", "bsh"])
    with pytest.raises(SystemExit) as caught:
        cli.completion()
    assert "Did you mean bash?" in str(caught.value.code)


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_can_read_its_script(tmp_path: Path) -> None:
    (tmp_path / "script").write_text(script("zsh"), encoding="utf-8")
    asked = "whence -w _gulmfit && print -r -- $_comps[gulmfit-predict]"
    code = f"autoload -Uz compinit && compinit -u -D; source ./script && {asked}"
    done = subprocess.run(["zsh", "-f", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "_gulmfit: function" in done.stdout
    assert "_gulmfit" in done.stdout.splitlines()[-1]
