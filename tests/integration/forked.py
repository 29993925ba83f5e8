"""Commands in processes that are forked from one that has imported everything: some six seconds less for each.

What runs is the same: a process of its own, with its own words, folder, environment and exit code. It finds itself as
the script that it runs, so the further processes of a distributed run are started as always. Two things are shared or
left out, because they take most of the time that is left: baselines of the same sequences are fitted once for all
commands of a test process, and pictures are drawn but not rendered unless that is asked for.
"""

import functools
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from typing import Any
from unittest import mock

import gulmfit.cli
from gulmfit.evaluate.baselines import fits
from gulmfit.report import figures

ROOT = Path(__file__).resolve().parents[2]
PRELOADED = ["tests.integration.warmed"]
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
    """

    def __init__(
        self, script: Path | None, command: str, words: Sequence[str], cwd: Path, environment: Mapping[str, str],
        *, joined: bool = False, rendered: bool = False,
    ) -> None:  # fmt: skip
        self.args = [command, *words]
        self._folder = tempfile.TemporaryDirectory()
        self._printed = [Path(self._folder.name) / name for name in ("stdout", "stderr")[: 1 if joined else 2]]
        for path in self._printed:
            path.touch()
        arguments = (script, command, list(words), cwd, dict(environment), self._printed, rendered, _shared().name)
        self._process = _server().Process(target=_child, args=arguments)
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
) -> subprocess.CompletedProcess[str]:
    """Run a script, or else a command of `gulmfit.cli`, to its end; arguments as of `Forked`.

    Raises:
        TimeoutError: If it does not end.
    """
    process = Forked(script, command, words, cwd, environment, rendered=rendered)
    printed = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode or 0, *printed)


def _child(
    script: Path | None, command: str, words: list[str], cwd: Path, environment: dict[str, str], printed: list[Path],
    rendered: bool, shared: str,
) -> None:  # fmt: skip
    if len(printed) == 1:
        os.setsid()
    for number, path in enumerate([printed[0], printed[-1]], start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [str(script or command), *words]
    fits.cached = fitted_once(fits.cached, Path(shared))
    if not rendered:
        figures.Sheet.svg = drawn_only  # type: ignore[method-assign]
    if script is not None:
        sys.path.insert(0, str(script.parent))
        runpy.run_path(str(script), run_name="__main__")
    else:
        getattr(gulmfit.cli, command)()


def drawn_only(sheet: figures.Sheet) -> str:
    """Stand for a picture that was drawn: what takes its place in a page that nobody looks at."""
    return "<svg></svg>" if sheet.axes else ""


def fitted_once(cached: Callable[..., Any], folder: Path | None = None) -> Callable[..., Any]:
    """Return what looks in a folder of all commands before it fits what the command's own folder does not have."""
    folder = folder or Path(_shared().name)

    def known(run: Callable[[], Any], cache_dir: Path | None, *rest: Any) -> Any:
        return cached(lambda: cached(run, folder, *rest), cache_dir, *rest)

    return known
