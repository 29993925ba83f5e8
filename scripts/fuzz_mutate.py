"""Make hostile files of good ones: by bytes, by cells and lines, by JSON values, inside gzip, zip and safetensors.

A *case* is what one reading gets: files by name. Mutations change one file, or a few places in it; the rest stays good,
so that a reader comes past its first check.
"""

import gzip
import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any

Case = dict[str, bytes]

GOOD = 0.3  # share of cases that are made of good ones: a few changes alone, so that some are read to the end

NUMBERS = (
    b"-1", b"0", b"1", b"00", b"+5", b"1_000", b"2147483647", b"2147483648", b"4294967296", b"9223372036854775807",
    b"9223372036854775808", b"-9223372036854775809", b"1e400", b"-1e400", b"nan", b"NaN", b"inf", b"-inf", b"1.5", b".",
    b"", "\u0665".encode(), "\u00b2".encode(), b"9" * 30, b"9" * 5000, b"0x10", b"1e-400", b"-0",
)  # fmt: skip
BYTES = (
    b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\r", b"\r\n", b"\n", b"\n\n", b"\t", b"\x0b", b"\x0c", b"\x1a",
    b"\x1c", b"\x85", "\u2028".encode(), "é".encode("latin-1"), b"\xed\xa0\x80", b"\x1b[31m", b"../", b"<script>", b"$",
    b"${oc.env:HOME}", b"%00", b"\\", b'"', b"'", b";", b",", b"#", b"@", b">", b"+", b"\x1f\x8b", b"A" * 300,
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 2**31, 2**63, -(2**63) - 1, 1e308, float("nan"), float("inf"), 0.5, "", "x", "../x",
    "\ud800", "\x00", [], {}, [[]], [1, 2], ["a"], {"": 0}, "9" * 5000,
)  # fmt: skip
_DEEP = 3000  # levels of nesting, more than Python's recursion limit
_LONGEST = 1 << 16  # bytes of a case's file, so that thousands fit into a second
_NUMBER = re.compile(rb"\d+")
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


