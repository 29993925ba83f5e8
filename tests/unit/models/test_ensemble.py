"""An ensemble predicts the mean of what its members predict, and its spread is how far they lie apart."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from gulmfit.checkpoint import build_model, load, save_calibration, save_model
from gulmfit.commands.embed import embed_file
from gulmfit.commands.predict import predict_file
from gulmfit.errors import CheckpointError, ConfigError
from gulmfit.evaluate.calibration import Calibration
from gulmfit.exchange.to_onnx import export_onnx
from gulmfit.predict.predictor import Predictor
from gulmfit.seq.alphabet import reverse_complement_text

ARCH = {"_target_": "gulmfit.models.awd_rnn.AWDRNN", "embed_size": 8, "hidden_size": 16, "num_layers": 1}
RATES = dict.fromkeys(("embed_p", "input_p", "weight_p", "hidden_p", "output_p"), 0.0)
HEADS = {
    "two": ("SequenceClassifier", ["no", "yes"]),
    "three": ("SequenceClassifier", ["a", "b", "c"]),
    "labels": ("MultiLabelClassifier", ["p", "q"]),
    "values": ("SequenceRegressor", ["v"]),
}


def made(folder: Path, head: str, count: int) -> tuple[Path, list[Path]]:
    """Write `count` random classifiers, and the ensemble of them."""
    name, classes = HEADS[head]
    spec = {
        "arch": ARCH,
        "head": {"_target_": f"gulmfit.models.classifier.{name}", "hidden_size": 8},
        "dropout": RATES,
        "tokenizer": {"_target_": "gulmfit.seq.tokens.tokenizer.KmerTokenizer", "k": 3, "stride": 2},
        "classes": classes,
        "positive": classes[0] if head == "two" else None,
    }
    states, members = [], []
    for number in range(count):
        torch.manual_seed(number)
        model, _ = build_model(spec)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.7)
        states.append(model.state_dict())
        members.append(folder / f"member_{number}")
        save_model(members[-1], spec, states[-1])
    whole = {f"members.{i}.{name}": tensor for i, state in enumerate(states) for name, tensor in state.items()}
    save_model(folder / "ensemble", {**spec, "ensemble": count}, whole)
    return folder / "ensemble", members


@pytest.fixture
def texts() -> list[str]:
    random = np.random.default_rng(0)
    shares = [0.245] * 4 + [0.02]
    return ["".join(random.choice(list("ACGTN"), p=shares, size=size)) for size in (30, 9, 61, 17, 30, 44, 12)]


def test_an_ensemble_of_one_is_the_model(tmp_path: Path, texts: list[str]) -> None:
    whole, (member,) = made(tmp_path, "two", 1)
    ours, theirs = (Predictor.load(folder, "cpu") for folder in (whole, member))
    for strand in ("forward", "average"):
        np.testing.assert_array_equal(ours.predict(texts, strand=strand), theirs.predict(texts, strand=strand))
    assert ours.spread_names() == []


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("strand", ["forward", "average"])
def test_it_predicts_the_mean_of_its_members(tmp_path: Path, texts: list[str], head: str, strand: str) -> None:
    whole, members = made(tmp_path, head, 3)
    moved = Path(shutil.copytree(whole, tmp_path / "elsewhere" / "copy"))
    predictor = Predictor.load(moved, "cpu")
    found = predictor.predict(texts, strand=strand)
    each = np.stack([Predictor.load(folder, "cpu").predict(texts, strand=strand) for folder in members])
    np.testing.assert_allclose(found, each.mean(0), rtol=0, atol=1e-9)
    assert np.abs(each[0] - found).max() > 1e-3
    for order in (texts[::-1], texts[3:] + texts[:3]):
        again = predictor.predict(order, strand=strand, batch_size=2)
        back = [order.index(text) for text in texts]
        np.testing.assert_allclose(again[back], found, rtol=0, atol=1e-6)
    if strand == "average":
        other = predictor.predict([reverse_complement_text(text) for text in texts], strand=strand)
        np.testing.assert_allclose(other, found, rtol=0, atol=1e-6)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


@pytest.mark.parametrize("head", HEADS)
def test_the_spread_is_the_standard_deviation_over_members(tmp_path: Path, texts: list[str], head: str) -> None:
    whole, members = made(tmp_path, head, 3)
    fasta = tmp_path / "in.fa"
    fasta.write_text("".join(f">r{i}\n{text}\n" for i, text in enumerate(texts)))
    each = np.stack([Predictor.load(folder, "cpu").predict(texts, strand="average") for folder in members])
    apart = each.std(axis=0, ddof=1)
    if head == "two":
        expected = {"spread": apart[:, 0]}
    elif head == "three":
        expected = {"spread": apart[np.arange(len(texts)), each.mean(0).argmax(1)]}
    elif head == "labels":
        expected = {"spread:p": apart[:, 0], "spread:q": apart[:, 1]}
    else:
        expected = {"spread": apart[:, 0]}
    middle = float(np.median(np.stack(list(expected.values()))))
    table = tmp_path / "out.tsv"
    predict_file(model=str(whole), input=str(fasta), output=str(table), strand="average", abstain=middle)
    found = rows(table)
    for name, values in expected.items():
        np.testing.assert_allclose([float(row[name]) for row in found], values, atol=2e-6)
        refused = [row[name.replace("spread", "no_call")] for row in found]
        clear = np.abs(values - middle) > 1e-5
        assert [refused[i] for i in np.flatnonzero(clear)] == [str(int(value > middle)) for value in values[clear]]
    both = tmp_path / "both.tsv"
    predict_file(model=str(whole), input=str(fasta), output=str(both), strand="both")
    forward = np.stack([Predictor.load(folder, "cpu").predict(texts) for folder in members]).std(axis=0, ddof=1)
    if head == "two":
        np.testing.assert_allclose([float(row["spread"]) for row in rows(both)[::2]], forward[:, 0], atol=2e-6)
    predict_file(model=str(members[0]), input=str(fasta), output=str(table))
    assert "spread" not in rows(table)[0]
    with pytest.raises(ConfigError, match=r"abstain=0\.1"):
        predict_file(model=str(members[0]), input=str(fasta), output=str(table), abstain=0.1)


def test_calls_leave_out_windows_of_which_the_networks_disagree(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, _ = made(tmp_path, "two", 2)
    genome = tmp_path / "genome.fa"
    genome.write_text(">c\n" + "".join(np.random.default_rng(5).choice(list("ACGT"), size=3000)) + "\n")
    words = {
        "model": str(whole),
        "input": str(genome),
        "window_bp": 60,
        "step_bp": 60,
        "cache_dir": str(tmp_path / "s"),
    }
    predict_file(output=f"{tmp_path / 'all.bed'},{tmp_path / 'all.tsv'}", threshold=0.4, **words)  # type: ignore[arg-type]
    table = rows(tmp_path / "all.tsv")
    middle = float(np.median([float(row["spread"]) for row in table]))
    with caplog.at_level("INFO"):
        predict_file(output=f"{tmp_path / 'sure.bed'},{tmp_path / 'sure.tsv'}", threshold=0.4, abstain=middle, **words)  # type: ignore[arg-type]
    kept = {int(row["start"]) for row in table if float(row["no"]) >= 0.4 and float(row["spread"]) <= middle}
    called = set()
    for line in (tmp_path / "sure.bed").read_text().splitlines():
        _, start, end, *_ = line.split("\t")
        called |= set(range(int(start), int(end), 60))
    assert called == kept
    assert 0 < len(kept) < sum(float(row["no"]) >= 0.4 for row in table)
    without = sum(row["no_call"] == "1" for row in rows(tmp_path / "sure.tsv"))
    assert re.search(rf"\b{without} without .*spread\b", caplog.text)


def test_an_ensemble_goes_into_onnx_and_gives_the_vectors_of_its_first_network(
    tmp_path: Path, texts: list[str]
) -> None:
    whole, members = made(tmp_path, "two", 2)
    save_calibration(whole, Calibration("temperature", temperature=1.7).to_dict())
    pytest.importorskip("onnxruntime")
    assert export_onnx(model=str(whole), output=str(tmp_path / "e.onnx")) < 1e-4  # held against the ensemble itself
    fasta = tmp_path / "in.fa"
    fasta.write_text("".join(f">r{i}\n{text}\n" for i, text in enumerate(texts)))
    for folder, name in ((whole, "whole"), (members[0], "first")):
        embed_file(model=str(folder), input=str(fasta), output=str(tmp_path / f"{name}.npz"))
    ours, theirs = (np.load(tmp_path / f"{name}.npz")["vectors"] for name in ("whole", "first"))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("count", [0, -1, True, 10**9, "2", 2.0, None])
def test_a_number_of_members_out_of_range_is_refused(tmp_path: Path, count: object) -> None:
    whole, _ = made(tmp_path, "two", 2)
    config = whole / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "ensemble": count}))
    with pytest.raises(CheckpointError, match="ensemble"):
        load(whole)


def test_a_missing_member_is_noticed(tmp_path: Path) -> None:
    whole, _ = made(tmp_path, "two", 2)
    spec = load(whole).spec
    state = {name: part for name, part in load(whole).model.state_dict().items() if name.startswith("members.0.")}
    save_model(whole, spec, state)
    with pytest.raises(CheckpointError, match=r"members\.1"):
        load(whole)
