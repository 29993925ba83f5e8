"""The plateau: what the rate does at each step, and when it begins to fall."""

import pytest

from gulmfit.errors import ConfigError
from gulmfit.train.loop.plateau import Patience, Plateau


def plateau(**given: float) -> Plateau:
    """Ten epochs of ten steps, the peak after three."""
    return Plateau(30, 100, 10, Patience(**{"steps": 20, "gain": 0.1, "longest": 3, **given}))  # type: ignore[arg-type]


def judged(found: Plateau, losses: list[float]) -> int | None:
    """Look every ten steps until the rate falls."""
    for number, loss in enumerate(losses, start=1):
        if found.look(10 * number, loss):
            break
    return found.falls_at


def test_without_gain_it_falls_at_the_peak() -> None:
    found = plateau()
    assert judged(found, [1.0] * 9) == 30
    assert found.total_steps == 100
    assert [found.planned_step(step) for step in (0, 29, 30, 31, 100)] == [0, 29, 30, 31, 100]


def test_it_stays_at_the_peak_while_the_loss_falls() -> None:
    found = plateau()
    # 0.5 at step 50 is the last gain of a tenth within twenty steps.
    assert judged(found, [1.0, 0.9, 0.8, 0.7, 0.5, 0.49, 0.48, 0.47]) == 70
    assert found.total_steps == 140
    assert [found.planned_step(step) for step in (20, 30, 50, 70)] == [20, 30, 30, 30]
    assert found.planned_step(105) == pytest.approx(65)
    assert found.planned_step(140) == pytest.approx(100)


def test_it_ends_whatever_the_loss_does() -> None:
    found = plateau()
    falls = judged(found, [0.8**number for number in range(100)])
    assert falls is not None
    assert found.total_steps == 300


def test_a_look_rarer_than_the_patience_is_held_against_the_one_before() -> None:
    found = plateau(steps=3)
    assert judged(found, [1.0, 0.8, 0.6, 0.4, 0.38]) == 50


def test_a_negative_score_gains_too() -> None:
    """A score to be raised comes with its sign turned."""
    assert judged(plateau(steps=10), [-0.5, -0.6, -0.7, -0.9, -0.91]) == 50


def test_the_training_ends_with_an_epoch() -> None:
    found = Plateau(25, 90, 20, Patience(20, 0.1, 3))
    found.look(20, 1.0)
    assert found.look(40, 1.0)
    assert found.total_steps == 120  # 40 + 65, in whole epochs
    assert found.planned_step(120) == pytest.approx(90)


def test_a_look_counts_once_and_a_state_is_taken_up() -> None:
    found, again = plateau(), plateau()
    for step, loss in ((10, 1.0), (20, 0.5), (20, 0.1)):
        found.look(step, loss)
    assert found.looks == [(10, 1.0), (20, 0.5)]
    again.take_up(found.state())
    assert again == found


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"gain": 1.0}, {"gain": -0.1}, {"longest": 0.5}])
def test_patience_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        plateau(**wrong)
