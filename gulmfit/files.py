"""Write files and folders: whole or not at all, never over what is read, and one command at a time.

What is written has a temporary name, `.NAME.PID-RANDOM.unfinished.SUFFIX` in the same folder, until it is complete, and
takes its own name by a rename: readers see the old content or the new one. A link stays, and what it leads to is
replaced. A process that was killed leaves its temporary file; whoever holds the lock of that output next removes it.
"""

import errno
import glob
import hashlib
import importlib
import os
import platform
import re
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO

from gulmfit.errors import CheckpointError, ConfigError, DataError, GulmfitError

_TEMPORARY = re.compile(r"\.(\d+)-[0-9a-f]{8}\.unfinished(\.[^.]*)?$")
# In bytes: nearly every file system allows names of 255, and a temporary one is longer than its own.
_LONGEST_STEM, _LONGEST_SUFFIX = 200, 16

_WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}  # file systems that have none
_ADVICE = {
    errno.EACCES: "You lack the permission. Ask the owner of the folder for it, or choose another output=",
    errno.EPERM: "You lack the permission. Ask the owner of the folder for it, or choose another output=",
    errno.EROFS: "This file system can only be read. Choose an output on another",
    errno.ENOSPC: "The disk is full. Free space or choose another output=",
    errno.EDQUOT: "Your share of the disk is full. Free space or choose another output=",
    errno.ENAMETOOLONG: "Choose a shorter name for the output",
    errno.ENOTDIR: "A file stands where a folder is needed. Choose another output=",
}


