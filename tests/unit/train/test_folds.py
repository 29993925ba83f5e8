"""Out-of-fold predictions: each model is tested on all of them, a blend against its parts too."""

import numpy as np
import pytest

from gulmfit.report.kinds.predictions import Predictions
from gulmfit.report.kinds.single_label import SingleLabel
from gulmfit.train.stages.cross_validation import _pooled_scores


def test_a_blend_is_tested_against_its_parts() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=300)

    def guesses(right: float) -> np.ndarray:
        first = np.where(rng.random(300) < right, labels, 1 - labels) * 0.8 + 0.1
        return np.stack([1 - first, first], 1)

    models = {"model": guesses(0.8), "gc": guesses(0.6), "scratch": guesses(0.7), "blend": guesses(0.9)}
    ids, groups = [str(index) for index in range(300)], np.arange(300)
    found = _pooled_scores(Predictions(ids, labels, groups, ["no", "yes"], models, "yes"), seed=0)
    judge = SingleLabel(["no", "yes"], "yes")
    blend, network = (models[name].argmax(1) for name in ("blend", "model"))
    difference = (blend == labels).mean() - (network == labels).mean()
    assert set(found["blend"]["sign_flip"]) == {"network", "gc"}
    assert found["blend"]["sign_flip"]["network"]["accuracy_difference"] == pytest.approx(difference)
    assert found["blend"]["sign_flip"]["gc"]["p_value"] < 0.001
    assert set(found["sign_flip"]) == {"gc", "scratch", "blend"}
    assert judge.scores(labels, models["blend"]) == found["scores"]["blend"]
