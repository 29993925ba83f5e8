"""Any name of a class survives every output; what a format cannot hold is refused when labels are read."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gulmfit.commands.predict import predict_file
from gulmfit.errors import DataError
from gulmfit.predict.outputs.writers import write_tsv
from gulmfit.predict.predictor import Predictor
from gulmfit.predict.variant_effects import VariantScorer
from gulmfit.report.kinds.predictions import Predictions
from gulmfit.seq.formats.tables import read_rows
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.names import column_names, raw_names
from gulmfit.seq.splits.split_file import FileSplit, write_split

NASTY = [
    ("id", "other"),
    ("start", "stop"),
    ("contig", "plasmid"),
    ("strand", "id"),
    ("label", "group"),
    ("labels", "values"),
    ("end", "sequence"),
    ("fold", "index"),
    ("record_id", "id"),
    ("raw:a", "a"),
    ("GO:0003677", "GO:0005634"),
    ("a;b", "a,b"),
    ("a=b", "a b"),
    ('"a"', 'b"'),
    ("$x$", "_y"),
    ("ä", "µ-Ω"),
    ("chrom", "pos"),
    ("model", "gc:model"),
    ("#id", "-"),
    ("__init__", "True"),
]
each_pair = pytest.mark.parametrize("classes", NASTY, ids=lambda pair: "|".join(pair))


def read_columns(path: Path) -> tuple[list[str], list[list[str]]]:
    if path.suffix == ".parquet":
        table = pytest.importorskip("pyarrow.parquet").read_table(path)
        return table.column_names, [[str(cell) for cell in row.values()] for row in table.to_pylist()]
    with path.open(encoding="utf-8", newline="") as handle:
        header, *rows = csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
    return header, rows


@pytest.fixture
def inputs(tmp_path: Path, random_text: Any) -> dict[str, dict[str, Any]]:
    """Write what is predicted, and say with which words: records, features, windows."""
    (tmp_path / "genome.fa").write_text(f">c1\n{random_text(120)}\n")
    (tmp_path / "records.fa").write_text(f">r1\n{random_text(40, 1)}\n>r2\n{random_text(50, 2)}\n")
    (tmp_path / "features.bed").write_text("c1\t10\t50\tf1\t0\t+\nc1\t60\t100\tf2\t0\t-\n")
    return {
        "records": {"input": "records.fa"},
        "features": {"input": "features.bed", "genome": str(tmp_path / "genome.fa")},
        "windows": {"input": "genome.fa", "window_bp": 40, "step_bp": 40},
    }


@each_pair
@pytest.mark.parametrize("suffix", [".tsv", ".parquet"])
def test_every_table_has_the_classes_by_their_names(
    tmp_path: Path, make_model: Any, inputs: dict[str, dict[str, Any]], classes: tuple[str, str], suffix: str
) -> None:
    model = make_model(classes=classes)
    predictor = Predictor.load(model, "cpu")
    for what, words in inputs.items():
        output = tmp_path / f"{what}{suffix}"
        words = {**words, "input": str(tmp_path / words["input"])}
        predict_file(
            model=str(model), output=str(output), strand="both", raw=True, cache_dir=str(tmp_path / "store"), **words
        )
        header, rows = read_columns(output)
        assert len(set(header)) == len(header)
        assert header[-5:-1] == [*classes, *raw_names(classes)]
        assert not header[0].startswith("raw:")
        for row in rows:
            assert np.isclose(sum(map(float, row[-5:-3])), 1, atol=2e-6)
            assert row[-1] == max(zip(map(float, row[-5:-3]), classes, strict=True))[1]
    assert [row[0] for row in read_columns(tmp_path / f"records{suffix}")[1]] == ["r1", "r1", "r2", "r2"]
    text = "".join((tmp_path / "records.fa").read_text().split()[1:2])
    _, rows = read_columns(tmp_path / f"records{suffix}")
    np.testing.assert_allclose([float(cell) for cell in rows[0][-5:-3]], predictor.predict([text])[0], atol=1e-6)


@each_pair
def test_bed_tracks_and_variants_take_them(
    tmp_path: Path, make_model: Any, inputs: dict[str, dict[str, Any]], classes: tuple[str, str]
) -> None:
    model = make_model(classes=classes)
    words = {**inputs["windows"], "input": str(tmp_path / "genome.fa"), "cache_dir": str(tmp_path / "store")}
    outputs = [tmp_path / name for name in ("a.windows.bed", "a.bed", "a.bedgraph")]
    predict_file(model=str(model), output=",".join(map(str, outputs)), threshold=0.0, positive=classes[0], **words)
    name = "_".join(classes[0].split())
    assert {line.split("\t")[3] for line in outputs[0].read_text().splitlines()} == {name}
    assert [line.split("\t")[3] for line in outputs[1].read_text().splitlines()] == [f"{name}_1"]
    store = GenomeStore.build(tmp_path / "genome.fa", tmp_path / "store")
    three = Predictor.load(make_model(classes=(*classes, "c"), name="three"), "cpu")
    fields = VariantScorer(store, three, window_bp=40, strand="both").fields
    assert len(fields) == 18
    assert all(field.removeprefix("GULMFIT_").replace(".", "").isidentifier() for field in fields)


@each_pair
@pytest.mark.parametrize("targets", ["classes", "label_sets", "values"])
def test_what_a_run_writes_is_read_again(tmp_path: Path, classes: tuple[str, str], targets: str) -> None:
    if targets == "label_sets" and any(";" in name for name in classes):
        pytest.skip("refused when labels are read")
    random = np.random.default_rng(0)
    labels = {
        "classes": np.array([0, 1, 1, 0]),
        "label_sets": np.array([[0, 1], [1, 1], [0, 0], [1, 0]]),
        "values": random.normal(size=(4, 2)),
    }[targets]
    by_model = {name: random.random((4, 2)) for name in ("model", "gc", "kmer_logistic")}
    ids = ["a", "b:1", '"c', "d;e"]
    found = Predictions(ids, labels, np.array([0, 0, 1, 2]), list(classes), by_model, targets=targets)
    for name, columns, rows in found.tables():
        write_tsv(tmp_path / name, columns, rows)
    read = Predictions.read(tmp_path)
    assert (read.ids, read.classes, read.targets) == (ids, list(classes), targets)
    assert list(read.by_model) == list(by_model)
    np.testing.assert_allclose(read.labels, labels)
    for name, values in by_model.items():
        np.testing.assert_allclose(read.by_model[name], values, atol=1e-6)
    header, _ = read_columns(tmp_path / "test.tsv")
    known = [row["label"] for _, row in read_rows(tmp_path / "test.tsv", {"label": header[1]}, own=True)]
    if targets == "classes":
        assert known == [classes[label] for label in labels]


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "a\rb", "\x00", "a\x1fb", "\u2028", "\ud800", ""])
def test_what_no_table_can_hold_is_refused_when_labels_are_read(name: str) -> None:
    with pytest.raises(DataError) as caught:
        LabelledSequences.from_strings(["1", "2"], ["ACGT", "ACGT"], [name, "other"], files=["a.csv"])
    assert "a.csv" in str(caught.value) or "record '1'" in str(caught.value)


def test_a_label_of_a_set_holds_no_separator() -> None:
    with pytest.raises(DataError, match=r"a\.csv.*'a;b' holds ';'"):
        LabelledSequences.from_strings(
            ["1", "2"], ["ACGT"] * 2, [["0", "1"], ["1", "0"]], column=["a;b", "c"], targets="label_sets",
            files=["a.csv"],
        )  # fmt: skip


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "\ud800"])
def test_an_id_that_would_be_cut_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"b\.csv"):
        LabelledSequences.from_strings(["1", name], ["ACGT"] * 2, ["a", "b"], files=["b.csv"])
    with pytest.raises(DataError, match=r"a\.tsv"):
        write_tsv(tmp_path / "a.tsv", ["id", "a"], [("fine", [0.5]), (name, [0.5])])
    assert not list(tmp_path.iterdir())


def test_splits_keep_odd_ids(tmp_path: Path) -> None:
    ids = ['"a', 'b"', "c;d", "e,f", "g h", "é"]
    data = LabelledSequences.from_strings(ids, ["ACGT" * 3] * 6, ["a", "b"] * 3)
    parts = np.array(["train", "train", "valid", "valid", "test", "test"])
    write_split(tmp_path / "split.tsv", data, parts, np.arange(6))
    assert FileSplit(str(tmp_path / "split.tsv"))(data).tolist() == parts.tolist()


def test_fixed_columns_give_way() -> None:
    assert column_names(["id", "start"], ["a", "b"]) == ["id", "start"]
    assert column_names(["id", "start"], ["id", "record_id"]) == ["record_record_id", "start"]
    assert raw_names(["a", "raw:a"]) == ["raw:raw:a", "raw:raw:raw:a"]
