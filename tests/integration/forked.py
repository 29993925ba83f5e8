"""Commands in processes that are forked from one that has imported everything: some six seconds less for each.

What runs is the same: a process of its own, with its own words, folder, environment and exit code. It finds itself as
the script that it runs. The further processes that it starts, as of a distributed run, are forked too, as many as were
asked for: they are its children, and know nothing of what it did before. Some things are shared or left out, because
they take most of the time that is left: baselines of the same sequences are fitted once for all commands of a test
process, the network among them in a few passes, Markov models look back on seven bases at most, intervals come from
few resamples, and pictures are drawn but not rendered unless that is asked for.
"""

import fcntl
import functools
import multiprocessing
import multiprocessing.util
import os
import pickle
import runpy
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from typing import Any
from unittest import mock

from pytorch_lightning.utilities import rank_zero_only
from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler

from gulmfit.evaluate import uncertainty
from gulmfit.evaluate.baselines import fits
from gulmfit.models import peer_cnn
from gulmfit.report import figures
from gulmfit.seq.simulate import markov

ROOT = Path(__file__).resolve().parents[2]
PRELOADED = ["tests.integration.warmed"]
ABOVE = 200  # file descriptors from here on are free
PASSES = 3  # over its training sequences, of the network among the baselines
DRAWS = 100  # of a bootstrap
WORDS = 4**8  # of a Markov model's largest table
SECONDS = 900.0  # a command hangs that takes longer: a busy machine makes one of ten seconds take minutes


@functools.cache
def _server() -> Any:
    """Return the context whose processes are forked from the server, which runs by then."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with mock.patch.dict(os.environ, PYTHONPATH=str(ROOT)):  # or it would not find what it preloads, and say nothing
        forkserver.ensure_running()
    return context


@functools.cache
def _shared() -> tempfile.TemporaryDirectory[str]:
    """Return the folder of the baselines that all commands share."""
    return tempfile.TemporaryDirectory()


class Forked:
    """A command in a process of its own, with as much of `subprocess.Popen` as tests ask for.

    Args:
        script: What to run; None for the command of `gulmfit.cli`.
        command: Its name.
        words: Of its command line.
        cwd: Folder that it stands in.
        environment: All of its environment.
        joined: Whether it is the head of a process group, and errors go where output goes.
        rendered: Whether pictures become SVG.
        thorough: Whether the network among the baselines, and intervals, take as long as for a user.
        further: How many of the processes that it starts are forked, too.
    """

    def __init__(
        self, script: Path | None, command: str, words: Sequence[str], cwd: Path, environment: Mapping[str, str],
        *, joined: bool = False, rendered: bool = False, thorough: bool = False, further: int = 0,
    ) -> None:  # fmt: skip
        self.args = [command, *words]
        self._folder = tempfile.TemporaryDirectory()
        self._printed = [Path(self._folder.name) / name for name in ("stdout", "stderr")[: 1 if joined else 2]]
        for path in self._printed:
            path.touch()
        arguments = (script, command, list(words), cwd, dict(environment), self._printed, rendered, thorough, further)
        self._process = _server().Process(target=_child, args=(*arguments, _shared().name))
        self._process.start()
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Return the exit code, less than 0 where a signal ended it; None while it runs."""
        return self.poll()

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        code: int | None = self._process.exitcode
        return code

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float = SECONDS) -> int | None:
        """Wait for its end, no longer than so many seconds, and return the exit code."""
        self._process.join(timeout)
        return self.poll()

    def communicate(self, timeout: float = SECONDS) -> tuple[str, str]:
        """Wait, and return what it printed.

        Raises:
            TimeoutError: If it does not end; it is killed.
        """
        if self.wait(timeout) is None:
            self._process.kill()
            raise TimeoutError(f"{' '.join(self.args)} takes more than {timeout:.0f} s")
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in self._printed]
        return texts[0], "".join(texts[1:])


def run_forked(
    script: Path | None,
    command: str,
    words: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    *,
    rendered: bool = False,
    further: int = 0,
) -> subprocess.CompletedProcess[str]:
    """Run a script, or else a command of `gulmfit.cli`, to its end; arguments as of `Forked`.

    Raises:
        TimeoutError: If it does not end.
    """
    process = Forked(script, command, words, cwd, environment, rendered=rendered, further=further)
    printed = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode or 0, *printed)


def forked_train(command: Sequence[str], env: Mapping[str, str]) -> Forked:
    """Stand for `subprocess.Popen` where what a test runs in its own process starts `python -c CODE ...` to train."""
    return Forked(None, "train", command[3:], Path.cwd(), env)


def start_torchrun(*words: str, cwd: Path, environment: Mapping[str, str]) -> Forked:
    """Start torchrun, whose two processes are forked as well; what all print, errors too, is one text."""
    script = Path(__file__).with_name("torchrun.py")
    return Forked(script, "torchrun", words, cwd, environment, joined=True, further=2)


