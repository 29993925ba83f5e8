"""No command writes over what it reads, or what another command is writing; both are told before any work."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gulmfit.commands.embed import embed_file
from gulmfit.commands.evaluate import evaluate_file
from gulmfit.commands.explain import explain_file
from gulmfit.commands.generate import generate_file
from gulmfit.commands.predict import predict_file
from gulmfit.commands.score import score_file
from gulmfit.commands.tokens import compare_tokens
from gulmfit.commands.variants import score_vcf
from gulmfit.errors import ConfigError, DataError
from gulmfit.exchange.card import write_card
from gulmfit.exchange.fastai_format import export_fastai
from gulmfit.files import claimed

Command = Callable[[Path, Path], Any]
"""Runs a command on an input and an output."""

MODEL = "model"


def model(path: Path) -> str:
    return str(path.parent / MODEL)


def embed(read: Path, output: Path, **more: str) -> Any:
    return embed_file(
        model=model(read), input=str(read), output=str(output), level="sequence", layer="last", pooling="concat",
        strand="forward", batch_size=4, precision="32", sequence="sequence", id="", label="", seed=0,
        **{"map": "", **more},
    )  # fmt: skip


def score(read: Path, output: Path) -> Any:
    return score_file(
        model=model(read), input=str(read), output=str(output), window_bp=10, step_bp=0, strand="forward",
        batch_size=4, precision="32", sequence="sequence", id="",
    )  # fmt: skip


def generate(read: Path, output: Path) -> Any:
    return generate_file(
        model=model(read), output=str(output), num_sequences=2, length_bp=20, temperature=1.0, top_k=0, prompt="",
        seed=0, batch_size=2, compare=str(read),
    )  # fmt: skip


def variants(output: Path, vcf: Path, genome: Path) -> Any:
    return score_vcf(
        model=model(vcf), vcf=str(vcf), genome=str(genome), output=str(output), language_model="", window_bp=10,
        strand="forward", batch_size=4, precision="32", on_mismatch="error", cache_dir=str(vcf.parent / "store"),
    )  # fmt: skip


COMMANDS: dict[str, tuple[str, Command]] = {
    "predict, records": ("a.tsv", lambda read, out: predict_file(model=model(read), input=str(read), output=str(out))),
    "predict, a pattern": (
        "a.tsv", lambda read, out: predict_file(model=model(read), input=f"{read.parent}/*.tsv", output=str(out))
    ),
    "predict, features": (
        "a.bed",
        lambda read, out: predict_file(model=model(read), input=str(read), genome="g.fa", output=str(out)),
    ),
    "predict, genome": (
        "a.tsv",
        lambda read, out: predict_file(model=model(read), input="f.bed", genome=str(read), output=str(out)),
    ),
    "predict, second output": (
        "a.bed",
        lambda read, out: predict_file(
            model=model(read), input=str(read), genome="g.fa", output=f"{out.parent}/fine.tsv,{out}"
        ),
    ),
    "predict, scan": (
        "a.tsv",
        lambda read, out: predict_file(model=model(read), input=str(read), window_bp=10, output=str(out)),
    ),
    "score": ("a.tsv", score),
    "explain": ("a.tsv", lambda read, out: explain_file(model=model(read), input=str(read), output=str(out))),
    "embed": ("a.parquet", embed),
    "embed, map": ("a.html", lambda read, out: embed(read, read.parent / "b.npz", map=str(out))),
    "generate": ("a.fa", generate),
    "generate, page": ("a.html", lambda read, out: generate(read, out.with_suffix(".fa"))),
    "variants, vcf": ("a.vcf", lambda read, out: variants(out, read, read.parent / "g.fa")),
    "variants, genome": ("a.tsv", lambda read, out: variants(out, read.parent / "a.vcf", read)),
    "variants, mismatches": (
        "a.tsv.mismatches.tsv", lambda read, out: variants(out.parent / "a.tsv", read, read.parent / "g.fa")
    ),
    "evaluate": (
        "evaluated/predictions/evaluate.tsv",
        lambda read, out: evaluate_file(
            model=str(read.parents[2] / MODEL), data_overrides=["data=table", f"data.path={read}"],
            output=str(out.parents[1]), strand="forward", batch_size=4,
        ),
    ),
    "tokens": (
        "tokens.json",
        lambda read, out: compare_tokens(
            input=str(read), tokenizers="kmer:3:1", output=str(out.parent), steps=0, seed=0, alphabet="dna"
        ),
    ),
    "card": (
        "model/config.json",
        lambda read, out: write_card(model=str(read.parent), output=str(out), license="", repo="a/b"),
    ),
    "fastai": (
        "model/config.json",
        lambda read, out: export_fastai(model=str(read.parent), output=str(out.with_suffix(".pth"))),
    ),
}  # fmt: skip


@pytest.mark.parametrize("link", ["same", "symlink", "hard link"])
@pytest.mark.parametrize("name", COMMANDS)
def test_an_output_that_is_read_is_refused(tmp_path: Path, make_model: Any, name: str, link: str) -> None:
    file, command = COMMANDS[name]
    make_model(name=MODEL)
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True, parents=True)
    if not path.exists():
        path.write_text("what is read")
    content = path.read_bytes()
    read = path
    if link != "same" and MODEL not in path.parts and "pattern" not in name:
        read = tmp_path / f"read{path.suffix}" if name != "evaluate" else path.with_name("read.tsv")
        path.rename(read)
        path.symlink_to(read) if link == "symlink" else path.hardlink_to(read)
    with pytest.raises(ConfigError, match=rf"output={re.escape(str(path))}.* read\b"):
        command(read, path)
    assert read.read_bytes() == path.read_bytes() == content


RECORDS = "id\tsequence\n1\tACGTTGCAACGTACGTTGCA\n"
GENOME = ">c\nACGTTGCAACGTACGTTGCAACGTTGCAACGTACGTTGCA\n"
READABLE: dict[str, tuple[str, str, dict[str, str]]] = {
    "records": ("a.tsv", RECORDS, {"input": "a.tsv"}),
    "features": ("a.bed", "c\t4\t24\tx\t0\t+\n", {"input": "a.bed", "genome": "g.fa"}),
    "genome": ("a.tsv", GENOME, {"input": "f.bed", "genome": "a.tsv"}),
    "scan": ("a.tsv", GENOME, {"input": "a.tsv", "window_bp": "20"}),
}


@pytest.mark.parametrize("name", READABLE)
def test_what_could_be_read_is_still_there(tmp_path: Path, make_model: Any, name: str) -> None:
    """The files are sound: a command that did not look would end well, and the input would be gone."""
    file, content, words = READABLE[name]
    model = make_model()
    for path, text in (("g.fa", GENOME), ("f.bed", "c\t4\t24\tx\t0\t+\n"), (file, content)):
        (tmp_path / path).write_text(text)
    chosen: dict[str, Any] = {
        key: int(value) if value.isdigit() else str(tmp_path / value) for key, value in words.items()
    }

    def predict(output: str) -> None:
        predict_file(model=str(model), output=str(tmp_path / output), cache_dir=str(tmp_path / "store"), **chosen)

    with pytest.raises(ConfigError, match=rf"output=.*{re.escape(file)} .*\bread\b"):
        predict(file)
    assert (tmp_path / file).read_text() == content
    predict("b.tsv")
    assert (tmp_path / "b.tsv").is_file()


def test_another_command_is_told_at_once(tmp_path: Path, make_model: Any) -> None:
    (tmp_path / "a.fa").write_text(">a\nACGTACGTACGT\n")
    model, output = make_model(), tmp_path / "a.tsv"
    with claimed([output], []), pytest.raises(DataError, match=r"a\.tsv .*\(process \d+ .*output="):
        predict_file(model=str(tmp_path / "not even looked for"), input=str(tmp_path / "a.fa"), output=str(output))
    predict_file(model=str(model), input=str(tmp_path / "a.fa"), output=str(output))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.fa", "a.tsv", "a.tsv.json", "model"]
