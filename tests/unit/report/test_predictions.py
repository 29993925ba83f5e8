"""Predictions survive the way to a file and back, and meet those of another run record by record."""

from pathlib import Path

import numpy as np
import pytest

from gulmfit.errors import DataError
from gulmfit.predict.outputs.writers import write_tsv
from gulmfit.report.kinds.predictions import Predictions


def predictions(seed: int = 0, count: int = 6) -> Predictions:
    random = np.random.default_rng(seed)
    by_model = {name: random.dirichlet([1, 1, 1], count) for name in ("model", "gc", "kmer_logistic")}
    ids = [f"r{index}" for index in range(count)]
    return Predictions(ids, np.arange(count) % 3, np.arange(count) // 2, ["a", "b", "c"], by_model, "b")


def write(found: Predictions, folder: Path) -> None:
    for name, columns, rows in found.tables():
        write_tsv(folder / name, columns, rows)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    found = predictions()
    write(found, tmp_path)
    read = Predictions.read(tmp_path, "b")
    assert (read.ids, read.classes, read.positive_index) == (found.ids, found.classes, 1)
    np.testing.assert_array_equal(read.labels, found.labels)
    np.testing.assert_array_equal(read.groups, found.groups)
    assert set(read.by_model) == set(found.by_model)
    for name, values in found.by_model.items():
        np.testing.assert_allclose(read.by_model[name], values, atol=1e-6)


@pytest.mark.parametrize("targets", ["label_sets", "values"])
def test_sets_and_values_survive_the_way_too(targets: str, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    labels = random.integers(2, size=(8, 2)) if targets == "label_sets" else random.normal(size=(8, 2)) * (1e-9, 1e6)
    labels[0] = 0
    predicted = random.random((8, 2)) * (1 if targets == "label_sets" else np.array([1e-9, 1e6]))
    by_model = {"model": predicted, "gc": predicted / 2}
    ids = [str(number) for number in range(8)]
    found = Predictions(ids, labels, np.arange(8), ["x", "y"], by_model, targets=targets)
    write(found, tmp_path)
    read = Predictions.read(tmp_path)
    assert (read.targets, read.classes) == (targets, ["x", "y"])
    np.testing.assert_array_equal(read.labels, labels)
    for name, values in by_model.items():
        np.testing.assert_allclose(read.by_model[name], values, rtol=1e-8, atol=1e-6 if targets == "label_sets" else 0)
    met = found.beside({"other": Predictions.concatenate([read])})
    assert (met.targets, set(met.by_model)) == (targets, {"model", "gc", "other"})
    kind = "values" if targets == "label_sets" else "label_sets"
    with pytest.raises(DataError, match=r"\bother\b.*: 8 and 8 records, 8 .*split=file"):
        found.beside({"other": Predictions(ids, labels, np.arange(8), ["x", "y"], by_model, targets=kind)})


def test_runs_meet_record_by_record() -> None:
    first, other = predictions(0), predictions(1)
    order = np.random.default_rng(2).permutation(len(other))
    turned = Predictions(
        [other.ids[i] for i in order], other.labels[order], other.groups[order], other.classes,
        {name: values[order] for name, values in other.by_model.items()}, "b",
    )  # fmt: skip
    np.testing.assert_array_equal(first.beside({"other": turned}).by_model["other"], other.by_model["model"])


def test_runs_on_other_sequences_do_not_meet() -> None:
    first, other = predictions(), predictions(count=7)
    with pytest.raises(DataError, match=r"\bother\b.*: 7 and 6 records, 6 .*split=file"):
        first.beside({"other": other})
    relabelled = predictions()
    relabelled.labels = (relabelled.labels + 1) % 3
    relabelled.ids.reverse()
    with pytest.raises(DataError, match="other labels"):
        first.beside({"other": relabelled})


def test_folds_are_laid_end_to_end() -> None:
    parts = [predictions(0), predictions(1)]
    del parts[1].by_model["gc"]
    pooled = Predictions.concatenate(parts)
    assert len(pooled) == 12
    assert set(pooled.by_model) == {"model", "kmer_logistic"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace("label", "kind", 1), r"test\.tsv: .*\['id', 'kind', 'group', 'a', 'b', 'c'\]"),
        (lambda text: text.replace("r0\ta\t", "r0\tz\t", 1), r"test\.tsv: label 'z' .*\ba, b, c\b"),
        (lambda text: text.rsplit("\t", 1)[0] + "\n", r"test\.tsv, line 7: 5 columns .*\b6\b"),
        (lambda text: text.splitlines()[0] + "\n", r"test\.tsv .*no prediction"),
    ],
)
def test_damage_is_named(tmp_path: Path, damage, message: str) -> None:  # type: ignore[no-untyped-def]
    write(predictions(), tmp_path)
    path = tmp_path / "test.tsv"
    path.write_text(damage(path.read_text()))
    with pytest.raises(DataError, match=message):
        Predictions.read(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"test\.tsv .*exist: .*stage=classify"):
        Predictions.read(tmp_path)


@pytest.mark.parametrize("targets", ["classes", "label_sets"])
def test_names_of_classes_may_hold_a_colon(targets: str, tmp_path: Path) -> None:
    labels = np.array([0, 1, 1, 0]) if targets == "classes" else np.eye(2, dtype=np.int64)[[0, 1, 1, 0]]
    by_model = {name: np.full((4, 2), 0.5) for name in ("model", "gc", "kmer_logistic")}
    names = ["GO:0003677", "GO:0005634"]
    write(Predictions(list("abcd"), labels, np.arange(4), names, by_model, targets=targets), tmp_path)
    read = Predictions.read(tmp_path)
    assert set(read.by_model) == set(by_model)
    assert read.classes == names


@pytest.mark.parametrize("repeats", [1, 2])
def test_predictions_of_folds_are_read_without_their_folds(tmp_path: Path, repeats: int) -> None:
    """As a cross-validation writes them; a record of several repeats is told apart, in whatever order they come."""
    parts = [predictions(seed) for seed in range(repeats)]
    found = Predictions.concatenate(parts)
    places = [(str(index % 3), str(index // len(parts[0]))) for index in range(len(found))]
    for name, columns, rows in found.tables():
        cells = ((record, [*row, *place]) for (record, row), place in zip(rows, places, strict=True))
        write_tsv(tmp_path / name.replace("test", "out_of_fold"), [*columns, "fold", "repeat"], cells)
    read = Predictions.read(tmp_path, "b")
    assert read.classes == found.classes
    assert len(set(read.ids)) == len(found)
    assert [name.partition(",")[0] for name in read.ids] == found.ids
    np.testing.assert_array_equal(read.labels, found.labels)
    for name, values in found.by_model.items():
        np.testing.assert_allclose(read.by_model[name], values, atol=1e-6)
    turned = np.random.default_rng(2).permutation(len(read))
    other = Predictions(
        [read.ids[i] for i in turned], read.labels[turned], read.groups[turned], read.classes,
        {"model": read.by_model["gc"][turned]}, "b",
    )  # fmt: skip
    np.testing.assert_array_equal(read.beside({"other": other}).by_model["other"], read.by_model["gc"])
