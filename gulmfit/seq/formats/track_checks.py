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
from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit.errors import DataError

LARGEST_BLOCK = 1 << 28  # bytes that a block of values may unpack to
LARGEST_INDEX = 1 << 30  # bytes that an index may unpack to

_BIGWIG, _NAMES, _PLACES = 0x888FFC26, 0x78CA8C91, 0x2468ACE0
_REGION = np.dtype([("region", "<u4", 4), ("offset", "<u8")])
_BLOCK = np.dtype([("region", "<u4", 4), ("offset", "<u8"), ("size", "<u8")])
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
        name = np.dtype([("key", f"V{key_size}"), ("offset", "<u8")])
        for _ in _leaves(data, names + 32, name, name):
            pass
        for tree in (places, *zooms):
            _within(size, tree, 48)
            if struct.unpack_from("<I", data, tree)[0] != _PLACES:
                raise ValueError("its index is no such index")
            for blocks in _leaves(data, tree + 48, _BLOCK, _REGION):
                if (blocks["offset"] > size).any() or (
                    blocks["size"] > size - np.minimum(blocks["offset"], size)
                ).any():
                    raise ValueError("a block of its values does not lie in it")


def _leaves(data: mmap.mmap, offset: int, leaf: np.dtype[Any], branch: np.dtype[Any]) -> Iterator[npt.NDArray[Any]]:
    """Walk a tree, and yield the items of each leaf; those of a branch tell where its children lie."""
    waiting, seen = [(offset, 0)], set[int]()
    while waiting:
        node, depth = waiting.pop()
        _within(len(data), node, 4)
        is_leaf, count = struct.unpack_from("<BxH", data, node)
        if is_leaf > 1 or depth > _DEEPEST or node in seen:
            raise ValueError("its index is not a tree")
        seen.add(node)
        kind = leaf if is_leaf else branch
        _within(len(data), node + 4, count * kind.itemsize)
        items = np.frombuffer(data[node + 4 : node + 4 + count * kind.itemsize], kind)
        if is_leaf:
            yield items
        else:
            waiting += [(child, depth + 1) for child in items["offset"].tolist()]


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
