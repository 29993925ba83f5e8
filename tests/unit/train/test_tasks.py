"""Training promises: exact resuming, right unfreezing, bits per base, BatchNorm at tiny label sets."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.nn import functional as F

from gulmfit.data.batches import SequenceBatch
from gulmfit.data.corpus import LanguageModelDataModule
from gulmfit.data.sequences import ClassificationDataModule
from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.classifier import SequenceRegressor
from gulmfit.models.language_model import LanguageModel
from gulmfit.models.losses import MeanSquaredError
from gulmfit.seq.genome.holdout import Holdout
from gulmfit.seq.genome.store import Interval
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.tokens.subword_training import SubwordRecipe
from gulmfit.seq.tokens.tokenizer import KmerTokenizer, Tokenizer
from gulmfit.train.loop.classification_task import ClassificationTask
from gulmfit.train.loop.language_task import LanguageModelTask
from gulmfit.train.loop.lr_find import lr_range_test
from gulmfit.train.loop.metrics import StreamScore
from gulmfit.train.loop.plateau import Patient
from gulmfit.train.loop.schedule import OneCycle
from gulmfit.train.survive.callbacks import RandomState, RunCheckpoint

TOKENIZER = KmerTokenizer(3, 2)
ARCH = {"_target_": "gulmfit.models.awd_rnn.AWDRNN", "embed_size": 8, "hidden_size": 12, "num_layers": 2}
RATES = {"embed_p": 0.1, "input_p": 0.1, "weight_p": 0.1, "hidden_p": 0.1, "output_p": 0.1}
ADAMW = {"_target_": "torch.optim.AdamW", "betas": [0.8, 0.99], "weight_decay": 1e-2}
CODES = np.random.default_rng(0).integers(0, 4, 4000).astype(np.uint8)
SUBWORDS = SubwordRecipe(kind="bpe", vocab_size=24).learn([CODES])


def language_task(
    tokenizer: Tokenizer = TOKENIZER, phases: Sequence[dict[str, Any]] = ({"epochs": 3, "lr": 1e-2},)
) -> LanguageModelTask:
    torch.manual_seed(1)
    head = {"_target_": "gulmfit.models.language_model.LanguageModel"}
    spec = {"arch": ARCH, "head": head, "dropout": RATES, "tokenizer": tokenizer.spec(), "classes": None}
    return LanguageModelTask(spec, ADAMW, {"phases": list(phases)})


def language_data(tokenizer: Tokenizer = TOKENIZER) -> LanguageModelDataModule:
    holdout = Holdout([Interval(0, 0, 3000)], [Interval(0, 3100, 4000)])
    return LanguageModelDataModule(CODES, holdout, tokenizer, batch_size=4, bptt=20, strands="both", seed=5)


def labelled(count: int = 24) -> LabelledSequences:
    """Class a has a T where class b has an A, at position 10."""
    random = np.random.default_rng(2)
    texts = ["".join(random.choice(list("ACGT"), size=30)) for _ in range(count)]
    texts = [text[:10] + ("TTTT" if i % 2 else "AAAA") + text[14:] for i, text in enumerate(texts)]
    names = [f"s{i}" for i in range(count)]
    return LabelledSequences.from_strings(names, texts, ["a" if i % 2 else "b" for i in range(count)])


def classification_task(phases: list[dict[str, Any]], patience: dict[str, Any] | None = None) -> ClassificationTask:
    torch.manual_seed(1)
    spec = {
        "arch": ARCH,
        "head": {"_target_": "gulmfit.models.classifier.SequenceClassifier", "hidden_size": 6},
        "dropout": RATES,
        "tokenizer": TOKENIZER.spec(),
        "classes": ["a", "b"],
    }
    return ClassificationTask(spec, ADAMW, {"phases": phases, "patience": patience})


def classification_data(batch_size: int = 4) -> ClassificationDataModule:
    data = labelled()
    parts = {"train": data, "valid": data, "test": data}
    return ClassificationDataModule(parts, TOKENIZER, batch_size=batch_size, seed=5)


def trainer(folder: Path, every: int = 7, **arguments: Any) -> pl.Trainer:
    options: dict[str, Any] = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    options |= {"enable_model_summary": False, "num_sanity_val_steps": 0, "use_distributed_sampler": False}
    options |= {
        "callbacks": [
            Patient("val/loss", "min"),
            RandomState(),
            RunCheckpoint(folder, "val/loss", "min", every_n_steps=every),
        ]
    }
    return pl.Trainer(**{**options, **arguments})


class StopAt(pl.Callback):
    """End a run as a kill would: an exception after a step, nothing saved but what was saved before."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: pl.Trainer, *arguments: Any) -> None:
        if trainer.global_step == self.step:
            raise RuntimeError("killed")


