"""Exit codes and messages that tell the truth, whatever goes wrong."""

import errno
import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from gulmfit.cli import train
from gulmfit.cli.words import arguments, command
from gulmfit.errors import ConfigError


def outcome(error: BaseException) -> Any:
    @command
    def fails() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        fails()
    return caught.value.code


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENOTDIR, errno.EIO])
def test_what_the_system_refuses_is_told_with_the_file(number: int) -> None:
    told = outcome(OSError(number, os.strerror(number), "some/file"))  # a text: Python prints it and exits with 1
    assert "some/file" in told
    assert os.strerror(number) in told


def test_ctrl_c_is_130_and_says_what_is_saved(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(KeyboardInterrupt("last.ckpt has step 7")) == 130
    assert "last.ckpt has step 7" in capsys.readouterr().err


def test_home_is_written_out_in_every_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/josé")
    monkeypatch.setattr(sys, "argv", ["gulmfit-predict", "model=~/m", "output=~/a.tsv,~/b.bw,c~d", "id=a~/b"])
    values = arguments("", {"model": "", "output": "", "id": ""}, ())
    assert values == {"model": "/home/josé/m", "output": "/home/josé/a.tsv,/home/josé/b.bw,c~d", "id": "a~/b"}


def test_a_name_that_the_terminal_cannot_show_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)

    @command
    def speaks() -> None:
        sys.stdout.write("α\n")

    speaks()
    out.flush()
    assert out.buffer.getvalue() == b"\\u03b1\n"  # type: ignore[attr-defined]


def test_errors_of_the_configuration_are_told_and_others_are_raised() -> None:
    caused = OmegaConfBaseException("of a resolver")
    caused.__cause__ = ConfigError("the key of a user")
    assert "the key of a user" in outcome(caused)
    assert "nobody wrote this key" in outcome(HydraException("nobody wrote this key"))

    @command
    def fails() -> None:
        raise ValueError("mistake 7")

    with pytest.raises(ValueError, match="mistake 7"):
        fails()


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.setattr(sys, "argv", ["gulmfit-train", *words])
    with pytest.raises(SystemExit) as caught:
        train()
    return str(caught.value.code)


def test_a_refused_command_leaves_the_run_before_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = tmp_path / "it's (1) é"
    folder = outputs / "pretrain" / "20240101"
    folder.mkdir(parents=True)
    before = {name: f"{name} of a finished run" for name in ("config.yaml", "log", "metrics.json")}
    for name, text in before.items():
        (folder / name).write_text(text)
    words = ("stage=pretrain", f"paths.output_dir={outputs}", "run.name=20240101")
    assert "seeds=" in run(monkeypatch, *words, "seeds=null")
    assert str(folder) in run(monkeypatch, *words)
    assert {
        path.name: path.read_text() for path in folder.iterdir() if path.is_file() and path.name in before
    } == before
    assert {path.name for path in folder.iterdir()} <= {*before, ".lock"}


def test_an_output_folder_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    told = run(monkeypatch, "stage=pretrain", f"paths.output_dir={tmp_path / 'file' / 'x'}")
    assert str(tmp_path / "file") in told
    assert "Traceback" not in told
