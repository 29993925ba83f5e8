"""A classifier with random weights, in memory and as a model folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gulmfit.checkpoint import build_model, save_calibration, save_model
from gulmfit.predict.predictor import Predictor

MakeModel = Callable[..., Path]


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """Write a model folder; its arguments are those of its parts."""

    def make(
        k: int = 3,
        stride: int = 2,
        classes: tuple[str, ...] = ("background", "site"),
        calibration: dict[str, Any] | None = None,
        name: str = "model",
        seed: int = 1,
        head: str = "SequenceClassifier",
        tokenizer: dict[str, Any] | None = None,
    ) -> Path:
        spec: dict[str, Any] = {
            "arch": {
                "_target_": "gulmfit.models.awd_rnn.AWDRNN", "embed_size": 8, "hidden_size": 16, "num_layers": 1
            },
            "head": {"_target_": f"gulmfit.models.classifier.{head}", "hidden_size": 8},
            "dropout": dict.fromkeys(("embed_p", "input_p", "weight_p", "hidden_p", "output_p"), 0.0),
            "tokenizer": tokenizer
            or {"_target_": "gulmfit.seq.tokens.tokenizer.KmerTokenizer", "k": k, "stride": stride},
            "classes": list(classes),
            "positive": classes[-1] if len(classes) == 2 else None,
        }  # fmt: skip
        torch.manual_seed(seed)
        model, _ = build_model(spec)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=1.0)
        folder = tmp_path / name
        save_model(folder, spec, model.state_dict())
        if calibration:
            save_calibration(folder, calibration)
        return folder

    return make


@pytest.fixture
def make_predictor(make_model: MakeModel) -> Callable[..., Predictor]:
    """Load what `make_model` writes, on the CPU."""
    return lambda **options: Predictor.load(make_model(**options), "cpu")


@pytest.fixture
def random_text() -> Callable[..., str]:
    """Draw a sequence: its length, a seed, and the share of N."""

    def draw(length: int, seed: int = 0, unknown: float = 0.0) -> str:
        known = (1 - unknown) / 4
        letters = np.random.default_rng(seed).choice(list("ACGTN"), p=[known] * 4 + [unknown], size=length)
        return "".join(letters)

    return draw
