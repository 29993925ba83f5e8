"""Gradients are clipped whatever the optimizer, to torch's own norm, and frozen layers do not count."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.utils import clip_grad_norm_

from gulmfit.train.loop.language_task import LanguageModelTask

from .test_tasks import (
    ADAMW,
    ARCH,
    RATES,
    TOKENIZER,
    classification_data,
    classification_task,
    language_data,
    trainer,
)


class Recorder(LanguageModelTask):
    """Keep the gradients before and after they are clipped."""

    def configure_gradient_clipping(self, optimizer: Any, *limits: Any, **named: Any) -> None:
        self.before = [parameter.grad.clone() for parameter in self.parameters() if parameter.grad is not None]
        super().configure_gradient_clipping(optimizer, *limits, **named)
        self.after = [parameter.grad.clone() for parameter in self.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("fused", [True, False])
def test_the_norm_of_all_gradients_is_clipped_as_torch_does(tmp_path: Path, precision: str, fused: bool) -> None:
    torch.manual_seed(1)
    head = {"_target_": "gulmfit.models.language_model.LanguageModel"}
    spec = {"arch": ARCH, "head": head, "dropout": RATES, "tokenizer": TOKENIZER.spec(), "classes": None}
    task = Recorder(spec, {**ADAMW, "fused": fused}, {"phases": [{"epochs": 1, "lr": 1e-2}]})
    trainer(tmp_path, max_steps=3, gradient_clip_val=0.01, precision=precision).fit(task, datamodule=language_data())
    twins = [torch.nn.Parameter(torch.zeros_like(grad)) for grad in task.before]
    for twin, grad in zip(twins, task.before, strict=True):
        twin.grad = grad
    assert float(clip_grad_norm_(twins, 0.01)) > 0.01
    for twin, grad in zip(twins, task.after, strict=True):
        torch.testing.assert_close(twin.grad, grad)


def test_frozen_layers_have_no_part_in_the_norm(tmp_path: Path) -> None:
    norms: list[float] = []
    task = classification_task([{"epochs": 1, "lr": 1e-3, "groups": 1}])
    log = task.log

    def note(name: str, value: Any, **options: Any) -> None:
        if name == "train/grad_norm":
            head = [parameter.grad for parameter in task.model.layer_groups()[-1]]
            norms.append(float(value))
            assert float(value) >= float(torch.stack([grad.norm() for grad in head if grad is not None]).norm())
            assert all(parameter.grad is None for parameter in task.model.layer_groups()[0])
        log(name, value, **options)

    task.log = note  # type: ignore[method-assign]
    trainer(tmp_path, max_epochs=1, gradient_clip_val=0.5).fit(task, datamodule=classification_data())
    assert norms
