"""Untranslated regions are the best of all that fit between two genes, on either strand."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from gulmfit.predict.genes import untranslated
from gulmfit.predict.genes.decoding import Decoding
from gulmfit.predict.genes.gene_hmm import GeneDecoder
from gulmfit.predict.genes.untranslated import BONUSES, SLOPES, UntranslatedEnds, untranslated_odds
from gulmfit.seq.genome.genes import GeneModel, Span

LENGTH = 60
ENDS = UntranslatedEnds(before=0.4, before_slope=20.0, after=0.2, after_slope=10.0)


def random_genes(generator: np.random.Generator) -> list[GeneModel]:
    """Return up to three genes of the forward strand, some of them side by side."""
    edges = np.sort(generator.choice(np.arange(3, LENGTH - 3), 2 * int(generator.integers(1, 4)), replace=False))
    spans = [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]
    return [GeneModel("c", "+", (span,), (span,)) for span in spans]


def worth(ends: UntranslatedEnds, odds: np.ndarray, coding: list[Span], regions: list[tuple[int, int]]) -> float:
    """Say base by base what regions (before, after) of such lengths are worth."""
    total = 0.0
    for (start, end), (before, after) in zip(coding, regions, strict=True):
        total += sum(odds[start - 1 - n] + ends.before - ends.before_slope * n / 100 for n in range(before))
        total += sum(odds[end + n] + ends.after - ends.after_slope * n / 100 for n in range(after))
    return total


def best_worth(ends: UntranslatedEnds, odds: np.ndarray, coding: list[Span]) -> float:
    """Return the worth of the best regions, each gap by itself."""
    total = 0.0
    for low, high in pairwise([0, *(at for span in coding for at in span), LENGTH]):
        sides = (low > 0, high < LENGTH)
        if (low, high) in coding:
            continue
        pairs = [(a, b) for a in range(high - low + 1) for b in range(high - low + 1 - a)]
        spans = [(low - 1, low), (high, high + 1)]
        total += max(
            worth(ends, odds, spans, [(0, a), (b, 0)]) for a, b in pairs if (sides[0] or not a) and (sides[1] or not b)
        )
    return total


@pytest.mark.parametrize("seed", range(30))
def test_regions_are_the_best_of_all(seed: int) -> None:
    generator = np.random.default_rng(seed)
    genes, odds = random_genes(generator), generator.normal(0, 1, LENGTH)
    found = ENDS(genes, LENGTH, lambda start, end: odds[start:end])
    coding = [gene.cds[0] for gene in genes]
    assert [gene.cds for gene in found] == [gene.cds for gene in genes]
    regions = [(gene.cds[0][0] - gene.span[0], gene.span[1] - gene.cds[0][1]) for gene in found]
    assert worth(ENDS, odds, coding, regions) == pytest.approx(best_worth(ENDS, odds, coding))
    assert all(one.span[1] <= two.span[0] for one, two in pairwise(found))


@pytest.mark.parametrize("seed", range(5))
def test_the_other_strand_is_read_backwards(seed: int) -> None:
    generator = np.random.default_rng(seed)
    genes, odds = random_genes(generator), generator.normal(0, 1, LENGTH)
    spans = [tuple((LENGTH - end, LENGTH - start) for start, end in gene.cds) for gene in genes]
    turned = [GeneModel("c", "-", span, span) for span in spans][::-1]
    one = ENDS(genes, LENGTH, lambda start, end: odds[start:end])
    other = ENDS(turned, LENGTH, lambda start, end: odds[start:end])
    assert [gene.span for gene in other][::-1] == [(LENGTH - g.span[1], LENGTH - g.span[0]) for g in one]


def test_a_region_with_an_intron_stays() -> None:
    spliced = GeneModel("c", "+", ((30, 40),), ((5, 10), (25, 42)))
    odds = np.full(LENGTH, 2.0)
    (found,) = ENDS([spliced], LENGTH, lambda start, end: odds[start:end])
    assert found.exons == ((5, 10), (25, found.exons[1][1]))
    assert found.exons[1][1] > 42


def test_genes_that_overlap_have_nothing_between_them() -> None:
    genes = [GeneModel("c", "+", (span,), (span,)) for span in ((10, 30), (28, 50))]
    odds = np.full(LENGTH, 0.5)
    one, two = ENDS(genes, LENGTH, lambda start, end: odds[start:end])
    assert (one.span[1], two.span[0]) == (30, 28)
    assert one.span[0] < 10
    assert two.span[1] > 50


def test_a_region_has_a_greatest_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untranslated, "REACH_BP", 7)
    gene = GeneModel("c", "+", ((20, 40),), ((20, 40),))
    odds = np.full(LENGTH, 9.0)
    (found,) = ENDS([gene], LENGTH, lambda start, end: odds[start:end])
    assert found.span == (13, 47)


def test_what_is_judged_best_is_chosen() -> None:
    wanted = UntranslatedEnds(before=BONUSES[-1], before_slope=SLOPES[1], after=BONUSES[1], after_slope=SLOPES[-1])

    def judged(ends: UntranslatedEnds) -> float:
        names = ("before", "before_slope", "after", "after_slope")
        return -sum(abs(getattr(ends, name) - getattr(wanted, name)) for name in names)

    assert UntranslatedEnds.fit(judged) == wanted


def test_log_odds_are_those_of_two_classes() -> None:
    classes = np.random.default_rng(0).normal(size=(4, 9))
    np.testing.assert_allclose(untranslated_odds(classes)(2, 6), classes[1, 2:6] - classes[0, 2:6])


def test_what_was_chosen_is_kept_and_older_models_have_one_bonus(tmp_path: Path) -> None:
    own = Decoding(decoder=GeneDecoder(ending=ENDS))
    own.save(tmp_path)
    again = Decoding.load(tmp_path)
    assert again is not None
    assert again.decoder == own.decoder
    content = json.loads((tmp_path / "decoder.json").read_text())
    del content["decoder"]["ending"]
    content["decoder"]["untranslated_bonus"] = 0.3
    (tmp_path / "decoder.json").write_text(json.dumps(content))
    older = Decoding.load(tmp_path)
    assert older is not None
    assert older.decoder == replace(own.decoder, ending=UntranslatedEnds(before=0.3, after=0.3))
