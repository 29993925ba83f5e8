"""Lengths of genes, exons and introns, by hand and against a slow Kolmogorov-Smirnov distance."""

import itertools

import numpy as np
import pytest

from gulmfit.evaluate.gene_lengths import length_distributions, lengths
from gulmfit.evaluate.gene_scores import counted_genes
from gulmfit.report.kinds.position_tracks import TrackLabels
from gulmfit.seq.genome.genes import GeneModel

SPLICED = GeneModel("c", "-", ((300, 330), (100, 220)), ((300, 350), (80, 220)))
PLAIN = GeneModel("c", "+", ((400, 490),))


def some(count: int, seed: int, strand: str = "+") -> list[GeneModel]:
    sizes = np.random.default_rng(seed).integers(3, 2000, count)
    return [GeneModel("c", strand, ((at, at + int(size)),)) for at, size in enumerate(sizes)]


def test_lengths_are_of_coding_parts_alone() -> None:
    assert lengths([SPLICED, PLAIN]) == {"gene": [150, 90], "exon": [30, 120, 90], "intron": [80]}


def test_bins_hold_everything_once() -> None:
    true, predicted = some(300, 0), some(50, 1)
    (found,) = length_distributions(true, predicted).values()  # without introns exons are the genes
    for side, genes in (("true", true), ("predicted", predicted)):
        sizes = [gene.coding_bases for gene in genes]
        edges = [*found["edges"], np.inf]
        expected = [sum(low <= size < high for size in sizes) for low, high in itertools.pairwise(edges)]
        assert found[side] == expected
        assert sum(expected) == len(genes)
        assert found["median"][side] == np.median(sizes)
    sizes = [[gene.coding_bases for gene in genes] for genes in (true, predicted)]
    slow = max(abs(np.mean(np.array(sizes[0]) <= at) - np.mean(np.array(sizes[1]) <= at)) for at in range(2001))
    assert found["distance"] == pytest.approx(slow)


def test_introns_of_one_side_alone_are_shown() -> None:
    found = length_distributions([SPLICED], [PLAIN])
    assert list(found) == ["gene", "exon", "intron"]
    assert found["intron"]["median"] == {"true": 80.0, "predicted": None}
    assert found["intron"]["distance"] is None


def test_genes_on_masked_bases_do_not_count() -> None:
    masked = np.zeros((2, 600), bool)
    masked[0, 400:500] = True
    ends_there = GeneModel("c", "+", ((430, 490),))
    assert counted_genes([], [SPLICED, PLAIN], {"c": masked}) == [SPLICED]
    assert counted_genes([ends_there], [SPLICED, PLAIN], {"c": masked}) == [SPLICED, PLAIN]


def test_the_report_draws_what_is_there() -> None:
    genes = {"methods": {"a": {"exon/precision": 0.5}}, "kept": "a", "true": 2}
    genes["lengths"] = length_distributions([SPLICED, PLAIN], [PLAIN])
    sections = {one.title: one for one in TrackLabels(["class:a", "class:b"]).sections({"genes": genes})}
    drawn = sections["How long genes are"]
    assert len(drawn.figures) == 3
    assert all("<svg" in picture for _, picture in drawn.figures)
    assert drawn.tables[0][1][0] == ["gene, true", 2, 120.0, 0.5]
    assert sections["Genes"].tables[0] == (["", "exon precision"], [["a", (0.5, None, None)]])
