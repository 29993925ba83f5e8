"""Predictions are independent of batch size, padding and order; reduced precision stays close to them."""

import numpy as np
import pytest
import torch

from gulmfit.errors import ConfigError
from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.classifier import SequenceClassifier
from gulmfit.predict.predictor import Predictor
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
