"""Whether a language model knows more than how often tokens occur: what it starts from, and falls back to if it
collapses."""

import copy
import logging

import torch

from gulmfit.data.language import LanguageModelDataModule
from gulmfit.models.language_model import log_frequencies
from gulmfit.train.language_task import LanguageModelTask
from gulmfit.train.metrics import StreamScore

logger = logging.getLogger(__name__)

# Optimizer steps after which a language model that has learned nothing is a failure and not a trial.
ENOUGH_STEPS = 300


@torch.no_grad()
def score_of_frequencies(task: LanguageModelTask, data: LanguageModelDataModule) -> dict[str, float]:
    """Score the held-out stream by the frequencies of tokens in the training part alone.

    That is the decoder's bias without a network, and where training starts.

    Returns:
        `loss` (nats a token), `accuracy` and `bits_per_base`.
    """
    head = copy.deepcopy(task.model.head).eval()
    head.bias.copy_(log_frequencies(data.token_counts()))
    no_weight = head.bias.new_zeros(len(head.bias), 1)
    score = StreamScore(sync_on_compute=False)
    for batch in data.stream(training=False, alone=True):
        contexts, targets = batch.tokens.flatten(), batch.targets.flatten()
        losses, correct = head.token_losses(no_weight, no_weight.new_zeros(len(contexts), 1), contexts, targets)
        score.update(losses, correct, task.bases_between(contexts, targets, targets >= head.num_special))
    return {name: float(value) for name, value in score.compute().items()}


def ignorance(bits: float, frequencies_bits: float, steps: int, unit: str) -> str:
    """Return why a language model is worth nothing, or an empty text if it has learned something.

    Args:
        bits: What it needs for a base of the held-out part.
        frequencies_bits: What the frequencies of tokens need.
        steps: Optimizer steps of its training; a model of few steps is a trial, and only warned of.
        unit: What it counts by: base or residue.
    """
    if bits < frequencies_bits:
        return ""
    text = (
        f"The language model has learned nothing: it needs {bits:.4f} bits per {unit}, and the frequencies of tokens "
        f"alone {frequencies_bits:.4f}."
    )
    if steps < ENOUGH_STEPS:
        logger.warning("%s It was trained for %d steps only: train longer.", text, steps)
        return ""
    return (
        f"{text} Lower the learning rate (lr_find=true suggests one) or drop_mult. If the curve in the report falls "
        "and then rises again, training collapsed."
    )
