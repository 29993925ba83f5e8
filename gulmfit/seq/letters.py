"""How a model reads letters: learned once, and held to wherever the model is used."""

import logging
from typing import NamedTuple

from gulmfit.errors import ConfigError, SequenceError
from gulmfit.seq.alphabet import CASES, DNA, Alphabet, Codes, encode

logger = logging.getLogger(__name__)

AMBIGUITIES = ("split", "unk", "error")


class Letters(NamedTuple):
    """The policies of letters; those of models that do not say are the defaults."""

    case: str = "upper"
    """`upper` reads lower-case letters like capitals, `mask` as ambiguous ones."""
    ambiguity: str = "split"
    """What ambiguous letters do: `split` cuts a genome there, `unk` reads them as unknown, `error` refuses them. A
    sequence cannot be cut: `split` reads it as `unk` does."""

    def checked(self) -> "Letters":
        """Return the policies.

        Raises:
            ConfigError: If one is unknown.
        """
        for name, value, known in (("case", self.case, CASES), ("ambiguity", self.ambiguity, AMBIGUITIES)):
            if value not in known:
                raise ConfigError(f"{name}={value!r} is no policy of letters; choose one of {', '.join(known)}.")
        return self

    def asked(self, case: str = "", ambiguity: str = "") -> "Letters":
        """Return these policies, or others where they are asked for, which the log then says.

        Raises:
            ConfigError: If a policy is unknown.
        """
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
        return self.checked_codes(codes, where, alphabet, sequence)

    def checked_codes(self, codes: Codes, where: str, alphabet: Alphabet = DNA, sequence: str = "") -> Codes:
        """Return codes that were read under the same policy of case.

        Raises:
            SequenceError: If one is ambiguous where that is refused.
        """
        if self.ambiguity == "error" and codes.size and codes.max() == len(alphabet):
            position = int(codes.argmax())
            letter = sequence[position] if sequence else alphabet.unknown
            raise SequenceError(
                f"{where}, position {position}: {letter!r} is ambiguous, which this model has learned to refuse. Leave "
                "the sequence out, or give ambiguity=unk to read such letters as unknown."
            )
        return codes


DEFAULT = Letters()
