"""Cheap choosers of codons against every way to spell a protein, one by one."""

from itertools import pairwise, product

import numpy as np
import pytest

from gulmfit.evaluate.baselines.codon_models import CodonHmm, run_codon_baselines
from gulmfit.seq.genome.genetic_code import genetic_code
from gulmfit.seq.labels.codon_labels import CodonClasses, Codons, codon_classes

CLASSES = CodonClasses(codon_classes(genetic_code(11)))
PROTEINS = ["MKLM*", "K", "MKUF*", "KFLWD", "M"]


@pytest.fixture(scope="module")
def train() -> np.ndarray:
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(30):
        protein = "M" + "".join(rng.choice(list("KLFDW"), rng.integers(1, 40))) + "*"
        options = CLASSES.options(CLASSES.rows_of(protein))
        rows.append([int(rng.choice(row[row >= 0][:3])) for row in options])
    rows[3][2] = -100
    return Codons().array(rows)


def follows(train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counted one by one."""
    size = len(CLASSES.names)
    pairs, starts = np.ones((size, size)), np.ones(size)
    for row in train.tolist():
        starts[row[0]] += row[0] >= 0
        for one, two in pairwise(row):
            if one >= 0 and two >= 0:
                pairs[one, two] += 1
    return pairs / pairs.sum(1, keepdims=True), starts / starts.sum()


def test_decoding_equals_every_spelling_one_by_one(train: np.ndarray) -> None:
    transition, start = follows(train)
    model = CodonHmm(train, CLASSES)
    np.testing.assert_allclose(model.follows, transition)
    np.testing.assert_allclose(model.starts, start)
    width = max(map(len, PROTEINS)) + 2
    found = run_codon_baselines(train, PROTEINS, CLASSES, width=width)
    for at, protein in enumerate(PROTEINS):
        options = [row[row >= 0].tolist() for row in CLASSES.options(CLASSES.rows_of(protein))]
        posterior, chances = [dict.fromkeys(row, 0.0) for row in options], {}
        for way in product(*options):
            chance = start[way[0]] * np.prod([transition[pair] for pair in pairwise(way)])
            chances[way] = chance
            for place, one in enumerate(way):
                posterior[place][one] += chance
        total = sum(posterior[0].values())
        for place, row in enumerate(options):
            own = [posterior[place][one] / total for one in row]
            np.testing.assert_allclose(found["codon_hmm"][at, place, : len(row)], own, rtol=1e-9)
            assert found["codon_hmm_viterbi"][at, place].sum() == 1
        best = found["codon_hmm_viterbi"][at].argmax(axis=1)
        way = tuple(row[best[place]] for place, row in enumerate(options))
        assert chances[way] == pytest.approx(max(chances.values()))  # of several, any
        for name in found:
            assert found[name].shape == (len(PROTEINS), width, CLASSES.width)
            assert (found[name][at, len(protein) :] == 0).all()
            np.testing.assert_allclose(found[name][at, : len(protein)].sum(axis=1), 1)


def test_the_frequent_codon_is_counted(train: np.ndarray) -> None:
    found = run_codon_baselines(train, ["LK"], CLASSES, width=2)["frequent_codon"][0]
    for place, residue in enumerate("LK"):
        own = [index for index, name in enumerate(CLASSES.names) if name.startswith(f"{residue}:")]
        counts = np.array([(train == index).sum() + 1 for index in own])
        np.testing.assert_allclose(found[place, : len(own)], counts / counts.sum())
        assert (found[place, len(own) :] == 0).all()
