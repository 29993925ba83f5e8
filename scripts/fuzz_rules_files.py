"""Rules for `fuzz.py`: what is swapped for another of the same size, time or name is noticed.

Each rule makes one random case in an empty folder and checks it: None where the oracle holds, else what was silently
different.
"""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from gulmfit.seq import checksums as memory
from gulmfit.seq.alphabet import decode
from gulmfit.seq.genome.holdout import Holdout
from gulmfit.seq.genome.store import GenomeStore, Interval
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.train.survive.identity import differences, of_labelled, of_stream

HOUR_NS = 3_600_000_000_000
WAYS = ("replace", "write into", "remove and write", "link")


@contextmanager
def an_hour_later() -> Iterator[None]:
    """Let checksums be remembered at once: of a file that changed just now they never are."""
    clock = SimpleNamespace(time_ns=lambda: time.time_ns() + HOUR_NS)
    real, memory.time = memory.time, clock  # type: ignore[assignment]
    try:
        yield
    finally:
        memory.time = real


def letters(rng: random.Random, size: int) -> bytes:
    """Return random bases."""
    return bytes(rng.choices(b"ACGT", k=size))


def swap(rng: random.Random, path: Path, content: bytes) -> str:
    """Give a file another content of the same size and time, as archives and copies do; return how.

    A system's clock goes in ticks: what happens twice within one is the business of the rule that a file changed just
    now is not remembered, and waited for here.
    """
    before, way = path.stat(), rng.choice(WAYS)
    other = path.with_name(f"other {rng.random()}")
    while True:
        if way == "write into":
            path.write_bytes(content)
        elif way == "remove and write":
            path.unlink()
            path.write_bytes(content)
        else:
            other.write_bytes(content)
        target = other if other.exists() else path
        os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
        if target.stat().st_ctime_ns != before.st_ctime_ns:
            break
    if way == "replace":
        other.replace(path)
    elif way == "link":
        path.unlink()
        path.symlink_to(other)
    return way


def same_look(path: Path, size: int, changed: int) -> bool:
    """Whether size and time are those of before, as the rule wants them."""
    return (path.stat().st_size, path.stat().st_mtime_ns) == (size, changed)


def checksums_notice(rng: random.Random, folder: Path) -> str | None:
    """A remembered checksum is that of the content, after any number of swaps."""
    path, cache = folder / "file", folder / "cache"
    cache.mkdir()
    size = rng.randint(1, 200)
    path.write_bytes(letters(rng, size))
    changed = time.time_ns() - rng.randint(1, 10**6) * 1_000_000_000
    os.utime(path, ns=(changed, changed))
    ways: list[str] = []
    with an_hour_later():
        for _ in range(rng.randint(1, 4)):
            for _ in range(rng.randint(1, 2)):
                with memory.checksums(cache) as digest:
                    found = digest(path)
                if found != sha256(path.read_bytes()).hexdigest():
                    return f"checksum of {size} bytes is that of before after: {', '.join(ways)}"
            ways.append(swap(rng, path, letters(rng, size)))
            if not same_look(path, size, changed):
                return "the case is not one: size or time differ"
        with memory.checksums(cache) as digest:
            found = digest(path)
    right = found == sha256(path.read_bytes()).hexdigest()
    return None if right else f"checksum of {size} bytes is that of before after: {', '.join(ways)}"


def stores_notice(rng: random.Random, folder: Path) -> str | None:
    """A genome store holds the genome that is there, not one of the same size and time."""
    path, cache = folder / "genome.fa", folder / "cache"
    size = rng.randint(20, 400)
    path.write_bytes(b">chr\n" + letters(rng, size) + b"\n")
    with an_hour_later():
        GenomeStore.build(path, cache)
        new = letters(rng, size)
        way = swap(rng, path, b">chr\n" + new + b"\n")
        found = decode(GenomeStore.build(path, cache).codes)
    return None if found == new.decode() else f"the store of {size} bases is the old one after: {way}"


def runs_notice_records(rng: random.Random, folder: Path) -> str | None:
    """What a classifier learned from is not taken for the same once a record, label, part, order or seed changed."""
    count = rng.randint(4, 30)
    texts = [
        letters(rng, rng.randint(1, 20)).decode() + f"{index:b}".translate({48: "A", 49: "C"}) for index in range(count)
    ]
    labels = [rng.choice("xy") for _ in range(count - 2)] + ["x", "y"]
    where = np.array([rng.choice(("train", "valid", "test")) for _ in range(count)])
    ids = [f"row {index}" for index in range(count)]
    before = of_labelled(LabelledSequences.from_strings(ids, texts, labels), where, 0, 8)
    change = rng.choice(("nothing", "base", "label", "part", "order", "seed"))
    at, seed = rng.randrange(count - 2), 0
    texts, labels, where = list(texts), list(labels), where.copy()
    if change == "base":
        texts[at] = texts[at][:-1] + "G"  # which no sequence ends with
    elif change == "label":
        labels[at] = "y" if labels[at] == "x" else "x"
    elif change == "part":
        where[at] = "valid" if where[at] == "train" else "train"
    elif change == "order":
        for column in (texts, labels):
            column[at], column[at + 1] = column[at + 1], column[at]
    elif change == "seed":
        seed = rng.randint(1, 9)
    after = of_labelled(LabelledSequences.from_strings(ids, texts, labels), where, seed, 8)
    noticed = bool(differences(before, after))
    return None if noticed == (change != "nothing") else f"{count} records, changed: {change}; noticed: {noticed}"


def runs_notice_genomes(rng: random.Random, folder: Path) -> str | None:
    """What a language model learned from is not taken for the same once a base, the held-out part or a seed changed."""
    size = rng.randint(20, 300)
    codes = np.frombuffer(letters(rng, size), np.uint8) % 5
    cut = rng.randint(2, size - 2)
    holdout = Holdout([Interval(0, 0, cut)], [Interval(0, cut, size)])
    before = of_stream(codes, holdout, "both", 0, (4, 20))
    change = rng.choice(("nothing", "base", "holdout", "strands", "seed", "batches"))
    seed, strands, batches = 0, "both", (4, 20)
    codes = codes.copy()
    if change == "base":
        at = rng.randrange(size)
        codes[at] = (codes[at] + 1) % 5
    elif change == "holdout":
        holdout = Holdout([Interval(0, 0, cut - 1)], [Interval(0, cut, size)])
    elif change == "strands":
        strands = "forward"
    elif change == "seed":
        seed = rng.randint(1, 9)
    elif change == "batches":
        batches = rng.choice(((8, 20), (4, 21)))
    noticed = bool(differences(before, of_stream(codes, holdout, strands, seed, batches)))
    return None if noticed == (change != "nothing") else f"{size} bases, changed: {change}; noticed: {noticed}"


RULES: dict[str, Callable[[random.Random, Path], str | None]] = {
    "checksums of swapped files": checksums_notice,
    "stores of swapped genomes": stores_notice,
    "runs on other records": runs_notice_records,
    "runs on other genomes": runs_notice_genomes,
}
