"""Scores of bases against scikit-learn, of genes by hand, and a Markov model against counting words in text."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from gulmfit.errors import DataError
from gulmfit.evaluate.baselines.gene_markov import PeriodicMarkov
from gulmfit.evaluate.gene_scores import base_intervals, base_scores, gene_scores
from gulmfit.seq.alphabet import reverse_complement
from gulmfit.seq.genome.genes import GeneModel
from gulmfit.seq.labels.gene_labels import CLASSES, REASONS, GeneLabels, LabelledContig, gene_labels
from gulmfit.seq.labels.gene_models import GeneModels


def drawn(generator: np.random.Generator, size: int) -> GeneLabels:
    classes = generator.integers(0, 4, (2, size)).astype(np.uint8)
    phases = np.where(classes == 2, generator.integers(1, 4, (2, size)), 0).astype(np.uint8)
    reasons = generator.choice([0, 0, 0, 1, len(REASONS)], (2, size)).astype(np.uint8)
    return GeneLabels(classes, phases, reasons)


def test_bases_are_scored_as_scikit_learn_does() -> None:
    generator = np.random.default_rng(0)
    true, guess = drawn(generator, 500), drawn(generator, 500)
    scores = base_scores(true, guess)
    known = (true.reasons == 0) | (true.reasons == len(REASONS))
    for labels, names in (([0, 1, 2, 3], CLASSES), ([1, 2, 3], ["genic"]), ([2, 3], ["sub_genic"])):
        average = None if len(names) > 1 else "micro"
        table = precision_recall_fscore_support(
            true.classes[known], guess.classes[known], labels=labels, average=average
        )
        for row, measure in enumerate(("precision", "recall", "f1")):
            assert [scores[f"{name}/{measure}"] for name in names] == pytest.approx(np.atleast_1d(table[row]))
    known = true.reasons == 0
    *table, _ = precision_recall_fscore_support(
        true.phases[known], guess.phases[known], labels=[1, 2, 3], average="micro"
    )
    assert [scores[f"phase/{measure}"] for measure in ("precision", "recall", "f1")] == pytest.approx(table)
    both = known & (true.phases > 0) & (guess.phases > 0)
    assert scores["phase/accuracy"] == pytest.approx((true.phases == guess.phases)[both].mean())


def test_intervals_hold_the_score_and_narrow_with_the_data() -> None:
    widths = []
    for size in (100_000, 1_600_000):
        generator = np.random.default_rng(0)
        true, guess = drawn(generator, size), drawn(generator, size)
        scores, bounds = base_scores(true, guess), base_intervals(true, guess, draws=200)
        assert all(low <= scores[name] <= high for name, (low, high) in bounds.items())
        widths.append(bounds["CDS/f1"][1] - bounds["CDS/f1"][0])
    assert widths[0] > 2.5 * widths[1] > 0  # 16 times as many blocks: a quarter


def gene(strand: str, *cds: tuple[int, int]) -> GeneModel:
    return GeneModel("c", strand, cds)


def test_genes_exons_and_introns_by_hand() -> None:
    true = [
        gene("+", (0, 30)),
        gene("+", (40, 60), (80, 100)),
        gene("-", (190, 200), (150, 170)),
        gene("-", (300, 330)),
    ]
    predicted = [
        gene("+", (3, 30)),  # another start
        gene("+", (40, 60), (80, 100)),  # exact
        gene("-", (190, 200), (149, 170)),  # another end, the same intron
        gene("+", (300, 330)),  # another strand
    ]
    scores = gene_scores(true, predicted, {"c": np.zeros((2, 400), bool)})
    assert scores.ignored == 0
    assert scores.scores() == {
        "three_prime/sensitivity": 2 / 4, "three_prime/precision": 2 / 4,
        "exact/sensitivity": 1 / 4, "exact/precision": 1 / 4,
        "multi_exon/sensitivity": 1 / 2, "multi_exon/precision": 1 / 2,
        "exon/sensitivity": 3 / 6, "exon/precision": 3 / 6,
        "exact_intron/sensitivity": 1.0, "exact_intron/precision": 1.0,
    }  # fmt: skip
    for name, (low, high) in scores.intervals().items():
        assert 0 <= low <= scores.scores()[name] <= high <= 1
    nothing = gene_scores(true, [], {}).scores()
    assert nothing["exact/sensitivity"] == 0
    assert np.isnan(nothing["exact/precision"])


def test_what_lies_on_masked_bases_is_neither_right_nor_wrong() -> None:
    masked = np.zeros((2, 400), bool)
    masked[0, 100:200] = True
    true = [gene("+", (120, 210))]
    inside, half, less = gene("+", (100, 160)), gene("+", (170, 230)), gene("+", (171, 231))
    scores = gene_scores(true, [inside, half, less, gene("-", (100, 160)), gene("+", (150, 210))], {"c": masked})
    assert scores.ignored == 2
    # Of those that count, the last is right: a true gene ends there, however much of it is masked.
    assert scores.right["three_prime"].tolist() == [False, False, True]
    more = gene_scores(true, [less], {"c": masked}, also_true=[less])
    assert (more.right["exact"].tolist(), more.found["exact"].tolist()) == ([True], [False])


def test_the_markov_model_counts_words() -> None:
    generator = np.random.default_rng(2)
    text = "".join(generator.choice(list("ACGT"), 400))
    genes = [gene("+", (30, 90)), gene("-", (200, 290)), gene("+", (300, 312), (335, 365))]
    codes = np.array(["ACGT".index(base) for base in text], np.uint8)
    labels = gene_labels(GeneModels(genes, [], ["c"]), "c", codes)
    model = PeriodicMarkov.fit([LabelledContig("c", codes, labels, genes)], order=1, classes=1, backoff=3.0)
    turned = text[::-1].translate(str.maketrans("ACGT", "TGCA"))
    read = {"+": text, "-": turned}

    def probability(counts: Counter[str], word: str) -> float:
        last = sum(n for key, n in counts.items() if key[1] == word[1])
        single = (last + 3 * 0.25) / (sum(counts.values()) + 3)
        context = sum(n for key, n in counts.items() if key[0] == word[0])
        return (counts[word] + 3 * single) / (context + 3)

    coding = [text[30:90], turned[110:200], text[300:312] + text[335:365]]
    places = [Counter(one[n - 1 : n + 1] for one in coding for n in range(1, len(one)) if n % 3 == k) for k in range(3)]
    free = {strand: [True] * 400 for strand in "+-"}
    for start, end in ((30, 90), (200, 290), (300, 312), (335, 365)):
        for n in range(start, end):
            free["+"][n] = free["-"][399 - n] = False
    none = Counter(read[s][n - 1 : n + 1] for s in "+-" for n in range(1, 400) if free[s][n])
    (odds,) = model(codes)
    for strand, at in (("+", 77), ("-", 250)):
        n = at if strand == "+" else 399 - at
        word = read[strand][n - 1 : n + 1]
        expected = [np.log(probability(place, word) / probability(none, word)) for place in places]
        assert odds["+-".index(strand), :, at].tolist() == pytest.approx(expected, abs=1e-5)
    assert (odds[0, :, 0] == 0).all()
    assert (odds[1, :, -1] == 0).all()
    with pytest.raises(DataError, match="3 gene"):
        PeriodicMarkov.fit([LabelledContig("c", codes, labels, genes)], classes=4)


def test_genes_of_two_kinds_get_a_class_each() -> None:
    generator = np.random.default_rng(3)
    kinds = ["".join(generator.choice(["GCG", "CTG"] if n % 4 else ["AAA", "TTA"], 60)) for n in range(60)]
    text = "".join("ACGT" * 5 + kind for kind in kinds)
    genes = [gene("+", (20 + 200 * n, 200 + 200 * n)) for n in range(60)]
    codes = np.array(["ACGT".index(base) for base in text], np.uint8)
    labels = gene_labels(GeneModels(genes, [], ["c"]), "c", codes)
    model = PeriodicMarkov.fit([LabelledContig("c", codes, labels, genes)], order=2, classes=2)
    odds = model(codes)
    for strand in (0, 1):
        read, step = (codes, 1) if strand == 0 else (reverse_complement(codes), -1)
        pieces = [model.on_strand(read, *edges) for edges in pairwise([0, 1, 700, len(codes)])]
        assert (np.concatenate(pieces, axis=2) == np.stack([one[strand, :, ::step] for one in odds])).all()
    sums = np.array(
        [[one[0, np.arange(180) % 3, np.arange(s, e)].sum() for ((s, e),) in (g.cds for g in genes)] for one in odds]
    )
    best = sums.argmax(axis=0)
    assert len(set(best[::4])) == len(set(best[1::4])) == 1
    assert best[0] != best[1]
