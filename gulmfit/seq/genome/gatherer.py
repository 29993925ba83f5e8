"""What a genome store knows of the sequences that go into it: contigs, ambiguous runs, letter counts."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gulmfit.seq.alphabet import DNA, Alphabet, Codes, encode


@dataclass(frozen=True, slots=True)
class Contig:
    """One sequence of a store: record id, file ("" in memory), start in the store, length in bases."""

    name: str
    path: str
    start: int
    length: int


class Gatherer:
    """Collects contigs, runs and letter counts while sequences are encoded one after another."""

    def __init__(self, case: str, alphabet: Alphabet = DNA) -> None:
        self.case, self.alphabet = case, alphabet
        every = alphabet.letters + alphabet.unknown
        self._commonest_first = "".join(
            dict.fromkeys(every + every.lower() + alphabet.every_letter + alphabet.every_letter.lower())
        )
        self.contigs: list[Contig] = []
        self.size = 0
        self._runs: list[npt.NDArray[np.int64]] = [np.empty((0, 2), dtype=np.int64)]
        self._seen: Counter[str] = Counter()

    def add(self, name: str, path: str, sequence: str | bytes, start: int = 0) -> Codes:
        """Encode a sequence, or its next piece where `start` is not 0."""
        where = f"{path}, record {name!r}" if path else f"record {name!r}"
        codes = encode(sequence, case=self.case, where=where, start=start, alphabet=self.alphabet)
        letters = sequence.encode("ascii") if isinstance(sequence, str) else sequence
        self._seen.update(_count_letters(letters, self._commonest_first))
        if codes.max() == len(self.alphabet):
            self._runs.append(_ambiguous_runs(codes == len(self.alphabet)) + self.size)
        if start:
            self.contigs[-1] = replace(self.contigs[-1], length=start + codes.size)
        else:
            self.contigs.append(Contig(name, path, self.size, codes.size))
        self.size += codes.size
        return codes

    def runs(self) -> npt.NDArray[np.int64]:
        """Return the maximal runs of ambiguous bases, [start, end) rows in store coordinates."""
        runs = np.concatenate(self._runs)
        # Two pieces of a contig, but not two contigs, may share a run.
        contig_starts = np.array([contig.start for contig in self.contigs], dtype=np.int64)
        shared = np.flatnonzero((runs[1:, 0] == runs[:-1, 1]) & ~np.isin(runs[1:, 0], contig_starts))
        return np.stack([np.delete(runs[:, 0], shared + 1), np.delete(runs[:, 1], shared)], axis=1)

    def counts(self) -> dict[str, int]:
        """Return how often each letter occurs, and how many letters are lower-case."""
        letters = self.alphabet.every_letter
        # A stop, *, has no case.
        lower = {letter: self._seen[letter.lower()] if letter.isalpha() else 0 for letter in letters}
        seen = {letter: self._seen[letter] + lower[letter] for letter in letters}
        counts = {letter: count for letter, count in seen.items() if count or letter in self.alphabet.letters}
        return {**counts, "lower_case": sum(lower.values())}


def _count_letters(sequence: bytes, kinds: str) -> Counter[str]:
    """Count letters, kind after kind and the commonest first, until none is left."""
    # Few kinds occur, and to compare with each is far quicker than a histogram: numpy widens what it counts.
    letters, counts = np.frombuffer(sequence, dtype=np.uint8), Counter[str]()
    for letter in kinds:
        counts[letter] = int(np.count_nonzero(letters == ord(letter)))
        if counts.total() == letters.size:
            break
    return counts


def _ambiguous_runs(ambiguous: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Find the maximal runs of ambiguous letters (L,), as [start, end) rows."""
    edges = np.flatnonzero(np.diff(ambiguous, prepend=False, append=False))
    return edges.astype(np.int64).reshape(-1, 2)
