"""Train the first steps of the shipped recipes over seeds, precisions, threads and kernels, and count collapses.

    python scripts/stability.py --json stability.json
    python scripts/stability.py --recipes default --seeds 2 --steps 200

A run has collapsed if it was broken off, went back to an earlier checkpoint, or ends no better than the frequencies of
tokens. Ends with 0 if none did, else with 1.

The whole of a one-cycle is squeezed into the steps of a trial: the rate rises faster than it ever does for a user, and
batches of a quarter of the size are noisier.
"""

import argparse
import csv
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

RECIPES = {
    # The language model of `make demo` without what the shipped one already knows, and the defaults of stage=pretrain.
    "demo": ["experiment=demo", "stage=pretrain", "init_from=null", "pretrain.lr=5e-3"],
    "default": ["stage=pretrain", "data=gene_starts", "arch=awd_lstm_small"],
    "simulated": ["experiment=demo_simulated", "stage=pretrain"],
}
# Precision, kernels (what oneDNN may use at most), and the share of the seeds that is spent on them.
MACHINES = (("bf16-mixed", "DEFAULT", 1.0), ("32-true", "DEFAULT", 0.4), ("32-true", "AVX2", 0.2),
            ("bf16-mixed", "AVX512_CORE_BF16", 0.2))  # fmt: skip


@dataclass
class Trial:
    """One run and what became of it."""

    recipe: str
    precision: str
    kernels: str
    threads: int
    seed: int
    bits: float | None = None
    frequencies: float | None = None
    largest_norm: float | None = None
    seconds: float = 0.0
    collapsed: bool = True
    said: str = ""


def trials(recipes: list[str], seeds: int) -> list[Trial]:
    """List the matrix."""
    return [
        Trial(recipe, precision, kernels, threads, seed)
        for recipe in recipes
        for precision, kernels, share in MACHINES
        for threads in (1, 2)
        for seed in range(max(1, round(seeds * share)))
    ]


def run(trial: Trial, steps: int, batch_size: int, folder: Path) -> None:
    """Train in this process, and fill in what became of it."""
    from gulmfit.errors import GulmfitError
    from gulmfit.train.runner import train

    name = f"{trial.recipe}_{trial.precision}_{trial.kernels}_{trial.threads}_{trial.seed}"
    words = [
        *RECIPES[trial.recipe], f"seed={trial.seed}", f"run.name={name}", f"paths.output_dir={folder}",
        f"trainer.precision={trial.precision}", f"trainer.max_steps={steps}", f"batch_size={batch_size}",
        "trainer.limit_val_batches=60", "trainer.enable_progress_bar=false", "trainer.log_every_n_steps=5",
    ]  # fmt: skip
    start = time.perf_counter()
    try:
        train(words)
    except GulmfitError as error:
        trial.said = str(error)[:200]
    trial.seconds = round(time.perf_counter() - start, 1)
    results = folder / "pretrain" / name
    if (results / "metrics.json").is_file():
        found = json.loads((results / "metrics.json").read_text(encoding="utf-8"))
        trial.bits = round(found["metrics"]["val/bits_per_base"], 4)
        trial.frequencies = round(found["baselines"]["token_frequencies"]["bits_per_base"], 4)
        with (results / "metrics.csv").open(newline="", encoding="utf-8") as handle:
            norms = [row["train/grad_norm"] for row in csv.DictReader(handle)]
        trial.largest_norm = round(max(float(norm) for norm in norms if norm), 3)
    knows = trial.bits is not None and trial.frequencies is not None and trial.bits < trial.frequencies
    trial.collapsed = bool(trial.said) or not knows


def line(trial: Trial) -> str:
    """Describe a trial."""
    return (
        f"{trial.recipe:9s} {trial.precision:10s} {trial.kernels:16s} {trial.threads} thread(s) seed {trial.seed}: "
        f"{trial.bits} bits (frequencies {trial.frequencies}), norm <= {trial.largest_norm}, {trial.seconds:.0f} s"
        f"{'  COLLAPSED ' + trial.said if trial.collapsed else ''}"
    )


def work(matrix: list[Trial], steps: int, batch_size: int) -> None:
    """Run trials of one machine in this process; a line of JSON each."""
    from gulmfit.train.loop.fit import logger

    went_back: list[logging.LogRecord] = []
    logger.addFilter(lambda record: went_back.append(record) or True if record.levelno >= logging.WARNING else True)
    with tempfile.TemporaryDirectory() as folder:
        for trial in matrix:
            went_back.clear()
            run(trial, steps, batch_size, Path(folder))
            back = [record.getMessage() for record in went_back if "halved" in record.getMessage()]
            trial.collapsed |= bool(back)
            trial.said = trial.said or "".join(back)[:200]
            print(json.dumps(asdict(trial)), flush=True)


def start(matrix: list[Trial], steps: int, batch_size: int) -> Iterator[Trial]:
    """Run trials of one machine in a process of their own, which alone can choose threads and kernels."""
    first = matrix[0]
    kernels = {} if first.kernels == "DEFAULT" else {"ONEDNN_MAX_CPU_ISA": first.kernels}
    environment = {**os.environ, "OMP_NUM_THREADS": str(first.threads), **kernels}
    words = [sys.executable, __file__, "--steps", str(steps), "--batch-size", str(batch_size), "--work",
             json.dumps([asdict(trial) for trial in matrix])]  # fmt: skip
    with subprocess.Popen(words, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for text in process.stdout or ():
            yield Trial(**json.loads(text))
    if process.returncode:
        raise SystemExit(f"trials of {first.precision}, {first.kernels} ended with {process.returncode}")


def main() -> None:
    """Run the matrix and print a line for each trial."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", default=",".join(RECIPES))
    parser.add_argument("--seeds", type=int, default=5, help="of the fast machines; slow ones get a share")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()
    if arguments.work:
        work([Trial(**item) for item in json.loads(arguments.work)], arguments.steps, arguments.batch_size)
        return
    matrix = trials(arguments.recipes.split(","), arguments.seeds)
    print(f"{len(matrix)} trials of {arguments.steps} steps")
    done: list[Trial] = []
    machines = dict.fromkeys((trial.precision, trial.kernels, trial.threads) for trial in matrix)
    for machine in machines:
        here = [trial for trial in matrix if (trial.precision, trial.kernels, trial.threads) == machine]
        for trial in start(here, arguments.steps, arguments.batch_size):
            done.append(trial)
            print(f"{len(done):3d} {line(trial)}", flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps([asdict(item) for item in done], indent=1), encoding="utf-8")
    for recipe in arguments.recipes.split(","):
        bits = [trial.bits for trial in done if trial.recipe == recipe and trial.bits is not None]
        if bits:
            print(f"{recipe}: {min(bits):.4f} to {max(bits):.4f}, median {statistics.median(bits):.4f} bits per base")
    collapses = sum(trial.collapsed for trial in done)
    print(f"{collapses} collapses of {len(done)}")
    sys.exit(bool(collapses))


if __name__ == "__main__":
    main()
