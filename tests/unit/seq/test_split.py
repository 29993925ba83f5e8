"""Splits: whole, balanced, repeatable, and no relatives on two sides."""

import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.related.homology import cluster_by_shared_kmers, group_copies, related_k
from gulmfit.seq.splits.split import PARTS, AutoSplit, ColumnSplit, HomologySplit, RandomSplit, StratifiedSplit


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


@pytest.mark.parametrize("split", [StratifiedSplit(0.1, 0.2, 0), HomologySplit(0.1, 0.2, 0)])
def test_unrelated_sequences_are_dealt_in_exact_proportion(split):
    data = random_set(0)
    assert table(data, split(data)).tolist() == [[140, 70], [20, 10], [40, 20]]


@pytest.mark.parametrize("kind", [StratifiedSplit, HomologySplit])
def test_seeds(kind):
    data = families(1)
    first, again, other = (kind(0.15, 0.15, seed)(data) for seed in (1, 1, 2))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


@pytest.mark.parametrize("kind", [StratifiedSplit, HomologySplit])
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
    assert re.search(r"\b120 sequences .*\b61 groups .*20-mers, .*\b60\b", caplog.text)


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
    assert re.search(r"\b4 of 'c0', in 1 group\(s\).*\b4 in one", message)
    assert re.search(r"split\.k, .*\b31\b", message)


def test_a_class_too_small_for_every_part():
    data = labelled(["ACGT", "AAAA", *["CCCC"] * 20], [0, 0, *[1] * 20])
    with pytest.raises(DataError, match=r"train part .*set\.csv .*class 'c0' .*\b2 of 'c0', in 2 group\(s\)"):
        StratifiedSplit(0.1, 0.1, 0)(data)


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
        (None, r"set\.csv .*split=\.\.\."),
        (["train"] * 4, r"set\.csv .*'test': .*\['train'\]"),
        (["test"] * 4, r"set\.csv .*'train': .*\['test'\]"),
        (["train", "train", "test", "train"], r"test part .*set\.csv .*class 'c1' .*\b2 of 'c1'"),
    ],
)
def test_column_split_errors(splits, message):
    data = labelled(["A", "C", "G", "T"], [0, 1, 0, 1], splits)
    with pytest.raises(DataError, match=message):
        ColumnSplit(0.0, 0)(data)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StratifiedSplit(-0.1, 0.1, 0), "valid_fraction=-0.1"),
        (lambda: StratifiedSplit(0.1, 1.0, 0), "test_fraction=1.0"),
        (lambda: HomologySplit(0.5, 0.5, 0), r"valid_fraction=0\.5 and test_fraction=0\.5"),
        (lambda: HomologySplit(0.1, 0.1, 0, k=32), "k=32"),
        (lambda: ColumnSplit(1.0, 0), "valid_fraction=1.0"),
        (lambda: HomologySplit(0.1, 0.1, 0, method="blast"), r"split\.method='blast' .*\bkmers\b"),
        (lambda: HomologySplit(0.1, 0.1, 0, k=None), "split.k=null needs split.method=mmseqs"),
        (lambda: HomologySplit(0.1, 0.1, 0, coverage=0), "split.coverage=0"),
        (lambda: HomologySplit(0.1, 0.1, 0, min_seq_id=1.5), "split.min_seq_id=1.5"),
        (lambda: StratifiedSplit(0.1, 0.1, 0).folds(random_set(0), 1), "folds=1"),
        (lambda: StratifiedSplit(0.1, 0.1, 0).folds(random_set(0), 2, -1), "repeat=-1"),
    ],
)
def test_impossible_settings(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


grouped = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1)), min_size=30, max_size=80)


@given(grouped, st.integers(2, 4), st.integers(0, 3))
def test_folds_are_whole_equal_and_hold_every_class(rows, folds, seed):
    """Groups are given by copies: one template for each, on a random strand."""
    rng = np.random.default_rng(seed)
    templates = [random_dna(rng, 30) for _ in range(13)]
    labels = np.array([label for _, label in rows])
    sequences = [
        templates[group] if rng.random() < 0.5 else reverse_complement_text(templates[group]) for group, _ in rows
    ]
    data = labelled(sequences, labels.tolist())
    split = StratifiedSplit(0.1, 0.1, seed)
    groups = split.groups(data)
    spread = [len(set(groups[labels == label].tolist())) for label in range(labels.max() + 1)]
    assume(min(spread) >= 2 * folds)  # so that there is always a way
    numbers = split.folds(data, folds)
    assert set(numbers.tolist()) == set(range(folds))
    assert all(len(set(numbers[groups == group].tolist())) == 1 for group in set(groups.tolist()))
    sizes = np.bincount(numbers, minlength=folds)
    assert sizes.max() - sizes.min() <= len(data.classes) * np.bincount(groups).max()


