"""`stage=search` on tiny data: a closed test part, a winner that can be trained again, kills, two processes."""

import json
import os
import signal
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from gulmfit.errors import CheckpointError, ConfigError, StoppedError
from gulmfit.predict.predictor import Predictor
from gulmfit.report.kinds.predictions import Predictions
from gulmfit.train.runner import train
from gulmfit.train.search import nested, searching
from gulmfit.train.search.studies import JOURNAL, NAME

from .conftest import TINY, start
from .forked import forked_train
from .test_interruption import wait_until

optuna = pytest.importorskip("optuna")

SPACE = [
    "++search.space={classify.drop_mult: {float: [0.1, 0.5]}, lr: {log: [1e-3, 1e-1]}}",
    "++search.set={classify.phases: '[{epochs: 2, lr: $lr}]'}",
]
SEARCH = [
    "stage=search",
    "search=base",
    "recipe=none",
    *TINY,
    "data.num_test=40",
    "search.finalists=1",
    "trainer.precision=32-true",
]


def words_of(name: str, trials: int, *more: str) -> list[str]:
    return [*SEARCH, f"search.trials={trials}", f"run.name={name}", *more]


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in a folder whose own configuration has a small space."""
    monkeypatch.chdir(tmp_path)
    return SPACE


def storage(journal: Path) -> Any:
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(journal)))


def trials_alone() -> Any:
    """Let searches end with their trials."""
    return mock.patch.multiple(searching, _train_again=mock.Mock(), _conclude=mock.Mock(return_value={}))


def table(folder: Path) -> list[tuple[Any, ...]]:
    found = json.loads((folder / "metrics.json").read_text())
    return [(one["trial"], one["state"], one["params"], one["value"]) for one in found["trials"]]


def test_a_search_looks_at_the_test_part_once_and_its_winner_can_be_trained_again(
    space: list[str], tmp_path: Path
) -> None:
    seen: set[str] = set()
    before: list[set[str]] = []
    predict, open_test = Predictor.predict, searching._open_test

    def watched(self: Predictor, sequences: Any, *arguments: Any, **named: Any) -> Any:
        seen.update(sequences)
        return predict(self, sequences, *arguments, **named)

    def opened(*arguments: Any) -> Any:
        before.append(set(seen))
        return open_test(*arguments)

    with (
        mock.patch.object(Predictor, "predict", watched),
        mock.patch.object(searching, "_open_test", opened),
    ):
        found = train(words_of("mine", 4, "search.pruner=none", *space))
        folder = tmp_path / "outputs" / "search" / "mine"
        again = train([f"experiment={folder / 'best.yaml'}", "run.name=again", "trainer.enable_progress_bar=false"])
    labelled = again["sequences"]
    assert len(before) == 1
    assert set(labelled.values())
    assert not before[0] & set(labelled.values())
    assert set(labelled.values()) <= seen
    winner = found["winner"]
    own, test = json.loads((folder / "metrics.json").read_text()), again["metrics"]
    assert own["test"][str(winner)]["scores"] == {
        name.removeprefix("test/"): pytest.approx(value) for name, value in test.items() if name.startswith("test/")
    }
    assert own["trials"][winner]["value"] == pytest.approx(test["val/calibrated_loss"])
    models = [tmp_path / "outputs/classify/again", folder / "trials" / f"{winner:03d}"]
    one, two = ((path / "model" / "model.safetensors").read_bytes() for path in models)
    assert one == two
    for number in {0, 1, 2, 3} - {0, winner}:
        assert not (folder / "trials" / f"{number:03d}" / "predictions").exists()
    page = (folder / "report.html").read_text()
    for told in ("The search took", "with new seeds", "rho", "best.yaml", "A line is a trial", "fANOVA", "Slices"):
        assert told in page


def test_two_processes_that_are_killed_lose_no_trial_and_find_what_one_finds(space: list[str], tmp_path: Path) -> None:
    words = words_of("shared", 4, "search.workers=2", "search.seeds=1", *space)
    process = start(*words, cwd=tmp_path)
    folder = tmp_path / "outputs" / "search" / "shared"
    wait_until((folder / "trials" / "001").is_dir, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    with pytest.raises(ConfigError, match="resume=auto"):
        train(words)
    begun = mock.Mock(Popen=mock.Mock(wraps=forked_train))
    with mock.patch.object(searching, "subprocess", begun):
        train([*words, "resume=auto"])
    assert begun.Popen.call_count == 2
    with trials_alone():
        train(words_of("alone", 4, "search.seeds=1", *space))
    found = table(folder)
    assert [row[0] for row in found] == list(range(4))
    assert {row[1] for row in found} <= {"complete", "pruned"}
    assert len({str(row[2]) for row in found}) == 4
    alone = optuna.load_study(study_name=NAME, storage=storage(tmp_path / "outputs/search/alone" / JOURNAL)).trials
    assert [row[:3] for row in found] == [(one.number, one.state.name.lower(), one.params) for one in alone]
    assert [row[3] for row in found] == pytest.approx([one.value for one in alone])


def test_each_fold_searches_by_itself_and_is_continued(space: list[str], tmp_path: Path) -> None:
    words = words_of("nested", 2, "cv.folds=2", "search.seeds=1", "search.pruner=none", *space)
    conduct, begun = nested.conduct, []

    def stopped(trials: Any, study: Any) -> Any:
        begun.append(trials.run.folder.name)
        if len(begun) == 2:
            raise StoppedError("here")
        return conduct(trials, study)

    plain = ["stage=classify", *(word for word in words_of("plain", 2) if not word.startswith(("stage", "search")))]
    with mock.patch.object(nested, "conduct", stopped), pytest.raises(StoppedError):
        train(words)
    folder = tmp_path / "outputs" / "search" / "nested"
    first = (folder / "fold_0" / "metrics.json").stat().st_mtime_ns
    found = train([*words, "resume=auto"])
    train([*plain, "split=file", f"split.path={folder / 'splits' / 'fold_1.tsv'}"])
    assert begun == ["fold_0", "fold_1"]
    assert (folder / "fold_0" / "metrics.json").stat().st_mtime_ns == first
    alone = Predictions.read(tmp_path / "outputs/classify/plain/predictions")
    default = Predictions.read(folder / "fold_1/trials/000/predictions")
    assert default.ids == alone.ids
    assert np.array_equal(default.by_model["model"], alone.by_model["model"])
    pooled = found["predictions"]
    assert len(pooled) == len(set(pooled.ids)) == found["data"]["counts"]["all"]
    for number in (0, 1):
        own = json.loads((folder / f"fold_{number}" / "metrics.json").read_text())
        held_out = Predictions.read(folder / f"fold_{number}" / "trials" / f"{own['winner']:03d}" / "predictions")
        places = [pooled.ids.index(name) for name in held_out.ids]
        assert np.array_equal(pooled.by_model["model"][places], held_out.by_model["model"])
    gain = found["pooled"]["scores"]["model"]["auroc"] - found["pooled"]["scores"]["defaults"]["auroc"]
    assert found["pooled"]["paired"]["defaults"]["auroc"]["difference"] == pytest.approx(gain)
    assert (
        "Out of fold" in (folder / "report.html").read_text()
        or "bought nothing" in (folder / "report.html").read_text()
    )


def test_what_cannot_be_searched_is_refused_before_the_first_trial(space: list[str], tmp_path: Path) -> None:
    unknown = "++search.space={classify.drop_malt: {float: [0.1, 0.5]}}"
    with pytest.raises(ConfigError, match=r"drop_malt.*drop_mult"):
        train(words_of("unknown", 2, unknown))
    with pytest.raises(ConfigError, match="batch_size"):
        train(words_of("range", 2, "++search.space={classify.batch_size: {int: [0, 4]}}"))
    folder = tmp_path / "outputs" / "search"
    assert not [*folder.glob("*/trials/*/metrics.csv"), *folder.glob("*/study.journal")]


def test_another_space_or_other_data_are_refused(space: list[str], tmp_path: Path) -> None:
    first = words_of("same", 1, "search.seeds=1", *space)
    with trials_alone():
        train(first)
        changed = [word.replace("0.1, 0.5", "0.1, 0.6") for word in first]
        with pytest.raises(CheckpointError, match="the space"):
            train([*changed, "resume=auto"])
        with pytest.raises(CheckpointError, match="the data"):
            train([*first, "data.num_train=44", "resume=auto"])
        with pytest.raises(CheckpointError, match="the settings"):
            train([*first, "optimizer.weight_decay=0.3", "resume=auto"])


def test_a_language_model_is_searched_too(space: list[str], tmp_path: Path) -> None:
    small = [*TINY, "trainer.max_steps=4", "trainer.limit_val_batches=4", "pretrain.batch_size=16"]
    words = ["stage=search", "search=language_model", *small, "search.trials=3", "search.seeds=1", "search.finalists=1"]
    words += ["++search.space={pretrain.lr: {log: [1e-3, 1e-2]}, arch.hidden_size: {choice: [16, 48]}}"]
    found = train([*words, "run.name=lm", "search.objectives=[score,parameters]"])
    assert found["monitor"] == "val/bits_per_base"
    values = [one["value"] for one in found["trials"]]
    assert all(1.5 < value < 2.1 for value in values)
    assert found["test"] == {}
    costs = [one["parameters"] for one in found["trials"]]
    assert len(set(costs)) > 1
    front = {n for n in range(3) if not any(values[m] < values[n] and costs[m] <= costs[n] for m in range(3))}
    assert set(found["front"]) == {
        n for n in front if not any(values[m] <= values[n] and costs[m] < costs[n] for m in range(3))
    }
    rows = [line.split("\t") for line in (tmp_path / "outputs/search/lm/pareto.tsv").read_text().splitlines()[1:]]
    assert [(int(row[0]), int(row[1])) for row in rows] == [(n, int(n in found["front"])) for n in range(3)]
    metrics = json.loads((tmp_path / "outputs/search/lm/trials/001/metrics.json").read_text())
    assert metrics["metrics"]["val/bits_per_base"] == pytest.approx(values[1])
