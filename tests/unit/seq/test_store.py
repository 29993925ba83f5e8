"""The genome store: what it holds, when it is reused, and what is left when it fails."""

import errno
import gzip
import hashlib
import json
import logging
import math
import os
import pickle
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gulmfit.errors import ConfigError, SequenceError, StoreError
from gulmfit.seq.alphabet import decode
from gulmfit.seq.checksums import MEMORY_NAME
from gulmfit.seq.formats import fasta
from gulmfit.seq.formats.fasta import FastaPiece
from gulmfit.seq.genome import store as store_module
from gulmfit.seq.genome.gatherer import Contig
from gulmfit.seq.genome.store import GenomeStore, Interval

TEXT = ">c1 a chromosome\nNNACGTNN\nacgun\n>c2\nRRCC\n"
BASES = "NNACGTNNACGTNNNCC"


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(TEXT)
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


# ---- content ----


@pytest.mark.parametrize("packaging", ["plain", "gzip", "bgzip", "windows", "lower case"])
def test_every_packaging_gives_the_same_store(tmp_path: Path, cache: Path, packaging: str) -> None:
    plain = TEXT.encode()
    path = tmp_path / "genome.fa"
    path.write_bytes(
        {
            "plain": plain,
            "gzip": gzip.compress(plain),
            "bgzip": b"".join([*(gzip.compress(bytes([byte])) for byte in plain), gzip.compress(b"")]),
            "windows": plain.replace(b"\n", b"\r\n"),
            "lower case": plain.lower(),
        }[packaging]
    )
    store = GenomeStore.build(path, cache)
    assert decode(store.codes) == BASES
    assert store.contigs == [Contig("c1", str(path), 0, 13), Contig("c2", str(path), 13, 4)]
    # The run that ends c1 and the one that begins c2 touch, and stay two.
    assert store.runs.tolist() == [[0, 2], [6, 8], [12, 13], [13, 15]]
    counted = {letter: count for letter, count in store.counts.items() if letter != "lower_case"}
    assert counted == {"A": 2, "C": 4, "G": 2, "T": 1, "U": 1, "N": 5, "R": 2}
    assert [(source.name, source.size) for source in store.sources] == [("genome.fa", path.stat().st_size)]


def test_codes_are_a_read_only_memory_map(genome: Path, cache: Path) -> None:
    store = GenomeStore.build(genome, cache)
    assert isinstance(store.codes, np.memmap)
    assert not store.codes.flags.writeable


def test_lower_case_can_be_masked(genome: Path, cache: Path) -> None:
    store = GenomeStore.build(genome, cache, case="mask")
    assert decode(store.codes) == "NNACGTNNNNNNNNNCC"
    assert store.runs.tolist() == [[0, 2], [6, 13], [13, 15]]
    assert store.counts["lower_case"] == 5
    assert store.digest != GenomeStore.build(genome, cache).digest


def test_summary_by_hand(genome: Path, cache: Path) -> None:
    expected = {"files": 1, "contigs": 2, "bases": 17, "ambiguous": 7, "lower_case": 5, "gc": 0.6}
    assert GenomeStore.build(genome, cache).summary() == expected
    assert math.isnan(GenomeStore.from_sequences(["x"], ["NN"]).summary()["gc"])


def test_a_store_in_memory_equals_a_built_one(genome: Path, cache: Path) -> None:
    built = GenomeStore.build(genome, cache)
    made = GenomeStore.from_sequences(["c1", "c2"], ["NNACGTNNacgun", b"RRCC"])
    assert made.codes.tolist() == built.codes.tolist()
    assert made.runs.tolist() == built.runs.tolist()
    assert made.counts == built.counts
    assert made.contigs == [Contig("c1", "", 0, 13), Contig("c2", "", 13, 4)]


@pytest.mark.parametrize(
    ("names", "sequences", "message"),
    [
        ([], [], "0 names"),
        (["a"], ["A", "C"], "1 names .1 different. for 2 sequences"),
        (["a", "a"], ["A", "C"], "2 names .1 different. for 2 sequences"),
        (["a", "b"], ["A", ""], "record 'b': .*empty"),
        (["a", "b"], ["A", "A-"], "record 'b', position 1: '-'"),
    ],
)
def test_sequences_in_memory_are_checked(names: list[str], sequences: list[str], message: str) -> None:
    with pytest.raises(SequenceError, match=message):
        GenomeStore.from_sequences(names, sequences)


