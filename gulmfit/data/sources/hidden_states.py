"""Sequences simulated by a hidden Markov model, with the state of each base as its label: SIMULATED data."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gulmfit.data.sources.base import Source
from gulmfit.errors import ConfigError
from gulmfit.seq.alphabet import decode, encode
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.labels.position_labels import POSITIONS
from gulmfit.seq.simulate.fitted_hmm import fit_unlabelled
from gulmfit.seq.simulate.hmm import Floats, HiddenMarkov

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class HmmSource(Source):
    """Simulated sequences with hidden states (`gulmfit.seq.simulate.hmm`). Nothing in them is real.

    Args:
        hmm: `start`, `transition` and `emission`, as in `conf/hmm/`.
        stay: Probability that a state stays as it is, for every state; null for what `hmm` says.
        num_train, num_valid, num_test: Sequences of each part.
        length_bp: Bases of each.
        seed: Of the simulation.
        hmmlearn: Fit a model to the training sequences without their labels, as a baseline
            (`gulmfit.seq.simulate.fitted_hmm`).

    Raises:
        ConfigError: A number is out of range, or `hmm` is not a model.
    """

    hmm: Mapping[str, Any] | None
    stay: float | None = None
    num_train: int = 1000
    num_valid: int = 200
    num_test: int = 1000
    length_bp: int = 500
    seed: int = 0
    hmmlearn: bool = False
    stranded: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.hmm, Mapping) or not all(isinstance(table, Mapping) for table in self.hmm.values()):
            raise ConfigError("data=hmm needs a model: hmm=sticky, tutorial, genes or a file of your own in conf/hmm/.")
        if sorted(self.hmm) != ["emission", "start", "transition"]:
            raise ConfigError(f"hmm has the keys {sorted(self.hmm)}: start, transition and emission are needed.")
        for name in ("num_train", "num_valid", "num_test", "length_bp"):
            if getattr(self, name) < 1:
                raise ConfigError(f"data.{name}={getattr(self, name)}: 1 or more is needed.")
        model = HiddenMarkov.from_tables(**self.hmm, alphabet=self.alphabet)
        self._model = model if self.stay is None else model.staying(self.stay)

    def ceilings(self, data: LabelledSequences) -> dict[str, Floats]:
        """Return what can be said of sequences with the true parameters, each `(N, L, C)`."""
        return self._model.ceilings([encode(text, alphabet=data.alphabet) for text in data.sequences])

    def baselines(self, train: LabelledSequences, data: LabelledSequences) -> dict[str, Floats]:
        """Return what a model says that was fitted to the training sequences without labels, if that is asked for."""
        if not self.hmmlearn:
            return {}
        codes = [encode(text, alphabet=train.alphabet) for text in train.sequences]
        known = [label[: len(own)].astype(np.int64) for label, own in zip(train.labels, codes, strict=True)]
        model = fit_unlabelled(codes, known, self._model.states, train.alphabet, seed=self.seed)
        found = model.ceilings([encode(text, alphabet=data.alphabet) for text in data.sequences])
        return {"hmmlearn": found["posterior"]}

    def _labelled(self) -> LabelledSequences:
        """Simulate all parts at once."""
        counts = {"train": self.num_train, "valid": self.num_valid, "test": self.num_test}
        codes, states = self._model.simulate(sum(counts.values()), self.length_bp, self.seed)
        logger.info("data: SIMULATED sequences of a hidden Markov model; nothing in them is real")
        return LabelledSequences(
            [f"simulated_{number}" for number in range(1, len(codes) + 1)],
            [decode(row, self._model.alphabet) for row in codes],
            states,
            list(self._model.states),
            splits=np.repeat(list(counts), list(counts.values())),
            files=[f"SIMULATED hidden Markov model, seed {self.seed}"],
            targets=POSITIONS,
            alphabet=self._model.alphabet,
        )