def test_folds_of_unrelated_sequences_differ_by_one_and_with_the_repeat():
    data = random_set(11, (53, 29))
    split = StratifiedSplit(0.1, 0.1, 3)
    numbers = split.folds(data, 5)
    counts = np.array([np.bincount(data.labels[numbers == fold]) for fold in range(5)])
    assert (np.ptp(counts, axis=0) <= 1).all()
    assert np.ptp(counts.sum(axis=1)) <= 1
    assert split.folds(data, 5).tolist() == numbers.tolist()
    assert split.folds(data, 5, repeat=1).tolist() != numbers.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_folds_of_families_are_balanced(seed):
    data = families(seed)
    numbers = HomologySplit(0.1, 0.1, seed).folds(data, 5)
    clusters = cluster_by_shared_kmers(data.sequences, 20)
    assert all(len(set(numbers[clusters == cluster].tolist())) == 1 for cluster in set(clusters.tolist()))
    counts = np.array([np.bincount(data.labels[numbers == fold]) for fold in range(5)])
    np.testing.assert_allclose(counts / counts.sum(axis=0), 0.2, atol=0.02)


def test_impossible_folds_say_why():
    core = random_dna(np.random.default_rng(9), 30)
    one = labelled([core + base * 3 for base in "ACGTACGT"], [0, 1] * 4)
    with pytest.raises(DataError, match=r"2 folds .*set\.csv: .*\b8 sequences .*\b1 group\(s\).*\b1 folds"):
        HomologySplit(0.1, 0.1, 0).folds(one, 2)
    rng = np.random.default_rng(10)
    rare = labelled([random_dna(rng, 40) for _ in range(23)], [0] * 20 + [1] * 3)
    with pytest.raises(DataError, match=r"fold \d of 5 .*set\.csv .*class 'c1' .*\b3 of 'c1', in 3 group\(s\)"):
        StratifiedSplit(0.1, 0.1, 0).folds(rare, 5)
    with pytest.raises(DataError, match=r"choose split=stratified"):
        RandomSplit(0.1, 0.1, 0).folds(rare, 3)


@pytest.mark.parametrize("kind", [RandomSplit, StratifiedSplit])
def test_random_splits_keep_copies_and_twins_together(kind):
    data = random_set(12, (90, 60))
    twice = labelled(data.sequences + [reverse_complement_text(s) for s in data.sequences], data.labels.tolist() * 2)
    split = kind(0.2, 0.2, 0)
    for answer in (split(twice), split.groups(twice), split.folds(twice, 5)):
        assert answer[:150].tolist() == answer[150:].tolist()
    assert len(set(split.groups(twice).tolist())) == 150
    assert abs((split(twice) == "test").sum() - 60) <= 2


def test_random_is_not_stratified():
    data = random_set(13, (200, 200))
    counts = np.array([table(data, RandomSplit(0.2, 0.2, seed)(data))[2] for seed in range(10)])
    assert (counts.sum(axis=1) == 80).all()
    assert len({tuple(row) for row in counts.tolist()}) > 3


def test_a_validation_part_drawn_from_train_keeps_copies_together():
    data = random_set(14)
    data = labelled(data.sequences * 2, data.labels.tolist() * 2, (["train"] * 2 + ["test"]) * 200)
    parts = ColumnSplit(0.25, 0)(data)
    assert parts[:300].tolist() == parts[300:].tolist()
    assert ColumnSplit(0.25, 0).groups(data).tolist() == group_copies(data.sequences).tolist()


def test_auto_takes_the_split_of_the_source_and_else_homology():
    data = families(15)
    homology = HomologySplit(0.1, 0.2, 4)
    auto = AutoSplit(0.1, 0.2, 4)
    assert auto(data).tolist() == homology(data).tolist()
    data.splits = np.array(["train", "valid", "test"])[np.arange(len(data)) % 3]
    assert auto(data).tolist() == data.splits.tolist()
    assert auto.groups(data).tolist() == homology.groups(data).tolist()
    assert auto.folds(data, 4).tolist() == homology.folds(data, 4).tolist()


