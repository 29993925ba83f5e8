"""Scores of codons against what counting letters gives."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from scipy.stats import ttest_rel

from gulmfit.evaluate.codon_scores import Usage, by_protein, favourites, paired_by_protein, weighted_codon_scores
from gulmfit.seq.genome.genetic_code import CODONS, genetic_code
from gulmfit.seq.labels.codon_labels import CodonClasses, Codons, codon_classes

CLASSES = CodonClasses(codon_classes(genetic_code(11)))
GENES = {
    "MKKLF*": ["ATG", "AAA", "AAG", "CTG", "TTT", "TAA"],
    "MKU*": ["GTG", "AAA", "TGA", "TAG"],
    "LLL": ["CTG", "TTA", "CTG"],
}
TRUTH = Codons().array([CLASSES.labels(protein, "".join(codons)) for protein, codons in GENES.items()])
KNOWN = TRUTH >= 0


def random_predictions(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    there = CLASSES.options(np.where(KNOWN, CLASSES.row[np.maximum(TRUTH, 0)], -1)) >= 0
    values = rng.random(there.shape) * there
    return values / np.maximum(values.sum(axis=2, keepdims=True), 1e-12)


def letters(classes: np.ndarray) -> list[list[str]]:
    return [[CODONS[CLASSES.codons[one]] for one in row[row >= 0]] for row in classes]


def test_matches_are_counted_letter_by_letter() -> None:
    predicted = random_predictions(0)
    chosen = CLASSES.chosen(TRUTH, predicted.argmax(axis=2))
    pairs = [list(zip(*rows, strict=True)) for rows in zip(letters(TRUTH), letters(chosen), strict=True)]
    known, right, bases = by_protein(TRUTH, chosen, CLASSES)
    assert known.tolist() == [len(row) for row in pairs]
    assert right.tolist() == [sum(one == two for one, two in row) for row in pairs]
    assert bases.tolist() == [sum(a == b for one, two in row for a, b in zip(one, two, strict=True)) for row in pairs]
    scores = weighted_codon_scores(TRUTH, predicted, CLASSES)
    places = CLASSES.places(TRUTH)
    nats = [-math.log(predicted[row, at, places[row, at]]) for row, at in zip(*np.nonzero(KNOWN), strict=True)]
    once = scores(np.ones((1, 3)))
    assert once["codon_match"][0] == pytest.approx(right.sum() / known.sum())
    assert once["nucleotide_match"][0] == pytest.approx(bases.sum() / known.sum() / 3)
    assert once["log_loss"][0] == pytest.approx(np.mean(nats))


def test_a_weight_of_two_is_a_protein_that_is_there_twice() -> None:
    predicted = random_predictions(1)
    weighted = weighted_codon_scores(TRUTH, predicted, CLASSES)(np.array([[2.0, 0.0, 1.0]]))
    rows = [0, 0, 2]
    twice = weighted_codon_scores(TRUTH[rows], predicted[rows], CLASSES)(np.ones((1, 3)))
    for name, value in twice.items():
        assert weighted[name][0] == pytest.approx(value[0])


def test_a_codon_that_was_impossible_has_no_log_loss() -> None:
    predicted = random_predictions(2)
    predicted[0, 1, CLASSES.places(TRUTH)[0, 1]] = 0
    found = weighted_codon_scores(TRUTH, predicted, CLASSES)(np.ones((1, 3)))
    assert np.isnan(found["log_loss"]).all()
    assert np.isfinite(found["codon_match"]).all()


def test_favourites_are_each_genes_own() -> None:
    found = letters(favourites(TRUTH, CLASSES))
    assert found[2] == ["CTG", "CTG", "CTG"]
    assert found[0] in (
        ["ATG", "AAA", "AAA", "CTG", "TTT", "TAA"], ["ATG", "AAG", "AAG", "CTG", "TTT", "TAA"]
    )  # fmt: skip
    assert found[1] == ["GTG", "AAA", "TAG"]


def test_use_of_codons_by_hand() -> None:
    found = Usage(TRUTH, CLASSES).of(TRUTH)
    text = "".join("".join(row) for row in letters(TRUTH))
    assert found["gc"] == pytest.approx(sum(base in "GC" for base in text) / len(text))
    assert found["gc3"] == pytest.approx(sum(base in "GC" for base in text[2::3]) / len(text[2::3]))
    # K: AAA 2, AAG 1; L: CTG 3, TTA 1; F: TTT 1. Starts and stops count for nothing, M within has one codon.
    cai = [(1 * (1 / 2) * 1 * 1) ** (1 / 4), 1.0, (1 / 3) ** (1 / 3)]
    assert found["cai"] == pytest.approx(np.mean(cai))
    counts = Counter(TRUTH[KNOWN].tolist())
    rows = Counter(CLASSES.row[TRUTH[KNOWN]].tolist())
    pairs = [(one, two) for row in TRUTH.tolist() for one, two in itertools.pairwise(row) if one >= 0 and two >= 0]
    two = Counter(pairs)
    of_rows = Counter((int(CLASSES.row[a]), int(CLASSES.row[b])) for a, b in pairs)

    def score(a: int, b: int) -> float:
        expected = counts[a] / rows[CLASSES.row[a]] * counts[b] / rows[CLASSES.row[b]]
        return math.log((two[a, b] + 1) / (expected * of_rows[CLASSES.row[a], CLASSES.row[b]] + 1))

    by_gene = [
        np.mean([score(a, b) for a, b in itertools.pairwise(row) if a >= 0 and b >= 0]) for row in TRUTH.tolist()
    ]
    assert found["codon_pair"] == pytest.approx(np.mean(by_gene))


def test_the_paired_test_is_that_of_scipy_unless_proteins_are_related() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(12), rng.random(12)
    alone = paired_by_protein(first, second, np.arange(12))
    assert alone["difference"] == pytest.approx((second - first).mean())
    assert alone["p_value"] == pytest.approx(ttest_rel(second, first).pvalue)
    twice = paired_by_protein(np.tile(first, 2), np.tile(second, 2), np.tile(np.arange(12), 2))
    assert twice["p_value"] == pytest.approx(alone["p_value"])
    assert math.isnan(paired_by_protein(first[:1], second[:1], np.zeros(1, np.int64))["p_value"])
