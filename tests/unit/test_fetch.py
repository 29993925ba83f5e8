"""scripts/fetch.py against a server of its own: cut off, without ranges, wrong, changed, full."""

import contextlib
import gzip
import hashlib
import importlib.util
import json
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load() -> Any:
    spec = importlib.util.spec_from_file_location("fetch", ROOT / "scripts" / "fetch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fetch"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


fetch = load()
CONTENT = bytes(range(256)) * 4000  # a megabyte
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Served:
    """What the server holds, how it behaves, and what it was asked for."""

    content: bytes = CONTENT
    etag: str | None = '"first"'
    ranges: bool = True
    cut: list[int] = field(default_factory=list)  # bytes after which the next answers break off
    statuses: list[int] = field(default_factory=list)  # errors to answer with first
    asked: list[str | None] = field(default_factory=list)  # the ranges asked for
    url: str = ""


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            served.asked.append(asked)
            if served.statuses:
                self.send_error(served.statuses.pop(0))
                return
            start, total = 0, len(served.content)
            if served.ranges and asked and self.headers.get("If-Range") == served.etag:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= total:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{total}")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            if served.etag:
                self.send_header("ETag", served.etag)
            self.send_header("Content-Length", str(total - start))
            self.end_headers()
            end = start + served.cut.pop(0) if served.cut else total
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # whoever asked has heard enough
                self.wfile.write(served.content[start:end])

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_address[1]}/file"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setattr(fetch, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(fetch, "LONGEST_PAUSE_SECONDS", 0.0)
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


def get(served: Served, folder: Path, path: str = "set/file.bin", sha256: str = SHA256) -> list[str]:
    told: list[str] = []
    fetch.fetch(fetch.File(path, served.url, sha256), folder, told.append, lambda done, total: None)
    return told


