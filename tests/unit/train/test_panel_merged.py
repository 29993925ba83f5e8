"""One network for all sets of a panel: labels by brute force, near-duplicates left out, the table kept."""

import csv
import gzip
import random
from pathlib import Path

import pytest
from omegaconf import DictConfig

from gulmfit.config import compose, instantiate
from gulmfit.errors import DataError
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.train.panel.merged import merged_run
from gulmfit.train.panel.playing import plan

SHARED, TESTED, ELSEWHERE = ("".join(random.Random(seed).choices("ACGT", k=50)) for seed in (7, 8, 9))
NEAR = f"{TESTED[1:]}A"


def write_set(path: Path, seed: int, extra: list[str], tested: list[str]) -> DictConfig:
    draw = random.Random(seed)
    for end, count, more in (("AC", 40, extra), ("B", 10, tested)):
        peaks = ["".join(draw.choices("ACGT", k=50)) for _ in range(count)] + more
        lines = ["FoldID\tEventID\tseq\tBound"]
        lines += [f"A\tseq_{at:05d}_peak\t{sequence}\t1" for at, sequence in enumerate(peaks)]
        lines += [f"A\tseq_{at:05d}_shuf\t{''.join(draw.sample(one, 50))}\t0" for at, one in enumerate(peaks)]
        with gzip.open(f"{path}_{end}.seq.gz", "wt") as handle:
            handle.write("\n".join(lines) + "\n")
    words = ["stage=classify", "data=chipseq", f"data.path='{path}_AC.seq.gz'", f"data.test='{path}_B.seq.gz'"]
    return plan(path.name, "", [*words, "split=column", f"run.name={path.name}"]).config


@pytest.fixture
def sets(tmp_path: Path) -> dict[str, DictConfig]:
    other_strand = reverse_complement_text(SHARED)
    return {
        "one": write_set(tmp_path / "one", 1, [SHARED], [TESTED]),
        "two": write_set(tmp_path / "two", 2, [other_strand, NEAR], [ELSEWHERE]),
    }


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def test_each_sequence_has_the_labels_of_the_sets_that_hold_it(sets: dict[str, DictConfig], tmp_path: Path) -> None:
    words = ["seed=4", "data.strongest=99", "loss.label_smoothing=0.1", "cv.folds=null"]
    run = merged_run("shuffle", tmp_path / "merged", sets, words, "keep", write=True)
    assert run is not None
    assert (run.config.seed, list(run.config.data.label)) == (4, ["one", "two"])
    table = tmp_path / "merged" / "shuffle.tsv"
    rows = rows_of(table)
    held: dict[tuple[str, str, str], str] = {}
    for name, config in sets.items():
        data = instantiate(config.data).labelled()
        for sequence, label, part in zip(data.sequences, data.labels, instantiate(config.split)(data), strict=True):
            held[min(sequence, reverse_complement_text(sequence)), part, name] = str(label)
    told = {
        (min(row["panel:sequence"], reverse_complement_text(row["panel:sequence"])), row["panel:part"], name): row[name]
        for row in rows
        for name in sets
        if row[name] != "?"
    }
    assert told == held
    assert sum(row["panel:part"] == "test" for row in rows) == 44
    assert all([row["one"], row["two"]].count("?") == 1 for row in rows if row["panel:part"] == "test")
    shared = [row for row in rows if row["panel:sequence"] in (SHARED, reverse_complement_text(SHARED))]
    if len({row["panel:part"] for row in shared}) == 1:
        assert [(row["one"], row["two"]) for row in shared] == [("1", "1")]
    data = instantiate(run.config.data).labelled()
    assert len(data) == len(rows)

    table.write_text("\t".join(rows[0]) + "\n", encoding="utf-8")  # what is there is not read again
    kept = merged_run("shuffle", tmp_path / "merged", sets, words, "drop", write=True)
    assert kept is not None
    assert kept.config == run.config
    assert rows_of(table) == []


def test_nothing_near_what_is_held_out_is_learned(sets: dict[str, DictConfig], tmp_path: Path) -> None:
    found = {}
    for policy in ("keep", "drop"):
        merged_run("", tmp_path / policy, sets, [], policy, write=True)
        found[policy] = {row["panel:sequence"]: row["panel:part"] for row in rows_of(tmp_path / policy / "sets.tsv")}
    assert found["keep"][NEAR] in ("train", "valid")
    assert NEAR not in found["drop"]
    assert found["drop"].items() <= found["keep"].items()
    lost = {sequence for sequence in found["keep"] if sequence not in found["drop"]}
    assert lost <= {NEAR, SHARED, reverse_complement_text(SHARED)}


def test_what_cannot_be_merged_is_told(sets: dict[str, DictConfig], tmp_path: Path) -> None:
    assert merged_run("shuffle", tmp_path, sets, [], "drop", write=False) is None  # another shard writes it
    (tmp_path / "many.csv").write_text(
        "sequence,label\n" + "".join(f"{'ACGT'[at % 4] * 30},{at % 3}\n" for at in range(90))
    )
    many = compose(["stage=classify", "data=table", f"data.path={tmp_path / 'many.csv'}", "run.name=many"])
    with pytest.raises(DataError, match=r"shuffle: 1 set\(s\) .*panel\.multi_label .*\b2\b"):
        merged_run("shuffle", tmp_path, {"one": sets["one"], "many": many}, [], "drop", write=True)
    assert not (tmp_path / "shuffle.tsv").exists()
