"""What the letters of many sequences say together: whether there are any, and whether proteins are DNA."""

import logging

from gulmfit.seq.alphabet import Alphabet

_log = logging.getLogger(__name__)

_DNA_LETTERS = b"ACGTUN"


class LetterCounts:
    """Counts of sequences, one after the other.

    Args:
        alphabet: What the sequences are to be written in.
        case: How they are read (`gulmfit.seq.letters`).
    """

    def __init__(self, alphabet: Alphabet, case: str = "upper") -> None:
        self.records = 0
        self._case = case
        self._known = (alphabet.letters + alphabet.synonym[:1]).encode("ascii")
        self._blank = 0
        self._like_dna = not alphabet.complements

    def add(self, sequence: str) -> None:
        """Take the letters of a sequence into account."""
        self.records += 1
        text = sequence.encode("ascii", "replace")
        if self._case == "upper":
            text = text.upper()
        self._blank += not text.translate(None, text.translate(None, self._known))
        self._like_dna = self._like_dna and not text.translate(None, _DNA_LETTERS)

    def warn(self, source: str) -> None:
        """Warn of what was found, naming `source`."""
        if self._blank:
            _log.warning(
                "%s: %d of %d records hold no known letter, only ambiguous ones such as N: what is said of them is "
                "said of nothing",
                source, self._blank, self.records,
            )  # fmt: skip
        if self._like_dna and self.records:
            _log.warning(
                "%s: all letters of all %d records are among ACGTUN, which is DNA, and they are read as proteins. If "
                "they are DNA, give proteins, or a model of DNA",
                source, self.records,
            )  # fmt: skip
