"""Rates by hand, phases that fill the training, frozen groups at rate 0."""

import math

import pytest
import torch

from gulmfit.errors import ConfigError
from gulmfit.train.loop.schedule import OneCycle, OneCyclePhases, Phase


def schedule(*phases: Phase) -> OneCycle:
    return OneCycle(phases or (Phase(2, 1.0),))


def test_one_cycle_by_hand() -> None:
    shape = schedule()
    assert shape.factor(0.0) == (pytest.approx(1 / 25), pytest.approx(0.8))
    assert shape.factor(0.15) == (pytest.approx((1 / 25 + 1) / 2), pytest.approx(0.75))
    assert shape.factor(0.3) == (pytest.approx(1.0), pytest.approx(0.7))
    assert shape.factor(0.65) == (pytest.approx((1 + 1e-5) / 2), pytest.approx(0.75))
    assert shape.factor(1.0) == (pytest.approx(1e-5), pytest.approx(0.8))


def test_it_is_torchs_one_cycle() -> None:
    """The same numbers as torch's own scheduler, an oracle for a single phase and group."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    ours = torch.optim.AdamW([{"params": [parameter], "lr": 0.1}], betas=(0.8, 0.99))
    theirs = torch.optim.AdamW([{"params": [parameter], "lr": 0.1}], betas=(0.8, 0.99))
    total = 200
    a = OneCyclePhases(ours, OneCycle([Phase(1, 0.1)], pct_start=0.3, div=25, final_div=25e4), total)
    b = torch.optim.lr_scheduler.OneCycleLR(
        theirs,
        0.1,
        total_steps=total + 1,
        pct_start=61 / 201,
        base_momentum=0.7,
        max_momentum=0.8,
        final_div_factor=1e4,
    )
    for _ in range(total):
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=2e-2, abs=2e-5)
        assert ours.param_groups[0]["betas"][0] == pytest.approx(theirs.param_groups[0]["betas"][0], abs=2e-3)
        for optimizer, scheduler in ((ours, a), (theirs, b)):
            optimizer.step()
            scheduler.step()


def test_phases_fill_the_training_in_proportion() -> None:
    plan = schedule(Phase(3, 1.0, 1), Phase(3, 0.5, 2), Phase(6, 0.1))
    assert plan.edges(120) == [0, 30, 60, 120]
    assert plan.epochs == 12
    assert plan.phase_at(0, 120) == (0, 0.0)
    assert plan.phase_at(29, 120) == (0, pytest.approx(29 / 30))
    assert plan.phase_at(30, 120) == (1, 0.0)
    assert plan.phase_at(119, 120)[0] == 2
    assert plan.phase_at(500, 120) == (2, 1.0)
    assert plan.edges(2)[-1] == 2


def test_discriminative_rates_and_frozen_groups() -> None:
    plan = schedule(Phase(1, 1.0, groups=2, decay=2.6))
    assert plan.group_rates(plan.phases[0], 4) == [0.0, 0.0, pytest.approx(1 / 2.6), 1.0]
    assert plan.group_rates(Phase(1, 1.0, None, 2.0), 3) == [0.25, 0.5, 1.0]
    assert plan.group_rates(Phase(1, 1.0, 9), 2) == [1.0, 1.0]


def test_the_scheduler_needs_nothing_but_its_step() -> None:
    plan = schedule(Phase(1, 1.0, 1, 2.0), Phase(2, 0.5))

    def build() -> tuple[torch.optim.Optimizer, OneCyclePhases]:
        groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 1.0} for _ in range(3)]
        optimizer = torch.optim.AdamW(groups, betas=(0.8, 0.99))
        return optimizer, OneCyclePhases(optimizer, plan, 30)

    optimizer, scheduler = build()
    rates = []
    for _ in range(30):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    assert rates[0][:2] == [0.0, 0.0]
    assert all(rate > 0 for rate in rates[10])
    assert max(row[2] for row in rates[:10]) == pytest.approx(1.0, rel=0.02)
    for start in (1, 9, 10, 11, 29):
        other, resumed = build()
        for _ in range(start):
            other.step()
            resumed.step()
        state = resumed.state_dict()
        other, resumed = build()
        resumed.load_state_dict(state)
        other.step()
        resumed.step()
        expected = rates[start + 1] if start + 1 < 30 else None
        if expected is not None:
            assert [group["lr"] for group in other.param_groups] == pytest.approx(expected)


@pytest.mark.parametrize(
    "config",
    [
        {"phases": []},
        {"phases": [{"epochs": 0, "lr": 1}]},
        {"phases": [{"epochs": 1, "lr": -1}]},
        {"phases": [{"epochs": 1, "lr": 1, "groups": 0}]},
        {"phases": [{"epochs": 1, "lr": 1, "decay": 0.5}]},
        {"phases": [{"epochs": 1, "lr": 1}], "pct_start": 2.0},
        {"phases": [{"epochs": 1, "lr": 1}], "div": 0.5},
    ],
)
def test_impossible_schedules_are_refused(config: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="schedule"):
        OneCycle.from_config(config)


def test_sgd_gets_its_momentum() -> None:
    optimizer = torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 1.0}], momentum=0.8)
    scheduler = OneCyclePhases(optimizer, schedule(), 10)
    seen = []
    for _ in range(10):
        seen.append(optimizer.param_groups[0]["momentum"])
        optimizer.step()
        scheduler.step()
    assert seen[0] == pytest.approx(0.8)
    assert min(seen) == pytest.approx(0.7, abs=0.01)
    assert math.isclose(seen[3], min(seen))
