"""Rows of scripts/benchmark.py that compute: matrix products, training steps, prediction.

What is trained is composed from the project's own configuration, with every regulariser on; tokens are read from a
random genome as in a run. Floating-point operations are counted as the field does: 6 for each parameter and token in
training, 2 in prediction, a decoder that is tied to the embedding counted once.
"""

import itertools
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from benchmark_data import TOKENIZER, random_bases
from benchmark_timing import CannotMeasureError, Measurement, Setting, median, rates, resident
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.nn import functional as F

from gulmfit.checkpoint import Spec, build_model
from gulmfit.config import compose, instantiate, plain
from gulmfit.data.batches import SequenceBatch, collate, tokenise
from gulmfit.data.stream import StreamBatch, TokenStream
from gulmfit.models.classifier import SequenceClassifier
from gulmfit.models.encoder import detach
from gulmfit.models.hardware import keep_freed_memory
from gulmfit.models.language_model import LanguageModel
from gulmfit.models.precision import fast_precision, guard
from gulmfit.predict.predictor import Predictor
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.train.loop.fit import build_spec
from gulmfit.train.run import Run

REGULARISED = ("drop_mult=1", "head.alpha=2", "head.beta=1")
GENOME_BP = 2_000_000
SEQUENCE_BP = 150
CLASSES = ["negative", "positive"]
BYTES_PER_GRADIENT = 4

# (rows, shared, columns) of products: two square ones, and the gradient of an LSTM's weights.
CPU_PRODUCTS = [(4096, 4096, 4096), (2048, 2048, 2048), (4608, 17920, 1152)]
CUDA_PRODUCTS = [(8192, 8192, 8192)]
TINY_PRODUCTS = [(64, 64, 64)]

Loss = Callable[[Any, Any], tuple[Tensor, Any]]


def matmul(setting: Setting) -> Measurement:
    """Multiply large matrices in the precision that training uses: TFLOP/s of the best shape, the ceiling."""
    products = TINY_PRODUCTS if setting.tiny else CUDA_PRODUCTS if setting.device == "cuda" else CPU_PRODUCTS
    dtype = torch.bfloat16 if fast_precision(setting.device) == "bf16-mixed" else torch.float32
    found = []
    for rows, shared, columns in products:
        left = torch.randn(rows, shared, device=setting.device).to(dtype)
        right = torch.randn(shared, columns, device=setting.device).to(dtype)

        def multiply(left: Tensor = left, right: Tensor = right) -> float:
            torch.mm(left, right)
            return 2e-12 * left.shape[0] * left.shape[1] * right.shape[1]

        note = f"{rows} x {shared} x {columns} in {str(dtype).removeprefix('torch.')}"
        found.append(median(rates(multiply, setting), note=note))
    return max(found, key=lambda measurement: measurement.value)


class Training:
    """One training step after another, without a trainer: forward, backward, optimizer, the state carried on.

    Args:
        loss: A batch and the state before it to a loss and the state after it.
        optimizer: Of the parameters that the loss depends on.
        batches: Without an end.
        precision: As Lightning names it.
        device: Where to train.
    """

    def __init__(
        self, loss: Loss, optimizer: torch.optim.Optimizer, batches: Iterator[Any], precision: str, device: str
    ) -> None:
        self.loss, self.optimizer, self.batches = loss, optimizer, batches
        self.reduced, self.device = precision == "bf16-mixed", device
        self.state: Any = None

    def step(self) -> Tensor:
        """Learn one batch; return its tokens, `(B, T)`."""
        batch = next(self.batches)
        batch = type(batch)(*(part if part is None else part.to(self.device) for part in batch))
        with torch.autocast(self.device, torch.bfloat16, enabled=self.reduced):
            loss, self.state = self.loss(batch, self.state)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        tokens: Tensor = batch.tokens
        return tokens


def composed(setting: Setting, stage: str, arch: str) -> DictConfig:
    """Compose the configuration of a stage with every regulariser on."""
    sizes = ["arch=awd_lstm_tiny", "bptt=8"] if setting.tiny else [f"arch={arch}"]
    return compose([f"stage={stage}", "arch.strands=forward", *REGULARISED, *sizes])


def built(config: DictConfig, setting: Setting) -> tuple[Spec, Any]:
    """Build the model of a configuration, with fresh weights."""
    classes = CLASSES if config.stage.name == "classify" else None
    spec = build_spec(Run(config, setting.folder), plain(config.tokenizer), classes)
    model, _ = build_model(spec)
    return spec, model.to(setting.device)


