"""Read millions of hostile files with every reader of the package, and tell what went wrong.

    python scripts/fuzz.py --cases 1000000 --json fuzz.json --jobs 2
    python scripts/fuzz.py --cases 50000 --only vcf,bed --seed 7
    python scripts/fuzz.py --replay
    python scripts/fuzz.py --rules --cases 200000

A reader may refuse a file with one of `gulmfit.errors`, and nothing else: another exception, more than 2 s of processor
time, more than 128 MB for a file of 64 kB, or a crash is a finding. It is made smaller and kept in
`tests/fuzz/findings/TARGET/`, where the tests read it again ever after. `--rules` checks instead, in this process, that
nothing is silently different from what was given (`scripts/fuzz_rules.py`). Ends with 0 if nothing was found, else 1.
"""

import argparse
import faulthandler
import importlib
import json
import logging
import math
import mmap
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from fuzz_engine import Finding, Runner, Tally, Target, describe, fuzz_target, limits
from fuzz_mutate import Case
from fuzz_rules import find_rules, report_rules, run_rules
from fuzz_targets import TARGETS

FINDINGS = Path(__file__).resolve().parents[1] / "tests" / "fuzz" / "findings"
STALL_SECONDS = 60.0  # without a word from a process that is to report twice a second
MOST_CRASHES = 10  # of one target
_MEMORY_BYTES = 1 << 22


@dataclass
class Work:
    """One target, from its first process to its last; a crash needs another one."""

    target: Target
    cases: int
    seed: int
    done: Tally = field(default_factory=Tally)
    now: Tally = field(default_factory=Tally)
    crashes: int = 0
    process: BaseProcess | None = None
    heard: float = 0.0
    last_case: mmap.mmap | None = None
    known: set[str] = field(default_factory=set)

    @property
    def count(self) -> int:
        """Cases that were run."""
        return self.done.cases + self.now.cases


def fuzz(
    targets: Sequence[Target],
    cases: int,
    *,
    seed: int = 0,
    jobs: int = 1,
    minutes: float | None = None,
    stall: float = STALL_SECONDS,
    quiet: bool = True,
) -> dict[str, Any]:
    """Fuzz targets, each in a process of its own.

    Args:
        targets: What to fuzz; `cases` are dealt out by their weights.
        cases: In all.
        seed: Of the mutations.
        jobs: Processes at once.
        minutes: To stop after.
        stall: Seconds without a word after which a process hangs where no exception reaches it.
        quiet: Show no progress.

    Returns:
        What `--json` writes, and under "found" the findings themselves.
    """
    context = multiprocessing.get_context("fork")
    start = time.monotonic()
    until = start + minutes * 60 if minutes else float("inf")
    total = sum(target.weight for target in targets)
    waiting = [Work(target, math.ceil(cases * target.weight / total), seed) for target in targets]
    waiting.sort(key=lambda work: bool(work.target.library))  # small processes first: each has what is imported by then
    all_work, running = list(waiting), dict[Connection, Work]()
    shown = 0.0
    while waiting or running:
        while waiting and len(running) < jobs:
            work = waiting.pop(0)
            receiver, sender = context.Pipe(duplex=False)
            work.last_case = mmap.mmap(-1, _MEMORY_BYTES)
            share = until
            if minutes and work.crashes == 0:  # what is left, shared with those that wait
                left = max(0.0, until - time.monotonic())
                share = time.monotonic() + left * jobs / (len(waiting) + len(running) + 1)
            if work.target.library:
                importlib.import_module(work.target.library)
            work.process = context.Process(target=_work, args=(work, sender, min(share, until)))
            work.process.start()
            sender.close()
            work.heard = time.monotonic()
            running[receiver] = work
        for receiver in wait(list(running), timeout=0.5):
            work = running[receiver]  # type: ignore[index]
            try:
                message, finished = receiver.recv()  # type: ignore[union-attr]
            except (EOFError, OSError):
                _crashed(work, f"the process ended: {_exit(work)}")
            else:
                if isinstance(message, str):
                    raise RuntimeError(f"{work.target.name}: {message}")
                work.now, work.heard = message, time.monotonic()
                if not finished:
                    continue
                _add(work.done, work.now)
                work.now = Tally()
            _ended(work, receiver, running, waiting)  # type: ignore[arg-type]
        for receiver, work in list(running.items()):
            if time.monotonic() - work.heard > stall and work.process is not None:
                work.process.kill()
                _crashed(work, f"HangError: no sign of life for {stall:.0f} s")
                _ended(work, receiver, running, waiting)
        if not quiet and time.monotonic() - shown > 2:
            shown = time.monotonic()
            _show(all_work, start, until)
    return _summary(all_work, time.monotonic() - start, seed)


