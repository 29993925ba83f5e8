"""A blend is served like any model: from its folder, on either strand, window by window."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gulmfit.checkpoint import BLEND, load
from gulmfit.commands.embed import embed_file
from gulmfit.commands.predict import predict_file
from gulmfit.errors import CheckpointError, ConfigError
from gulmfit.evaluate.baselines.classes import fit_baselines
from gulmfit.evaluate.blend import NETWORK, Blend
from gulmfit.evaluate.calibration import Calibration
from gulmfit.exchange.to_onnx import export_onnx
from gulmfit.predict.blending import BlendedModel, save_blend
from gulmfit.predict.predictor import Predictor
from gulmfit.predict.scans.scan import model_digest
from gulmfit.seq.alphabet import reverse_complement_text

WEIGHTS = {NETWORK: 0.6, "kmer_logistic": 0.8, "onehot_boosting": 0.5}
BIAS = (0.2, -0.2)


@pytest.fixture
def texts() -> list[str]:
    random = np.random.default_rng(0)
    shares = [0.245] * 4 + [0.02]
    return ["".join(random.choice(list("ACGTN"), p=shares, size=size)) for size in (60, 19, 60, 41, 60, 33)]


@pytest.fixture(scope="module")
def baselines() -> dict:
    random = np.random.default_rng(1)
    sequences = ["".join(random.choice(list("ACGT"), size=60)) for _ in range(80)]
    return fit_baselines(sequences, np.arange(80) % 2, num_classes=2, names=["kmer_logistic", "onehot_boosting"])


Make = Callable[..., Path]


@pytest.fixture
def make_blend(make_model: Make, baselines: dict) -> Make:
    def make(weights: dict[str, float] = WEIGHTS, bias: tuple[float, ...] = BIAS, temperature: float = 1.3) -> Path:
        folder = make_model(name="blend")
        model = BlendedModel(Blend(weights, bias), baselines)
        save_blend(folder, model, Calibration("temperature", temperature=temperature, threshold=0.5).to_dict())
        return folder

    return make


def by_hand(network: np.ndarray, texts: list[str], baselines: dict) -> np.ndarray:
    logs = {NETWORK: network, **{name: one.predict(texts) for name, one in baselines.items()}}
    scores = sum(weight * np.log(np.maximum(logs[name], 1e-6)) for name, weight in WEIGHTS.items()) + np.array(BIAS)
    return np.exp(scores) / np.exp(scores).sum(1, keepdims=True)


def test_it_predicts_from_its_folder_what_the_weights_say(
    make_model: Make, make_blend: Make, baselines: dict, texts: list[str], tmp_path: Path
) -> None:
    network = Predictor.load(make_model(name="network"), "cpu")
    moved = Path(shutil.copytree(make_blend(), tmp_path / "elsewhere"))
    blend = Predictor.load(moved, "cpu")
    others = [reverse_complement_text(text) for text in texts]
    forward = by_hand(network.predict(texts), texts, baselines)
    reverse = by_hand(network.predict(others), others, baselines)
    np.testing.assert_allclose(blend.predict(texts, raw=True), forward, atol=1e-9)
    mean = blend.predict(texts, strand="average", raw=True)
    np.testing.assert_allclose(mean, (forward + reverse) / 2, atol=1e-6)
    np.testing.assert_allclose(blend.predict(others, strand="average", raw=True), mean, atol=1e-6)
    odds = np.log(forward) / 1.3
    np.testing.assert_allclose(blend.predict(texts), np.exp(odds) / np.exp(odds).sum(1, keepdims=True), atol=1e-6)
    again = blend.predict(texts[::-1], batch_size=2, raw=True)[::-1]
    np.testing.assert_allclose(again, forward, atol=1e-6)


def test_all_weight_on_the_network_is_the_network(make_model: Make, make_blend: Make, texts: list[str]) -> None:
    network = Predictor.load(make_model(name="network"), "cpu")
    blend = Predictor.load(make_blend({NETWORK: 1.0}, (0.0, 0.0), 1.0), "cpu")
    for strand in ("forward", "average"):
        np.testing.assert_allclose(
            blend.predict(texts, strand=strand), network.predict(texts, strand=strand), atol=1e-6
        )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


@pytest.mark.parametrize("strand", ["forward", "both", "average"])
def test_a_scan_gives_every_window_what_it_has_as_a_record(make_blend: Make, tmp_path: Path, strand: str) -> None:
    folder = make_blend()
    random = np.random.default_rng(2)
    contigs = {"a": "".join(random.choice(list("ACGT"), size=400)), "b": "".join(random.choice(list("ACGTN"), size=90))}
    genome = tmp_path / "genome.fa"
    genome.write_text("".join(f">{name}\n{text}\n" for name, text in contigs.items()))
    predict_file(
        model=str(folder), input=str(genome), output=str(tmp_path / "scan.tsv"), window_bp=60, step_bp=25,
        strand=strand, cache_dir=str(tmp_path / "store"), max_ambiguous=1.0,
    )  # type: ignore[arg-type] # fmt: skip
    blend = Predictor.load(folder, "cpu")
    found = rows(tmp_path / "scan.tsv")
    assert {row["strand"] for row in found} == set({"forward": "+", "both": "+-", "average": "."}[strand])
    windows = []
    for row in found:
        text = contigs[row["contig"]][int(row["start"]) : int(row["end"])]
        windows.append(reverse_complement_text(text) if row["strand"] == "-" else text)
    expected = blend.predict(windows, strand="average" if strand == "average" else "forward")
    np.testing.assert_allclose([[float(row["background"]), float(row["site"])] for row in found], expected, atol=2e-6)


def test_a_scan_does_not_go_on_with_another_blend(make_model: Make, make_blend: Make) -> None:
    digests = [model_digest(Predictor.load(make_model(name="network"), "cpu"))]
    digests += [model_digest(Predictor.load(make_blend(bias=bias), "cpu")) for bias in (BIAS, (0.3, 0.0), BIAS)]
    assert len(set(digests)) == 3
    assert digests[1] == digests[3]


def test_onnx_refuses_it_and_vectors_are_the_networks(
    make_model: Make, make_blend: Make, texts: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("onnxruntime")
    network, blend = make_model(name="network"), make_blend()
    with pytest.raises(CheckpointError, match="blend"):
        export_onnx(model=str(blend), output=str(tmp_path / "b.onnx"))
    assert not list(tmp_path.glob("b.*"))
    fasta = tmp_path / "in.fa"
    fasta.write_text("".join(f">r{i}\n{text}\n" for i, text in enumerate(texts)))
    with caplog.at_level("INFO"):
        for name, folder in (("n", network), ("b", blend)):
            embed_file(model=str(folder), input=str(fasta), output=str(tmp_path / f"{name}.npz"))
    assert re.search(rf"{re.escape(str(blend))} .*\bblend\b.*vectors", caplog.text)
    np.testing.assert_array_equal(*(np.load(tmp_path / f"{name}.npz")["vectors"] for name in "nb"))
    with pytest.raises(ConfigError, match="abstain"):
        predict_file(model=str(blend), input=str(fasta), output=str(tmp_path / "x.tsv"), abstain=0.1)


@pytest.mark.parametrize("damage", ["missing", "cut", "array", "weight", "text", "settings", "unknown"])
def test_a_damaged_blend_is_refused(make_blend: Make, damage: str) -> None:
    folder = make_blend()
    arrays, config = folder / BLEND, folder / "config.json"
    content = json.loads(config.read_text())
    if damage == "missing":
        arrays.unlink()
    elif damage == "cut":
        arrays.write_bytes(arrays.read_bytes()[:-9])
    elif damage == "array":
        content["blend"]["baselines"]["length"] = content["blend"]["baselines"].pop("kmer_logistic")
    elif damage == "weight":
        content["blend"]["weights"]["kmer_logistic"] = -1
    elif damage == "text":
        content["blend"] = "network"
    elif damage == "settings":
        content["blend"]["baselines"]["kmer_logistic"] = {"kind": "linear", "name": "kmer_logistic"}
    else:
        content["blend"]["weights"]["markov"] = 1.0
    config.write_text(json.dumps(content))
    load(folder)
    with pytest.raises(CheckpointError):
        Predictor.load(folder, "cpu")
