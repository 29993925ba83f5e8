"""What SECURITY.md promises: reading runs no code, names nothing foreign, leaves no folder, and injects no markup.

A hostile file would, if it were run, make a file; that it is not there afterwards is what the tests look at.
"""

import base64
import contextlib
import gzip
import io
import json
import os
import pickle
import re
import struct
import sys
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file, save, save_file

from gulmfit import checkpoint
from gulmfit.config import read_plain
from gulmfit.data.sources.folder import FolderSource
from gulmfit.errors import CheckpointError, ConfigError, DataError, GulmfitError, SequenceError, TokenizerError
from gulmfit.exchange.card import model_card
from gulmfit.exchange.fastai_format import import_fastai
from gulmfit.exchange.vocabulary import read_vocabulary
from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.report.html import Report, render
from gulmfit.report.kinds.predictions import Predictions
from gulmfit.report.maps import map_report
from gulmfit.report.pages import classification_report, comparison_report, language_model_report
from gulmfit.report.repeated import comparison_of_runs
from gulmfit.report.sections import score_curves
from gulmfit.report.token_page import tokens_report
from gulmfit.seq.formats import fasta
from gulmfit.seq.formats.fasta import read_fasta, read_fasta_pieces
from gulmfit.seq.formats.tables import read_rows
from gulmfit.seq.formats.vcf import Vcf
from gulmfit.seq.genome.contigs import read_features
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.genome.tracks import Track
from gulmfit.seq.limits import VARIABLE, parse_json
from gulmfit.seq.tokens.subword import SubwordTokenizer
from gulmfit.seq.tokens.tokenizer import Tokenizer
from gulmfit.train.run import read_config
from gulmfit.train.stages.origins import corpora
from gulmfit.train.survive.durable import DurableCheckpointIO


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch '{self.mark}'",)


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    """A file that hostile code would make; it must never be there."""
    path = tmp_path / "code-was-run"
    yield path
    assert not path.exists()


def spec() -> dict[str, Any]:
    return {
        "arch": {"_target_": "gulmfit.models.awd_rnn.AWDRNN", "embed_size": 4, "hidden_size": 6, "num_layers": 2},
        "head": {"_target_": "gulmfit.models.classifier.SequenceClassifier", "hidden_size": 5},
        "dropout": {},
        "tokenizer": {"_target_": "gulmfit.seq.tokens.tokenizer.KmerTokenizer", "k": 1, "stride": 1},
        "classes": ["no", "yes"],
        "positive": "yes",
    }


def model_folder(folder: Path, changed: Mapping[str, Any] | None = None) -> Path:
    """Write a model folder whose configuration says something else than its weights."""
    checkpoint.save_model(folder, spec(), checkpoint.build_model(spec())[0].state_dict())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **(changed or {})}))
    return folder


def content() -> dict[str, Any]:
    state = {f"model.{name}": tensor for name, tensor in checkpoint.build_model(spec())[0].state_dict().items()}
    return {"hyper_parameters": {"spec": spec()}, "state_dict": state, "global_step": 3}


# --- Reading runs no code -------------------------------------------------------------------------------------------


def test_the_bomb_goes_off_where_it_is_not_stopped(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "here")))
    assert (tmp_path / "here").exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("key", ["state_dict", "hyper_parameters", "optimizer_states", "global_step"])
def test_a_checkpoint_with_code_is_refused(tmp_path: Path, mark: Path, key: str, zipped: bool) -> None:
    path = tmp_path / "checkpoints" / "last.ckpt"
    path.parent.mkdir()
    torch.save({**content(), key: Bomb(mark)}, path, _use_new_zipfile_serialization=zipped)
    for read in (checkpoint.load, checkpoint.read_progress, checkpoint.load_tokenizer):
        with pytest.raises(CheckpointError, match=r"last\.ckpt: .*gulmfit checkpoint"):
            read(path)
    with pytest.raises(CheckpointError):
        checkpoint.load(tmp_path)
    with pytest.raises(pickle.UnpicklingError):
        DurableCheckpointIO().load_checkpoint(path, weights_only=False)


