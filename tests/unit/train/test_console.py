"""What training tells: one line an epoch, what it takes, and whether the machine is too busy."""

import io
import itertools
import logging
import re
import sys
import warnings
from pathlib import Path

import pytest

from gulmfit.train.console import QUIET_S, WINDOW_S, Clocks, Load, read_clocks, waiting
from gulmfit.train.log import SHOWN, Console, logged
from gulmfit.train.runner import train

pytestmark = pytest.mark.usefixtures("unrendered")

TINY = [
    "stage=pretrain", "data.length_bp=40000", "data.num_train=4", "data.num_valid=4", "data.num_test=4",
    "arch=awd_lstm_tiny", "arch.hidden_size=8", "arch.embed_size=8", "tokenizer.k=3", "batch_size=16",
    "trainer.precision=32-true", "pretrain.epochs=3", "holdout.block_bp=2000", "holdout.margin_bp=10",
]  # fmt: skip


def test_a_run_says_one_line_an_epoch_and_keeps_it_in_its_log(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    train([*TINY, f"paths.output_dir={folder}"])
    log = (folder / "pretrain" / "default" / "log").read_text()
    epochs = re.findall(r"epoch (\d)/3: val/bits_per_base (\d\.\d+)", log)
    assert [int(number) for number, _ in epochs] == [1, 2, 3]
    assert all(1.5 < float(bits) < 2.5 for _, bits in epochs)
    assert "train.py stage=pretrain" in log.splitlines()[0]
    assert "Tip" not in log
    assert all(line.strip() for line in log.splitlines())
    assert not (folder / "pretrain" / "default" / ".hydra").exists()


def test_ctrl_c_says_which_step_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def look(self: Load) -> str:
        nonlocal asked
        asked += 1
        if (tmp_path / "pretrain" / "default" / "checkpoints" / "best.ckpt").exists():
            raise KeyboardInterrupt
        return ""

    monkeypatch.setattr(Load, "look", look)
    with pytest.raises(KeyboardInterrupt, match=r"step \d+: .*\.ckpt .*step \d+"):
        train([*TINY, f"paths.output_dir={tmp_path}"])
    assert asked > 1


def printed(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> list[str]:
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stdout", out)
    console = Console()
    for name, level, text in (
        ("gulmfit.x", logging.INFO, "\n[1/4] pretrain\n\n"),
        ("gulmfit.x", logging.INFO, "epoch 1/2"),
        ("pytorch_lightning", logging.INFO, "a tip"),
        ("pytorch_lightning", logging.WARNING, "a warning"),
    ):
        record = logging.LogRecord(name, level, "", 0, text, None, None)
        record.__dict__.update(SHOWN if text.startswith("epoch") else {})
        console.emit(record)
    return out.getvalue().splitlines()


def test_a_pipe_has_no_empty_line_and_no_tip(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(monkeypatch, terminal=False) == ["[1/4] pretrain", "epoch 1/2", "a warning"]


def test_a_terminal_shows_the_epoch_as_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [line for line in printed(monkeypatch, terminal=True) if line] == ["[1/4] pretrain", "a warning"]


def test_the_log_goes_on_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("before\n")
    logger = logging.getLogger("gulmfit.test")
    with logged(tmp_path, "train.py"):
        logger.warning("α within")
    logger.warning("after")
    lines = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "before"
    assert [line.rpartition(": ")[2] for line in lines[1:]] == ["train.py", "α within"]


def clocks(wall: float, own: float, all_: float, used: float, waited: float) -> Clocks:
    return Clocks(wall, own, all_, 2, {"1": (used, waited), "2": (0.0, 0.0)})


def test_lightning_is_silent_meanwhile_and_warns_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    lightning = logging.getLogger("pytorch_lightning.utilities")
    caplog.set_level(logging.INFO, "pytorch_lightning")
    with logged(tmp_path, "train.py"):
        lightning.info("a tip")
        lightning.warning("a warning")
        warnings.warn("`isinstance(treespec, LeafSpec)` is deprecated", FutureWarning, stacklevel=1)
        warnings.warn("something else", FutureWarning, stacklevel=1)
    lightning.info("afterwards")
    assert [record.message for record in caplog.records if "lightning" in record.name] == ["a warning", "afterwards"]
    assert [str(warning.message) for warning in recwarn] == ["something else"]


def test_waiting_is_worked_out_from_the_clocks() -> None:
    # 100 s on two cores: we had 50 s and stood 45 s in the queue; others had 80 s of 200.
    found = waiting(clocks(0, 0, 0, 0, 0), clocks(100, 50, 130, 50, 45))
    assert found == pytest.approx((0.4, 1.9))
    assert waiting(clocks(0, 0, 0, 0, 0), clocks(100, 95, 100, 95, 5)) is None
    assert waiting(clocks(0, 0, 0, 0, 0), clocks(100, 0, 0, 0, 0)) is None


def test_a_busy_machine_is_told_once_in_five_minutes() -> None:
    time = 0.0
    load = Load(lambda: clocks(time, time / 2, time * 1.3, time / 2, time * 0.45), lambda: time)
    told = []
    while time < 3 * QUIET_S:
        if message := load.look():
            told.append((time, message))
        time += 1
    assert told[0][0] == WINDOW_S
    assert "40%" in told[0][1]
    assert "1.9" in told[0][1]
    assert all(later - earlier >= QUIET_S for (earlier, _), (later, _) in itertools.pairwise(told))
    assert len(told) >= 2


def test_without_clocks_nothing_is_said() -> None:
    assert not Load(lambda: None, lambda: 1e9).look()
    found = read_clocks()
    assert found is None or found.threads
