"""How a sub-word tokenizer comes about: learned from a sample of a corpus, or read from a file."""

import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gulmfit.errors import TokenizerError
from gulmfit.seq.alphabet import DNA, Alphabet, Codes, alphabet_named, decode, encode, reverse_complement
from gulmfit.seq.tokens.subword import KINDS, SubwordTokenizer, tokenizers_library
from gulmfit.seq.tokens.tokenizer import SPECIAL, Tokenizer

logger = logging.getLogger(__name__)

Corpus = Sequence[Codes] | Sequence[str]
"""Stretches of a corpus, in base codes (also memory-mapped) or in letters."""

SAMPLE_BASES = 512  # in a stretch of the sample: the time of both trainers grows with it
SCORE_DECIMALS = 6  # sums in another order differ in the last digits, which would make each document another one
TRAIN_BASES = {"bpe": 4_000_000, "unigram": 500_000}


@dataclass(kw_only=True)
class SubwordRecipe:
    """What sub-word tokens to make.

    Args:
        kind: `bpe` merges the commonest pair of neighbouring pieces again and again; `unigram` starts from many pieces
            and drops those that the likelihood of the corpus misses least.
        vocab_size: Size of the vocabulary, the 3 special tokens included.
        path: A `tokenizer.json` to use instead of learning one.
        train_bases: Bases of the corpus to learn from, drawn at random, both strands counted; by default 4,000,000 for
            `bpe` and 500,000 for `unigram`, whose training grows faster than they do.
        max_bases: Bases of the longest piece.
        alphabet: Name of the letters: `dna`, `rna` or `protein`.

    Raises:
        TokenizerError: If a setting is out of range.
        ConfigError: If the alphabet is unknown.
    """

    kind: str = "bpe"
    vocab_size: int = 512
    path: str | None = None
    train_bases: int | None = None
    max_bases: int = 16
    alphabet: str = DNA.name

    def __post_init__(self) -> None:
        if self.kind not in KINDS.values():
            raise TokenizerError(f"tokenizer.kind={self.kind!r} is unknown; choose {' or '.join(KINDS.values())}.")
        letters = self._letters
        least = len(SPECIAL) + len(letters) + 1
        if not isinstance(self.vocab_size, int) or self.vocab_size < least:
            raise TokenizerError(
                f"tokenizer.vocab_size={self.vocab_size}: {least} or more are needed: {len(SPECIAL)} special tokens, "
                f"{len(letters)} letters and a piece."
            )
        for name, value, lowest in (("max_bases", self.max_bases, 2), ("train_bases", self.train_bases, SAMPLE_BASES)):
            if value is not None and (not isinstance(value, int) or value < lowest):
                raise TokenizerError(f"tokenizer.{name}={value}: {lowest} bases or more are needed.")

    @property
    def _letters(self) -> Alphabet:
        return alphabet_named(self.alphabet)

    def read(self) -> SubwordTokenizer:
        """Read the tokenizer of `path`; raise TokenizerError if that cannot be read, or is of another kind."""
        where = f"tokenizer.path={self.path}"
        try:
            text = Path(str(self.path)).expanduser().read_text(encoding="utf-8")
            return self.accept(SubwordTokenizer(text, self.alphabet), where)
        except (OSError, UnicodeDecodeError) as error:
            raise TokenizerError(f"{where} cannot be read: {error}. Give a tokenizer.json.") from error
        except TokenizerError as error:
            raise TokenizerError(str(error) if str(error).startswith(where) else f"{where}: {error}") from error

    def accept(self, tokenizer: Tokenizer, where: str) -> SubwordTokenizer:
        """Return a tokenizer that was made elsewhere; raise TokenizerError if it is of another kind or alphabet."""
        asked = (self.kind, self._letters)
        if isinstance(tokenizer, SubwordTokenizer) and (tokenizer.kind, tokenizer.alphabet) == asked:
            return tokenizer
        raise TokenizerError(
            f"{where} has {tokenizer!r}; this run asks for {self.kind} pieces of {self.alphabet} letters: their tokens "
            f"mean different things. Set {tokenizer.settings()}, or give a model or file with such pieces."
        )

    def learn(self, corpus: Corpus, *, strands: str = "both", seed: int = 0) -> SubwordTokenizer:
        """Learn the pieces from a sample of a corpus; the same corpus and seed give the same tokenizer.

        Args:
            corpus: Stretches to draw from: the training part, never what a model is judged on.
            strands: `both` or `forward`; both where the alphabet has no other strand is forward.
            seed: Of the sample.

        Raises:
            TokenizerError: If the corpus has nothing to learn from, or too little for the vocabulary.
        """
        both = strands == "both" and bool(self._letters.complements)
        wanted = (self.train_bases or TRAIN_BASES[self.kind]) // (2 if both else 1)
        texts = [text for codes in _sample(corpus, wanted, self._letters, seed) for text in self._spell(codes, both)]
        bases = sum(map(len, texts))
        if not bases:
            raise TokenizerError("there is no unambiguous base to learn sub-words from. Give more sequence.")
        logger.info("learning %s sub-words from %s bases", self.kind, f"{bases:,}")
        learned = SubwordTokenizer(_reproducible(self._train(texts), self._letters), self.alphabet)
        if len(learned) < self.vocab_size:
            logger.warning("%s bases gave %d of the %d tokens asked for", f"{bases:,}", len(learned), self.vocab_size)
        return learned

    def _spell(self, codes: Codes, both: bool) -> Iterator[str]:
        """Spell the unambiguous stretches of a piece of the sample, and those of its other strand."""
        for strand in (codes, reverse_complement(codes, self._letters)) if both else (codes,):
            yield from filter(None, decode(strand, self._letters).split(self._letters.unknown))

    def _train(self, texts: Sequence[str]) -> str:
        """Train the library's model and return its document."""
        tokenizers = tokenizers_library()
        options: dict[str, Any] = {
            "vocab_size": self.vocab_size,
            "special_tokens": list(SPECIAL),
            "initial_alphabet": list(self._letters.letters),
            "show_progress": False,
        }
        unknown = SPECIAL[Tokenizer.unk_id]
        if self.kind == "bpe":
            tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token=unknown))
            # The library's limit is the first length that it does not make.
            trainer = tokenizers.trainers.BpeTrainer(**options, max_token_length=self.max_bases + 1)
        else:
            tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram())
            trainer = tokenizers.trainers.UnigramTrainer(**options, unk_token=unknown, max_piece_length=self.max_bases)
        try:
            with _one_thread():
                tokenizer.train_from_iterator(texts, trainer)
        except Exception as error:  # the library raises nothing more particular
            raise TokenizerError(
                f"{sum(map(len, texts)):,} bases cannot give {self.vocab_size} {self.kind} tokens: {error}. Lower "
                "tokenizer.vocab_size, or give more sequence."
            ) from error
        return str(tokenizer.to_str())


