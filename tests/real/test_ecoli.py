"""The experiments of the README begin on real data as they should."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from gulmfit.config import compose, instantiate
from gulmfit.evaluate.baselines.classes import run_baselines
from gulmfit.seq.related.leakage import leakage_report
from gulmfit.seq.splits.split import PARTS
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


def test_the_ecoli_task_has_its_shortcut_and_loses_it_by_jitter(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GULMFIT_DATA", str(data_dir))
    reached = {}
    for jitter in (0, 10):
        config = compose(["stage=classify", "experiment=ecoli_promoters", f"data.jitter_bp={jitter}"])
        data = instantiate(config.data).labelled()
        where = instantiate(config.split)(data)
        train, valid, test = (data.subset(np.flatnonzero(where == part)) for part in PARTS)
        assert len(test) > 800
        leaks = leakage_report({"train": train, "valid": valid, "test": test})
        assert leaks["pairs"]["train->test"]["any"]["fraction"] < 0.02
        found = run_baselines(
            train.sequences, train.labels, test.sequences, num_classes=2, valid_sequences=valid.sequences,
            valid_labels=valid.labels, names=["onehot_logistic"],
        )  # fmt: skip
        reached[jitter] = (found["onehot_logistic"].argmax(1) == test.labels).mean()
    assert reached[0] > 0.96
    assert reached[10] < 0.87