def test_auto_keeps_relatives_together_where_it_draws_validation_from_the_training_of_the_source():
    data = families(16)
    data.splits = np.where(np.arange(len(data)) % 5 == 0, "test", "train")
    parts = AutoSplit(0.2, 0.2, 4)(data)
    assert ((parts == "test") == (data.splits == "test")).all()
    train = np.flatnonzero(parts != "test")
    groups = HomologySplit(0.2, 0.2, 4).groups(data.subset(train))
    assert len(set(groups.tolist())) < 0.5 * len(train)
    by_group = {(group, part) for group, part in zip(groups.tolist(), parts[train].tolist(), strict=True)}
    assert len(by_group) == len(set(groups.tolist()))
    assert 0.1 < (parts[train] == "valid").mean() < 0.3


def test_auto_falls_back_to_copies_where_all_are_relatives(caplog):
    data = families(16, count=60)
    shared = random_dna(np.random.default_rng(0), 30)
    data.sequences = [text + shared for text in data.sequences]
    data.splits = np.where(np.arange(len(data)) % 5 == 0, "test", "train")
    parts = AutoSplit(0.2, 0.2, 4)(data)
    assert parts.tolist() == ColumnSplit(0.2, 4)(data).tolist()
    assert "relatives" in caplog.text


@pytest.mark.parametrize(
    ("count", "length", "k"),
    [
        (0, 0, 20),
        (3_000, 100, 20),
        (100_000, 300, 20),
        (3_000_000, 150, 21),
        (2_000_000, 600, 22),
        (400_000, 10_000, 25),
    ],
)
def test_related_k_keeps_chance_from_linking(count, length, k):
    assert related_k(count, count * length) == k
    links = [count * length * length / (4**size / 2) for size in (k - 1, k)]
    assert links[1] < 0.1
    assert k == 20 or links[0] >= 0.1


def test_homology_knows_positions():
    rng = np.random.default_rng(16)
    data = random_set(16, (30, 30))
    data.loci = [("c", 100 * i, 100 * i + (110 if i % 2 else 100), "+-"[i % 2]) for i in rng.permutation(60)]
    groups = HomologySplit(0.1, 0.1, 0).groups(data)
    assert len(set(groups.tolist())) == 31
    # Window 1 ends ten bases behind the start of window 2.
    assert groups[[locus[1] for locus in data.loci].index(100)] == groups[[locus[1] for locus in data.loci].index(200)]


def test_auto_method_tells_what_it_took(monkeypatch, caplog):
    monkeypatch.setattr("gulmfit.seq.splits.split.find_mmseqs", lambda: None)
    caplog.set_level("INFO")
    data = families(17)
    parts = HomologySplit(0.1, 0.1, 0, method="auto")(data)
    assert re.search(r"groups .*\bcopies\b.*20-mers", caplog.text)
    assert parts.tolist() == HomologySplit(0.1, 0.1, 0)(data).tolist()


@pytest.mark.parametrize("split", [RandomSplit(0.1, 0.1, 0), HomologySplit(0.1, 0.1, 0), ColumnSplit(0.1, 0)])
def test_no_data_at_all(split):
    empty = LabelledSequences([], [], np.array([], np.int64), ["a", "b"], np.array([], "<U5"))
    with pytest.raises(DataError):
        split(empty)
    with pytest.raises(DataError, match=r"\b2 folds .*\b0 sequences .*\b0 group\(s\)"):
        split.folds(empty, 2)


@pytest.mark.parametrize("split", [StratifiedSplit(0.2, 0.2, 0), RandomSplit(0.2, 0.2, 0), HomologySplit(0.2, 0.2, 0)])
def test_what_the_source_holds_together_stays_together(split: StratifiedSplit | HomologySplit) -> None:
    random = np.random.default_rng(0)
    texts = ["".join(random.choice(list("ACGT"), size=60)) for _ in range(80)]
    pairs = np.tile(np.arange(40), 2)
    data = LabelledSequences([str(i) for i in range(80)], texts, np.repeat([0, 1], 40), ["n", "p"], groups=pairs)
    for numbers in (split(data), split.folds(data, 4)):
        assert all(len(set(numbers[pairs == pair].tolist())) == 1 for pair in range(40))


def test_relatives_are_looked_for_once(caplog):
    caplog.set_level("INFO")
    data, same = families(3), families(3)
    split = HomologySplit(0.1, 0.2, 0)
    parts, groups = split(data), split.groups(data)
    assert len(caplog.messages) == 1
    np.testing.assert_array_equal(split.groups(same), groups)
    HomologySplit(0.1, 0.2, 0, k=25).groups(same)
    assert len(caplog.messages) == 3
    for group in np.unique(groups):
        assert len(set(parts[groups == group])) == 1