def test_a_sound_checkpoint_and_folder_are_read(tmp_path: Path) -> None:
    torch.save(content(), tmp_path / "a.ckpt")
    assert checkpoint.load(tmp_path / "a.ckpt").classes == ["no", "yes"]
    assert checkpoint.read_progress(tmp_path / "a.ckpt")[1] == 3
    assert checkpoint.load(model_folder(tmp_path / "model")).classes == ["no", "yes"]


@pytest.mark.parametrize("zipped", [True, False])
def test_a_fastai_file_with_code_is_refused(tmp_path: Path, mark: Path, zipped: bool) -> None:
    weights, names = tmp_path / "w.pth", tmp_path / "v.json"
    torch.save({"model": {}, "opt": Bomb(mark)}, weights, _use_new_zipfile_serialization=zipped)
    names.write_text('["xxunk"]')
    with pytest.raises(CheckpointError, match=r"w\.pth: .*tensors alone"):
        import_fastai(weights=str(weights), vocab=str(names), output=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_vocabulary_with_code_is_refused(tmp_path: Path, mark: Path) -> None:
    for name in ("v.pkl", "v.pickle"):
        (tmp_path / name).write_bytes(pickle.dumps(["A", Bomb(mark)]))
        with pytest.raises(CheckpointError, match=r"v\.\w+ .*names: .*\.system\."):
            read_vocabulary(tmp_path / name)
    np.save(tmp_path / "v.npy", np.array([Bomb(mark)], dtype=object), allow_pickle=True)
    with pytest.raises(CheckpointError):
        read_vocabulary(tmp_path / "v.npy")


def test_runs_of_a_store_with_code_are_refused(tmp_path: Path, mark: Path) -> None:
    (tmp_path / "g.fa").write_text(">a\nACGTNNACGT\n")
    built = GenomeStore.build(tmp_path / "g.fa", tmp_path / "cache")
    runs = tmp_path / "cache" / f"{built.digest}.runs.npy"
    np.save(runs, np.array([Bomb(mark)], dtype=object), allow_pickle=True)
    with pytest.raises(GulmfitError, match=r"\.json: .*genome store .*damaged"):
        GenomeStore.open(tmp_path / "cache", built.digest, [tmp_path / "g.fa"], check=False)


# --- Configurations name nothing foreign ----------------------------------------------------------------------------

FOREIGN = [
    "os.system", "subprocess.Popen", "builtins.eval", "torch.load", "gulmfit", "gulmfit.", "gulmfit..os", ".os.system",
    "gulmfit.cli.words.sys.exit", "gulmfit.train.run.shutil.rmtree", "gulmfit.train.run.shutil", "gulmfit.config.os",
    "gulmfit.checkpoint.torch.load", "gulmfit.checkpoint.json", "gulmfit.train.run.compose", "gulmfit.config.compose",
    "gulmfit.checkpoint.nn.Module", "gulmfit.checkpoint.Path", "gulmfit.checkpoint.Tokenizer", "gulmfitx.os.system",
    "gulmfit.seq.genome.store.GenomeStore.build", "gulmfit.checkpoint.save_model", "gulmfit.no.such",
    "gulmfit.seq.tokens.tokenizer.",
]  # fmt: skip


@pytest.mark.parametrize("target", FOREIGN)
@pytest.mark.parametrize("part", ["arch", "head", "tokenizer"])
def test_only_classes_of_gulmfit_are_built(tmp_path: Path, mark: Path, target: str, part: str) -> None:
    folder = model_folder(tmp_path / "model", {part: {"_target_": target, "command": f"touch '{mark}'"}})
    with pytest.raises(CheckpointError, match=rf"_target_ '\.?{re.escape(target)}' .*(\bbuilt\b|\bexist\b)"):
        checkpoint.load(folder)


@pytest.mark.parametrize(
    ("part", "target"),
    [
        ("tokenizer", "gulmfit.models.awd_rnn.AWDRNN"),
        ("tokenizer", "gulmfit.data.sources.base.FastaSource"),
        ("arch", "gulmfit.seq.tokens.tokenizer.KmerTokenizer"),
        ("arch", "gulmfit.train.run.Run"),
        ("head", "gulmfit.report.html.Report"),
        ("head", "gulmfit.exchange.vocabulary._PlainUnpickler"),
    ],
)
def test_each_part_is_of_the_kind_that_belongs_there(tmp_path: Path, part: str, target: str) -> None:
    folder = model_folder(tmp_path / "model", {part: {"_target_": target}})
    with pytest.raises(CheckpointError, match=rf"_target_ '{re.escape(target)}' .*\b(Tokenizer|Module)\b"):
        checkpoint.load(folder)


def test_an_encoder_of_ones_own_is_built_where_it_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mylab.py").write_text("from gulmfit.models.awd_rnn import AWDRNN\n\n\nclass Ours(AWDRNN):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    arch = {**spec()["arch"], "_target_": "mylab.Ours"}
    folder = model_folder(tmp_path / "model", {"arch": arch})
    with pytest.raises(CheckpointError, match=r"'mylab\.Ours' .*trust=true"):
        checkpoint.load(folder)
    assert "mylab" not in sys.modules
    with checkpoint.foreign_classes_trusted():
        assert type(checkpoint.load(folder).model.encoder).__name__ == "Ours"
        for wrong in ("mylab.AWDRNN", "os.system", "mylab.Theirs"):
            with pytest.raises(CheckpointError, match=wrong):
                checkpoint.load(model_folder(tmp_path / "wrong", {"arch": {**arch, "_target_": wrong}}))
    with pytest.raises(CheckpointError, match="outside gulmfit"):
        checkpoint.load(folder)
    del sys.modules["mylab"]


@pytest.mark.parametrize("bits", [torch.float32, torch.float16])
def test_a_model_is_built_once_and_holds_what_is_in_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: torch.dtype
) -> None:
    (tmp_path / "theirs.py").write_text(
        "import torch\nfrom gulmfit.models.awd_rnn import AWDRNN\n\n\nclass Theirs(AWDRNN):\n"
        "    def reset_parameters(self, token_bases=None):\n        super().reset_parameters(token_bases)\n"
        "        self.register_buffer('steps', torch.arange(3), persistent=False)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    built: list[str] = []
    reset = AWDRNN.reset_parameters

    def counted(encoder: AWDRNN, token_bases: torch.Tensor | None = None) -> None:
        built.append(encoder.embedding.weight.device.type)
        reset(encoder, token_bases)

    monkeypatch.setattr(AWDRNN, "reset_parameters", counted)
    for target, devices in (("gulmfit.models.awd_rnn.AWDRNN", ["meta"]), ("theirs.Theirs", ["meta", "cpu"])):
        folder = model_folder(tmp_path / target, {"arch": {**spec()["arch"], "_target_": target}})
        weights = folder / "model.safetensors"
        kept = {name: part.to(bits) if part.is_floating_point() else part for name, part in load_file(weights).items()}
        save_file(kept, weights)
        slow = checkpoint.build_model(spec())[0].eval()
        slow.load_state_dict(kept)
        built.clear()
        with checkpoint.foreign_classes_trusted():
            model = checkpoint.load(folder).model
        assert built == devices
        weights.write_bytes(b"")  # nothing of the model is still in its file
        for (name, found), expected in zip(model.state_dict().items(), slow.state_dict().values(), strict=True):
            assert found.dtype == expected.dtype, name
            assert torch.equal(found, expected), name
        assert all(part.requires_grad for part in model.parameters())
        assert not any(part.is_meta for part in [*model.parameters(), *model.buffers()])
        with torch.no_grad():
            logits = [one(torch.tensor([[3, 4, 5, 6]]), torch.tensor([4]))[0] for one in (model, slow)]
        assert torch.equal(*logits)
    sys.modules.pop("theirs")


def test_what_conf_names_is_still_built() -> None:
    """Refusing everything would be safe, too."""
    conf = Path(__file__).resolve().parents[2] / "conf"
    named = {
        target
        for group in ("arch", "head", "tokenizer", "data", "split")
        for path in (conf / group).glob("*.yaml")
        for target in re.findall(r"_target_: ([\w.]+)", path.read_text())
    }
    assert len(named) > 10
    for target in named:
        assert checkpoint.resolve_target(target).__name__ == target.rpartition(".")[2]
    assert checkpoint.resolve_target("gulmfit.seq.tokens.tokenizer.KmerTokenizer", Tokenizer)


@pytest.mark.parametrize(
    "changed",
    [
        {"arch": "os.system"},
        {"dropout": {"_target_": "os.system"}},
        {"dropout": {"embed_p": "x"}},
        {"classes": {"a": 1}},
        {"classes": [1, 2]},
        {"positive": "neither"},
        {"format": "1"},
        {"arch": {**spec()["arch"], "num_layers": 10**9}},
        {"arch": {**spec()["arch"], "embed_size": 10**9}},
        {"arch": {**spec()["arch"], "hidden_size": 2**62}},
        {"head": {**spec()["head"], "hidden_size": 10**9}},
        {"tokenizer": {**spec()["tokenizer"], "k": 8}},
    ],
)
def test_a_configuration_that_does_not_fit_takes_no_memory(tmp_path: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(GulmfitError):
        checkpoint.load(model_folder(tmp_path / "model", changed))


def run_folder(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(text)
    return folder


def run_with(origin: Path, cache: Path) -> Any:
    return SimpleNamespace(config=OmegaConf.create({"init_from": str(origin), "paths": {"cache_dir": str(cache)}}))


PRETRAINED = "stage: {name: pretrain}\ninit_from: null\n"


def test_the_corpus_behind_a_model_is_found(tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_text(">a\nACGTACGT\n")
    data = f"data: {{_target_: gulmfit.data.sources.base.FastaSource, path: '{tmp_path / 'g.fa'}'}}\n"
    (corpus,) = corpora(run_with(run_folder(tmp_path / "run", PRETRAINED + data), tmp_path))
    assert corpus.search is not None


@pytest.mark.parametrize(
    "target",
    [
        "{_target_: os.system, command: touch MARK}",
        "{_target_: subprocess.check_call, args: [touch, MARK]}",
        "{_target_: gulmfit.train.run.shutil.rmtree, path: FOLDER}",
        "!!python/object/apply:os.system ['touch MARK']",
        "os.system",
    ],
)
def test_the_data_of_a_run_that_is_started_from_run_nothing(tmp_path: Path, mark: Path, target: str) -> None:
    target = target.replace("MARK", str(mark)).replace("FOLDER", str(tmp_path))
    folder = run_folder(tmp_path / "run", f"{PRETRAINED}data: {target}\n")
    assert [corpus.search for corpus in corpora(run_with(folder, tmp_path / "cache"))] == [None]
    assert tmp_path.exists()


def test_runs_that_are_started_from_each_other_come_to_an_end(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        run_folder(tmp_path / one, f"stage: {{name: finetune}}\ninit_from: '{tmp_path / other}'\n")
    assert {corpus.search for corpus in corpora(run_with(tmp_path / "a", tmp_path))} == {None}


LAUGHS = "a: &a [x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}]\n" for a, b in zip("abcdefghij", "bcdefghijk", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        "secret: ${oc.env:GULMFIT_SECRET}",
        "secret: [{a: 'x ${oc.env:GULMFIT_SECRET}'}]",
        "${oc.env:GULMFIT_SECRET}: 1",
        "secret: ${oc.decode:'1'}",
        LAUGHS,
        "x: !!python/object/apply:os.system ['true']",
        "x: !!python/name:os.system",
        "[" * 5000,
        "x: " + "9" * 5000,
        "a" * (1 << 19),
        "- 1",
        "x: [",
        "\x00",
    ],
)
def test_a_configuration_from_elsewhere_is_plain_values(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GULMFIT_SECRET", "hunter2")
    folder = run_folder(tmp_path / "run", f"stage: {{name: pretrain}}\n{text}\n")
    model_folder(folder / "model")
    with pytest.raises(ConfigError, match=r"config\.yaml .*\bconfiguration\b") as told:
        read_config(folder)
    assert "hunter2" not in str(told.value)
    with pytest.raises(CheckpointError) as told_by_card:
        model_card(checkpoint.load(folder), license="mit", repo="a/b")
    assert "hunter2" not in str(told_by_card.value)


def test_a_configuration_that_gulmfit_wrote_is_read(tmp_path: Path) -> None:
    config = OmegaConf.create({"stage": {"name": "x"}, "rate": 1e-3, "list": [1, "a", None], "text": "costs 5 $ {x}"})
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(config, resolve=True))
    assert read_plain(tmp_path / "config.yaml") == config


# --- Nothing is read or written outside of a folder ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../secret.arrow", "/etc/passwd", "a/../../secret.arrow", "..", "", "sub/x.arrow"])
def test_a_data_set_names_files_of_its_own_only(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.arrow").write_bytes(b"x")
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with pytest.raises(DataError, match=rf"state\.json: .*'{re.escape(name)}'"):
        FolderSource(path=str(folder)).labelled()


def test_members_of_a_checkpoint_are_written_nowhere(tmp_path: Path) -> None:
    packed = io.BytesIO()
    torch.save(content(), packed)
    path = tmp_path / "in" / "a.ckpt"
    path.parent.mkdir()
    with zipfile.ZipFile(packed) as given, zipfile.ZipFile(path, "w") as taken:
        for item in given.infolist():
            taken.writestr(item.filename, given.read(item))
        taken.writestr("../../escaped", b"x")
        taken.writestr("/tmp/gulmfit-escaped", b"x")
    with contextlib.suppress(CheckpointError):
        checkpoint.load(path)
    assert sorted(item.name for item in tmp_path.rglob("*")) == ["a.ckpt", "in"]
    assert not Path("/tmp/gulmfit-escaped").exists()


@pytest.mark.parametrize("change", [{"file": [-1]}, {"file": [7]}, {"length": [3]}, {"length": [-10]}, {"name": []}])
def test_the_table_of_a_store_stays_within_it(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / "g.fa").write_text(">a\nACGTNNACGT\n")
    built = GenomeStore.build(tmp_path / "g.fa", tmp_path / "cache")
    table = tmp_path / "cache" / f"{built.digest}.json"
    told = json.loads(table.read_text())
    table.write_text(json.dumps({**told, "contigs": {**told["contigs"], **change}}))
    with pytest.raises(GulmfitError, match=r"\.json: .*genome store .*damaged"):
        GenomeStore.open(tmp_path / "cache", built.digest, [tmp_path / "g.fa"])


# --- Bombs are stopped ----------------------------------------------------------------------------------------------


def test_a_packed_checkpoint_is_refused(tmp_path: Path) -> None:
    plain, packed = io.BytesIO(), tmp_path / "a.ckpt"
    torch.save({**content(), "padding": torch.zeros(1 << 20)}, plain)
    with zipfile.ZipFile(plain) as given, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as taken:
        for item in given.infolist():
            taken.writestr(item.filename, given.read(item))
    assert packed.stat().st_size < 1 << 17
    with pytest.raises(CheckpointError, match=r"a\.ckpt: .*unpacks .*size"):
        checkpoint.load(packed)


def test_a_tensor_that_is_a_view_of_a_few_numbers_is_refused(tmp_path: Path) -> None:
    torch.save({"0.encoder.weight": torch.zeros(1).expand(10**12)}, tmp_path / "w.pth")
    (tmp_path / "v.json").write_text('["xxunk"]')
    with pytest.raises(CheckpointError, match=r"0\.encoder\.weight .*fewer numbers"):
        import_fastai(weights=str(tmp_path / "w.pth"), vocab=str(tmp_path / "v.json"), output=str(tmp_path / "out"))


@pytest.mark.parametrize("size", [2**40, 2**63, 2**64 - 1])
def test_weights_whose_header_claims_more_than_there_is_are_refused(tmp_path: Path, size: int) -> None:
    folder = model_folder(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", size) + b'{"a": 1}')
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(folder)
    huge = {"a": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 2**62]}}
    header = json.dumps(huge).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(folder)


def test_weights_beyond_those_of_the_model_are_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model")
    state = checkpoint.build_model(spec())[0].state_dict()
    (folder / "model.safetensors").write_bytes(save({**state, "more": torch.zeros(3)}))
    with pytest.raises(CheckpointError, match=r"weights .*configuration .*: more\b"):
        checkpoint.load(folder)


@pytest.mark.parametrize("name", ["a.bed", "a.gff3", "a.gtf", "a.vcf", "a.csv", "a.jsonl", "a.fq", "a.fa"])
def test_a_line_without_end_is_stopped(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1000")
    start = {"a.vcf": "##x\n", "a.fq": "@r\n", "a.fa": ">r\n"}.get(name, "")
    path = tmp_path / name
    path.write_text(start + "A" * 600_000)
    read: dict[str, Callable[[Path], Any]] = {
        ".vcf": Vcf,
        **dict.fromkeys((".fa", ".fq"), read_fasta),
        **dict.fromkeys((".csv", ".jsonl"), lambda path: read_rows(path, {"a": "A"})),
    }
    with pytest.raises((DataError, SequenceError), match=f"longer than 1,000 letters.*{VARIABLE}"):
        list(read.get(path.suffix, read_features)(path))


def test_the_limit_can_be_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.fa"
    path.write_text(">r\n" + "A" * 3000 + "\n")
    monkeypatch.setenv(VARIABLE, "2999")
    with pytest.raises(SequenceError, match="longer than 2,999"):
        list(read_fasta(path))
    monkeypatch.setenv(VARIABLE, "3000")
    assert len(next(read_fasta(path)).sequence) == 3000
    monkeypatch.setenv(VARIABLE, "lots")
    with pytest.raises(ConfigError, match="GULMFIT_LONGEST_RECORD='lots': "):
        list(read_fasta(path))


def test_a_chromosome_in_one_line_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    letters = "".join(rng.choice(list("ACGT"), 5000))
    path = tmp_path / "a.fa"
    for end in ("\n", "\r\n", "\r"):
        path.write_bytes(f"\ufeff>one x{end}{letters}{end}>two{end}ACGT".encode())
        for block, line in ((1, 64), (7, 100), (64, 64), (1000, 50)):
            monkeypatch.setattr(fasta, "_BLOCK_BYTES", block)
            monkeypatch.setattr(fasta, "_LINE_BYTES", line)
            pieces = list(read_fasta_pieces(path))
            assert max(len(piece.letters) for piece in pieces) <= 2 * block + line
            whole = {name: b"".join(p.letters for p in pieces if p.id == name).decode() for name in ("one", "two")}
            assert whole == {"one": letters, "two": "ACGT"}
    path.write_text(">" + "x" * 5000)
    with pytest.raises(SequenceError, match=r"a\.fa, record number 1: .*header .*\b999\b"):
        list(read_fasta_pieces(path))


def test_a_gzip_bomb_is_read_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.fa.gz"
    with gzip.open(path, "wb", compresslevel=1) as handle:
        handle.write(b">a\n")
        for _ in range(64):
            handle.write(b"A" * (1 << 20))
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        assert sum(len(piece.letters) for piece in read_fasta_pieces(path)) == 64 << 20
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        monkeypatch.setenv(VARIABLE, "1000000")
        with pytest.raises(SequenceError, match="longer than 1,000,000 letters"):
            list(read_fasta(path))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("place", [36, 44, 52, 8, 100, 300])
def test_a_bigwig_that_tells_of_more_than_it_has_is_refused(tmp_path: Path, place: int) -> None:
    """Not by the library, which would end this process."""
    pybigtools = pytest.importorskip("pybigtools")
    path = tmp_path / "t.bw"
    pybigtools.open(str(path), "w").write({"a": 100}, iter([("a", 1, 5, 1.0), ("a", 9, 12, 2.0)]))
    assert Track.open(path).values("a", 1, 2).tolist() == [1.0]
    data = bytearray(path.read_bytes())
    data[place : place + 8] = b"\xff" * 8
    path.write_bytes(data)
    with contextlib.suppress(DataError):
        assert len(Track.open(path).values("a", 0, 100)) == 100


def test_a_pickle_that_numbers_what_is_not_there_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "v.pkl").write_bytes(b"(lr\xff\xff\xff\x01VACG\na.")
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=r"v\.pkl .*\b33554431, .*\b14 bytes"):
            read_vocabulary(tmp_path / "v.pkl")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '"\\ud800"', "9" * 5000, "{", ""])
def test_json_that_is_a_bomb_is_no_json(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"deep|surrogates|digits|Expecting"):
        parse_json(text)
    with pytest.raises(TokenizerError):
        SubwordTokenizer(text)
    (tmp_path / "t.jsonl").write_text(text + "\n")
    with pytest.raises(DataError):
        list(read_rows(tmp_path / "t.jsonl", {"a": "a"}))
    folder = model_folder(tmp_path / "model")
    for name in ("calibration.json", "config.json"):
        (folder / name).write_text(text)
        with pytest.raises(CheckpointError, match="damaged"):
            checkpoint.load(folder)


def test_a_tokenizer_of_huge_pieces_is_refused() -> None:
    merged = {letter: i for i, letter in enumerate("ACGT")} | {"A" * 100_000: 4}
    vocabulary = merged | {format(i, "b").replace("0", "C").replace("1", "G") + "T": i + 5 for i in range(1000)}
    document = json.dumps({"model": {"type": "BPE", "vocab": vocabulary, "merges": []}})
    with pytest.raises(TokenizerError, match=r"1,005 pieces .*\b100,000 letters: "):
        SubwordTokenizer(document)


# --- Pages hold no markup of others ---------------------------------------------------------------------------------

PAYLOADS = [
    "<script>alert(1)</script>",
    "$\\frac{$",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "' onmouseover='alert(1)",
    '" autofocus onfocus="alert(1)',
    "</pre></details><iframe src=javascript:alert(1)>",
    "--><script>alert(1)</script>",
    "]]><script>alert(1)</script>",
    "</style><style>@import 'x'</style>",
    "<a href=javascript:alert(1)>x</a>",
    "&lt;script&gt;",
    "$title ${style} $$",
    "a\x00b\x1b[31m\u202e",
    "data:image/svg+xml,<svg onload=alert(1)>",
]
# Pictures cut names, and so show the first of each only.
TOGETHER = [" ".join(PAYLOADS[start::5]) for start in range(5)]
TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "h1", "h2", "p", "section", "div", "table",
    "thead", "tbody", "tr", "th", "td", "figure", "img", "figcaption", "details", "summary", "pre",
}  # fmt: skip
ATTRIBUTES = {"lang", "charset", "name", "content", "http-equiv", "class", "scope", "tabindex", "src", "alt"}
# What a picture may hold; no script, no handler, nothing from elsewhere.
DRAWN = {
    "svg", "metadata", "rdf:rdf", "cc:work", "dc:type", "dc:date", "dc:format", "dc:creator", "cc:agent", "dc:title",
    "defs", "style", "g", "path", "use", "clippath", "rect", "text", "tspan", "image",
}  # fmt: skip


