"""Models as ONNX files: checked against the original, with all that running them without gulmfit takes.

Shape letters: `B` batch, `T` tokens, `V` vocabulary, `E` embedding, `H` hidden, `C` classes, `K` knots.
"""

import json
import logging
import random
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._pytree import tree_flatten, tree_unflatten

from gulmfit.checkpoint import LoadedModel, load
from gulmfit.data.batches import collate, tokenise
from gulmfit.errors import CheckpointError, ConfigError
from gulmfit.files import claimed, whole_file
from gulmfit.libraries import library
from gulmfit.model_files import files_of
from gulmfit.models.classifier import EVALUATION_WINDOW, ConcatPooling
from gulmfit.models.encoder import State, encode_window, join_fresh
from gulmfit.models.ensemble import Classifier, Ensemble, one_network
from gulmfit.models.language_model import LanguageModel
from gulmfit.predict.predictor import Predictor
from gulmfit.seq.tokens.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

OPSETS = range(14, 21)

TOLERANCE = 1e-4

Arrays = dict[str, npt.NDArray[Any]]

Knots = tuple[tuple[float, float], ...]

# Probabilities below it are taken for it before they are calibrated, as in gulmfit.evaluate.calibration.
FLOOR = 1e-12


def export_onnx(*, model: str, output: str, opset: int = 17) -> float:
    """Write a model as a file that runs without gulmfit or torch, checked against the model.

    What goes with it (tokens, classes, calibration) is written as `.json`, named like the output.

    Args:
        model: Run folder, model folder or checkpoint, or the name of a model.
        output: `.onnx`.
        opset: Version of ONNX's operators, 14 to 20.

    Returns:
        The largest difference from the original model, over sequences of many lengths, alone and padded in batches.

    Raises:
        ConfigError: If `output` is no `.onnx` file, the opset is out of range or onnxruntime is missing.
        CheckpointError: If there is no model, or its ONNX form computes something else; then nothing is written.
    """
    path = Path(output)
    if path.suffix != ".onnx":
        raise ConfigError(f"output={output}: an ONNX file is named .onnx.")
    if opset not in OPSETS:
        raise ConfigError(f"opset={opset}: choose {OPSETS[0]} to {OPSETS[-1]}; 17 is read everywhere.")
    library("onnx", "onnx", "exporting ONNX", ConfigError)
    runtime = library("onnxruntime", "onnx", "exporting ONNX", ConfigError)
    card_path = path.with_suffix(".json")
    with claimed([path, card_path], files_of(model)):
        difference = _export(load(model), path, card_path, opset, runtime)
    logger.info("%s and %s: largest difference from the model %.1e", path, card_path.name, difference)
    return difference


def _export(loaded: LoadedModel, path: Path, card_path: Path, opset: int, runtime: Any) -> float:
    form = _LanguageModelForm(loaded) if isinstance(loaded.model, LanguageModel) else _ClassifierForm(loaded)
    with whole_file(card_path) as card, whole_file(path) as unfinished:
        _trace(form.graph, form.example(), form.inputs, form.outputs, unfinished, opset)
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        session = runtime.InferenceSession(unfinished, options, providers=["CPUExecutionProvider"])
        difference = max(float(found) for found in form.differences(session))
        if not difference <= TOLERANCE:
            raise CheckpointError(
                f"{loaded.source}: its ONNX form differs from it by {difference:.2g}, more than {TOLERANCE:g}, and was "
                f"not kept. Try another opset= ({OPSETS[0]} to {OPSETS[-1]}), or another version of torch."
            )
        content = {
            "format": 1, "opset": opset, "max_difference": difference, **form.description(),
            "tokenizer": _described(loaded.tokenizer), "letters": loaded.letters._asdict(),
        }  # fmt: skip
        card.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return difference


