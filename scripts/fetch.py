"""Fetch public data sets, checked against their sums and continued where they were cut off.

    python scripts/fetch.py --list
    python scripts/fetch.py ecoli_k12 gue --to data

The sets are those of `scripts/fetch_sets.json`; files are laid out as `conf/experiment` looks for them. Without `--to`
they go where experiments read: to the folder named by GULMFIT_DATA, else to data/. A file that is there already is
checked and left alone. It ends with 0 if every file is there, 1 if one is not, and 2 if it was called wrongly.
"""

import argparse
import errno
import gzip
import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import sys
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SETS = Path(__file__).with_name("fetch_sets.json")
BLOCK_BYTES = 1 << 18
TIMEOUT_SECONDS = 60.0
TRIES = 5  # in a row that bring nothing
PAUSE_SECONDS = 2.0  # before the second try, doubled for each after it
LONGEST_PAUSE_SECONDS = 60.0
GZIP_MAGIC = b"\x1f\x8b"

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


class FetchError(Exception):
    """A file that cannot be had, with the reason and what to do."""


class BrokenOffError(Exception):
    """A download that broke off and may be tried again; `wait` is how long the server asks to wait, in seconds."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class File:
    """One file of a set.

    Attributes:
        path: Where it belongs, below the folder of all data.
        url: Where it comes from.
        sha256: Of its content: of what a .gz file holds, since compression differs from one program to another.
    """

    path: str
    url: str
    sha256: str


def read_sets(path: Path = SETS) -> dict[str, tuple[str, list[File]]]:
    """Return, for each set, what it is and its files."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return {name: (entry["about"], [File(**file) for file in entry["files"]]) for name, entry in content.items()}


def fetch(file: File, folder: Path, tell: Callable[[str], None], show: Callable[[int, int | None], None]) -> None:
    """Bring one file to its place, or leave nothing under its name.

    What has come so far lies beside it as `NAME.partial`, and is continued where the server says that its file is still
    the same; it is thrown away where the sum is wrong in the end. A file that is published plain is compressed if its
    name ends in .gz.

    Raises:
        FetchError: It cannot be had, is not the one that was asked for, or another file has its place.
    """
    final = folder / file.path
    if final.exists():
        if _content_sha256(final) != file.sha256:
            raise FetchError(f"{final} is there already with another content; move it away to fetch it again")
        tell(f"{final}: there already")
        return
    partial = final.with_name(final.name + ".partial")
    note = final.with_name(final.name + ".partial.json")
    with _disk(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        _download(file.url, partial, note, tell, show)
        try:
            found = _content_sha256(partial)
        except FetchError:
            found = "a damaged gzip file"
        if found != file.sha256:
            partial.unlink()
            note.unlink(missing_ok=True)
            raise FetchError(
                f"{file.url}: wrong checksum: {found}, and {file.sha256} is expected. The file was changed at its "
                "source or on its way; what had come is removed"
            )
        if final.suffix == ".gz" and not _is_gzip(partial):
            _compress(partial)
        os.replace(partial, final)
        note.unlink(missing_ok=True)
    tell(f"{final}: {final.stat().st_size / 1e6:,.1f} MB, checksum right")


def _download(
    url: str, partial: Path, note: Path, tell: Callable[[str], None], show: Callable[[int, int | None], None]
) -> None:
    """Download until all is there, trying again as long as something comes."""
    failures = 0
    while True:
        before = _size(partial)
        try:
            _transfer(url, partial, note, show)
            return
        except BrokenOffError as reason:
            failures = failures + 1 if _size(partial) <= before else 1
            if failures >= TRIES:
                raise FetchError(f"{url}: given up after {TRIES} tries in a row: {reason}; try again later") from reason
            pause = min(LONGEST_PAUSE_SECONDS, max(reason.wait, PAUSE_SECONDS * 2 ** (failures - 1)))
            tell(f"{url}: {reason}; trying again in {pause:.0f} s")
            time.sleep(pause)


def _transfer(url: str, partial: Path, note: Path, show: Callable[[int, int | None], None]) -> None:
    """Make one request, for what is still missing where the server can say whether the rest belongs to it.

    Raises:
        BrokenOffError: Something broke off; another try may help.
        FetchError: No other try would.
    """
    validator = _validator_of(note, url) if partial.exists() else None
    start = _size(partial) if validator else 0
    # Bytes are wanted as they are stored: sums and ranges are about those.
    headers = {"User-Agent": "gulmfit-fetch", "Accept-Encoding": "identity"}
    if start and validator:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS) as response:
            if response.status == 206:
                total = _total_behind(response, start, note)
            else:
                length = response.headers.get("Content-Length")
                start, total = 0, int(length) if length else None
                _remember(note, url, response)
            _check_room(partial, start, total)
            _receive(response, partial, start, total, show)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            found = _CONTENT_RANGE.fullmatch(error.headers.get("Content-Range", ""))
            if found and found[2] == str(start):
                return  # all of it had come
            note.unlink(missing_ok=True)  # so that the next try begins anew
            raise BrokenOffError("the file at the source has another length than what had come") from error
        if error.code in (408, 425, 429) or error.code >= 500:
            wait = error.headers.get("Retry-After", "")
            raise BrokenOffError(f"HTTP {error.code} {error.reason}", float(wait) if wait.isdigit() else 0.0) from error
        hint = "; the file has moved or its address is wrong" if error.code in (404, 410) else ""
        raise FetchError(f"{url}: HTTP {error.code} {error.reason}{hint}") from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, socket.gaierror):
            raise BrokenOffError(f"no network, or no such server: {error.reason}") from error
        raise BrokenOffError(f"no connection: {error.reason}") from error
    except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
        raise BrokenOffError(f"the connection broke off: {error!r}") from error


