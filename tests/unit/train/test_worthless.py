"""Results that are worth nothing are written, and the exit status says so."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gulmfit.cli.words import command
from gulmfit.data.corpus import LanguageModelDataModule
from gulmfit.errors import WorthlessError
from gulmfit.models.language_model import initialise_bias
from gulmfit.report.kinds.kind import kind_named
from gulmfit.train.stages.language import ENOUGH_STEPS, ignorance, score_of_frequencies
from gulmfit.train.stages.ulmfit import _not_won

from .test_tasks import language_data, language_task


def test_the_score_of_frequencies_is_that_of_a_network_that_says_nothing() -> None:
    task, data = language_task(), language_data()
    found = score_of_frequencies(task, data)
    initialise_bias(task.model, data.token_counts())
    with torch.no_grad():
        task.model.encoder.embedding.weight.zero_()  # tied to the decoder: only the bias is left
    assert isinstance(data, LanguageModelDataModule)
    task.model.eval()
    nats, bases = 0.0, 0
    for batch in data.stream(training=False):
        with torch.no_grad():
            output = task.model(batch.tokens, batch.targets)
        nats, bases = nats + float(output.losses.double().sum()), bases + int(task.bases(output).sum())
    assert found["bits_per_base"] == pytest.approx(nats / bases / torch.log(torch.tensor(2.0)).item(), rel=1e-5)
    assert 1.9 < found["bits_per_base"] < 2.1  # of random bases


def test_a_language_model_has_learned_something_or_had_no_time_or_is_worth_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert ignorance(1.90, 1.95, ENOUGH_STEPS, "base") == ""
    with caplog.at_level(logging.WARNING):
        assert ignorance(1.96, 1.95, ENOUGH_STEPS - 1, "base") == ""
    assert "train longer" in caplog.text
    assert "1.9600" in ignorance(1.96, 1.95, ENOUGH_STEPS, "base")


def page(transferred: float, p_scratch: float, p_kmers: float) -> dict[str, Any]:
    score = kind_named("classes")(["a", "b"], "b").headline
    return {
        "metrics": {f"test/{score}": transferred, f"scratch/test/{score}": 0.7},
        "baselines": {"kmer_logistic": {score: 0.75}},
        "sign_flip": {"scratch": {"p_value": p_scratch}, "kmer_logistic": {"p_value": p_kmers}},
    }


@pytest.mark.parametrize(
    ("must_win", "results", "missed"),
    [
        (None, page(0.6, 1.0, 1.0), []),
        (0.01, page(0.8, 0.001, 0.001), []),
        (0.01, page(0.8, 0.001, 0.02), ["k-mer"]),
        (0.01, page(0.72, 0.001, 0.001), ["k-mer"]),  # significantly worse
        (0.01, page(0.8, float("nan"), 0.001), ["scratch"]),
    ],
)
def test_transfer_has_to_beat_everyone_significantly(
    must_win: float | None, results: dict[str, Any], missed: list[str]
) -> None:
    run: Any = SimpleNamespace(config=SimpleNamespace(must_win=must_win))
    told = _not_won(run, results, kind_named("classes")(["a", "b"], "b"))
    assert bool(told) == bool(missed)
    assert all(name in told for name in missed)


def test_the_exit_status_is_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def end() -> None:
        raise WorthlessError("nothing was learned")

    with pytest.raises(SystemExit) as ended:
        command(end)()
    assert ended.value.code == 3
    assert "nothing was learned" in capsys.readouterr().err
