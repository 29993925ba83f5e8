"""Windows cover every base, stay on their contigs, and share the bases out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gulmfit.errors import ConfigError
from gulmfit.predict.scans.grid import Windows

lengths = st.lists(st.integers(1, 90), min_size=1, max_size=6)
sizes = st.integers(5, 40)
steps = st.integers(1, 60)


def all_windows(windows: Windows) -> list[tuple[int, int, int]]:
    return [
        (stretch.contig, start, end)
        for stretch in windows.stretches(0, len(windows))
        for start, end in zip(stretch.starts.tolist(), stretch.ends.tolist(), strict=True)
    ]


@given(lengths, sizes, steps)
def test_windows_are_those_of_a_loop_over_contigs(lengths: list[int], size: int, step: int) -> None:
    expected = []
    for contig, length in enumerate(lengths):
        if length < 5:
            continue
        starts = list(range(0, max(length - size, 0) + 1, step))
        if starts[-1] + size < length:
            starts.append(length - size)
        expected += [(contig, start, min(start + size, length)) for start in starts]
    windows = Windows(lengths, size, step, min_bases=5)
    assert all_windows(windows) == expected
    assert len(windows) == len(expected)
    assert windows.contigs_left_out == sum(length < 5 for length in lengths)


@given(lengths, sizes, steps, st.integers(1, 7))
def test_pieces_are_the_whole(lengths: list[int], size: int, step: int, piece: int) -> None:
    windows = Windows(lengths, size, step, min_bases=1)
    together = []
    for first in range(0, len(windows), piece):
        for stretch in windows.stretches(first, min(first + piece, len(windows))):
            together += [(stretch.contig, start, start + stretch.bases) for start in stretch.starts.tolist()]
    assert together == all_windows(windows)


@given(lengths, sizes, steps, st.integers(1, 7))
def test_a_base_belongs_to_the_window_whose_middle_is_nearest(
    lengths: list[int], size: int, step: int, piece: int
) -> None:
    windows = Windows(lengths, size, step, min_bases=1)
    for contig, length in enumerate(lengths):
        own = [(start, end) for number, start, end in all_windows(windows) if number == contig]
        owner = np.full(length, -1)
        begin, end = windows.offsets[contig : contig + 2].tolist()
        number = 0
        for first in range(begin, end, piece):
            for stretch in windows.stretches(first, min(first + piece, end)):
                for low, high in zip(*(part.tolist() for part in windows.cells(stretch)), strict=True):
                    assert (owner[low:high] == -1).all(), "two windows share a base"
                    owner[low:high] = number
                    number += 1
        for base in range(length):
            distances = [abs((start + stop) / 2 - (base + 0.5)) for start, stop in own]
            nearest = max(range(len(own)), key=lambda index: (-distances[index], index))
            assert owner[base] == (nearest if own[nearest][0] <= base < own[nearest][1] else -1)


@pytest.mark.parametrize(("size", "step", "message"), [(4, 1, "window_bp=4.* 5 bases"), (5, 0, "step_bp=0")])
def test_what_cannot_be_is_refused(size: int, step: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Windows([100], size, step, min_bases=5)


@given(lengths, sizes, steps)
def test_the_windows_of_a_contig_are_those_of_its_stretches(lengths: list[int], size: int, step: int) -> None:
    windows = Windows(lengths, size, step, min_bases=5)
    for first in range(0, len(windows), 3):
        parts = list(windows.by_contig(first, len(windows)))
        assert len({part.contig for part in parts}) == len(parts)
        alone = [
            (one.contig, one.bases, start) for one in windows.stretches(first, len(windows)) for start in one.starts
        ]
        assert [(part.contig, part.bases, start) for part in parts for start in part.starts] == alone
        for one in windows.stretches(first, len(windows)):
            assert (np.diff(one.starts) <= one.bases).all()  # without a gap