def _receive(
    response: http.client.HTTPResponse,
    partial: Path,
    start: int,
    total: int | None,
    show: Callable[[int, int | None], None],
) -> None:
    with open(partial, "r+b" if start else "wb") as handle:
        handle.seek(start)
        handle.truncate()
        done = start
        while block := response.read(BLOCK_BYTES):
            handle.write(block)
            done += len(block)
            show(done, total)
        handle.flush()
        os.fsync(handle.fileno())
    if total is not None and done < total:
        raise BrokenOffError(f"the connection ended after {done:,} of {total:,} bytes")


def _total_behind(response: http.client.HTTPResponse, start: int, note: Path) -> int | None:
    """Return how many bytes the whole file has, of an answer that begins at `start` as asked for."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if not found or found[1] is None or int(found[1]) != start:
        note.unlink(missing_ok=True)  # so that the next try begins anew
        raise BrokenOffError("the server sent another part of the file than it was asked for")
    return None if found[2] == "*" else int(found[2])


def _remember(note: Path, url: str, response: http.client.HTTPResponse) -> None:
    """Keep what tells later whether the file at the source is still this one; a weak ETag does not."""
    etag = response.headers.get("ETag", "")
    validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")
    note.write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")


def _validator_of(note: Path, url: str) -> str | None:
    try:
        content: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content.get("validator") if content.get("url") == url else None


def _check_room(partial: Path, start: int, total: int | None) -> None:
    free = shutil.disk_usage(partial.parent).free
    if total is not None and total - start > free:
        raise FetchError(
            f"{partial.parent}: the disk is full: {(total - start) / 1e6:,.1f} MB are still to come, "
            f"{free / 1e6:,.1f} MB are free. Make room, or choose another folder with --to"
        )


@contextmanager
def _disk(final: Path) -> Iterator[None]:
    """Say what is the matter with a disk that cannot be written to."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "the disk is full; make room, or choose another folder with --to" if full else error.strerror
        raise FetchError(f"{final}: {advice}. What has come so far is kept, and continued next time") from error


