"""A trained labeller is tuned: what is frozen stays bit for bit, weights of the loss are handed on, runs resume."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from gulmfit.checkpoint import MODEL_FOLDER, load
from gulmfit.errors import CheckpointError, ConfigError
from gulmfit.models.labeller import Labeller
from gulmfit.train.runner import train
from tests.integration.test_labelling import stop_after
from tests.made_up_genes import write_genome

SMALL = [
    "stage=label", "data=annotation", "split=column", "data.valid_fraction=0.2", "data.test_fraction=0.2",
    "data.window_bp=500", "trainer.precision=32-true", "callbacks.progress.refresh_rate=0", "label.batch_size=8",
    "data.labels=features", "data.features=[CDS]",
]  # fmt: skip
PARENT = [
    "head=tracks", "head.hidden_size=12", "tokenizer.k=3", "tokenizer.stride=3", "dropout=none", "dropout.output_p=0.2",
    "arch={_target_: gulmfit.models.awd_rnn.AWDRNN, embed_size: 8, hidden_size: 8, num_layers: 1, strands: auto}",
    "label.phases=[{epochs: 1, lr: 2e-2}]", "loss.class_weights=balanced", "loss.transition_weight=3",
    "loss.track_weights={feature: 0.5}",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tuning")


@pytest.fixture(scope="module")
def files(folder: Path) -> list[str]:
    genome, annotation = write_genome(folder, genes=30)
    return [f"data.genome={genome}", f"data.annotation={annotation}"]


@pytest.fixture(scope="module")
def parent(folder: Path, files: list[str]) -> Path:
    with contextlib.chdir(folder):
        train([*SMALL, *PARENT, *files, "run.name=parent"])
    return folder / "outputs" / "label" / "parent"


def tuned(parent: Path, files: list[str], name: str, *words: str) -> Path:
    with contextlib.chdir(parent.parents[2]):
        train([*SMALL, *files, f"init_from={parent}", f"run.name={name}", *words])
    return parent.parent / name


@pytest.fixture(scope="module")
def deeper(parent: Path, files: list[str]) -> Path:
    return tuned(parent, files, "deeper", "tune=head", "tune.hidden=7", "tune.epochs=2")


def spec(folder: Path) -> dict[str, Any]:
    return json.loads((folder / MODEL_FOLDER / "config.json").read_text())  # type: ignore[no-any-return]


def state(folder: Path) -> dict[str, torch.Tensor]:
    return load(folder).model.state_dict()


def check_frozen(parent: Path, run: Path) -> None:
    before, after = state(parent), state(run)
    kept = {name: name.replace("head.", "trunk.") for name in before if not name.startswith("head.2")}
    assert len(kept) > 4
    for name, now in kept.items():
        assert torch.equal(before[name], after[now]), name


def test_new_layers_leave_the_trunk_as_it_was(parent: Path, deeper: Path) -> None:
    check_frozen(parent, deeper)
    shapes = [tuple(value.shape) for name, value in state(deeper).items() if name.startswith("head.")]
    assert shapes == [(7, 12), (7,), (6, 7), (6,)]
    assert spec(deeper)["loss"] == spec(parent)["loss"]
    assert spec(deeper)["loss"]["transition_weight"] == 3
    assert set(spec(deeper)["loss"]["class_weights"]) == set(spec(deeper)["classes"])


def test_a_new_final_layer_starts_as_the_old_one(parent: Path, files: list[str]) -> None:
    run = tuned(parent, files, "start", "tune=head", "tune.epochs=1", "tune.lr=1e-12", "loss.transition_weight=1")
    check_frozen(parent, run)
    transfer = json.loads((run / "metrics.json").read_text())["transfer"]
    assert transfer["fresh"] == []
    assert transfer["begun"] == ["head.0.weight", "head.0.bias"]
    assert spec(run)["loss"] == {**spec(parent)["loss"], "transition_weight": 1}  # what was asked for wins
    tokens, lengths = torch.arange(60).view(1, -1) % 60 + 3, torch.tensor([60])
    whole, model = load(parent).model, load(run).model
    assert isinstance(model, Labeller)
    torch.testing.assert_close(model(tokens, lengths)[0], whole(tokens, lengths)[0], atol=1e-5, rtol=0)
    model.freeze_trunk()
    model.train()  # with dropout of 0.2 before the trunk
    assert torch.equal(model(tokens, lengths)[0], model.eval()(tokens, lengths)[0])
    found, told = (json.loads((one / "metrics.json").read_text()) for one in (run, parent))
    assert found["baselines"]["before_tuning"]["f1_macro"] == pytest.approx(told["metrics"]["test/f1_macro"], abs=1e-6)


def test_all_layers_go_on_at_a_small_rate(parent: Path, deeper: Path, files: list[str]) -> None:
    run = tuned(deeper, files, "whole", "tune=whole", "tune.epochs=1")
    before, after = state(deeper), state(run)
    assert before.keys() == after.keys()
    for name in before:
        assert not torch.equal(before[name], after[name])
        assert (before[name] - after[name]).abs().max() < 0.05
    assert spec(run)["loss"] == spec(parent)["loss"]


def test_a_tuned_run_that_was_stopped_ends_as_if_it_had_not_been(parent: Path, files: list[str]) -> None:
    words = ["tune=head", "tune.epochs=2", "tune.fresh=true", "seed=1"]
    through = tuned(parent, files, "through", *words)
    assert (state(through)["head.0.weight"] - state(parent)["head.2.weight"]).abs().max() > 0.05
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            tuned(parent, files, "stopped", *words, "checkpoint.every_n_steps=2")
    stopped = tuned(parent, files, "stopped", *words, "checkpoint.every_n_steps=2", "resume=auto")
    assert all(torch.equal(one, state(through)[name]) for name, one in state(stopped).items())


def test_what_cannot_be_tuned_is_refused(parent: Path, files: list[str], tmp_path: Path) -> None:
    given = [*SMALL, *files, f"paths.output_dir={tmp_path}"]
    with pytest.raises(ConfigError, match="init_from"):
        train([*given, "tune=whole"])
    with pytest.raises(CheckpointError, match="LanguageModel"):
        train([*given, "tune=head", "init_from=bacteria"])
    with pytest.raises(ConfigError, match="TrackLabeller"):
        train([*given, "tune=head", f"init_from={parent}", "head=labeller"])
    with pytest.raises(ConfigError, match="stage=classify"):
        train(["stage=classify", "tune=head", f"init_from={parent}", f"paths.output_dir={tmp_path}"])
    other = ["data.features=[gene]", "tune=whole", "loss.class_weights=null"]
    with pytest.raises(CheckpointError, match="classes"):
        train([*given, *other, f"init_from={parent}"])


def test_measured_values_tell_what_the_sequence_does_not(parent: Path, files: list[str], folder: Path) -> None:
    bigwig = pytest.importorskip("pybigtools", reason="needs the extra tracks")
    annotation = Path(files[1].partition("=")[2])
    coding = [line.split("\t") for line in annotation.read_text().splitlines() if "\tCDS\t" in line]
    length = sum(map(len, Path(files[0].partition("=")[2]).read_text().splitlines()[1:]))
    for name, strand in (("x_forward", "-"), ("x_reverse", "+")):  # inverted, as of dUTP libraries
        steps = [("c1", int(row[3]) - 1, int(row[4]), 40.0) for row in coding if row[6] == strand]
        bigwig.open(str(folder / f"{name}.bw"), "w").write({"c1": length}, iter(steps))
    words = ["tune=head", f"data.tracks={{rnaseq: [{folder}/x_forward.bw, {folder}/x_reverse.bw]}}", "tune.lr=5e-2"]
    run = tuned(parent, files, "tracks", *words, "tune.epochs=30")
    check_frozen(parent, run)
    assert spec(run)["tracks"]["other_channels"] == [1, 0]
    found = json.loads((run / "metrics.json").read_text())
    assert found["metrics"]["test/f1_macro"] > 0.95 > found["baselines"]["before_tuning"]["f1_macro"]
    # Tuned on, it reads the same; without them it is refused before it is trained.
    with pytest.raises(CheckpointError, match="tracks"):
        tuned(run, files, "without", "tune=whole")
    with pytest.raises(ConfigError, match="tune=head"):
        tuned(parent, files, "plain", words[1])
