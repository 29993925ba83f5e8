"""Splits by genome position: overlapping windows on one side, whatever the strand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.splits.split_position import ContigSplit, PositionSplit


def windows(seed: int, count: int = 300, contigs: int = 6, length: int = 40, reach: int = 100_000) -> LabelledSequences:
    """Make windows with random letters at random places, so that only positions relate them."""
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, reach, count)
    loci = [(f"chr{rng.integers(contigs)}", int(start), int(start) + length, "+-"[rng.integers(2)]) for start in starts]
    return LabelledSequences(
        [str(i) for i in range(count)],
        ["".join(rng.choice(list("ACGT"), length)) for _ in range(count)],
        rng.integers(0, 2, count),
        ["a", "b"],
        files=["genome.gbff"],
        loci=loci,
    )


def contigs_of(data) -> np.ndarray:
    return np.array([locus[0] for locus in data.loci])


def test_whole_contigs_on_one_side():
    data = windows(0)
    split = ContigSplit(0.2, 0.2, 0)
    names = contigs_of(data)
    for answer in (split(data), split.groups(data), split.folds(data, 3)):
        assert all(len(set(answer[names == name].tolist())) == 1 for name in set(names.tolist()))
    assert set(split(data).tolist()) == {"train", "valid", "test"}


def test_copies_join_contigs_unless_told_otherwise():
    data = windows(1)
    names = contigs_of(data).tolist()
    data.sequences[names.index("chr1")] = data.sequences[names.index("chr0")]
    assert len(set(ContigSplit(0.2, 0.2, 0).groups(data).tolist())) == 5
    assert len(set(ContigSplit(0.2, 0.2, 0, keep_copies=False).groups(data).tolist())) == 6


@given(st.integers(0, 50), st.sampled_from([60, 500, 5000]))
def test_overlapping_windows_are_never_parted(seed, block_bp):
    data = windows(seed, count=60, contigs=2, reach=3000)
    groups = PositionSplit(0.2, 0.2, 0, block_bp=block_bp).groups(data)
    for i, (contig, start, end, _) in enumerate(data.loci):
        for j, (other, first, last, _) in enumerate(data.loci):
            if contig == other and start < last and first < end:
                assert groups[i] == groups[j]
            if contig != other:
                assert groups[i] != groups[j]


def test_a_chain_goes_with_the_block_in_which_it_starts():
    data = windows(2, count=6)
    data.loci = [
        ("c", start, start + 40, strand) for start, strand in zip((0, 90, 120, 150, 200, 399), "+-+-+-", strict=True)
    ]
    # 90-130, 120-160 and 150-190 are one chain; 200 begins the third block and 399 still stands in the fourth.
    assert PositionSplit(0.2, 0.2, 0, block_bp=100).groups(data).tolist() == [0, 0, 0, 0, 1, 2]


def test_parts_of_a_genome():
    data = windows(3, count=2000, contigs=1, reach=2_000_000)
    parts = PositionSplit(0.1, 0.2, 0, block_bp=20_000)(data)
    shares = [np.mean(parts == part) for part in ("train", "valid", "test")]
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.01)


def test_what_cannot_be_split_says_why():
    data = windows(4, contigs=1)
    with pytest.raises(DataError, match=r"valid part .*genome\.gbff .*'a', 'b' .*\b1 group\(s\).*split=position"):
        ContigSplit(0.1, 0.1, 0)(data)
    with pytest.raises(DataError, match=r"3 folds .*genome\.gbff: .*\b300 sequences .*\b1 group\(s\)"):
        ContigSplit(0.1, 0.1, 0).folds(data, 3)
    data.loci = None
    for kind in (ContigSplit, PositionSplit):
        with pytest.raises(DataError, match=r"genome\.gbff: no .*positions .*split=homology"):
            kind(0.1, 0.1, 0)(data)
    with pytest.raises(ConfigError, match="block_bp=0"):
        PositionSplit(0.1, 0.1, 0, block_bp=0)