def left(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_file_comes_once(served: Served, tmp_path: Path) -> None:
    get(served, tmp_path)
    assert (tmp_path / "set/file.bin").read_bytes() == CONTENT
    assert left(tmp_path) == ["set/file.bin"]
    assert "there already" in get(served, tmp_path)[0]
    assert served.asked == [None]


def test_a_broken_connection_is_taken_up_where_it_broke(served: Served, tmp_path: Path) -> None:
    served.cut = [300_000, 1, 200_000]
    get(served, tmp_path)
    assert (tmp_path / "set/file.bin").read_bytes() == CONTENT
    assert served.asked == [None, "bytes=300000-", "bytes=300001-", "bytes=500001-"]
    assert left(tmp_path) == ["set/file.bin"]


def test_another_start_goes_on_too(served: Served, tmp_path: Path) -> None:
    """The program is killed in the middle: its next start asks for the rest only."""

    class Killed(BaseException):
        pass

    def kill(done: int, total: int | None) -> None:
        if done > 500_000:
            raise Killed

    file = fetch.File("file.bin", served.url, SHA256)
    with pytest.raises(Killed):
        fetch.fetch(file, tmp_path, lambda text: None, kill)
    assert left(tmp_path) == ["file.bin.partial", "file.bin.partial.json"]
    have = (tmp_path / "file.bin.partial").stat().st_size
    assert 500_000 < have < len(CONTENT)
    get(served, tmp_path, "file.bin")
    assert served.asked == [None, f"bytes={have}-"]
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_all_had_come_before_the_end(served: Served, tmp_path: Path) -> None:
    (tmp_path / "file.bin.partial").write_bytes(CONTENT)
    (tmp_path / "file.bin.partial.json").write_text(json.dumps({"url": served.url, "validator": served.etag}))
    get(served, tmp_path, "file.bin")
    assert left(tmp_path) == ["file.bin"]


@pytest.mark.parametrize("change", ["no ranges", "no validator", "weak validator", "changed since", "shorter since"])
def test_what_cannot_be_continued_begins_anew(served: Served, tmp_path: Path, change: str) -> None:
    (tmp_path / "file.bin.partial").write_bytes(b"x" * 400_000)
    validator = {"no validator": None, "changed since": '"before"'}.get(change, '"first"')
    (tmp_path / "file.bin.partial.json").write_text(json.dumps({"url": served.url, "validator": validator}))
    served.ranges = change != "no ranges"
    sha256 = SHA256
    if change == "weak validator":
        served.etag, served.cut = 'W/"first"', [100_000]
    elif change == "shorter since":
        served.content = CONTENT[:300_000]
        sha256 = hashlib.sha256(served.content).hexdigest()
    get(served, tmp_path, "file.bin", sha256)
    assert (tmp_path / "file.bin").read_bytes() == served.content
    assert left(tmp_path) == ["file.bin"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_body_that_is_always_cut_short_is_given_up(served: Served, tmp_path: Path, ranges: bool) -> None:
    served.ranges, served.cut = ranges, [250_000, *[0 if ranges else 250_000] * 20]
    with pytest.raises(fetch.FetchError, match=r"file: .*\b5 .*\b250,000 of 1,024,000 bytes"):
        get(served, tmp_path)
    assert "set/file.bin" not in left(tmp_path)
    assert (tmp_path / "set/file.bin.partial").stat().st_size == 250_000


def test_a_wrong_sum_leaves_nothing(served: Served, tmp_path: Path) -> None:
    with pytest.raises(fetch.FetchError, match=f"wrong checksum: {SHA256}, and 00"):
        get(served, tmp_path, sha256="00" * 32)
    assert left(tmp_path) == []
    served.content = gzip.compress(CONTENT)[:-1000]
    with pytest.raises(fetch.FetchError, match=r"file: .*checksum: .*gzip file, .*[0-9a-f]{64}"):
        get(served, tmp_path, "set/file.gz")
    assert left(tmp_path) == []


def test_the_sum_is_of_the_content_however_it_is_packed(served: Served, tmp_path: Path) -> None:
    served.content = gzip.compress(CONTENT, 1)
    get(served, tmp_path, "packed.gz")
    assert (tmp_path / "packed.gz").read_bytes() == served.content
    served.content = CONTENT
    get(served, tmp_path, "plain.gz")
    packed = (tmp_path / "plain.gz").read_bytes()
    assert gzip.decompress(packed) == CONTENT
    get(served, tmp_path, "again.gz")
    assert (tmp_path / "again.gz").read_bytes() == packed  # no time and no name in it
    assert left(tmp_path) == ["again.gz", "packed.gz", "plain.gz"]


def test_another_file_in_its_place_is_not_touched(served: Served, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_text("mine")
    with pytest.raises(fetch.FetchError, match=r"file\.bin .*\bcontent\b"):
        get(served, tmp_path, "file.bin")
    assert (tmp_path / "file.bin").read_text() == "mine"
    assert served.asked == []


def test_errors_of_the_server(served: Served, tmp_path: Path) -> None:
    served.statuses = [503, 429, 500]
    get(served, tmp_path)
    assert len(served.asked) == 4
    served.statuses = [404]
    with pytest.raises(fetch.FetchError, match=r"file: HTTP 404\b"):
        get(served, tmp_path, "other.bin")
    assert len(served.asked) == 5  # not tried again
    served.statuses = [503] * 9
    with pytest.raises(fetch.FetchError, match=r"file: .*\b5 .*HTTP 503\b"):
        get(served, tmp_path, "other.bin")


def test_no_network(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = fetch.File("file.bin", "http://127.0.0.1:9/file", SHA256)
    with pytest.raises(fetch.FetchError, match="no connection"):
        fetch.fetch(nowhere, tmp_path, lambda text: None, lambda done, total: None)
    assert left(tmp_path) == []


def test_a_full_disk(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = fetch.shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(fetch.shutil, "disk_usage", lambda path: usage._replace(free=1000))
        with pytest.raises(fetch.FetchError, match=r"disk .*: 1\.0 MB .*\b0\.0 MB .*--to"):
            get(served, tmp_path)

    def fail(descriptor: int) -> None:
        raise OSError(fetch.errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fetch.os, "fsync", fail)
        with pytest.raises(fetch.FetchError, match=r"file\.bin: .*disk .*--to"):
            get(served, tmp_path)
    assert "set/file.bin" not in left(tmp_path)


def test_the_command(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = {"good": [served.url], "bad": [f"{served.url}/x", served.url]}
    content = {
        name: {
            "about": f"the {name} one",
            "files": [
                {"path": f"{name}/{number}.bin", "url": url, "sha256": SHA256 if url == served.url else "00" * 32}
                for number, url in enumerate(urls)
            ],
        }
        for name, urls in sets.items()
    }
    (tmp_path / "sets.json").write_text(json.dumps(content))
    known = fetch.read_sets(tmp_path / "sets.json")
    monkeypatch.setattr(fetch, "read_sets", lambda: known)
    assert fetch.main(["--list"]) == 0
    assert "bad" in capsys.readouterr().out
    assert fetch.main(["good", "--to", str(tmp_path / "to")]) == 0
    assert fetch.main(["bad", "good", "--to", str(tmp_path / "to")]) == 1
    assert left(tmp_path / "to") == ["bad/1.bin", "good/0.bin"]  # one failure does not keep the others away
    printed = capsys.readouterr().err
    assert "wrong checksum" in printed
    assert re.search(r"^1 file\(s\) ", printed, re.MULTILINE)
    for words in (["nothing"], []):
        with pytest.raises(SystemExit) as caught:
            fetch.main(words)
        assert caught.value.code == 2
    assert re.search(r"\bnothing; .*\bgood, bad\b", capsys.readouterr().err)


def test_the_sets_are_well_formed() -> None:
    files = [file for _, members in fetch.read_sets().values() for file in members]
    assert len({file.path for file in files}) == len(files)
    for file in files:
        assert file.url.startswith("https://")
        assert " " not in file.url
        assert len(bytes.fromhex(file.sha256)) == 32
        assert not Path(file.path).is_absolute()
        assert ".." not in Path(file.path).parts
