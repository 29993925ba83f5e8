"""What tables tell besides scores: how far the networks of an ensemble lie apart, and what is predicted.

Shape letters: `N` records or windows, `S` strands that are told apart, `K` columns of the spread.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError
from gulmfit.evaluate.target_calibration import LabelCalibration
from gulmfit.predict.outputs.writers import Cell, Columns, Value
from gulmfit.predict.predictor import Predictor
from gulmfit.seq.names import column_names

NO_CALL, PREDICTED = "no_call", "predicted"


class Spread:
    """What tables say besides scores, and calls of the spread; there is none where the model is one network.

    Args:
        predictor: The model.
        abstain: Spread beyond which there is no call; None for calls whatever the spread.

    Attributes:
        names: Of the `K` columns of the spread.
        columns: The columns that follow the scores of a table, and what they hold: those of the spread, with `abstain`
            whether there is no call, and unless values are predicted the name of what is.
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
        if abstain is not None:
            self.columns = [*self.columns, *((name, int) for name in predictor.spread_names(NO_CALL))]
        self._calibration, self._classes, self._positive = predictor.calibration, predictor.classes, predictor.positive
        self._named = predictor.kind.labels.exclusive or isinstance(predictor.calibration, LabelCalibration)
        if self._named:
            taken = [*predictor.classes, *(name for name, _ in self.columns)]
            self.columns = [*self.columns, (column_names([PREDICTED], taken)[0], str)]

    def cells(self, calibrated: npt.NDArray[np.float64], spread: npt.NDArray[np.float64]) -> Iterator[list[Cell]]:
        """Yield these columns of each prediction.

        Args:
            calibrated: `(N, S, C)` scores.
            spread: `(N, S, K)`.
        """
        count = spread.shape[0] * spread.shape[1]
        apart, flat = (one.reshape(count, one.shape[2]) for one in (spread, calibrated))
        none = (apart > self.abstain).astype(int) if self.abstain is not None else apart[:, :0]
        names = self._calibration.names(flat, self._classes, self._positive) if self._named else [None] * count
        for values, calls, name in zip(apart.tolist(), none.tolist(), names, strict=True):
            yield [*values, *calls, *([] if name is None else [name])]

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
