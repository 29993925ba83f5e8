"""Kill runs at random moments, start them again, and compare what they end with to a run that nobody killed.

    python scripts/kill_and_resume.py --kills 100 --json outputs/kill_and_resume.json

Each workload is a real command on a small scale. It runs once undisturbed. Then it runs again under SIGKILL, each time
with the same words, until it has had a few kills and is let through to its end; and so on until it has had its share.
Half of the kills come at a moment drawn from the length of the undisturbed run, the other half while a file is being
written. What counts is every byte of what the command leaves (weights, curves, splits, predictions, store) and the work
that is done again: a kill may cost the steps since the last promised checkpoint, and nothing of a part that was done.
"""

import argparse
import hashlib
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EVERY = 3  # steps that a kill may cost
TRACE, FINISHED = "steps.txt", "finished"
COMMON = [
    "arch=awd_lstm_tiny", "data.length_bp=600000", "data.num_train=120", "data.num_valid=40", "data.num_test=100",
    "trainer.precision=32-true", f"checkpoint.every_n_steps={EVERY}", "resume=auto",
    "+callbacks.trace._target_=step_trace.StepTrace",
]  # fmt: skip
TRAIN = [sys.executable, str(ROOT / "train.py")]
# Written anew in every run: when it ran, where, how fast. A lock ends with its process, whatever becomes of its file.
UNCOMPARED = {"metrics.json", "report.html", "log", "config.yaml", "hydra.yaml", "checksums.json"}
LOCK = ".lock"
UNFINISHED = (".partial", ".unfinished", ".tmp")  # parts of names of files that are being written
WAIT_FOR_FILE = 20.0


@dataclass
class Workload:
    """A command, and which of the files it leaves are compared."""

    name: str
    words: list[str]
    results: tuple[str, ...]


def workloads(shared: Path) -> list[Workload]:
    """Return the commands; `shared` holds the trained model and the genomes that some of them read."""
    model = shared / "outputs" / "ulmfit" / "model_of_all"
    short = "classify.phases=[{epochs:2,lr:1e-2}]"
    thawing = "classify.phases=[{epochs:2,lr:1e-2,groups:1},{epochs:6,lr:5e-3}]"

    def train(stage: str, words: str) -> list[str]:
        return [*TRAIN, f"stage={stage}", "run.name=run", *words.split(), *COMMON]

    build = "from gulmfit.seq.genome.store import GenomeStore; GenomeStore.build({!r}, 'store')"
    scan = f"model={model}/classify input={shared}/genome.fa output=hits.tsv,hits.bedgraph window_bp=100 step_bp=10"
    commands = {
        "pretrain": train("pretrain", "pretrain.epochs=2 batch_size=16"),
        "finetune": train("finetune", f"finetune.epochs=6 batch_size=4 bptt=20 init_from={model}/pretrain"),
        "classify": train("classify", f"{thawing} batch_size=16 init_from={model}/pretrain"),
        "ulmfit": train("ulmfit", f"{short} pretrain.epochs=1 pretrain.batch_size=64"),
        "folds": train("classify", f"{short} cv.folds=2 split=stratified init_from={model}/pretrain"),
        "predict": [sys.executable, "-c", "from gulmfit.cli import predict; predict()", *scan.split()],
        "store": [sys.executable, "-c", build.format(str(shared / "large.fa"))],
    }
    results = {"predict": ("hits.tsv", "hits.bedgraph"), "store": ("store",)}
    return [Workload(name, words, results.get(name, ("outputs",))) for name, words in commands.items()]


