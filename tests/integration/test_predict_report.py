"""The report on a scan, on an annotation small enough to count by hand."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT

GFF = """##gff-version 3
c\tx\tregion\t1\t10000\t.\t+\t.\tID=r
c\tx\tCDS\t1001\t2000\t.\t+\t0\tID=a
c\tx\tCDS\t2101\t3000\t.\t+\t0\tID=b
c\tx\tCDS\t4001\t5000\t.\t-\t0\tID=d
c\tx\tgene\t8001\t9000\t.\t-\t.\tID=e
"""
# Starts are bases 1000 and 2100 on "+", 4999 on "-". Straight upstream: 0-1000, 2000-2100 on "+", 5000-8000 on "-".
CALLS = """c\t950\t1100\ta\t900\t+\t950\t1100\t0\t0.9\t1
c\t2010\t2090\tb\t900\t+\t2010\t2090\t0\t0.9\t1
c\t4950\t5100\tc\t900\t+\t4950\t5100\t0\t0.9\t1
c\t6000\t6100\td\t900\t-\t6000\t6100\t0\t0.9\t1
c\t3200\t3300\te\t900\t+\t3200\t3300\t0\t0.9\t1
"""
SPLIT = "id\tpart\nc:900-1050:+:promoter\ttrain\nc:2050-2200:+:promoter\ttest\nc:3220-3250:-:coding\ttrain\n"


Report = Callable[..., dict[str, Any]]


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """Run the script on the files above, and return what it found, row by row."""
    for name, text in {"a.gff3": GFF, "a.bed": CALLS, "split.tsv": SPLIT}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> dict[str, Any]:
        given = [*words, "annotation=a.gff3", "permutations=300", "json=a.json"]
        monkeypatch.setattr("sys.argv", ["scan_report.py", *given])
        runpy.run_path(str(ROOT / "scripts" / "scan_report.py"), run_name="__main__")
        return {row.pop("what"): row for row in json.loads((tmp_path / "a.json").read_text())["rows"]}

    return run


def counted(rows: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {name: (row["found"], row["of"]) for name, row in rows.items()}


def test_what_is_found_is_what_a_look_finds(report: Report) -> None:
    rows = report("calls=a.bed", "split=split.tsv")
    assert counted(rows) == {
        "starts found: all": (1, 3),
        "starts found: train": (1, 1),
        "starts found: test": (0, 1),
        "starts found: no part": (0, 1),
        "calls at a start: all": (1, 5),
        "calls at a start: seen in training": (1, 2),
        "calls at a start: not seen": (0, 3),
        "calls upstream, between genes: all": (2, 5),
        "calls upstream, between genes: seen in training": (0, 2),
        "calls upstream, between genes: not seen": (2, 3),
        "calls at either: all": (3, 5),
        "calls at either: seen in training": (1, 2),
        "calls at either: not seen": (2, 3),
    }
    # A call of n bases covers a given base from n of the places where it fits.
    lengths = {"+": (150, 80, 150, 100), "-": (100,)}
    alone = dict.fromkeys(lengths, 1.0)
    for strand, own in lengths.items():
        for length in own:
            alone[strand] *= 1 - length / (10_000 - length + 1)
    expected = (2 * (1 - alone["+"]) + (1 - alone["-"])) / 3
    mean, low, high = rows["starts found: all"]["at random [95 %]"]
    assert low <= mean <= high
    assert mean == pytest.approx(expected, abs=0.03)


def test_ids_of_intervals_are_loci_too(report: Report, tmp_path: Path) -> None:
    expected = counted(report("calls=a.bed", "split=split.tsv"))
    rows = SPLIT.replace(":+:promoter", "(+)").replace(":-:coding", "(-)")
    (tmp_path / "other.tsv").write_text(rows)
    assert "c:900-1050(+)" in rows
    assert counted(report("calls=a.bed", "split=other.tsv")) == expected


def test_a_start_may_lie_beside_a_call(report: Report) -> None:
    assert counted(report("calls=a.bed", "within_bp=10"))["starts found: all"] == (1, 3)
    assert counted(report("calls=a.bed", "within_bp=11"))["starts found: all"] == (2, 3)


def test_windows_become_calls(report: Report, tmp_path: Path) -> None:
    rows = ["c:900-1050:+\tc\t900\t1050\t+\t0.1\t0.9", "c:925-1075:+\tc\t925\t1075\t+\t0.2\t0.8",
            "c:4900-5050:-\tc\t4900\t5050\t-\t0.6\t0.4"]  # fmt: skip
    (tmp_path / "a.tsv").write_text("id\tcontig\tstart\tend\tstrand\tcoding\tpromoter\n" + "\n".join(rows) + "\n")
    (tmp_path / "a.minus.bedgraph").write_text("c\t4960\t4990\t0.400000\nc\t4990\t5010\t0.9\n")
    assert counted(report("calls=a.tsv", "threshold=0.5"))["calls at a start: all"] == (1, 1)
    assert counted(report("calls=a.tsv", "threshold=0.3"))["calls at a start: all"] == (2, 2)
    assert counted(report("calls=a.minus.bedgraph", "threshold=0.5"))["starts found: all"] == (1, 3)
