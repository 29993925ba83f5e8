"""NCBI's feature table: parts, strands, offsets, partial ends, and a message for every broken line."""

import gzip
from pathlib import Path

import pytest

from gulmfit.errors import DataError
from gulmfit.seq.formats.features import CROSSES_ORIGIN
from gulmfit.seq.genome.contigs import read_features
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.gene_models import read_genes

TABLE = """>Feature c1 made
4\t9\tgene
\t\t\tlocus_tag\tg1
30\t25\tCDS
20\t17
\t\t\tlocus_tag\tg2
\t\t\tdb_xref\ta
\t\t\tdb_xref\tb
\t\t\tpseudo
<1\t>7\tCDS

>Feature c2
[offset=100]
5\t5\tvariation
"""


def read(folder: Path, text: str, name: str = "a.tbl", kinds: set[str] | None = None) -> list[tuple[object, ...]]:
    (folder / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return [(f.contig, f.start, f.end, f.strand, f.kind) for f in read_features(folder / name, kinds)]


@pytest.mark.parametrize("name", ["a.tbl", "a.TBL.gz"])
def test_features_are_those_of_the_table(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, TABLE, name) == [
        ("c1", 3, 9, "+", "gene"),
        ("c1", 24, 30, "-", "CDS"),
        ("c1", 16, 20, "-", "CDS"),
        ("c1", 0, 7, "+", "CDS"),
        ("c2", 104, 105, "+", "variation"),
    ]
    assert len(read(tmp_path, TABLE, name, {"CDS"})) == 3
    _, first, second, partial, _ = read_features(tmp_path / name)
    assert first.name == "g2"
    assert first.attributes == second.attributes
    assert first.attributes["db_xref"] == "a,b"
    assert first.attributes["pseudo"] == ""
    assert first.place == f"{tmp_path / name}, line 4"
    assert (partial.attributes["partial"], CROSSES_ORIGIN in first.attributes) == ("true", False)
    over = "".join(f">Feature c\n{parts}" for parts in ("90\t99\tCDS\n1\t8\n", "8\t1\tCDS\n99\t90\n"))
    read(tmp_path, over)
    assert all(CROSSES_ORIGIN in feature.attributes for feature in read_features(tmp_path / "a.tbl"))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "no feature"),
        (">Feature c\n", "no feature"),
        ("1\t9\tCDS\n", r"line 1.*'>Feature'"),
        (">Sequence c\n", r"line 1.*'>Feature'"),
        (">Feature c\n1\t9\n", r"line 2: '1\\t9' "),
        (">Feature c\na\t9\tCDS\n", "line 2: start 'a'"),
        (">Feature c\n0\t9\tCDS\n", "line 2: 0-9"),
        (">Feature c\n1\t9\tCDS\n30\t20\n", "line 2.*both strands"),
        (">Feature c\n1\t9\tCDS\nx y\n", r"line 3: 1 column\(s\)"),
    ],
)
def test_a_broken_table_is_named(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(DataError, match=match):
        read(tmp_path, text)


def test_genes_of_a_table_are_those_of_gff3(tmp_path: Path) -> None:
    store = GenomeStore.from_sequences(["c1"], ["CCATGAAATAACC" + "GGTTATTTCATGG"])
    (tmp_path / "a.tbl").write_text(">Feature c1\n3\t11\tCDS\n\t\t\tlocus_tag\ta\n24\t16\tCDS\n\t\t\tlocus_tag\tb\n")
    rows = "".join(
        f"c1\tx\tCDS\t{where}\t0\tlocus_tag={name}\n" for where, name in (("3\t11\t.\t+", "a"), ("16\t24\t.\t-", "b"))
    )
    (tmp_path / "a.gff3").write_text(rows)
    ours, theirs = (
        [(gene.cds, gene.strand, gene.name) for gene in read_genes(tmp_path / name, store).genes]
        for name in ("a.tbl", "a.gff3")
    )
    assert ours == theirs
    assert len(ours) == 2
