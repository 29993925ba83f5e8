"""Positives from files, and the negatives of each kind that the configuration asks for."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from gulmfit.config import compose, instantiate
from gulmfit.data.sources.positives import PositivesSource
from gulmfit.errors import ConfigError, DataError, SequenceError
from gulmfit.seq.alphabet import reverse_complement_text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A genome of two contigs, and 30 of its windows in several files."""
    folder = tmp_path_factory.mktemp("positives")
    rng = np.random.default_rng(0)
    contigs = {name: "".join(rng.choice(list("ACGT"), 20_000)) for name in ("one", "two")}
    write(folder / "genome.fa", contigs)
    windows = {}
    for index, start in enumerate(range(500, 15_500, 500)):
        text, strand = contigs["one"][start : start + 80], "+-"[index % 2]
        windows[f"one:{start}-{start + 80}({strand})"] = text if strand == "+" else reverse_complement_text(text)
    write(folder / "loci.fa", windows)
    write(folder / "plain.fa", {f"peak{index}": text for index, text in enumerate(windows.values())})
    rows = [f"{index},{text}" for index, text in enumerate(windows.values())]
    (folder / "table.csv").write_text("name,seq\n" + "\n".join(rows) + "\n")
    return folder


def write(path: Path, records: dict[str, str]) -> None:
    path.write_text("".join(f">{name}\n{text}\n" for name, text in records.items()))


def source(folder: Path, name: str, how: str, **others: object) -> PositivesSource:
    genome = str(folder / "genome.fa")
    settings = {"how": how, "genome": genome, **others}
    return PositivesSource(path=str(folder / name), negatives=settings, cache_dir=str(folder / "store"))


@pytest.mark.parametrize("how", ["shuffle", "genomic", "mixed"])
def test_every_positive_has_its_negatives(folder: Path, how: str) -> None:
    made = source(folder, "plain.fa", how, per_positive=2)
    assert made.has_labels
    assert made.record == {}
    data = made.labelled()
    assert (data.classes, data.positive) == (["background", "positive"], "positive")
    assert np.bincount(data.labels).tolist() == [60, 30]
    assert len(set(data.ids)) == 90
    positives = {name: text for name, text, label in zip(data.ids, data.sequences, data.labels, strict=True) if label}
    for name, text, label in zip(data.ids, data.sequences, data.labels, strict=True):
        assert label or len(text) == len(positives[name.partition("/")[0]])
    assert data.loci is None
    assert made.record["how"] == how
    assert made.record["negatives"] == 60
    assert json.loads(json.dumps(made.record)) == made.record
    again = source(folder, "plain.fa", how, per_positive=2).labelled()
    assert (again.ids, again.sequences) == (data.ids, data.sequences)


def test_loci_are_read_from_ids_that_the_genome_confirms(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = source(folder, "loci.fa", "genomic", margin_bp=100)
    data = made.labelled()
    assert made.record["avoided"] == "loci"
    assert data.loci is not None
    assert data.loci[:2] == [("one", 500, 580, "+"), ("one", 1000, 1080, "-")]
    windows = [locus for locus in data.loci[30:] if locus[0] == "one"]
    assert windows
    assert all(
        end + 100 <= first or last + 100 <= start
        for _, start, end, _ in windows
        for _, first, last, _ in data.loci[:30]
    )
    assert source(folder, "loci.fa", "mixed").labelled().loci is None  # a shuffle lies nowhere
    shifted = (folder / "loci.fa").read_text().replace("one:500-580", "one:501-581")
    (folder / "shifted.fa").write_text(shifted)
    wrong = source(folder, "shifted.fa", "genomic")
    assert wrong.labelled().loci is None
    assert wrong.record["avoided"] == "shared 20-mers"
    assert re.search(r"one:501-581\(\+\): .*\bgenome\b.*\bloci\b", caplog.text)


def test_tables_and_policies(folder: Path, tmp_path: Path) -> None:
    columns = {"sequence": "seq", "id": "name"}
    table = PositivesSource(path=str(folder / "table.csv"), **columns).labelled()
    fasta = PositivesSource(path=str(folder / "plain.fa")).labelled()
    assert table.sequences[:30] == fasta.sequences[:30]
    assert table.ids[:2] == ["0", "1"]
    assert PositivesSource(path=str(folder / "table.csv"), sequence="seq").labelled().ids[:2] == ["1", "2"]
    write(tmp_path / "masked.fa", {"a": "ACGTACacgtNNACGTT"})
    masked = PositivesSource(path=str(tmp_path / "masked.fa"), case="mask").labelled()
    assert masked.sequences[0] == "ACGTACNNNNNNACGTT"
    with pytest.raises(SequenceError, match=r"masked.fa, record 'a', position 10: 'N' is ambiguous"):
        PositivesSource(path=str(tmp_path / "masked.fa"), ambiguity="error").labelled()


def test_mistakes_are_found_before_anything_is_read() -> None:
    for given, message in (
        ({"path": ""}, "data.path is empty"),
        ({"negatives": {"gc_tolerence": 0.1}}, r"data\.negatives: 'gc_tolerence' .*\]; .*'gc_tolerance'"),
        ({"negatives": {"how": "shufle"}}, "data.negatives.how: 'shufle' .* 'shuffle'"),
        ({"negatives": {"how": "genomic"}}, "data.negatives.genome="),
        ({"case": "lower"}, "data.case='lower'"),
    ):
        with pytest.raises(ConfigError, match=message):
            PositivesSource(**{"path": "nothing.fa", **given})


def test_an_id_in_two_files_is_named(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "other.fa", {"peak3": "ACGTTGCA"})
    with pytest.raises(DataError, match=r"'peak3' occurs twice: .*plain.fa, record 'peak3' and .*other.fa"):
        PositivesSource(path=[str(folder / "plain.fa"), str(tmp_path / "other.fa")]).labelled()


def test_the_configuration_builds_it(folder: Path) -> None:
    config = compose([
        "stage=classify", "data=positives", f"data.path={folder / 'plain.fa'}", f"data.genome={folder / 'genome.fa'}",
        "data.negatives.how=mixed", f"paths.cache_dir={folder / 'store'}", "seed=3",
    ])  # fmt: skip
    made = instantiate(config.data)
    assert made.seed == 0
    assert len(made.labelled()) == 60
    assert made.store(folder / "store").summary()["bases"] == 40_000
