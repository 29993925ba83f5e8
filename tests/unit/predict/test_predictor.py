"""Predictions are independent of batch size, padding and order; reduced precision stays close to them."""

import platform
from pathlib import Path

import numpy as np
import pytest
import torch

from gulmfit.commands.predict import predict_file
from gulmfit.errors import ConfigError
from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.classifier import SequenceClassifier
from gulmfit.models.hardware import keep_freed_memory
from gulmfit.predict.predictor import Predictor
from gulmfit.report.calibration import Calibration
from gulmfit.seq.tokenizer import KmerTokenizer


def predictor(precision: str = "32") -> Predictor:
    torch.manual_seed(0)
    tokenizer = KmerTokenizer(3, 2)
    model = SequenceClassifier(AWDRNN(len(tokenizer), 16, 32, 2), 3, hidden_size=8)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return Predictor({"classes": ["a", "b", "c"]}, model, tokenizer, "cpu", precision)


@pytest.fixture
def sequences() -> list[str]:
    random = np.random.default_rng(1)
    return ["".join(random.choice(list("ACGT"), size=length)) for length in random.integers(3, 60, size=40)]


def test_predictions_do_not_depend_on_batches_or_order(sequences: list[str]) -> None:
    model = predictor()
    expected = model.predict(sequences, batch_size=40)
    np.testing.assert_allclose(expected.sum(1), 1.0)
    for batch_size in (1, 7):
        np.testing.assert_allclose(model.predict(sequences, batch_size=batch_size), expected, atol=1e-6)
    np.testing.assert_allclose(model.predict(sequences[::-1], batch_size=7)[::-1], expected, atol=1e-6)


@pytest.mark.parametrize("precision", ["bf16", "auto"])
def test_reduced_precision_stays_close(sequences: list[str], precision: str) -> None:
    np.testing.assert_allclose(predictor(precision).predict(sequences), predictor().predict(sequences), atol=0.05)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ConfigError, match="precision='16'"):
        predictor("16")


def test_what_was_calibrated_and_what_was_not(
    sequences: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = predictor()
    plain = model.predict(sequences)
    model.calibration = Calibration("temperature", temperature=2.0)
    calibrated = model.predict(sequences)
    np.testing.assert_allclose(model.predict(sequences, raw=True), plain)
    np.testing.assert_allclose(calibrated, plain**0.5 / (plain**0.5).sum(1, keepdims=True), atol=1e-6)
    (tmp_path / "in.fa").write_text("".join(f">r{i}\n{text}\n" for i, text in enumerate(sequences)))
    monkeypatch.setattr(Predictor, "load", lambda path, **options: model)
    output = tmp_path / "out.tsv"
    predict_file(
        model="", input=str(tmp_path / "in.fa"), output=str(output), strand="forward", batch_size=8, precision="32",
        raw=True, sequence="sequence", id="",
    )  # fmt: skip
    header, *rows = [line.split("\t") for line in output.read_text().splitlines()]
    assert header == ["id", "a", "b", "c", "raw:a", "raw:b", "raw:c"]
    written = np.array([[float(cell) for cell in row[1:]] for row in rows])
    np.testing.assert_allclose(written, np.concatenate([calibrated, plain], axis=1), atol=1e-5)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has this switch")
def test_freed_memory_can_be_kept() -> None:
    assert keep_freed_memory()
