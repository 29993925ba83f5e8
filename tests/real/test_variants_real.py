"""Windows and the check of REF on a real genome."""

from pathlib import Path

import numpy as np
import pytest

from gulmfit.errors import DataError
from gulmfit.predict.variant_check import survey
from gulmfit.seq.alphabet import decode
from gulmfit.seq.formats.vcf import Vcf, vcf_file
from gulmfit.seq.genome.haplotypes import windows
from gulmfit.seq.genome.store import GenomeStore

CONTIG = "NC_000913.3"


@pytest.fixture(scope="module")
def store(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> GenomeStore:
    files = str(data_dir / "ecoli_k12" / "*.fna.gz")
    return GenomeStore.build(files, tmp_path_factory.mktemp("store"))


def simulated(path: Path, store: GenomeStore, shift: int = 0) -> Vcf:
    """Write 200 substitutions at random positions, or that many bases beside them."""
    random = np.random.default_rng(0)
    with vcf_file(path, zipped=True) as write:
        write("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO")
        for start in sorted(random.choice(len(store.codes) - 1, size=200, replace=False).tolist()):
            ref = decode(store.codes[start : start + 1])
            write(f"{CONTIG}\t{start + 1 + shift}\t.\t{ref}\t{'A' if ref != 'A' else 'C'}\t.\t.\t.")
    return Vcf(path)


def test_ref_is_found_in_the_right_genome_and_missed_one_base_beside(store: GenomeStore, tmp_path: Path) -> None:
    contigs = {CONTIG: store.codes}
    right = survey(simulated(tmp_path / "a.vcf.gz", store), contigs, "E. coli")
    assert (right.records, right.alleles, right.mismatches) == (200, 200, 0)
    wrong = survey(simulated(tmp_path / "b.vcf.gz", store, shift=1), contigs, "E. coli")
    assert 120 < wrong.mismatches < 180  # three of four bases differ from their neighbour
    assert "0-based positions?" in wrong.message(tmp_path / "b.vcf.gz")
    with pytest.raises(DataError, match=r"'NC_000913\.3' \(200 records\) .*'U00096\.3'"):
        survey(simulated(tmp_path / "a.vcf.gz", store), {"U00096.3": store.codes}, "other")


def test_windows_across_the_genome_are_its_slices(store: GenomeStore) -> None:
    length = len(store.codes)
    for start in (0, 49, 50, 2_000_000, length - 51, length - 50, length - 1):
        ref = decode(store.codes[start : start + 1])
        found = windows(store.codes, start, ref, "A" if ref != "A" else "C", 101)
        first = min(max(0, start - 50), length - 101)
        np.testing.assert_array_equal(found.reference, store.codes[first : first + 101])
        assert np.flatnonzero(found.reference != found.alternative).tolist() == [start - first]
        assert found.centred == (50 <= start <= length - 51)
