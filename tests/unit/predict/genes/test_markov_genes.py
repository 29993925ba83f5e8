"""A gene finder without a network: it learns a made-up genome, and its scores are probabilities."""

import numpy as np

from gulmfit.predict.genes.markov_genes import MarkovGenes, common_starts
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.genome.genes import GeneModel, positions, spliced
from gulmfit.seq.genome.genetic_code import genetic_code
from gulmfit.seq.labels.gene_labels import LabelledContig, gene_labels
from gulmfit.seq.labels.gene_models import GeneModels


def made_up(seed: int) -> LabelledContig:
    """Make a genome of genes with few kinds of codons, on both strands, between random letters."""
    generator = np.random.default_rng(seed)
    text, genes = "", []
    for _ in range(150):
        text += "".join(generator.choice(list("ACGT"), generator.integers(40, 200)))
        start = "ATG" if generator.random() < 0.8 else "GTG"
        coding = start + "".join(generator.choice(["GCG", "CTG", "GAA", "AAA", "CGT", "ACC"], 60)) + "TAA"
        strand = str(generator.choice(["+", "-"]))
        genes.append(GeneModel("c", strand, ((len(text), len(text) + len(coding)),)))
        text += coding if strand == "+" else reverse_complement_text(coding)
    codes = np.array(["ACGT".index(base) for base in text], np.uint8)
    return LabelledContig("c", codes, gene_labels(GeneModels(genes, [], ["c"]), "c", codes), genes)


def test_a_made_up_genome_is_learned() -> None:
    train, valid, test = map(made_up, range(3))
    finder = MarkovGenes.fit([train], [valid])
    assert finder.decoder.starts == common_starts([train]) == ("ATG", "GTG")
    found = finder(test.codes, "c")
    ends = {(gene.strand, gene.three_prime) for gene in test.genes}
    hits = [(gene.strand, gene.three_prime) in ends for gene in found]
    assert sum(hits) > 0.95 * len(ends)
    assert np.mean(hits) > 0.95
    assert all(0 < gene.score < 1 for gene in found)
    whole = train.part(0, len(train.codes))
    assert len(whole.genes) == len(train.genes)
    assert {gene.contig for gene in whole.genes} == {whole.name}


def test_a_part_has_the_genes_that_lie_wholly_in_it() -> None:
    contig = made_up(0)
    (start, _), (_, end) = contig.genes[10].cds[0], contig.genes[20].cds[0]
    part = contig.part(start + 1, end)
    assert [gene.cds[0][0] + start + 1 for gene in part.genes] == [gene.cds[0][0] for gene in contig.genes[11:21]]
    assert (part.labels.classes == contig.labels.classes[:, start + 1 : end]).all()
    for gene in part.genes:
        ((first, last),) = gene.cds
        assert (part.labels.classes["+-".index(gene.strand), first:last] == 2).all()


def test_a_circle_has_no_origin() -> None:
    train, valid, test = map(made_up, range(3))
    finder = MarkovGenes.fit([train], [valid])
    size = len(test.codes)

    def found(by: int) -> list[tuple[str, list[int]]]:
        codes = np.roll(test.codes, -by)
        genes = finder(codes, "c", circular=True)
        for gene in genes:
            protein = genetic_code(11).translate(spliced(codes, gene.cds, gene.strand))
            assert protein.find("*") == len(protein) - 1
        return sorted((one.strand, ((positions(one.cds, one.strand) + by) % size).tolist()) for one in genes)

    whole = found(0)
    assert len(whole) > 140
    for gene in (test.genes[3], test.genes[70], next(one for one in test.genes if one.strand == "-")):
        start, end = gene.cds[0]
        for by in (start + 1, (start + end) // 2, end - 2):
            assert found(by) == whole
