"""Keep something for one process at a time; a lock ends with its process, however that ends."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


class HeldError(OSError):
    """Another process has the lock; the message says which."""


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a lock file while working.

    On Windows, which has no such locks, nothing is locked.

    Args:
        path: The lock file; it is made, and removed in the end.
        wait: Wait until the lock is free.

    Raises:
        HeldError: If another process has it, and `wait` is false.
        OSError: If the file cannot be made.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    while True:
        with path.open("a+", encoding="utf-8") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as error:
                handle.seek(0)
                raise HeldError(handle.read().strip() or "unknown") from error
            if not _stands_at(handle, path):  # its holder removed it while this process waited: others make a new one
                continue
            handle.truncate(0)
            handle.write(f"process {os.getpid()} on {platform.node()}\n")
            handle.flush()
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _stands_at(handle: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False
