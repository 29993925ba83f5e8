"""Annotations of E. coli and yeast: formats that must agree, sets cut with words alone, and flaws that are known."""

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from Bio import SeqIO

from gulmfit.config import compose, instantiate
from gulmfit.errors import DataError
from gulmfit.seq.formats.fasta import read_fasta
from gulmfit.seq.genome.contigs import Feature, extract, join_parts, read_features
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.labelled import LabelledSequences

START_CODONS = ("ATG", "GTG", "TTG")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def ecoli(data_dir: Path) -> str:
    return str(data_dir / "ecoli_k12" / "GCF_000005845.2_ASM584v2_genomic")


@pytest.fixture(scope="module")
def yeast(data_dir: Path) -> dict[str, str]:
    folder = data_dir / "yeast"
    return {
        "genome": str(folder / "Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz"),
        "gtf": str(folder / "Saccharomyces_cerevisiae.R64-1-1.96.gtf.gz"),
        "gff": str(folder / "gff_ncRNAs_abundantverifiedmRNAparts.gff.gz"),
    }


def labelled(cache: Path, *words: str) -> LabelledSequences:
    data: LabelledSequences = instantiate(
        compose(["stage=classify", "data=intervals", f"paths.cache_dir={cache}", *words]).data
    ).labelled()
    return data


def test_gff3_and_genbank_of_ecoli_agree(ecoli: str) -> None:
    gff, genbank = (list(read_features(ecoli + suffix, {"CDS", "tRNA", "rRNA"})) for suffix in (".gff.gz", ".gbff.gz"))
    for one, other in ((gff, genbank), (join_parts(gff), join_parts(genbank))):
        assert Counter((*f[:4], f.kind) for f in one) == Counter((*f[:4], f.kind) for f in other)
    kinds = [Counter(f.kind for f in found) for found in (gff, join_parts(gff))]
    assert kinds[0] == {"CDS": 4337, "tRNA": 86, "rRNA": 22}
    assert kinds[1]["CDS"] < 4337  # what frame shifts and insertions have cut is whole again


def test_genes_of_ecoli_begin_with_a_start_codon_and_are_what_biopython_cuts(ecoli: str, cache: Path) -> None:
    store = GenomeStore.build(ecoli + ".fna.gz", cache)
    genes = [f for f in join_parts(read_features(ecoli + ".gff.gz", {"CDS"})) if f.attributes.get("pseudo") != "true"]
    assert np.mean([extract(store, gene).startswith(START_CODONS) for gene in genes]) > 0.99
    record = next(read_fasta(ecoli + ".fna.gz"))
    with gzip.open(ecoli + ".gbff.gz", "rt") as handle:
        annotated = next(SeqIO.parse(handle, "genbank"))  # type: ignore[no-untyped-call]
    assert record.sequence == str(annotated.seq)
    expected = [str(f.extract(annotated.seq)) for f in annotated.features if f.type == "tRNA"]
    assert [extract(store, f) for f in read_features(ecoli + ".gbff.gz", {"tRNA"})] == expected


def test_yeast_rnas_and_genes_with_words_alone(yeast: dict[str, str], cache: Path) -> None:
    words = [f"data.path={yeast['gtf']}", f"data.genome={yeast['genome']}", "data.kinds=[gene]"]
    data = labelled(cache, *words, "data.label=attribute:gene_biotype")
    counts = dict(zip(data.classes, np.bincount(data.labels).tolist(), strict=True))
    assert counts["tRNA"] == 299
    assert counts["protein_coding"] > 6500
    coding = [
        t for t, label in zip(data.sequences, data.labels, strict=True) if data.classes[label] == "protein_coding"
    ]
    assert np.mean([text.startswith("ATG") for text in coding]) > 0.99
    assert np.mean([text.endswith(("TAA", "TAG", "TGA")) for text in coding]) > 0.99


def test_ecoli_rnas_against_windows_of_the_genome(ecoli: str, cache: Path) -> None:
    words = [f"data.path={ecoli}.gff.gz", f"data.genome={ecoli}.fna.gz", "data.kinds=[tRNA]"]
    data = labelled(cache, *words, "data.negatives.how=genomic")
    assert np.bincount(data.labels).tolist() == [86, 86]
    assert data.loci is not None
    store = GenomeStore.build(ecoli + ".fna.gz", cache)
    assert [extract(store, Feature(*locus)) for locus in data.loci] == data.sequences


def test_contigs_of_the_yeast_gff_have_other_names(yeast: dict[str, str], cache: Path) -> None:
    words = [f"data.path={yeast['gff']}", f"data.genome={yeast['genome']}", "data.label=kind"]
    with pytest.raises(DataError, match=r"line 5: 17 contig\(s\) .*'chrI'.*; .*'I'.*'I' for 'chrI'"):
        labelled(cache, *words, "data.kinds=[CDS,three_prime_UTR]")
    with pytest.raises(DataError, match=r"line 97: start 87032, end 87031"):
        labelled(cache, *words)
