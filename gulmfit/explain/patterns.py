"""What explanations of many sequences have in common: words in their strongest places, and where those lie.

Shape letters: `N` sequences, `L` bases.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gulmfit.explain.attribution import Attribution, Floats
from gulmfit.seq.alphabet import Alphabet, Codes, decode, reverse_complement_text

WINDOW_BP = 8


class Word(NamedTuple):
    """A word that explanations share."""

    word: str
    share: float
    """Of the sequences: those in whose strongest window it lies, on either strand."""
    chance: float
    """The same for windows anywhere in these sequences."""


def strongest_words(attributions: Sequence[Attribution], output: int, alphabet: Alphabet, count: int = 5) -> list[Word]:
    """Return the words that lie in the strongest windows of sequences most often beyond chance.

    A window has `WINDOW_BP` bases, and the strongest one contributes most to the score. Words that differ in one
    strand alone are one; of nucleotides they have 6 letters, of proteins 3.
    """
    size = 6 if alphabet.complements else 3
    share: dict[str, float] = defaultdict(float)
    chance: dict[str, float] = defaultdict(float)
    used = 0
    for one in attributions:
        codes, gained = one.record.codes, one.contributions[output]
        windows = len(codes) - WINDOW_BP + 1
        if windows < 1:
            continue
        used += 1
        words = _words(codes, size, alphabet)
        best = int(np.convolve(gained, np.ones(WINDOW_BP), "valid").argmax())
        span = WINDOW_BP - size + 1
        for word in set(words[best : best + span]):
            share[word] += 1
        places: dict[str, set[int]] = defaultdict(set)
        for place, word in enumerate(words):
            places[word].update(range(max(0, place - span + 1), min(windows, place + 1)))
        for word, starts in places.items():
            chance[word] += len(starts) / windows
    found = [Word(word, number / used, chance[word] / used) for word, number in share.items() if word]
    return sorted(found, key=lambda one: (one.chance - one.share, one.word))[:count]


def _words(codes: Codes, size: int, alphabet: Alphabet) -> list[str]:
    """Return the word at each base, the first of both strands; empty where a base is ambiguous."""
    text = decode(codes, alphabet)
    words = [text[place : place + size] for place in range(len(text) - size + 1)]
    known = [word if alphabet.unknown not in word else "" for word in words]
    if not alphabet.complements:
        return known
    return [min(word, reverse_complement_text(word, alphabet)) if word else "" for word in known]


class Profile(NamedTuple):
    """Contributions by position, of sequences of one length."""

    mean: Floats
    """`(L,)`."""
    low: Floats
    """Of the middle 80 % of sequences, `(L,)`."""
    high: Floats
    start: int
    """Of the shortest interval in which half of what speaks for the output lies, `[start, end)`."""
    end: int


def profile(attributions: Sequence[Attribution], output: int) -> Profile | None:
    """Return the contributions by position; None where sequences differ in length, or nothing speaks for the output."""
    rows = [one.contributions[output] for one in attributions]
    if not rows or len({len(row) for row in rows}) > 1:
        return None
    stacked = np.stack(rows)
    total = np.concatenate([[0.0], np.cumsum(stacked.clip(min=0).sum(0))])
    if not total[-1]:
        return None
    ends = np.searchsorted(total, total[:-1] + total[-1] / 2 - 1e-12 * total[-1])
    ends = np.where(ends < len(total), ends, 2 * len(total))
    start = int((ends - np.arange(len(ends))).argmin())
    low, high = np.quantile(stacked, (0.1, 0.9), axis=0)
    return Profile(stacked.mean(0), low, high, start, int(ends[start]))
