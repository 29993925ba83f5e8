"""The learning-rate range test: train for a moment at ever higher rates and look where the loss falls fastest.

Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3.
"""

import copy
import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import torch

from gulmfit.data.batches import SequenceBatch
from gulmfit.data.stream import StreamBatch
from gulmfit.models.classifier import LabelModel
from gulmfit.models.encoder import detach
from gulmfit.models.language_model import LanguageModel
from gulmfit.models.losses import CrossEntropy, Loss

SMOOTHING = 0.9


def endless(batches: Iterable[Any]) -> Iterator[tuple[Any, bool]]:
    """Yield batches pass after pass, each with whether a pass begins with it: no hidden state leads there."""
    while True:
        yield from ((batch, number == 0) for number, batch in enumerate(batches))


def _loss(model: LanguageModel | LabelModel, batch: Any, state: Any, loss: Loss) -> tuple[torch.Tensor, Any]:
    if isinstance(model, LanguageModel) and isinstance(batch, StreamBatch):
        output = model(batch.tokens, batch.targets, state)
        return output.loss + output.penalty, detach(output.state)
    if isinstance(model, LabelModel) and isinstance(batch, SequenceBatch):
        logits, penalty = model(batch.tokens, batch.lengths, **batch.measured)
        return loss(logits.float(), model.learned(batch.labels)) + penalty, None
    raise TypeError(f"no loss for {type(model).__name__} and {type(batch).__name__}.")


def lr_range_test(
    model: LanguageModel | LabelModel,
    batches: Iterable[Any],
    loss: Loss | None = None,
    *,
    low: float = 1e-5,
    high: float = 1.0,
    num_steps: int = 100,
) -> tuple[list[float], list[float], float]:
    """Train a copy of a model on rates that grow geometrically.

    Args:
        model: Left as it is.
        batches: Training batches; read again from the start when they run out.
        loss: Of a classifier; cross-entropy by default.
        low: First rate.
        high: Last rate.
        num_steps: Steps between them; the test ends early once the smoothed loss is four times its least.

    Returns:
        Rates, smoothed losses, and the suggestion: the rate where the loss falls fastest.
    """
    model = copy.deepcopy(model).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=low, betas=(0.8, 0.99))
    rates: list[float] = []
    losses: list[float] = []
    loss = loss or CrossEntropy()
    average, least, state = 0.0, math.inf, None
    for step, (batch, begins) in enumerate(islice(endless(batches), num_steps)):
        rate = low * (high / low) ** (step / max(1, num_steps - 1))
        for group in optimizer.param_groups:
            group["lr"] = rate
        found, state = _loss(model, batch, None if begins else state, loss)
        optimizer.zero_grad()
        torch.autograd.backward(found)
        optimizer.step()
        average = SMOOTHING * average + (1 - SMOOTHING) * found.item()
        smoothed = average / (1 - SMOOTHING ** (step + 1))
        if not math.isfinite(smoothed) or smoothed > 4 * least:
            break
        rates.append(rate)
        losses.append(smoothed)
        least = min(least, smoothed)
    # Slope over a few steps against the logarithm of the rate; noise would choose the steepest single step.
    span = 5
    slopes = [losses[i + span] - losses[i] for i in range(len(losses) - span)]
    steepest = min(range(len(slopes)), key=slopes.__getitem__) if slopes else 0
    return rates, losses, rates[min(len(rates) - 1, steepest + span // 2)]
