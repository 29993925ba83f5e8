"""Tiny models with random weights, in model folders as a run writes them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gulmfit.checkpoint import Spec, build_model, save_calibration, save_model
from gulmfit.seq.tokens.tokenizer import Tokenizer

RATES = {"embed_p": 0.0, "input_p": 0.0, "weight_p": 0.0, "hidden_p": 0.0, "output_p": 0.0, "drop_mult": 1.0}

MakeModel = Callable[..., Path]


def tiny_spec(classes: list[str] | None, cell: str, k: int, stride: int, legal: bool, layers: int) -> Spec:
    head: dict[str, Any] = {"_target_": "gulmfit.models.language_model.LanguageModel", "legal_successors": legal}
    if classes:
        head = {"_target_": "gulmfit.models.classifier.SequenceClassifier", "hidden_size": 5}
    arch = {
        "_target_": "gulmfit.models.awd_rnn.AWDRNN", "embed_size": 6, "hidden_size": 10, "num_layers": layers,
        "spelled": True, "cell": cell,
    }  # fmt: skip
    tokenizer = {"_target_": "gulmfit.seq.tokens.tokenizer.KmerTokenizer", "k": k, "stride": stride}
    positive = classes[-1] if classes else None
    return {
        "arch": arch, "head": head, "dropout": RATES, "tokenizer": tokenizer, "classes": classes, "positive": positive,
    }  # fmt: skip


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """Write a model folder inside a run folder, and return the run folder."""

    def make(
        name: str = "run",
        *,
        classes: list[str] | None = None,
        cell: str = "lstm",
        k: int = 3,
        stride: int = 2,
        legal: bool = True,
        layers: int = 3,
        calibration: dict[str, Any] | None = None,
        tokenizer: Tokenizer | None = None,
        arch: dict[str, Any] | None = None,
        bins: int = 0,
        gaps: int = 0,
    ) -> Path:
        torch.manual_seed(1)
        spec = tiny_spec(classes, cell, k, stride, legal, layers)
        if tokenizer is not None:
            spec["tokenizer"] = tokenizer.spec()
        if arch is not None:
            whole = arch if "_target_" in arch else {**spec["arch"], **arch}
            spec |= {"arch": whole, "head": {**spec["head"], "bins": bins, "gaps": gaps}}
        model, _ = build_model(spec)
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                torch.nn.init.normal_(tensor, std=0.5)
        for tensor_name, tensor in model.state_dict().items():
            if tensor_name.endswith("running_var"):
                tensor.abs_().add_(0.1)
        folder = tmp_path / name
        save_model(folder / "model", spec, model.state_dict())
        if calibration:
            save_calibration(folder / "model", calibration)
        return folder

    return make
