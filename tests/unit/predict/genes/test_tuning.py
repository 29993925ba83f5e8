"""Weights chosen on genes that are held out, and scores of genes that are probabilities."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from gulmfit.errors import DataError
from gulmfit.evaluate.gene_scores import GeneScores, gene_scores
from gulmfit.predict.genes.orfs import OrfDecoder
from gulmfit.predict.genes.tuning import HeldOut, calibrated, climbed, f1, tuned
from gulmfit.seq.genome.genes import GeneModel
from gulmfit.seq.genome.genetic_code import genetic_code
from gulmfit.seq.genome.open_frames import longest_frames
from gulmfit.seq.labels.gene_labels import LabelledContig, gene_labels
from gulmfit.seq.labels.gene_models import GeneModels


def held_out(seed: int) -> HeldOut:
    """Take some long open reading frames as the genes, and log-odds that tell them, but with noise."""
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, 4, 30_000).astype(np.uint8)
    genes = longest_frames(codes, "c", genetic_code(11), min_bp=120)
    odds = generator.normal(-0.05, 0.5, size=(2, 3, len(codes))).astype(np.float32)
    for gene in genes[::2]:
        ((start, end),) = gene.cds
        odds["+-".index(gene.strand), :, start:end] += 0.2
    labels = gene_labels(GeneModels(genes[::2], [], ["c"]), "c", codes)
    return LabelledContig("c", codes, labels, genes[::2]), [odds]


def test_tuning_never_makes_it_worse_and_keeps_what_it_reports() -> None:
    contig, odds = part = held_out(0)
    first = OrfDecoder(temperature=0.02, constant=-14.0)
    decoder, scores = tuned(first, [part])
    assert f1(scores, "three_prime") > 0.5
    assert decoder != first
    found = decoder(contig.codes, odds, "c")
    ends = {(gene.strand, gene.three_prime) for gene in contig.genes}
    hits = np.mean([(gene.strand, gene.three_prime) in ends for gene in found])
    assert scores.scores()["three_prime/precision"] == pytest.approx(hits)
    with pytest.raises(DataError, match=r"no gene\b.*validation part"):
        tuned(first, [(contig._replace(genes=[]), odds)])


def test_no_weights_are_judged_twice() -> None:
    seen: list[tuple[float, float]] = []

    def judged(one: OrfDecoder) -> tuple[float, GeneScores]:
        seen.append((one.temperature, one.constant))
        return -((one.temperature - 0.3) ** 2) - (one.constant + 5) ** 2, gene_scores([], [], {})

    decoder, _ = climbed(OrfDecoder(), {"temperature": (0.1, 0.3, 0.5), "constant": (-9.0, -5.0)}, judged)
    assert (decoder.temperature, decoder.constant) == (0.3, -5.0)
    assert len(seen) == len(set(seen))


def test_the_calibration_is_a_logistic_regression() -> None:
    generator = np.random.default_rng(1)
    worth = generator.normal(20, 30, 4000)
    right = generator.random(4000) < 1 / (1 + np.exp(-(0.05 * worth - 0.5)))
    genes = [GeneModel("c", "+", ((0, 9),), score=float(value)) for value in worth]
    found = calibrated(genes, right)
    expected = LogisticRegression(C=1e9, tol=1e-8).fit(worth[:, None], right)
    assert (found.slope, found.offset) == pytest.approx((expected.coef_[0, 0], expected.intercept_[0]), rel=0.01)
    scores = np.array([gene.score for gene in found(genes)])
    assert scores.mean() == pytest.approx(right.mean(), abs=1e-3)
    assert (np.argsort(scores, kind="stable") == np.argsort(worth, kind="stable")).all()


def test_a_decoder_without_error_gets_no_infinite_slope() -> None:
    genes = [GeneModel("c", "+", ((0, 9),), score=float(value)) for value in range(50)]
    for right in (np.ones(50, bool), np.arange(50) > 20):
        scores = [gene.score for gene in calibrated(genes, right)(genes)]
        assert all(0 < score < 1 for score in scores)
