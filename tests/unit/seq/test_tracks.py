"""Tracks against values written by hand and reads counted one by one."""

import gzip
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.genome.tracks import Track

pysam = pytest.importorskip("pysam")
pybigtools = pytest.importorskip("pybigtools")

LENGTHS = {"1": 400, "chrM": 90}
STORE = GenomeStore.from_sequences(list(LENGTHS), ["A" * length for length in LENGTHS.values()])
STEPS = [("1", 0, 3, 1.5), ("1", 3, 4, -2.0), ("1", 10, 100, 0.0), ("1", 399, 400, 7.25), ("chrM", 5, 90, 1e-3)]
CIGARS = ("30M", "10M5D10M", "8M40N12M", "4S10M2I9M3S", "12M3D4M60N9M", "5=1X9=")
FLAGS = (0, 16, 99, 147, 83, 163, 4, 256, 512, 1024, 2048)
SKIPPED = 4 | 256 | 512 | 1024


def by_hand(steps: list[tuple[str, int, int, float]], contig: str) -> np.ndarray:
    values = np.full(LENGTHS[contig], np.nan, np.float32)
    for name, start, end, value in steps:
        if name == contig:
            values[start:end] = value
    return values


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The steps as bigWig and bedGraph, and 200 random reads as BAM files: sorted, indexed, and neither."""
    folder = tmp_path_factory.mktemp("tracks")
    pybigtools.open(str(folder / "a.bw"), "w").write(LENGTHS, iter(STEPS))
    lines = "".join("{}\t{}\t{}\t{}\n".format(*step) for step in reversed(STEPS))
    text = f"browser position 1:1-10\ntrack type=bedGraph\n# by hand\n\n{lines}"
    (folder / "a.bedGraph").write_text(text)
    (folder / "a.bdg.gz").write_bytes(gzip.compress(text.replace("\n", "\r\n").encode()))
    rng = np.random.default_rng(2)
    header = {"HD": {"VN": "1.6"}, "SQ": [{"SN": name, "LN": length} for name, length in LENGTHS.items()]}
    with pysam.AlignmentFile(str(folder / "unsorted.bam"), "wb", header=header) as bam:
        for number, (flag, cigar, _) in enumerate(product(FLAGS, CIGARS, range(3))):
            read = pysam.AlignedSegment(bam.header)
            read.query_name, read.flag, read.cigarstring = f"r{number}", flag, cigar
            read.reference_id, read.mapping_quality = 0, 60
            read.reference_start = int(rng.integers(400 - 90))
            read.query_sequence = "A" * (read.infer_query_length() or 0)
            bam.write(read)
    for name in ("sorted", "unindexed"):
        pysam.sort("-o", str(folder / f"{name}.bam"), str(folder / "unsorted.bam"))
    pysam.index(str(folder / "sorted.bam"))
    return folder


@pytest.mark.parametrize("name", ["a.bw", "a.bedGraph", "a.bdg.gz"])
def test_values_are_those_that_were_written(folder: Path, name: str) -> None:
    track = Track.open(folder / name)
    assert set(track.contigs) == set(LENGTHS)
    for contig, length in LENGTHS.items():
        expected = by_hand(STEPS, contig)
        assert track.values(contig, 0, length).dtype == np.float32
        for start, end in [(0, length), (2, 5), (3, 12), (11, 40), (4, 10), (50, 50), (0, 1), (length - 3, length)]:
            np.testing.assert_array_equal(track.values(contig, start, end), expected[start:end])
    track.check_against(STORE)


def test_a_bed_graph_of_random_steps_is_windowed_right(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    edges = np.unique(rng.integers(0, 400, 80))
    steps = [("1", a, b, float(a)) for a, b in pairwise(edges.tolist()) if rng.random() < 0.6]
    rng.shuffle(steps)
    (tmp_path / "a.bdg").write_text("".join("{} {} {} {}\n".format(*step) for step in steps))
    track, expected = Track.open(tmp_path / "a.bdg"), by_hand(steps, "1")
    for _ in range(200):
        start, end = sorted(rng.integers(0, 401, 2).tolist())
        np.testing.assert_array_equal(track.values("1", start, end), expected[start:end])


def covered(path: Path, strand: str | None) -> np.ndarray:
    """Count reads base by base."""
    counts = np.zeros(400, np.float32)
    with pysam.AlignmentFile(str(path), "rb") as bam:
        for read in bam.fetch(until_eof=True):
            reverse = bool(read.flag & 16) != bool(read.flag & 1 and read.flag & 128)
            if not read.flag & SKIPPED and strand in (None, "-" if reverse else "+"):
                for position in read.get_reference_positions():
                    counts[position] += 1
    return counts


@pytest.mark.parametrize("strand", [None, "+", "-"])
def test_coverage_is_the_count_of_reads(folder: Path, strand: str | None) -> None:
    track, expected = Track.open(folder / "sorted.bam", strand=strand), covered(folder / "sorted.bam", strand)
    assert expected.max() > 3
    assert track.contigs == LENGTHS
    np.testing.assert_array_equal(track.values("1", 0, 400), expected)
    for start, end in [(0, 1), (37, 38), (100, 250), (399, 400), (7, 7)]:
        np.testing.assert_array_equal(track.values("1", start, end), expected[start:end])
    assert not track.values("chrM", 0, 90).any()
    track.check_against(STORE)


def test_reads_without_gaps_are_counted_as_pysam_counts_them(folder: Path, tmp_path: Path) -> None:
    with (
        pysam.AlignmentFile(str(folder / "sorted.bam"), "rb") as bam,
        pysam.AlignmentFile(str(tmp_path / "a.bam"), "wb", template=bam) as plain,
    ):
        for read in bam.fetch():
            if read.cigarstring == "30M":
                plain.write(read)
    pysam.index(str(tmp_path / "a.bam"))
    with pysam.AlignmentFile(str(tmp_path / "a.bam"), "rb") as bam:
        counts = [bam.count("1", base, base + 1, read_callback="all") for base in range(400)]
    assert max(counts) > 1
    assert Track.open(tmp_path / "a.bam").values("1", 0, 400).tolist() == counts


def test_bam_without_index_tells_the_command(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match=r"unindexed.bam: no index .*: samtools index .*unindexed.bam$"):
        Track.open(folder / "unindexed.bam")
    with pytest.raises(
        DataError, match=r"unsorted\.bam: .*samtools sort -o sorted\.bam .*unsorted\.bam, .*samtools index sorted\.bam"
    ):
        Track.open(folder / "unsorted.bam")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["a.bw", "a.bedGraph", "sorted.bam"])
def test_another_genome_is_noticed(folder: Path, name: str) -> None:
    track = Track.open(folder / name)
    shorter = GenomeStore.from_sequences(["1", "chrM"], ["A" * 399, "A" * 90])
    with pytest.raises(DataError, match=rf"{name}: contig '1' .*\b400 .*\b399: "):
        track.check_against(shorter)
    with pytest.raises(DataError, match=r"\b1 contig\(s\) .*genome: 'chrM'; .*'1', 'M' .*'M' for 'chrM'"):
        track.check_against(GenomeStore.from_sequences(["1", "M"], ["A" * 400, "A" * 90]))
    more = GenomeStore.from_sequences([*LENGTHS, "2"], ["A" * 400, "A" * 90, "A"])
    longer = GenomeStore.from_sequences(list(LENGTHS), ["A" * 500, "A" * 90])
    if name == "a.bedGraph":  # it holds but what has values
        track.check_against(more)
        track.check_against(longer)
        assert np.isnan(track.values("1", 400, 500)).all()
        return
    with pytest.raises(DataError, match=r"\b1 contig\(s\) .*track: '2'"):
        track.check_against(more)
    with pytest.raises(DataError, match=r"contig '1' .*\b400 .*\b500\b"):
        track.check_against(longer)
    with pytest.raises(DataError, match=r"300-401 .*contig '1' .*\b400 bases"):
        track.values("1", 300, 401)


@pytest.mark.parametrize("name", ["a.bw", "a.bedGraph", "sorted.bam"])
def test_windows_that_are_none(folder: Path, name: str) -> None:
    track = Track.open(folder / name)
    with pytest.raises(DataError, match=rf"{name}: contig 'chrm' .*\]; .*'chrM'"):
        track.values("chrm", 0, 1)
    for start, end in [(-1, 3), (5, 4)]:
        with pytest.raises(DataError, match=f"{start}-{end} .*contig '1' .*400 bases"):
            track.values("1", start, end)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no value"),
        ("1\t0\t3\n", r"line 1: 3 column\(s\)"),
        ("1\t0\t3\tx\n", "line 1: value 'x' "),
        ("1\t-1\t3\t1\n", "line 1: start -1, end 3"),
        ("#\n1\t3\t3\t1\n", "line 2: start 3, end 3"),
        ("1\t0\t3\t1\n1\t9\t12\t1\n1\t2\t5\t1\n", "line 3: 1:2-5 overlaps 0-3 of line 1"),
    ],
)
def test_what_is_wrong_in_a_bed_graph_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.bedgraph").write_text(text)
    with pytest.raises(DataError, match=f"a.bedgraph.*{message}"):
        Track.open(tmp_path / "a.bedgraph")


def test_files_that_are_no_track(folder: Path, tmp_path: Path) -> None:
    for name in ("a.wig", "a.bw.gz", "a.bam.gz"):
        with pytest.raises(DataError, match=rf"{name}: .*track .* \.bw, \.bigWig, "):
            Track.open(tmp_path / name)
    with pytest.raises(DataError, match=r"gone\.bw: no such"):
        Track.open(tmp_path / "gone.bw")
    for name in ("a.bw", "a.bam"):
        (tmp_path / name).write_bytes(b"neither of them")
        with pytest.raises(DataError, match=f"{name}: .*readable (bigWig|BAM)"):
            Track.open(tmp_path / name)
    with pytest.raises(ConfigError, match=r"strand='both' .*'\+', '-'"):
        Track.open(folder / "sorted.bam", strand="both")
    with pytest.raises(ConfigError, match="strand='\\+' is for BAM files"):
        Track.open(folder / "a.bw", strand="+")
