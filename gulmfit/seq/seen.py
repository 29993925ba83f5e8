"""Which texts have been seen, in about 12 bytes for each: hashes of 8 bytes instead of the texts."""

import numpy as np
import numpy.typing as npt

_PENDING = 1 << 14  # hashes that wait in a set, which takes some 100 bytes for each
_MASK = (1 << 64) - 1

Hashes = npt.NDArray[np.uint64]


class SeenTexts:
    """A set that tells whether a text may have come before.

    Two texts share a hash in one of 2^64 pairs, so that of 100 million texts one is wrongly suspected in one of 4,000
    cases: whoever is told that a text came before looks whether it did. A text that did is told at once, or some
    `16,384` texts later.
    """

    def __init__(self) -> None:
        self._pending: dict[int, int] = {}
        self._runs: list[Hashes] = []  # sorted, each more than twice as long as the next

    def add(self, text: str, number: int) -> list[int]:
        """Take in a text.

        Args:
            text: The text.
            number: What it is called in answers.

        Returns:
            The numbers of texts, this one or earlier ones, that may have come before.
        """
        key = hash(text) & _MASK
        if self._pending.setdefault(key, number) != number:
            return [number]
        return self.settle() if len(self._pending) >= _PENDING else []

    def settle(self) -> list[int]:
        """Compare the texts that wait with all that came before; returns as `add` does. Call it at the end."""
        if not self._pending:
            return []
        keys = np.fromiter(self._pending, np.uint64, len(self._pending))
        keys.sort()
        found: list[int] = []
        for run in self._runs:
            places = np.searchsorted(run, keys)
            places[places == len(run)] = 0
            found += [self._pending[key] for key in keys[run[places] == keys].tolist()]
        while self._runs and len(self._runs[-1]) <= 2 * len(keys):
            keys = np.concatenate([self._runs.pop(), keys])
            keys.sort()
        self._runs.append(keys)
        self._pending.clear()
        return sorted(found)
