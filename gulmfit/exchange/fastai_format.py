"""Models from and to fastai's files: a state dictionary (`.pth`) and the vocabulary in the order of its rows.

fastai keeps a recurrent layer's hidden weights apart (`weight_hh_l0_raw`), since it drops entries of a copy; the copy,
the embedding's and the decoder's second names are in its files too and say nothing new.

Source: fastai 1.0.52 and 2.8, `text.models.awd_lstm` and `text.models.awdlstm`.

Shape letters: `V` vocabulary, `E` embedding, `H` hidden, `C` classes.
"""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gulmfit.checkpoint import Spec, build_model, load, save_model
from gulmfit.errors import CheckpointError, ConfigError
from gulmfit.exchange.vocabulary import read_vocabulary
from gulmfit.files import claimed, whole_file, whole_folder
from gulmfit.model_files import files_of
from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.classifier import SequenceClassifier
from gulmfit.models.ensemble import Ensemble
from gulmfit.models.language_model import LanguageModel
from gulmfit.seq.tokens.tokenizer import KmerTokenizer

logger = logging.getLogger(__name__)

# fastai's first tokens in its own order, and what they are here. Genomic-ULMFiT has only "pad".
FASTAI_SPECIAL = {"xxunk": "<unk>", "xxpad": "<pad>", "xxbos": "<sep>"}
SPECIAL = {**FASTAI_SPECIAL, "pad": "<pad>"}

# Tensors with one row for every entry of the vocabulary, which fastai has in another order.
VOCABULARY_ROWS = ("encoder.embedding.weight", "head.bias")

# A special token that the file does not know keeps out of the softmax: e^-30 of a share.
ABSENT_BIAS = -30.0

NO_DROPOUT = {"embed_p": 0.0, "input_p": 0.0, "weight_p": 0.0, "hidden_p": 0.0, "output_p": 0.0, "drop_mult": 1.0}

State = dict[str, Tensor]

LANGUAGE_MODEL_PREFIX = "0."
CLASSIFIER_PREFIX = "0.module."
EMBEDDING = "encoder.weight"

# Layers of the classifier's head here, in fastai 1, in fastai 2 (where the linear layers have no bias).
HEAD_LAYERS = {"0": ("0", "0.0"), "2": ("2", "0.2"), "4": ("4", "1.0"), "6": ("6", "1.2")}
LINEAR_LAYERS = ("2", "6")
BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


class Rows(NamedTuple):
    """Which row of a file belongs to each entry of our vocabulary."""

    places: list[int | None]
    """`V` of them; None for an entry that the file does not have."""
    unused: list[str]
    """Entries of the file that have no counterpart here."""


def import_fastai(*, weights: str, vocab: str, output: str, k: int = 5, stride: int = 2, classes: str = "") -> None:
    """Turn a fastai AWD-LSTM, such as Genomic-ULMFiT's, into a model folder: a language model or a classifier.

    Args:
        weights: A state dictionary (`.pth`), also one that stands under "model".
        vocab: Its vocabulary, `itos`: `.json`, `.txt`, `.npy` or `.pkl`.
        output: Folder to write.
        k: Bases of a k-mer.
        stride: Bases from one k-mer to the next; no file knows it.
        classes: Names of a classifier's outputs in order, separated by commas; by default their numbers.

    Raises:
        CheckpointError: If a file is damaged, holds more than tensors and names, or is of another kind of model; then
            nothing is written.
        TokenizerError: If `k` or `stride` is out of range.
    """
    tokenizer = KmerTokenizer(k, stride)
    entries = read_vocabulary(Path(vocab))
    state = from_fastai(_read_tensors(Path(weights)), weights)
    size = len(state["encoder.embedding.weight"])
    if len(entries) != size:
        raise CheckpointError(
            f"{vocab} has {len(entries)} entries, and the embedding of {weights} {size} rows: they do not belong "
            "together."
        )
    rows = match_rows(entries, tokenizer, vocab)
    state |= {name: _reordered(name, state[name], rows, tokenizer) for name in VOCABULARY_ROWS if name in state}
    spec = _spec(state, tokenizer, [name for name in classes.split(",") if name], weights)
    _check_fit(spec, state, weights)
    with whole_folder(Path(output)) as folder:
        # Copied, for tensors of a file can lie in the same memory, which ours has no place for.
        save_model(folder, spec, {name: tensor.clone() for name, tensor in state.items()})
    absent = [tokenizer.spell(row) for row, place in enumerate(rows.places) if place is None]
    logger.info(
        "%s: %s, %d of %d vocabulary rows found. Mean row for %s. Not used: %s.",
        output, "a classifier" if spec["classes"] else "a language model", len(tokenizer) - len(absent), len(tokenizer),
        _some(absent), _some(rows.unused),
    )  # fmt: skip


