"""Scores of exons: against a loop over bases, as frequencies, and from the decoder to the file."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gulmfit.errors import CheckpointError
from gulmfit.predict.genes import exon_scores
from gulmfit.predict.genes.decoding import Decoding
from gulmfit.predict.genes.exon_scores import EDGE_BP, evidence
from gulmfit.predict.genes.intron_tuning import fit_gene_decoding
from gulmfit.predict.genes.tuning import GeneCalibration, platt
from gulmfit.predict.outputs.gene_files import numbered, write_gff3
from gulmfit.seq.genome.genes import GeneModel
from tests.unit.predict.genes.test_decoding import reader, soft
from tests.unit.predict.genes.test_markov_genes import made_up


def log_odds(chance: float) -> float:
    return float(np.log(chance / (1 - chance)))


@pytest.mark.parametrize("strand", "+-")
def test_evidence_is_that_of_a_loop(strand: str) -> None:
    length, row = 200, "+-".index(strand)
    probabilities = np.random.default_rng(0).dirichlet([1] * 8, (length, 2))
    parts = ((3, 50), (60, 66), (120, 199))  # one near each end of the contig, and one shorter than an edge
    gene = GeneModel("c", strand, parts if strand == "+" else parts[::-1], score=0.8)
    expected = []
    for start, end in gene.cds:
        said = []
        for edge in (start, end):
            inner = range(edge, min(edge + EDGE_BP, end)) if edge == start else range(max(edge - EDGE_BP, start), edge)
            outer = range(edge - EDGE_BP, edge) if edge == start else range(edge, edge + EDGE_BP)
            said += [probabilities[at, row, 2] for at in inner]
            said += [1 - probabilities[at, row, 2] for at in outer if 0 <= at < length]
        expected.append(log_odds(0.8) + log_odds(np.mean(said)))
    assert evidence(gene, length, reader(probabilities)) == pytest.approx(expected)


def test_worths_far_from_zero_are_fitted_as_well() -> None:
    rng = np.random.default_rng(2)
    worth = 50 + 0.3 * rng.normal(size=300)
    right = rng.random(300) < 0.8
    found = platt(worth, right)
    assert np.mean([found.probability(one) for one in worth]) == pytest.approx(right.mean(), abs=5e-3)


def test_what_is_fitted_are_frequencies() -> None:
    rng = np.random.default_rng(1)
    worth = rng.normal(0, 3, 4000)
    right = rng.random(4000) < 1 / (1 + np.exp(-(0.5 * worth + 1)))
    found = platt(worth, right)
    assert (found.slope, found.offset) == (pytest.approx(0.5, abs=0.05), pytest.approx(1, abs=0.12))
    assert np.mean([found.probability(one) for one in worth]) == pytest.approx(right.mean(), abs=2e-3)


def test_a_fitted_decoder_scores_its_exons(tmp_path: Path) -> None:
    train, valid, test = (made_up(seed).part(0, 12_000) for seed in range(3))
    fitted = fit_gene_decoding([train], [(valid, soft(valid, 1, 0.5))], code=11)
    assert fitted.exons is not None
    fitted.save(tmp_path)
    again = Decoding.load(tmp_path)
    assert again is not None
    assert again.exons == fitted.exons
    read = reader(soft(test, 2, 0.5))
    found = again(test.codes, read, "c")
    plain = replace(again, exons=None)(test.codes, read, "c")
    assert [replace(gene, cds_scores=()) for gene in found] == plain
    for gene in found:
        expected = map(fitted.exons.probability, evidence(gene, len(test.codes), read))
        assert gene.cds_scores == pytest.approx(list(expected))
        assert all(0 <= score <= 1 for score in gene.cds_scores)
    content = json.loads((tmp_path / "decoder.json").read_text())
    assert Decoding.from_plain({name: own for name, own in content.items() if name != "exons"}).exons is None
    with pytest.raises(CheckpointError):
        Decoding.from_plain(content | {"exons": {"slope": 1.0}})


def test_each_exon_of_a_file_has_its_own_score(tmp_path: Path) -> None:
    gene = GeneModel("c", "-", ((60, 90), (10, 40)), ((60, 95), (5, 40)), score=0.9, cds_scores=(0.25, 0.75))
    write_gff3(tmp_path / "out.gff3", numbered([gene], {"c": 100}), {"c": 100}, code=1)
    lines = [line.split("\t") for line in (tmp_path / "out.gff3").read_text().splitlines() if line[0] != "#"]
    found = {(cells[2], int(cells[3]) - 1): float(cells[5]) for cells in lines}
    assert found == {
        ("gene", 5): 0.9, ("mRNA", 5): 0.9, ("exon", 60): 0.25, ("CDS", 60): 0.25, ("exon", 5): 0.75, ("CDS", 10): 0.75,
        ("five_prime_UTR", 90): 0.9, ("three_prime_UTR", 5): 0.9,
    }  # fmt: skip


def test_right_exons_are_told_from_wrong_ones() -> None:
    contig = made_up(4).part(0, 12_000)
    probabilities = soft(contig, right=0.9)
    true = [replace(gene, score=0.9) for gene in contig.genes]
    wrong = [replace(gene, cds=tuple((start + 30, end - 30) for start, end in gene.cds)) for gene in true]
    found = exon_scores.fitted([*true, *wrong], [(contig, probabilities)])
    assert isinstance(found, GeneCalibration)
    chances = [
        [found.probability(one) for gene in genes for one in evidence(gene, len(contig.codes), reader(probabilities))]
        for genes in (true, wrong)
    ]
    assert min(chances[0]) > max(chances[1])
