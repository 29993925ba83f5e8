"""Held-out stretches have the size and place asked for, and training keeps its distance and the rest."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.genome.holdout import hold_out
from gulmfit.seq.genome.store import Interval

CONTIG_BP = 1_000  # room of a contig in store coordinates, in the layouts below
HOWS = ("blocks", "tail")
few = settings(max_examples=60)


@st.composite
def layouts(draw):
    """Draw stretches of a few contigs, apart or touching, in any order."""
    intervals = []
    for contig in range(draw(st.integers(1, 4))):
        edges = sorted(draw(st.sets(st.integers(0, 120), min_size=2, max_size=6)))
        spans = list(pairwise(edges))
        kept = draw(st.lists(st.sampled_from(spans), min_size=1, unique=True))
        intervals += [Interval(contig, contig * CONTIG_BP + start, contig * CONTIG_BP + end) for start, end in kept]
    return draw(st.permutations(intervals))


def positions(parts: list[Interval]) -> set[tuple[int, int]]:
    """List every (contig, base) of stretches that share none."""
    listed = [(part.contig, base) for part in parts for base in range(part.start, part.end)]
    assert len(set(listed)) == len(listed)
    assert all(part.start < part.end for part in parts)
    return set(listed)


@few
@given(
    layouts(),
    st.sampled_from(HOWS),
    st.floats(0.05, 0.95),
    st.integers(1, 80),
    st.integers(0, 20),
    st.integers(0, 5),
)
def test_training_is_all_that_is_far_enough_from_validation(intervals, how, fraction, block_bp, margin_bp, seed):
    try:
        parts = hold_out(intervals, how=how, fraction=fraction, block_bp=block_bp, margin_bp=margin_bp, seed=seed)
    except DataError:
        return
    corpus, train, valid = positions(intervals), positions(parts.train), positions(parts.valid)
    assert valid <= corpus
    near = {(contig, base + step) for contig, base in valid for step in range(-margin_bp, margin_bp + 1)}
    assert train == corpus - near
    assert parts.bases() == {"train": len(train), "valid": len(valid)}
    # A stretch is a piece of one stretch of the corpus: no gap and no end of a contig inside it.
    for piece in parts.train + parts.valid:
        assert any(piece.contig == i.contig and i.start <= piece.start and piece.end <= i.end for i in intervals)
    assert parts.train == sorted(parts.train)
    assert parts.valid == sorted(parts.valid)


@few
@given(layouts(), st.floats(0.05, 0.95))
def test_tail_is_the_last_fraction_of_every_contig(intervals, fraction):
    try:
        parts = hold_out(intervals, how="tail", fraction=fraction, margin_bp=0)
    except DataError:
        return
    held = positions(parts.valid)
    for contig in {part.contig for part in intervals}:
        bases = sorted(base for other, base in positions(intervals) if other == contig)
        count = int(fraction * len(bases))
        assert {base for other, base in held if other == contig} == set(bases[len(bases) - count :])


def test_tail_reaches_across_gaps():
    intervals = [Interval(0, 0, 50), Interval(0, 60, 100), Interval(0, 110, 120), Interval(1, 120, 220)]
    parts = hold_out(intervals, how="tail", fraction=0.2, margin_bp=5)
    assert parts.valid == [Interval(0, 90, 100), Interval(0, 110, 120), Interval(1, 200, 220)]
    assert parts.train == [Interval(0, 0, 50), Interval(0, 60, 85), Interval(1, 120, 195)]


@few
@given(layouts(), st.floats(0.05, 0.95), st.integers(1, 80), st.integers(0, 5))
def test_blocks_hold_the_fraction_to_within_half_a_block(intervals, fraction, block_bp, seed):
    try:
        parts = hold_out(intervals, fraction=fraction, block_bp=block_bp, margin_bp=0, seed=seed)
    except DataError:
        return
    # Rounding the number of blocks makes one up to 3/2 of `block_bp` long, and cutting at whole bases 1 longer.
    longest = min(1.5 * block_bp + 1, max(part.end - part.start for part in intervals))
    wanted = fraction * len(positions(intervals))
    held = parts.bases()["valid"]
    if len(parts.valid) == 1 and held > wanted:  # no block is small enough: at least one is held out
        assert held <= longest
    else:
        assert abs(held - wanted) <= longest / 2


@pytest.mark.parametrize("seed", range(20))
def test_a_large_block_does_not_stand_in_for_a_small_one(seed):
    # Two blocks of 45 bases and one of 10: only the small one comes near a tenth.
    parts = hold_out([Interval(0, 0, 90), Interval(1, 90, 100)], block_bp=50, margin_bp=0, seed=seed)
    assert parts.valid == [Interval(1, 90, 100)]


@pytest.mark.parametrize("seed", range(5))
def test_the_smallest_block_is_held_out_where_all_are_too_large(seed):
    parts = hold_out([Interval(0, 0, 180), Interval(1, 180, 240)], block_bp=80, margin_bp=0, seed=seed)
    assert parts.valid == [Interval(1, 180, 240)]


def test_a_usual_genome():
    parts = hold_out([Interval(0, 0, 4_600_000)], fraction=0.1, seed=1)
    assert 435_000 <= parts.bases()["valid"] <= 485_000
    assert all(49_999 <= part.end - part.start <= 50_001 for part in parts.valid)
    assert parts.bases()["train"] >= 4_600_000 - 485_000 - 2_000 * len(parts.valid)


def test_a_seed_chooses_the_blocks_and_the_order_of_the_intervals_does_not():
    intervals = [Interval(contig, 10_000 * contig, 10_000 * (contig + 1)) for contig in range(30)]
    sizes = {"block_bp": 1_000, "margin_bp": 10}
    first, again, other = (hold_out(intervals, seed=seed, **sizes) for seed in (0, 0, 1))
    assert first == again == hold_out(intervals[::-1], seed=0, **sizes)
    assert first.valid != other.valid


def test_a_margin_stays_in_its_contig():
    intervals = [Interval(0, 0, 100), Interval(1, 100, 200)]
    parts = hold_out(intervals, block_bp=100, fraction=0.5, margin_bp=40, seed=0)
    assert sorted(parts.train + parts.valid) == intervals


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"how": "random"}, r"holdout\.how='random' .*\bblocks\b.*\btail\b"),
        ({"fraction": 0.0}, r"holdout\.fraction=0\.0: "),
        ({"fraction": 1.0}, r"holdout\.fraction=1\.0: "),
        ({"fraction": float("nan")}, r"holdout\.fraction=nan: "),
        ({"block_bp": 0}, r"holdout\.block_bp=0, holdout\.margin_bp=1000: "),
        ({"margin_bp": -1}, r"holdout\.margin_bp=-1: "),
    ],
)
def test_settings_out_of_range(change, message):
    with pytest.raises(ConfigError, match=message):
        hold_out([Interval(0, 0, 1_000_000)], **change)


@pytest.mark.parametrize(
    ("intervals", "sizes"),
    [
        ([], {}),
        ([], {"how": "tail"}),
        ([Interval(0, 0, 50_000)], {}),  # one block
        ([Interval(0, 0, 5)], {"how": "tail"}),  # a tenth of five bases
        ([Interval(0, 0, 100)], {"how": "tail", "margin_bp": 90}),  # nothing left to learn
        ([Interval(0, 0, 100)], {"block_bp": 10, "margin_bp": 100}),
    ],
)
def test_too_small_a_corpus_says_what_to_lower(intervals, sizes):
    with pytest.raises(DataError, match=rf"{len(intervals)} stretches .* fraction of 0\.1 .*holdout\.block_bp"):
        hold_out(intervals, **sizes)


def test_a_contig_may_hold_out_another_share() -> None:
    parts = [Interval(0, 0, 10_000), Interval(1, 20_000, 30_000)]
    held = hold_out(parts, how="tail", fraction=0.1, margin_bp=0, contigs={"two": 0.2}, names=["one", "two"])
    assert held.valid == [Interval(0, 9_000, 10_000), Interval(1, 28_000, 30_000)]


@pytest.mark.parametrize(
    ("how", "contigs", "named"),
    [("blocks", {"one": 0.2}, "blocks"), ("tail", {"three": 0.2}, "three"), ("tail", {"one": 1.5}, "1.5")],
)
def test_shares_of_contigs_are_checked(how: str, contigs: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        hold_out([Interval(0, 0, 10_000)], how=how, contigs=contigs, names=["one", "two"])