class Tags(HTMLParser):
    """Collects every tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def check_page(report: Report) -> None:
    """Look for anything on the page that we have not put there."""
    page = render(report)
    tags = Tags(page)
    assert {tag for tag, _ in tags.found} <= TAGS
    assert {name for _, attributes in tags.found for name in attributes} <= ATTRIBUTES
    assert page.count("<style>") == 1
    assert "default-src 'none'" in page
    for tag, attributes in tags.found:
        if tag == "img":
            kind, _, coded = str(attributes["src"]).partition(";base64,")
            assert kind == "data:image/svg+xml"
            picture = Tags(base64.b64decode(coded).decode())
            assert {name for name, _ in picture.found} <= DRAWN
            for _, inside in picture.found:
                assert not [name for name in inside if name.startswith("on")]
                links = [str(inside[name]) for name in ("href", "xlink:href") if name in inside]
                assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)


def test_the_check_finds_what_it_looks_for() -> None:
    for tag in ("<script>", "<iframe>", "<p onclick='x'>", "<a href='x'>"):
        found = Tags(tag).found[0]
        assert found[0] not in TAGS or not set(found[1]) <= ATTRIBUTES


def results(name: str) -> dict[str, Any]:
    """What a classifier's record holds, with a hostile text wherever there is one."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    probabilities = np.stack([1 - labels * 0.8, labels * 0.8], axis=1) * 0.9 + rng.random((40, 2)) * 0.1
    probabilities /= probabilities.sum(1, keepdims=True)
    classes = [f"{name} 0", f"{name} 1"]
    predicted = Predictions(
        [f"{name}{i}" for i in range(40)], labels, np.arange(40), classes,
        {"model": probabilities, name: probabilities[::-1]}, classes[1],
    )  # fmt: skip
    met = {"count": 1, "fraction": 0.5, "examples": [name]}
    leak = {"exact": met, "near_duplicate": met, "any": met}
    return {
        "stage": "classify", "run": name, "seed": 0, "classes": classes, "positive": classes[1],
        "metrics": {"test/accuracy": 0.9, "test/mcc": 0.8, "test/auroc": 0.9, f"test/{name}": 0.5},
        "ci95": {"test/accuracy": [0.8, 0.95]},
        "baselines": {"majority": {"accuracy": 0.5}, name: {"accuracy": 0.6, "mcc": 0.1, "auroc": 0.5}},
        "mcnemar": {name: {"only_a_right": 1, "only_b_right": 2, "accuracy_difference": 0.1, "p_value": 0.1}},
        "leakage": {"k": 16, "share": 0.5, "sequences": {"train": 4, "test": 2}, "pairs": {"train->test": leak},
                    "corpus": None},
        "data": {"files": [name], name: name, "counts": {name: 3}},
        "model": {"tokenizer": {name: name}}, "timing": {"seconds": 1.0}, "versions": {name: name},
        "confusion": [[10, 1], [2, 9]], "config_yaml": name, "command": name, "predictions": predicted,
        "curves": [{"step": str(step), "train/loss": "0.5", f"val/{name}": "1", "val/loss": "0.4", "lr": "0.1",
                    f"lr-{name}": "0.2"} for step in range(3)],
        "lr_find": {"lrs": [1e-4, 1e-3], "losses": [0.7, 0.5], "suggestion": 1e-3},
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("name", TOGETHER)
def test_names_are_text_on_the_pages_of_runs(name: str) -> None:
    given = results(name)
    check_page(classification_report(given))
    check_page(comparison_report({"run": name, "runs": {name: given, "scratch": given}, "config_yaml": name}))
    check_page(language_model_report({**given, "metrics": {"test/bits_per_base": 1.9}, "stage": "pretrain"}))


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("name", TOGETHER)
def test_names_are_text_on_every_other_page(name: str) -> None:
    given = results(name)
    rows = [{"run": name, name: 0.5, "accuracy": (0.5, 0.4, 0.6)}]
    page = {
        "title": name, "subtitle": name, "verdict": name, "runs": rows, "pairs": rows, "tests_text": name, "run": name,
        "curves": score_curves(given["predictions"]), "losses": {name: given["curves"]},
    }  # fmt: skip
    check_page(comparison_of_runs(page))
    vectors = np.random.default_rng(0).normal(size=(12, 3))
    check_page(map_report(vectors, [name, "b"] * 6, {"model": name, name: name}))
    entry = {"tokenizer": name, "bits_per_base": 1.9, "sizes": [0.5, 0.5], "frequencies": [[1, 0.5], [2, 0.5]]}
    check_page(tokens_report({"tokenizers": [entry], "input": name, "verdict": name, "markov": None}))