class Mutator:
    """Draw cases.

    Args:
        rng: Where chance comes from.
        seeds: Good cases; `corpus` grows from them.
        tokens: Words that mean something in this format.
    """

    def __init__(self, rng: random.Random, seeds: Sequence[Case], tokens: Sequence[bytes]) -> None:
        self.rng, self.seeds, self.corpus, self.tokens = rng, seeds, list(seeds), [*tokens, *NUMBERS, *BYTES]

    def draw(self) -> Case:
        """Return a new case: of what has led somewhere new, which is mostly damaged by now, or of a good one."""
        case = dict(self.rng.choice(self.seeds if self.rng.random() < GOOD else self.corpus))
        name = self.rng.choice(list(case))
        case[name] = self.file(name, case[name])
        return case

    def file(self, name: str, data: bytes) -> bytes:
        """Change one file, inside its container nine times of ten."""
        rng = self.rng
        if rng.random() < 0.9:
            if data.startswith(_BGZF_END[:4]):
                return self._inside_gzip(data, bgzf)
            if data.startswith(b"\x1f\x8b"):
                return self._inside_gzip(data, lambda text: gzip.compress(text, 1, mtime=0))
            if data.startswith(b"PK\x03\x04"):
                return self._inside_zip(data)
            if name.endswith(".safetensors") and len(data) > 8:
                return self._inside_safetensors(data)
            if name.endswith((".json", ".jsonl")) and rng.random() < 0.6:
                return self._json(data)
        changed = self.bytes(data)
        if rng.random() < 0.03 and not data.startswith(b"\x1f\x8b"):
            changed = gzip.compress(changed, 1, mtime=0)
            changed = rng.choice([changed, changed[:-4], changed[: len(changed) // 2], changed * 2, changed + b"x"])
        return changed

    def bytes(self, data: bytes) -> bytes:
        """Change bytes, lines and cells in one to four places."""
        for _ in range(self.rng.choice((1, 1, 1, 2, 4))):
            data = self.rng.choice(_OPERATIONS)(self, data)
        return data[:_LONGEST]

    def _inside_gzip(self, data: bytes, pack: Callable[[bytes], bytes]) -> bytes:
        try:
            text = zlib.decompressobj(31).decompress(data, _LONGEST) if pack is not bgzf else gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            return self.bytes(data)
        packed = pack(self.bytes(text))
        spoiled = self.rng.random()
        if spoiled < 0.03:
            return packed[: self.rng.randrange(len(packed))]
        if spoiled < 0.06:
            return packed + self.rng.choice((packed, b"\x00" * 30, b"rest", packed[:-3]))
        return packed[:-8] + b"\x00" * 4 + packed[-4:] if spoiled < 0.08 else packed

    def _inside_zip(self, data: bytes) -> bytes:
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                members = {item.filename: archive.read(item) for item in archive.infolist()}
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, zlib.error, OverflowError):
            return self.bytes(data)
        # What says how the others are to be read is far the smallest part of a file and far the most telling.
        telling = [name for name in members if name.endswith((".pkl", ".json", "version"))] or list(members)
        name = self.rng.choice(telling if self.rng.random() < 0.7 else list(members))
        chance = self.rng.random()
        if chance < 0.05:
            del members[name]
        elif chance < 0.1:
            members["../" + name] = members[name]
        else:
            members[name] = self.bytes(members[name])
        packed = io.BytesIO()
        method = zipfile.ZIP_DEFLATED if self.rng.random() < 0.05 else zipfile.ZIP_STORED
        with zipfile.ZipFile(packed, "w", method) as archive:
            for member, content in members.items():
                archive.writestr(zipfile.ZipInfo(member), content, method)
        return packed.getvalue()

    def _inside_safetensors(self, data: bytes) -> bytes:
        size = struct.unpack("<Q", data[:8])[0]
        header = data[8 : 8 + size]
        header = self._json(header) if self.rng.random() < 0.7 else self.bytes(header)
        size = len(header) if self.rng.random() < 0.9 else self.rng.choice((0, 1, 2**31, 2**63, 2**64 - 1))
        return struct.pack("<Q", size) + header + data[8 + size :]

    def _json(self, data: bytes) -> bytes:
        """Change a value in one of the documents."""
        lines = data.split(b"\n") if not data.startswith((b"{\n", b"[\n")) else [data]
        at = self.rng.randrange(len(lines))
        try:
            content = json.loads(lines[at])
        except (ValueError, RecursionError):
            return self.bytes(data)
        chance = self.rng.random()
        if chance < 0.02:
            lines[at] = self.rng.choice((b"[", b'{"a":')) * _DEEP
        else:
            content = self._changed(content)
            text = json.dumps(content)
            lines[at] = text.encode("utf-8", "surrogatepass")
        return b"\n".join(lines)

    def _changed(self, value: Any) -> Any:
        rng = self.rng
        if isinstance(value, dict) and value and rng.random() < 0.9:
            key = rng.choice(list(value))
            chance = rng.random()
            if chance < 0.1:
                return {name: item for name, item in value.items() if name != key}
            if chance < 0.2:
                return {**value, rng.choice(("", "x", "_target_", key + "x")): rng.choice(VALUES)}
            return {**value, key: self._changed(value[key])}
        if isinstance(value, list) and value and rng.random() < 0.9:
            at = rng.randrange(len(value))
            chance = rng.random()
            if chance < 0.1:
                return value[:at] + value[at + 1 :]
            if chance < 0.2:
                return [*value, value[at]]
            return [*value[:at], self._changed(value[at]), *value[at + 1 :]]
        if isinstance(value, str) and rng.random() < 0.3:
            return self.bytes(value.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")
        if rng.random() < 0.2:
            return rng.choice(self.tokens).decode("utf-8", "replace")
        return rng.choice(VALUES)

    def place(self, data: bytes) -> int:
        """Draw a position; half of them near the start, where headers are."""
        size = len(data)
        return self.rng.randrange(min(size, 64) + 1 if self.rng.random() < 0.3 else size + 1)

    def span(self, data: bytes) -> tuple[int, int]:
        """Draw a stretch, mostly short."""
        start = self.place(data)
        return start, min(len(data), start + int(self.rng.expovariate(0.1)) + 1)


def bgzf(text: bytes) -> bytes:
    """Pack as bgzip does."""
    packed = b""
    for start in range(0, len(text), 1 << 15):
        block = text[start : start + (1 << 15)]
        deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
        body = deflate.compress(block) + deflate.flush()
        packed += _BGZF_END[:16] + struct.pack("<H", len(body) + 25) + body
        packed += struct.pack("<II", zlib.crc32(block), len(block))
    return packed + _BGZF_END


def _flip(self: Mutator, data: bytes) -> bytes:
    if not data:
        return data
    at = self.rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << self.rng.randrange(8))]) + data[at + 1 :]


