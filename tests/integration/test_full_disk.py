"""A disk that fills up while something is written: a clear error, and what was there before stays as it was."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from gulmfit.errors import CheckpointError, DataError, StoreError
from gulmfit.predict.outputs.writers import write_tsv
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.train.survive.durable import LAST, DurableCheckpointIO, newest_sound

MEBIBYTES = 4


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of a few mebibytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={MEBIBYTES}m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        pytest.skip(f"a small file system cannot be mounted here: {error}")
    if done.returncode:
        pytest.skip("a small file system cannot be mounted here: that takes an administrator")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_store(small_disk: Path, tmp_path: Path) -> None:
    genome = tmp_path / "genome.fa"
    rng = np.random.default_rng(0)
    genome.write_text(">small\n" + "".join(rng.choice(list("ACGT"), 1000)) + "\n")
    GenomeStore.build(genome, small_disk)
    before = contents(small_disk)
    genome.write_text(">large\n" + "".join(rng.choice(list("ACGT"), MEBIBYTES << 20)) + "\n")
    with pytest.raises(StoreError, match=r"written \(No space .*\d bytes, [\d,]+ "):
        GenomeStore.build(genome, small_disk)
    after = contents(small_disk)
    after.pop("checksums.json", None), before.pop("checksums.json", None)
    assert after == before


def test_a_checkpoint(small_disk: Path) -> None:
    def save(step: int, floats: int) -> None:
        spec = {"arch": {}, "head": {}, "dropout": {}, "tokenizer": {}}
        content = {"hyper_parameters": {"spec": spec}, "state_dict": {}, "global_step": step, "x": torch.randn(floats)}
        DurableCheckpointIO().save_checkpoint(content, small_disk / LAST)

    save(1, 1000)
    before = contents(small_disk)
    with pytest.raises(CheckpointError, match=r"last\.ckpt .*written: .*resume=auto"):
        save(2, MEBIBYTES << 18)
    assert contents(small_disk) == before
    assert newest_sound(small_disk) == small_disk / LAST


def test_predictions(small_disk: Path) -> None:
    output = small_disk / "hits.tsv"
    write_tsv(output, ["id", "a"], [("one", [0.5])])
    before = contents(small_disk)
    with pytest.raises(DataError, match=r"hits\.tsv .*written: .*No space"):
        write_tsv(output, ["id", "a"], ((f"record {number:060d}", [0.5]) for number in range(MEBIBYTES << 20)))
    assert contents(small_disk) == before