def export_fastai(*, model: str, output: str) -> None:
    """Write a model as a fastai AWD-LSTM, and its vocabulary as `.json`, named like the output.

    Args:
        model: Run folder, model folder or checkpoint, or the name of a model.
        output: `.pth`.

    Raises:
        ConfigError: If `output` is no `.pth` file.
        CheckpointError: If fastai has no such model.
    """
    path = Path(output)
    if path.suffix != ".pth":
        raise ConfigError(f"output={output}: a fastai file is named .pth.")
    loaded = load(model)
    ours, tokenizer = loaded.model, loaded.tokenizer
    if isinstance(ours, Ensemble):
        raise CheckpointError(f"{model} is an ensemble, and fastai's file holds one network: give one of its members.")
    if not isinstance(ours, LanguageModel | SequenceClassifier):
        raise CheckpointError(f"{model}: neither a language model nor a classifier.")
    cells = {layer.kind for layer in ours.encoder.recurrent_layers()} if isinstance(ours.encoder, AWDRNN) else None
    if cells != {"lstm"}:
        told = ", ".join(cells or [type(ours.encoder).__name__])
        raise CheckpointError(f"{model} has layers of kind {told}; fastai's AWD_LSTM has LSTMs only.")
    if "blend" in loaded.spec:
        logger.warning("%s is a blend of a network and baselines: what is written is its network alone", model)
    vocabulary = tokenizer.vocabulary()
    order = [vocabulary.index(name) for name in FASTAI_SPECIAL.values()]
    order += range(tokenizer.num_special, len(vocabulary))
    state = {name: tensor[order] if name in VOCABULARY_ROWS else tensor for name, tensor in ours.state_dict().items()}
    entries = [*FASTAI_SPECIAL, *vocabulary[tokenizer.num_special :]]
    names_path = path.with_suffix(".json")
    with (
        claimed([path, names_path], files_of(model)),
        whole_file(names_path) as names,
        whole_file(path) as unfinished,
    ):
        torch.save(to_fastai(state, classifier=isinstance(ours, SequenceClassifier)), unfinished)
        names.write_text(json.dumps(entries) + "\n", encoding="utf-8")
    logger.info("%s and %s: %d tokens", path, path.with_suffix(".json").name, len(entries))


def match_rows(entries: Sequence[str], tokenizer: KmerTokenizer, where: str) -> Rows:
    """Find the row of every entry of our vocabulary among the entries of a file.

    Raises:
        CheckpointError: If an entry is neither a k-mer nor special, occurs twice, or no k-mer is there.
    """
    numbers = {name: row for row, name in enumerate(tokenizer.vocabulary())}
    places: list[int | None] = [None] * len(tokenizer)
    unused = []
    for place, entry in enumerate(entries):
        row = numbers.get(SPECIAL.get(entry, entry.upper()))
        if row is None:
            ambiguous = len(entry) == tokenizer.k and set(entry.upper()) <= set(tokenizer.alphabet.every_letter)
            if not entry.startswith("xx") and not ambiguous:
                raise CheckpointError(
                    f"{where}, entry {place}: {entry!r} is neither a special token nor one of {tokenizer!r}; "
                    "set k= to the length of its k-mers."
                )
            unused.append(entry)
        elif places[row] is not None:
            raise CheckpointError(f"{where}, entry {place}: {entry!r} stands in entry {places[row]} already.")
        else:
            places[row] = place
    if all(place is None for place in places[tokenizer.num_special :]):
        raise CheckpointError(f"{where}: no k-mer among {len(entries)} entries.")
    return Rows(places, unused)


