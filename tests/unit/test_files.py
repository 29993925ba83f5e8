"""One writer: whole, with the umask's permissions, never over what is read, one process at a time."""

import errno
import multiprocessing
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from gulmfit import files
from gulmfit.checkpoint import build_model, load, save_model
from gulmfit.errors import CheckpointError, ConfigError, DataError
from gulmfit.files import check_apart, claimed, hidden, remove_unfinished, whole_file, whole_folder, write_whole
from gulmfit.model_files import files_of

SECONDS = 900.0  # in which a process of its own has begun, on a busy machine too; nothing waits so long that works

SPEC = {
    "arch": {"_target_": "gulmfit.models.awd_rnn.AWDRNN", "embed_size": 8, "hidden_size": 8, "num_layers": 1},
    "head": {"_target_": "gulmfit.models.language_model.LanguageModel", "legal_successors": False},
    "dropout": dict.fromkeys(("embed_p", "input_p", "weight_p", "hidden_p", "output_p"), 0.0),
    "tokenizer": {"_target_": "gulmfit.seq.tokens.tokenizer.KmerTokenizer", "k": 2, "stride": 1},
    "classes": None,
}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(params=[0o022, 0o027, 0o077, 0o002], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def narrow(path: Path) -> None:
    """Write as a library does that replaces the file by one of its own."""
    other = path.with_name("other")
    other.write_text("a")
    other.chmod(0o600)
    os.replace(other, path)


@pytest.mark.parametrize("write", [lambda path: path.write_text("a"), narrow], ids=["plain", "a library that narrows"])
def test_permissions_are_the_umasks(tmp_path: Path, umask: int, write: object) -> None:
    with whole_file(tmp_path / "a.txt") as unfinished:
        write(unfinished)  # type: ignore[operator]
    with whole_folder(tmp_path / "b") as folder:
        write(folder / "a.txt")  # type: ignore[operator]
    for path in (tmp_path / "a.txt", tmp_path / "b" / "a.txt"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_every_file_of_a_model_folder_has_the_umasks_permissions(tmp_path: Path, umask: int) -> None:
    built, _ = build_model(SPEC)
    save_model(tmp_path / "model", SPEC, built.state_dict())
    for path in (tmp_path / "model").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask, path
    before = {name: tensor.clone() for name, tensor in built.state_dict().items()}
    after = load(tmp_path / "model").model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_model_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(tmp_path / "model", SPEC, build_model(SPEC)[0].state_dict())
    weights = tmp_path / "model" / "model.safetensors"
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != weights and access(path, mode))
    with pytest.raises(CheckpointError, match="permission") as caught:
        load(tmp_path)
    assert str(weights) in str(caught.value)
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("failing", ["body", "fsync", "replace"])
def test_a_failure_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write() -> None:
        with whole_file(path) as unfinished:
            unfinished.write_text("new")
            if failing == "body":
                full()

    with monkeypatch.context() as patch:
        if failing != "body":
            patch.setattr(files.os, failing, full)
        with pytest.raises(DataError, match=r"a\.txt.*No space left.*Free space"):
            write()
    assert names(tmp_path) == ["a.txt"]
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EACCES, "permission"),
        (errno.EROFS, r"\. This file system\b"),
        (errno.ENOSPC, "Free space"),
        (errno.EDQUOT, "share"),
        (errno.ENAMETOOLONG, "shorter"),
    ],
)
def test_each_trouble_has_its_advice(tmp_path: Path, number: int, advice: str) -> None:
    with pytest.raises(DataError, match=advice) as caught, whole_file(tmp_path / "a"):
        raise OSError(number, os.strerror(number))
    assert str(tmp_path / "a") in str(caught.value)


def test_another_files_trouble_is_told_of_that_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing") as caught, whole_file(tmp_path / "a"):
        (tmp_path / "missing").read_text()
    assert "Free space" not in str(caught.value)


