"""Reads of genes: where they come from, whom they belong to, and which classes are kept."""

import json
from pathlib import Path

import numpy as np
import pytest

from gulmfit.data.sources.reads import ReadsSource
from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.splits.split import HomologySplit, StratifiedSplit
from gulmfit.seq.splits.split_position import ContigSplit

RANKS = ["phylum", "family", "genus"]


@pytest.fixture(scope="module")
def genes() -> dict[str, tuple[str, str]]:
    """Genes of 4 genera in 3 families and 2 phyla: 8 of each of the first three, 2 of the last; letters at random."""
    rng = np.random.default_rng(3)
    lineages = ["P;F;A", "P;F;B", "P;G;C", "Q;H;D"]
    return {
        f"{lineage[-1]}{number}": ("".join(rng.choice(list("ACGT"), 300)), lineage)
        for lineage in lineages
        for number in range(2 if lineage[-1] == "D" else 8)
    }


def write(path: Path, genes: dict[str, tuple[str, str]]) -> str:
    path.write_text("".join(f">{name} {lineage}\n{text}\n" for name, (text, lineage) in genes.items()))
    return str(path)


def cut(path: str, **others: object) -> tuple[LabelledSequences, ReadsSource]:
    settings = {"ranks": RANKS, "rank": "genus", "read_bp": 50, "reads_per_sequence": 6, **others}
    source = ReadsSource(path=path, **settings)  # type: ignore[arg-type]
    return source.labelled(), source


def test_reads_stand_in_their_genes(genes: dict[str, tuple[str, str]], tmp_path: Path) -> None:
    data, source = cut(write(tmp_path / "genes.fa", genes))
    assert data.classes == ["P;F;A", "P;F;B", "P;G;C"]
    assert len(data) == 24 * 6
    assert data.loci is not None
    strands = set()
    for record, sequence, label, (name, start, end, strand) in zip(
        data.ids, data.sequences, data.labels, data.loci, strict=True
    ):
        text, lineage = genes[name]
        assert record == f"{name}:{start}-{end}({strand})"
        assert data.classes[label] == lineage
        assert sequence == (text[start:end] if strand == "+" else reverse_complement_text(text[start:end]))
        assert end - start == 50
        strands.add(strand)
    assert strands == {"+", "-"}
    assert len(set(data.ids)) == len(data)
    assert json.loads(json.dumps(source.record)) == source.record
    assert (source.record["genes"], source.record["classes"]) == (24, 3)
    assert source.record["left_out"] == {"class has fewer than 3 different genes": 2}


