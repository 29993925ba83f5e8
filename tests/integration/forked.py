"""Commands in processes that are forked from one that has imported everything: some four seconds less for each.

What runs is the same: a process of its own, with its own words, folder, environment and exit code. Commands that start
processes themselves do not belong here: these would look for the command that started them.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import gulmfit.cli

PRELOADED = ["gulmfit.train.runner", "gulmfit.commands.predict", "gulmfit.cli"]
SECONDS = 900.0  # a command hangs that takes longer: a busy machine makes one of ten seconds take minutes


def run_forked(
    script: Path | None, command: str, words: Sequence[str], cwd: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a script, or else a command of `gulmfit.cli`.

    Raises:
        TimeoutError: If it does not end.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with tempfile.TemporaryDirectory() as folder:
        printed = [Path(folder) / name for name in ("stdout", "stderr")]
        process = context.Process(target=_child, args=(script, command, list(words), cwd, dict(environment), printed))
        process.start()
        process.join(SECONDS)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"{command} {' '.join(words)} takes more than {SECONDS:.0f} s")
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in printed]
    return subprocess.CompletedProcess([command, *words], process.exitcode, *texts)


def _child(
    script: Path | None, command: str, words: list[str], cwd: Path, environment: dict[str, str], printed: list[Path]
) -> None:
    for number, path in enumerate(printed, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [str(script or command), *words]
    if script is not None:
        sys.path.insert(0, str(script.parent))
        runpy.run_path(str(script), run_name="__main__")
    else:
        getattr(gulmfit.cli, command)()