@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path, dangling: bool) -> None:
    target, link = tmp_path / "far" / "a.txt", tmp_path / "link.txt"
    link.symlink_to(target)
    if not dangling:
        write_whole(target, "old")
    write_whole(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert names(target.parent) == ["a.txt"]


def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    link = tmp_path / "a.tsv"
    link.symlink_to(os.devnull)
    with pytest.raises(DataError, match="device"), whole_file(link):
        pass
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


@pytest.mark.parametrize("name", ["a", "ä ö.tsv", "x" * 255, "é" * 125 + ".tsv", "-", " ", "a\nb", ".tsv", "'\"#&=~"])
def test_odd_and_long_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with claimed([path], []):
        write_whole(path, "content")
    assert path.read_text() == "content"
    assert names(tmp_path) == [name]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    left = [tmp_path / ".a.tsv.999999999-0123abcd.unfinished.tsv", tmp_path / ".a.tsv.999999998-ffffffff.unfinished"]
    kept = [
        tmp_path / ".a.tsv.partial",
        tmp_path / f".a.tsv.{os.getpid()}-0123abcd.unfinished",
        tmp_path / ".b.tsv.999999999-0123abcd.unfinished.tsv",
        tmp_path / "a.unfinished.tsv",
    ]
    for path in (*left, *kept):
        path.write_text("half")
    with claimed([tmp_path / "a.tsv"], []):
        pass
    assert names(tmp_path) == sorted(path.name for path in kept)
    remove_unfinished(tmp_path / "b.tsv")
    assert not kept[2].exists()
    (left[0]).write_text("half")
    remove_unfinished(tmp_path)
    assert names(tmp_path) == sorted(path.name for path in kept if path != kept[2])


@pytest.mark.parametrize("how", ["same", "dots", "symlink", "hard link", "linked folder", "pattern", "folder"])
def test_an_output_that_is_read_is_refused(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    read = folder / "a.tsv"
    read.write_text("content")
    inputs: list[str | Path] = [read]
    output = read
    if how == "dots":
        output = folder / ".." / "in" / "a.tsv"
    elif how == "symlink":
        (output := tmp_path / "b.tsv").symlink_to(read)
    elif how == "hard link":
        (output := tmp_path / "b.tsv").hardlink_to(read)
    elif how == "linked folder":
        (tmp_path / "other").symlink_to(folder)
        output = tmp_path / "other" / "a.tsv"
    elif how == "pattern":
        inputs = [str(folder / "*.tsv")]
    elif how == "folder":
        inputs = [folder]
    with pytest.raises(ConfigError, match="is read") as caught, claimed([tmp_path / "fine.tsv", output], inputs):
        pytest.fail("claimed")
    assert str(output) in str(caught.value)
    assert read.read_text() == "content"


def test_two_outputs_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(ConfigError, match="two outputs"):
        check_apart([tmp_path / "a", tmp_path / "b"], [])
    check_apart([tmp_path / "a", tmp_path / "c"], ["", tmp_path / "missing"])


def hold(path: Path, ready: "multiprocessing.synchronize.Event", done: "multiprocessing.synchronize.Event") -> None:
    with claimed([path], []):
        ready.set()
        done.wait(SECONDS)


def test_a_second_process_is_refused_and_the_first_one_named(tmp_path: Path) -> None:
    forking = multiprocessing.get_context("fork")
    ready, done = forking.Event(), forking.Event()
    first = forking.Process(target=hold, args=(tmp_path / "a.tsv", ready, done))
    first.start()
    try:
        assert ready.wait(SECONDS)
        (tmp_path / "link.tsv").symlink_to("a.tsv")
        for name in ("a.tsv", "link.tsv"):
            with pytest.raises(DataError, match=rf"{name}.*process {first.pid}\b"), claimed([tmp_path / name], []):
                pytest.fail("claimed")
    finally:
        done.set()
        first.join(SECONDS)
    with claimed([tmp_path / "a.tsv"], []):
        assert hidden(tmp_path / "a.tsv", ".lock").exists()
    assert names(tmp_path) == ["link.tsv"]


def test_a_writer_within_a_writer_has_a_file_of_its_own(tmp_path: Path) -> None:
    """The order in which two commands meet, without a race: one begins and ends while the other is still writing."""
    path = tmp_path / "a.txt"
    with whole_file(path) as first:
        first.write_text("x" * 50)
        with whole_file(path) as second:
            second.write_text("y" * 70)
        assert path.read_text() == "y" * 70
        assert first.read_text() == "x" * 50
    assert path.read_text() == "x" * 50
    assert names(tmp_path) == ["a.txt"]


def test_writers_at_once_never_mix(tmp_path: Path) -> None:
    path, parts = tmp_path / "a.txt", ["x" * 50_000, "y" * 70_000]
    started = threading.Barrier(2)

    def write(text: str) -> None:
        with whole_file(path) as unfinished:
            started.wait(SECONDS)
            unfinished.write_text(text)

    threads = [threading.Thread(target=write, args=(text,)) for text in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in parts
    assert names(tmp_path) == ["a.txt"]


def test_the_files_of_a_run(tmp_path: Path) -> None:
    for name in ("metrics.json", "model/config.json", "model/README.md", "notes.txt"):
        write_whole(tmp_path / name, "{}")
    expected = {tmp_path / "metrics.json", tmp_path / "model" / "config.json"}
    assert set(files_of(tmp_path)) == expected
    assert set(files_of(tmp_path / "model")) == expected
