"""SHA-256 of files, remembered for as long as the files look unchanged, as git does for its index.

A corpus of gigabytes is so read whole once, and later starts look at its sizes and times only.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gulmfit.files import remove_unfinished, whole_file

MEMORY_NAME = "checksums.json"

# Two changes of a file within one tick of its file system's clock, two seconds at most, leave the same time behind.
_CLOCK_TICK_NS = 2_000_000_000

_Files = dict[str, tuple[int, int, str]]  # path: size in bytes, time of the last change in ns, SHA-256


@contextmanager
def checksums(folder: Path) -> Iterator[Callable[[Path], str]]:
    """Lend a function that gives the SHA-256 of a file in hexadecimal.

    It reads a file whose size or time of change is not the remembered one, and raises OSError where it cannot. What
    it learned is written to `folder` in the end, unless an exception ends it; a memory that is missing, damaged or
    cannot be written costs nothing but reading again. Several processes may share it.
    """
    known = _recall(folder)
    learned: _Files = {}

    def sha256(path: Path) -> str:
        name, state, now = str(path.resolve()), path.stat(), time.time_ns()
        size, changed, digest = known.get(name, (-1, -1, ""))
        if (size, changed) != (state.st_size, state.st_mtime_ns):
            with open(path, "rb") as handle:
                digest = hashlib.file_digest(handle, "sha256").hexdigest()
            # A file changed just now could change once more without showing it: it is read again next time.
            if now - state.st_mtime_ns > _CLOCK_TICK_NS:
                known[name] = learned[name] = (state.st_size, state.st_mtime_ns, digest)
        return digest

    yield sha256
    if learned:
        _remember(folder, learned)


def _recall(folder: Path) -> _Files:
    try:
        memory = json.loads((folder / MEMORY_NAME).read_bytes())
        files: _Files = memory["files"]
        return files if memory["sha256"] == _seal(files) else {}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _remember(folder: Path, learned: _Files) -> None:
    """Add to the memory, as other processes may have left it by now, and drop files that are gone."""
    files = {name: entry for name, entry in (_recall(folder) | learned).items() if os.path.exists(name)}
    if not folder.is_dir():
        return
    remove_unfinished(folder / MEMORY_NAME)
    with suppress(OSError), whole_file(folder / MEMORY_NAME, sync=False, kind=None) as unfinished:
        unfinished.write_text(json.dumps({"files": files, "sha256": _seal(files)}), encoding="utf-8")


def _seal(files: _Files) -> str:
    return hashlib.sha256(json.dumps(files).encode("utf-8")).hexdigest()
