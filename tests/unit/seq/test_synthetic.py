"""The simulated genome holds the features that it lists, where it lists them."""

import hashlib
import itertools

import numpy as np
import pytest

from gulmfit.errors import DataError
from gulmfit.seq.alphabet import encode, gc_content, reverse_complement_text
from gulmfit.seq.simulate import synthetic
from gulmfit.seq.simulate.synthetic import simulate_genome


@pytest.fixture(scope="module")
def genome():
    return simulate_genome(length_bp=500_000, seed=3)


def read(genome, start, end, strand):
    text = genome.sequence[start:end]
    return text if strand == "+" else reverse_complement_text(text)


def test_a_seed_gives_one_genome():
    first, again, other = (simulate_genome(length_bp=60_000, seed=seed) for seed in (5, 5, 6))
    assert first == again
    assert first.sequence != other.sequence


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
            size for size in range(9, 5, -1) if text[size + 4 : 2 * size + 4] == reverse_complement_text(text[:size])
        )
        assert set(text[2 * stem + 4 :]) == {"T"}


def test_acquired_and_native_genes_differ_in_gc(genome):
    shares = [gc_content(encode(genome.sequence[gene.start : gene.end])) for gene in genome.genes]
    assert np.percentile(shares, 90) - np.percentile(shares, 10) > 0.06


def test_rejects_a_length_that_means_nothing():
    with pytest.raises(DataError, match="length_bp=0"):
        simulate_genome(length_bp=0)
