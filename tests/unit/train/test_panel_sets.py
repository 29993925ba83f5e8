"""Sets of a panel: files are paired by name, nothing is dropped in silence, shards cover all sets once."""

import gzip
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gulmfit.config import compose, validate
from gulmfit.errors import ConfigError, DataError
from gulmfit.overrides import expanded
from gulmfit.train.panel.data_sets import DataSet, find_sets, shard_of
from gulmfit.train.panel.playing import plan
from gulmfit.train.panel.running import is_of_the_panel
from gulmfit.train.panel.warm_start import language_run, positives, without_near_duplicates

SITE = "CACGTGACGT"


def sequence(seed: int) -> str:
    letters = random.Random(seed).choices("ACGT", k=50)
    return "".join(letters[:20]) + SITE + "".join(letters[30:])


def write_peaks(path: Path, seeds: range, *, shuffled: bool = False) -> None:
    lines = ["FoldID\tEventID\tseq\tBound"]
    for seed in seeds:
        lines.append(f"A\tseq_{seed:05d}_peak\t{sequence(seed)}\t1")
        if shuffled:
            letters = list(sequence(seed))
            random.Random(seed).shuffle(letters)
            lines.append(f"A\tseq_{seed:05d}_shuf\t{''.join(letters)}\t0")
    with gzip.open(path, "wt") as handle:
        handle.write("\n".join(lines) + "\n")


@pytest.fixture
def peaks(tmp_path: Path) -> Path:
    folder = tmp_path / "peaks (all)"
    folder.mkdir()
    for number, name in enumerate(("MYC_K562_x_Lab", "SP1_K562_(sc-1)_Lab", "ELK1_HepG2_x_Lab")):
        write_peaks(folder / f"{name}_AC.seq.gz", range(1000 * number, 1000 * number + 12 + number))
        write_peaks(folder / f"{name}_B.seq.gz", range(1000 * number + 500, 1000 * number + 505), shuffled=True)
    write_peaks(folder / "ALONE_K562_x_Lab_AC.seq.gz", range(5))
    write_peaks(folder / "LAST_K562_x_Lab_B.seq.gz", range(6))
    write_peaks(folder / "other.seq.gz", range(7))
    return folder


def test_files_are_paired_by_name_and_the_rest_is_listed(peaks: Path) -> None:
    found = {item.name: item for item in find_sets(str(peaks), 13)}
    assert list(found) == sorted(found)
    assert found["SP1_K562_(sc-1)_Lab"].about == {"factor": "SP1", "cell": "K562"}
    config = compose(["stage=classify", *found["SP1_K562_(sc-1)_Lab"].words])
    validate(config)
    assert config.data.path == str(peaks / "SP1_K562_(sc-1)_Lab_AC.seq.gz")
    assert config.data.test == str(peaks / "SP1_K562_(sc-1)_Lab_B.seq.gz")
    assert {name: item.sequences for name, item in found.items() if item.sequences} == {
        "MYC_K562_x_Lab": 12, "SP1_K562_(sc-1)_Lab": 13, "ELK1_HepG2_x_Lab": 14,
    }  # fmt: skip
    left_out = {name: item.left_out for name, item in found.items() if item.left_out}
    assert set(left_out) == {"MYC_K562_x_Lab", "ALONE_K562_x_Lab", "LAST_K562_x_Lab", "other"}
    assert "12" in left_out["MYC_K562_x_Lab"]
    assert "ALONE_K562_x_Lab_B.seq.gz" in left_out["ALONE_K562_x_Lab"]
    assert "LAST_K562_x_Lab_AC.seq.gz" in left_out["LAST_K562_x_Lab"]
    by_glob = find_sets(str(peaks / "*K562*.seq.gz"), 13)
    assert {item.name for item in by_glob} == {name for name in found if "K562" in name}


def test_a_table_names_sets_of_any_data(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("sequence,label\nACGT,x\nAAAA,y\n")
    write_peaks(tmp_path / "p_AC.seq.gz", range(3))
    (tmp_path / "sets.tsv").write_text(
        "name\ttrain\ttest\tfamily\tdata\tdata.num_train\n"
        "csv\ta.csv\ta.csv\tzinc\t\t\n"
        "peaks\tp_AC.seq.gz\t\tETS\t\t\n"
        "made\t\t\tzinc\tsynthetic\t40\n"
        "none\t\t\tzinc\t\t\n"
    )
    found = {item.name: item for item in find_sets(str(tmp_path / "sets.tsv"), 3)}
    assert found["csv"].left_out.startswith("2 training sequences")
    table = compose(["stage=classify", *found["csv"].words])
    assert (table.data.train, table.data.test) == (str(tmp_path / "a.csv"),) * 2
    assert found["peaks"].sequences == 3
    assert compose(["stage=classify", *found["peaks"].words]).data.test is None
    assert compose(["stage=classify", *found["made"].words]).data.num_train == 40
    assert found["made"].about == {"family": "zinc"}
    assert "line 5" in found["none"].left_out


@pytest.mark.parametrize(
    ("text", "told"),
    [("train\nx\n", "'name'"), ("name,train\na,x\na,y\n", "'a'"), ("name,train\n../a,x\n", "line 2")],
)
def test_tables_that_name_no_sets_are_refused(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "sets.csv").write_text(text)
    with pytest.raises((ConfigError, DataError), match=told):
        find_sets(str(tmp_path / "sets.csv"), 0)


@given(st.integers(0, 30), st.integers(1, 9))
def test_shards_cover_every_set_once(count: int, shards: int) -> None:
    sets = [DataSet(str(number)) for number in range(count)]
    parts = [shard_of(sets, f"{at}/{shards}") for at in range(1, shards + 1)]
    assert sorted(int(item.name) for part in parts for item in part) == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("wrong", ["0/2", "3/2", "2", "a/b", "-1/2", "1/0"])
def test_what_is_no_share_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"panel\.shard"):
        shard_of([], wrong)


def test_words_of_the_panel_are_not_those_of_its_runs() -> None:
    words = ["stage=panel", "panel.path=x", "stage.name=y", "run.name=z", "arch=awd_lstm_tiny", "drop_mult=0.3"]
    assert [word for word in words if not is_of_the_panel(word)] == words[4:]
    assert expanded(["panel=some/folder"]) == ["panel.path=some/folder"]
    assert expanded(["panel=default"]) == ["panel=default"]


def test_a_language_model_reads_training_positives_alone(peaks: Path, tmp_path: Path) -> None:
    write_peaks(peaks / "BAD_K562_x_Lab_AC.seq.gz", range(3))
    (peaks / "BAD_K562_x_Lab_B.seq.gz").write_bytes(b"nothing of the kind")
    items = [item for item in find_sets(str(peaks), 1) if not item.left_out]
    runs = [plan(item.name, "", ["stage=classify", *item.words]) for item in items]
    train, test = positives([run.config for run in runs])
    of_files = {sequence(seed) for number in range(3) for seed in range(1000 * number, 1000 * number + 12 + number)}
    assert set(train) < of_files  # validation is not read
    assert len(train) > 20
    assert len(test) == 30
    copy = test[0][1:] + "A"
    assert without_near_duplicates([*train, copy], test) == without_near_duplicates(train, test)
    run = language_run("all", tmp_path / "warm", [run.config for run in runs], ["cv.folds=3", "seed=4"], "keep")
    assert (run.config.stage.name, run.config.seed) == ("pretrain", 4)
    read = (tmp_path / "warm" / "all.fa").read_text().splitlines()[1::2]
    assert read == train
