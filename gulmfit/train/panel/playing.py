"""Runs that are planned first and then played, each as a process of its own: what is finished is skipped.

A run that dies, of whatever, takes no other with it. Its folder says how far it came: the same words continue it.
"""

import json
import logging
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from omegaconf import DictConfig

from gulmfit.config import compose, plain, read_plain, validate
from gulmfit.errors import ConfigError, StoppedError
from gulmfit.overrides import overrides_for_hydra
from gulmfit.train.recipe import settle
from gulmfit.train.run import CONFIG, METRICS

logger = logging.getLogger(__name__)

# What does not decide the results of a run.
ASIDE = ("resume", "overwrite", "callbacks", "checkpoint", "paths", "logger")
QUIET = ["trainer.enable_progress_bar=false", "resume=auto"]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
STOPPED = 75  # the exit status of a run that a signal ended, and that is saved
_SAID = 2_000  # letters of what a run that failed has said last


@dataclass(frozen=True)
class PlannedRun:
    """One `python train.py`.

    Attributes:
        name: `run.name`.
        part: What it is within its set; empty where it is the whole set.
        words: Its overrides.
        config: As composed from them.
    """

    name: str
    part: str
    words: list[str]
    config: DictConfig

    @property
    def folder(self) -> Path:
        """Its run folder."""
        return Path(str(self.config.paths.run_dir))

    @property
    def command(self) -> list[str]:
        """What a shell is given."""
        return ["python", "train.py", *self.words]

    def finished(self) -> bool:
        """Tell whether its results are there.

        Raises:
            ConfigError: If its folder has those of other settings.
        """
        before = self.folder / CONFIG
        if not before.is_file():
            return False
        then, now = (_settings(config) for config in (read_plain(before), self.config))
        then = {**_defaults(), **then}  # a key that an earlier state did not have was at its default
        if different := [key for key in {**then, **now} if then.get(key) != now.get(key)]:
            raise ConfigError(
                f"{self.folder} was run with other settings than these (see {', '.join(sorted(different))} in its "
                "config.yaml). Choose another name or output folder, or remove that folder."
            )
        return (self.folder / METRICS).is_file()

    def results(self) -> dict[str, Any]:
        """Read its `metrics.json`."""
        content: dict[str, Any] = json.loads((self.folder / METRICS).read_text(encoding="utf-8"))
        return content


def plan(name: str, part: str, words: Sequence[str]) -> PlannedRun:
    """Compose a run.

    Raises:
        ConfigError: If its words have a mistake.
    """
    given = overrides_for_hydra(words)
    says = logging.getLogger(settle.__module__)  # the run itself says what its recipe chooses
    level = says.level
    says.setLevel(logging.WARNING)
    try:
        config = settle(compose(given), given)
    finally:
        says.setLevel(level)
    validate(config)
    return PlannedRun(name, part, list(words), config)


def play(
    run: PlannedRun,
    place: str,
    started: "Started",
    *,
    options: Sequence[str],
    environment: Mapping[str, str],
    quiet: bool,
) -> str:
    """Bring a run to its end, and return why there are no results; an empty text if there are.

    Args:
        run: What to play.
        place: Which of how many it is, for the log.
        started: Where its process is noted while it runs.
        options: Hydra's own, such as --config-dir.
        environment: Variables to set.
        quiet: Whether its log stays in its folder.
    """
    try:
        if run.finished():
            logger.info("── %s (%s): already there ──", run.name, place)
            return ""
    except ConfigError as error:
        return str(error)
    logger.info("%s── %s (%s) ──\n%s", "" if quiet else "\n", run.name, place, shlex.join(run.command))
    start = time.perf_counter()
    pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} if quiet else {}
    command = [sys.executable, "-c", "from gulmfit.cli import train; train()", *options, *run.words]
    process = subprocess.Popen(command, env={**os.environ, **environment}, **pipes)
    started.add(process)
    said = (process.communicate()[1] or b"").decode("utf-8", "replace").strip()
    logger.info("── %s: %.0f s ──", run.name, time.perf_counter() - start)
    status = process.returncode
    told = f"exit status {status}" + (f": {said[-_SAID:]}" if said else "")
    return told if status else ""


class Started:
    """The processes that run at the moment; all are told to stop where this one is."""

    def __init__(self) -> None:
        self.stopped = 0
        self._processes: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()

    def add(self, process: "subprocess.Popen[bytes]") -> None:
        """Note a process that has begun; where all were told to stop already, it is as well."""
        with self._lock:
            self._processes.append(process)
        if self.stopped:
            self._signal(process)

    def stop(self, number: int, frame: FrameType | None = None) -> None:
        """Tell all to stop: each saves and ends."""
        self.stopped = number
        for process in list(self._processes):
            self._signal(process)

    @staticmethod
    def _signal(process: "subprocess.Popen[bytes]") -> None:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)


def play_all(
    runs: Sequence[PlannedRun], workers: int, options: Sequence[str] = (), *, quiet: bool = True
) -> dict[str, str]:
    """Play runs, so many at a time, and return why some have no results, by their names.

    Args:
        runs: In order.
        workers: Processes at a time; if several, each has one thread.
        options: Hydra's own, for each of them.
        quiet: Whether their logs stay in their folders.

    Raises:
        StoppedError: If this process was told to stop; what the runs did is saved.
    """
    started, environment = Started(), ONE_THREAD if workers > 1 else {}

    def one(at: int, run: PlannedRun) -> str:
        if started.stopped:
            return "not begun"
        place = f"{at} of {len(runs)}"
        return play(run, place, started, options=options, environment=environment, quiet=quiet)

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, started.stop) if main else None
    try:
        with ThreadPoolExecutor(workers) as pool:
            waiting = {run.name: pool.submit(one, at, run) for at, run in enumerate(runs, start=1)}
            try:
                told = {name: future.result() for name, future in waiting.items()}
            except BaseException:  # Ctrl-C
                started.stop(signal.SIGTERM)
                raise
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)
    if started.stopped:
        raise StoppedError("the runs were stopped and are saved. The same command goes on.")
    return {name: why for name, why in told.items() if why}


def own_config_folders() -> list[str]:
    """Return the words that name the user's own folder of configuration, as the command line had them."""
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized():
        return []
    sources = HydraConfig.get().runtime.config_sources
    return [word for one in sources if one.provider == "command-line" for word in ("--config-dir", str(Path(one.path)))]


@cache
def _defaults() -> dict[str, Any]:
    return _settings(compose([]))


def _settings(config: DictConfig) -> dict[str, Any]:
    return {key: value for key, value in plain(config).items() if key not in ASIDE}
