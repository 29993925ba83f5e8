"""The genome store on real bacterial genomes; the numbers are those of their public records."""

import os
from pathlib import Path

import pytest

from gulmfit.errors import SequenceError
from gulmfit.seq.alphabet import decode, gc_content
from gulmfit.seq.genome.store import GenomeStore


@pytest.fixture
def data() -> Path:
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("GULMFIT_DATA", beside))
    if not folder.is_dir():
        pytest.skip("real data not found: set GULMFIT_DATA")
    return folder


def test_mg1655(data: Path, tmp_path: Path) -> None:
    store = GenomeStore.build(str(data / "ecoli_k12" / "*.fna.gz"), tmp_path)
    summary = store.summary()
    assert summary.pop("gc") == pytest.approx(0.508, abs=5e-4)
    assert summary == {"files": 1, "contigs": 1, "bases": 4_641_652, "ambiguous": 0, "lower_case": 0}
    assert gc_content(store.codes) == pytest.approx(0.508, abs=5e-4)
    assert store.contigs[0].name == "NC_000913.3"
    assert store.clear_intervals("error") == [(0, 0, 4_641_652)]
    # thrL, the first gene of the genome: positions 190 to 255 of the record, 1-based and closed.
    assert decode(store.codes[189:255]) == "ATGAAACGCATTAGCACCACCATTACCACCACCATCACCATTACCACAGGTAACGGTGCGGGCTGA"


def test_klebsiella_draft(data: Path, tmp_path: Path) -> None:
    store = GenomeStore.build(str(data / "bacteria" / "Klebsiella_pneumoniae*.fna.gz"), tmp_path)
    summary = store.summary()
    assert summary["ambiguous"] == 1_106
    iupac = {letter: count for letter, count in store.counts.items() if letter not in "ACGT"}
    assert iupac == {"N": 1_100, "R": 3, "Y": 1, "K": 1, "D": 1, "lower_case": 0}
    intervals = store.clear_intervals("split")
    assert sum(end - start for _, start, end in intervals) == summary["bases"] - 1_106
    assert all("N" not in decode(store.codes[start:end]) for _, start, end in intervals)
    assert len(store.clear_intervals("unk")) == summary["contigs"]
    with pytest.raises(SequenceError, match=r"Klebsiella.*record '.*', position \d+: .*ambiguity='split'"):
        store.clear_intervals("error")
