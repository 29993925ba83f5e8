"""From a run to a model that ships, and from its name to a classifier: in this process, on tiny genomes."""

import importlib.util
import json
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import gulmfit.pretrained
from gulmfit.checkpoint import load
from gulmfit.errors import ConfigError
from gulmfit.exchange.pretrained_card import listing
from gulmfit.predict.language.likelihood import LikelihoodScorer
from gulmfit.pretrained import read_card
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.related.sketch import Sketch
from gulmfit.seq.simulate.markov import MarkovModel
from gulmfit.train.runner import train

from .conftest import ROOT

SMALL = ["arch=awd_lstm_tiny", "tokenizer.k=3", "tokenizer.stride=1", "trainer.enable_progress_bar=false"]


@pytest.fixture(scope="module")
def ship_model() -> ModuleType:
    path = ROOT / "scripts" / "ship_model.py"
    spec = importlib.util.spec_from_file_location("ship_model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory, ship_model: ModuleType) -> Path:
    """A folder with genomes, a run that has learned them, and the model that ships of it."""
    folder, bases = tmp_path_factory.mktemp("ship"), np.random.default_rng(0)
    chosen = ["".join(bases.choice(list("ACGT"), 6_000)) for _ in range(3)]
    (folder / "one.fa").write_text(f">a\n{chosen[0]}\n>b\n{chosen[1]}\n")
    # The second genome ends with what the first has near its start.
    (folder / "two.fa").write_text(f">c\n{chosen[2]}{'N' * 10}{chosen[0][500:1_200]}\n")
    train(
        [
            "stage=pretrain", "data=fasta", f"data.path=['{folder}/one.fa','{folder}/two.fa']", "batch_size=8",
            "holdout.how=tail", "holdout.fraction=0.1", "holdout.margin_bp=100", "trainer.max_steps=8", *SMALL,
            f"paths.run_dir='{folder}/run'", f"paths.cache_dir='{folder}/store'",
        ]
    )  # fmt: skip
    words = {"about": "A test.", "data": "Random.", "relatives": "", "license": "MIT", "cache": str(folder / "store")}
    words["trained_by"] = "a test"
    for _ in range(2):  # the second replaces the first
        ship_model.ship(run=str(folder / "run"), name="tiny", output=str(folder / "models"), **words)
    return folder


def held_out(shipped: Path) -> tuple[dict[str, list[list[int]]], dict[str, str], list[dict[str, Any]]]:
    store = GenomeStore.build([shipped / "one.fa", shipped / "two.fa"], shipped / "store")
    letters = dict(zip("abc", ("".join("ACGTN"[code] for code in part) for part in _contigs(store)), strict=True))
    genomes = read_card(shipped / "models" / "tiny")["genomes"]
    return {one["id"]: one["held_out"] for genome in genomes for one in genome["records"]}, letters, genomes


def _contigs(store: GenomeStore) -> list[np.ndarray]:
    return [np.asarray(store.codes[one.start : one.start + one.length]) for one in store.contigs]


def test_the_card_gives_the_bits_of_each_genome_as_it_ships(shipped: Path) -> None:
    """Against scoring each held-out stretch as a sequence of its own, and a Markov model fitted here."""
    folder = shipped / "models" / "tiny"
    assert {file.name for file in folder.iterdir()} == {
        "config.json", "model.safetensors", "card.json", "README.md", "corpus.npz",
    }  # fmt: skip
    spans, letters, genomes = held_out(shipped)
    assert spans["a"] == [[5_400, 6_000]]
    assert [end - start for start, end in spans["c"]] == [670]
    scorer = LikelihoodScorer.load(folder)
    store = GenomeStore.build([shipped / "one.fa", shipped / "two.fa"], shipped / "store")
    first = {contig.name: contig.start for contig in store.contigs}
    read = [
        (first[one["id"]] + a, first[one["id"]] + b) for g in genomes for one in g["records"] for a, b in one["read"]
    ]
    markov = MarkovModel.fit(store.codes, read)
    for genome, names in zip(genomes, ("ab", "c"), strict=True):
        texts = [letters[name][start:end] for name in names for start, end in spans[name]]
        nats, covered = scorer.score(texts)
        assert genome["bits_per_base"] == pytest.approx(-nats.sum() / math.log(2) / covered.sum(), abs=1e-6)
        own = [(first[name] + start, first[name] + end) for name in names for start, end in spans[name]]
        assert genome["markov"] == pytest.approx(markov.bits_per_base(store.codes, own), abs=1e-9)
    assert [genome["found"] for genome in genomes] == [0.0, 1.0]
    card = read_card(folder)
    assert card["unrelated"]["genomes"] == 1
    assert card["unrelated"]["bits_per_base"] == genomes[0]["bits_per_base"] == card["bits_per_base"]
    assert card["training"]["step"] == 8
    page = (folder / "README.md").read_text()
    for genome in genomes:
        assert f"{genome['bits_per_base']:.3f}" in page
        assert genome["sha256"] in page


def test_weights_ship_in_half_the_bits(shipped: Path) -> None:
    trained = load(shipped / "run").model.state_dict()
    kept = load_file(shipped / "models" / "tiny" / "model.safetensors")
    for name, tensor in trained.items():
        assert torch.equal(kept[name], tensor.to(torch.bfloat16)), name


def test_the_sketch_holds_what_was_read_and_not_what_was_held_out(shipped: Path) -> None:
    spans, letters, _ = held_out(shipped)
    sketch = Sketch.open(shipped / "models" / "tiny" / "corpus.npz")
    read = [letters["a"][start : start + 120] for start in range(0, 5_100, 60)]
    held = [letters["b"][start:end] for start, end in spans["b"]]
    assert sketch.stand_in([*read, *held]).tolist() == [True] * len(read) + [False]


def test_a_checkpoint_can_ship_and_what_is_no_pretraining_cannot(
    shipped: Path, ship_model: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = shipped / "run" / "checkpoints" / "last.ckpt"
    words = [f"output={tmp_path}", f"cache={shipped / 'store'}", "about=A test.", "data=Random."]
    monkeypatch.setattr(sys, "argv", ["ship_model.py", f"run={checkpoint}", "name=other", *words])
    ship_model.main()
    assert load(tmp_path / "other").tokenizer == load(shipped / "run").tokenizer
    for wrong in ({"run": str(tmp_path)}, {"name": "a/b"}):
        given = {"run": str(checkpoint), "name": "x", "output": str(tmp_path), "cache": str(shipped / "store"), **wrong}
        with pytest.raises(ConfigError):
            ship_model.ship(**given, trained_by="", about="", data="", relatives="", license="MIT")
    assert [file.name for file in tmp_path.iterdir()] == ["other"]


def test_ulmfit_starts_from_a_model_by_its_name(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says which of the sequences the model had read, through the run that tunes it."""
    monkeypatch.setattr(gulmfit.pretrained, "FOLDER", shipped / "models")
    assert "| tiny |" in listing()
    letters, bases = held_out(shipped)[1], np.random.default_rng(1)
    known = [letters["a"][start : start + 110] for start in range(0, 4_400, 110)]
    strange = ["".join(bases.choice(list("ACGT"), 110)) for _ in known]
    rows = [f"{text},{label}" for texts, label in ((known, "yes"), (strange, "no")) for text in texts]
    (tmp_path / "labelled.csv").write_text("\n".join(["sequence,label", *rows]) + "\n")
    overrides = [
        "stage=ulmfit", "init_from=tiny", "data=table", f"data.path='{tmp_path}/labelled.csv'", "batch_size=4",
        "bptt=20",
        *SMALL, "trainer.max_steps=4", f"paths.run_dir='{tmp_path}/mine'", f"paths.cache_dir='{tmp_path}/store'",
    ]  # fmt: skip
    train(overrides)
    metrics = json.loads((tmp_path / "mine" / "metrics.json").read_text())
    assert not (tmp_path / "mine" / "pretrain").exists()
    assert metrics["init_from"] == "tiny"
    tuned, read = metrics["leakage"]["corpora"]
    assert tuned["parts"]["train"]["fraction"] == 1.0
    assert tuned["parts"]["test"]["count"] == 0
    for part in ("train", "valid", "test"):
        assert read["parts"][part]["count"] == metrics["data"]["classes"][part]["yes"]
