"""Coverage of B. subtilis and the fly, as other readers of the same files sum it up."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from gulmfit.errors import DataError
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.genome.tracks import Track

pysam = pytest.importorskip("pysam")
pybigtools = pytest.importorskip("pybigtools")


def test_big_wig_of_its_genome(data_dir: Path, tmp_path: Path) -> None:
    folder = data_dir / "bsub_rnaseq"
    track = Track.open(folder / "T0_forward.bw")
    store = GenomeStore.build(folder / "YB886.fna.gz", tmp_path)
    track.check_against(store)
    reader = pybigtools.open(str(folder / "T0_forward.bw"))
    total, covered = 0.0, 0
    for contig, length in track.contigs.items():
        values = track.values(contig, 0, length)
        found = values.astype(float)
        assert np.nansum(found) == pytest.approx(sum((end - start) * v for start, end, v in reader.records(contig)))
        np.testing.assert_array_equal(track.values(contig, length // 3, length // 2), values[length // 3 : length // 2])
        total, covered = total + np.nansum(found), covered + np.count_nonzero(~np.isnan(found))
    summary = reader.info()["summary"]
    assert (total, covered) == (pytest.approx(summary["sum"]), summary["basesCovered"])


def test_bam_of_the_fly(data_dir: Path, tmp_path: Path) -> None:
    folder = data_dir / "fly_rnaseq"
    with pytest.raises(DataError, match=r"no index .* samtools index"):
        Track.open(folder / "sample1.tiny.paired.sorted.bam")
    path = shutil.copy(folder / "sample1.tiny.paired.sorted.bam", tmp_path / "a.bam")
    pysam.index(str(path))
    track = Track.open(path)
    with pytest.raises(DataError, match=r"contig 'chr2L' .*\b23,513,712 .*\b1,000,000: "):
        track.check_against(GenomeStore.build(folder / "dm6.small.fa.gz", tmp_path))
    found = track.values("chr2L", 0, 1_000_000)
    counts = np.zeros(1_000_000)
    with pysam.AlignmentFile(str(path), "rb") as bam:
        for read in bam.fetch("chr2L"):
            if not read.flag & (4 | 256 | 512 | 1024):
                places = np.array(read.get_reference_positions())
                np.add.at(counts, places[places < len(counts)], 1)
    assert counts.sum() > 900_000
    np.testing.assert_array_equal(found, counts)
    strands = [Track.open(path, strand=strand).values("chr2L", 0, 1_000_000) for strand in "+-"]
    np.testing.assert_array_equal(strands[0] + strands[1], found)
