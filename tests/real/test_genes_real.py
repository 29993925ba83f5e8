"""Labels of the genes of E. coli and yeast: counts that were found by other means, and formats that must agree."""

from pathlib import Path

import numpy as np
import pytest

from gulmfit.errors import DataError
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.gene_labels import gene_labels
from gulmfit.seq.labels.gene_models import read_genes

ECOLI = "ecoli_k12/GCF_000005845.2_ASM584v2_genomic"


@pytest.fixture(scope="module")
def ecoli(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> GenomeStore:
    return GenomeStore.build(data_dir / f"{ECOLI}.fna.gz", tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def yeast(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> GenomeStore:
    path = data_dir / "yeast" / "Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz"
    return GenomeStore.build(path, tmp_path_factory.mktemp("store"))


def test_genes_and_masks_of_ecoli(data_dir: Path, ecoli: GenomeStore) -> None:
    models = read_genes(data_dir / f"{ECOLI}.gff.gz", ecoli)
    assert models.counts == {
        "genes": 4288, "masked": {"pseudogene": 145}, "other_transcripts": 10,
        "cds_with_stop_codon": 4298, "cds_without_stop_codon": 0,
    }  # fmt: skip
    labels = gene_labels(models, "NC_000913.3", ecoli.codes)
    masked = labels.masked_bases()
    assert masked["pseudogene"] == 124_269
    assert masked["intron too short"] == 1  # prfB, whose ribosomes leave out a base
    assert masked["several reading frames"] == pytest.approx(5_726, abs=30)  # which has the shorter dnaX and copA, too
    assert not np.isin(labels.classes, (1, 3)).any()


def test_genbank_gives_the_genes_of_gff3(data_dir: Path, ecoli: GenomeStore) -> None:
    both = [read_genes(data_dir / f"{ECOLI}{suffix}", ecoli) for suffix in (".gff.gz", ".gbff.gz")]
    gff, genbank = ({(gene.contig, gene.strand, gene.cds) for gene in models.genes} for models in both)
    assert gff == genbank
    assert both[0].counts == both[1].counts


def test_genes_of_yeast_in_two_files(data_dir: Path, yeast: GenomeStore) -> None:
    gff, gtf = (
        data_dir / "yeast" / name
        for name in ("gff_ncRNAs_abundantverifiedmRNAparts.gff.gz", "Saccharomyces_cerevisiae.R64-1-1.96.gtf.gz")
    )
    with pytest.raises(DataError, match=r"'chrI'.*data.contigs=\{chrI: I, .*NAME: null\}"):
        read_genes(gff, yeast)
    contigs: dict[str, str | None] = {f"chr{contig.name}": contig.name for contig in yeast.contigs}
    models = read_genes(gff, yeast, contigs=contigs | {"chrmt": None})
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
    other = read_genes(gtf, yeast, codes={"Mito": 3})
    assert other.counts["cds_without_stop_codon"] == 6_600  # GTF leaves the stop codon out
    assert other.counts["cds_with_stop_codon"] == 0
    genes, known = ({(g.contig, g.strand, g.cds) for g in one.genes if g.contig != "Mito"} for one in (models, other))
    assert len(genes - known) == 4  # whose first exon of one or two bases GTF makes untranslated