def _set(self: Mutator, data: bytes) -> bytes:
    start, end = self.span(data)
    return data[:start] + bytes([self.rng.choice((0, 1, 127, 128, 255))]) * (end - start) + data[end:]


def _cut(self: Mutator, data: bytes) -> bytes:
    start, end = self.span(data)
    return data[:start] + data[end:]


def _truncate(self: Mutator, data: bytes) -> bytes:
    return data[: self.place(data)]


def _repeat(self: Mutator, data: bytes) -> bytes:
    start, end = self.span(data)
    return data[:end] + data[start:end] * self.rng.choice((1, 2, 50)) + data[end:]


def _insert(self: Mutator, data: bytes) -> bytes:
    at = self.place(data)
    return data[:at] + self.rng.choice(self.tokens) + data[at:]


def _splice(self: Mutator, data: bytes) -> bytes:
    other = self.rng.choice(list(self.rng.choice(self.corpus).values()))
    start, end = self.span(other)
    at = self.place(data)
    return data[:at] + (other[start:end] if self.rng.random() < 0.5 else other[start:])


def _number(self: Mutator, data: bytes) -> bytes:
    found = list(_NUMBER.finditer(data[:4096]))
    if not found:
        return _insert(self, data)
    match = self.rng.choice(found)
    return data[: match.start()] + self.rng.choice(NUMBERS) + data[match.end() :]


def _line(self: Mutator, data: bytes) -> bytes:
    lines = data.split(b"\n")
    at, other = self.rng.randrange(len(lines)), self.rng.randrange(len(lines))
    kind = self.rng.randrange(4)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(other, lines[at])
    elif kind == 2:
        lines[at], lines[other] = lines[other], lines[at]
    else:
        lines.insert(at, self.rng.choice(self.tokens))
    return b"\n".join(lines)


def _cell(self: Mutator, data: bytes) -> bytes:
    lines = data.split(b"\n")
    at = self.rng.randrange(len(lines))
    mark = next((mark for mark in (b"\t", b",", b";", b" ", b"=") if mark in lines[at]), b"\t")
    cells = lines[at].split(mark)
    cell = self.rng.randrange(len(cells))
    kind = self.rng.randrange(6)
    if kind == 0:
        del cells[cell]
    elif kind == 1:
        cells.insert(cell, cells[self.rng.randrange(len(cells))])
    elif kind == 2:
        cells[cell] = self.bytes(cells[cell])[:200]
    else:
        cells[cell] = self.rng.choice(self.tokens)
    lines[at] = mark.join(cells)
    return b"\n".join(lines)


def _whole(self: Mutator, data: bytes) -> bytes:
    """Change the encoding of all of it, or its line ends, or make one long line."""
    kind = self.rng.randrange(7)
    if kind == 0:
        return b"\xef\xbb\xbf" + data
    if kind == 1:
        return data.replace(b"\n", b"\r\n")
    if kind == 2:
        return data.replace(b"\n", b"\r")
    if kind == 3:
        return data.decode("latin-1").encode("utf-16")
    if kind == 4:
        return data.replace(b"\n", b"")
    if kind == 5:
        return data + b"A" * self.rng.choice((200, 5000, 40000))
    return b"" if self.rng.random() < 0.2 else data + data


_OPERATIONS: tuple[Callable[[Mutator, bytes], bytes], ...] = (
    _flip, _flip, _set, _cut, _cut, _truncate, _repeat, _insert, _insert, _splice, _number, _number, _line, _cell,
    _cell, _cell, _whole,
)  # fmt: skip
