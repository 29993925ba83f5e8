"""A run is continued on what it learned from, known by content, or refused before anything of it is written again."""

import importlib
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from gulmfit.commands import compare
from gulmfit.errors import CheckpointError, DataError
from gulmfit.train.run import Run
from gulmfit.train.runner import train
from gulmfit.train.survive.callbacks import RunCheckpoint
from gulmfit.train.survive.identity import (
    BATCHES,
    CORPUS,
    FIRST_WEIGHTS,
    LEARNED_FROM,
    ORDER,
    PARTS,
    RECORDS,
    SEED,
    differences,
    of_weights,
)  # fmt: skip

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
TINY = [
    "arch=awd_lstm_tiny", "arch.hidden_size=8", "arch.embed_size=8", "tokenizer.k=3", "trainer.precision=32-true",
    "trainer.enable_progress_bar=false", "run.name=r", "checkpoint.every_n_steps=1",
]  # fmt: skip
CLASSIFY = [
    "stage=classify", "data=table", "data.path=t.csv", "split=random", "classify.phases=[{epochs: 2, lr: 1e-2}]",
    "classify.batch_size=16", *TINY,
]  # fmt: skip
PRETRAIN = ["stage=pretrain", "data=fasta", "data.path=g.fa", "pretrain.epochs=2", "pretrain.batch_size=4", *TINY]


class KilledError(Exception):
    """The end of a run that nothing catches."""


@pytest.fixture(autouse=True)
def killed_once_saved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    save = RunCheckpoint._save_last

    def then_die(self: RunCheckpoint, trainer: Any) -> None:
        save(self, trainer)
        raise KilledError

    monkeypatch.setattr(RunCheckpoint, "_save_last", then_die)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module


def rows() -> list[list[str]]:
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ACGT"), 30)) for _ in range(60)]
    return [[text, "xy"[index % 2]] for index, text in enumerate(texts)]


def write(table: list[list[str]]) -> None:
    Path("t.csv").write_text("sequence,label\n" + "".join(f"{text},{label}\n" for text, label in table))


def files(folder: Path) -> dict[str, bytes]:
    names = ("config.yaml", "split.tsv", "checkpoints/last.ckpt", "metrics.csv")
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


def sort(table: list[list[str]]) -> None:
    table.sort()


def relabel(table: list[list[str]]) -> None:
    table[7][1] = "x" if table[7][1] == "y" else "y"


def mutate(table: list[list[str]]) -> None:
    table[7][0] = table[7][0][:-1] + ("A" if table[7][0][-1] != "A" else "C")


CHANGES: dict[str, tuple[Callable[[list[list[str]]], None] | None, list[str], str]] = {
    "order": (sort, [], ORDER),
    "label": (relabel, [], RECORDS),
    "base": (mutate, [], RECORDS),
    "seed": (None, ["seed=1"], f"{SEED} (0 before, now 1)"),
    "split": (None, ["split.seed=5"], PARTS),
    "model": (None, ["arch.hidden_size=16"], "arch"),
    "batches": (None, ["classify.batch_size=8"], f"{BATCHES} (16 before, now 8)"),
}


def test_a_classifier_is_continued_on_its_own_data_only() -> None:
    table = rows()
    write(table)
    folder = Path("outputs/classify/r")
    with pytest.raises(KilledError):
        train(CLASSIFY)
    before = files(folder)
    assert len(before) >= 3
    learned = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)[LEARNED_FROM]
    assert {RECORDS, PARTS, ORDER, SEED} <= set(learned)
    for name, (change, words, said) in CHANGES.items():
        other = [list(row) for row in table]
        if change:
            change(other)
        write(other)
        with pytest.raises(CheckpointError) as caught:
            train([*CLASSIFY, "resume=auto", *words])
        assert said in str(caught.value), name
        assert files(folder) == before, name
    write(table)
    with pytest.raises(KilledError):  # the same data is gone on with
        train([*CLASSIFY, "resume=auto"])
    assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 2


