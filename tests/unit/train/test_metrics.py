"""What is watched while training is what is scored at the end."""

import numpy as np
import pytest
import torch

from gulmfit.evaluate.label_scores import label_scores
from gulmfit.evaluate.value_scores import value_scores
from gulmfit.report.kinds.kind import kind_named
from gulmfit.train.loop.metrics import validation_metrics


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_watched_scores_of_values_are_the_final_ones(offset: float) -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(50, 2)) * (1, 7) + offset
    predicted = truth + rng.normal(size=(50, 2)) * (0.5, 9)
    kind = kind_named("values")
    metric = validation_metrics(kind, [f"c{n}" for n in range(2)])
    for rows in (slice(0, 20), slice(20, 21), slice(21, 50)):
        metric.update(torch.from_numpy(predicted[rows]), torch.from_numpy(truth[rows]))
    expected = value_scores(truth, predicted)
    found = {name: float(value) for name, value in metric.compute().items()}
    assert found == pytest.approx({name: expected[name] for name in ("r2", "pearson", "rmse")}, rel=1e-6)
    assert kind.headline in found


def test_what_does_not_vary_is_watched_as_0() -> None:
    metric = validation_metrics(kind_named("values"), [f"c{n}" for n in range(1)])
    metric.update(torch.full((5, 1), 0.3), torch.full((5, 1), 0.1))
    found = metric.compute()
    assert found["r2"] == found["pearson"] == 0
    assert float(found["rmse"]) == pytest.approx(0.2)


def test_watched_scores_of_sets_are_the_final_ones() -> None:
    rng = np.random.default_rng(1)
    labels = (rng.random((60, 3)) < 0.4).astype(np.int64)
    probabilities = (0.2 * labels + rng.random((60, 3)) * 0.8).astype(np.float32)
    kind = kind_named("label_sets")
    metric = validation_metrics(kind, [f"c{n}" for n in range(3)])
    metric.update(torch.from_numpy(probabilities), torch.from_numpy(labels))
    expected = label_scores(labels, probabilities, [0.5] * 3)
    found = {name: float(value) for name, value in metric.compute().items()}
    assert found == pytest.approx({name: expected[name] for name in ("auroc_macro", "auprc_macro", "f1_macro")})
    assert kind.headline in found


def test_watched_scores_of_classes_have_their_names() -> None:
    kind = kind_named("classes")
    metric = validation_metrics(kind, [f"c{n}" for n in range(3)])
    metric.update(torch.eye(3), torch.arange(3))
    assert {name: float(value) for name, value in metric.compute().items()} == {"accuracy": 1, "auroc": 1, "mcc": 1}
    assert kind.headline == "accuracy"
