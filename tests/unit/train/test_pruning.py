"""Trials that are worse than others end early; what is told are tenths of a training."""

from pathlib import Path

import pytest

from gulmfit.train.search.space import read_space
from gulmfit.train.search.studies import Study

optuna = pytest.importorskip("optuna")

SETTINGS = {
    "objectives": ["score"],
    "trials": 12,
    "hours": None,
    "sampler": "random",
    "finalists": 1,
    "ahead": 1,
    "workers": 1,
}


@pytest.mark.parametrize("pruner", ["median", "quarter", "hyperband"])
def test_a_bad_trial_is_given_up_and_a_good_one_is_not(pruner: str, tmp_path: Path) -> None:
    space = read_space({"x": {"float": [0.0, 1.0]}}, {})
    study = Study(tmp_path, space, {**SETTINGS, "pruner": pruner}, minimise=True, defaults={}, seed=0)

    def steps(offset: float) -> int:
        """Return after how many tenths a trial is given up; 10 if it is not."""
        claim = study.claim()
        assert claim is not None
        for step in range(1, 11):
            claim.trial.report(offset + 1 / step, step)
            if step < 10 and study.should_prune(claim, step):
                study.tell(claim, None, {}, pruned=True)
                return step
        study.tell(claim, offset + 0.1, {})
        return 10

    first = [steps(0.01 * number) for number in range(6)]
    assert first[0] == 10
    bad, good = [steps(5.0) for _ in range(3)], [steps(-1.0) for _ in range(3)]
    assert max(bad) < 10
    assert good == [10, 10, 10]