def environment() -> dict[str, str]:
    """Return the environment of every command: one thread, for bits do not depend on the load then."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "scripts")))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def start(words: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    note_finished(folder)
    log = (folder / "printed.txt").open("ab")
    traced = environment() | {"STEP_TRACE": str(folder.absolute() / TRACE)}
    return subprocess.Popen(words, cwd=folder, env=traced, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)


def finish(words: list[str], folder: Path) -> float:
    """Run a command to its end; return its seconds."""
    begun = time.perf_counter()
    if code := start(words, folder).wait():
        printed = (folder / "printed.txt").read_text(errors="replace")[-3000:]
        raise SystemExit(f"{' '.join(words)}\nended with {code} in {folder}:\n{printed}")
    return time.perf_counter() - begun


def kill_once(words: list[str], folder: Path, seconds: float, moment: str, rng: random.Random) -> str | None:
    """Start a command and kill it with all its children; return at which moment, or None if it was done before."""
    process = start(words, folder)
    begun = time.perf_counter()
    after = rng.uniform(0.0, seconds)
    while process.poll() is None:
        elapsed = time.perf_counter() - begun
        if moment == "writing" and elapsed > 0.3 * after and partial_files(folder):
            time.sleep(rng.uniform(0.0, 0.01))
            break
        if elapsed > (after if moment == "any" else after + WAIT_FOR_FILE):
            moment = "any"
            break
        time.sleep(0.001 if moment == "writing" else 0.005)
    if process.poll() is not None:
        if process.returncode:
            raise SystemExit(f"{folder}: ended with {process.returncode}; see printed.txt there")
        return None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return moment


def partial_files(folder: Path) -> bool:
    """Whether a file is being written under a temporary name."""
    return any(mark in name for _, _, names in os.walk(folder) for name in names for mark in UNFINISHED)


def fingerprints(folder: Path, results: tuple[str, ...]) -> dict[str, str]:
    """Return a checksum of every file that must be equal."""
    found: dict[str, str] = {}
    for result in results:
        path = folder / result
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            compared = file.name not in UNCOMPARED and not file.name.endswith(LOCK) and "checkpoints" not in file.parts
            if file.is_file() and compared:
                found[str(file.relative_to(folder))] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def leftovers(folder: Path) -> list[str]:
    """Name what a finished run should have cleared away."""
    return [
        str(path.relative_to(folder)) for path in folder.rglob("*") if any(mark in path.name for mark in UNFINISHED)
    ]


@dataclass
class Redone:
    """Steps that were trained again.

    Attributes:
        each: For every process that trained, the most steps that one part of the run did again.
        total: All of them.
        finished: Those of parts that had been finished before.
    """

    each: list[int]
    total: int
    finished: int


def redone(trace: str) -> Redone:
    """Count the steps that were trained more than once.

    Args:
        trace: Lines of run folder, process and step, as `step_trace.py` writes them, and of run folder, `FINISHED` and
            0 for each part that was done when a process began; in order.
    """
    furthest: dict[str, int] = {}
    again: dict[str, dict[str, int]] = {}
    done: set[str] = set()
    finished = 0
    for line in trace.splitlines():
        part, process, text = line.split("\t")
        if process == FINISHED:
            done.add(part)
            continue
        step, counts = int(text), again.setdefault(process, {})
        if step <= furthest.get(part, 0):
            counts[part] = counts.get(part, 0) + 1
            finished += part in done
        furthest[part] = max(furthest.get(part, 0), step)
    each = [max(counts.values(), default=0) for counts in again.values()]
    return Redone(each, sum(sum(counts.values()) for counts in again.values()), finished)


def note_finished(folder: Path) -> None:
    """Add to the trace which parts are done before a process begins."""
    with (folder / TRACE).open("a", encoding="utf-8") as handle:
        handle.writelines(f"{path.parent.absolute()}\t{FINISHED}\t0\n" for path in folder.rglob("metrics.json"))


def prepare(shared: Path) -> None:
    """Train the model that some workloads start from, and write two genomes."""
    rng = random.Random(0)
    for name, megabases, contigs in (("genome.fa", 0.05, 3), ("large.fa", 40, 5)):
        with (shared / name).open("w", encoding="ascii") as handle:
            for contig in range(contigs):
                handle.write(f">contig_{contig}\n")
                for _ in range(round(megabases * 1e6 / contigs / 80)):
                    handle.write("".join(rng.choices("ACGT", k=80)) + "\n")
    words = [*COMMON, "pretrain.epochs=1", "run.name=model_of_all", "classify.phases=[{epochs:2,lr:1e-2}]"]
    finish([*TRAIN, "stage=ulmfit", *words], shared)


def torture(workload: Workload, kills: int, folder: Path, seed: int) -> dict[str, object]:
    """Kill one workload so many times, in as many runs as it takes, and compare every run that gets to its end."""
    rng = random.Random(f"{seed} {workload.name}")
    whole = folder / "whole"
    seconds = finish(workload.words, whole)
    expected = fingerprints(whole, workload.results)
    row: dict[str, object] = {"seconds": round(seconds, 1), "files_compared": len(expected)}
    moments, tries, equal, runs, unequal = {"any": 0, "writing": 0}, 0, 0, 0, []
    costs, in_finished = [0], 0
    while sum(moments.values()) < kills:
        run_folder = folder / f"run_{tries}"
        tries += 1
        before = sum(moments.values())
        share = min(kills - sum(moments.values()), rng.randint(1, 4))
        for _ in range(share):
            moment = rng.choice(("any", "writing"))
            killed = kill_once(workload.words, run_folder, seconds, moment, rng)
            if killed is None:
                break
            moments[killed] += 1
        if sum(moments.values()) == before:  # it was done before the first kill: nothing to learn from
            shutil.rmtree(run_folder)
            continue
        runs += 1
        finish(workload.words, run_folder)
        found = fingerprints(run_folder, workload.results)
        different = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        left = leftovers(run_folder)
        again = redone((run_folder / TRACE).read_text(encoding="utf-8"))
        costs += again.each
        in_finished += again.finished
        if different or left or max(again.each, default=0) > EVERY or again.finished:
            cost = {"redone_by_each_start": again.each, "redone_in_finished_parts": again.finished}
            unequal.append({"run": run_folder.name, "different": different, "left_over": left, **cost})
        else:
            equal += 1
            shutil.rmtree(run_folder)
        sys.stderr.write(
            f"{workload.name}: {sum(moments.values())} of {kills} kills, {equal} of {runs} runs ended equal\n"
        )
    work = {
        "steps": len((whole / TRACE).read_text(encoding="utf-8").splitlines()),
        "redone_at_most_after_a_kill": max(costs),
        "redone_in_all": sum(costs),
        "redone_in_finished_parts": in_finished,
    }
    return {**row, "kills": sum(moments.values()), **moments, "runs": runs, "equal": equal, **work, "unequal": unequal}


def main() -> int:
    """Run what is asked for; exit with 1 if anything differed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="kills of all workloads together (default: 100)")
    parser.add_argument("--json", type=Path, help="write the results there")
    parser.add_argument("--only", help="workloads, separated by commas (default: all)")
    parser.add_argument("--ddp", action="store_true", help="train on two processes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="work there and leave it (default: a temporary folder)")
    options = parser.parse_args()
    base = options.folder or Path(tempfile.mkdtemp(prefix="kill_and_resume_"))
    base.mkdir(parents=True, exist_ok=True)
    shared = base / "shared"
    if not (shared / "outputs").exists():
        shared.mkdir(exist_ok=True)
        prepare(shared)
    if options.ddp:
        COMMON.append("trainer=ddp_sim")
    chosen = [item for item in workloads(shared) if not options.only or item.name in options.only.split(",")]
    if not chosen:
        parser.error(f"--only {options.only}: choose from {', '.join(item.name for item in workloads(shared))}")
    rows: dict[str, dict[str, object]] = {}
    for number, workload in enumerate(chosen):
        share = options.kills // len(chosen) + (number < options.kills % len(chosen))
        rows[workload.name] = torture(workload, share, base / workload.name, options.seed)
    whole = {
        "kills": sum(int(str(row["kills"])) for row in rows.values()),
        "runs": sum(int(str(row["runs"])) for row in rows.values()),
        "equal": sum(int(str(row["equal"])) for row in rows.values()),
        "steps_that_a_kill_may_cost": EVERY,
        "redone_at_most_after_a_kill": max(int(str(row["redone_at_most_after_a_kill"])) for row in rows.values()),
        "redone_in_finished_parts": sum(int(str(row["redone_in_finished_parts"])) for row in rows.values()),
        "processes": 2 if options.ddp else 1,
        "machine": platform.machine(),
        "workloads": rows,
    }
    text = json.dumps(whole, indent=2)
    sys.stdout.write(text + "\n")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(text + "\n", encoding="utf-8")
    bad = whole["equal"] != whole["runs"]
    if not bad and options.folder is None:
        shutil.rmtree(base)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
