"""How far a command is: whole lines in a pipe, a bar on a terminal, and how long it takes before it has taken long."""

import io
import logging
import sys

import pytest

from gulmfit.predict import progress
from gulmfit.predict.progress import EVERY_S, Bar, counting, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.44, "0.4 s"), (75, "75 s"), (200, "3 min"), (7500, "2 h 05 min"), (3 * 86400, "3.0 days")],
)
def test_times_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> list[float]:
    """The time in seconds, which stands still until a test moves it."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    caplog.set_level(logging.INFO)
    return now


def test_a_pipe_has_an_estimate_and_a_line_a_minute(
    clock: list[float], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with Bar("score", "bases", total=100_000) as bar:
        for _ in range(1000):
            clock[0] += 0.5
            bar.update(100)
    first, *lines = caplog.messages
    assert "8 min" in first  # 200 bases a second
    assert " GB of memory" in first
    assert len(lines) == 1000 * 0.5 // EVERY_S
    assert "24%" in lines[1]
    assert "24,000 of 100,000 bases in 2 min" in lines[1]
    assert "about 6 min left" in lines[1]
    assert capfd.readouterr() == ("", "")


def test_short_work_says_nothing(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    with Bar("score", "bases", total=100) as bar:
        for _ in range(100):
            clock[0] += 0.5
            bar.update(1)
    assert not caplog.messages


def test_what_an_earlier_process_did_is_no_part_of_the_rate(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    with Bar("scan", "windows", total=1000, done=900, estimate=lambda rate: f"{rate:g} a second") as bar:
        clock[0] += 10
        bar.update(20)
        clock[0] += EVERY_S
        bar.update(60)
    assert caplog.messages[0].startswith("2 a second; ")
    assert "98%" in caplog.messages[1]
    assert "about 18 s left" in caplog.messages[1]  # of 80 windows in 70 s, 20 are left


def test_records_are_counted_without_a_total(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    taken = []
    for item in counting(iter(range(121)), "predict", "records"):
        taken.append(item)
        clock[0] += 1
    assert taken == list(range(121))
    assert caplog.messages == [f"predict: {count} records in {text}, 1 a second" for count, text in
                               ((60, "60 s"), (120, "2 min"))]  # fmt: skip


def test_a_terminal_draws_a_bar(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", screen)
    with Bar("embed", "records", total=5) as bar:
        bar.update(5)
    assert "100%" in screen.getvalue()
    assert "\r" in screen.getvalue()
