"""Labels of the genes of E. coli and yeast: counts that were found by other means, and formats that must agree."""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from gulmfit.errors import DataError
from gulmfit.evaluate.gene_scores import base_scores, gene_scores
from gulmfit.predict.genes.markov_genes import MarkovGenes
from gulmfit.seq.alphabet import decode
from gulmfit.seq.genome.genes import GeneModel, spliced, with_untranslated
from gulmfit.seq.genome.genetic_code import genetic_code
from gulmfit.seq.genome.open_frames import longest_frames
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.gene_labels import GeneLabels, LabelledContig, gene_labels, labelled_contigs
from gulmfit.seq.labels.gene_models import GeneModels, mask_others, read_genes

ECOLI = "ecoli_k12/GCF_000005845.2_ASM584v2_genomic"
YEAST_GFF = "yeast/gff_ncRNAs_abundantverifiedmRNAparts.gff.gz"


@pytest.fixture(scope="module")
def ecoli(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> GenomeStore:
    return GenomeStore.build(data_dir / f"{ECOLI}.fna.gz", tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def yeast(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> GenomeStore:
    path = data_dir / "yeast" / "Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz"
    return GenomeStore.build(path, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def ecoli_genes(data_dir: Path, ecoli: GenomeStore) -> GeneModels:
    return read_genes(data_dir / f"{ECOLI}.gff.gz", ecoli)


def test_genes_and_masks_of_ecoli(ecoli: GenomeStore, ecoli_genes: GeneModels) -> None:
    assert ecoli_genes.counts == {
        "genes": 4288, "masked": {"pseudogene": 145}, "other_transcripts": 10,
        "cds_with_stop_codon": 4298, "cds_without_stop_codon": 0,
    }  # fmt: skip
    labels = gene_labels(ecoli_genes, "NC_000913.3", ecoli.codes)
    masked = labels.masked_bases()
    assert masked["pseudogene"] == 124_269
    assert masked["intron too short"] == 1  # prfB, whose ribosomes leave out a base
    assert masked["several reading frames"] == pytest.approx(5_726, abs=30)  # which has the shorter dnaX and copA, too
    assert not np.isin(labels.classes, (1, 3)).any()


def test_genbank_gives_the_genes_of_gff3(data_dir: Path, ecoli: GenomeStore, ecoli_genes: GeneModels) -> None:
    both = [ecoli_genes, read_genes(data_dir / f"{ECOLI}.gbff.gz", ecoli)]
    gff, genbank = ({(gene.contig, gene.strand, gene.cds) for gene in models.genes} for models in both)
    assert gff == genbank
    assert both[0].counts == both[1].counts


@pytest.fixture(scope="module")
def yeast_genes(data_dir: Path, yeast: GenomeStore) -> tuple[GeneModels, GeneModels]:
    """Those of a GFF3 and of a GTF."""
    contigs: dict[str, str | None] = {f"chr{contig.name}": contig.name for contig in yeast.contigs}
    gtf = data_dir / "yeast" / "Saccharomyces_cerevisiae.R64-1-1.96.gtf.gz"
    return (
        read_genes(data_dir / YEAST_GFF, yeast, contigs=contigs | {"chrmt": None}),
        read_genes(gtf, yeast, codes={"Mito": 3}),
    )


def test_genes_of_yeast_in_two_files(
    data_dir: Path, yeast: GenomeStore, yeast_genes: tuple[GeneModels, GeneModels]
) -> None:
    with pytest.raises(DataError, match=r"'chrI'.*data.contigs=\{chrI: I, .*chrmt: null\}"):
        read_genes(data_dir / YEAST_GFF, yeast)
    models, other = yeast_genes
    assert models.counts["cds_with_stop_codon"] == 5_090
    assert models.counts["masked"] == {"intron too short": 3}  # whose ribosomes shift their frame
    assert sum(len(gene.cds) > 1 for gene in models.genes) == 242
    total = np.zeros(4)
    frames = 0
    for contig in yeast.contigs:
        if contig.name in models.contigs:
            labels = gene_labels(models, contig.name, yeast.codes[contig.start : contig.start + contig.length])
            total += np.bincount(labels.classes.ravel(), minlength=4)
            frames += labels.masked_bases().get("several reading frames", 0)
    assert (total / total.sum()).tolist() == pytest.approx([0.630, 0.044, 0.323, 0.003], abs=0.001)
    assert frames == 4
    assert other.counts["cds_without_stop_codon"] == 6_600  # GTF leaves the stop codon out
    assert other.counts["cds_with_stop_codon"] == 0
    genes, known = ({(g.contig, g.strand, g.cds) for g in one.genes if g.contig != "Mito"} for one in (models, other))
    assert len(genes - known) == 4  # whose first exon of one or two bases GTF makes untranslated


class Slices(NamedTuple):
    """The first 70 % of E. coli, the next 10 and the last 20."""

    train: LabelledContig
    valid: LabelledContig
    test: LabelledContig


@pytest.fixture(scope="module")
def slices(ecoli: GenomeStore, ecoli_genes: GeneModels) -> Slices:
    (whole,) = labelled_contigs(ecoli_genes, ecoli)
    return Slices(
        *(whole.part(*pair) for pair in pairwise(int(share * len(whole.codes)) for share in (0, 0.7, 0.8, 1)))
    )


def scored(found: list[GeneModel], part: LabelledContig) -> list[float]:
    """Return base precision, recall, F1, phase accuracy, 3' and exact sensitivity and precision."""
    bases = base_scores(part.labels, gene_labels(GeneModels(found, [], [part.name]), part.name, part.codes))
    whole = gene_scores(part.genes, found, {part.name: part.labels.masked}).scores()
    names = [f"{kind}/{side}" for kind in ("three_prime", "exact") for side in ("sensitivity", "precision")]
    chosen = ("CDS/precision", "CDS/recall", "CDS/f1", "phase/accuracy")
    return [*(bases[name] for name in chosen), *(whole[name] for name in names)]


def test_the_longest_frames_score_what_others_measured(slices: Slices) -> None:
    """Labels, mask, rule and scores at once: 300-bp frames on the last fifth, measured by other code."""
    found = longest_frames(slices.test.codes, slices.test.name, genetic_code(11))
    expected = [0.951, 0.939, 0.945, 0.996, 0.833, 0.921, 0.512, 0.566]
    assert scored(found, slices.test) == pytest.approx(expected, abs=0.005)


def test_prodigal_scores_what_others_measured(slices: Slices) -> None:
    pyrodigal = pytest.importorskip("pyrodigal", reason="pip install 'gulmfit[genes]' brings pyrodigal")
    finder = pyrodigal.GeneFinder(meta=False)
    finder.train(decode(slices.train.codes))
    found = [
        GeneModel(slices.test.name, "+" if one.strand == 1 else "-", ((one.begin - 1, one.end),))
        for one in finder.find_genes(decode(slices.test.codes))
    ]
    expected = [0.9952, 0.9931, 0.9942, 0.9999, 0.9589, 0.9742, 0.9179, 0.9325]
    # The annotation's two transcripts of a gene count once here.
    assert scored(found, slices.test) == pytest.approx(expected, abs=0.003)


def test_chains_of_frames_on_a_markov_model(slices: Slices) -> None:
    code, test = genetic_code(11), slices.test
    finder = MarkovGenes.fit([slices.train], [slices.valid])
    assert finder.decoder.starts == ("ATG", "GTG", "TTG")
    found = finder(test.codes, test.name)
    _, _, base, phase, *ends = scored(found, slices.test)
    assert base >= 0.990
    assert phase >= 0.9995
    for found_share, least in zip(ends, (0.95, 0.97, 0.89, 0.91), strict=True):
        assert found_share >= least
    for gene in found:
        assert "*" not in code.translate(spliced(test.codes, gene.cds, gene.strand))[:-1]
    scores = np.array([gene.score for gene in found])
    assert scores.mean() == pytest.approx(ends[1], abs=0.03)


def test_the_longest_frames_of_yeast_score_what_others_measured(
    yeast: GenomeStore, yeast_genes: tuple[GeneModels, GeneModels]
) -> None:
    """Chromosomes IV and XIII, genes that only the GTF has masked, UTRs of 37 and 125 bp: measured by other code."""
    models = mask_others(*yeast_genes)
    pairs, found, masked = [], list[GeneModel](), {}
    for name, codes, labels, _ in labelled_contigs(models, yeast):
        if name in ("IV", "XIII"):
            own = longest_frames(codes, name, genetic_code(1), starts=["ATG"])
            found += (own := [with_untranslated(gene, 37, 125, len(codes)) for gene in own])
            pairs.append((labels, gene_labels(GeneModels(own, [], [name]), name, codes)))
            masked[name] = labels.masked
    true, guess = (
        GeneLabels(*(np.concatenate(rows, axis=1) for rows in zip(*(vars(one).values() for one in side), strict=True)))
        for side in zip(*pairs, strict=True)
    )
    bases = base_scores(true, guess)
    names = ("intergenic", "UTR", "CDS", "sub_genic", "genic", "phase")
    measured = [0.960, 0.669, 0.974, 0.969, 0.936, 0.974]
    assert [bases[f"{name}/f1"] for name in names] == pytest.approx(measured, abs=0.003)
    genes = [gene for gene in models.genes if gene.contig in masked]
    assert len(genes) == 1068
    scores = gene_scores(genes, found, masked)
    assert scores.found["exact_intron"].size == 59
    whole = [scores.scores()[f"{kind}/{side}"] for kind in ("exact", "exon") for side in ("sensitivity", "precision")]
    assert whole == pytest.approx([0.894, 0.920, 0.847, 0.920], abs=0.005)
