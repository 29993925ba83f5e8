"""The rows of scripts/benchmark.py that train through Lightning, and what that costs beside the bare step."""

import statistics
import time
from typing import Any, ClassVar

import pytorch_lightning as pl
from benchmark_data import write_genome
from benchmark_models import REGULARISED, Training, endless, parameters_of, shrunk, window_loss
from benchmark_timing import Measurement, Setting, median

from gulmfit.train.runner import train

BLOCKS = 5
BPTT = 70


class Alternation(pl.Callback):
    """After every block of the trainer's steps make as many bare steps of the same model, and time both.

    Seconds apart they see the same machine; measured one after the other they might not.

    Args:
        steps: Of a block.
    """

    rates: ClassVar[list[tuple[float, float]]] = []
    """Tokens a second of the trainer in each block, and of the bare steps behind it."""
    parameters: ClassVar[int] = 0

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.finished = self.tokens = 0
        self.start = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make the bare step ready: the trainer's model, optimizer and precision, a stream of its own."""
        model: Any = pl_module.model
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        device = pl_module.device.type
        self.setting = Setting(device, tiny=False)
        self.bare = Training(
            window_loss(model),
            trainer.optimizers[0],
            endless(data.stream(training=True)),
            str(trainer.precision),
            device,
        )
        Alternation.parameters = parameters_of(model)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a step of the trainer; where a block is full, let the bare steps follow.

        The first step, which warms up, is a block of its own and does not count.
        """
        self.finished += 1
        self.tokens += batch.tokens.numel()
        if (self.finished - 1) % self.steps:
            return
        self.setting.synchronize()
        middle = time.perf_counter()
        steps = self.steps if self.finished > 1 else 1
        tokens = sum(self.bare.step().numel() for _ in range(steps))
        self.setting.synchronize()
        end = time.perf_counter()
        if self.finished > 1:
            Alternation.rates.append((self.tokens / (middle - self.start), tokens / (end - middle)))
        self.tokens, self.start = 0, time.perf_counter()


def through_trainer(setting: Setting, arch: str, batch_size: int, steps: int) -> Measurement:
    """Run `stage=pretrain` on a random genome: tokens a second of its steps, validation and start-up left out.

    Args:
        arch: Architecture.
        batch_size: Streams.
        steps: Of a block, after which as many bare steps follow.
    """
    batch_size, bptt = shrunk(setting, batch_size), 8 if setting.tiny else BPTT
    Alternation.rates.clear()
    max_steps = 1 + steps * (1 if setting.tiny else BLOCKS)
    # A base is half a token of each strand. One epoch holds all steps: no validation falls between them.
    lines = max(50_000, int(1.3 * max_steps * batch_size * bptt)) // 80
    genome = write_genome(setting.folder / f"{arch}_{batch_size}.fa.gz", lines * 80)
    train([
        "stage=pretrain", "data=fasta", f"data.path={genome}", "holdout.how=tail", f"paths.output_dir={setting.folder}",
        f"run.name={arch}_{batch_size}", f"arch={'awd_lstm_tiny' if setting.tiny else arch}", *REGULARISED,
        f"batch_size={batch_size}", f"bptt={bptt}", f"trainer.max_steps={max_steps}",
        f"trainer.accelerator={setting.device}",
        "+callbacks.alternation._target_=benchmark_trainer.Alternation", f"+callbacks.alternation.steps={steps}",
    ])  # fmt: skip
    overhead = statistics.median(bare / ours - 1.0 for ours, bare in Alternation.rates)
    bare = statistics.median(bare for _, bare in Alternation.rates)
    note = f"{overhead:+.1%} beside {bare:,.0f} tokens/s of the bare step in turn; the bar is 5 %"
    return median([ours for ours, _ in Alternation.rates], flop=6.0 * Alternation.parameters, note=note)
