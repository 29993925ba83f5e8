"""What the model that a run starts from has read is found, however the run names it."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf

import gulmfit.pretrained
from gulmfit.data.sources.base import TableSource
from gulmfit.report.sections import leakage_section
from gulmfit.seq.alphabet import encode
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.related.leakage import leakage_report
from gulmfit.seq.related.sketch import Sketch
from gulmfit.seq.splits.split import PARTS, StratifiedSplit
from gulmfit.train.stages.origins import GENOME, LABELLED, UNLABELLED, corpora, what_was_met

COUNT = 60


def split_node(seed: int) -> dict[str, Any]:
    target = "gulmfit.seq.splits.split.StratifiedSplit"
    return {"_target_": target, "valid_fraction": 0.2, "test_fraction": 0.3, "seed": seed}


def write_run(folder: Path, **content: Any) -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({"init_from": None, **content}))
    (folder / "checkpoints" / "best.ckpt").write_bytes(b"weights")
    (folder / "model").mkdir()
    shutil.copyfile(folder / "config.yaml", folder / "model" / "config.yaml")  # as training does
    return folder


def from_genome(name: str) -> bool:
    """Whether the record of this number, from 1, is a piece of the genome."""
    return int(name) % 5 == 1


class World:
    """A genome, labelled sequences of which every fifth is a piece of it, and runs that have read them."""

    def __init__(self, folder: Path) -> None:
        self.folder, bases = folder, np.random.default_rng(0)
        genome = "".join(bases.choice(list("ACGT"), 5_000))
        pieces = ["".join(bases.choice(list("ACGT"), 60)) for _ in range(COUNT)]
        for number in range(0, COUNT, 5):
            pieces[number] = genome[number * 70 : number * 70 + 60]
        (folder / "genome.fa").write_text(f">g\n{genome}\n")
        rows = [f"{text},{'yes' if number % 2 else 'no'}\n" for number, text in enumerate(pieces)]
        (folder / "labelled.csv").write_text("sequence,label\n" + "".join(rows))
        self.data = {"_target_": "gulmfit.data.sources.base.TableSource", "path": str(folder / "labelled.csv")}
        fasta = {"_target_": "gulmfit.data.sources.base.FastaSource", "path": str(folder / "genome.fa")}
        self.labelled = TableSource(path=self.data["path"]).labelled()
        self.pretrained = write_run(folder / "pretrain", stage={"name": "pretrain"}, data=fasta)
        self.tuned = write_run(
            folder / "finetune",
            stage={"name": "finetune"},
            data=self.data,
            split=split_node(0),
            init_from=str(self.pretrained),
        )

    def parts(self, seed: int) -> dict[str, LabelledSequences]:
        where = StratifiedSplit(0.2, 0.3, seed)(self.labelled)
        return {part: self.labelled.subset(np.flatnonzero(where == part)) for part in PARTS}

    def run(self, origin: Path | str) -> Any:
        paths = {"cache_dir": str(self.folder / "store")}
        return SimpleNamespace(config=OmegaConf.create({"init_from": str(origin), "paths": paths}))

    def ids(self, seed: int, *parts: str) -> set[str]:
        return {name for part in parts for name in self.parts(seed)[part].ids}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("form", ["", "model", "checkpoints/best.ckpt"])
def test_tuning_has_read_training_and_validation(world: World, form: str, caplog: pytest.LogCaptureFixture) -> None:
    """With another seed the test part holds sequences that the language model was tuned on."""
    parts = world.parts(1)
    met = what_was_met(world.run(world.tuned / form), parts)
    tuned, genome = met["corpora"]
    read = world.ids(0, "train", "valid")
    assert (tuned["read"], genome["read"]) == (UNLABELLED, GENOME)
    for part in PARTS:
        assert tuned["parts"][part]["count"] == len(world.ids(1, part) & read)
        assert genome["parts"][part]["count"] == sum(from_genome(name) for name in parts[part].ids)
    assert 0 < tuned["parts"]["test"]["count"] < len(parts["test"])
    either = [name for name in parts["test"].ids if name in read or from_genome(name)]
    assert met["corpus"]["test"]["count"] == len(either)
    assert met["corpus_k"] == 16
    assert f"{tuned['parts']['test']['count']} of {len(parts['test'])} test sequences" in caplog.text
    page = leakage_section({"leakage": leakage_report(parts) | met})
    assert any(str(tuned["parts"]["test"]["count"]) in text and "without labels" in text for text in page.text)


def test_tuning_on_the_same_split_has_not_read_its_test_part(world: World, caplog: pytest.LogCaptureFixture) -> None:
    met = what_was_met(world.run(world.tuned), world.parts(0))
    assert met["corpora"][0]["parts"]["test"]["count"] == 0
    assert met["corpora"][0]["parts"]["train"]["fraction"] == 1.0
    assert "WARNING" not in caplog.text


def test_a_classifier_has_read_labels(world: World) -> None:
    trained = write_run(
        world.folder / "classify",
        stage={"name": "classify"},
        data=world.data,
        split=split_node(0),
        init_from=str(world.tuned / "checkpoints" / "best.ckpt"),
    )
    assert [corpus.read for corpus in corpora(world.run(trained))] == [LABELLED, UNLABELLED, GENOME]


def test_a_language_model_that_goes_on_has_read_both_genomes(world: World) -> None:
    (world.folder / "other.fa").write_text(">o\nACGTACGTTGCA\n")
    fasta = {"_target_": "gulmfit.data.sources.base.FastaSource", "path": str(world.folder / "other.fa")}
    more = write_run(
        world.folder / "more", stage={"name": "pretrain"}, data=fasta, init_from=str(world.pretrained / "model")
    )
    assert [corpus.read for corpus in corpora(world.run(more))] == [GENOME, GENOME]


def test_copies_are_searched_and_what_cannot_be_is_named(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("whole", "model"):
        copy = world.folder / f"copy_{name}"
        shutil.copytree(world.tuned if name == "whole" else world.tuned / "model", copy)
        assert [corpus.read for corpus in corpora(world.run(copy))] == [UNLABELLED, GENOME]
    alone = world.folder / "elsewhere" / "of" / "mine.ckpt"
    alone.parent.mkdir(parents=True)
    shutil.copyfile(world.tuned / "checkpoints" / "best.ckpt", alone)
    met = what_was_met(world.run(alone), world.parts(0))
    assert met["corpus"] is None
    (only,) = met["corpora"]
    assert only["parts"] is None
    assert "mine.ckpt" in only["name"]
    assert "mine.ckpt" in caplog.text
    page = leakage_section({"leakage": leakage_report(world.parts(0)) | met})
    assert any("mine.ckpt" in text for text in page.text)


def test_what_is_gone_does_not_hide_the_rest(world: World) -> None:
    (world.folder / "labelled.csv").rename(world.folder / "moved.csv")
    first, second = corpora(world.run(world.tuned))
    assert first.search is None
    assert "labelled.csv" in first.why_not
    assert second.search is not None
    shutil.rmtree(world.pretrained)
    (world.folder / "moved.csv").rename(world.folder / "labelled.csv")
    first, second = corpora(world.run(world.tuned))
    assert first.search is not None
    assert second.search is None
    assert str(world.pretrained) in second.name


def test_what_a_model_with_a_sketch_has_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, through a run that was started from it, and where proteins are compared with it."""
    genome = (world.folder / "genome.fa").read_text().split("\n")[1]
    named = world.folder / "models" / "tiny"
    named.mkdir(parents=True)
    (named / "config.json").write_text("{}")
    (named / "card.json").write_text(json.dumps({"read": "1 genome, 0.0 Mb"}))
    Sketch.build(encode(genome), [(0, 2_100)], k=20, window=41).save(named / "corpus.npz")
    monkeypatch.setattr(gulmfit.pretrained, "FOLDER", world.folder / "models")
    tuned = write_run(
        world.folder / "tuned", stage={"name": "finetune"}, data=world.data, split=split_node(0), init_from="tiny"
    )
    for origin in ("tiny", tuned):
        met = what_was_met(world.run(origin), world.parts(0))
        read = met["corpora"][-1]
        assert "1 genome, 0.0 Mb" in read["name"]
        for part, found in read["parts"].items():
            own = [name for name in world.parts(0)[part].ids if from_genome(name)]
            assert found["count"] == sum((int(name) - 1) * 70 + 60 <= 2_100 for name in own), part
    (named / "corpus.npz").write_bytes(b"x")
    met = what_was_met(world.run("tiny"), world.parts(0))
    assert met["corpora"][0]["parts"] is None
    assert "corpus.npz" in met["corpora"][0]["why_not"]
