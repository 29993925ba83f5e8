"""What scripts/benchmark.py measures of fastai: its AWD-LSTM, as it comes, through its own Learner.

Runs in fastai's environment (scripts/benchmark-requirements.txt). The last line it prints is JSON: for each batch size
the measurement.

    .venv-fastai/bin/python scripts/benchmark_fastai.py train
    .venv-fastai/bin/python scripts/benchmark_fastai.py predict
"""

import argparse
import json
import sys
import time

import torch
from benchmark_timing import Measurement, Setting, median, rates
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.losses import CrossEntropyLossFlat
from fastai.text.learner import LMLearner, TextLearner
from fastai.text.models.awdlstm import (
    AWD_LSTM,
    awd_lstm_clas_config,
    awd_lstm_clas_split,
    awd_lstm_lm_config,
    awd_lstm_lm_split,
)
from fastai.text.models.core import get_language_model, get_text_classifier

BPTT = 70
BATCH_SIZES = (64, 256)  # its default, and ours
SPECIAL = 3
TINY_SIZES = {"emb_sz": 32, "n_hid": 64, "n_layers": 2}


class Clock(Callback):
    """Note when each batch is done; the first one warms up."""

    order = 1000  # after every other callback

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.times: list[float] = []

    def after_batch(self) -> None:
        """Note the time."""
        self.setting.synchronize()
        self.times.append(time.perf_counter())


def loaders(batches: list, batch_size: int | None, device: str) -> DataLoaders:
    """Serve ready tensors, in batches already or one by one."""
    loader = DataLoader(batches, bs=batch_size, num_workers=0)
    return DataLoaders(loader, loader, device=torch.device(device))


def reduced(learner: TextLearner, device: str) -> str:
    """Use bf16 on a GPU, fp32 on a CPU as fastai does; return the precision's name."""
    if device == "cuda" and torch.cuda.is_bf16_supported():
        learner.to_bf16()
        return "bf16"
    return "fp32"


def train(setting: Setting, vocab_size: int, batch_size: int) -> Measurement:
    """Train a language model with AR and TAR: tokens a second of the Learner's whole step."""
    config = {**awd_lstm_lm_config, **(TINY_SIZES if setting.tiny else {})}
    model = get_language_model(AWD_LSTM, vocab_size, config=config, drop_mult=1.0).to(setting.device)
    steps = 1 + (setting.repetitions if setting.device == "cpu" else 30)
    bptt = 8 if setting.tiny else BPTT
    text = torch.randint(SPECIAL, vocab_size, (steps, batch_size, bptt + 1))
    batches = [(part[:, :-1], part[:, 1:]) for part in text]
    learner = LMLearner(
        loaders(batches, None, setting.device), model, loss_func=CrossEntropyLossFlat(), splitter=awd_lstm_lm_split
    )
    note = reduced(learner, setting.device)
    clock = Clock(setting)
    learner.dls.valid = []  # nothing to judge
    with learner.no_bar(), learner.no_logging():
        learner.fit(1, cbs=[clock])
    found = [batch_size * bptt / (b - a) for a, b in zip(clock.times, clock.times[1:], strict=False)]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return median(found, flop=6.0 * parameters, note=note)


def predict(setting: Setting, vocab_size: int, batch_size: int, sequence_tokens: int) -> Measurement:
    """Predict with a classifier: sequences a second of `get_preds`, from ready tokens."""
    config = {**awd_lstm_clas_config, **(TINY_SIZES if setting.tiny else {})}
    model = get_text_classifier(AWD_LSTM, vocab_size, 2, seq_len=72, config=config).to(setting.device)
    count = 16 if setting.tiny else 512 if setting.device == "cpu" else 16_384
    sequences = torch.randint(SPECIAL, vocab_size, (count, sequence_tokens))
    items = [(tokens, torch.tensor(row % 2)) for row, tokens in enumerate(sequences)]
    dls = loaders(items, batch_size, setting.device)
    learner = TextLearner(dls, model, loss_func=CrossEntropyLossFlat(), splitter=awd_lstm_clas_split)
    note = reduced(learner, setting.device)

    def work() -> float:
        with learner.no_bar():
            return float(len(learner.get_preds(dl=dls.valid)[0]))

    parameters = sum(parameter.numel() for parameter in model.parameters())
    return median(rates(work, setting), flop=2.0 * parameters * sequence_tokens, note=note)


def main() -> None:
    """Measure one thing at both batch sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "predict"])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--vocab-size", type=int, default=1027)
    parser.add_argument("--sequence-tokens", type=int, default=73)
    given = parser.parse_args()
    setting = Setting(given.device, given.tiny)
    found = {}
    for batch_size in (4, 8) if given.tiny else BATCH_SIZES:
        if given.what == "train":
            found[batch_size] = vars(train(setting, given.vocab_size, batch_size))
        else:
            found[batch_size] = vars(predict(setting, given.vocab_size, batch_size, given.sequence_tokens))
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