Build = Callable[[], tuple[Any, Any]]


def weights_of(build: Build, folder: Path, epochs: int, every: int, stop: int | None = None) -> dict[str, torch.Tensor]:
    """Train in one go, or killed in a step and continued; return the weights."""
    task, data = build()
    torch.manual_seed(7)
    first = trainer(folder, max_epochs=epochs, every=every)
    if stop is None:
        first.fit(task, datamodule=data)
        return dict(task.state_dict())
    first.callbacks.insert(0, StopAt(stop))
    with pytest.raises(RuntimeError, match="killed"):
        first.fit(task, datamodule=data)
    resumed, data = build()
    torch.manual_seed(99)
    last = trainer(folder, max_epochs=epochs, every=every)
    last.fit(resumed, datamodule=data, ckpt_path=str(folder / "last.ckpt"))
    return dict(resumed.state_dict())


def assert_equal(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor], where: str) -> None:
    for name, tensor in theirs.items():
        assert torch.equal(ours[name], tensor), f"{where}: {name}"


@pytest.mark.parametrize("kind", ["language", "language of sub-words", "classification"])
def test_resumed_equals_uninterrupted_bit_for_bit(kind: str, tmp_path: Path) -> None:
    phases = [{"epochs": 1, "lr": 1e-2, "groups": 1}, {"epochs": 2, "lr": 1e-2}]

    def build() -> tuple[Any, Any]:
        if kind == "classification":
            return classification_task(phases), classification_data()
        tokenizer = TOKENIZER if kind == "language" else SUBWORDS
        return language_task(tokenizer), language_data(tokenizer)

    epochs, stops = (3, (4, 17)) if kind == "classification" else (1, (9, 33))
    whole = weights_of(build, tmp_path / "whole", epochs, 3)
    for stop in stops:
        assert_equal(weights_of(build, tmp_path / str(stop), epochs, 3, stop), whole, f"killed in step {stop}")


@pytest.mark.parametrize("kind", ["language", "classification"])
def test_resumed_at_an_edge_of_phases_equals_uninterrupted_bit_for_bit(kind: str, tmp_path: Path) -> None:
    """The checkpoint of an edge has the moments of the phase before, which the run that went on had forgotten there."""
    phases: list[dict[str, Any]] = [{"epochs": 1, "lr": 2e-2, "groups": groups} for groups in (1, 2, None)]

    def build() -> tuple[Any, Any]:
        if kind == "classification":  # an edge where an epoch ends
            return classification_task(phases), classification_data()
        return language_task(phases=phases), language_data()  # and within one

    epochs = 3 if kind == "classification" else 1
    whole = weights_of(build, tmp_path / "whole", epochs, 1)
    steps = 18 if kind == "classification" else len(language_data().stream(training=True))
    edges = OneCycle.from_config({"phases": phases}).edges(steps)
    assert len(edges) == 4
    for edge in edges[1:3]:
        folder = tmp_path / str(edge)
        resumed = weights_of(build, folder, epochs, 1, edge + 1)
        assert_equal(resumed, whole, f"continued from step {edge}")


def test_a_run_that_waits_for_a_plateau_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    """Killed before, at and after the look at which the rate begins to fall, some epochs later than planned."""
    seen = []

    def build() -> tuple[Any, Any]:
        patience = {"steps": 6, "gain": 0.0, "longest": 4}
        task = classification_task([{"epochs": 1, "lr": 1e-2, "groups": 1}, {"epochs": 2, "lr": 1e-2}], patience)
        seen.append(task)
        return task, classification_data()

    whole = weights_of(build, tmp_path / "whole", 3, 4)
    plateau = seen[0].plateau
    assert plateau.falls_at > plateau.peak + plateau.unit  # it has waited
    assert seen[0].global_step == plateau.total_steps > plateau.planned
    for stop in (plateau.falls_at - 3, plateau.falls_at, plateau.falls_at + 2, plateau.total_steps - 1):
        assert_equal(weights_of(build, tmp_path / str(stop), 3, 4, stop), whole, f"killed in step {stop}")


