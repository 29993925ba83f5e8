"""The promoter task of a simulated genome gives nothing away and leaks nothing."""

import itertools

import numpy as np
import pytest

from gulmfit.errors import DataError
from gulmfit.seq.alphabet import encode, gc_content, reverse_complement_text
from gulmfit.seq.simulate.synthetic import SyntheticGenome
from gulmfit.seq.simulate.synthetic_task import WINDOW_BP, promoter_task, simulate


@pytest.fixture(scope="module")
def data():
    return simulate(length_bp=500_000, num_train=150, num_valid=50, num_test=250, seed=3)


@pytest.fixture(scope="module")
def genome(data):
    return data.genome


def read(genome, start, end, strand):
    text = genome.sequence[start:end]
    return text if strand == "+" else reverse_complement_text(text)


def test_a_seed_gives_one_task():
    settings = {"length_bp": 60_000, "num_train": 16, "num_valid": 4, "num_test": 12}
    first, again, other = (simulate(**settings, seed=seed) for seed in (5, 5, 6))
    assert first.genome == again.genome
    assert first.labelled.sequences == again.labelled.sequences
    assert first.labelled.ids == again.labelled.ids
    assert first.labelled.sequences != other.labelled.sequences


def test_task_has_the_sizes_asked_for_and_is_balanced(data):
    labelled = data.labelled
    assert labelled.classes == ["background", "promoter"]
    assert labelled.positive == "promoter"
    for part, size in (("train", 150), ("valid", 50), ("test", 250)):
        labels = labelled.labels[labelled.splits == part]
        assert len(labels) == size
        assert labels.sum() == size // 2


def test_sequences_are_what_their_loci_say(data):
    for identifier, sequence, (contig, start, end, strand) in zip(
        data.labelled.ids, data.labelled.sequences, data.labelled.loci, strict=True
    ):
        assert identifier == f"{contig}:{start}-{end}({strand})"
        assert sequence == read(data.genome, start, end, strand)
        assert len(sequence) == WINDOW_BP


def test_windows_overlap_no_other_window_and_only_train_lies_in_the_corpus(data):
    labelled = data.labelled
    spans = sorted((start, end) for _, start, end, _ in labelled.loci)
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(spans))
    name, corpus = data.corpus[0]
    assert data.genome.sequence.startswith(corpus)
    ends = {part: [] for part in ("train", "valid", "test")}
    for part, (contig, start, end, _) in zip(labelled.splits, labelled.loci, strict=True):
        assert contig == name
        ends[part].append((start, end))
    assert max(end for _, end in ends["train"]) <= len(corpus) <= min(start for start, _ in ends["valid"])
    assert max(end for _, end in ends["valid"]) <= min(start for start, _ in ends["test"])
    held_out = [s for s, part in zip(labelled.sequences, labelled.splits, strict=True) if part != "train"]
    assert not any(s in corpus or reverse_complement_text(s) in corpus for s in held_out)


def test_background_is_clear_of_every_tss_and_promoter_windows_hold_one(data):
    sites = np.array([promoter.tss for promoter in data.genome.promoters])
    offsets = []
    for label, (_, start, end, strand) in zip(data.labelled.labels, data.labelled.loci, strict=True):
        inside = sites[(sites >= start) & (sites < end)]
        if label:
            assert len(inside) == 1
            offsets.append(inside[0] - start if strand == "+" else end - 1 - inside[0])
        else:
            assert not np.any((sites >= start - 50) & (sites < end + 50))
    # The TSS is at 60 in an unshifted window; the shift takes every value from -8 to 8.
    assert set(offsets) == set(range(52, 69))


def test_background_comes_from_every_kind_of_region(data):
    genes = np.zeros(len(data.genome.sequence), dtype=bool)
    for gene in data.genome.genes:
        genes[gene.start : gene.end] = True
    background = [locus for label, locus in zip(data.labelled.labels, data.labelled.loci, strict=True) if not label]
    coding = np.array([genes[start:end].mean() for _, start, end, _ in background])
    assert np.mean(coding == 1) == pytest.approx(0.3, abs=0.02)
    assert np.mean(coding == 0) >= 0.39
    assert np.mean((coding > 0) & (coding < 1)) >= 0.15


def test_classes_agree_in_gc_and_strand(data):
    labelled = data.labelled
    gc = np.array([gc_content(encode(sequence)) for sequence in labelled.sequences])
    plus = np.array([strand == "+" for *_, strand in labelled.loci])
    for part in ("train", "valid", "test"):
        promoter, background = ((labelled.splits == part) & (labelled.labels == label) for label in (1, 0))
        assert gc[promoter].mean() == pytest.approx(gc[background].mean(), abs=0.02)
        assert plus[promoter].sum() == plus[background].sum()


def test_a_part_may_be_empty_and_an_odd_size_favours_promoters(genome):
    labelled = promoter_task(genome, corpus_end=250_000, num_train=7, num_valid=0, num_test=0)
    assert labelled.splits.tolist() == ["train"] * 7
    assert labelled.labels.sum() == 4


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_names_the_part_that_is_too_small(genome, part):
    sizes = {"num_train": 0, "num_valid": 0, "num_test": 0} | {f"num_{part}": 5000}
    with pytest.raises(DataError, match=rf"{part} part .*\b2500 .*num_{part}=5000 .*length_bp"):
        promoter_task(genome, corpus_end=250_000, **sizes)


def test_says_that_background_has_no_room(genome):
    crowded = SyntheticGenome(genome.sequence[:50_000], [], genome.promoters[:40], [])
    with pytest.raises(DataError, match=r"train part .*\b0 to 50000\) .*background windows: .*length_bp .*num_train"):
        promoter_task(crowded, corpus_end=50_000, num_train=60, num_valid=0, num_test=0)


def test_rejects_sizes_that_mean_nothing(genome):
    with pytest.raises(DataError, match="num_test=-2"):
        promoter_task(genome, corpus_end=250_000, num_test=-2)
