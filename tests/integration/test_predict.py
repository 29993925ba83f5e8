"""`gulmfit-predict` on a genome: killed and begun again, in little memory; predictions depend on nothing else."""

import json
import os
import random
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gulmfit.checkpoint import build_model, save_model
from gulmfit.cli import predict
from gulmfit.predict.predictor import Predictor
from gulmfit.seq.alphabet import reverse_complement_text

from .conftest import run, start
from .forked import run_forked


def write_model(folder: Path, hidden_size: int) -> Path:
    """Write a classifier with random weights."""
    spec: dict[str, Any] = {
        "arch": {
            "_target_": "gulmfit.models.awd_rnn.AWDRNN", "embed_size": 32, "hidden_size": hidden_size, "num_layers": 2
        },
        "head": {"_target_": "gulmfit.models.classifier.SequenceClassifier", "hidden_size": 8},
        "dropout": {},
        "tokenizer": {"_target_": "gulmfit.seq.tokens.tokenizer.KmerTokenizer", "k": 5, "stride": 2},
        "classes": ["background", "promoter"],
        "positive": "promoter",
    }  # fmt: skip
    torch.manual_seed(0)
    network, _ = build_model(spec)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    save_model(folder, spec, network.state_dict())
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"), hidden_size=8)


def write_genome(path: Path, *lengths: int) -> None:
    """Write random contigs in lines of 50 bases, of which each length is a multiple."""
    draw = np.random.default_rng(sum(lengths))
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)
    with path.open("wb") as handle:
        for number, length in enumerate(lengths, start=1):
            lines = letters[draw.integers(0, 4, (length // 50, 51), dtype=np.uint8)]
            lines[:, -1] = ord("\n")
            handle.write(f">{number}\n".encode() + lines.tobytes())


@pytest.mark.slow
def test_a_killed_scan_ends_with_the_same_bytes(tmp_path: Path) -> None:
    write_genome(tmp_path / "genome.fa", 42_000, 30_000)
    slow = write_model(tmp_path / "slow", hidden_size=256)  # enough to be killed while it is at work
    words = [f"model={slow}", "input=genome.fa", "window_bp=150", "step_bp=25", "strand=both", "threshold=0.5"]
    names = ["a.tsv", "a.parquet", "a.plus.bedgraph", "a.minus.bedgraph", "a.plus.bw", "a.minus.bw", "a.bed"]
    outputs = "a.tsv,a.parquet,a.bedgraph,a.bw,a.bed"
    run(*words, f"output={outputs}", cwd=tmp_path, command="predict")
    whole = {name: (tmp_path / name).read_bytes() for name in names}
    for name in names:
        (tmp_path / name).unlink()
    journal, delays, done = tmp_path / ".a.tsv.partial" / "journal.json", random.Random(0), 0
    for _ in range(2):
        process = start(*words, f"output={outputs}", cwd=tmp_path, command="predict")
        before = done
        while done == before and process.poll() is None:
            time.sleep(0.02)
            if journal.exists():
                done = json.loads(journal.read_text())["windows"]
        time.sleep(delays.random() / 4)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -9, "it ended before it was killed: the genome is too short for this test"
    assert not any((tmp_path / name).exists() for name in names)
    assert done > before > 0
    printed = run(*words, f"output={outputs}", cwd=tmp_path, command="predict").stdout
    assert re.search(r"\bafter \d+ of \d+ windows", printed)
    assert {name: (tmp_path / name).read_bytes() for name in names} == whole
    assert not journal.parent.exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read as Linux has it")
def test_memory_does_not_grow_with_the_genome(model: Path, tmp_path: Path) -> None:
    # Of a process of its own, and not what getrusage says, which counts the process that started this one. A process
    # that is forked begins with what was imported before.
    script = tmp_path / "peak.py"
    script.write_text(
        "from gulmfit.cli import predict\n"
        "predict()\n"
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')))\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    peaks = {}
    for megabases in (2, 20):
        write_genome(tmp_path / f"{megabases}.fa", *[megabases * 250_000] * 4)
        words = [
            f"model={model}", f"input={megabases}.fa", "window_bp=30", "step_bp=500", "threshold=0.5",
            "output=a.tsv,a.parquet,a.bedgraph,a.bw,a.bed",
        ]  # fmt: skip
        done = run_forked(script, "predict", words, tmp_path, environment)
        assert done.returncode == 0, done.stderr
        peaks[megabases] = int(done.stdout.split()[-2]) / 1024
    sys.stdout.write(f"peak memory in MiB by megabases: {peaks}\n")
    assert peaks[20] < 1.05 * peaks[2]


def test_predictions_depend_on_the_sequence_alone(model: Path) -> None:
    draw = random.Random(0)
    texts = ["".join(draw.choices("ACGTN", [24, 24, 24, 24, 4], k=draw.randint(5, 300))) for _ in range(300)]
    predictor = Predictor.load(model, "cpu")
    expected = {strand: predictor.predict(texts, strand=strand) for strand in ("forward", "average")}
    order = draw.sample(range(len(texts)), len(texts))
    longest = "ACGT" * 500
    differences = {
        "batches of 1": predictor.predict(texts, batch_size=1) - expected["forward"],
        "batches of 1000": predictor.predict(texts, batch_size=1000) - expected["forward"],
        "shuffled": predictor.predict([texts[i] for i in order]) - expected["forward"][order],
        "padded": predictor.predict([*texts, longest], batch_size=1000)[:-1] - expected["forward"],
        "in pieces": np.concatenate([predictor.predict(texts[i : i + 37]) for i in range(0, 300, 37)])
        - expected["forward"],
        "other strand": predictor.predict([reverse_complement_text(text) for text in texts], strand="average")
        - expected["average"],
    }
    for name, difference in differences.items():
        sys.stdout.write(f"{name}: {np.abs(difference).max():.1e}\n")
        assert np.abs(difference).max() < 1e-5, name
    assert np.abs(expected["average"] - expected["forward"]).max() > 1e-3  # or the last of them could not fail


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["threshold=high"], "threshold=high: "),
        (["windows_bp=150"], "Did you mean window_bp="),
        (["output=a.doc"], r"output=a\.doc: no format .*\.tsv"),
    ],
)
def test_a_mistake_is_told(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    write_genome(tmp_path / "genome.fa", 500)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["gulmfit-predict", f"model={model}", "input=genome.fa", "output=a.tsv", *words])
    with pytest.raises(SystemExit, match=message):
        predict()
    assert [path.name for path in tmp_path.iterdir()] == ["genome.fa"]
