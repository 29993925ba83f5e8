"""bedGraph and bigWig say the same; what the library of bigWig files keeps quiet about is told."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gulmfit.errors import DataError, SequenceError
from gulmfit.predict.outputs.track_files import TrackSpan, bed_line, write_bedgraph, write_bigwig

LENGTHS = {"10": 400, "2": 300, "chrM": 50, "empty": 9}


def intervals() -> list[TrackSpan]:
    random = np.random.default_rng(0)
    found = []
    for contig in ("10", "2", "chrM"):  # as text: "10" stands before "2"
        edges = np.sort(random.choice(LENGTHS[contig], size=20, replace=False)).tolist()
        pairs = zip(edges[::2], edges[1::2], strict=True)
        found += [TrackSpan(contig, start, end, float(random.random())) for start, end in pairs]
    return found


def test_the_two_formats_hold_the_same(tmp_path: Path) -> None:
    import pybigtools

    assert write_bedgraph(tmp_path / "a.bedgraph", LENGTHS, intervals()) == 30
    assert write_bigwig(tmp_path / "a.bw", LENGTHS, intervals()) == 30
    lines = [line.split("\t") for line in (tmp_path / "a.bedgraph").read_text().splitlines()]
    written = [(line[0], int(line[1]), int(line[2]), float(line[3])) for line in lines]
    track = pybigtools.open(str(tmp_path / "a.bw"))
    for contig, length in track.chroms().items():
        assert LENGTHS[contig] == length
        own = [line[1:] for line in written if line[0] == contig]
        for one, other in zip(own, track.records(contig), strict=True):
            assert one[:2] == other[:2]
            assert one[2] == pytest.approx(other[2], abs=1e-7)
    total = sum((end - start) * value for _, start, end, value in written)
    assert track.info()["summary"]["sum"] == pytest.approx(total, rel=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bedgraph", "a.bw"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([TrackSpan("10", 0, 20, 0.5), TrackSpan("10", 10, 30, 0.5)], r"a\.bw .*written: .*overlap"),
        ([TrackSpan("10", 390, 410, 0.5)], r"a\.bw .*written: .*leave"),
        ([TrackSpan("elsewhere", 0, 10, 0.5)], r"a\.bw .*written: "),
        ([], "no value"),
    ],
)
def test_a_wrong_bigwig_is_never_left(tmp_path: Path, wrong: list[TrackSpan], message: str) -> None:
    with pytest.raises(DataError, match=message):
        write_bigwig(tmp_path / "a.bw", LENGTHS, wrong)
    assert list(tmp_path.iterdir()) == []


def test_an_error_on_the_way_into_the_library_comes_out_again(tmp_path: Path) -> None:
    def broken() -> Iterator[TrackSpan]:
        yield TrackSpan("10", 0, 10, 0.5)
        raise SequenceError("record 7")

    with pytest.raises(SequenceError, match="record 7"):
        write_bigwig(tmp_path / "a.bw", LENGTHS, broken())
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for write in (write_bedgraph, write_bigwig):
        with pytest.raises(DataError, match=r"a\.bw .*written: "):
            write(tmp_path / "file" / "a.bw", LENGTHS, intervals())


def test_values_that_are_no_probabilities_keep_their_digits(tmp_path: Path) -> None:
    import pybigtools

    small = [TrackSpan("10", 0, 5, 1.23456789e-7), TrackSpan("10", 5, 9, -12345.678)]
    write_bedgraph(tmp_path / "a.bedgraph", LENGTHS, small, scaled=False)
    write_bigwig(tmp_path / "a.bw", LENGTHS, small, scaled=False)
    lines = (tmp_path / "a.bedgraph").read_text().splitlines()
    assert [float(line.split("\t")[3]) for line in lines] == [1.23456789e-7, -12345.678]
    found = list(pybigtools.open(str(tmp_path / "a.bw")).records("10"))
    assert [value for _, _, value in found] == pytest.approx([1.23456789e-7, -12345.678], rel=1e-6)


def test_a_line_of_bed() -> None:
    assert bed_line("2", 3, 9, "a site", "-", 0.9876, "0.987600") == "2\t3\t9\ta_site\t988\t-\t0.987600\n"
    assert bed_line("2", 3, 9, "", ".", -7.5, scaled=False) == "2\t3\t9\t.\t0\t.\n"
