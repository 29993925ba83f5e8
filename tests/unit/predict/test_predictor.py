"""Predictions are independent of batch size, padding and order; reduced precision stays close to them."""

import platform
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from gulmfit.commands.predict import predict_file
from gulmfit.errors import ConfigError
from gulmfit.evaluate.calibration import Calibration
from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.classifier import SequenceClassifier
from gulmfit.models.hardware import keep_freed_memory
from gulmfit.predict import predictor as module
from gulmfit.predict.predictor import Predictor, Record
from gulmfit.seq.tokens.tokenizer import KmerTokenizer


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
    assert header == ["id", "a", "b", "c", "raw:a", "raw:b", "raw:c", "predicted"]
    written = np.array([[float(cell) for cell in row[1:-1]] for row in rows])
    np.testing.assert_allclose(written, np.concatenate([calibrated, plain], axis=1), atol=1e-5)
    assert [row[-1] for row in rows] == ["abc"[column] for column in calibrated.argmax(axis=1)]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has this switch")
def test_freed_memory_can_be_kept() -> None:
    assert keep_freed_memory()


def stream(lengths: list[int], read: list[int]) -> Iterator[Record]:
    random = np.random.default_rng(2)
    for number, length in enumerate(lengths):
        read.append(length)
        yield Record(str(number), random.integers(0, 5, length).astype(np.uint8))


@pytest.mark.parametrize("strand", ["forward", "both", "average"])
def test_reading_ahead_is_bounded_by_bases(monkeypatch: pytest.MonkeyPatch, strand: str) -> None:
    """Chromosomes among contigs: what is held, and what a batch takes with its padding, stays bounded."""
    random = np.random.default_rng(3)
    lengths = [*random.integers(3, 40, 50).tolist(), 900, 30, 800, 5, 700, 700, *random.integers(3, 40, 50).tolist()]
    model = predictor()
    plain = model.predict_records(stream(lengths, []), strand=strand, batch_size=8)
    expected = np.concatenate([scores for _, scores in plain])
    monkeypatch.setattr(module, "BASES_AHEAD", 300)
    monkeypatch.setattr(module, "TOKENS_AT_ONCE", 100)
    padded: list[torch.Size] = []
    model.model.register_forward_pre_hook(lambda _, parts: padded.append(parts[0].shape))
    read: list[int] = []
    given, found = 0, []
    for group, scores in model.predict_records(stream(lengths, read), strand=strand, batch_size=8):
        bases = sum(len(record.codes) for record in group)
        assert bases <= 300 or len(group) == 1
        assert len(read) <= given + len(group) + 1  # one record more, which did not fit
        given += len(group)
        found.append(scores)
    assert given == len(lengths)
    assert max(rows for rows, _ in padded) == 8
    assert all(rows == 1 or rows * tokens <= 100 for rows, tokens in padded)
    assert any(rows == 1 and tokens > 100 for rows, tokens in padded)
    np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-6)


def test_short_records_are_read_ahead_by_number() -> None:
    read: list[int] = []
    groups = predictor().predict_records(stream([9] * 1000, read), strand="forward", batch_size=3)
    group, scores = next(groups)
    assert (len(group), scores.shape, len(read)) == (3 * module.BATCHES_AHEAD, (96, 1, 3), 97)
