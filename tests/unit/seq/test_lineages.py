"""Lineages: how they are split, what ranks are called, and the forms of their tables."""

import gzip
from pathlib import Path

import pytest

from gulmfit.errors import DataError
from gulmfit.seq.labels.lineages import is_empty, prefix_ranks, read_lineages, split_lineage


@pytest.mark.parametrize(
    ("text", "taxa"),
    [
        ("Bacteria;Firmicutes;Bacilli", ("Bacteria", "Firmicutes", "Bacilli")),
        ("k__Bacteria; p__Firmicutes; g__; s__", ("k__Bacteria", "p__Firmicutes")),
        ("Bacteria;;Bacilli;", ("Bacteria", "", "Bacilli")),
        ("Bacteria\tEscherichia coli", ("Bacteria", "Escherichia coli")),
        ("Bacteria Firmicutes", ("Bacteria", "Firmicutes")),
        ("", ()),
    ],
)
def test_lineages_are_split(text: str, taxa: tuple[str, ...]) -> None:
    assert split_lineage(text) == taxa


def test_empty_taxa() -> None:
    assert all(map(is_empty, ("", "g__", " g__ ".strip())))
    assert not any(map(is_empty, ("g__Bacillus", "Bacillus", "x")))


def test_prefixes_name_ranks_where_all_agree() -> None:
    assert prefix_ranks([("k__A", "p__B"), ("k__A", "p__C", "z__D")]) == ["kingdom", "phylum", "z"]
    assert prefix_ranks([("k__A", "p__B"), ("k__A", "c__C")]) == []
    assert prefix_ranks([("k__A", "B")]) == []
    assert prefix_ranks([("k__A", "k__B")]) == []
    assert prefix_ranks([]) == []


@pytest.mark.parametrize(
    "text",
    [
        "S1\tAlpha;Beta;Gamma\nS2\tAlpha;Beta\n",
        ">S1 Alpha Beta Gamma\n\n>S2 Alpha Beta\n",
        "S1 Alpha\tBeta\tGamma\nS2 Alpha\tBeta\n",
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_text_is_an_id_and_a_lineage(tmp_path: Path, text: str, zipped: bool) -> None:
    path = tmp_path / "taxonomy.txt"
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    assert read_lineages(path) == {"S1": ("Alpha", "Beta", "Gamma"), "S2": ("Alpha", "Beta")}


def test_tables_have_a_column_of_lineages_or_one_for_each_rank(tmp_path: Path) -> None:
    (tmp_path / "whole.tsv").write_text("Feature ID\tTaxon\tConfidence\nS1\tAlpha; Beta; Gamma\t1\n")
    found = read_lineages(tmp_path / "whole.tsv", id="Feature ID", lineage="Taxon")
    assert found == {"S1": ("Alpha", "Beta", "Gamma")}
    (tmp_path / "ranks.csv").write_text("id,family,order,genus\nS1,Beta,Alpha,Gamma\nS2,,Alpha,Delta\n")
    found = read_lineages(tmp_path / "ranks.csv", ranks=["order", "family", "genus"])
    assert found == {"S1": ("Alpha", "Beta", "Gamma"), "S2": ("Alpha", "", "Delta")}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "S1\nS2\n", r"a\.txt: no lineage"),
        ("a.txt", "S1 A B\nS1 A C\n", r"a\.txt, line 2: 'S1' .*lineage 'A;B'"),
        ("a.txt", "\n", r"a\.txt: no lineage"),
        ("a.csv", "id,taxon\nS1,A;B\n", r"a\.csv: .*data\.lineage=COLUMN.*data\.ranks="),
    ],
)
def test_mistakes_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_lineages(tmp_path / name)
    with pytest.raises(DataError, match=r"none\.txt: unreadable .*\b0: "):
        read_lineages(tmp_path / "none.txt")
