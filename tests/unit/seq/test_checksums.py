"""Checksums are right whatever happens to a file or to the memory, and an unchanged file is read once."""

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gulmfit.seq.checksums import MEMORY_NAME, checksums

HOUR_NS = 3_600_000_000_000
NOW_NS = time.time_ns()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an hour go by: no program can set the time of a file's entry back."""
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + HOUR_NS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "cache"
    path.mkdir()
    return path


def write(path: Path, content: bytes, *, age_ns: int = HOUR_NS) -> Path:
    path.write_bytes(content)
    changed = NOW_NS - age_ns
    os.utime(path, ns=(changed, changed))
    return path


def read(folder: Path, path: Path) -> str:
    with checksums(folder) as sha256:
        return sha256(path)


def of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """List the files that were read to be hashed."""
    names: list[str] = []
    digest = hashlib.file_digest

    def noted(handle: object, algorithm: str) -> object:
        names.append(Path(handle.name).name)  # type: ignore[attr-defined]
        return digest(handle, algorithm)  # type: ignore[arg-type]

    monkeypatch.setattr(hashlib, "file_digest", noted)
    return names


@pytest.mark.usefixtures("later")
def test_an_unchanged_file_is_read_once(tmp_path: Path, folder: Path, hashed: list[str]) -> None:
    path = write(tmp_path / "a", b"ACGT")
    assert [read(folder, path) for _ in range(3)] == [of(b"ACGT")] * 3
    assert hashed == ["a"]
    assert [file.name for file in folder.iterdir()] == [MEMORY_NAME]


@pytest.mark.usefixtures("later")
def test_a_file_of_another_size_or_time_is_read_again(tmp_path: Path, folder: Path, hashed: list[str]) -> None:
    path = write(tmp_path / "a", b"ACGT")
    for age_ns, content in [(HOUR_NS, b"ACGT"), (HOUR_NS // 2, b"ACGA"), (HOUR_NS // 2, b"ACGAA")]:
        write(path, content, age_ns=age_ns)
        assert read(folder, path) == of(content)
    assert hashed == ["a"] * 3


def test_a_file_changed_just_now_is_not_trusted(tmp_path: Path, folder: Path) -> None:
    """Two changes within a tick of the clock leave the same time behind."""
    path = write(tmp_path / "a", b"ACGT", age_ns=0)
    state = path.stat()
    assert read(folder, path) == of(b"ACGT")
    path.write_bytes(b"ACGA")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert read(folder, path) == of(b"ACGA")


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("how", ["moved over", "written into", "linked to"])
def test_a_file_swapped_for_one_of_the_same_size_and_time_is_read_again(how: str, tmp_path: Path, folder: Path) -> None:
    """As tar, rsync and cp -p leave them."""
    path = write(tmp_path / "a", b"ACGT")
    other = write(tmp_path / "b", b"ACGA")
    if how == "linked to":
        path.rename(tmp_path / "c")
        path.symlink_to(tmp_path / "c")
    assert read(folder, path) == of(b"ACGT")
    if how == "moved over":
        other.replace(path)
    elif how == "linked to":
        other.replace(tmp_path / "c")
    else:
        time.sleep(0.02)  # more than a tick of a local file system
        write(path, b"ACGA")
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (4, NOW_NS - HOUR_NS)
    assert read(folder, path) == of(b"ACGA")


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "no JSON", "other JSON", "another digest"])
@pytest.mark.usefixtures("later")
def test_a_damaged_memory_costs_reading_again(tmp_path: Path, folder: Path, hashed: list[str], damage: str) -> None:
    path, memory = write(tmp_path / "a", b"ACGT"), folder / MEMORY_NAME
    read(folder, path)
    good = memory.read_bytes()
    match damage:
        case "missing":
            memory.unlink()
        case "empty":
            memory.write_bytes(b"")
        case "cut":
            memory.write_bytes(good[:-9])
        case "no JSON":
            memory.write_bytes(b"\xff\x00")
        case "other JSON":
            memory.write_bytes(b"[1]")
        case "another digest":
            memory.write_bytes(good.replace(of(b"ACGT").encode(), of(b"ACGA").encode()))
    assert read(folder, path) == of(b"ACGT")
    assert hashed == ["a"] * 2
    assert memory.read_bytes() == good


@pytest.mark.usefixtures("later")
def test_files_that_are_gone_are_forgotten(tmp_path: Path, folder: Path) -> None:
    first, second = write(tmp_path / "first", b"A"), write(tmp_path / "second", b"C")
    read(folder, first)
    first.unlink()
    read(folder, second)
    memory = (folder / MEMORY_NAME).read_text()
    assert str(second) in memory
    assert str(first) not in memory


def test_what_cannot_be_remembered_is_no_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a", b"ACGT")
    assert read(tmp_path / "no folder", path) == of(b"ACGT")
    assert not (tmp_path / "no folder").exists()


@pytest.mark.usefixtures("later")
def test_nothing_is_remembered_of_what_failed(tmp_path: Path, folder: Path) -> None:
    path = write(tmp_path / "a", b"ACGT")

    def interrupted() -> None:
        with checksums(folder) as sha256:
            sha256(path)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    with pytest.raises(OSError, match="missing"):
        read(folder, tmp_path / "missing")
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("later")
def test_readers_at_once_leave_one_whole_memory(tmp_path: Path, folder: Path) -> None:
    paths = [write(tmp_path / str(number), b"ACGT" * number) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda path: read(folder, path), paths * 4))
    assert found == [of(path.read_bytes()) for path in paths * 4]
    assert [file.name for file in folder.iterdir()] == [MEMORY_NAME]
