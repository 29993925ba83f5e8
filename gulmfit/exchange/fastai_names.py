"""What fastai calls the tensors of its AWD-LSTM, and what they are called here.

fastai keeps a recurrent layer's hidden weights apart (`weight_hh_l0_raw`), since it drops entries of a copy; the copy,
the embedding's and the decoder's second names are in its files too and say nothing new.

Source: fastai 1.0.52 and 2.8, `text.models.awd_lstm` and `text.models.awdlstm`.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from gulmfit.errors import CheckpointError

State = dict[str, Tensor]

LANGUAGE_MODEL_PREFIX = "0."
CLASSIFIER_PREFIX = "0.module."
EMBEDDING = "encoder.weight"

# Layers of the classifier's head here, in fastai 1, in fastai 2 (where the linear layers have no bias).
HEAD_LAYERS = {"0": ("0", "0.0"), "2": ("2", "0.2"), "4": ("4", "1.0"), "6": ("6", "1.2")}
LINEAR_LAYERS = ("2", "6")
BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def to_fastai(state: Mapping[str, Tensor], *, classifier: bool) -> State:
    """Rename the tensors of a model of ours, and add the copies that fastai's files have."""
    prefix = CLASSIFIER_PREFIX if classifier else LANGUAGE_MODEL_PREFIX
    embedding = state["encoder.embedding.weight"]
    renamed = {prefix + EMBEDDING: embedding, f"{prefix}encoder_dp.emb.weight": embedding}
    for name, tensor in state.items():
        if match := re.fullmatch(r"encoder\.layers\.(\d+)\.rnn\.(\w+)", name):
            layer, tensor_name = match.groups()
            renamed[f"{prefix}rnns.{layer}.module.{tensor_name}"] = tensor
            if tensor_name == "weight_hh_l0":
                renamed[f"{prefix}rnns.{layer}.{tensor_name}_raw"] = tensor
        elif name.startswith("head.layers."):
            renamed["1." + name.removeprefix("head.")] = tensor
    if not classifier:
        renamed |= {"1.decoder.weight": embedding, "1.decoder.bias": state["head.bias"]}
    return renamed


def from_fastai(tensors: Mapping[str, Tensor], where: str) -> State:
    """Rename the tensors of a fastai language model or classifier.

    A decoder or a linear layer without a bias gets one of zeros, which is the same.

    Args:
        tensors: As fastai saved them.
        where: What messages call them.

    Raises:
        CheckpointError: If they are not those of a forward AWD-LSTM with a tied decoder or a pooling classifier on it.
    """
    prefix = _prefix(tensors, where)
    left = dict(tensors)

    def take(name: str, default: Tensor | None = None) -> Tensor:
        tensor = left.pop(name, default)
        if tensor is None:
            raise CheckpointError(f"{where}: {name} is missing; is it the whole model of a fastai text learner?")
        return tensor

    def take_copy(name: str, original: Tensor, what: str) -> None:
        if name in left and not torch.equal(left.pop(name), original):
            raise CheckpointError(f"{where}: {name} differs from {prefix}{EMBEDDING}. {what}")

    embedding = take(prefix + EMBEDDING)
    state = {"encoder.embedding.weight": embedding}
    take_copy(f"{prefix}encoder_dp.emb.weight", embedding, "One of them is damaged.")
    for layer in range(_count_layers(tensors, prefix)):
        theirs, ours = f"{prefix}rnns.{layer}.", f"encoder.layers.{layer}.rnn."
        copy = left.pop(f"{theirs}module.weight_hh_l0", None)
        state[ours + "weight_hh_l0"] = take(f"{theirs}weight_hh_l0_raw", copy)
        for name in ("weight_ih_l0", "bias_ih_l0", "bias_hh_l0"):
            state[ours + name] = take(f"{theirs}module.{name}")
    if any(name.startswith("1.layers.") for name in left):
        version = 1 if "1.layers.0.0.weight" in left else 0
        for number, names in HEAD_LAYERS.items():
            theirs, ours = f"1.layers.{names[version]}.", f"head.layers.{number}."
            if number in LINEAR_LAYERS:
                state[ours + "weight"] = take(theirs + "weight")
                state[ours + "bias"] = take(theirs + "bias", torch.zeros(len(state[ours + "weight"])))
            else:
                state |= {ours + name: take(theirs + name) for name in BATCH_NORM}
    else:
        take_copy("1.decoder.weight", embedding, "Only models whose decoder is tied to the embedding can be read.")
        state["head.bias"] = take("1.decoder.bias", torch.zeros(len(embedding)))
    if left:
        raise CheckpointError(f"{where}: no place here for {', '.join(sorted(left)[:5])}: another kind of model.")
    return state


def _prefix(tensors: Mapping[str, Tensor], where: str) -> str:
    names = list(tensors)
    if any(re.search(r"rnns\.\d+\.layers\.|\.linear\.weight$", name) for name in names):
        raise CheckpointError(f"{where}: its layers are QRNNs; only LSTMs can be read.")
    if any(name.endswith("_reverse") or "_reverse_" in name for name in names):
        raise CheckpointError(f"{where}: its layers read in both directions; only forward ones can be read.")
    found = [name.removesuffix(EMBEDDING) for name in names if re.fullmatch(r"(0\.(module\.)?)?encoder\.weight", name)]
    if len(found) != 1 or not _count_layers(tensors, found[0]):
        raise CheckpointError(
            f"{where}: no fastai AWD-LSTM: 0.encoder.weight and 0.rnns.0.… were expected, found {', '.join(names[:4])}."
        )
    return found[0]


def _count_layers(tensors: Mapping[str, Tensor], prefix: str) -> int:
    pattern = re.compile(re.escape(prefix) + r"rnns\.(\d+)\.")
    return len({match[1] for name in tensors if (match := pattern.match(name))})
