"""`metrics.csv` keeps every row, through interruptions too."""

from pathlib import Path

from gulmfit.train.survive.curves import CurveLogger, read_curves


def test_rows_of_a_step_are_one_and_columns_come_as_they_are_logged(tmp_path: Path) -> None:
    logger = CurveLogger(tmp_path)
    logger.log_metrics({"train/loss": 2.0, "epoch": 0}, step=0)
    logger.log_metrics({"lr": 0.5}, step=0)
    logger.log_metrics({"val/loss": 1.5, "epoch": 0}, step=9)
    logger.finalize("success")
    assert read_curves(tmp_path / "metrics.csv") == [
        {"step": 0.0, "epoch": 0.0, "train/loss": 2.0, "lr": 0.5},
        {"step": 9.0, "epoch": 0.0, "val/loss": 1.5},
    ]
    assert (tmp_path / "metrics.csv").read_text().splitlines()[0] == "epoch,step,lr,train/loss,val/loss"


def test_a_continued_run_writes_the_file_of_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    uninterrupted = CurveLogger(whole)
    killed = CurveLogger(parts)
    for step in range(60):
        uninterrupted.log_metrics({"train/loss": 1 / (step + 1), "epoch": step // 20}, step)
        if step < 35:
            killed.log_metrics({"train/loss": 1 / (step + 1), "epoch": step // 20}, step)
        if step == 30:
            killed.save()  # with the checkpoint of step 30
    continued = CurveLogger(parts, resumed_at=30)
    for step in range(30, 60):
        continued.log_metrics({"train/loss": 1 / (step + 1), "epoch": step // 20}, step)
    for logger in (uninterrupted, continued):
        logger.finalize("success")
    assert (parts / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()


def test_a_new_run_begins_an_empty_file(tmp_path: Path) -> None:
    for loss in (1.0, 2.0):
        logger = CurveLogger(tmp_path)
        logger.log_metrics({"train/loss": loss}, step=0)
        logger.finalize("success")
    assert read_curves(tmp_path / "metrics.csv") == [{"step": 0.0, "train/loss": 2.0}]
    assert read_curves(tmp_path / "missing.csv") == []