@contextmanager
def whole_file(path: Path, *, sync: bool = True, kind: type[GulmfitError] | None = DataError) -> Iterator[Path]:
    """Lend an empty temporary file with the same suffix; what it holds in the end takes the path's name.

    On any failure neither is left, and an older file stays. Its permissions are those that the umask gives, whatever a
    library makes of them.

    Args:
        path: The file; its folder is made.
        sync: Have the content on the disk before the rename, so that it outlives a power cut.
        kind: What is raised where the file cannot be written; None to let OSError through.

    Raises:
        GulmfitError: If the file cannot be written.
    """
    target = _real(path)
    with _told(path, kind):
        _check_replaceable(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = _temporary(target)
        mode = _create(unfinished)
    try:
        with _told(path, kind, unfinished):
            yield unfinished
        with _told(path, kind):
            _finish(unfinished, mode, sync)
            os.replace(unfinished, target)
            if sync:
                _sync_folder(target.parent)
    finally:
        with suppress(OSError):  # missing, most of the time; and no clean-up hides what went wrong before
            unfinished.unlink()


def write_whole(path: Path, content: str | bytes, *, kind: type[GulmfitError] | None = DataError) -> None:
    """Write text, as UTF-8, or bytes as `whole_file` does; line ends stay as they are."""
    with whole_file(path, kind=kind) as unfinished:
        unfinished.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Lend an empty temporary folder; it takes the path's name when the block ends without an error.

    On any failure nothing is left.

    Raises:
        CheckpointError: If `path` is a file or holds something already, or cannot be written.
    """
    target = _real(path)
    with _told(path, CheckpointError):
        if os.path.lexists(target) and (not target.is_dir() or any(target.iterdir())):
            raise CheckpointError(f"output={path} is there already and would be mixed or lost. Name a new folder.")
        unfinished = _temporary(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished.mkdir()
    try:
        with _told(path, CheckpointError, unfinished), _lock(path, target):
            yield unfinished
        with _told(path, CheckpointError):
            mode = stat.S_IMODE(unfinished.stat().st_mode) & 0o666
            for file in unfinished.rglob("*"):
                if file.is_file():
                    _finish(file, mode, sync=True)
            if target.is_dir():
                target.rmdir()
            os.replace(unfinished, target)
            _sync_folder(target.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def claimed(outputs: Iterable[str | Path], inputs: Iterable[str | Path]) -> Iterator[None]:
    """Make sure, before any work, that files can be written, and keep them for this process while it works.

    Args:
        outputs: Every file that will be written; folders are made.
        inputs: Every file that is read, also as a pattern; a folder stands for every file below it.

    Raises:
        ConfigError: An output is also read, by whatever path or link, or is named twice.
        DataError: An output cannot be written, or another process is writing it.
    """
    written = [Path(path) for path in outputs]
    check_apart(written, inputs)
    with ExitStack() as held:
        for path in sorted(written):
            held.enter_context(_held(path))
        yield


def check_apart(outputs: Iterable[str | Path], inputs: Iterable[str | Path]) -> None:
    """Raise ConfigError where something is written over what is read, or twice: by path, link or hard link."""
    read = {key: file for path in inputs if str(path) for file in _named(path) for key in _identities(file)}
    seen: set[object] = set()
    for path in outputs:
        keys = _identities(Path(path))
        if same := next((read[key] for key in keys if key in read), None):
            also = "" if str(same) == str(path) else f", which is {same},"
            raise ConfigError(f"output={path}{also} is read by this command and would be lost. Name another file.")
        if seen & keys:
            raise ConfigError(f"output={path}: two outputs have this name. Give each its own.")
        seen |= keys


def cannot_be_written(path: Path, error: object, kind: type[GulmfitError] = DataError) -> GulmfitError:
    """Say that a file cannot be written, and what to do."""
    number = error.errno if isinstance(error, OSError) else None
    reason = os.strerror(number) if number else error
    advice = _ADVICE.get(number or 0, "Free space or choose another output=")
    return kind(f"{path} cannot be written: {reason}. {advice}.")


def config_dir() -> Path:
    """Return the folder of the configuration tree: beside the package in a checkout, `gulmfit.conf` when installed."""
    beside = Path(__file__).resolve().parent.parent / "conf"
    if (beside / "train.yaml").is_file():
        return beside
    conf = importlib.import_module("gulmfit.conf")
    return Path(str(conf.__file__)).parent


def hidden(path: Path, ending: str) -> Path:
    """Return a name beside a file, `.NAME` and an ending; a long name is told by its digest."""
    name = os.fsencode(path.name)
    stem = path.name if len(name) <= _LONGEST_STEM else hashlib.sha256(name).hexdigest()[:32]
    return path.with_name(f".{stem}{ending}")


def remove_unfinished(path: Path) -> None:
    """Remove what processes that are gone left of a file, or of all files in a folder.

    Hold a lock where another computer may be writing there.
    """
    target = _real(path)
    folder, name = (target, None) if target.is_dir() else (target.parent, hidden(target, "").name)
    with suppress(OSError):
        for file in folder.iterdir():
            found = _TEMPORARY.search(file.name)
            if found and name in (None, file.name[: found.start()]) and not _lives(int(found[1])):
                shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Make sure that an output can be written, and hold its lock."""
    target = _real(path)
    with _told(path, DataError):
        _check_replaceable(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(target.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    with _lock(path, target):
        yield


@contextmanager
def _lock(path: Path, target: Path) -> Iterator[None]:
    """Hold the lock of what a path leads to, where its file system has locks."""
    with ExitStack() as lock:
        with _told(path, DataError):
            try:
                lock.enter_context(locked(hidden(target, ".lock")))
            except HeldError as error:
                raise DataError(
                    f"{path} is being written by another command ({error}). Wait for it, stop it, or choose another "
                    "output=."
                ) from error
            except OSError as error:
                if error.errno not in _WITHOUT_LOCKS:
                    raise
            else:
                remove_unfinished(target)
        yield


@contextmanager
def _told(path: Path, kind: type[GulmfitError] | None, unfinished: Path | None = None) -> Iterator[None]:
    """Tell an OSError as what it means for an output; while another has the word, it may be about another file."""
    try:
        yield
    except OSError as error:
        if kind is None:
            raise
        other = error.filename
        if unfinished is None or other is None or str(other).startswith(str(unfinished)):
            raise cannot_be_written(path, error, kind) from error
        raise kind(f"{other}: {error.strerror or error}. {path} was not written.") from error


def _lives(process: int) -> bool:
    """Tell whether a process of this computer lives; where that cannot be told without harm, it does."""
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _real(path: Path) -> Path:
    """Follow links, so that what is replaced is what they lead to."""
    return Path(os.path.realpath(path))


def _check_replaceable(target: Path) -> None:
    if target.is_dir():
        raise OSError("a folder has this name")
    if target.exists() and not target.is_file():
        raise OSError("it is a device or a pipe, and no file")


def _temporary(target: Path) -> Path:
    suffix = target.suffix if len(os.fsencode(target.suffix)) <= _LONGEST_SUFFIX else ""
    return hidden(target, f".{os.getpid()}-{uuid.uuid4().hex[:8]}.unfinished{suffix}")


def _create(path: Path) -> int:
    """Make a file that nobody else has, and return the permissions that the umask gives."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        return stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


def _finish(file: Path, mode: int, sync: bool) -> None:
    """Give a file its permissions, which some libraries narrow, and have it on the disk."""
    if stat.S_IMODE(file.stat().st_mode) != mode:
        file.chmod(mode)
    if sync:
        with file.open("rb+") as handle:
            os.fsync(handle.fileno())


def _sync_folder(folder: Path) -> None:
    """Put a rename itself on the disk, where the system can."""
    with suppress(OSError):  # Windows opens no folders, and some file systems sync none
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _named(path: str | Path) -> list[Path]:
    """List the files that a path, a pattern or a folder stands for."""
    text = os.path.expanduser(path)
    found = [Path(text)] if os.path.lexists(text) else [Path(name) for name in glob.glob(text, recursive=True)]
    return [file for one in found for file in ([one] if not one.is_dir() else one.rglob("*"))] or [Path(text)]


def _identities(path: Path) -> set[object]:
    """Return what tells a file: its place, and where it exists, device and number."""
    keys: set[object] = {os.path.realpath(path)}
    with suppress(OSError):
        found = path.stat()
        keys.add((found.st_dev, found.st_ino))
    return keys


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
