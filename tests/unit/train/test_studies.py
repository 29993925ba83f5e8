"""A study that is killed and shared: no trial is lost or doubled, and one process finds what it would have found."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gulmfit.errors import CheckpointError
from gulmfit.files import locked
from gulmfit.train.search import studies
from gulmfit.train.search.earlier import take_in
from gulmfit.train.search.space import read_space
from gulmfit.train.search.studies import JOURNAL, JournalLock, Study

pytest.importorskip("optuna")

SPACE = read_space(
    {
        "x": {"float": [-1.0, 1.0]},
        "kind": {"choice": ["a", "b"]},
        "n": {"int": [1, 5], "when": {"kind": "b"}},
    },
    {},
)  # fmt: skip
SETTINGS = {
    "objectives": ["score"],
    "trials": 24,
    "hours": None,
    "sampler": "tpe",
    "pruner": "median",
    "finalists": 3,
    "ahead": 3,
    "workers": 1,
}


def study(folder: Path, **settings: Any) -> Study:
    return Study(folder, SPACE, {**SETTINGS, **settings}, minimise=True, defaults={"x": 0.9, "kind": "a"}, seed=0)


def value(values: dict[str, Any]) -> float:
    return (values.get("x", 0.9) - 0.3) ** 2 + 0.1 * values.get("n", 3)


def work(folder: Path, seconds: float = 0.0, **settings: Any) -> None:
    shared = study(folder, **settings)
    while (claim := shared.claim()) is not None:
        time.sleep(seconds)
        shared.tell(claim, value(claim.values), {"seconds": seconds, "process": os.getpid()})


def table(folder: Path) -> list[tuple[Any, ...]]:
    return [(one.number, one.state.name, one.params, one.value) for one in study(folder).trials()]


def lines(folder: Path) -> int:
    return (folder / JOURNAL).read_bytes().count(b"\n") if (folder / JOURNAL).is_file() else 0


def started(task: Callable[..., None], *arguments: Any) -> Any:
    process = multiprocessing.get_context("fork").Process(target=task, args=arguments)
    process.start()
    return process


def test_killed_and_continued_is_the_same_study(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    work(whole)
    for share in (0.1, 0.35, 0.6):  # each process would go on for seconds where it is killed
        process = started(work, killed, 0.2)
        while lines(killed) < share * lines(whole):
            time.sleep(0.003)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL
    work(killed)
    assert table(killed) == table(whole)
    assert [row[0] for row in table(whole)] == list(range(24))
    assert {row[1] for row in table(whole)} == {"COMPLETE"}


def curve(values: dict[str, Any], step: int) -> float:
    return value(values) + 1 / step


def work_and_prune(folder: Path, seconds: float = 0.0) -> None:
    """Run trials that are told step by step, of different lengths, and prune them."""
    shared = study(folder)
    while (claim := shared.claim()) is not None:
        time.sleep(seconds * (1 + claim.number % 3))
        pruned = False
        for step in range(1, 11):
            claim.trial.report(curve(claim.values, step), step)
            pruned = pruned or (step < 10 and not claim.is_default and shared.should_prune(claim, step))
            if pruned:
                break
        found = None if pruned else value(claim.values)
        shared.tell(claim, found, {"process": os.getpid()}, pruned=pruned)


def test_two_processes_find_what_one_finds(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    work_and_prune(one)
    processes = [started(work_and_prune, two, 0.05) for _ in range(2)]
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert table(two) == table(one)
    assert {row[1] for row in table(one)} == {"COMPLETE", "PRUNED"}
    assert len({one.user_attrs["process"] for one in study(two).trials()}) == 2


def test_two_processes_share_the_trials(tmp_path: Path) -> None:
    processes = [started(work, tmp_path, 0.2) for _ in range(2)]
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    found = study(tmp_path).trials()
    assert [one.number for one in found] == list(range(24))
    assert {one.state.name for one in found} == {"COMPLETE"}
    assert len({one.user_attrs["process"] for one in found}) == 2
    assert len({str(one.params) for one in found}) == 24


def test_a_trial_that_ends_while_another_process_looks_for_killed_ones_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = study(tmp_path), study(tmp_path)
    first = one.claim()
    assert first is not None
    listed, ended = two.trials, list[int]()

    def then_it_ends(*states: Any) -> list[Any]:
        found = listed(*states)
        if not ended:
            one.tell(first, value(first.values), {})
            ended.append(first.number)
        return found

    monkeypatch.setattr(two, "trials", then_it_ends)
    second = two.claim()
    assert second is not None
    assert (ended, second.number) == ([0], 1)


def test_a_trial_that_is_held_is_nobody_elses_and_one_that_was_killed_comes_first(tmp_path: Path) -> None:
    one, two = study(tmp_path), study(tmp_path)
    first = one.claim()
    second = two.claim()
    assert first is not None
    assert second is not None
    assert (first.number, second.number) == (0, 1)
    assert first.is_default
    assert first.values == {}
    second.lock.close()  # as a kill does
    again = one.claim()
    assert again is not None
    assert (again.number, again.values) == (1, second.values)


def test_the_first_trial_has_the_defaults_and_budgets_end_the_rest(tmp_path: Path) -> None:
    work(tmp_path, trials=5)
    assert len(table(tmp_path)) == 5
    assert table(tmp_path)[0][2] == {"x": 0.9, "kind": '"a"'}
    work(tmp_path, trials=8)
    assert len(table(tmp_path)) == 8


def test_hours_are_those_of_all_trials(tmp_path: Path) -> None:
    shared = study(tmp_path, hours=1.0)
    for _ in range(3):
        claim = shared.claim()
        assert claim is not None
        shared.tell(claim, 1.0, {"seconds": 1500.0})
    assert shared.claim() is None
    assert study(tmp_path, hours=2.0).claim() is not None


@pytest.mark.parametrize("sampler", ["grid", "random"])
def test_a_grid_ends_and_chance_does_not(sampler: str, tmp_path: Path) -> None:
    work(tmp_path, sampler=sampler, trials=20)
    found = table(tmp_path)
    combinations = [str(one.params) for one in study(tmp_path).trials()[1:]]
    assert len(set(combinations)) == len(combinations)
    assert len(found) == (1 + 3 * (1 + 3) if sampler == "grid" else 20)


def test_trials_of_an_earlier_space_are_taken_in_where_they_fit(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    first = study(old)
    first.check_same({"the space": "a", "the data": "b"})
    while (claim := first.claim()) is not None:
        first.trial_folder(claim.number).mkdir()
        (first.trial_folder(claim.number) / "number").write_text(str(claim.number))
        words = first.space.words(claim.values)
        first.tell(claim, None if claim.number == 3 else value(claim.values), {"words": words})
    narrow = read_space(
        {"x": {"float": [-0.5, 0.5]}, "kind": {"choice": ["b", "c"]}, "n": {"int": [2, 9], "when": {"kind": "b"}}}, {}
    )
    second = Study(new, narrow, SETTINGS, minimise=True, defaults={"x": 0.4}, seed=0)
    second.check_same({"the space": "other", "the data": "b"})
    taken = take_in(second, old)
    fitting = [
        one.number
        for one in first.complete()
        if one.params["kind"] == '"b"' and abs(one.params["x"]) <= 0.5 and one.params["n"] >= 2
    ]
    assert taken == [0, *sorted(fitting)]
    assert len(taken) > 2
    by_number = {one.number: one for one in first.trials()}
    for here, there in enumerate(taken):
        mine = second.trials()[here]
        assert mine.values == by_number[there].values
        assert mine.params == (by_number[there].params if there else {"x": 0.4})
        assert (second.trial_folder(here) / "number").read_text() == str(there)
    claim = second.claim()
    assert claim is not None
    assert claim.number == len(taken)
    other = study(tmp_path)
    other.check_same({"the space": "a", "the data": "c"})
    with pytest.raises(CheckpointError, match="the data"):
        take_in(other, old)
    with pytest.raises(CheckpointError, match="nowhere"):
        take_in(other, tmp_path / "nowhere")


def test_the_front_holds_what_no_trial_beats(tmp_path: Path) -> None:
    shared = study(tmp_path, objectives=["score", "parameters"])
    points = []
    while (claim := shared.claim()) is not None:
        cost = (claim.number * 7) % 24
        shared.tell(claim, value(claim.values), {"parameters": cost})
        points.append((value(claim.values), cost))
    beaten = {
        number
        for number, (score, cost) in enumerate(points)
        if any(a <= score and b <= cost and (a, b) != (score, cost) for a, b in points)
    }
    assert shared.front() == set(range(24)) - beaten
    scores = [one.values[0] for one in shared.candidates()]
    assert scores == sorted(points[number][0] for number in shared.front())


def test_failed_and_pruned_trials_are_kept_and_never_win(tmp_path: Path) -> None:
    shared = study(tmp_path)
    for state in ("complete", "failed", "pruned"):
        claim = shared.claim()
        assert claim is not None
        claim.trial.report(0.0, 1)
        shared.tell(claim, 1.0 if state == "complete" else None, {}, pruned=state == "pruned")
    assert [one.state.name for one in shared.trials()] == ["COMPLETE", "FAIL", "PRUNED"]
    assert [one.number for one in shared.complete()] == [0]


def test_a_study_of_something_else_is_refused(tmp_path: Path) -> None:
    study(tmp_path).check_same({"the space": "a", "the data": "b"})
    study(tmp_path).check_same({"the space": "a", "the data": "b"})
    with pytest.raises(CheckpointError, match="the data"):
        study(tmp_path).check_same({"the space": "a", "the data": "c"})


def test_a_locked_journal_and_one_that_is_none_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "LOCK_SECONDS", 0.1)
    with locked(tmp_path / "lock"), pytest.raises(CheckpointError, match=f"process {os.getpid()}"):
        JournalLock(tmp_path / "lock").acquire()
    (tmp_path / JOURNAL).write_text("not a journal\nat all\n")
    with pytest.raises(CheckpointError, match=JOURNAL):
        study(tmp_path)
