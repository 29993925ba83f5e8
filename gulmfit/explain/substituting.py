"""Methods that change bases and look at the score: saturation mutagenesis, and windows that are taken out.

Shape letters: `L` bases, `A` letters, `O` outputs, `N` versions, `T` tokens, `W` windows.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from gulmfit.errors import ConfigError
from gulmfit.explain.attribution import Attribution, Floats, Rows, padded, shuffles, substitutions
from gulmfit.explain.explained import Explained
from gulmfit.explain.prefixes import VersionScorer
from gulmfit.predict.predictor import Record
from gulmfit.seq.alphabet import Codes

# Tokens of the versions that stand in memory.
TOKENS_HELD = 1 << 22


class _Job:
    """Versions of a stretch of one record, and what becomes of their scores."""

    def __init__(self, record: int, codes: Codes, versions: Codes, take: Callable[[Floats, Floats], None]) -> None:
        self.record, self.codes, self.versions, self.take = record, codes, versions, take


class Substituting:
    """Base of both methods.

    Args:
        explained: The model.

    Attributes:
        scorer: Runs the model, and counts versions and tokens.
    """

    def __init__(self, explained: Explained) -> None:
        self.explained, self.scorer = explained, VersionScorer(explained)

    def _run(self, records: Sequence[Record], jobs: Iterator[_Job]) -> None:
        """Score the jobs of records, as many together as memory holds."""
        held: list[_Job] = []
        size = 0
        for job in jobs:
            cells = len(job.versions) * len(job.codes)
            if held and size + cells > TOKENS_HELD:
                self._score(records, held)
                held, size = [], 0
            held.append(job)
            size += cells
        if held:
            self._score(records, held)

    def _score(self, records: Sequence[Record], jobs: Sequence[_Job]) -> None:
        tokenizer, known = self.explained.tokenizer, sorted({job.record for job in jobs})
        originals = [tokenizer.encode(records[number].codes) for number in known]
        versions = [row for job in jobs for row in tokenizer.encode_rows(job.versions)]
        rows, lengths = padded([*originals, *versions], tokenizer.pad_id)
        places = {number: place for place, number in enumerate(known)}
        parents = np.concatenate([
            np.arange(len(known)), *(np.full(len(job.versions), places[job.record]) for job in jobs)
        ]).astype(np.int64)  # fmt: skip
        found = self.scorer.scores(rows[: len(known)], lengths[: len(known)], rows, lengths, parents)
        self.scorer.count(versions=len(versions))
        at = len(known)
        for job in jobs:
            job.take(found[places[job.record]], found[at : at + len(job.versions)])
            at += len(job.versions)


class Mutagenesis(Substituting):
    """Change every base to every other letter (saturation mutagenesis).

    A base contributes what the score loses on average where it becomes another one. Of a language model it contributes
    its information, in bits: how much likelier it is, given the rest of its sequence, than if nothing were known.
    """

    def explain(self, records: Sequence[Record]) -> list[Attribution]:
        """Explain some records together."""
        letters, outputs = len(self.explained.tokenizer.alphabet), len(self.explained.names)
        effects = [np.zeros((outputs, len(record.codes), letters)) for record in records]
        scores = np.zeros((len(records), outputs))
        self._run(records, self._jobs(records, letters, effects, scores))
        return [
            Attribution(record, own, self._contributions(record, changes), changes, np.full(outputs, np.nan))
            for record, own, changes in zip(records, scores, effects, strict=True)
        ]

    def _jobs(self, records: Sequence[Record], letters: int, effects: list[Floats], scores: Floats) -> Iterator[_Job]:
        for number, record in enumerate(records):
            length = len(record.codes)
            step = max(1, TOKENS_HELD // (letters * length))
            for start in range(0, length, step):
                versions, places, changed = substitutions(record.codes, letters, start, min(start + step, length))

                def take(
                    own: Floats, found: Floats, number: int = number, places: Rows = places, changed: Rows = changed
                ) -> None:
                    scores[number] = own
                    effects[number][:, places, changed] = (found - own).T

                yield _Job(number, record.codes, versions, take)

    def _contributions(self, record: Record, effects: Floats) -> Floats:
        letters = effects.shape[2]
        known = record.codes < letters
        if self.explained.language:
            bits: Floats = np.log2(letters) - np.logaddexp.reduce(effects, axis=2) / np.log(2)
            return np.where(known, bits, 0.0)
        loss: Floats = -effects.sum(2) / np.where(known, letters - 1, letters)
        return loss


class Deletion(Substituting):
    """Take windows of bases out, and put bases of shuffles, or unknown ones, in their place.

    A base contributes what the score loses, on average over the windows that it lies in.

    Args:
        explained: The model.
        width: Bases of a window.
        fill: `shuffle` or `unknown`.
        count: Shuffles, whose scores are averaged.
        seed: Of the shuffles.

    Raises:
        ConfigError: The width is below 1, or the model refuses unknown bases.
    """

    def __init__(self, explained: Explained, *, width: int = 10, fill: str = "shuffle", count: int = 8, seed: int = 0):
        super().__init__(explained)
        if width < 1:
            raise ConfigError(f"width={width}: a window has 1 base or more.")
        if fill == "unknown" and explained.letters.ambiguity == "error":
            raise ConfigError("fill=unknown: the model refuses ambiguous bases (ambiguity=error). Give fill=shuffle.")
        self.width, self.fill, self.count, self.seed = width, fill, count, seed

    def explain(self, records: Sequence[Record]) -> list[Attribution]:
        """Explain some records together."""
        outputs = len(self.explained.names)
        found: list[list[tuple[Rows, Floats]]] = [[] for _ in records]
        scores = np.zeros((len(records), outputs))
        self._run(records, self._jobs(records, found, scores))
        attributions = []
        for record, own, parts in zip(records, scores, found, strict=True):
            lost, covered = np.zeros((outputs, len(record.codes))), np.zeros(len(record.codes))
            for starts, losses in parts:
                for start, loss in zip(starts, losses, strict=True):
                    lost[:, start : start + self.width] += loss[:, None]
                    covered[start : start + self.width] += 1
            attributions.append(Attribution(record, own, lost / covered, None, np.full(outputs, np.nan)))
        return attributions

    def starts(self, length: int) -> Rows:
        """Return where windows start: at every quarter of a window, and one at the end."""
        last = max(0, length - self.width)
        return np.unique([*range(0, last, max(1, self.width // 4)), last]).astype(np.int64)

    def _jobs(
        self, records: Sequence[Record], found: list[list[tuple[Rows, Floats]]], scores: Floats
    ) -> Iterator[_Job]:
        tokenizer = self.explained.tokenizer
        for number, record in enumerate(records):
            codes = record.codes
            if self.fill == "unknown":
                fills = [np.full_like(codes, len(tokenizer.alphabet))]
            else:
                fills = shuffles(codes, self.count, tokenizer, self.seed)
            every = self.starts(len(codes))
            at_once = max(1, TOKENS_HELD // (len(fills) * len(codes)))
            for part in np.split(every, range(at_once, len(every), at_once)):
                versions = np.repeat(codes[None], len(part) * len(fills), axis=0)
                for row, (start, fill) in zip(versions, ((s, f) for s in part for f in fills), strict=True):
                    row[start : start + self.width] = fill[start : start + self.width]

                def take(
                    own: Floats, values: Floats, number: int = number, part: Rows = part, fills: int = len(fills)
                ) -> None:
                    scores[number] = own
                    found[number].append((part, own - values.reshape(len(part), fills, -1).mean(1)))

                yield _Job(number, codes, versions, take)
