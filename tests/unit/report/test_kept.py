"""Figures and tables of a report as files: what the page shows, nothing unless asked for."""

import csv
from pathlib import Path

import pytest

from gulmfit.errors import ConfigError
from gulmfit.report.figures import line_plot
from gulmfit.report.html import Report, Section, write_report
from gulmfit.report.kept import parts_kept


def report() -> Report:
    curve = line_plot({"a": ([0, 1, 2], [0.5, 0.25, 0.125])}, xlabel="step", ylabel="loss")
    table = (["model", "accuracy", "n"], [["own", (1 / 3, 0.25, 0.5), 12_345], ["a\tb", None, 1]])
    return Report("r", sections=[Section("Scores: all", tables=[table], figures=[("", curve), ("none", "")])])


@pytest.mark.parametrize(("kind", "magic"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_what_is_asked_for_lies_next_to_the_page(tmp_path: Path, kind: str, magic: bytes) -> None:
    with parts_kept(kind):
        made = report()
        write_report(tmp_path / "report.html", made)
        write_report(tmp_path / "comparison.html", made)
    files = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert files == [f"comparison-scores-all-1.{kind}", f"scores-all-1.{kind}"]
    content = (tmp_path / "figures" / f"scores-all-1.{kind}").read_bytes()
    assert content.startswith(magic)
    if kind == "svg":
        assert content.decode() == made.sections[0].figures[0][1]
    with (tmp_path / "tables" / "scores-all-1.tsv").open(newline="") as handle:
        first, second = csv.DictReader(handle, delimiter="\t")
    assert [float(first[name]) for name in ("accuracy", "accuracy low", "accuracy high")] == [1 / 3, 0.25, 0.5]
    assert (first["n"], second["model"], second["accuracy"]) == ("12345", "a\tb", "")


def test_nothing_is_kept_unasked_and_other_formats_are_refused(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", report())
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(ConfigError, match=r"report\.figures=gif"), parts_kept("gif"):
        pass