def _content_sha256(path: Path) -> str:
    """Return the sum of a file, or of what it holds where it is gzip.

    Raises:
        FetchError: The gzip file is damaged.
    """
    opener: Callable[..., Any] = gzip.open if _is_gzip(path) else open
    try:
        with opener(path, "rb") as handle:
            digest = hashlib.sha256()
            while block := handle.read(BLOCK_BYTES):
                digest.update(block)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FetchError(f"{path}: a damaged gzip file: {error}; move it away to fetch it again") from error
    return digest.hexdigest()


def _is_gzip(path: Path) -> bool:
    with open(path, "rb") as handle:
        return handle.read(len(GZIP_MAGIC)) == GZIP_MAGIC


def _compress(path: Path) -> None:
    """Replace a plain file by the same one compressed; no time and no name in it, so that it is the same every day."""
    packed = path.with_name(path.name + ".gz")
    try:
        with open(path, "rb") as source, open(packed, "wb") as raw:
            with gzip.GzipFile("", "wb", 9, raw, mtime=0) as target:
                shutil.copyfileobj(source, target, BLOCK_BYTES)
            raw.flush()
            os.fsync(raw.fileno())
        os.replace(packed, path)
    finally:
        packed.unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


class Progress:
    """A line on standard error: how much has come, how fast, and how long it will take; seldom without a terminal."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.terminal = sys.stderr.isatty()
        self.every = 0.2 if self.terminal else 10.0
        self.begun = self.shown = time.monotonic()
        self.first: int | None = None

    def show(self, done: int, total: int | None) -> None:
        """Tell, if it is time to, that `done` bytes of `total` are there."""
        now = time.monotonic()
        self.first = done if self.first is None else self.first
        if now - self.shown < self.every:
            return
        self.shown = now
        rate = (done - self.first) / max(now - self.begun, 1e-9)
        text = f"{self.name}: {done / 1e6:,.1f}"
        text += f" of {total / 1e6:,.1f} MB" if total else " MB"
        text += f", {rate / 1e6:,.1f} MB/s"
        if total and rate:
            minutes, seconds = divmod(round((total - done) / rate), 60)
            text += f", {minutes}:{seconds:02d} left"
        sys.stderr.write(f"\r{text:<100}" if self.terminal else f"{text}\n")
        sys.stderr.flush()

    def tell(self, text: str) -> None:
        """Write a line of its own."""
        sys.stderr.write(f"\r{text:<100}\n" if self.terminal else f"{text}\n")


def listing(sets: dict[str, tuple[str, list[File]]]) -> str:
    """Lay out what there is."""
    return "\n".join(f"{name:<28} {len(files):>3} files  {about}" for name, (about, files) in sets.items())


def main(words: list[str] | None = None) -> int:
    """Fetch the sets that are named; return the exit status."""
    sets = read_sets()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], epilog="--list tells the sets.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a set to fetch")
    default = Path(os.environ.get("GULMFIT_DATA") or "data")
    parser.add_argument("--to", type=Path, default=default, metavar="DIR", help=f"folder of all data ({default})")
    parser.add_argument("--list", action="store_true", help="tell what sets there are, and stop")
    given = parser.parse_args(words)
    if given.list:
        sys.stdout.write(listing(sets) + "\n")
        return 0
    if unknown := [name for name in given.names if name not in sets]:
        parser.error(f"no set is called {', '.join(unknown)}; there are {', '.join(sets)}")
    if not given.names:
        parser.error("name one set or more; --list tells them")
    failed = 0
    for file in (file for name in dict.fromkeys(given.names) for file in sets[name][1]):
        progress = Progress(file.path)
        try:
            fetch(file, given.to, progress.tell, progress.show)
        except FetchError as error:
            progress.tell(f"error: {error}")
            failed += 1
        except KeyboardInterrupt:
            progress.tell("interrupted; the same command goes on from here")
            return 130
    if failed:
        sys.stderr.write(f"{failed} file(s) could not be fetched\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
