"""How a model reads letters: learned once, and held to wherever the model is used."""

import logging
from typing import NamedTuple

from gulmfit.errors import ConfigError, SequenceError
from gulmfit.seq.alphabet import CASES, DNA, Alphabet, Codes, encode

logger = logging.getLogger(__name__)

AMBIGUITIES = ("split", "unk", "error")

_DNA_LETTERS = b"ACGTUN"


class Letters(NamedTuple):
    """The policies of letters; those of models that do not say are the defaults."""

    case: str = "upper"
    """`upper` reads lower-case letters like capitals, `mask` as ambiguous ones."""
    ambiguity: str = "split"
    """What ambiguous letters do: `split` cuts a genome there, `unk` reads them as unknown, `error` refuses them. A
    sequence cannot be cut: `split` reads it as `unk` does."""

    def checked(self) -> "Letters":
        """Return the policies; raise ConfigError if one is unknown."""
        for name, value, known in (("case", self.case, CASES), ("ambiguity", self.ambiguity, AMBIGUITIES)):
            if value not in known:
                raise ConfigError(f"{name}={value!r} is no policy of letters; choose one of {', '.join(known)}.")
        return self

    def asked(self, case: str = "", ambiguity: str = "") -> "Letters":
        """Return these policies, or others that are asked for, which the log then says; ConfigError if unknown."""
        chosen = Letters(case or self.case, ambiguity or self.ambiguity).checked()
        for name, own, other in zip(self._fields, self, chosen, strict=True):
            if own != other:
                logger.warning("%s=%s is asked for, and the model has learned with data.%s=%s", name, other, name, own)
        return chosen

    def compared(self, theirs: "Letters", source: str) -> None:
        """Say in the log where a model that this one starts from reads letters in another way."""
        for name, own, other in zip(self._fields, self, theirs, strict=True):
            if own != other:
                logger.warning("%s has learned with data.%s=%s, and this run has %s", source, name, other, own)

    def encode(self, sequence: str, where: str, alphabet: Alphabet = DNA) -> Codes:
        """Turn letters into codes under these policies.

        Raises:
            SequenceError: If a letter is outside the alphabet, or ambiguous where that is refused.
        """
        codes = encode(sequence, case=self.case, where=where, alphabet=alphabet)
        if self.ambiguity == "error" and codes.size and codes.max() == len(alphabet):
            position = int(codes.argmax())
            raise SequenceError(
                f"{where}, position {position}: {sequence[position]!r} is ambiguous, which this model has learned to "
                "refuse. Leave the sequence out, or give ambiguity=unk to read such letters as unknown."
            )
        return codes


DEFAULT = Letters()


class LetterCounts:
    """What the letters of many sequences say together: whether there are any, and whether proteins are DNA."""

    def __init__(self, alphabet: Alphabet) -> None:
        self.records = 0
        self._alphabet = alphabet
        self._known = alphabet.letters.encode("ascii")
        self._blank = 0
        self._like_dna = not alphabet.complements

    def add(self, sequence: str) -> None:
        """Take a clean sequence into account."""
        self.records += 1
        text = sequence.encode("ascii")
        self._blank += not text.translate(None, text.translate(None, self._known))
        self._like_dna = self._like_dna and not text.translate(None, _DNA_LETTERS)

    def warn(self, source: str) -> None:
        """Warn of what was found, naming `source`."""
        if self._blank:
            logger.warning(
                "%s: %d of %d records hold no known letter, only ambiguous ones such as N: what is said of them is "
                "said of nothing",
                source, self._blank, self.records,
            )  # fmt: skip
        if self._like_dna and self.records:
            logger.warning(
                "%s: all letters of all %d records are among ACGTUN, which is DNA, and they are read as proteins. If "
                "they are DNA, give proteins, or a model of DNA",
                source, self.records,
            )  # fmt: skip
