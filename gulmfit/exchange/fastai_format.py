"""Models from and to fastai's files: a state dictionary (`.pth`) and the vocabulary in the order of its rows.

Shape letters: `V` vocabulary, `E` embedding, `H` hidden, `C` classes.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gulmfit.checkpoint import Spec, build_model, files_of, load, save_model
from gulmfit.errors import CheckpointError, ConfigError
from gulmfit.exchange.fastai_names import State, from_fastai, to_fastai
from gulmfit.exchange.vocabulary import read_vocabulary
from gulmfit.files import claimed, whole_file, whole_folder
from gulmfit.models.classifier import SequenceClassifier
from gulmfit.models.language_model import LanguageModel
from gulmfit.models.transfer import VOCABULARY_ROWS
from gulmfit.seq.tokenizer import KmerTokenizer

logger = logging.getLogger(__name__)

# fastai's first tokens in its own order, and what they are here. Genomic-ULMFiT has only "pad".
FASTAI_SPECIAL = {"xxunk": "<unk>", "xxpad": "<pad>", "xxbos": "<sep>"}
SPECIAL = {**FASTAI_SPECIAL, "pad": "<pad>"}

# A special token that the file does not know keeps out of the softmax: e^-30 of a share.
ABSENT_BIAS = -30.0

NO_DROPOUT = {"embed_p": 0.0, "input_p": 0.0, "weight_p": 0.0, "hidden_p": 0.0, "output_p": 0.0, "drop_mult": 1.0}


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
    if not isinstance(ours, LanguageModel | SequenceClassifier):
        raise CheckpointError(f"{model}: neither a language model nor a classifier.")
    cells = {layer.kind for layer in ours.encoder.recurrent_layers()}
    if cells != {"lstm"}:
        raise CheckpointError(f"{model} has layers of kind {', '.join(cells)}; fastai's AWD_LSTM has LSTMs only.")
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
