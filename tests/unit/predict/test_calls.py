"""Calls are the connected stretches of windows above the threshold."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gulmfit.predict.scans.calls import Call, merge


def test_calls_by_hand() -> None:
    starts = np.array([0, 10, 20, 60, 90, 200])
    scores = np.array([0.9, 0.95, 0.2, 0.8, 0.8, np.nan])
    chunks = [(starts[:2], starts[:2] + 30, scores[:2]), (starts[2:], starts[2:] + 30, scores[2:])]
    assert list(merge(chunks, 0.5)) == [Call(0, 40, 0.95, 10, 40, 2), Call(60, 120, 0.8, 60, 90, 2)]
    assert list(merge(chunks, 0.5, merge_bp=19)) == list(merge(chunks, 0.5))
    assert list(merge(chunks, 0.5, merge_bp=20)) == [Call(0, 120, 0.95, 10, 40, 4)]
    assert list(merge(chunks, 0.96)) == []


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 4)), max_size=40),
    st.integers(1, 25),
    st.integers(0, 12),
    st.integers(1, 9),
)
def test_calls_cover_what_is_above_and_lie_apart(
    steps: list[tuple[int, int]], size: int, merge_bp: int, chunk: int
) -> None:
    starts = np.cumsum([step for step, _ in steps], dtype=np.int64)
    scores = np.array([score / 4 for _, score in steps])
    cut = [slice(first, first + chunk) for first in range(0, len(starts), chunk)]
    calls = list(merge(((starts[part], starts[part] + size, scores[part]) for part in cut), 0.5, merge_bp))
    above = [
        (int(start), int(start) + size, score) for start, score in zip(starts, scores, strict=True) if score >= 0.5
    ]
    assert sum(call.windows for call in calls) == len(above)
    for call in calls:
        inside = [window for window in above if call.start <= window[0] and window[1] <= call.end]
        assert len(inside) == call.windows
        assert (call.start, call.end) == (inside[0][0], inside[-1][1])
        assert call.value == max(score for *_, score in inside)
        assert (call.best_start, call.best_end) == next(window[:2] for window in inside if window[2] == call.value)
        assert all(after[0] <= one[1] + merge_bp for one, after in pairwise(inside))
    assert all(after.start > one.end + merge_bp for one, after in pairwise(calls))
