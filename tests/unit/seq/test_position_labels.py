"""Labels of positions: read from tables, refused where they do not fit, turned with their strand, written and read."""

import logging
from pathlib import Path

import numpy as np
import pytest

from gulmfit.errors import DataError
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.labels.conflicts import settle_conflicts
from gulmfit.seq.labels.labelled import LabelledSequences, read_table
from gulmfit.seq.labels.position_labels import END, IGNORED, Positions, symbols
from gulmfit.seq.labels.targets import target_kind
from gulmfit.seq.splits.split import HomologySplit

KIND = Positions()


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "states.tsv"
    path.write_text(text)
    return path


def read(path: Path, **options: str) -> LabelledSequences:
    return read_table(path, sequence="dna", label="hidden_state", targets="positions", **options)  # type: ignore[arg-type]


def test_a_letter_a_base_is_read(tmp_path: Path) -> None:
    data = read(table(tmp_path, "dna\thidden_state\nACGT\tHHL.\nAcn\tLLH\n"))
    assert data.classes == ["H", "L"]
    assert data.targets == "positions"
    assert data.kind is not None
    np.testing.assert_array_equal(data.labels, [[0, 0, 1, IGNORED], [1, 1, 0, END]])
    assert [data.kind.text(row, data.classes) for row in data.labels] == ["HHL.", "LLH"]
    assert data.kind.counts(data.labels, data.classes) == {"H": 3, "L": 3}
    np.testing.assert_array_equal(data.subset([1]).labels, [[1, 1, 0]])  # as wide as is needed
    assert data.positive == ""


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("ACGT\tHHLL\nACGT\tHHL\n", r"states\.tsv, line 3: 3 labels .*\b4 letters"),
        ("ACGT\tHHLL\nACG\tHHLLL\n", r"states\.tsv, line 3: 5 labels .*\b3 letters"),
        ("ACGT\tHHHH\nACG\tHHH\n", r"\b1 distinct letter\(s\), \['H'\]: head=labeller"),
    ],
)
def test_labels_that_do_not_fit_are_named_with_their_line(rows: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(table(tmp_path, f"dna\thidden_state\n{rows}"))


def test_a_letter_that_is_not_declared_is_named_with_its_line(tmp_path: Path) -> None:
    path = table(tmp_path, "dna\thidden_state\nACGT\tHHLL\nACG\tHXL\n")
    with pytest.raises(DataError, match=r"states\.tsv, line 3: hidden_state: .*'X' .*\['H', 'L', '\.'\]"):
        read_table(path, sequence="dna", label="hidden_state", targets="positions", classes=["H", "L"])


def test_labels_made_elsewhere_are_checked() -> None:
    with pytest.raises(DataError, match=r"label 2 of record 'b' at position 1"):
        LabelledSequences(["a", "b"], ["AC", "AC"], [[0, 1], [1, 2]], ["H", "L"], targets="positions")
    with pytest.raises(DataError, match=r"^b: 1 labels .*\b2 letters"):
        LabelledSequences(["a", "b"], ["AC", "AC"], [[0, 1], [1]], ["H", "L"], targets="positions")


def random_labels(seed: int = 0, count: int = 20) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return KIND.array([rng.choice([0, 1, 2, IGNORED], rng.integers(1, 12)) for _ in range(count)])


def test_the_other_strand_has_the_labels_from_end_to_start() -> None:
    for label in random_labels():
        text = KIND.text(label, ["x", "y", "z"])
        assert KIND.text(KIND.turned(label), ["x", "y", "z"]) == text[::-1]
        np.testing.assert_array_equal(KIND.turned(KIND.turned(label)), label)


def test_a_batch_is_as_long_as_its_longest_sequence() -> None:
    labels = KIND.array([[0, 1], [1, IGNORED, 0], [1] * 9])
    np.testing.assert_array_equal(KIND.batch([row.tolist() for row in labels[:2]]), [[0, 1, IGNORED], [1, IGNORED, 0]])


def test_what_is_written_is_read_again() -> None:
    labels = random_labels()
    for names in (["x", "y", "z"], ["intergenic", "CDS", "UTR"], ["cds", "coding", "other"]):
        texts = [KIND.text(label, names) for label in labels]
        np.testing.assert_array_equal(KIND.parse(texts, names, "test.tsv"), labels)
        swapped = KIND.reordered(labels, names, names[::-1])
        assert KIND.counts(swapped, names[::-1]) == {name: KIND.counts(labels, names)[name] for name in names[::-1]}
        assert ((swapped < 0) == (labels < 0)).all()
    with pytest.raises(DataError, match=r"test\.tsv, line 2"):
        KIND.parse(["xq"], ["x", "y"], "test.tsv")


def test_classes_have_a_letter_each() -> None:
    assert symbols(["H", "L"]) == ["H", "L"]
    assert symbols(["intergenic", "CDS"]) == ["i", "C"]
    assert symbols(["intergenic", "intron"]) == ["A", "B"]
    with pytest.raises(DataError, match="52"):
        symbols([f"x{number}" for number in range(53)])


def test_copies_on_the_other_strand_have_turned_labels(caplog: pytest.LogCaptureFixture) -> None:
    sequence = "ACGGTCA"
    for second, conflicts in (("LHLHHHH", 0), ("HHHHLHL", 1)):
        data = LabelledSequences.from_strings(
            ["a", "b"], [sequence, reverse_complement_text(sequence)], ["HHHHLHL", second], targets="positions"
        )
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            settle_conflicts(data, "warn", both_strands=True)
        assert len(caplog.records) == conflicts
        assert len(data) == 2


def test_nothing_is_learned_of_a_class_without_a_position() -> None:
    labels = KIND.array([[0, 0, IGNORED], [0, 0]])
    with pytest.raises(DataError, match="'L'"):
        KIND.check_training(labels, ["H", "L"], "t.tsv")


def test_they_are_split_like_others() -> None:
    rng = np.random.default_rng(0)
    texts = ["".join(row) for row in rng.choice(list("ACGT"), (60, 30))]
    states = ["".join(row) for row in rng.choice(list("HL"), (60, 30))]
    data = LabelledSequences.from_strings(list(map(str, range(60))), texts, states, targets="positions")
    parts = HomologySplit(0.2, 0.2, 0)(data)
    assert {name: int((parts == name).sum()) for name in ("train", "valid", "test")} == {
        "train": 36, "valid": 12, "test": 12,
    }  # fmt: skip
    assert target_kind("positions").strata(data.labels).tolist() == [0] * 60
