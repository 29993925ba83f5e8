"""Measured values: variance explained, correlations, errors in their units, paired bootstraps.

Shapes: `N` sequences, `C` values.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from gulmfit.evaluate.baselines.fits import Part
from gulmfit.evaluate.baselines.values import run_value_baselines
from gulmfit.evaluate.calibration import Calibration
from gulmfit.evaluate.target_calibration import AsPredicted
from gulmfit.evaluate.uncertainty import Weighted
from gulmfit.evaluate.value_scores import VALUE_METRICS, scores_by_value, value_scores, weighted_value_scores
from gulmfit.report import target_figures
from gulmfit.report.html import Section
from gulmfit.report.kinds.kind import Floats, Ints, Judged, Labelled, Models, Results
from gulmfit.report.kinds.paired import Bootstrapped, by_target
from gulmfit.report.sections import target_errors
from gulmfit.report.wording import heading
from gulmfit.seq.labels.targets import Values


class Regression(Bootstrapped):
    """Measured values; arguments as of `Kind`."""

    labels = Values()
    calibration = AsPredicted
    watched: ClassVar = {"moments": ("gulmfit.train.loop.metrics.ValueScore", {})}
    headline: ClassVar[str] = "r2"
    second: ClassVar[str] = "spearman"
    summary: ClassVar[tuple[str, ...]] = VALUE_METRICS
    columns: ClassVar[tuple[str, ...]] = VALUE_METRICS
    loss_unit: ClassVar[str] = " (standardised values)"

    def scores(self, truth: Any, predicted: Floats) -> dict[str, float]:
        return value_scores(truth, predicted)

    def weighted(self, truth: Any, predicted: Floats) -> Weighted:
        return partial(weighted_value_scores, truth, predicted)

    def scorable(self, truth: Any) -> bool:
        return bool((np.ptp(truth, axis=0) > 0).all())

    def fit_calibration(self, raw: Floats, truth: Any, how: str) -> Calibration:
        """There are no probabilities to calibrate."""
        return AsPredicted()

    def baselines(
        self, train: Labelled, valid: Labelled, test: Labelled, *, seed: int, cache_dir: Path | None
    ) -> dict[str, Judged]:
        known, held = (Part(part.sequences, part.labels) for part in (train, valid))
        found = run_value_baselines(
            known,
            held,
            test.sequences,
            seed=seed,
            cache_dir=cache_dir,
            alphabet=train.alphabet,
            stranded=train.stranded,
        )
        return {name: (values, self) for name, values in found.items()}

    def details(
        self, truth: Any, raw: Floats, judged: Models, calibration: Calibration, groups: Ints, seed: int
    ) -> dict[str, Any]:
        """Return the scores of each value, where there are several."""
        if len(self.classes) < 2:
            return {}
        scores = {name: partial(scores_by_value, truth, values) for name, (values, _) in judged.items()}
        return {"by_target": by_target(scores, self.classes, groups, seed)}

    def sections(self, results: Results) -> list[Section]:
        errors = target_errors(results, ("value", "measured", "predicted"), by_spread=True)
        return [_values_section(results), _scatter_section(results), errors]


def _values_section(results: Results) -> Section:
    found: Mapping[str, Results] = results.get("by_target") or {}
    rows: list[list[object]] = []
    for name, record in found.items():
        bounds = record.get("ci95") or {}
        rows.append([name, *((record.get(item), *(bounds.get(item) or (None, None))) for item in VALUE_METRICS)])
    header = ["", *map(heading, VALUE_METRICS)]
    return Section("Each value by itself", tables=[(header, rows)] if rows else [])


def _scatter_section(results: Results) -> Section:
    predictions = results.get("predictions")
    section = Section("Measured against predicted")
    if predictions is None:
        return section
    predicted = predictions.by_model["model"]
    for column, name in enumerate(predictions.classes):
        pair = predictions.labels[:, column], predicted[:, column]
        caption = f"{name}: measured against predicted, the dotted line is equality; below, what is left."
        section.figures.append((caption, target_figures.measured_against_predicted(*pair, name)))
    return section