def _work(work: Work, sender: Connection, until: float) -> None:
    """Fuzz in a process of its own, which reports what it does and may die."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    logging.disable(logging.CRITICAL)
    faulthandler.disable()
    # Libraries in C say a lot about damaged files.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    last = work.last_case

    def remember(case: Case) -> None:
        packed = pickle.dumps(case)
        if last is not None and len(packed) + 8 <= len(last):
            last[:8] = len(packed).to_bytes(8, "little")
            last[8 : 8 + len(packed)] = packed

    try:
        with tempfile.TemporaryDirectory(dir=_memory_folder()) as folder:
            tally = fuzz_target(
                work.target, work.cases - work.done.cases, work.seed + 1000 * work.crashes, Path(folder),
                until=until, remember=remember, progress=lambda tally: sender.send((tally, False)), known=work.known,
            )  # fmt: skip
    except Exception:  # a mistake of the harness, or of a target
        sender.send((traceback.format_exc(), True))
    else:
        sender.send((tally, True))


def _crashed(work: Work, what: str) -> None:
    """Take up the case that ended a process."""
    last = work.last_case
    size = int.from_bytes(last[:8], "little") if last is not None else 0
    if last is not None and size:
        work.now.findings.append(Finding(work.target.name, "crash", what, pickle.loads(last[8 : 8 + size])))
    else:
        work.now.findings.append(Finding(work.target.name, "crash", f"{what}, before the first case", {}))
        work.crashes = MOST_CRASHES
    work.crashes += 1
    work.now.cases += 1
    _add(work.done, work.now)
    work.now, work.process = Tally(), None


def _exit(work: Work) -> str:
    if work.process is None:
        return "unknown"
    work.process.join(5)
    code = work.process.exitcode
    return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"


def _ended(work: Work, receiver: Connection, running: dict[Connection, Work], waiting: list[Work]) -> None:
    if work.process is not None:
        work.process.join()
    work.process = None
    running.pop(receiver, None)
    receiver.close()
    if work.last_case is not None:
        work.last_case.close()
        work.last_case = None
    crashed = bool(work.done.findings) and work.done.findings[-1].kind == "crash"
    if crashed and work.crashes < MOST_CRASHES and work.count < work.cases:
        waiting.append(work)


def _add(total: Tally, part: Tally) -> None:
    total.cases += part.cases
    total.good += part.good
    total.errors.update(part.errors)
    total.findings += part.findings
    total.seconds += part.seconds
    total.base_mb, total.peak_mb = max(total.base_mb, part.base_mb), max(total.peak_mb, part.peak_mb)
    for name, (reached, there) in part.lines.items():
        total.lines[name] = [max(reached, total.lines.get(name, [0])[0]), there]


def _memory_folder() -> str | None:
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() and os.access(shared, os.W_OK) else None


def _show(all_work: Iterable[Work], start: float, until: float) -> None:
    works = list(all_work)
    count, wanted = sum(work.count for work in works), sum(work.cases for work in works)
    seconds = time.monotonic() - start
    rate = count / seconds if seconds else 0.0
    left = min((wanted - count) / rate if rate else 0.0, until - time.monotonic())
    found = sum(len(work.done.findings) + len(work.now.findings) for work in works)
    names = ", ".join(work.target.name for work in works if work.process is not None)
    told = f"{count:,} of {wanted:,} cases, {rate:,.0f}/s, about {left / 60:.1f} min left, {found} findings: {names}"
    print(f"\r{told}\x1b[K", end="", file=sys.stderr, flush=True)


def _summary(all_work: Sequence[Work], seconds: float, seed: int) -> dict[str, Any]:
    targets = {}
    for work in all_work:
        tally = work.done
        hangs = sum("HangError" in finding.detail for finding in tally.findings)
        grown = sum(finding.kind == "memory" for finding in tally.findings)
        targets[work.target.name] = {
            "cases": tally.cases,
            "cases_per_second": round(tally.cases / tally.seconds) if tally.seconds else 0,
            "read": tally.good,
            "refused": {name: count for name, count in sorted(tally.errors.items()) if _is_ours(name)},
            "unexpected": len(tally.findings) - hangs - grown,
            "hangs": hangs,
            "too_much_memory": grown,
            "findings": [f"{finding.digest}: {finding.detail}" for finding in tally.findings],
            "base_mb": round(tally.base_mb),
            "peak_mb": round(tally.peak_mb),
            "lines": tally.lines,
        }
    return {
        "seed": seed,
        "cases": sum(row["cases"] for row in targets.values()),
        "seconds": round(seconds, 1),
        "unexpected": sum(row["unexpected"] for row in targets.values()),
        "hangs": sum(row["hangs"] for row in targets.values()),
        "growth_mb": max((row["peak_mb"] - row["base_mb"] for row in targets.values()), default=0),
        "peak_mb": max((row["peak_mb"] for row in targets.values()), default=0),
        "targets": targets,
        "found": [finding for work in all_work for finding in work.done.findings],
    }


def _is_ours(name: str) -> bool:
    import gulmfit.errors

    return hasattr(gulmfit.errors, name)


def replay(folder: Path, targets: Iterable[Target]) -> list[str]:
    """Read every kept finding again; return what is still wrong."""
    wrong = []
    for target in targets:
        if not (kept := sorted((folder / target.name).glob("*"))):
            continue
        with tempfile.TemporaryDirectory(dir=_memory_folder()) as place:
            runner = Runner(target, Path(place))
            seeds = target.seeds()
            with limits(lambda runner=runner, seeds=seeds: runner.warm_up(seeds)):  # type: ignore[misc]
                for finding in kept:
                    _, error = runner.run({path.name: path.read_bytes() for path in finding.iterdir()})
                    if error is not None:
                        wrong.append(f"{finding.relative_to(folder)}: {describe(error)}")
    return wrong


def main() -> None:
    """Parse the words and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000, help="cases in all (100000)")
    parser.add_argument("--only", default="", help="targets, or with --rules rules, with commas between them")
    parser.add_argument("--rules", action="store_true", help="check the rules of scripts/fuzz_rules_*.py")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    parser.add_argument("--minutes", type=float, help="stop after so long")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    parser.add_argument("--replay", action="store_true", help="read the kept findings again, and nothing else")
    parser.add_argument("--findings", type=Path, default=FINDINGS, help="folder of findings")
    words = parser.parse_args()
    if words.rules:
        rules = find_rules(words.only)
        found_rules = run_rules(rules, words.cases, words.seed, words.minutes, _memory_folder())
        sys.exit(report_rules(found_rules, words.seed, words.json))
    targets = list(TARGETS)
    if words.only:
        chosen = words.only.split(",")
        if unknown := set(chosen) - {target.name for target in targets}:
            parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(t.name for t in targets)}")
        targets = [target for target in targets if target.name in chosen]
    if words.replay:
        logging.disable(logging.CRITICAL)
        wrong = replay(words.findings, targets)
        print("\n".join(wrong) or "every finding is read or refused as it should be")
        sys.exit(bool(wrong))
    summary = fuzz(
        targets, words.cases, seed=words.seed, jobs=words.jobs, minutes=words.minutes, quiet=not sys.stderr.isatty()
    )
    found: list[Finding] = summary.pop("found")
    for finding in found:
        print(f"{finding.save(words.findings)}: {finding.detail}")
    for name, row in summary["targets"].items():
        lines = ", ".join(f"{file} {reached}/{there}" for file, (reached, there) in row["lines"].items())
        print(
            f"{name:13} {row['cases']:>9,} cases {row['cases_per_second']:>6,}/s  {len(row['findings'])} findings  "
            f"{row['peak_mb']} MB (+{row['peak_mb'] - row['base_mb']})  lines: {lines}"
        )
    print(
        f"{summary['cases']:,} cases in {summary['seconds']} s: {summary['unexpected']} unexpected, {summary['hangs']} "
        f"hangs, at most {summary['peak_mb']} MB, {summary['growth_mb']} MB more than before the first case"
    )
    if words.json:
        words.json.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
