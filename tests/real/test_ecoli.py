"""The experiments of the README begin on real data as they should."""

import json
import os
from pathlib import Path

from tests.integration.conftest import run


def test_the_ecoli_language_model_starts(data_dir: Path, tmp_path: Path) -> None:
    os.environ["GULMFIT_DATA"] = str(data_dir)
    words = ["experiment=ecoli_lm", "arch=awd_lstm_tiny", "trainer.max_steps=3", "trainer.limit_val_batches=2"]
    run(*words, "callbacks.progress.refresh_rate=0", cwd=tmp_path)
    metrics = json.loads((tmp_path / "outputs" / "pretrain" / "ecoli_lm" / "metrics.json").read_text())
    assert metrics["data"]["store"]["bases"] == 4_641_652
    assert metrics["data"]["bases"]["valid"] == 464_165
    assert 1.91 < metrics["baselines"]["markov"]["bits_per_base"] < 1.94
    assert 1.9 < metrics["metrics"]["val/bits_per_base"] < 2.05
    assert len(metrics["data"]["files"][0]["sha256"]) == 64


def test_the_ecoli_task_has_its_shortcut_and_loses_it_by_jitter(data_dir: Path, tmp_path: Path) -> None:
    os.environ["GULMFIT_DATA"] = str(data_dir)
    common = ["stage=classify", "experiment=ecoli_promoters", "arch=awd_lstm_tiny", "trainer.max_steps=2"]
    onehot = {}
    for jitter in (0, 10):
        words = [*common, f"data.jitter_bp={jitter}", f"run.name=j{jitter}", "callbacks.progress.refresh_rate=0"]
        run(*words, cwd=tmp_path)
        metrics = json.loads((tmp_path / "outputs" / "classify" / f"j{jitter}" / "metrics.json").read_text())
        onehot[jitter] = metrics["baselines"]["onehot_logistic"]["accuracy"]
        assert metrics["leakage"]["pairs"]["train->test"]["any"]["fraction"] < 0.02
        assert metrics["data"]["counts"]["test"] > 800
    assert onehot[0] > 0.96
    assert onehot[10] < 0.87