# ---- runs and clear intervals ----

corpora = st.lists(st.text(alphabet="ACGTNNN", min_size=1, max_size=30), min_size=1, max_size=6)


def by_hand(sequences: list[str], wanted: bool) -> list[tuple[int, int, int]]:
    """Walk base by base and collect maximal stretches whose ambiguity is `wanted`, contig by contig."""
    stretches: list[tuple[int, int, int]] = []
    position = 0
    for contig, sequence in enumerate(sequences):
        start = None
        for letter in sequence:
            if (letter == "N") == wanted and start is None:
                start = position
            if (letter == "N") != wanted and start is not None:
                stretches.append((contig, start, position))
                start = None
            position += 1
        if start is not None:
            stretches.append((contig, start, position))
    return stretches


@given(corpora)
def test_runs_and_intervals_agree_with_a_walk(sequences: list[str]) -> None:
    store = GenomeStore.from_sequences([str(index) for index in range(len(sequences))], sequences)
    assert [tuple(run) for run in store.runs.tolist()] == [row[1:] for row in by_hand(sequences, True)]
    intervals = store.clear_intervals("split")
    assert intervals == by_hand(sequences, False)
    assert all(isinstance(interval, Interval) for interval in intervals)
    whole = [(index, c.start, c.start + c.length) for index, c in enumerate(store.contigs)]
    assert store.clear_intervals("unk") == whole
    if len(store.runs):
        with pytest.raises(SequenceError):
            store.clear_intervals("error")
    else:
        assert store.clear_intervals("error") == whole