def _reproducible(document: str, alphabet: Alphabet) -> str:
    """Make a trained document the same in every run, and every letter a piece of it."""
    content = json.loads(document)
    model = content["model"]
    if model["type"] == "Unigram":
        scores = {piece: round(score, SCORE_DECIMALS) for piece, score in model["vocab"] if piece not in SPECIAL}
        lowest = min(scores.values())
        scores |= {letter: lowest for letter in alphabet.letters if letter not in scores}
        model["vocab"] = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return json.dumps(content)


def _sample(corpus: Corpus, wanted: int, alphabet: Alphabet, seed: int) -> Iterator[Codes]:
    """Draw stretches of up to `SAMPLE_BASES` bases from a corpus, about `wanted` bases or all there are."""
    lengths = np.array([len(item) for item in corpus], dtype=np.int64)
    edges = np.concatenate([[0], np.cumsum(-(-lengths // SAMPLE_BASES))])
    stretches, bases = int(edges[-1]), int(lengths.sum())
    count = min(stretches, -(-wanted * stretches // max(1, bases)))
    if not count:
        return
    drawn = np.random.default_rng(seed).choice(stretches, count, replace=False, shuffle=False)
    for number in np.sort(drawn):
        index = int(np.searchsorted(edges, number, side="right")) - 1
        start = int(number - edges[index]) * SAMPLE_BASES
        stretch = corpus[index][start : start + SAMPLE_BASES]
        yield encode(stretch, alphabet=alphabet) if isinstance(stretch, str) else np.asarray(stretch)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let the library add up in one order, whatever the machine."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
