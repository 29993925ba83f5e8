"""Run cases of one target in one process: time, memory, lines that were reached, and what went wrong."""

import hashlib
import os
import random
import resource
import shutil
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from fuzz_mutate import Case, Mutator

import gulmfit
from gulmfit.errors import GulmfitError

PACKAGE = str(Path(gulmfit.__file__).parent)

HANG_SECONDS = 2.0  # of processor time, so that a busy machine makes no hang
MEMORY_MB = 1024  # beyond what the libraries of a target take
GROWTH_MB = 128  # of one case
MINIMISE_SECONDS = 3.0
GUIDED_SHARE = 0.1
LARGEST_CORPUS = 400
MOST_HANGS = 20  # of one target, which then is not fuzzed on


class HangError(BaseException):
    """A case that took too long; no `except Exception` may swallow it."""


@dataclass(frozen=True)
class Target:
    """What is fuzzed.

    Args:
        name: Its name.
        seeds: Gives good cases.
        read: Reads the files of a case, which lie in a folder, to the end. All that it may raise is a GulmfitError.
        tokens: Words that mean something in this format.
        watched: Files of the package whose lines are counted.
        weight: Its share of the cases, beside 1 for most.
        library: Module that is imported once for all targets that name it, since that takes seconds.
    """

    name: str
    seeds: Callable[[], list[Case]]
    read: Callable[[Path, Case], Any]
    tokens: Sequence[bytes] = ()
    watched: Sequence[str] = ()
    weight: float = 1.0
    library: str = ""


@dataclass
class Finding:
    """A case that ended otherwise than it may."""

    target: str
    kind: str
    detail: str
    case: Case = field(repr=False)

    @property
    def digest(self) -> str:
        """A name for its files."""
        return hashlib.sha256(repr(sorted(self.case.items())).encode()).hexdigest()[:12]

    def save(self, folder: Path) -> Path:
        """Write its files to a folder of its own, for `fuzz.py --replay`."""
        own = folder / self.target / self.digest
        own.mkdir(parents=True, exist_ok=True)
        for name, data in self.case.items():
            (own / name).write_bytes(data)
        return own


@dataclass
class Tally:
    """What came of the cases of a target."""

    cases: int = 0
    good: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    base_mb: float = 0.0
    peak_mb: float = 0.0
    lines: dict[str, list[int]] = field(default_factory=dict)


class Runner:
    """Run cases of a target in a folder, which should lie in memory.

    Args:
        target: What is fuzzed.
        folder: Empty; each case's files are written there and removed.
        remember: Called with a case before it runs, so that a crash of the process does not lose it.
    """

    def __init__(self, target: Target, folder: Path, remember: Callable[[Case], None] = lambda case: None) -> None:
        self.target, self.folder, self.remember = target, folder, remember
        self.reached: dict[CodeType, set[int]] = {}
        self._tracers: dict[int, tuple[CodeType, Any]] = {}  # by the identity of the code
        self._fresh = False

    def warm_up(self, seeds: Sequence[Case]) -> None:
        """Read good cases, in any time: libraries are imported now.

        Raises:
            ValueError: If one is refused.
        """
        for case in seeds:
            name, error = self.run(case, seconds=600.0)
            if name:
                raise ValueError(f"a seed of {self.target.name}, {list(case)}, is not good: {error!r}") from error

    def run(self, case: Case, seconds: float | None = None) -> tuple[str, BaseException | None]:
        """Read a case; return "" or the name of what was raised, and the exception where it may not be.

        Args:
            case: Files by name.
            seconds: Processor time that it may take; if given, the exception of a refusal is returned, too.
        """
        self.remember(case)
        timed, folder = seconds or HANG_SECONDS, self.folder
        for name, data in case.items():
            with open(folder / name, "wb", buffering=0) as handle:
                handle.write(data)
        try:
            # Again and again: the first might be raised where exceptions are swallowed, as in a destructor.
            signal.setitimer(signal.ITIMER_PROF, timed, 0.2)
            try:
                self.target.read(folder, case)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
        except GulmfitError as error:
            return type(error).__name__, error if seconds else None
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return type(error).__name__, error
        finally:
            with os.scandir(folder) as entries:
                for entry in entries:
                    shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)
        return "", None

    def run_guided(self, case: Case) -> tuple[str, BaseException | None, bool]:
        """Run a case and tell whether it reached a line of the package that none before it reached."""
        self._fresh = False
        sys.settrace(self._trace)
        try:
            name, error = self.run(case)
        finally:
            sys.settrace(None)
        return name, error, self._fresh

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        code = frame.f_code
        known = self._tracers.get(id(code))  # the hash of code itself is that of all that is in it
        if known is None:
            known = self._tracers[id(code)] = code, self._tracer(code)
        return known[1]

    def _tracer(self, code: CodeType) -> Any:
        """Return what notes the lines of a function of the package for as long as some were not reached."""
        if not code.co_filename.startswith(PACKAGE):
            return None
        lines = self.reached.setdefault(code, set())
        there = {line for _, _, line in code.co_lines() if line} - {code.co_firstlineno}

        def local(frame: FrameType, event: str, argument: object) -> Any:
            if event == "line" and frame.f_lineno not in lines:
                lines.add(frame.f_lineno)
                self._fresh = True
                if there and there <= lines:
                    self._tracers[id(code)] = code, None
            return local

        return local

    def lines(self) -> dict[str, list[int]]:
        """Count the lines inside functions that were reached, and those there are, in each watched file."""
        reached: dict[str, set[int]] = {}
        for code, numbers in self.reached.items():
            reached.setdefault(code.co_filename, set()).update(numbers)
        counted = {}
        for name in self.target.watched:
            path = f"{PACKAGE}/{name}"
            there = _function_lines(compile(Path(path).read_text(encoding="utf-8"), path, "exec"))
            counted[name] = [len(reached.get(path, set()) & there), len(there)]
        return counted


