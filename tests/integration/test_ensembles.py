"""`ensemble=` and `blend=` through the commands: what is stored is what was scored, and what was stopped goes on."""

import csv
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from gulmfit.checkpoint import load
from gulmfit.config import instantiate, read_plain
from gulmfit.evaluate.calibration import Calibration
from gulmfit.evaluate.scores import classification_scores
from gulmfit.predict.predictor import Predictor
from gulmfit.report.kinds.predictions import Predictions

from .conftest import TINY, run, start
from .test_interruption import wait_until

CALIBRATION = ("kind", "temperature", "knots", "threshold")
SHORT = ["stage=classify", "trainer.max_steps=6", *TINY, "data.length_bp=100000", "data.num_test=60"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def texts_of(folder: Path) -> list[str]:
    """Return the sequences of the test part, as the run drew them."""
    data = instantiate(read_plain(folder / "config.yaml").data).labelled()
    texts = dict(zip(data.ids, data.sequences, strict=True))
    return [texts[row["id"]] for row in rows(folder / "predictions" / "test.tsv")]


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cwd = tmp_path_factory.mktemp("ensemble")
    run(*SHORT, "ensemble=2", "blend=true", "run.name=e", cwd=cwd)
    return cwd / "outputs" / "classify" / "e"


def test_an_ensemble_is_the_mean_of_its_members_and_is_scored_as_such(ensemble: Path, tmp_path: Path) -> None:
    metrics = json.loads((ensemble / "metrics.json").read_text())
    members = [ensemble / f"member_{number}" for number in range(2)]
    singles = [json.loads((folder / "metrics.json").read_text()) for folder in members]
    assert [single["seed"] for single in singles] == metrics["ensemble"]["seeds"] == [0, 1]
    assert metrics["timing"]["seconds"] == pytest.approx(sum(single["timing"]["seconds"] for single in singles))
    found = metrics["ensemble"]["members"]["auroc"]["mean"]
    assert found == pytest.approx(np.mean([single["metrics"]["test/auroc"] for single in singles]))
    assert len({(folder / "split.tsv").read_text() for folder in [ensemble, *members]}) == 1
    assert all(single["baselines"].keys() == metrics["baselines"].keys() for single in singles)

    texts = texts_of(ensemble)
    moved = Path(shutil.copytree(ensemble / "model", tmp_path / "model"))
    whole = Predictor.load(moved, "cpu")
    raw = np.mean([Predictor.load(folder, "cpu").predict(texts, raw=True) for folder in members], axis=0)
    network = Predictor(load(moved).spec, whole.model, whole.tokenizer, "cpu")
    np.testing.assert_allclose(network.predict(texts, raw=True), raw, rtol=0, atol=1e-6)
    stored = Predictions.read(ensemble / "predictions").by_model
    network.calibration = Calibration.from_dict({name: metrics["calibration"][name] for name in CALIBRATION})
    np.testing.assert_allclose(network.predict(texts), stored["model"], rtol=0, atol=2e-6)
    assert json.loads((members[0] / "model" / "config.json").read_text()).keys().isdisjoint({"blend", "ensemble"})
    page = (ensemble / "report.html").read_text()
    assert "The networks of the ensemble" in page
    assert "member_1" in page


def test_a_blend_is_served_from_the_folder_as_it_was_scored(ensemble: Path, tmp_path: Path) -> None:
    metrics = json.loads((ensemble / "metrics.json").read_text())
    texts, stored = texts_of(ensemble), Predictions.read(ensemble / "predictions")
    served = Predictor.load(shutil.copytree(ensemble / "model", tmp_path / "model"), "cpu")
    np.testing.assert_allclose(served.predict(texts), stored.by_model["blend"], rtol=0, atol=2e-6)
    blend = metrics["blend"]
    assert set(blend["weights"]) <= {"network", *metrics["baselines"]} - {"majority"}
    assert "blend" not in metrics["baselines"]
    for name, scores in (("blend", blend["metrics"]), ("model", metrics["metrics"])):
        again = classification_scores(stored.labels, stored.by_model[name], positive=stored.positive_index)
        # What is stored is rounded, which may tie a pair of sequences that a network barely tells apart.
        assert scores["test/auroc"] == pytest.approx(again["auroc"], abs=3 / np.prod(np.bincount(stored.labels)))
    first = metrics["sign_flip"]["blend"], blend["sign_flip"]["network"]
    assert first[0]["p_value"] == pytest.approx(first[1]["p_value"])
    assert first[0]["accuracy_difference"] == pytest.approx(-first[1]["accuracy_difference"])
    assert "The blend" in (ensemble / "report.html").read_text()
    fasta = tmp_path / "in.fa"
    fasta.write_text("".join(f">r{i}\n{text}\n" for i, text in enumerate(texts)))
    run(f"model={ensemble}", f"input={fasta}", "output=out.tsv", cwd=tmp_path, command="predict")
    out = rows(tmp_path / "out.tsv")
    found = np.array([[float(row[name]) for name in stored.classes] for row in out])
    np.testing.assert_allclose(found, stored.by_model["blend"], rtol=0, atol=2e-6)
    assert "spread" in out[0]


def test_an_ensemble_that_was_stopped_in_its_second_member_goes_on_to_the_same_bits(
    ensemble: Path, tmp_path: Path
) -> None:
    words = [*SHORT, "ensemble=2", "blend=true", "run.name=e", "resume=auto"]
    folder = tmp_path / "outputs" / "classify" / "e"
    process = start(*words, cwd=tmp_path)
    wait_until((folder / "member_1" / "checkpoints" / "last.ckpt").is_file, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (folder / "member_1" / "metrics.json").exists()
    printed = run(*words, cwd=tmp_path).stdout
    assert printed.count("already there") == 1
    ours, theirs = (load_file(place / "model" / "model.safetensors") for place in (folder, ensemble))
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array)
    assert (folder / "model" / "calibration.json").read_text() == (ensemble / "model" / "calibration.json").read_text()
    for name in ("model/config.json", "model/blend.safetensors", "predictions/test.tsv", "predictions/blend.tsv"):
        assert (folder / name).read_bytes() == (ensemble / name).read_bytes(), name
