"""What a classifier learned from and is judged on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit.data.sources.base import Source
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.train.survive.identity import Identity


@dataclass
class Material:
    """What a classifier learned from and is judged on.

    Attributes:
        source: Where the sequences come from.
        labelled: All of them (N).
        where: The part of each (N,).
        groups: What belongs together (N,).
        parts: The sequences of each part.
        leakage: What the leak check found.
        identity: What was learned from, by content.
    """

    source: Source
    labelled: LabelledSequences
    where: npt.NDArray[np.str_]
    groups: npt.NDArray[np.int64]
    parts: dict[str, LabelledSequences]
    leakage: dict[str, Any]
    identity: Identity

    def groups_of(self, part: str) -> npt.NDArray[np.int64]:
        """Return what belongs together among the sequences of a part."""
        groups: npt.NDArray[np.int64] = self.groups[self.where == part]
        return groups