def test_reads_follow_their_seed(genes: dict[str, tuple[str, str]], tmp_path: Path) -> None:
    path = write(tmp_path / "genes.fa", genes)
    first, again, other = (cut(path, seed=seed)[0].ids for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert {record[-2] for record in cut(path, strands="forward")[0].ids} == {"+"}


@pytest.mark.parametrize("split", [StratifiedSplit(0.2, 0.2, 0), HomologySplit(0.2, 0.2, 0), ContigSplit(0.2, 0.2, 0)])
def test_no_split_has_a_gene_or_its_copy_on_two_sides(
    genes: dict[str, tuple[str, str]], tmp_path: Path, split: StratifiedSplit
) -> None:
    twins = {"A0copy": genes["A0"], "B0twin": (reverse_complement_text(genes["B0"][0]), genes["B0"][1])}
    data, source = cut(write(tmp_path / "genes.fa", {**genes, **twins}))
    assert (source.record["genes"], source.record["different_genes"]) == (26, 24)
    assert data.loci is not None
    names = np.array([locus[0] for locus in data.loci])
    parts = split(data)
    assert set(parts) == {"train", "valid", "test"}
    for members in [*({name} for name in genes), {"A0", "A0copy"}, {"B0", "B0twin"}]:
        assert len(set(parts[np.isin(names, list(members))])) <= 1
    assert all(len(set(fold)) == 1 for fold in (split.folds(data, 3)[names == name] for name in set(names)))


def test_a_read_that_two_genes_have_is_left_out(genes: dict[str, tuple[str, str]], tmp_path: Path) -> None:
    """Genes alike but for their last base share all reads but one."""
    near = {f"N{number}": (genes["A0"][0][:-1] + letter, "P;F;A") for number, letter in enumerate("ACGT")}
    rest = {name: gene for name, gene in genes.items() if name != "A0"}
    data, source = cut(write(tmp_path / "genes.fa", {**rest, **near}), reads_per_sequence=1000)
    seen = [min(text, reverse_complement_text(text)) for text in data.sequences]
    assert len(set(seen)) == len(seen)
    assert source.record["left_out"]["reads that another gene has, too"] == 3 * 250
    assert sum(record.startswith("N") for record in data.ids) == 251 + 3


def test_classes_go_by_rank_and_size(genes: dict[str, tuple[str, str]], tmp_path: Path) -> None:
    path = write(tmp_path / "genes.fa", genes)
    assert cut(path, rank="family")[0].classes == ["P;F", "P;G"]
    assert cut(path, rank=2, min_genes=2)[0].classes == ["P;F", "P;G", "Q;H"]
    assert cut(path, rank=1, min_genes=2)[0].classes == ["P", "Q"]
    assert cut(path, rank=None, min_genes=1)[0].classes == ["P;F;A", "P;F;B", "P;G;C", "Q;H;D"]
    data, source = cut(path, rank="family", min_genes=1, max_classes=2)
    assert data.classes[0] == "P;F"  # of two genera, so the largest
    assert source.record["left_out"] == {"class is not among the largest 2": 2}
    drawn = {tuple(cut(path, max_classes=2, seed=seed)[0].classes) for seed in range(12)}
    assert len(drawn) > 1  # three classes of one size: chance decides


def test_prefixes_name_ranks_and_unnamed_taxa_are_left_out(genes: dict[str, tuple[str, str]], tmp_path: Path) -> None:
    fasta = write(tmp_path / "genes.fa", {name: (text, "") for name, (text, _) in genes.items()})
    lines = []
    for name, (_, lineage) in genes.items():
        phylum, family, genus = lineage.split(";")
        lines.append(f"{name}\tp__{phylum}; f__{family}; g__{'' if name in ('A0', 'A1') else genus}\n")
    (tmp_path / "taxonomy.txt").write_text("".join(lines[1:]))
    data, source = cut(fasta, ranks=None, labels=str(tmp_path / "taxonomy.txt"))
    assert data.classes[0] == "p__P;f__F;g__A"
    assert source.record["left_out"]["without lineage"] == 1
    assert source.record["left_out"]["lineage ends above the rank"] == 1
    with pytest.raises(DataError, match=r"data\.rank: 'genius' .*\]; .*'genus'"):
        cut(fasta, ranks=None, rank="genius", labels=str(tmp_path / "taxonomy.txt"))
    with pytest.raises(DataError, match=r"data.rank=4: lineages have 1 to 3 taxa"):
        cut(fasta, ranks=None, rank=4, labels=str(tmp_path / "taxonomy.txt"))


def test_what_cannot_be_cut_is_refused(genes: dict[str, tuple[str, str]], tmp_path: Path) -> None:
    path = write(tmp_path / "genes.fa", genes)
    with pytest.raises(DataError, match=r"0 class\(es\) left of 0 .*'shorter than a read': 26"):
        cut(path, read_bp=301)
    with pytest.raises(DataError, match=r"lower data.min_genes"):
        cut(path, min_genes=9)
    with pytest.raises(DataError, match=r"data\.rank: 'genus': no rank\b"):
        cut(path, ranks=None)
    (tmp_path / "other.txt").write_text("Z1 A B C\n")
    with pytest.raises(DataError, match=r"other\.txt .*lineage .*\bZ1, .*\bA0, A1, A2\b"):
        cut(path, labels=str(tmp_path / "other.txt"))
    bare = write(tmp_path / "bare.fa", {"x": ("ACGT" * 20, "")})
    with pytest.raises(DataError, match=r"bare\.fa: .*FASTA header .*data\.labels="):
        cut(bare)
    for given, message in (
        ({"path": ""}, "data.path is empty"),
        ({"strands": "reverse"}, "data.strands: 'reverse'"),
        ({"read_bp": 0}, "data.read_bp=0"),
        ({"max_classes": 1}, "data.max_classes=1"),
    ):
        with pytest.raises(ConfigError, match=message):
            ReadsSource(**{"path": path, **given})  # type: ignore[arg-type]
