"""Sequences that a model was trained on are found again, on either strand, in whatever part."""

from pathlib import Path

import numpy as np

from gulmfit.seq.alphabet import PROTEIN, reverse_complement_text
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.splits.split_file import write_split
from gulmfit.seq.splits.trained_on import met_before, read_trained_on, write_trained_on

RNG = np.random.default_rng(3)
TEXTS = ["".join(RNG.choice(list("ACGT"), 30)) for _ in range(90)]
PARTS = np.repeat(["train", "valid", "test"], 30)


def labelled() -> LabelledSequences:
    ids = [f"r{number}" for number in range(90)]
    return LabelledSequences(ids, TEXTS, np.zeros(90, np.int64), ["a", "b"])


def test_either_table_tells_what_was_met(tmp_path: Path) -> None:
    data = labelled()
    parts = {part: data.subset(np.flatnonzero(part == PARTS)) for part in np.unique(PARTS).tolist()}
    write_trained_on(tmp_path / "trained_on.tsv", parts)
    write_split(tmp_path / "split.tsv", data, PARTS, np.arange(90))
    assert read_trained_on(tmp_path / "trained_on.tsv") == read_trained_on(tmp_path / "split.tsv")
    scored = [reverse_complement_text(text) if number % 2 else text for number, text in enumerate(TEXTS)]
    report, met = met_before(read_trained_on(tmp_path / "trained_on.tsv"), scored, data.ids)
    assert met.tolist() == (PARTS != "test").tolist()
    train, valid = (report["pairs"][f"{part}->test"] for part in ("train", "valid"))
    assert (train["exact"]["count"], train["reverse_complement"]["count"], train["any"]["count"]) == (15, 15, 30)
    assert valid["any"]["examples"] == data.ids[30:35]


def test_a_protein_has_no_other_strand() -> None:
    report, met = met_before({"train": set(), "valid": set()}, ["MKV"], ["p"], PROTEIN)
    assert not met.any()
    assert report["pairs"]["train->test"]["reverse_complement"] is None