def test_layers_thaw_phase_by_phase(tmp_path: Path) -> None:
    phases = [{"epochs": 1, "lr": 1e-2, "groups": 1}, {"epochs": 1, "lr": 1e-2, "groups": 2}, {"epochs": 1, "lr": 1e-2}]
    task = classification_task(phases)
    seen: list[list[bool]] = []

    class Watch(pl.Callback):
        def on_train_epoch_start(self, *arguments: Any) -> None:
            self.before = [[p.detach().clone() for p in group] for group in task.model.layer_groups()]

        def on_train_epoch_end(self, *arguments: Any) -> None:
            after = task.model.layer_groups()
            moved = [
                any(not torch.equal(a, b) for a, b in zip(x, y, strict=True))
                for x, y in zip(self.before, after, strict=True)
            ]
            seen.append(moved)

    trainer(tmp_path, max_epochs=3, callbacks=[Watch()], enable_checkpointing=False).fit(
        task, datamodule=classification_data()
    )
    assert seen == [[False, False, False, True], [False, False, True, True], [True, True, True, True]]


def test_bits_per_base_are_exact(tmp_path: Path) -> None:
    """Against a sum over the stream as one sequence, every position scored by itself."""
    task, data = language_task().eval(), language_data()
    stream = torch.tensor([[2, *TOKENIZER.encode(CODES[3100:4000]).tolist()]])
    nats, bases = 0.0, 0
    with torch.no_grad():
        hidden, _ = task.model.encoder(stream[:, :-1])
        for position in range(hidden.shape[1]):
            token, target = int(stream[0, position]), int(stream[0, position + 1])
            logits = F.linear(hidden[0, position], task.model.encoder.embedding.weight, task.model.head.bias)
            legal = torch.tensor([
                i >= 3 and (token < 3 or TOKENIZER.spell(i)[0] == TOKENIZER.spell(token)[-1]) for i in
                range(len(TOKENIZER))
            ])  # fmt: skip
            nats -= float(F.log_softmax(logits.masked_fill(~legal, -math.inf), -1)[target])
            bases += 3 if token < 3 else 2
    assert bases == 899  # 900 bases, the last of which no 3-mer at stride 2 reaches
    data.batch_size = 1
    task.trainer = trainer(tmp_path, enable_checkpointing=False, callbacks=[])
    task.on_validation_epoch_start()
    with torch.no_grad():
        for index, batch in enumerate(data.val_dataloader()):
            task.validation_step(batch, index)
    score = task.valid_score.compute()
    assert float(score["bits_per_base"]) == pytest.approx(nats / math.log(2) / bases, rel=1e-5)
    assert float(score["loss"]) == pytest.approx(nats / 449, rel=1e-5)


def test_bits_per_base_of_sub_words_are_exact(tmp_path: Path) -> None:
    """Against a sum position by position; an ambiguous stretch is read, and neither it nor a separator is scored."""
    codes = CODES.copy()
    codes[3300:3310] = 4
    task = language_task(SUBWORDS).eval()
    holdout = Holdout([Interval(0, 0, 3000)], [Interval(0, 3100, 3600), Interval(0, 3600, 4000)])
    data = LanguageModelDataModule(codes, holdout, SUBWORDS, batch_size=1, bptt=20, strands="both", seed=5)
    parts = [[2, *SUBWORDS.encode(codes[part.start : part.end]).tolist()] for part in holdout.valid]
    stream = torch.tensor([parts[0] + parts[1]])
    nats, bases, scored = 0.0, 0, 0
    with torch.no_grad():
        hidden, _ = task.model.encoder(stream[:, :-1])
        for position, target in enumerate(stream[0, 1:].tolist()):
            if target >= 3:
                logits = F.linear(hidden[0, position], task.model.encoder.embedding.weight, task.model.head.bias)
                nats -= float(F.log_softmax(logits, -1)[target])
                bases, scored = bases + len(SUBWORDS.spell(target)), scored + 1
    assert bases == 890
    task.trainer = trainer(tmp_path, enable_checkpointing=False, callbacks=[])
    task.on_validation_epoch_start()
    with torch.no_grad():
        for index, batch in enumerate(data.val_dataloader()):
            task.validation_step(batch, index)
    score = task.valid_score.compute()
    assert float(score["bits_per_base"]) == pytest.approx(nats / math.log(2) / bases, rel=1e-5)
    assert float(score["loss"]) == pytest.approx(nats / scored, rel=1e-5)