class _ClassifierForm:
    """A classifier as a graph, with what checks and describes it."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        if "blend" in loaded.spec:
            raise CheckpointError(
                f"{loaded.source} predicts with a blend of its network and baselines, which an ONNX file cannot hold. "
                "Train with blend=false to export a network, or export checkpoints/best.ckpt of the run (of an "
                "ensemble a folder member_0, member_1, …): it is the network alone."
            )
        self.predictor = Predictor.load(loaded.source, device="cpu")
        self.model = self.predictor.model
        calibration = self.predictor.calibration
        temperature = calibration.temperature if calibration.kind == "temperature" else 1.0
        self.labels = self.predictor.kind.labels
        self.exclusive = self.labels.exclusive
        self.graph = ClassifierGraph(cast("Classifier", self.model), temperature, calibration.knots, self.exclusive)
        names = ("probabilities", "raw") if self.exclusive else (self.labels.name,)
        self.inputs = {"tokens": {0: "batch", 1: "length"}, "lengths": {0: "batch"}}
        self.outputs = {name: {0: "batch"} for name in names}

    def example(self) -> tuple[Tensor, ...]:
        """Return inputs to trace the graph with."""
        return _example_tokens(self.loaded.tokenizer), torch.tensor([3, 2])

    def differences(self, session: Any) -> Iterator[float]:
        """Yield the largest difference in what is predicted from each batch: probabilities, or values in training
        standard deviations.

        Calibration is judged on the graph's own raw probabilities: an isotonic map may be so steep that it would
        magnify the last digit.
        """
        tokenizer, predictor = self.loaded.tokenizer, self.predictor
        for sequences in _sequences(tokenizer, longest=3 * EVALUATION_WINDOW):
            tokens, lengths = _batch(sequences, tokenizer)
            outputs = session.run(None, {"tokens": tokens.numpy(), "lengths": lengths.numpy()})
            if self.exclusive:
                calibrated, raw = outputs
                yield _distance(raw, predictor.predict(sequences, raw=True))
                yield _distance(calibrated, predictor.calibration.apply(np.log(np.maximum(raw, FLOOR))))
            else:
                scale = getattr(one_network(self.model), "scale", torch.ones(())).numpy()
                yield _distance(outputs[0] / scale, predictor.predict(sequences, raw=True) / scale)

    def description(self) -> dict[str, Any]:
        """Return what the JSON file says of inputs and outputs."""
        one, many = self.labels.one, self.labels.many
        what = f"the probability of each {one} as the network gives it"
        says = {
            "probabilities": "float32 (batch, classes), " + ("" if self.loaded.calibration else "not ") + "calibrated",
            "raw": "float32 (batch, classes), probabilities as the network gives them",
            self.labels.name: f"float64 (batch, {many}), "
            + (what if self.labels.probabilities else "in the units of the training data"),
        }
        return {
            "task": self.labels.name,
            "inputs": {"tokens": "int64 (batch, length), padded at the end", "lengths": "int64 (batch), 1 or more"},
            "outputs": {name: says[name] for name in self.outputs},
            "classes": self.loaded.classes,
            "positive": self.loaded.spec.get("positive"),
            "calibration": self.loaded.calibration,
        }


class _LanguageModelForm:
    """A language model as a graph, with what checks and describes it."""

    def __init__(self, loaded: LoadedModel) -> None:
        if not isinstance(loaded.model, LanguageModel):
            raise CheckpointError(f"{loaded.source}: neither a classifier nor a language model.")
        self.model, self.tokenizer = loaded.model, loaded.tokenizer
        self.graph = LanguageModelGraph(self.model)
        self.state = first_state(self.model)
        self.inputs = {"tokens": {0: "batch", 1: "length"}, **{name: {1: "batch"} for name in self.state}}
        self.outputs = {
            "log_probabilities": {0: "batch", 1: "length"},
            **{f"{name}_after": {1: "batch"} for name in self.state},
        }

    def example(self) -> tuple[Tensor, ...]:
        """Return inputs to trace the graph with."""
        return _example_tokens(self.tokenizer), *join_fresh(list(self.state.values()), 1)

    @torch.inference_mode()
    def differences(self, session: Any) -> Iterator[float]:
        """Yield the largest difference in the nats of the tokens that really follow, and of the sum of probabilities
        from 1, in two windows of each batch, the second of which starts from the state after the first."""
        for sequences in _sequences(self.tokenizer, longest=400):
            tokens, _ = _batch(sequences, self.tokenizer)
            tokens = torch.cat([torch.full((len(tokens), 1), self.tokenizer.sep_id), tokens], 1)
            parts = {name: part.numpy().repeat(len(tokens), 1) for name, part in self.state.items()}
            state = None
            middle = max(1, (tokens.shape[1] - 1) // 3)
            for start, end in ((0, middle), (middle, tokens.shape[1] - 1)):
                if start == end:
                    continue
                window, targets = tokens[:, start:end], tokens[:, start + 1 : end + 1]
                log_p, *after = session.run(None, {"tokens": window.numpy(), **parts})
                parts = dict(zip(self.state, after, strict=True))
                expected = self.model(window, targets, state)
                state = expected.state
                nats = -np.take_along_axis(log_p, targets.numpy()[..., None], 2).ravel()
                scored = expected.scored.numpy()
                yield _distance(nats[scored], expected.losses.numpy()[scored])
                yield _distance(np.exp(log_p).sum(-1), np.ones(window.shape))

    def description(self) -> dict[str, Any]:
        """Return what the JSON file says of inputs and outputs."""
        legal = self.model.head.block_size is not None
        return {
            "task": "language_model",
            "inputs": {"tokens": "int64 (batch, length); every sequence begins with sep"}
            | {name: f"{_form(part)}, state; zeros at the start" for name, part in self.state.items()},
            "outputs": {
                "log_probabilities": "float32 (batch, length, vocabulary), natural logarithms, of the token after each"
                + ("; -inf for special tokens and k-mers that cannot follow" if legal else "")
            }
            | {f"{name}_after": f"{name} after the last token" for name in self.state},
            "state": {name: part.shape[-1] for name, part in self.state.items()},
        }


def _form(part: Tensor) -> str:
    """Return kind and shape of a part of a state."""
    kind, (layers, _, *sizes) = str(part.dtype).removeprefix("torch."), part.shape
    return f"{kind} ({', '.join(map(str, (layers, 'batch', *sizes)))})"


def _trace(
    graph: nn.Module,
    example: tuple[Tensor, ...],
    inputs: dict[str, dict[int, str]],
    outputs: dict[str, dict[int, str]],
    path: Path,
    opset: int,
) -> None:
    with warnings.catch_warnings():
        # torch calls this exporter old, and warns of recurrent layers whose batch size changes. The other one was as
        # right, took twenty times as long and needs onnxscript; and every file is checked with other batch sizes.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                graph.eval(), example, str(path), dynamo=False, opset_version=opset, input_names=list(inputs),
                output_names=list(outputs), dynamic_axes={**inputs, **outputs},
            )  # fmt: skip
        except Exception as error:  # whatever an encoder of one's own meets there
            told = str(error).strip().partition("\n")[0]
            raise CheckpointError(f"ONNX has no form for this model's encoder: {told}") from error


def _example_tokens(tokenizer: Tokenizer) -> Tensor:
    """Return two sequences of three tokens, `(2, 3)`; everything else is other than what was traced."""
    return torch.arange(6).view(2, 3) % len(tokenizer)


def _sequences(tokenizer: Tokenizer, longest: int) -> Iterator[list[str]]:
    """Yield batches: the shortest sequence there is, alone and several; some of many lengths with ambiguous letters; a
    long one with a short one."""
    chance = random.Random(0)
    shortest = tokenizer.min_bases
    known = tokenizer.alphabet.letters * 12

    def draw(length: int, letters: str) -> str:
        return "".join(chance.choices(letters, k=length))

    yield [draw(shortest, known)]
    yield [draw(shortest, known) for _ in range(3)]
    for size in (2, 7):
        yield [draw(shortest + chance.randrange(200), known + tokenizer.alphabet.unknown) for _ in range(size)]
    yield [draw(shortest + longest, known), draw(shortest + 50, known)]


def _batch(sequences: Sequence[str], tokenizer: Tokenizer) -> tuple[Tensor, Tensor]:
    items = [(tokenise(sequence, tokenizer, "a random sequence"), 0, row) for row, sequence in enumerate(sequences)]
    batch = collate(items, tokenizer.pad_id)
    return batch.tokens, batch.lengths


def _distance(ours: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> float:
    return float(np.abs(ours - theirs).max(initial=0.0))


def _described(tokenizer: Tokenizer) -> dict[str, Any]:
    names = {"pad_id": tokenizer.pad_id, "unk_id": tokenizer.unk_id, "sep_id": tokenizer.sep_id}
    return {**tokenizer.spec(), **names, "vocabulary": tokenizer.vocabulary()}


class ClassifierGraph(nn.Module):
    """Turn tokens into what a classifier predicts: probabilities of classes or labels, or values.

    `SequenceClassifier` reads long sequences window by window; here the loop is left out, since a trace would fix how
    often it runs. Pooling is the same code.

    Args:
        classifier: The model whose weights are used; of an ensemble every member's.
        temperature: What logits are divided by.
        knots: Where given, the isotonic map of the probability of class 1 of two, instead of a temperature.
        exclusive: Whether it predicts classes that exclude each other.
    """

    def __init__(
        self, classifier: Classifier, temperature: float = 1.0, knots: Knots = (), exclusive: bool = True
    ) -> None:
        super().__init__()
        self.classifier, self.exclusive = classifier, exclusive
        self.temperature, self.knots = temperature, knots

    def forward(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """Predict, `(B, C)`, from `tokens` `(B, T)`, of which the first `lengths` `(B,)` are real.

        Of classes that exclude each other these are the calibrated probabilities, and the raw ones follow.
        """
        networks = self.classifier.members if isinstance(self.classifier, Ensemble) else [self.classifier]
        raw = torch.stack([_predicted(network, tokens, lengths) for network in networks]).mean(0)
        if not self.exclusive:
            return (raw,)
        return self.calibrated(raw).float(), raw.float()

    def calibrated(self, raw: Tensor) -> Tensor:
        """Calibrate probabilities of classes `(B, C)`."""
        if self.knots:
            positive = interpolate(raw[:, 1:], self.knots)
            return torch.cat([1 - positive, positive], 1)
        return (raw.clamp_min(FLOOR).log() / self.temperature).softmax(-1)


def _predicted(network: Any, tokens: Tensor, lengths: Tensor) -> Tensor:
    """Return what one classifier predicts, `(B, C)`."""
    both, read = network.other_strand is not None, tokens
    if both:
        read, lengths = torch.cat([tokens, network.other_strand(tokens, lengths)]), torch.cat([lengths, lengths])
    outputs, _ = encode_window(network.encoder, read)
    pooling = ConcatPooling(lengths, network.bins)
    pooling.add(outputs)
    pooled = torch.cat(pooling.result().chunk(2), 1) if both else pooling.result()
    predicted: Tensor = network.outputs(network.classify(pooled, tokens).double())
    return predicted


def interpolate(x: Tensor, knots: Knots) -> Tensor:
    """Map `x` `(B, 1)` along straight lines between knots, constant outside them, as a sum of `K - 1` ramps."""
    xs, ys = torch.tensor((*knots, knots[-1]), dtype=x.dtype).T  # the last one again: one knot has no ramp
    widths = xs.diff()
    slopes = torch.where(widths > 0, ys.diff() / widths, 0.0)
    travelled = torch.minimum(torch.maximum(x, xs[:-1]), xs[1:]) - xs[:-1]
    mapped: Tensor = ys[0] + (travelled * slopes).sum(1, keepdim=True)
    return mapped


class LanguageModelGraph(nn.Module):
    """Turn tokens and a state into log-probabilities of the next token and the state after them."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.encoder, self.head = model.encoder, model.head
        _, self.structure = tree_flatten(_state_after_one(model))

    def forward(self, tokens: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        """Return log-probabilities `(B, T, V)`, -inf for what cannot follow, and the parts of the new state.

        Args:
            tokens: `(B, T)`.
            parts: The state, `(…, B, …)` each: of AWD-LSTM layer by layer h and c of every LSTM, h of every GRU.
        """
        hidden, state = encode_window(self.encoder, tokens, tree_unflatten(list(parts), self.structure))
        logits = F.linear(hidden, self.encoder.embedding.weight).float() + self.head.bias
        return self._log_probabilities(logits, tokens), *tree_flatten(state)[0]

    def _log_probabilities(self, logits: Tensor, tokens: Tensor) -> Tensor:
        head = self.head
        if head.block_size is None:
            return logits.log_softmax(-1)
        kmers = (tokens - head.num_special).unsqueeze(-1)
        blocks = torch.arange(head.num_blocks)
        legal = (kmers < 0) | (blocks == kmers.clamp_min(0) % head.num_blocks)
        by_block = logits[..., head.num_special :].reshape(*tokens.shape, head.num_blocks, head.block_size)
        possible = by_block.masked_fill(~legal.unsqueeze(-1), float("-inf")).flatten(-2)
        return F.pad(possible.log_softmax(-1), (head.num_special, 0), value=float("-inf"))


def first_state(model: LanguageModel) -> dict[str, Tensor]:
    """Name every part of a language model's state, in order, each as it is at the start of one sequence: h and c of
    every recurrent layer, and what other encoders have by its number."""
    state = _state_after_one(model)
    names = [f"{letter}{index}" for index, layer in enumerate(state) for letter, _ in zip("hc", layer, strict=False)]
    parts = [torch.zeros_like(part) for part in tree_flatten(state)[0]]
    if len(names) != len(parts):
        names = [f"state{index}" for index in range(len(parts))]
    return dict(zip(names, parts, strict=True))


@torch.no_grad()
def _state_after_one(model: LanguageModel) -> State:
    """Return the state after one token, for the form that it has."""
    return encode_window(model.encoder, torch.zeros(1, 1, dtype=torch.int64))[1]
