"""What many runs are made of: folds of a stored split, subsets that hold every class, summaries that claim no more."""

from pathlib import Path

import numpy as np
import pytest

from gulmfit.config import compose
from gulmfit.errors import DataError
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.splits.split import HomologySplit
from gulmfit.seq.splits.split_file import FileSplit, write_split
from gulmfit.train.run import Run
from gulmfit.train.stages.cross_validation import fold_trials
from gulmfit.train.stages.learning_curve import curve_trials, nested_order, sizes
from gulmfit.train.stages.trials import summarise


def sequences(labels: np.ndarray, copies: int = 1) -> LabelledSequences:
    """Unrelated sequences, or so many that overlap by all but a few bases."""
    rng = np.random.default_rng(0)
    count = len(labels)
    templates = ["".join(rng.choice(list("ACGT"), 60)) for _ in range(-(-count // copies))]
    texts = [templates[i // copies][i % copies : 50 + i % copies] for i in range(count)]
    return LabelledSequences([f"r{i}" for i in range(count)], texts, labels, ["neg", "pos"], files=["set.csv"])


def made(folder: Path, *words: str) -> Run:
    return Run(compose(words), folder)


@pytest.mark.parametrize("stored", [False, True])
def test_folds_of_a_stored_split_have_validation_parts_of_whole_groups(tmp_path: Path, stored: bool) -> None:
    data = sequences(np.arange(120) // 3 % 2, copies=3)
    split = HomologySplit(0.2, 0.2, 0)
    groups = split.groups(data)
    assert len(set(groups.tolist())) == 40
    path = tmp_path / "split.tsv"
    write_split(path, data, split(data), groups, split.folds(data, 4) if stored else None)
    run = made(tmp_path, "stage=classify", "split=file", f"split.path={path}", "cv.folds=4", "cv.repeats=2")
    trials = fold_trials(run, data)
    assert [(trial.facts["repeat"], trial.facts["fold"]) for trial in trials] == list(np.ndindex(2, 4))
    for trial in trials:
        assert trial.parts is not None
        for part in ("train", "valid", "test"):
            assert set(data.labels[trial.parts == part].tolist()) == {0, 1}
        assert all(len(set(trial.parts[groups == group].tolist())) == 1 for group in range(40))
    if stored:
        tested = [np.flatnonzero(trial.parts == "test").tolist() for trial in trials[:4]]
        assert tested == [np.flatnonzero(split.folds(data, 4) == fold).tolist() for fold in range(4)]


def test_groups_that_are_given_are_dealt(tmp_path: Path) -> None:
    data = sequences(np.arange(40) % 2)
    split = FileSplit(str(tmp_path / "nowhere.tsv"))
    folds = split.folds(data, 2, groups=np.arange(40) // 4)
    assert all(len(set(folds[i : i + 4].tolist())) == 1 for i in range(0, 40, 4))


@pytest.mark.parametrize(("share", "wanted"), [(0.1, [20, 50]), (0.2, [20]), (0.03, [50, 100])])
def test_subsets_of_imbalanced_data_hold_every_class(tmp_path: Path, share: float, wanted: list[int]) -> None:
    labels = (np.arange(400) < 400 * share).astype(np.int64)
    data = sequences(labels)
    words = ["stage=learning_curve", "split=stratified", f"learning_curve.sizes={wanted}", "learning_curve.draws=2"]
    trials = curve_trials(made(tmp_path, *words), data)
    found = {trial.facts["labels"] for trial in trials}
    assert found >= set(wanted)
    for trial in trials:
        path = tmp_path / "split.tsv"
        write_split(path, data, trial.parts, np.arange(400))
        parts = FileSplit(str(path))(data)  # refuses a part without a class, as the trial would
        assert (parts == "train").sum() == trial.facts["labels"]
        members = data.labels[parts == "train"]
        assert abs(members.sum() - share * len(members)) <= 1


def test_a_size_too_small_is_left_out_and_the_others_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = sequences(np.arange(60) % 2)
    words = ["stage=learning_curve", "split=stratified", "learning_curve.sizes=[3,10]", "learning_curve.draws=1"]
    trials = curve_trials(made(tmp_path, *words), data)
    everything = max(trial.facts["labels"] for trial in trials)
    assert {trial.facts["labels"] for trial in trials} == {10, everything}
    assert "3 left out" in caplog.text
    with pytest.raises(DataError, match="3 sequences"):
        sizes(made(tmp_path, *words), 3, 2)


def test_beginnings_hold_the_classes_in_proportion() -> None:
    labels = np.repeat([0, 1, 2], [300, 90, 10])
    order = nested_order(labels, np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(400))
    for size in (3, 40, 200):
        counts = np.bincount(labels[order[:size]], minlength=3)
        assert (np.abs(counts - size * np.array([0.75, 0.225, 0.025])) <= 1.5).all()
        assert counts.min() >= 1


def test_folds_have_a_spread_and_no_interval() -> None:
    results = [{"metrics": {"test/accuracy": value}, "baselines": {"gc": {"accuracy": 0.5}}} for value in (0.7, 0.8)]
    assert set(summarise(results)["model"]["accuracy"]) == {"count", "mean", "sd", "low", "high"}
    folds = summarise(results, independent=False)
    assert set(folds["model"]["accuracy"]) == set(folds["gc"]["accuracy"]) == {"count", "mean", "sd"}
