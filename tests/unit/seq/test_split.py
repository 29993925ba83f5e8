"""Splits: whole, balanced, repeatable, and no relatives on two sides."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.labelled import LabelledSequences
from gulmfit.seq.split import PARTS, ColumnSplit, HomologySplit, RandomSplit, cluster_by_shared_kmers


def random_dna(rng, length: int) -> str:
    return "".join(rng.choice(list("ACGT"), length))


def labelled(sequences, labels, splits=None) -> LabelledSequences:
    classes = [f"c{i}" for i in range(max(labels) + 1)]
    return LabelledSequences(
        [str(i) for i in range(len(sequences))],
        list(sequences),
        np.array(labels),
        classes,
        None if splits is None else np.array(splits),
        files=["set.csv"],
    )


def random_set(seed: int, sizes=(200, 100), length: int = 60) -> LabelledSequences:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return labelled([random_dna(rng, length) for _ in labels], labels.tolist())


def families(seed: int, count: int = 150) -> LabelledSequences:
    """Make families of 1 to 6 overlapping windows of one template, some flipped, classes mixed inside."""
    rng = np.random.default_rng(seed)
    sequences, labels = [], []
    for _ in range(count):
        template = random_dna(rng, 90)
        for _ in range(rng.integers(1, 7)):
            start = rng.integers(0, 31)
            window = template[start : start + 60]
            sequences.append(window if rng.random() < 0.5 else reverse_complement_text(window))
            labels.append(int(rng.random() < 0.3))
    return labelled(sequences, labels)


def table(data, parts) -> np.ndarray:
    """Count sequences by part (train, valid, test) and class."""
    return np.array([np.bincount(data.labels[parts == p], minlength=len(data.classes)) for p in PARTS])


def brute_clusters(sequences, k):
    """Find components by comparing every pair of k-mer sets, strand by strand."""

    def kmers(text):
        return {text[i : i + k] for i in range(len(text) - k + 1) if "N" not in text[i : i + k]}

    both = [kmers(text) | kmers(reverse_complement_text(text)) for text in sequences]
    group = list(range(len(sequences)))
    for i in range(len(sequences)):
        for j in range(i):
            same = sequences[i] in (sequences[j], reverse_complement_text(sequences[j]))
            if both[i] & both[j] or (same and not both[i]):
                old, new = group[i], group[j]
                group = [new if g == old else g for g in group]
    return group


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


def test_clustering_of_ten_thousand_sequences_is_quick():
    rng = np.random.default_rng(4)
    letters = rng.choice(np.frombuffer(b"ACGT", np.uint8), (10_000, 150))
    sequences = [row.tobytes().decode() for row in letters]
    started = time.process_time()
    assert cluster_by_shared_kmers(sequences, 20).max() > 9_980  # a few meet by chance
    assert time.process_time() - started < 3


@pytest.mark.parametrize("split", [RandomSplit(0.1, 0.2, 0), HomologySplit(0.1, 0.2, 0)])
def test_unrelated_sequences_are_dealt_in_exact_proportion(split):
    data = random_set(0)
    assert table(data, split(data)).tolist() == [[140, 70], [20, 10], [40, 20]]


@pytest.mark.parametrize("kind", [RandomSplit, HomologySplit])
def test_seeds(kind):
    data = families(1)
    first, again, other = (kind(0.15, 0.15, seed)(data) for seed in (1, 1, 2))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


@pytest.mark.parametrize("kind", [RandomSplit, HomologySplit])
def test_a_part_of_fraction_zero_stays_empty(kind):
    data = random_set(2)
    assert set(kind(0.0, 0.2, 0)(data).tolist()) == {"train", "test"}
    assert set(kind(0.2, 0.0, 0)(data).tolist()) == {"train", "valid"}


@pytest.mark.parametrize("seed", range(5))
def test_homology_split_keeps_clusters_whole_and_classes_in_proportion(seed):
    data = families(seed)
    parts = HomologySplit(0.1, 0.2, seed)(data)
    clusters = cluster_by_shared_kmers(data.sequences, 20)
    assert 120 < len(set(clusters.tolist())) <= 155
    for cluster in set(clusters.tolist()):
        assert len(set(parts[clusters == cluster].tolist())) == 1
    counts = table(data, parts)
    share = counts / counts.sum(axis=0)
    np.testing.assert_allclose(share, [[0.7, 0.7], [0.1, 0.1], [0.2, 0.2]], atol=0.03)


def test_no_kmer_stands_on_two_sides():
    data = families(7)
    parts = HomologySplit(0.2, 0.2, 0, k=15)(data)

    def kmers(part):
        texts = [s for s, p in zip(data.sequences, parts, strict=True) if p == part]
        texts += [reverse_complement_text(text) for text in texts]
        return {text[i : i + 15] for text in texts for i in range(len(text) - 14)}

    train, valid, test = map(kmers, PARTS)
    assert not (train & valid) | (train & test) | (valid & test)


def test_twins_and_copies_stay_together():
    data = random_set(5, (60, 60))
    sequences = data.sequences + [reverse_complement_text(s) for s in data.sequences] + data.sequences
    tripled = labelled(sequences, data.labels.tolist() * 3)
    parts = HomologySplit(0.25, 0.25, 0)(tripled).reshape(3, -1)
    assert (parts[0] == parts[1]).all()
    assert (parts[0] == parts[2]).all()


def test_a_cluster_too_large_for_its_part_trains(caplog):
    rng = np.random.default_rng(6)
    core = random_dna(rng, 30)
    big = [core + random_dna(rng, 30) for _ in range(60)]
    data = labelled(big + [random_dna(rng, 60) for _ in range(60)], [0, 1] * 60)
    caplog.set_level("INFO")
    parts = HomologySplit(0.1, 0.1, 0)(data)
    assert set(parts[:60].tolist()) == {"train"}
    assert table(data, parts).tolist() == [[48, 48], [6, 6], [6, 6]]
    assert "120 sequences in 61 clusters of shared 20-mers, the largest of 60" in caplog.text


def test_train_lends_a_cluster_when_none_fits():
    rng = np.random.default_rng(8)
    pairs = [random_dna(rng, 60) for _ in range(5)] * 2
    data = labelled(pairs + [random_dna(rng, 60) for _ in range(10)], [0] * 10 + [1] * 10)
    counts = table(data, HomologySplit(0.1, 0.1, 0)(data))
    assert counts[:, 0].tolist() == [6, 2, 2]


def test_one_cluster_cannot_be_split():
    core = random_dna(np.random.default_rng(9), 30)
    data = labelled([core + base * 3 for base in "ACGTACGT"], [0, 1] * 4)
    with pytest.raises(DataError, match=r"test part|valid part") as caught:
        HomologySplit(0.1, 0.1, 0)(data)
    message = str(caught.value)
    assert "set.csv" in message
    assert "class 'c0'" in message
    assert "largest of 1 clusters holds 8 of 8" in message
    assert "raise k (now 20, at most 31)" in message


def test_a_class_too_small_for_every_part():
    data = labelled(["ACGT", "AAAA", *["CCCC"] * 20], [0, 0, *[1] * 20])
    with pytest.raises(DataError, match=r"train part of set\.csv has no example of class 'c0'"):
        RandomSplit(0.1, 0.1, 0)(data)


def test_column_split_keeps_what_the_source_says():
    splits = ["train", "train", "valid", "valid", "test", "test"]
    data = labelled(["A"] * 6, [0, 1] * 3, splits)
    assert ColumnSplit(0.5, 0)(data).tolist() == splits


def test_column_split_draws_valid_from_train_only():
    data = random_set(10)
    data.splits = np.array((["train"] * 80 + ["test"] * 20) * 3)
    first, again, other = (ColumnSplit(0.25, seed)(data) for seed in (0, 0, 1))
    assert ((first == "test") == (data.splits == "test")).all()
    assert table(data, first).tolist() == [[120, 60], [40, 20], [40, 20]]
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()
    assert set(ColumnSplit(0.0, 0)(data).tolist()) == {"train", "test"}


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (None, "set.csv comes without a split"),
        (["train"] * 4, "marks no sequence as 'test': found \\['train'\\]"),
        (["test"] * 4, "marks no sequence as 'train'"),
        (["train", "train", "test", "train"], "test part of set.csv has no example of class 'c1'"),
    ],
)
def test_column_split_errors(splits, message):
    data = labelled(["A", "C", "G", "T"], [0, 1, 0, 1], splits)
    with pytest.raises(DataError, match=message):
        ColumnSplit(0.0, 0)(data)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomSplit(-0.1, 0.1, 0), "valid_fraction=-0.1"),
        (lambda: RandomSplit(0.1, 1.0, 0), "test_fraction=1.0"),
        (lambda: HomologySplit(0.5, 0.5, 0), "leave nothing to train on"),
        (lambda: HomologySplit(0.1, 0.1, 0, k=32), "k=32"),
        (lambda: ColumnSplit(1.0, 0), "valid_fraction=1.0"),
    ],
)
def test_impossible_settings(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
