"""Tokens that are kept on disk are those that are cut in memory, once for each content."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gulmfit.data.segments import Segment, StoredSegments
from gulmfit.errors import DataError
from gulmfit.seq.alphabet import reverse_complement
from gulmfit.seq.tokens.subword_training import SubwordRecipe

CODES = np.random.default_rng(0).integers(0, 4, 30_000).astype(np.uint8)
SUBWORDS = SubwordRecipe(kind="bpe", vocab_size=24, train_bases=20_000).learn([CODES])
SEGMENTS = [
    Segment(0, 20_000, False),
    Segment(0, 20_000, True),
    Segment(20_000, 20_003, False),
    Segment(21_000, 30_000, True),
]


def tokens_of(stored: StoredSegments, segment: Segment) -> list[int]:
    out = np.zeros(stored.count(segment, 0), dtype=np.uint16)
    stored.read(segment, 0, 0, out)
    return out.tolist()


@pytest.mark.parametrize("on_disk", [True, False])
def test_tokens_are_those_of_each_strand(on_disk: bool, tmp_path: Path) -> None:
    stored = StoredSegments(CODES, SEGMENTS, SUBWORDS, tmp_path if on_disk else None)
    for segment in SEGMENTS:
        codes = CODES[segment.start : segment.end]
        expected = SUBWORDS.encode(reverse_complement(codes) if segment.reverse else codes).tolist()
        assert tokens_of(stored, segment) == expected
        out = np.zeros(min(5, len(expected) // 2), dtype=np.uint16)
        stored.read(segment, 0, len(expected) // 2, out)
        assert out.tolist() == expected[len(expected) // 2 :][: len(out)]
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ([".npy", ".tokens"] if on_disk else [])


def test_what_is_kept_is_used_again_unless_something_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut: list[Segment] = []
    original = StoredSegments._cut

    def noted(self: StoredSegments, segment: Segment) -> Any:
        cut.append(segment)
        return original(self, segment)

    monkeypatch.setattr(StoredSegments, "_cut", noted)
    StoredSegments(CODES, SEGMENTS, SUBWORDS, tmp_path)
    assert cut == SEGMENTS
    StoredSegments(CODES.copy(), SEGMENTS, SUBWORDS, tmp_path)
    assert len(cut) == len(SEGMENTS)
    changed = CODES.copy()
    changed[29_999] ^= 1
    for codes, segments in ((changed, SEGMENTS), (CODES, SEGMENTS[:3]), (CODES, SEGMENTS[::-1])):
        before = len(cut)
        StoredSegments(codes, segments, SUBWORDS, tmp_path)
        assert len(cut) == before + len(segments)


def test_a_shortened_file_is_made_anew(tmp_path: Path) -> None:
    expected = tokens_of(StoredSegments(CODES, SEGMENTS, SUBWORDS, tmp_path), SEGMENTS[1])
    (path,) = tmp_path.glob("*.tokens")
    path.write_bytes(path.read_bytes()[:-2])
    assert tokens_of(StoredSegments(CODES, SEGMENTS, SUBWORDS, tmp_path), SEGMENTS[1]) == expected


def test_nothing_half_written_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DataError, match=r"\.tokens: .*Errno 28.*paths\.cache_dir"):
        StoredSegments(CODES, SEGMENTS, SUBWORDS, tmp_path)
    assert list(tmp_path.iterdir()) == []
