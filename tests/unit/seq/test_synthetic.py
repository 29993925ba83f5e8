"""The simulated genome holds what it says, and its promoter task gives nothing away and leaks nothing."""

import hashlib
import itertools

import numpy as np
import pytest

from gulmfit.errors import DataError
from gulmfit.seq import synthetic
from gulmfit.seq.alphabet import encode, gc_content, reverse_complement_text
from gulmfit.seq.synthetic import promoter_task, simulate, simulate_genome


@pytest.fixture(scope="module")
def data():
    return simulate(length_bp=500_000, num_train=150, num_valid=50, num_test=250, seed=3)


@pytest.fixture(scope="module")
def genome(data):
    return data.genome


def read(genome, start, end, strand):
    text = genome.sequence[start:end]
    return text if strand == "+" else reverse_complement_text(text)


def test_a_seed_gives_one_genome_and_one_task():
    settings = {"length_bp": 60_000, "num_train": 16, "num_valid": 4, "num_test": 12}
    first, again, other = (simulate(**settings, seed=seed) for seed in (5, 5, 6))
    assert first.genome == again.genome
    assert first.labelled.sequences == again.labelled.sequences
    assert first.labelled.ids == again.labelled.ids
    assert first.genome.sequence != other.genome.sequence


def test_a_seed_means_the_same_letters_everywhere():
    # A changed digest changes every published number on the synthetic data: do it knowingly.
    sequence = simulate_genome(length_bp=50_000, seed=0).sequence
    assert hashlib.sha256(sequence.encode()).hexdigest()[:16] == "53bd295198d5f879"


def test_length_is_reached_and_passed_by_one_operon_at_most(genome):
    assert 500_000 <= len(genome.sequence) < 510_000
    assert set(genome.sequence) == set("ACGT")


def test_genes_are_open_reading_frames(genome):
    stops = {"TAA", "TAG", "TGA"}
    starts = {"ATG": 0, "GTG": 0, "TTG": 0}
    for gene in genome.genes:
        text = read(genome, *gene)
        codons = [text[i : i + 3] for i in range(0, len(text), 3)]
        assert 300 <= len(text) <= 2000
        assert len(text) % 3 == 0
        assert codons[-1] in stops
        assert stops.isdisjoint(codons[:-1])
        starts[codons[0]] += 1
    assert starts["ATG"] > 0.7 * len(genome.genes)


def test_features_do_not_overlap_and_stand_on_both_strands(genome):
    features = [(gene.start, gene.end) for gene in genome.genes]
    features += [(terminator.start, terminator.end) for terminator in genome.terminators]
    for promoter in genome.promoters:
        low = min(promoter.minus35_start, promoter.minus10_start, promoter.tss)
        high = max(promoter.minus35_start + 6, promoter.minus10_start + 6, promoter.tss + 1)
        features.append((low, high))
    features.sort()
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(features))
    for kind in (genome.genes, genome.promoters, genome.terminators):
        assert list(kind) == sorted(kind)
        assert np.mean([feature.strand == "+" for feature in kind]) == pytest.approx(0.5, abs=0.12)


def test_promoters_are_dense_enough_to_be_learned(genome):
    assert len(genome.sequence) / len(genome.promoters) < 950


def test_promoter_boxes_keep_their_consensus_at_the_planted_rate(genome):
    kept = []
    spacers = []
    for promoter in genome.promoters:
        for start, box in (
            (promoter.minus35_start, synthetic.MINUS_35),
            (promoter.minus10_start, synthetic.MINUS_10),
        ):
            found = read(genome, start, start + 6, promoter.strand)
            kept.append([letter == wanted for letter, wanted in zip(found, box, strict=True)])
        spacers.append(abs(promoter.minus10_start - promoter.minus35_start) - 6)
        if promoter.strand == "+":
            assert 6 <= promoter.tss - (promoter.minus10_start + 5) <= 8
        else:
            assert 6 <= promoter.minus10_start - promoter.tss <= 8
    expected = synthetic.BOX_CONSERVATION + (1 - synthetic.BOX_CONSERVATION) / 4
    # Four standard errors of a share among 12 bases of each of the promoters.
    tolerance = 4 * np.sqrt(expected * (1 - expected) / np.size(kept))
    assert np.mean(kept) == pytest.approx(expected, abs=tolerance)
    assert set(spacers) == {15, 16, 17, 18, 19}
    assert max(set(spacers), key=spacers.count) == 17


def test_every_promoter_transcribes_into_a_gene(genome):
    for promoter in genome.promoters[5:-5]:
        ahead = [
            gene.start - promoter.tss if promoter.strand == "+" else promoter.tss - gene.end + 1
            for gene in genome.genes
            if gene.strand == promoter.strand
        ]
        assert min(distance for distance in ahead if distance > 0) < 500


def test_terminators_are_a_stem_a_loop_and_a_tract_of_t(genome):
    for terminator in genome.terminators:
        text = read(genome, *terminator)
        stem = next(
            size
            for size in range(9, 5, -1)
            if text[size + 4 : 2 * size + 4] == reverse_complement_text(text[:size])
        )
        assert set(text[2 * stem + 4 :]) == {"T"}


def test_acquired_and_native_genes_differ_in_gc(genome):
    shares = [gc_content(encode(genome.sequence[gene.start : gene.end])) for gene in genome.genes]
    assert np.percentile(shares, 90) - np.percentile(shares, 10) > 0.06


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
        assert len(sequence) == synthetic.WINDOW_BP


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
    background = [
        locus for label, locus in zip(data.labelled.labels, data.labelled.loci, strict=True) if not label
    ]
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
    with pytest.raises(DataError, match=rf"the {part} part .* num_{part}=5000 needs: raise length_bp"):
        promoter_task(genome, corpus_end=250_000, **sizes)


def test_says_that_background_has_no_room(genome):
    crowded = synthetic.SyntheticGenome(genome.sequence[:50_000], [], genome.promoters[:40], [])
    with pytest.raises(DataError, match=r"train part .* has room for \d+ of the \d+ background windows"):
        promoter_task(crowded, corpus_end=50_000, num_train=60, num_valid=0, num_test=0)


def test_rejects_sizes_that_mean_nothing(genome):
    with pytest.raises(DataError, match="length_bp=0"):
        simulate_genome(length_bp=0)
    with pytest.raises(DataError, match="num_test=-2"):
        promoter_task(genome, corpus_end=250_000, num_test=-2)
