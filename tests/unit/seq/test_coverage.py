"""Channels of measured values: each is that of its file and strand, and a model is given what it was trained with."""

from pathlib import Path

import numpy as np
import pytest

from gulmfit.errors import CheckpointError, ConfigError, DataError
from gulmfit.seq.genome.coverage import Coverage
from gulmfit.seq.genome.store import GenomeStore

pysam = pytest.importorskip("pysam", reason="needs the extra tracks")
pybigtools = pytest.importorskip("pybigtools", reason="needs the extra tracks")

LENGTHS = {"1": 400, "chrM": 90}
STORE = GenomeStore.from_sequences(list(LENGTHS), ["A" * length for length in LENGTHS.values()])
# Flag, start and CIGAR string; 99 and 147 are the mates of a fragment of "+", 83 and 163 of one of "-".
READS = [
    (0, 10, "30M"), (16, 20, "10M5D10M"), (99, 50, "8M40N12M"), (147, 60, "4S10M2I9M3S"), (83, 100, "12M3D4M60N9M"),
    (163, 90, "5=1X9="), (4, 0, "9M"), (256, 0, "9M"), (1024, 0, "9M"),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coverage")
    for name, value in (
        ("T0_forward", 1.0),
        ("T0_reverse", -3.0),
        ("T1_forward", 5.0),
        ("T1_reverse", 7.0),
        ("any", 9.0),
    ):
        steps = [("1", 3, 7, value), ("chrM", 0, 90, 2 * value)]
        pybigtools.open(str(folder / f"{name}.bw"), "w").write(LENGTHS, iter(steps))
    header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": name, "LN": LENGTHS[name]} for name in LENGTHS]}
    with pysam.AlignmentFile(str(folder / "a.bam"), "wb", header=header) as bam:
        for number, (flag, start, cigar) in enumerate(sorted(READS, key=lambda read: read[1])):
            read = pysam.AlignedSegment(bam.header)
            read.query_name, read.flag, read.cigarstring = f"r{number}", flag, cigar
            read.reference_id, read.mapping_quality, read.reference_start = 0, 60, start
            read.query_sequence = "A" * (read.infer_query_length() or 0)
            bam.write(read)
    pysam.index(str(folder / "a.bam"))
    return folder


def by_hand() -> np.ndarray:
    """Count base by base: "+", "-", introns of "+" and of "-"."""
    found = np.zeros((4, 400), np.float32)
    for flag, at, cigar in READS:
        if flag & (4 | 256 | 1024):
            continue
        minus, number = bool(flag & 16) != bool(flag & 1 and flag & 128), ""
        for letter in cigar:
            if letter.isdigit():
                number += letter
                continue
            for _ in range(int(number)):
                if letter in "M=X":
                    found[int(minus), at] += 1
                elif letter == "N":
                    found[2 + int(minus), at] += 1
                at += letter in "M=XND"
            number = ""
    return found


def test_a_bam_file_has_a_channel_for_each_strand_of_reads_and_introns(folder: Path) -> None:
    coverage, expected = Coverage({"rnaseq": [str(folder / "a.bam")]}, "none"), by_hand()
    assert expected.max(axis=1).min() > 0
    coverage.check_against(STORE)
    np.testing.assert_array_equal(coverage.values("1", 0, 400), expected)
    for start, end in [(0, 1), (30, 70), (100, 105), (399, 400), (7, 7)]:
        np.testing.assert_array_equal(coverage.values("1", start, end), expected[:, start:end])
    assert coverage.other_channels == [1, 0, 3, 2]


def test_files_of_two_strands_are_paired_and_normalised(folder: Path) -> None:
    names = ["T0_forward", "any", "T1_reverse", "T0_reverse", "T1_forward"]
    given = {"rnaseq": [str(folder / f"{name}.bw") for name in names]}
    values = np.array([1.0, -3.0, 9.0, 7.0, 5.0])[:, None] * ((np.arange(10) >= 3) & (np.arange(10) < 7))
    for norm, expected in {
        "none": values,
        "linear": values / 100,
        "log": np.sign(values) * np.log1p(abs(values)),
    }.items():
        coverage = Coverage(given, norm)
        np.testing.assert_allclose(coverage.values("1", 0, 10), expected, rtol=1e-6)
    assert coverage.other_channels == [1, 0, 2, 4, 3]
    told = coverage.described()
    assert [(one["name"], one["strands"]) for one in told["tracks"]] == [
        ("T0", ["forward", "reverse"]), ("any", [""]), ("T1", ["reverse", "forward"]),
    ]  # fmt: skip
    with pytest.raises(ConfigError, match=r"T0_forward.bw.*'forward'"):
        Coverage({"rnaseq": [str(folder / "T0_forward.bw")]})
    with pytest.raises(ConfigError, match="norm='sqrt'"):
        Coverage(given, "sqrt")


def test_a_model_gets_the_tracks_that_it_was_trained_with(folder: Path) -> None:
    forward, reverse, other = (str(folder / f"{name}.bw") for name in ("T0_forward", "T0_reverse", "any"))
    trained = Coverage({"rnaseq": [forward, reverse, other]}, "linear").described()

    def asked(text: str) -> Coverage | None:
        return Coverage.asked(text, trained, STORE)

    found = asked(f"{{rnaseq: [{forward}, {reverse}, {other}]}}")
    assert found is not None
    assert found.described() == trained
    renamed = asked(f"{{rnaseq: {{T0: [{folder}/T1_forward.bw, {folder}/T1_reverse.bw], any: {other}}}}}")
    assert renamed is not None
    np.testing.assert_allclose(renamed.values("1", 3, 4)[:, 0], [0.05, 0.07, 0.09])
    assert Coverage.asked("", None, STORE) is None
    for text, match in {
        "": r"rnaseq T0 \(pair: forward, reverse\); rnaseq any",
        f"{{rnaseq: [{forward}, {reverse}]}}": "other ones",
        f"{{rnaseq: [{other}, {forward}, {reverse}]}}": "another order",
        f"{{rnaseq: [{reverse}, {forward}, {other}]}}": r"T0 \(pair: reverse, forward\)",
        f"{{rnaseq: {{T0: {folder}/a.bam, any: {other}}}}}": r"T0 \(bam\)",
        f"{{cage: [{forward}, {reverse}, {other}]}}": "cage T0",
        "{rnaseq: [": r"tracks=\{rnaseq: \[: .*\{rnaseq: \[sample\.bam",
        "a.bam": r"tracks=a\.bam: .*\{rnaseq: \[",
    }.items():
        with pytest.raises(ConfigError, match=match):
            asked(text)
    for key, value in {"norm": "cube", "tracks": [{"kind": "bam"}], "other_channels": [0, 1, 2]}.items():
        with pytest.raises(CheckpointError, match="damaged"):
            Coverage.asked(f"{{rnaseq: [{other}]}}", {**trained, key: value}, STORE)
    with pytest.raises(ConfigError, match=r"tracks=\{a: .*no tracks"):
        Coverage.asked(f"{{a: [{other}]}}", None, STORE)


def test_files_of_another_genome_are_refused(folder: Path) -> None:
    for name in ("a.bam", "any.bw"):
        coverage = Coverage({"rnaseq": [str(folder / name)]})
        for contigs, match in {
            ("1:400", "M:90"): r"1 of 2 contigs.*'M'" if name == "a.bam" else "",
            ("chr1:400",): r"'chrM'|'1'",
            ("1:399",): rf"{name}: contig '1' .*\b400 .*\b399\b",
        }.items():
            pairs = [one.split(":") for one in contigs]
            store = GenomeStore.from_sequences([name for name, _ in pairs], ["A" * int(size) for _, size in pairs])
            if not match:  # a bigWig file need not tell of what it has no value for
                coverage.check_against(store)
                assert not coverage.values("M", 0, 90).any()
                continue
            with pytest.raises(DataError, match=match):
                coverage.check_against(store)
        coverage.check_against(GenomeStore.from_sequences(["1"], ["A" * 400]))  # the file may know more
