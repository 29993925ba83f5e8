"""Simulate sequences whose bases have hidden states, and tell how well any model can do on them: SIMULATED data.

A hidden Markov model draws a state for each base, each from the one before it, and each base from its state. With the
true parameters the probability of each state is exact: given the whole sequence (the posterior, what a model that reads
both ways may reach) and given the bases so far (the filter, the ceiling of a causal model).

Shapes: `N` sequences, `L` bases, `S` states, `A` letters of the alphabet.

Source: Rabiner, Proc. IEEE 77 (1989) 257-286. The forward and backward variables are scaled at each base.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError
from gulmfit.seq.alphabet import DNA, Alphabet, Codes, held_alphabet

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Table = Mapping[str, float]

_ROUNDING = 1e-6  # by which probabilities that are written as decimals may miss 1


@dataclass(frozen=True, eq=False)
class HiddenMarkov:
    """A hidden Markov model with known parameters.

    Attributes:
        states: A letter for each state.
        start: Probability of each first state, `(S,)`.
        transition: Probability of the next state, `(S, S)`, a row for each state.
        emission: Probability of each letter, `(S, A)`.
        alphabet: The letters.
    """

    states: str
    start: Floats
    transition: Floats
    emission: Floats
    alphabet: Alphabet = DNA

    @classmethod
    def from_tables(
        cls, start: Table, transition: Mapping[str, Table], emission: Mapping[str, Table], alphabet: str = DNA.name
    ) -> Self:
        """Make a model of named probabilities, as `conf/hmm/` has them; what is not named has probability 0.

        Raises:
            ConfigError: A state is not one letter, a name is unknown, or probabilities do not add up to 1.
        """
        letters = held_alphabet(alphabet)
        states = [str(name) for name in start]
        if not states or any(len(name) != 1 or name.isspace() or name == "." for name in states):
            raise ConfigError(f"hmm.start has the states {states}: each is one letter, such as H; . marks none.")
        tables = {"start": {"": start}, "transition": transition, "emission": emission}
        allowed = {"start": states, "transition": states, "emission": list(letters.letters)}
        arrays = {}
        for name, rows in tables.items():
            wanted = [""] if name == "start" else states
            if sorted(map(str, rows)) != sorted(wanted):
                raise ConfigError(f"hmm.{name} has rows for {list(rows)}: one for each of {states} is needed.")
            named = {str(row): table for row, table in rows.items()}
            arrays[name] = np.array(
                [_row(f"hmm.{name}.{row}".rstrip("."), named[row], allowed[name]) for row in wanted]
            )
        return cls("".join(states), arrays["start"][0], arrays["transition"], arrays["emission"], letters)

    def staying(self, stay: float) -> Self:
        """Return the model with one probability of staying in a state; what is left is shared out as before.

        Raises:
            ConfigError: `stay` is not a probability below 1, or a state that is never left would have to be.
        """
        leaving = self.transition * (1 - np.eye(len(self.states)))
        total = leaving.sum(axis=1, keepdims=True)
        if not 0 <= stay < 1 or not (total > 0).all():
            raise ConfigError(f"data.stay={stay}: at least 0 and below 1, of states that can be left.")
        return replace(self, transition=(1 - stay) * leaving / total + stay * np.eye(len(self.states)))

    def simulate(self, count: int, length: int, seed: int) -> tuple[Codes, Ints]:
        """Draw sequences; a seed gives the same ones on every platform.

        Args:
            count: `N`.
            length: `L`.
            seed: Of everything drawn.

        Returns:
            Base codes `(N, L)` and states `(N, L)`.
        """
        rng = np.random.default_rng(seed)
        steps, letters = (np.cumsum(table, axis=1)[:, :-1] for table in (self.transition, self.emission))
        states = np.empty((count, length), np.int64)
        codes = np.empty((count, length), np.uint8)
        limits = np.tile(np.cumsum(self.start)[:-1], (count, 1))
        for at in range(length):
            states[:, at] = (rng.random((count, 1)) >= limits).sum(axis=1)
            codes[:, at] = (rng.random((count, 1)) >= letters[states[:, at]]).sum(axis=1)
            limits = steps[states[:, at]]
        return codes, states

    def filtered(self, codes: Codes) -> Floats:
        """Return the probability of each state given the bases up to its own, `(N, L, S)`, of base codes `(N, L)`.

        A code that is not a letter, such as of an ambiguous base, says nothing.
        """
        likelihood = self._likelihood(codes)
        found = np.empty_like(likelihood)
        expected = np.tile(self.start, (len(codes), 1))
        for at in range(codes.shape[1]):
            found[:, at] = _normalised(expected * likelihood[:, at])
            expected = found[:, at] @ self.transition
        return found

    def posterior(self, codes: Codes) -> Floats:
        """Return the probability of each state given the whole sequence, `(N, L, S)`, by forward-backward."""
        likelihood, found = self._likelihood(codes), self.filtered(codes)
        after = np.ones((len(codes), len(self.states)))
        for at in range(codes.shape[1] - 1, -1, -1):
            found[:, at] = _normalised(found[:, at] * after)
            after = _normalised((likelihood[:, at] * after) @ self.transition.T)
        return found

    def viterbi(self, codes: Codes) -> Floats:
        """Return the most probable path of states, 1 where it goes and 0 elsewhere, `(N, L, S)`."""
        with np.errstate(divide="ignore"):
            start, steps, likelihood = np.log(self.start), np.log(self.transition), np.log(self._likelihood(codes))
        count, length = codes.shape
        best = start + likelihood[:, 0] if length else np.zeros((count, len(self.states)))
        origins = np.zeros((length, count, len(self.states)), np.int64)
        for at in range(1, length):
            ways = best[:, :, None] + steps  # (N, from, to)
            origins[at] = ways.argmax(axis=1)
            best = ways.max(axis=1) + likelihood[:, at]
        found, rows, last = np.zeros(likelihood.shape), np.arange(count), best.argmax(axis=1)
        for at in range(length - 1, -1, -1):
            found[rows, at, last] = 1.0
            last = origins[at][rows, last]
        return found

    def lookup(self, codes: Codes) -> Floats:
        """Return the probability of each state given its own base alone, `(N, L, S)`, wherever the base stands."""
        return _normalised(self.frequencies(codes.shape[1]) * self._likelihood(codes))

    def majority(self, codes: Codes) -> Floats:
        """Return how frequent each state is, `(N, L, S)`, the same at every base."""
        return np.broadcast_to(self.frequencies(codes.shape[1]), (*codes.shape, len(self.states))).copy()

    def frequencies(self, length: int) -> Floats:
        """Return the expected share of each state among so many bases, `(S,)`."""
        now, total = self.start, np.zeros(len(self.states))
        for _ in range(length):
            total, now = total + now, now @ self.transition
        return total / max(1, length)

    def ceilings(self, sequences: Sequence[Codes]) -> dict[str, Floats]:
        """Return what can be said of base codes `(L,)` with the true parameters, each `(N, longest L, S)`.

        Past the end of a shorter sequence the numbers mean nothing.
        """
        padded = np.full((len(sequences), max(map(len, sequences), default=0)), len(self.alphabet), np.uint8)
        for row, codes in zip(padded, sequences, strict=True):
            row[: len(codes)] = codes
        known = {"posterior": self.posterior, "filter": self.filtered, "viterbi": self.viterbi}
        known |= {"lookup": self.lookup, "majority": self.majority}
        return {name: ceiling(padded) for name, ceiling in known.items()}

    def _likelihood(self, codes: Codes) -> Floats:
        """Probability of each base in each state, `(N, L, S)`."""
        table = np.concatenate([self.emission, np.ones((len(self.states), 1))], axis=1)
        likelihood: Floats = table.T[np.minimum(codes, len(self.alphabet))]
        return likelihood


def _normalised(weights: Floats) -> Floats:
    shares: Floats = weights / weights.sum(axis=-1, keepdims=True)
    return shares


def _row(where: str, table: Table, allowed: Sequence[str]) -> list[float]:
    """Read one distribution over the allowed names."""
    known: dict[str, Any] = {str(name): value for name, value in table.items()}
    if unknown := sorted(set(known) - set(allowed)):
        raise ConfigError(f"{where} names {unknown[0]!r}: known are {', '.join(allowed)}.")
    row = [known.get(name, 0.0) for name in allowed]
    if any(isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1 for value in row):
        raise ConfigError(f"{where}={known}: probabilities from 0 to 1 are needed.")
    if abs(sum(row) - 1) > _ROUNDING:
        raise ConfigError(f"{where}={known}: probabilities add up to {sum(row):g}, not to 1.")
    return row