def _child(
    script: Path | None, command: str, words: list[str], cwd: Path, environment: dict[str, str], printed: list[Path],
    rendered: bool, thorough: bool, further: int, shared: str,
) -> None:  # fmt: skip
    if len(printed) == 1:
        os.setsid()
    for number, path in enumerate([printed[0], printed[-1]], start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    if shown := environment.get("PYTHONWARNINGS"):  # read where Python starts
        warnings.simplefilter(shown)  # type: ignore[arg-type]
    sys.argv = [str(script or command), *words]
    code = f"import gulmfit.cli; gulmfit.cli.{command}()"
    if told := _hold_ready(further):
        script, code, sys.argv = told
    fits.cached = fitted_once(fits.cached, Path(shared))
    if not thorough:
        peer_cnn.MOST_TIMES, uncertainty.DRAWS, markov.MAX_WORDS = PASSES, DRAWS, WORDS
    if not rendered:
        figures.Sheet.svg = drawn_only  # type: ignore[method-assign]
    if script is not None:
        sys.path.insert(0, str(script.parent))
        runpy.run_path(str(script), run_name="__main__")
    else:
        exec(code, {"__name__": "__main__"})


def _hold_ready(count: int) -> tuple[Path | None, str, list[str]] | None:
    """Fork processes for those that the command will start: `python SCRIPT ...` and `python -c CODE ...`.

    Returns:
        None in the command itself. In each of the others, once it is needed: the script or None, the code, `sys.argv`.
    """
    ready: list[tuple[int, socket.socket]] = []
    for _ in range(count):
        mine, theirs = socket.socketpair()
        if not (pid := os.fork()):
            for _, other in [*ready, (0, mine)]:
                other.close()
            with theirs:  # its number may be needed
                told = socket.socket(fileno=fcntl.fcntl(theirs, fcntl.F_DUPFD, ABOVE))
            return _wait_for_work(told)
        theirs.close()
        ready.append((pid, mine))

    def begun(words: Sequence[str], cwd: str | None, environment: Any, apart: bool, given: Mapping[int, int]) -> int:
        pid, told = ready.pop(0)
        with told:
            socket.send_fds(told, [b"."], list(given.values()))
            work = list(map(str, words)), cwd, dict(environment or os.environ), apart, list(given)
            told.sendall(pickle.dumps(work))
            told.shutdown(socket.SHUT_WR)
            told.recv(1)
        return pid

    class Popen(subprocess.Popen):  # type: ignore[type-arg]
        def _execute_child(self, args: Any, *rest: Any) -> None:
            if not ready or isinstance(args, str) or args[0] != sys.executable:
                return super()._execute_child(args, *rest)  # type: ignore[misc,no-any-return]
            cwd, environment, pipes, apart = rest[4], rest[5], rest[9:15], rest[20]
            given = {1: pipes[3] if pipes[3] != -1 else 1, 2: pipes[5] if pipes[5] != -1 else 2}
            self.pid = begun(args[1:], cwd, environment, apart, given)
            self._child_created = True
            self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]

    spawnv_passfds = multiprocessing.util.spawnv_passfds  # type: ignore[attr-defined]

    def spawned(path: str, args: Sequence[Any], passed: Sequence[int]) -> int:
        """Start what `multiprocessing` starts anew: it finds its pipes at the numbers that its code names."""
        if not ready or "--multiprocessing-fork" not in args:
            return int(spawnv_passfds(path, args, passed))
        words = list(map(os.fsdecode, args))
        return begun(words[words.index("-c") :], None, None, False, {number: number for number in (1, 2, *passed)})

    for module in (subprocess, subprocess_handler):
        module.Popen = Popen  # type: ignore[attr-defined]
    multiprocessing.util.spawnv_passfds = spawned  # type: ignore[attr-defined]
    return None


def _wait_for_work(told: socket.socket) -> tuple[Path | None, str, list[str]]:
    """Wait to be told what to run, and be as if one had just been started for it; end where nobody asks any more."""
    _, descriptors, _, _ = socket.recv_fds(told, 1, 16)
    if not descriptors:
        os._exit(0)
    with told, told.makefile("rb") as handle:
        words, cwd, environment, apart, numbers = pickle.load(handle)
        moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, ABOVE) for descriptor in descriptors]
        for number, descriptor in zip(numbers, moved, strict=True):
            os.dup2(descriptor, number)
        for descriptor in {*descriptors, *moved} - {*numbers}:
            os.close(descriptor)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
        if apart:
            os.setsid()
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(cwd or ".")
        rank_zero_only.rank = int(environment.get("RANK", environment.get("LOCAL_RANK", 0)))  # as when it is imported
        words = words[words[0] == "-u" :]
        Path("/proc/self/comm").write_text(Path(words[0]).name)
        told.sendall(b".")
    return (None, words[1], words[:1] + words[2:]) if words[0] == "-c" else (Path(words[0]), "", words)


def drawn_only(sheet: figures.Sheet) -> str:
    """Stand for a picture that was drawn: what takes its place in a page that nobody looks at."""
    return "<svg></svg>" if sheet.axes else ""


def fitted_once(cached: Callable[..., Any], folder: Path | None = None) -> Callable[..., Any]:
    """Return what looks in a folder of all commands before it fits what the command's own folder does not have."""
    folder = folder or Path(_shared().name)

    def known(run: Callable[[], Any], cache_dir: Path | None, *rest: Any) -> Any:
        return cached(lambda: cached(run, folder, *rest), cache_dir, *rest)

    return known