@given(corpora, st.integers(1, 40))
def test_a_store_is_the_same_however_its_files_are_cut_into_pieces(
    tmp_path_factory: pytest.TempPathFactory, sequences: list[str], block: int
) -> None:
    folder, names = tmp_path_factory.mktemp("pieces"), [f"r{index}" for index in range(len(sequences))]
    path = folder / "genome.fa"
    lines = ("\n".join(sequence[at : at + 4] for at in range(0, len(sequence), 4)) for sequence in sequences)
    path.write_text("".join(f">{name}\n{text}\n" for name, text in zip(names, lines, strict=True)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fasta, "_BLOCK_BYTES", block)
        built = GenomeStore.build(path, folder / "cache")
    made = GenomeStore.from_sequences(names, sequences)
    assert built.codes.tolist() == made.codes.tolist()
    assert built.runs.tolist() == made.runs.tolist()
    assert built.counts == made.counts
    assert [(c.name, c.start, c.length) for c in built.contigs] == [(c.name, c.start, c.length) for c in made.contigs]


def test_a_bad_letter_in_a_later_piece_has_its_position_in_the_record(
    genome: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genome.write_text(">c1\nACGT\nACGT\nACJT\n")
    monkeypatch.setattr(fasta, "_BLOCK_BYTES", 1)
    with pytest.raises(SequenceError, match="record 'c1', position 10: 'J'"):
        GenomeStore.build(genome, cache)


def test_error_names_file_contig_and_position(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "genome.fa"
    path.write_text(">c1\nACGT\n>c2\nACGNNRT\n")
    with pytest.raises(SequenceError, match=r"genome\.fa, record 'c2', position 3: .*ambiguity='split'"):
        GenomeStore.build(path, cache).clear_intervals("error")
    with pytest.raises(ConfigError, match=r"ambiguity='skip'.*'split', 'unk' or 'error'"):
        GenomeStore.build(path, cache).clear_intervals("skip")


# ---- reuse ----


def refuse_to_parse(*_: object) -> Iterator[FastaPiece]:
    raise RuntimeError("parsed again")


def test_the_same_content_is_not_parsed_again(
    genome: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = GenomeStore.build(genome, cache)
    before = {path.name: path.stat().st_mtime_ns for path in cache.glob(f"{first.digest}.*")}
    assert before.keys() == {f"{first.digest}{suffix}" for suffix in (".codes", ".runs.npy", ".json")}
    monkeypatch.setattr(store_module, "read_fasta_pieces", refuse_to_parse)
    moved = tmp_path / "elsewhere" / genome.name
    moved.parent.mkdir()
    genome.rename(moved)
    again = GenomeStore.build(moved, cache)
    assert {path.name: path.stat().st_mtime_ns for path in cache.glob(f"{first.digest}.*")} == before
    assert (again.digest, again.counts, again.sources) == (first.digest, first.counts, first.sources)
    assert again.codes.tolist() == first.codes.tolist()
    assert again.runs.tolist() == first.runs.tolist()
    assert [contig.path for contig in again.contigs] == [str(moved), str(moved)]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an hour go by, in which files are left alone."""
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 3_600_000_000_000)


@pytest.mark.usefixtures("later")
def test_files_left_alone_are_not_read_again(genome: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = GenomeStore.build(genome, cache).digest
    GenomeStore.build(genome, cache)
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", refuse_to_parse)
        assert decode(GenomeStore.build(genome, cache).codes) == BASES
        assert decode(GenomeStore.open(cache, digest, [genome]).codes) == BASES
    (cache / MEMORY_NAME).unlink()
    assert decode(GenomeStore.build(genome, cache).codes) == BASES
    assert (cache / MEMORY_NAME).exists()


@pytest.mark.usefixtures("later")
def test_a_change_after_the_check_is_found(genome: Path, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    digest = GenomeStore.build(genome, cache).digest
    codes = cache / f"{digest}.codes"
    GenomeStore.build(genome, cache)
    good = codes.read_bytes()
    codes.write_bytes(good[:-1] + b"\0")
    with pytest.raises(StoreError, match=r"\b17 bytes .*checksum"):
        GenomeStore.open(cache, digest, [genome])
    assert decode(GenomeStore.build(genome, cache).codes) == BASES
    assert "Rebuilding" in caplog.text
    genome.write_text(TEXT.replace("RRCC", "RRCG"))
    assert GenomeStore.build(genome, cache).digest != digest


def test_other_content_name_order_or_case_is_another_store(tmp_path: Path, cache: Path) -> None:
    files = {name: tmp_path / name for name in ("a.fa", "b.fa", "c.fa")}
    for name, letters in (("a.fa", "ACGT"), ("b.fa", "ACGA"), ("c.fa", "ACGT")):
        files[name].write_text(f">x\n{letters}\n")
    a, b, c = files.values()
    corpora = [[a], [b], [c], [a, b], [b, a]]
    digests = [GenomeStore.build(corpus, cache).digest for corpus in corpora]
    digests.append(GenomeStore.build(a, cache, case="mask").digest)
    assert len(set(digests)) == len(digests)
    both = GenomeStore.build([b, a], cache)
    assert both.contigs == [Contig("x", str(b), 0, 4), Contig("x", str(a), 4, 4)]
    assert decode(both.codes) == "ACGAACGT"


@pytest.mark.parametrize("damage", ["short", "flipped", "missing", "bad table", "cut table", "old format", "bad runs"])
def test_a_damaged_store_is_refused_and_rebuilt_with_a_warning(
    genome: Path, cache: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    digest = GenomeStore.build(genome, cache).digest
    codes, runs, table = (cache / f"{digest}{suffix}" for suffix in (".codes", ".runs.npy", ".json"))
    good = {path: path.read_bytes() for path in (codes, runs, table)}
    match damage:
        case "short":
            codes.write_bytes(good[codes][:-1])
        case "flipped":
            codes.write_bytes(good[codes][:-1] + b"\0")
        case "missing":
            codes.unlink()
        case "bad table":
            table.write_text("[]")
        case "cut table":
            table.write_bytes(good[table][:50])
        case "old format":
            table.write_text(json.dumps(json.loads(good[table]) | {"format_version": 0}))
        case "bad runs":
            runs.write_bytes(good[runs][:-8])
    with pytest.raises(StoreError, match=rf"{digest}\.json: .*damaged .*{digest}\.\*"):
        GenomeStore.open(cache, digest, [genome])
    with caplog.at_level(logging.WARNING):
        assert decode(GenomeStore.build(genome, cache).codes) == BASES
    assert "Rebuilding" in caplog.text
    assert {path: path.read_bytes() for path in cache.glob(f"{digest}.*")} == good


def test_a_pickled_store_maps_its_file_again(genome: Path, cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.fa"
    path.write_text(">x\n" + "ACGT" * 50_000)
    for store in (GenomeStore.build(path, cache), GenomeStore.from_sequences(["x"], ["ACGT"])):
        pickled = pickle.dumps(store)
        assert len(pickled) < 10_000
        again = pickle.loads(pickled)
        assert isinstance(again.codes, np.memmap) == isinstance(store.codes, np.memmap)
        assert np.array_equal(again.codes, store.codes)
        assert again.contigs == store.contigs


def test_builders_at_once_do_not_disturb_each_other(genome: Path, cache: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(lambda _: GenomeStore.build(genome, cache), range(16)))
    assert {decode(store.codes) for store in stores} == {BASES}
    assert len(list(cache.glob(f"{stores[0].digest}.*"))) == 3
    assert not list(cache.glob("*.tmp"))


# ---- failure ----


def disk_full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fsync", "replace", "second replace", "save"])
def test_a_full_disk_leaves_nothing_and_says_so(
    genome: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    replace = os.replace

    def second_fails(source: Path, target: Path) -> None:
        if target.suffix == ".npy":
            disk_full()
        replace(source, target)

    with monkeypatch.context() as patch:
        match call:
            case "fsync" | "replace":
                patch.setattr(os, call, disk_full)
            case "second replace":
                patch.setattr(os, "replace", second_fails)
            case "save":
                patch.setattr(np, "save", disk_full)
        with pytest.raises(StoreError) as caught:
            GenomeStore.build(genome, cache)
    message = str(caught.value)
    assert str(cache) in message
    assert os.strerror(errno.ENOSPC) in message
    assert f"needs about {genome.stat().st_size:,} bytes" in message
    assert "are free" in message
    assert "Make room" in message
    assert list(cache.iterdir()) == []
    assert decode(GenomeStore.build(genome, cache).codes) == BASES


def test_an_interrupt_leaves_nothing(genome: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> Iterator[FastaPiece]:
        yield FastaPiece("c1", 0, b"ACGT", str(genome))
        raise KeyboardInterrupt

    monkeypatch.setattr(store_module, "read_fasta_pieces", interrupted)
    with pytest.raises(KeyboardInterrupt):
        GenomeStore.build(genome, cache)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            ">c1\nACGT\n>chr7\nACG\nTJA\n",
            r"genome\.fa, record 'chr7', position 4: 'J' .*\(ACGTU",
        ),
        (">c1\nACGT\n>c1\nA\n", r"genome\.fa, record 'c1': .*\bid\b.* 1 and 2\b"),
        (">c1\nACGT\n>c2\n", r"genome\.fa, record 'c2': no sequence"),
    ],
)
def test_a_bad_record_leaves_nothing(genome: Path, cache: Path, text: str, message: str) -> None:
    genome.write_text(text)
    with pytest.raises(SequenceError, match=message):
        GenomeStore.build(genome, cache)
    assert list(cache.iterdir()) == []


def test_a_cache_folder_that_is_a_file_is_refused(genome: Path, cache: Path) -> None:
    cache.write_text("in the way")
    with pytest.raises(StoreError, match=r"cache: .*genome store .*written .*\d bytes, [\d,]+ "):
        GenomeStore.build(genome, cache)
    assert cache.read_text() == "in the way"


def test_a_wrong_case_policy_is_told_before_anything_is_read(cache: Path) -> None:
    with pytest.raises(ConfigError, match="case='lower'"):
        GenomeStore.build("not there.fa", cache, case="lower")
    assert not cache.exists()


def test_a_pipe_is_refused(tmp_path: Path, cache: Path) -> None:
    pipe = tmp_path / "pipe.fa"
    os.mkfifo(pipe)
    with pytest.raises(SequenceError, match=r"pipe\.fa: .*regular file"):
        GenomeStore.build(pipe, cache)
