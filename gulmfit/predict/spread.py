"""What tables tell besides scores: how far the networks of an ensemble lie apart, and what is predicted.

Shape letters: `N` records or windows, `S` strands that are told apart, `K` columns of the spread.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError
from gulmfit.evaluate.target_calibration import LabelCalibration
from gulmfit.predict.outputs.writers import Cell, Columns, Value
from gulmfit.predict.predictor import Predictor
from gulmfit.seq.names import column_names

NO_CALL, PREDICTED = "no_call", "predicted"


class Spread:
    """What tables and calls say of the spread; nothing where the model is one network.

    Args:
        predictor: The model.
        abstain: Spread beyond which there is no call; None for calls whatever the spread.

    Attributes:
        names: Of the `K` columns.
        without_call: How many of the predictions that were counted have no call.

    Raises:
        ConfigError: If the model is one network and cannot abstain, or `abstain` is not a number from 0 on.
    """

    def __init__(self, predictor: Predictor, abstain: float | None = None) -> None:
        self.names = predictor.spread_names()
        if abstain is not None and not self.names:
            raise ConfigError(
                f"abstain={abstain}: the model is one network, and only the networks of an ensemble can disagree. "
                "Train one with ensemble=3, or leave abstain= out."
            )
        if abstain is not None and not 0 <= abstain < np.inf:
            raise ConfigError(f"abstain={abstain}: a standard deviation, 0 or more, is needed.")
        self.abstain, self.without_call = abstain, 0
        kind = float if predictor.gives_probabilities else Value
        self.columns: Columns = [(name, kind) for name in self.names]
        """The columns that follow the scores of a table, and what they hold."""
        if abstain is not None:
            self.columns = [*self.columns, *((name, int) for name in predictor.spread_names(NO_CALL))]

    def with_names(self, predictor: Predictor) -> Columns:
        """Return these columns and the last one of a table, for `Calibration.names`; values have no such column."""
        labels, taken = predictor.kind.labels, [*predictor.classes, *(name for name, _ in self.columns)]
        if not (labels.exclusive or isinstance(predictor.calibration, LabelCalibration)):
            return self.columns
        return [*self.columns, (column_names([PREDICTED], taken)[0], str)]

    def cells(self, spread: Sequence[float]) -> list[Cell]:
        """Return these columns for one prediction."""
        return [*spread, *([] if self.abstain is None else (int(value > self.abstain) for value in spread))]

    def count(self, spread: npt.NDArray[np.float64]) -> None:
        """Count the predictions without a call, from the spread `(N, S, K)`."""
        self.without_call += 0 if self.abstain is None else int((spread > self.abstain).sum())

    def refused(self, spread: npt.NDArray[np.float64], column: int) -> npt.NDArray[np.bool_]:
        """Tell which predictions `(N, S)` of a class, label or value have no call, from the spread `(N, S, K)`."""
        if self.abstain is None:
            return np.zeros(spread.shape[:2], np.bool_)
        found: npt.NDArray[np.bool_] = spread[:, :, column if len(self.names) > 1 else 0] > self.abstain
        return found

    def told(self) -> str:
        """Say how many of the counted predictions have no call."""
        return "" if self.abstain is None else f"; {self.without_call} without a call, spread above {self.abstain:g}"
