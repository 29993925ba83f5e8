"""Measure what it costs to save checkpoints at the interval that a run has unless told otherwise.

    python scripts/checkpoint_overhead.py --json outputs/checkpoint_overhead.json

For each architecture `stage=pretrain` learns a random genome for a few steps and saves `last.ckpt` after each, as a run
does: states are gathered, curves written, the file is written under another name, synced to the disk and renamed, and
the one before is kept. The clock runs while training waits for all that. The share is what the median takes of the
minutes between two saves. The disk matters: `--folder` chooses it.
"""

import argparse
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytorch_lightning as pl

from gulmfit.checkpoint import read_progress
from gulmfit.config import compose
from gulmfit.train.runner import train
from gulmfit.train.survive.durable import LAST

ARCHITECTURES = "awd_lstm_small,awd_lstm"
BASES = 400_000
# Small windows: the steps are not what is measured. The streams are as many as a run has, for their state is saved.
SHORT = [
    "stage=pretrain", "data=fasta", "holdout.how=tail", "bptt=8", "trainer.precision=32-true",
    "trainer.accelerator=cpu", "checkpoint.every_n_steps=1", "overwrite=true", "callbacks.progress.refresh_rate=0",
]  # fmt: skip


def measure(arch: str, saves: int, minutes: float, folder: Path) -> dict[str, Any]:
    """Train one architecture and time every save of `last.ckpt`.

    Args:
        arch: Its name in `conf/arch/`.
        saves: How many to time.
        minutes: Of training between two saves, for the share.
        folder: Where the run folder is made.
    """
    seconds: list[float] = []
    save = pl.Trainer.save_checkpoint

    def timed(self: pl.Trainer, filepath: str | Path, *arguments: Any, **keywords: Any) -> None:
        start = time.perf_counter()
        save(self, filepath, *arguments, **keywords)
        if Path(filepath).name == LAST:
            seconds.append(time.perf_counter() - start)

    genome = folder / "random.fa"
    words = [f"data.path={genome}", f"paths.output_dir={folder}", f"run.name={arch}", f"arch={arch}"]
    with mock.patch.object(pl.Trainer, "save_checkpoint", timed):
        results = train([*SHORT, *words, f"trainer.max_steps={saves}"])
    last = folder / "pretrain" / arch / "checkpoints" / LAST
    if read_progress(last)[1] != saves:
        raise SystemExit(f"{last}: not of step {saves}")
    median = statistics.median(seconds)
    return {
        "parameters": results["model"]["parameters"],
        "bytes": last.stat().st_size,
        "saves": len(seconds),
        "seconds_median": round(median, 4),
        "seconds_max": round(max(seconds), 4),
        "percent_of_training": round(100 * median / (60 * minutes), 4),
    }


def write_genome(path: Path) -> None:
    """Write random bases as FASTA."""
    rng = random.Random(0)
    lines = ("".join(rng.choices("ACGT", k=80)) + "\n" for _ in range(BASES // 80))
    path.write_text(">random\n" + "".join(lines), encoding="ascii")


def main() -> int:
    """Measure what is asked for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default=ARCHITECTURES, help=f"separated by commas (default: {ARCHITECTURES})")
    parser.add_argument("--saves", type=int, default=15, help="of each architecture (default: 15)")
    parser.add_argument("--folder", type=Path, help="save below this folder, on its disk (default: a temporary one)")
    parser.add_argument("--json", type=Path, help="write the results there")
    options = parser.parse_args()
    minutes = float(compose(["stage=pretrain"]).checkpoint.every_minutes)
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="checkpoint_overhead_", dir=options.folder) as name:
        folder = Path(name)
        write_genome(folder / "random.fa")
        rows = {arch: measure(arch, options.saves, minutes, folder) for arch in options.arch.split(",")}
    whole = {
        "every_minutes": minutes,
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
        "architectures": rows,
    }
    text = json.dumps(whole, indent=2)
    sys.stdout.write(text + "\n")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