def _reordered(name: str, theirs: Tensor, rows: Rows, tokenizer: KmerTokenizer) -> Tensor:
    """Put rows `(V, ...)` into our order.

    A k-mer that the file does not have gets the mean row and the lowest bias; a special one the mean row, but zeros for
    padding, and a bias that keeps it out of the softmax.
    """
    kmers = theirs[[place for place in rows.places[tokenizer.num_special :] if place is not None]]
    ours = []
    for row, place in enumerate(rows.places):
        if place is not None:
            ours.append(theirs[place])
        elif name.endswith("bias"):
            ours.append(kmers.min() if row >= tokenizer.num_special else torch.tensor(ABSENT_BIAS))
        else:
            ours.append(torch.zeros_like(theirs[0]) if row == tokenizer.pad_id else kmers.mean(0))
    return torch.stack(ours)


def _read_tensors(path: Path) -> State:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise nearly anything
        reason = (str(error) or repr(error)).splitlines()[0]
        raise CheckpointError(
            f"{path}: not a file of tensors alone, or damaged; nothing in it was run: {reason}"
        ) from error
    content = content.get("model", content) if isinstance(content, Mapping) else content
    if not isinstance(content, Mapping) or not all(isinstance(tensor, Tensor) for tensor in content.values()):
        raise CheckpointError(f"{path}: no state dictionary; save the weights with learn.save or learn.save_encoder.")
    # A view can be far larger than what it views, and a sparse tensor than what it holds.
    odd = [name for name, tensor in content.items() if not _is_plain(tensor)]
    if odd:
        raise CheckpointError(f"{path}: {', '.join(map(str, odd[:3]))} holds fewer numbers than it claims.")
    tensors = {str(name): tensor.float() if tensor.is_floating_point() else tensor for name, tensor in content.items()}
    broken = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if broken:
        raise CheckpointError(f"{path}: {', '.join(broken[:3])} holds numbers that are not finite.")
    return tensors


def _is_plain(tensor: Tensor) -> bool:
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _spec(state: State, tokenizer: KmerTokenizer, classes: list[str], where: str) -> Spec:
    """Read the sizes off the tensors."""
    hidden = [tensor for name, tensor in state.items() if name.endswith(".weight_hh_l0")]
    inputs = state["encoder.layers.0.rnn.weight_ih_l0"]
    if inputs.ndim != 2 or hidden[0].ndim != 2 or len(hidden[0]) != 4 * hidden[0].shape[1]:
        raise CheckpointError(
            f"{where}: hidden weights of shape {tuple(hidden[0].shape)}; an LSTM's are (4 H, H). GRUs cannot be read."
        )
    spec: Spec = {
        "arch": {
            "_target_": "gulmfit.models.awd_rnn.AWDRNN",
            "embed_size": state["encoder.embedding.weight"].shape[1],
            "hidden_size": hidden[0].shape[1],
            "num_layers": len(hidden),
            "spelled": True,
            "cell": "lstm",
        },
        "head": {"_target_": "gulmfit.models.language_model.LanguageModel", "legal_successors": False},
        "dropout": NO_DROPOUT,
        "tokenizer": tokenizer.spec(),
        "classes": None,
        "positive": None,
    }
    if "head.bias" not in state:
        outputs = len(state["head.layers.6.weight"])
        classes = classes or [str(number) for number in range(outputs)]
        if len(classes) != outputs:
            raise CheckpointError(f"classes= names {len(classes)}, and {where} has {outputs} outputs.")
        spec["head"] = {
            "_target_": "gulmfit.models.classifier.SequenceClassifier",
            "hidden_size": len(state["head.layers.2.weight"]),
        }
        spec |= {"classes": classes, "positive": classes[-1]}
    elif classes:
        raise CheckpointError(f"classes= is for a classifier, and {where} is a language model.")
    return spec


def _check_fit(spec: Spec, state: State, where: str) -> None:
    model, _ = build_model(spec)
    wrong = [
        f"{name} is {tuple(state[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in model.state_dict().items()
        if state[name].shape != tensor.shape
    ]
    if wrong:
        raise CheckpointError(
            f"{where}: {'; '.join(wrong)}. Layers must be E -> H -> ... -> H -> E, as in fastai's AWD_LSTM."
        )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more or "none"


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
