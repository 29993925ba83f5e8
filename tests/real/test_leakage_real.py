"""Published sets with known leaks: the report finds them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from gulmfit.errors import DataError
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.labelled import LabelledSequences, read_fasta_classes, read_table_splits
from gulmfit.seq.related.homology import find_mmseqs
from gulmfit.seq.related.leakage import check_leakage, leakage_report
from gulmfit.seq.related.overlap import stand_in
from gulmfit.seq.splits.split import PARTS, HomologySplit, StratifiedSplit

pytestmark = pytest.mark.real


def divide(data: LabelledSequences, parts: np.ndarray) -> Mapping[str, LabelledSequences]:
    return {part: data.subset(parts == part) for part in PARTS}


@pytest.fixture
def promoters(data_dir: Path) -> LabelledSequences:
    folder = data_dir / "promoters_ecoli_regulondb"
    return read_fasta_classes({name: folder / f"{name}.fasta.gz" for name in ("promoter", "non_promoter")})


def test_copied_enhancers_are_found(data_dir: Path) -> None:
    folder = data_dir / "enhancers_iEnhancer2L"

    parts = {
        part: read_fasta_classes({name: folder / f"{name}_{size}.txt.gz" for name in ("strong", "weak")})
        for part, size in (("train", 742), ("test", 100))
    }
    report = leakage_report(parts)
    assert report["pairs"]["train->test"]["exact"]["count"] == 100
    assert report["pairs"]["train->test"]["exact"]["examples"][0].startswith("Chr")
    with pytest.raises(DataError, match=r"of 200 test sequences .* 100 exact copies"):
        check_leakage(report, action="error")


def test_copied_core_promoters_are_found(data_dir: Path) -> None:
    folder = data_dir / "gue" / "prom_core_tata"
    data = read_table_splits(*(folder / f"{name}.csv.gz" for name in ("train", "test", "dev")))
    assert data.splits is not None
    parts = divide(data, data.splits)
    found = leakage_report(parts)["pairs"]["train->test"]
    assert found["exact"]["count"] == 16
    assert set(found["any"]["examples"]) <= set(parts["test"].ids)


def test_only_a_homology_split_of_promoters_is_clean(promoters: LabelledSequences) -> None:
    dealt = leakage_report(divide(promoters, StratifiedSplit(0.1, 0.1, 0)(promoters)))["pairs"]["train->test"]
    assert dealt["exact"]["count"] == dealt["reverse_complement"]["count"] == 0
    assert dealt["near_duplicate"]["fraction"] > 0.08
    check_leakage(leakage_report(divide(promoters, HomologySplit(0.1, 0.1, 0)(promoters))), threshold=0, action="error")


@pytest.mark.skipif(find_mmseqs() is None, reason="needs mmseqs: pip install 'gulmfit[bio]'")
def test_linclust_alone_leaves_overlapping_windows_apart(promoters: LabelledSequences) -> None:
    alone = HomologySplit(0.1, 0.1, 0, method="mmseqs", k=None)
    leaks = leakage_report(divide(promoters, alone(promoters)))["pairs"]["train->test"]["near_duplicate"]["fraction"]
    assert leaks > 0.05
    joined = HomologySplit(0.1, 0.1, 0, method="mmseqs")
    assert len(set(joined.groups(promoters).tolist())) == pytest.approx(5786, abs=3)
    check_leakage(leakage_report(divide(promoters, joined(promoters))), threshold=0, action="error")


def test_promoters_stand_in_their_genome(promoters: LabelledSequences, data_dir: Path, tmp_path: Path) -> None:
    genome = data_dir / "ecoli_k12" / "GCF_000005845.2_ASM584v2_genomic.fna.gz"
    store = GenomeStore.build(genome, tmp_path)
    assert stand_in(promoters.sequences, store.codes).mean() > 0.95