def fuzz_target(
    target: Target,
    cases: int,
    seed: int,
    folder: Path,
    *,
    until: float = float("inf"),
    remember: Callable[[Case], None] = lambda case: None,
    progress: Callable[[Tally], None] = lambda tally: None,
    known: set[str] | None = None,
) -> Tally:
    """Run a number of cases of a target, the first tenth of them guided by the lines that they reach.

    Args:
        target: What is fuzzed.
        cases: How many.
        seed: Of the mutations.
        folder: Where files go.
        until: Time, as `time.monotonic` tells it, at which to stop.
        remember: As for `Runner`.
        progress: Called now and then.
        known: Signatures of findings that are not worth another one.
    """
    seeds = target.seeds()
    mutator = Mutator(random.Random(f"{seed} {target.name}"), seeds, target.tokens)
    runner, tally, known = Runner(target, folder, remember), Tally(), known if known is not None else set()
    start = told = time.monotonic()
    with limits(lambda: runner.warm_up(seeds)):
        for case in seeds:
            runner.run_guided(case)
        tally.base_mb = tally.peak_mb = peak_mb()
        guided = min(cases, max(200, int(cases * GUIDED_SHARE)))
        while tally.cases < cases and time.monotonic() < until and tally.errors["HangError"] < MOST_HANGS:
            case = mutator.draw()
            if tally.cases < guided:
                name, error, fresh = runner.run_guided(case)
                if fresh and error is None and len(mutator.corpus) < LARGEST_CORPUS:
                    mutator.corpus.append(case)
            else:
                name, error = runner.run(case)
            tally.cases += 1
            tally.errors[name] += 1
            peak = peak_mb()
            if error is not None and (signature := _signature(error)) not in known:
                known.add(signature)
                small = minimised(runner, case, signature)
                tally.findings.append(Finding(target.name, name, describe(error), small))
            elif peak - tally.peak_mb > GROWTH_MB:
                detail = f"memory grew from {tally.peak_mb:.0f} to {peak:.0f} MB"
                tally.findings.append(Finding(target.name, "memory", detail, case))
            tally.peak_mb = peak
            if (now := time.monotonic()) - told > 0.5:
                tally.seconds, told = now - start, now
                progress(tally)
    tally.good = tally.errors.pop("", 0)
    tally.seconds = time.monotonic() - start
    tally.lines = runner.lines()
    return tally


@contextmanager
def limits(warm_up: Callable[[], None]) -> Iterator[None]:
    """Bound time and memory of this process while cases run; memory is counted from after the warming up."""
    if threading.current_thread() is not threading.main_thread():
        raise ValueError("signals reach the main thread only")
    handler = signal.signal(signal.SIGPROF, _hang)
    before = resource.getrlimit(resource.RLIMIT_AS)
    try:
        warm_up()
        if sys.platform == "linux":
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            wanted = pages * resource.getpagesize() + (MEMORY_MB << 20)
            resource.setrlimit(resource.RLIMIT_AS, (wanted, before[1]))
        yield
    finally:
        signal.signal(signal.SIGPROF, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


def _hang(number: int, frame: FrameType | None) -> None:
    raise HangError(f"still running after {HANG_SECONDS} s")


def minimised(runner: Runner, case: Case, signature: str) -> Case:
    """Make a case smaller that fails in the same way: leave out stretches of its files, half of them first."""
    end = time.monotonic() + MINIMISE_SECONDS

    def fails(candidate: Case) -> bool:
        _, error = runner.run(candidate)
        return error is not None and _signature(error) == signature

    for name in case:
        size = len(case[name]) // 2
        while size and time.monotonic() < end:
            at = 0
            while at < len(case[name]) and time.monotonic() < end:
                shorter = {**case, name: case[name][:at] + case[name][at + size :]}
                if fails(shorter):
                    case = shorter
                else:
                    at += size
            size //= 2
    return case


def describe(error: BaseException) -> str:
    """Tell an exception and where in the package it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(PACKAGE)]
    where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in own[:-4:-1])
    return f"{type(error).__name__}: {str(error)[:200]} ({where})"


def _signature(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(PACKAGE)]
    last = frames[-1] if frames else None
    if isinstance(error, HangError):  # stopped anywhere inside what hangs
        last = frames[0] if frames else None
    return f"{type(error).__name__} {last.filename if last else ''} {last.name if last else ''}"


def peak_mb() -> float:
    """Return the most memory that this process has held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024


def _function_lines(code: CodeType, inside: bool = False) -> set[int]:
    lines = {line for _, _, line in code.co_lines() if line} - {code.co_firstlineno} if inside else set()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            named = constant.co_name[0] != "<" or inside
            # A class's body runs when its file is imported, and is not a function of its own.
            body = named and not constant.co_flags & 0x02
            lines |= _function_lines(constant, inside=named and not body)
    return lines
