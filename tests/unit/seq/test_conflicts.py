"""Sequences with several labels: counted, refused or left out, by one rule for every labelled source."""

import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gulmfit.data.sources.base import FastaClassesSource, Source, TableSource
from gulmfit.data.sources.folder import FolderSource
from gulmfit.data.sources.regions import IntervalsSource
from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.labels.conflicts import settle_conflicts
from gulmfit.seq.labels.labelled import LabelledSequences

# AACC with two labels, GGTT is its other strand; ACGG twice with one label; TTTT alone.
ROWS = [("AACC", "x"), ("GGTT", "y"), ("ACGG", "x"), ("ACGG", "x"), ("TTTT", "y"), ("CCCA", "x"), ("CCCA", "y")]


def source(folder: Path, way: str, **words: Any) -> Source:
    """Hold ROWS in one of the labelled sources."""
    if way == "table":
        (folder / "t.csv").write_text("sequence,label\n" + "".join(f"{a},{b}\n" for a, b in ROWS))
        return TableSource(path=str(folder / "t.csv"), **words)
    if way == "folder":
        (folder / "all.csv").write_text("sequence,label\n" + "".join(f"{a},{b}\n" for a, b in ROWS))
        return FolderSource(path=str(folder), **words)
    for name in "xy":
        records = [f">{name}{index}\n{a}\n" for index, (a, b) in enumerate(ROWS) if b == name]
        (folder / f"{name}.fa").write_text("".join(records))
    return FastaClassesSource(classes={name: str(folder / f"{name}.fa") for name in "xy"}, **words)


@pytest.mark.parametrize("way", ["table", "folder", "classes"])
def test_conflicts_are_counted_refused_or_left_out(tmp_path: Path, way: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert sorted(source(tmp_path, way).labelled().sequences) == sorted(letters for letters, _ in ROWS)
    assert "2 sequence(s), 4 of 7 records" in caplog.text
    dropped = source(tmp_path, way, conflicts="drop").labelled()
    assert sorted(dropped.sequences) == ["ACGG", "ACGG", "TTTT"]
    with pytest.raises(DataError, match="2 sequence"):
        source(tmp_path, way, conflicts="error").labelled()
    stranded = source(tmp_path, way, conflicts="drop", stranded=True).labelled()
    assert sorted(stranded.sequences) == ["AACC", "ACGG", "ACGG", "GGTT", "TTTT"]
    with pytest.raises(ConfigError, match=r"data\.conflicts"):
        source(tmp_path, way, conflicts="keep")


def test_nothing_is_said_where_labels_agree(caplog: pytest.LogCaptureFixture) -> None:
    data = LabelledSequences(list("abc"), ["AACC", "GGTT", "AAAA"], np.array([0, 0, 1]), ["x", "y"])
    assert settle_conflicts(data, "error", both_strands=True) is data
    assert not caplog.records


@pytest.mark.parametrize("targets", ["label_sets", "values"])
def test_every_kind_of_label_is_compared(targets: str) -> None:
    labels = [[1, 0], [1, 1], [0, 1]]
    data = LabelledSequences(list("abc"), ["ACCC", "ACCC", "AAAA"], np.array(labels), ["x", "y"], targets=targets)
    assert settle_conflicts(data, "drop", both_strands=False).ids == ["c"]


def test_a_class_that_would_vanish_is_told() -> None:
    data = LabelledSequences(list("abc"), ["ACCC", "ACCC", "AAAA"], np.array([0, 1, 1]), ["x", "y"])
    with pytest.raises(DataError, match=r"'a' .*'x' .*'b' .*'y'.*no sequence"):
        settle_conflicts(data, "drop", both_strands=False)


def test_windows_follow_the_same_words(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "g.fa").write_text(">c\nAACCGATTACAGATCCAGTTTT\n")
    (tmp_path / "t.bed").write_text("c\t0\t5\tx\nc\t0\t5\ty\nc\t6\t11\tx\nc\t12\t17\ty\n")
    words: dict[str, Any] = {"path": str(tmp_path / "t.bed"), "genome": str(tmp_path / "g.fa"), "label": "name"}
    words["cache_dir"] = str(tmp_path / "store")
    with pytest.raises(DataError, match=r"t\.bed, line 2: .*'y' .*line 1 .*'x': c:0-5\(\+\)"):
        IntervalsSource(**words).labelled()
    with caplog.at_level(logging.WARNING):
        warned = IntervalsSource(**words, conflicts="warn").labelled()
    assert warned.ids == ["x/c:0-5(+)", "y/c:0-5(+)", "c:6-11(+)", "c:12-17(+)"]
    assert re.search(r"\b1 windows .*\bclasses, .*c:0-5\(\+\)", caplog.text)
    source = IntervalsSource(**words, conflicts="drop")
    assert source.labelled().ids == ["c:6-11(+)", "c:12-17(+)"]
    assert source.windows["features"] == source.windows["windows"] + sum(source.windows["left_out"].values())
