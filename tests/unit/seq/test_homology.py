"""Groups of relatives against definitions written out in plain Python."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.related.homology import (
    cluster_by_linclust,
    cluster_by_shared_kmers,
    find_mmseqs,
    group_copies,
    group_overlaps,
    join,
)

needs_mmseqs = pytest.mark.skipif(find_mmseqs() is None, reason="needs mmseqs: pip install 'gulmfit[bio]'")


def random_dna(rng, length: int) -> str:
    return "".join(rng.choice(list("ACGT"), length))


def components(size: int, related) -> list[int]:
    """Find components by asking about every pair."""
    group = list(range(size))
    for i in range(size):
        for j in range(i):
            if related(i, j):
                old, new = group[i], group[j]
                group = [new if g == old else g for g in group]
    return group


def brute_clusters(sequences, k):
    """Find components by comparing every pair of k-mer sets, strand by strand."""

    def kmers(text):
        return {text[i : i + k] for i in range(len(text) - k + 1) if "N" not in text[i : i + k]}

    both = [kmers(text) | kmers(reverse_complement_text(text)) for text in sequences]

    def related(i, j):
        same = sequences[i] in (sequences[j], reverse_complement_text(sequences[j]))
        return bool(both[i] & both[j]) or (same and not both[i])

    return components(len(sequences), related)


def same_partition(a, b) -> bool:
    pairs = set(zip(a, b, strict=True))
    return len(pairs) == len(set(a)) == len(set(b))


@given(st.lists(st.text("ACGTN", min_size=1, max_size=25), min_size=1, max_size=25), st.integers(2, 9))
@settings(deadline=None, max_examples=150)
def test_clusters_agree_with_brute_force(sequences, k):
    clusters = cluster_by_shared_kmers(sequences, k)
    assert same_partition(clusters.tolist(), brute_clusters(sequences, k))
    assert clusters[0] == 0
    assert sorted(set(clusters.tolist())) == list(range(clusters.max() + 1))


def test_a_long_chain_in_random_order_is_one_cluster():
    rng = np.random.default_rng(3)
    genome = random_dna(rng, 20_000)
    windows = [genome[i : i + 40] for i in range(0, 19_960, 20)]
    order = rng.permutation(len(windows))
    assert set(cluster_by_shared_kmers([windows[i] for i in order], 20).tolist()) == {0}
    assert len(set(cluster_by_shared_kmers([windows[i] for i in order], 21).tolist())) == len(windows)


def test_known_clusters():
    a = "ACGGTCATTGCAGGATCCAT"
    sequences = [
        a,
        "TTTTT",
        reverse_complement_text(a),
        a[8:] + "CCCC",
        "AAAAA",
        "NNNNNNNNNNNN",
        "N" * 12,
        "TTTT",
    ]
    assert cluster_by_shared_kmers(sequences, 12).tolist() == [0, 1, 0, 0, 1, 2, 2, 3]


def test_clustering_of_ten_thousand_sequences_is_quick(slowness):
    rng = np.random.default_rng(4)
    letters = rng.choice(np.frombuffer(b"ACGT", np.uint8), (10_000, 150))
    sequences = [row.tobytes().decode() for row in letters]
    started = time.process_time()
    assert cluster_by_shared_kmers(sequences, 20).max() > 9_980  # a few meet by chance
    assert time.process_time() - started < 3 * slowness()


intervals = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 60), st.integers(1, 12), st.sampled_from("+-")))


@given(intervals)
def test_overlaps_agree_with_brute_force(rows):
    loci = [(contig, start, start + length, strand) for contig, start, length, strand in rows]

    def related(i, j):
        (a, start, end, _), (b, other_start, other_end, _) = loci[i], loci[j]
        return a == b and start < other_end and other_start < end

    groups = group_overlaps(loci).tolist()
    assert same_partition(groups, components(len(loci), related))
    assert list(dict.fromkeys(groups)) == list(range(len(set(groups))))


@given(
    st.integers(1, 20).flatmap(
        lambda n: st.lists(st.lists(st.integers(0, 9), min_size=n, max_size=n), min_size=1, max_size=3)
    )
)
def test_joined_groupings_keep_what_each_keeps(groupings):
    def related(i, j):
        return any(grouping[i] == grouping[j] for grouping in groupings)

    joined = join(*map(np.array, groupings)).tolist()
    assert same_partition(joined, components(len(joined), related))
    assert list(dict.fromkeys(joined)) == list(range(len(set(joined))))


def test_copies():
    assert group_copies(["ACC", "GGT", "AC", "ACC", "RY", "RY", "ACGT", "N"]).tolist() == [0, 0, 1, 0, 2, 2, 3, 4]
    assert group_copies([]).tolist() == []


def test_without_mmseqs_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("gulmfit.seq.related.homology.find_mmseqs", lambda: None)
    with pytest.raises(ConfigError, match=r"pip install 'gulmfit\[bio\]'.*split\.method=kmers"):
        cluster_by_linclust(["ACGT"])


def test_a_program_that_fails_is_quoted(monkeypatch, tmp_path):
    program = tmp_path / "mmseqs"
    program.write_text("#!/bin/sh\necho no room left >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr("gulmfit.seq.related.homology.find_mmseqs", lambda: str(program))
    with pytest.raises(DataError, match=r"mmseqs .*\b1 sequences, .*\b3: no room .*split\.method=kmers"):
        cluster_by_linclust(["ACGT"])


@needs_mmseqs
def test_linclust_sees_substitutions_on_both_strands():
    rng = np.random.default_rng(0)
    ones = [random_dna(rng, 200) for _ in range(100)]
    others = []
    for text in ones:
        letters = np.array(list(text))
        changed = rng.permutation(200)[:16]  # one in 12.5: many pairs share no 20-mer
        letters[changed] = ["ACGT"[("ACGT".index(base) + 1) % 4] for base in letters[changed]]
        others.append(reverse_complement_text("".join(letters)))
    groups = cluster_by_linclust(ones + others)
    assert (groups[:100] == groups[100:]).mean() > 0.95
    assert len(set(groups.tolist())) < 110
    assert groups[0] == 0


@needs_mmseqs
def test_linclust_takes_any_sequence():
    rng = np.random.default_rng(1)
    long = random_dna(rng, 100_000)
    groups = cluster_by_linclust(["A", "N" * 50, long, reverse_complement_text(long), "RYKM" * 20, "A" * 80])
    assert groups.tolist() == [0, 1, 2, 2, 3, 4]
