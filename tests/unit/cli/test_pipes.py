"""Commands within a pipe."""

import gzip
import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from gulmfit.cli import annotate
from gulmfit.cli.pipes import piped, suffix_of
from gulmfit.errors import ConfigError
from gulmfit.overrides import overrides_for_hydra
from gulmfit.seq.limits import is_pipe

FORMATS = {
    ">a\nACGT\n": ".fa",
    "\n>a\nACGT\n": ".fa",
    "@a\nACGT\n+\nIIII\n": ".fq",
    '{"sequence": "ACGT"}\n': ".jsonl",
    "id\tsequence\na,b\tACGT\n": ".tsv",
    "id,sequence\na,ACGT\n": ".csv",
    "\ufeffid,sequence\n": ".csv",
    "##fileformat=VCFv4.2\n#CHROM\tPOS\n": ".vcf",
}


@pytest.mark.parametrize(("text", "suffix"), FORMATS.items())
def test_a_format_is_told_by_what_it_holds(text: str, suffix: str) -> None:
    assert suffix_of(text.encode()) == suffix
    assert suffix_of(gzip.compress(text.encode())) == suffix


@pytest.mark.parametrize("content", [b"", b"\n\n", b"ACGT\n"])
def test_what_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigError):
        suffix_of(content)


@pytest.fixture
def stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "given"
    path.write_bytes(gzip.compress(b">a\nACGT\n"))
    monkeypatch.setattr(sys, "stdin", path.open(encoding="latin-1"))
    return path


def test_standard_input_and_output_are_files_to_the_command(stdin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", out)
    values: dict[str, Any] = {"input": "-", "output": "-", "model": "m"}
    with piped(values) as files:
        assert Path(files["input"]).read_bytes() == stdin.read_bytes()
        assert Path(files["input"]).suffix == ".fa"
        Path(files["output"]).write_text("id\tscore\n")
    assert out.buffer.getvalue() == b"id\tscore\n"  # type: ignore[attr-defined]
    assert not Path(files["input"]).exists()
    assert files["model"] == "m"


def test_a_command_may_read_another_option_or_nothing(stdin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", out)
    with piped({"vcf": "-", "genome": "g.fa", "output": "-"}, reads="vcf", suffix=".vcf") as files:
        assert Path(files["vcf"]).read_bytes() == stdin.read_bytes()
        assert files["genome"] == "g.fa"
        assert Path(files["output"]).suffix == ".vcf"
        Path(files["output"]).write_text("one")
    with piped({"output": "-", "compare": ""}, reads="", suffix=".fasta") as files:
        assert Path(files["output"]).suffix == ".fasta"
        Path(files["output"]).write_text("two")
    assert out.buffer.getvalue() == b"onetwo"  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="compare"), piped({"output": "-", "compare": "g.fa"}, reads=""):
        pass


def test_a_named_pipe_is_read_once_and_kept(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = os.fork()
    if not writer:
        pipe.write_bytes(b"id,sequence\na,ACGT\n")
        os._exit(0)
    with piped({"input": str(pipe), "output": str(tmp_path / "o.tsv")}) as files:
        assert Path(files["input"]).read_bytes() == b"id,sequence\na,ACGT\n"
        assert Path(files["input"]).suffix == ".csv"
    os.waitpid(writer, 0)


def test_files_are_left_alone(tmp_path: Path) -> None:
    values = {"input": str(tmp_path / "a.fa"), "output": "b.tsv"}
    with piped(values) as files:
        assert files is values


def test_a_pipe_where_a_file_is_read_more_than_once_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tmp_path / "vcf"
    os.mkfifo(pipe)
    assert is_pipe(str(pipe))
    assert not is_pipe(str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["gulmfit-annotate", f"input={pipe}"])
    with pytest.raises(SystemExit, match=r"input=.*pipe"):
        annotate()
    with pytest.raises(ConfigError, match=r"data\.path=.*pipe"):
        overrides_for_hydra([f"data.path={pipe}"])
    with pytest.raises(ConfigError, match="output=-"), piped({"input": "a.fa", "output": "-"}, text_output=False):
        pass
    with pytest.raises(ConfigError, match="genome"), piped({"input": str(pipe), "output": "a", "genome": "g.fa"}):
        pass
