"""Weights by maximum likelihood: no other weights are likelier, and a made-up genome is found with them."""

import numpy as np
import pytest

from gulmfit.errors import DataError
from gulmfit.evaluate.baselines.gene_markov import PeriodicMarkov
from gulmfit.predict.genes.choice import conditional_logit
from gulmfit.predict.genes.decoding import Decoding
from gulmfit.predict.genes.orfs import OrfDecoder
from gulmfit.predict.genes.start_sites import AFTER, BEFORE, WIDER, StartSites
from gulmfit.predict.genes.weighing import starting, told_apart, weighed, weighed_decoding, weighed_markov
from gulmfit.seq.genome.genetic_code import genetic_code
from gulmfit.seq.genome.open_frames import open_frames, start_codons
from gulmfit.seq.labels.gene_labels import LabelledContig
from tests.unit.predict.genes.test_markov_genes import made_up


def slow_loss(
    weights: np.ndarray, evidence: np.ndarray, groups: np.ndarray, right: np.ndarray, penalty: float, none: bool
) -> float:
    total, counted = 0.0, 0
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        worth = [float(evidence[at] @ weights) for at in members]
        chosen = [value for value, at in zip(worth, members, strict=True) if right[at]]
        if not chosen and not none:
            continue
        others = sum(np.exp(value) for value in worth) + (1 if none else 0)
        total -= (chosen[0] if chosen else 0.0) - np.log(others)
        counted += 1
    return total / counted + penalty * float(weights @ weights)


@pytest.mark.parametrize("none", [False, True])
def test_no_other_weights_are_likelier(none: bool) -> None:
    generator = np.random.default_rng(0)
    groups = np.sort(generator.integers(0, 60, 300)) * 7
    evidence = generator.normal(size=(300, 3))
    right = np.zeros(300, bool)
    for group in np.unique(groups)[::2]:
        members = np.flatnonzero(groups == group)
        right[members[np.argmax(evidence[members, 0] + generator.normal(size=len(members)))]] = True
    found = conditional_logit(evidence, groups, right, 1e-2, or_none=none)
    least = slow_loss(found, evidence, groups, right, 1e-2, none)
    for at in range(3):
        for step in (-0.02, 0.02):
            other = found.copy()
            other[at] += step
            assert slow_loss(other, evidence, groups, right, 1e-2, none) > least
    held = conditional_logit(-evidence, groups, right, 1e-2, or_none=none, positive=1)
    assert held[0] == 0


def test_evidence_of_starts_is_wider_and_ranks_true_ones_first() -> None:
    contig, table, starts = made_up(0), genetic_code(11), start_codons(("ATG", "GTG"))
    counted = StartSites.fit([contig], table, starts)
    none = counted.sharpened([contig], table, starts, lambda _contig, _strand, frames: np.zeros(len(frames.starts)))
    assert counted.matrix.shape == (BEFORE + AFTER, 5)
    assert none.matrix.shape == (sum(WIDER), 5)
    assert (none.before, (none.matrix[:, 4] == 0).all()) == (WIDER[0], True)
    frames = open_frames(contig.codes, table, starts, min_bp=90)
    found = none(contig.codes, frames)
    for at in (0, 5, len(found) - 1):  # looked up place by place
        start = int(frames.starts[at])
        around = list(range(start - WIDER[0], start + WIDER[1]))
        matrix = sum(none.matrix[row, contig.codes[n]] for row, n in enumerate(around) if 0 <= n < len(contig.codes))
        assert np.abs(found[at] - matrix - none.motif).min() < 1e-9, at
    true = {gene.three_prime + 1: gene.five_prime for gene in contig.genes if gene.strand == "+"}
    mine = np.array([int(end) in true for end in frames.ends])
    first = counted(contig.codes, frames)

    def share(scores: np.ndarray) -> float:
        hits = []
        for end, start in true.items():
            members = np.flatnonzero(mine & (frames.ends == end))
            hits.append(frames.starts[members[np.argmax(scores[members])]] == start)
        return float(np.mean(hits))

    assert share(found) >= share(first)
    assert share(found) > 0.9


def noisy(contig: LabelledContig, seed: int) -> np.ndarray:
    """Return probabilities of a labeller that is right nine times of ten (L, 2, 8)."""
    generator, size = np.random.default_rng(seed), len(contig.codes)
    found = np.full((size, 2, 8), 0.02)
    for strand in (0, 1):
        wrong = generator.random(size) < 0.1
        classes = np.where(wrong, 0, contig.labels.classes[strand])
        phases = np.where(wrong, generator.integers(0, 4, size), contig.labels.phases[strand])
        found[np.arange(size), strand, classes] = 0.94
        found[np.arange(size), strand, 4 + phases] = 0.94
    return found


def test_a_labeller_and_a_markov_model_are_weighed() -> None:
    train, valid, test = map(made_up, range(3))
    decoding = weighed_decoding([train], [(valid, noisy(valid, 0))], code=11)
    again = Decoding.from_plain(decoding.to_plain())
    assert isinstance(decoding.decoder, OrfDecoder)
    assert decoding.decoder.temperature > 0
    assert decoding.markov_weight > 0
    own = noisy(test, 1)
    pairs = {(gene.strand, gene.cds) for gene in test.genes}
    for one in (decoding, again):
        found = one(test.codes, lambda start, end: own[start:end], "c")
        hits = [(gene.strand, gene.cds) in pairs for gene in found]
        assert sum(hits) > 0.95 * len(pairs)
        assert np.mean(hits) > 0.95
        assert all(0 < gene.score < 1 for gene in found)
    decoder, model = weighed_markov([train], [valid])
    plain = decoder(test.codes, model(test.codes), "c")
    assert len({(gene.strand, gene.cds) for gene in plain} & pairs) > 0.9 * len(pairs)


def test_without_genes_nothing_is_chosen() -> None:
    train = made_up(0)
    empty = train.part(0, 30)
    model = PeriodicMarkov.fit([train])
    with pytest.raises(DataError, match="no gene"):
        weighed(starting([train], 11, model), [(empty, [model(empty.codes)])])


def test_half_a_gene_is_no_evidence_against_frames_like_it() -> None:
    contig = made_up(1)
    gene = next(one for one in contig.genes[5:] if one.strand == "+")
    start, end = gene.span
    half = contig.part(start + 60, len(contig.codes))  # its stop codon is there, its start is not
    decoder = OrfDecoder(code=11, starts=("ATG", "GTG", "TTG"), min_bp=90)
    codes = half.codes.copy()
    codes[:3] = [0, 3, 2]  # another start codon, in its frame
    half = half._replace(codes=codes)
    decoding = Decoding(decoder=decoder)
    known = np.full((len(half.codes), 2, 8), 0.25)
    candidates = decoder.candidates(half.codes, decoding.log_odds(half.codes, known))
    _, right, counted = told_apart([(half, candidates)])
    left = (candidates.strand == 0) & (candidates.right == end - start - 60)
    assert left.any()
    assert not right[left].any()
    assert not counted[left].any()
    assert counted[right].all()
    assert counted.mean() > 0.9