def test_scores_of_parts_add_up() -> None:
    whole, parts = StreamScore(), [StreamScore(), StreamScore()]
    losses, correct, bases = torch.rand(10), torch.rand(10) < 0.5, torch.randint(1, 4, (10,))
    whole.update(losses, correct, bases)
    parts[0].update(losses[:3], correct[:3], bases[:3])
    parts[0].update(losses[3:], correct[3:], bases[3:])
    for name, value in whole.compute().items():
        assert float(parts[0].compute()[name]) == pytest.approx(float(value))


def test_batchnorm_is_right_with_one_step_an_epoch(tmp_path: Path) -> None:
    """Twenty-four labels in one batch: running averages would still be near their start; here evaluation is
    training."""
    task, data = classification_task([{"epochs": 12, "lr": 2e-2}]), classification_data(batch_size=64)
    trainer(tmp_path, max_epochs=12, enable_checkpointing=False, callbacks=[]).fit(task, datamodule=data)
    batch = next(iter(data.val_dataloader()))
    task.model.eval()
    pooled, _ = task.model.pool(batch.tokens, batch.lengths)
    evaluated = task.model.head(pooled)
    task.model.head.train()
    for layer in task.model.head.layers:
        if isinstance(layer, torch.nn.Dropout):
            layer.eval()
    torch.testing.assert_close(task.model.head(pooled), evaluated, atol=0.15, rtol=0.05)
    assert float((evaluated.argmax(1) == batch.labels).float().mean()) > 0.9


def test_range_test_leaves_the_model_alone() -> None:
    task, data = language_task(), language_data()
    before = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
    rates, losses, suggestion = lr_range_test(task.model, data.train_dataloader(), num_steps=40)
    assert all(torch.equal(before[name], tensor) for name, tensor in task.model.state_dict().items())
    assert rates == sorted(rates)
    assert len(rates) == len(losses)
    assert rates[0] <= suggestion <= rates[-1]


def test_the_range_test_takes_the_loss_of_the_head() -> None:
    torch.manual_seed(3)
    encoder = AWDRNN(len(TOKENIZER), embed_size=8, hidden_size=12, num_layers=1)
    model = SequenceRegressor(encoder, 2, hidden_p=0, alpha=0, beta=0, location=[1.0, 50.0], scale=[0.1, 20.0])
    values = torch.tensor([[1.1, 30.0], [0.9, 70.0], [1.2, 50.0]])
    batch = SequenceBatch(torch.randint(3, 60, (3, 9)), torch.tensor([9, 7, 5]), values, torch.arange(3))
    logits = copy.deepcopy(model).train()(batch.tokens, batch.lengths)[0]
    _, losses, _ = lr_range_test(model, [batch], MeanSquaredError(), num_steps=1)
    standardised = (values - torch.tensor([1.0, 50.0])) / torch.tensor([0.1, 20.0])
    assert losses == pytest.approx([float(((logits - standardised) ** 2).mean())])


def test_a_checkpoint_needs_no_arguments_and_no_trust(tmp_path: Path) -> None:
    task = language_task()
    trainer(tmp_path, max_epochs=1).fit(task, datamodule=language_data())
    path = tmp_path / "last.ckpt"
    torch.load(path, weights_only=True)
    again = LanguageModelTask.load_from_checkpoint(path, weights_only=True)
    assert isinstance(again.model, LanguageModel)
    assert torch.equal(again.model.head.bias, torch.load(path, weights_only=True)["state_dict"]["model.head.bias"])


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_a_restored_hidden_state_goes_to_where_the_model_is() -> None:
    """From a checkpoint it comes to the CPU, and no recurrent kernel takes inputs and a state of two devices."""
    task = language_task()
    task.on_load_checkpoint({**_saved(task), "state": [task.model.encoder.initial_state(4)]})
    elsewhere = torch.device("meta")
    task.to(elsewhere)
    task.on_train_start()
    assert task.state is not None
    assert {part.device for layer in task.state for part in layer} == {elsewhere}


def _saved(task: LanguageModelTask) -> dict[str, Any]:
    checkpoint: dict[str, Any] = {}
    task.on_save_checkpoint(checkpoint)
    return checkpoint
