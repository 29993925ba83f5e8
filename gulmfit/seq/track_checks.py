"""Look whether the outline of a bigWig file, or of the index of a BAM file, fits its size.

The libraries that read them believe what they say. Where a damaged file tells of a terabyte, they ask for it, and end
the process with a message of their own; here it is an error like any other.

Source: Kent et al. 2010, Bioinformatics 26:2204, supplement (bigWig); the SAM/BAM specification, section 5 (BAI) and
CSIv1.
"""

import gzip
import mmap
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from gulmfit.errors import DataError

LARGEST_BLOCK = 1 << 28  # bytes that a block of values may unpack to
LARGEST_INDEX = 1 << 30  # bytes that an index may unpack to

_BIGWIG, _NAMES, _PLACES = 0x888FFC26, 0x78CA8C91, 0x2468ACE0
_LEAF = np.dtype([("region", "<u4", 4), ("offset", "<u8"), ("size", "<u8")])
_BRANCH = np.dtype([("region", "<u4", 4), ("offset", "<u8")])
_DEEPEST = 32  # levels of a tree
_BAI_DEPTH = 5


@contextmanager
def believing(where: str, *damaged: type[Exception]) -> Iterator[None]:
    """Turn what a library raises of a damaged file into our own error.

    Args:
        where: What the message begins with.
        damaged: What it raises on purpose; a panic of a library in Rust, which is no `Exception`, counts as well.

    Raises:
        DataError: If any of these is raised.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, damaged) or type(error).__name__ == "PanicException":
            raise DataError(f"{where}: {error}; damaged or cut short?") from error
        raise


def check_bigwig(path: Path) -> None:
    """Raise ValueError where a bigWig file tells of blocks, names or levels that do not lie in it."""
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        size = len(data)
        if size < 64 or data[:4] not in (struct.pack("<I", _BIGWIG), struct.pack(">I", _BIGWIG)):
            raise ValueError("it does not begin as a bigWig file does")
        if data[:4] != struct.pack("<I", _BIGWIG):
            raise ValueError("it was written on a machine with another order of bytes, which cannot be read")
        levels, names, _, places = struct.unpack_from("<6xHQQQ", data)
        (unpacked,) = struct.unpack_from("<I", data, 52)
        if unpacked > LARGEST_BLOCK:
            raise ValueError(f"its blocks unpack to {unpacked:,} bytes")
        _within(size, 64, 24 * levels)
        zooms = [struct.unpack_from("<16xQ", data, 64 + 24 * level)[0] for level in range(levels)]
        _within(size, names, 32)
        magic, _, key_size, value_size, count = struct.unpack_from("<IIIIQ", data, names)
        if magic != _NAMES or value_size != 8 or count * (key_size + 8) > size or key_size > size:
            raise ValueError("its table of contigs is no such table")
        _check_names(data, names + 32, key_size)
        for tree in (places, *zooms):
            _check_places(data, tree)


def _check_names(data: mmap.mmap, offset: int, key_size: int) -> None:
    """Walk the tree of contigs."""
    waiting, seen = [(offset, 0)], set[int]()
    while waiting:
        node, depth = waiting.pop()
        leaf, count = _node(data, node, depth, seen)
        _within(len(data), node + 4, count * (key_size + 8))
        if not leaf:
            step = key_size + 8
            children = [struct.unpack_from("<Q", data, node + 4 + step * i + key_size)[0] for i in range(count)]
            waiting += [(child, depth + 1) for child in children]


def _check_places(data: mmap.mmap, offset: int) -> None:
    """Walk a tree of blocks."""
    size = len(data)
    _within(size, offset, 48)
    if struct.unpack_from("<I", data, offset)[0] != _PLACES:
        raise ValueError("its index is no such index")
    waiting, seen = [(offset + 48, 0)], set[int]()
    while waiting:
        node, depth = waiting.pop()
        leaf, count = _node(data, node, depth, seen)
        kind = _LEAF if leaf else _BRANCH
        _within(size, node + 4, count * kind.itemsize)
        items = np.frombuffer(data[node + 4 : node + 4 + count * kind.itemsize], kind)
        if leaf:
            if (items["offset"] > size).any() or (items["size"] > size - np.minimum(items["offset"], size)).any():
                raise ValueError("a block of its values does not lie in it")
        else:
            waiting += [(child, depth + 1) for child in items["offset"].tolist()]


def _node(data: mmap.mmap, offset: int, depth: int, seen: set[int]) -> tuple[bool, int]:
    """Read the start of a node: whether it is a leaf, and how many items it has."""
    _within(len(data), offset, 4)
    leaf, count = struct.unpack_from("<BxH", data, offset)
    if leaf > 1 or depth > _DEEPEST or offset in seen:
        raise ValueError("its index is no tree")
    seen.add(offset)
    return bool(leaf), count


def _within(size: int, offset: int, length: int) -> None:
    if offset + length > size:
        raise ValueError(f"{length:,} bytes at {offset:,} do not lie in its {size:,}")


def check_bam_indexes(path: Path) -> None:
    """Raise ValueError where an index beside a BAM file is none."""
    for index in (f"{path}.bai", f"{path}.csi", path.with_suffix(".bai"), path.with_suffix(".csi")):
        if Path(index).is_file():
            try:
                _check_index(_unpacked(Path(index)))
            except (struct.error, OSError, EOFError, zlib.error) as error:
                raise ValueError(f"its index {Path(index).name} is cut short or damaged: {error}") from error


def _unpacked(path: Path) -> bytes:
    if path.suffix == ".bai":
        return path.read_bytes()
    with gzip.open(path) as handle:
        data = handle.read(LARGEST_INDEX + 1)
    if len(data) > LARGEST_INDEX:
        raise ValueError(f"its index unpacks to more than {LARGEST_INDEX:,} bytes")
    return data


def _check_index(data: bytes) -> None:
    linear, at, depth = data[:4] == b"BAI\x01", 4, _BAI_DEPTH
    if not linear:
        if data[:4] != b"CSI\x01":
            raise ValueError("its index does not begin as one does")
        shift, depth, extra = struct.unpack_from("<iii", data, 4)
        if not (0 < shift < 32 and 0 <= depth <= 10 and 0 <= extra <= len(data)):
            raise ValueError("its index has impossible levels")
        at = 16 + extra
    most = ((1 << (3 * depth + 3)) - 1) // 7 + 1  # bins, and one that holds counts
    (contigs,) = struct.unpack_from("<i", data, at)
    at += 4
    for _ in range(_count(contigs, data)):
        (bins,) = struct.unpack_from("<i", data, at)
        at, seen = at + 4, set[int]()
        for _ in range(_count(bins, data)):
            number, chunks = struct.unpack_from("<Ii" if linear else "<I8xi", data, at)
            if number > most or number in seen:
                raise ValueError(f"its index has bin {number} twice, or it cannot have it")
            seen.add(number)
            at += (8 if linear else 16) + 16 * _count(chunks, data)
        if linear:
            (windows,) = struct.unpack_from("<i", data, at)
            at += 4 + 8 * _count(windows, data)
    if len(data) - at not in (0, 8):  # without or with the number of reads that have no place
        raise ValueError("its index has another size than it tells")


def _count(number: int, data: bytes) -> int:
    if not 0 <= number <= len(data):
        raise ValueError(f"its index tells of {number:,} entries")
    return number