def optimizer_of(config: DictConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Build the optimizer of a configuration."""
    rate = float(config.schedule.phases[0].lr)
    optimizer: torch.optim.Optimizer = instantiate(
        {**plain(config.optimizer), "params": model.parameters(), "lr": rate}
    )
    return optimizer


def parameters_of(model: nn.Module) -> int:
    """Count the parameters, each once."""
    return sum(parameter.numel() for parameter in model.parameters())


def endless(stream: TokenStream) -> Iterator[StreamBatch]:
    """Read a stream epoch after epoch."""
    return itertools.chain.from_iterable(itertools.repeat(stream))


def windows(setting: Setting, batch_size: int, bptt: int, rank: int = 0, world_size: int = 1) -> Iterator[StreamBatch]:
    """Read a random genome in training windows, epoch after epoch."""
    store = GenomeStore.from_sequences(["random"], [random_bases(GENOME_BP // 40 if setting.tiny else GENOME_BP)])
    stream = TokenStream(
        store.codes, store.clear_intervals("split"), TOKENIZER,
        batch_size=batch_size, bptt=bptt, training=True, rank=rank, world_size=world_size,
    )  # fmt: skip
    return endless(stream)


def make_ready(model: LanguageModel | SequenceClassifier, setting: Setting, precision: str) -> str:
    """Do what a run does before it trains; return a note on the precision."""
    if setting.device == "cpu":
        keep_freed_memory()
    refused = guard(model, torch.bfloat16, setting.device) if precision == "bf16-mixed" else []
    return f"{precision}, layers {refused} in fp32" if refused else precision


def window_loss(model: nn.Module) -> Loss:
    """Return the loss of a language model on a window."""

    def loss(batch: StreamBatch, state: Any) -> tuple[Tensor, Any]:
        output = model(batch.tokens, batch.targets, state)
        return output.loss + output.penalty, detach(output.state)

    return loss


def shrunk(setting: Setting, batch_size: int) -> int:
    """Return the batch size, a small one where everything is tiny."""
    return min(batch_size, 4 + batch_size // 256) if setting.tiny else batch_size


def language_model_training(
    setting: Setting, arch: str, batch_size: int, precision: str = "", rank: int = 0, world_size: int = 1
) -> tuple[Training, int, str]:
    """Make the training of a language model ready; return it, the number of parameters, and a note.

    Args:
        setting: How to measure.
        arch: Architecture.
        batch_size: Streams of this process.
        precision: As Lightning names it; the fastest by default.
        rank: Number of this process.
        world_size: Processes that average their gradients.
    """
    config = composed(setting, "pretrain", arch)
    _, model = built(config, setting)
    precision = precision or fast_precision(setting.device)
    note = make_ready(model, setting, precision)
    optimizer = optimizer_of(config, model)
    batches = windows(setting, batch_size, int(config.bptt), rank, world_size)
    trained = nn.parallel.DistributedDataParallel(model) if world_size > 1 else model
    return Training(window_loss(trained), optimizer, batches, precision, setting.device), parameters_of(model), note


def language_model(setting: Setting, arch: str, batch_size: int, precision: str = "") -> Measurement:
    """Train a language model: tokens a second of the bare step."""
    training, parameters, note = language_model_training(setting, arch, shrunk(setting, batch_size), precision)
    return median(rates(lambda: training.step().numel(), setting), flop=6.0 * parameters, note=note)


def memory(setting: Setting, arch: str, batch_size: int) -> Measurement:
    """Train a language model: MiB of resident memory at its peak, with everything that was imported."""
    language_model(setting, arch, batch_size)
    on_gpu = f"{torch.cuda.max_memory_allocated() / (1 << 20):,.0f} MiB on the GPU" if setting.device == "cuda" else ""
    return median([resident(peak=True)], note=on_gpu)


class BareLSTM(nn.Module):
    """An embedding, torch's own LSTM layers and a tied decoder: no regulariser, nothing of this project."""

    def __init__(self, sizes: Sequence[int], vocab_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, sizes[0])
        self.layers = nn.ModuleList(nn.LSTM(a, b, batch_first=True) for a, b in itertools.pairwise(sizes))
        self.decoder = nn.Linear(sizes[-1], vocab_size)
        self.decoder.weight = self.embedding.weight

    def forward(self, batch: StreamBatch, states: Any) -> tuple[Tensor, Any]:
        """Return the loss of a window and the states behind it, cut off their history."""
        x, after = self.embedding(batch.tokens), []
        for layer, state in zip(self.layers, states or [None] * len(self.layers), strict=True):
            x, state = layer(x, state)
            after.append(tuple(part.detach() for part in state))
        return F.cross_entropy(self.decoder(x).flatten(0, 1), batch.targets.flatten()), after


def bare_lstm(setting: Setting, batch_size: int) -> Measurement:
    """Train a plain stack of LSTMs of the same sizes: tokens a second, what torch gives for free."""
    config = composed(setting, "pretrain", "awd_lstm")
    arch = config.arch
    sizes = [arch.embed_size, *[arch.hidden_size] * (arch.num_layers - 1), arch.embed_size]
    model = BareLSTM(sizes, len(TOKENIZER)).to(setting.device)
    precision = fast_precision(setting.device)
    batches = windows(setting, shrunk(setting, batch_size), int(config.bptt))
    training = Training(model, optimizer_of(config, model), batches, precision, setting.device)

    def measured(note: str) -> Measurement:
        found = rates(lambda: training.step().numel(), setting)
        return median(found, flop=6.0 * parameters_of(model), note=note)

    plainly = measured(precision)
    if setting.device == "cpu" and keep_freed_memory():
        plainly.note += f"; {measured('').value:,.0f} tokens/s where freed memory is kept"
    return plainly


def random_sequences(count: int) -> list[str]:
    """Return random sequences of equal length."""
    letters = random_bases(count * SEQUENCE_BP).decode()
    return [letters[i : i + SEQUENCE_BP] for i in range(0, len(letters), SEQUENCE_BP)]


def classify(setting: Setting) -> Measurement:
    """Train a classifier, every layer of it: sequences a second."""
    config = composed(setting, "classify", "awd_lstm")
    _, model = built(config, setting)
    precision = fast_precision(setting.device)
    note = make_ready(model, setting, precision)
    sequences = random_sequences(shrunk(setting, 128))
    items = [(tokenise(sequence, TOKENIZER, ""), row % 2, row) for row, sequence in enumerate(sequences)]
    batches = itertools.repeat(collate(items, TOKENIZER.pad_id))

    def loss(batch: SequenceBatch, _: Any) -> tuple[Tensor, Any]:
        logits, penalty = model(batch.tokens, batch.lengths)
        return F.cross_entropy(logits.float(), batch.labels) + penalty, None

    optimizer = optimizer_of(config, model)
    training = Training(loss, optimizer, batches, precision, setting.device)
    flop = 6.0 * parameters_of(model) * TOKENIZER.num_tokens(SEQUENCE_BP)
    return median(rates(lambda: len(training.step()), setting), flop=flop, note=note)


def predict(setting: Setting, precision: str) -> Measurement:
    """Predict with a classifier: sequences a second, from letters to probabilities."""
    if setting.device == "cpu":
        keep_freed_memory()
    spec, model = built(composed(setting, "classify", "awd_lstm"), setting)
    predictor = Predictor(spec, model, TOKENIZER, setting.device, precision)
    sequences = random_sequences(16 if setting.tiny else 512 if setting.device == "cpu" else 16_384)
    flop = 2.0 * parameters_of(model) * TOKENIZER.num_tokens(SEQUENCE_BP)
    return median(rates(lambda: len(predictor.predict(sequences)), setting), flop=flop, note=predictor.precision)


def fastai(setting: Setting, what: str) -> Measurement:
    """Train or predict with fastai in its own environment: its better batch size.

    Raises:
        CannotMeasureError: If the environment is not there.
    """
    if not setting.fastai_python.is_file():
        raise CannotMeasureError(f"fastai's environment is not there ({setting.fastai_python}): `make bench` makes it")
    script = Path(__file__).with_name("benchmark_fastai.py")
    command = [str(setting.fastai_python), str(script), what, "--device", setting.device]
    command += ["--vocab-size", str(len(TOKENIZER)), "--sequence-tokens", str(TOKENIZER.num_tokens(SEQUENCE_BP))]
    finished = subprocess.run(
        [*command, *["--tiny"] * setting.tiny], text=True, stdout=subprocess.PIPE, check=True, cwd=setting.folder
    )
    found = {size: Measurement(**fields) for size, fields in json.loads(finished.stdout.splitlines()[-1]).items()}
    best = max(found.values(), key=lambda measurement: measurement.value)
    sizes = ", ".join(f"{measurement.value:,.0f} at batch {size}" for size, measurement in found.items())
    best.note = f"{best.note}; {sizes}"
    return best


def ddp(setting: Setting, processes: int) -> Measurement:
    """Train a small language model on two cores as so many processes: tokens a second of all together."""
    answer = setting.folder / f"rank_0_of_{processes}.json"
    torch.multiprocessing.spawn(_rank, (setting, processes, answer), nprocs=processes)
    return Measurement(**json.loads(answer.read_text(encoding="utf-8")))


def _rank(rank: int, setting: Setting, world_size: int, answer: Path) -> None:
    """Be one of the processes; the first one writes what it measured."""
    torch.set_num_threads(2 // world_size)
    if world_size > 1:
        meeting = answer.with_suffix(".meeting").as_uri()
        torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world_size)
    found = _share(rank, setting, world_size)
    if rank == 0:
        answer.write_text(json.dumps(vars(found)), encoding="utf-8")
    if world_size > 1:
        # The model is gone by now. Were it the last to hold the group, freeing it would wait for gloo's thread, which
        # may wait for the interpreter's lock, which is held by whoever frees the model.
        torch.distributed.destroy_process_group()


def _share(rank: int, setting: Setting, world_size: int) -> Measurement:
    """Train one process's share of the streams."""
    training, parameters, note = language_model_training(
        setting, "awd_lstm_small", shrunk(setting, 64) // world_size, rank=rank, world_size=world_size
    )
    if world_size > 1:
        note += f"; {parameters * BYTES_PER_GRADIENT / 1e6:.1f} MB of gradients averaged a step"
    steps, repetitions = (1, 1) if setting.tiny else (5, 5)

    def work() -> float:
        return float(sum(training.step().numel() for _ in range(steps)) * world_size)

    return median(rates(work, setting, repetitions=repetitions), flop=6.0 * parameters, note=note)