def test_a_genome_of_the_same_size_and_time_is_another_one(
    scripts: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STEP_TRACE", str(tmp_path / "steps.txt"))
    rng, path = random.Random(0), Path("g.fa")
    old = ">chr\n" + "".join(rng.choices("ACGT", k=120_000)) + "\n"
    path.write_text(old)
    os.utime(path, (10**9, 10**9))
    with pytest.raises(KilledError):
        train([*PRETRAIN, "+callbacks.trace._target_=step_trace.StepTrace"])
    steps = (tmp_path / "steps.txt").read_text()
    assert steps == f"{Path('outputs/pretrain/r').absolute()}\t{os.getpid()}\t1\n"
    assert scripts("kill_and_resume").redone(steps * 2).total == 1
    before = files(Path("outputs/pretrain/r"))
    path.write_text(old.translate(str.maketrans("GC", "AT")))
    os.utime(path, (10**9, 10**9))
    with pytest.raises(CheckpointError) as caught:
        train([*PRETRAIN, "resume=auto"])
    assert CORPUS in str(caught.value)
    assert files(Path("outputs/pretrain/r")) == before


def test_finished_results_of_other_data_are_not_taken_for_these(tmp_path: Path) -> None:
    run = Run(OmegaConf.create({"resume": "auto"}), tmp_path)
    mine = {RECORDS: "a", SEED: "0"}
    (tmp_path / "metrics.json").write_text(json.dumps({"data": {LEARNED_FROM: mine}}))
    run.check_results(mine)
    with pytest.raises(CheckpointError, match=RECORDS):
        run.check_results({**mine, RECORDS: "b"})
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(CheckpointError, match="damaged"):
        run.check_results(mine)


def test_weights_are_known_by_value() -> None:
    state = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor(1)}
    same = {name: state[name].clone() for name in sorted(state)}
    assert of_weights(state) == of_weights(same)
    for other in ({"b": state["b"].reshape(3, 2)}, {"b": state["b"] + 1e-7}, {"c": state["b"]}, {"a": torch.tensor(2)}):
        assert of_weights({**state, **other}) != of_weights(state)
    assert differences({SEED: "0"}, {SEED: "0", FIRST_WEIGHTS: "x"}) == []  # a run that did not say is not compared


def test_runs_with_the_same_ids_of_other_sequences_are_not_compared(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("one", "two", "three")}
    for name, digest in (("one", "aa"), ("two", "aa"), ("three", "ab")):
        folders[name].mkdir()
        text = f"id\tpart\tgroup\tfold\tdigest\nrow 1\ttest\t0\t\t{digest}\n"
        (folders[name] / "split.tsv").write_text(text)
    compare._check_sequences({name: folders[name] for name in ("one", "two")}, ["row 1"])
    with pytest.raises(DataError, match=r"row 1.*three"):
        compare._check_sequences(folders, ["row 1"])


def test_rules_of_swapped_files_hold_and_can_fail(
    scripts: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = scripts("fuzz_rules_files")

    def cases(name: str, count: int) -> list[str]:
        found: list[str] = []
        for number in range(count):
            folder = tmp_path / f"{name} {number}"
            folder.mkdir()
            if said := rules.RULES[name](random.Random(number), folder):
                found.append(said)
        return found

    assert {name: cases(name, 40) for name in rules.RULES} == {name: [] for name in rules.RULES}
    look = rules.memory._look
    monkeypatch.setattr(rules.memory, "_look", lambda state: [*look(state)[:2], 0, 0])  # as it was before
    (tmp_path / "last").mkdir()
    assert rules.RULES["checksums of swapped files"](random.Random(0), tmp_path / "last")


def test_work_done_again_is_counted(scripts: Callable[[str], Any]) -> None:
    count = scripts("kill_and_resume").redone
    trace = [("a", "1", 1), ("a", "1", 2), ("a", "1", 3), ("a", "2", 3), ("a", "2", 4), ("b", "2", 1), ("b", "3", 1)]
    text = "".join(f"{part}\t{process}\t{step}\n" for part, process, step in trace)
    again = count(text)
    assert (again.each, again.total, again.finished) == ([0, 1, 1], 2, 0)
    again = count(text + "a\tfinished\t0\na\t4\t1\na\t4\t2\nb\t4\t2\n")
    assert (again.each, again.total, again.finished) == ([0, 1, 1, 2], 4, 2)
