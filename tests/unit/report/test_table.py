"""Tables: alignment as a property, values by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gulmfit.report.table import format_table, format_value, leaves

ROWS = [
    {"model": "transferred", "accuracy": (0.912, 0.89, 0.931), "parameters": 22_900_000},
    {"model": "a|b", "accuracy": 0.5},
]


def test_the_whole_table() -> None:
    assert format_table(ROWS, ["model", "accuracy", "parameters"]).split("\n") == [
        "| model       |             accuracy | parameters |",
        "| ----------- | -------------------: | ---------: |",
        "| transferred | 0.912 [0.890, 0.931] | 22,900,000 |",
        "| a\\|b        |                0.500 |          – |",
    ]


@given(st.lists(st.dictionaries(st.sampled_from("ab"), st.text("xy|\n ", max_size=9) | st.floats() | st.none())))
def test_lines_are_equally_long_and_cells_stay_in_their_columns(rows: list[dict[str, object]]) -> None:
    lines = format_table(rows, ["a", "b"]).split("\n")
    assert len(lines) == len(rows) + 2
    assert len({len(line) for line in lines}) == 1
    assert all(line.replace("\\|", "").count("|") == 3 for line in lines)


def test_wide_letters_and_marks_are_counted_as_a_terminal_shows_them() -> None:
    lines = format_table([{"a": "大腸菌"}, {"a": "e\u0301 coli"}], ["a"]).split("\n")
    assert lines[2:] == ["| 大腸菌 |", "| e\u0301 coli |"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.98349, "0.983"), (1.888, "1.888"), (12.3456, "12.35"), (0, "0"), (0.0, "0.000"), (-0.5, "-0.500"),
        (2.6e-5, "2.6e-05"), (123456.7, "123,457"), (4641652, "4,641,652"), (2024, "2024"),
        (float("nan"), "–"), (None, "–"), (float("inf"), "inf"), (np.float32(0.25), "0.250"),
        (np.int64(7), "7"),
        ((0.89, 0.931), "[0.890, 0.931]"), ([0.912, 0.89, 0.931], "0.912 [0.890, 0.931]"),
        ((0.912, None, None), "0.912"), ((float("nan"),) * 3, "–"), (("a", "b"), "a, b"),
        ((1, 2, 3, 4), "1, 2, 3, 4"), (True, "True"), ("text", "text"), ((), ""),
    ],
)  # fmt: skip
def test_values(value: object, text: str) -> None:
    assert format_value(value) == text


def test_leaves_are_named_by_their_path() -> None:
    record = {
        "files": [f"{n}.fa" for n in range(22)],
        "counts": {"train": {"promoter": 12_000}},
        "parts": [{"k": 1}, {"k": 2}],
    }
    found = dict(leaves(record))
    assert str(found.pop("files")).endswith("18.fa, 19.fa, and 2 more")
    assert found == {"counts / train / promoter": 12_000, "parts / 0 / k": 1, "parts / 1 / k": 2}
