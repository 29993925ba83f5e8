"""SHA-256 of files, remembered for as long as the files look unchanged, as git does for its index.

A corpus of gigabytes is so read whole once, and later starts look at the file's entry only: its size, the times of the
last change of its content and of its entry, and its number in the file system. A program can set the first time and
replace a file by one of the same size; it cannot set the second, and a file that took another's place has a number of
its own.
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

_Look = list[int]  # size in bytes, mtime and ctime in ns, inode
_Files = dict[str, tuple[_Look, str]]  # path: how the file looked, SHA-256


@contextmanager
def checksums(folder: Path) -> Iterator[Callable[[Path], str]]:
    """Lend a function that gives the SHA-256 of a file in hexadecimal.

    It reads a file that does not look as it is remembered, and raises OSError where it cannot. What it learned is
    written to `folder` in the end, unless an exception ends it; a memory that is missing, damaged or cannot be written
    costs nothing but reading again. Several processes may share it.
    """
    known = _recall(folder)
    learned: _Files = {}

    def sha256(path: Path) -> str:
        name, now = str(path.resolve()), time.time_ns()
        look = _look(path.stat())
        before, digest = known.get(name, ([], ""))
        if before != look:
            with open(path, "rb") as handle:
                digest = hashlib.file_digest(handle, "sha256").hexdigest()
                same = _look(os.fstat(handle.fileno())) == look
            # A file changed just now could change once more without showing it: it is read again next time.
            if same and now - max(look[1:3]) > _CLOCK_TICK_NS:
                known[name] = learned[name] = (look, digest)
        return digest

    yield sha256
    if learned:
        _remember(folder, learned)


def _look(state: os.stat_result) -> _Look:
    return [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]


def _recall(folder: Path) -> _Files:
    try:
        memory = json.loads((folder / MEMORY_NAME).read_bytes())
        files: _Files = memory["files"]
        whole = memory["sha256"] == _seal(files) and all(isinstance(look, list) for look, _ in files.values())
        return files if whole else {}
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
