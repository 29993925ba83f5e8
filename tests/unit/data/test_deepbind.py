"""DeepBind's files: what is read, and what every kind of broken line says."""

import gzip
from pathlib import Path

import pytest

from gulmfit.data.sources.peaks import read_deepbind
from gulmfit.errors import DataError

LINES = [
    "FoldID\tEventID\tseq\tBound",
    "A\tseq_00002_peak\tACGTN\t1",
    "A\tseq_00002_shuf\tACNGT\t0",
]


def write(path: Path, lines: list[str], end: str = "\n") -> Path:
    path.write_bytes(gzip.compress((end.join(lines) + end).encode()))
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_peaks_and_shuffles_are_read_in_order(tmp_path: Path, end: str) -> None:
    path = write(tmp_path / "x.seq.gz", LINES, end)
    peaks = list(read_deepbind(path))
    assert [(peak.event, peak.sequence, peak.bound) for peak in peaks] == [
        ("seq_00002_peak", "ACGTN", True),
        ("seq_00002_shuf", "ACNGT", False),
    ]
    assert {peak.origin for peak in peaks} == {"seq_00002"}
    assert peaks[1].place == f"{path}, line 3"


def test_plain_text_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "x.seq").write_text("\n".join(LINES))
    assert len(list(read_deepbind(tmp_path / "x.seq"))) == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a\tb", *LINES[1:]], r"x.seq.gz, line 1: header \['a', 'b'\] is not \['FoldID', 'EventID', 'seq', 'Bound'\]"),
        ([*LINES, "A\tseq_00004_peak\tACGT"], r"line 4: 3 field\(s\) .*\b4\b"),
        ([*LINES, "A\tseq_00004_peak\tACGT\t0.7"], r"line 4: Bound '0.7' is neither 0 nor 1"),
        ([*LINES, "A\t\tACGT\t1"], "line 4: empty EventID"),
        ([*LINES, LINES[1]], r"line 4: EventID 'seq_00002_peak' .*line 2\b"),
        (LINES[:1], r"x\.seq\.gz: no peak"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(read_deepbind(write(tmp_path / "x.seq.gz", lines)))


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.seq.gz", [*LINES, *(f"A\tseq_{i:05}_peak\t{i:0100b}\t1" for i in range(3, 999))])
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"x\.seq\.gz: unreadable .*\d: .*cut short"):
        list(read_deepbind(path))
    with pytest.raises(DataError, match=r"nothing\.seq\.gz: unreadable .*\b0: "):
        list(read_deepbind(tmp_path / "nothing.seq.gz"))
