"""Sub-word tokens: pieces of bases of any length, learned from a corpus; byte-pair encoding or a unigram model.

Shape letters: `L` bases, `T` tokens, `V` vocabulary.

    bases    A C G T T A C G N N N A C | G T …       a chunk ends, and with it a token, every 4096 bases
    tokens   [ACG][TTA][CG][ unk ][AC] | [GT] …

Tokens tile the sequence: they neither overlap nor leave a base out. A run of ambiguous bases is one token `unk`; at the
border of a chunk it is cut, as everything is. Chunks bound what a long sequence costs, and they are part of the
tokenizer's own document, so that the library alone cuts every sequence as it is cut here.

Source: Sennrich, Haddow & Birch 2016 (BPE), Kudo 2018 (Unigram), as the library `tokenizers` has them.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from gulmfit import libraries
from gulmfit.errors import TokenizerError
from gulmfit.seq.alphabet import DNA, Alphabet, Codes, alphabet_named, decode, encode
from gulmfit.seq.limits import parse_json
from gulmfit.seq.tokens.tokenizer import SPECIAL, Spans, Tokenizer, Tokens

KINDS = {"BPE": "bpe", "Unigram": "unigram"}

CHUNK_BASES = 4096
LARGEST_TABLE = 1 << 26  # pieces times letters of the longest: how large a table of them may be
_CHUNKS_AT_ONCE = 64  # enough to share among the processor's cores, little enough to hold in memory


class SubwordTokenizer(Tokenizer):
    """Cut a sequence of bases into learned pieces that do not overlap, left to right.

    Args:
        document: Text of a `tokenizer.json` of the library `tokenizers`. Its pieces, merges and scores are kept;
            special tokens become ours, and what it does to text before and after its model is left out.
        alphabet: Name of the letters: `dna`, `rna` or `protein`.

    Raises:
        TokenizerError: If the document is not a BPE or Unigram model, lacks a letter, or has pieces with letters that
            cannot occur; or if the library is missing.
        ConfigError: If the alphabet is unknown.
    """

    def __init__(self, document: str, alphabet: str = DNA.name) -> None:
        self.alphabet = alphabet_named(alphabet)
        self.kind, pieces, rules = _read(document, self.alphabet)
        self.pieces = [*SPECIAL, *pieces]
        self.document = _write(self.kind, pieces, rules, self.alphabet)
        self._library = tokenizers_library().Tokenizer.from_str(self.document)

    def __len__(self) -> int:
        return len(self.pieces)

    def __repr__(self) -> str:
        other = "" if self.alphabet == DNA else f", alphabet={self.alphabet.name!r}"
        return f"SubwordTokenizer({self.kind}, {len(self)} tokens, {self.digest[:12]}{other})"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the document: two tokenizers with the same one are the same."""
        return hashlib.sha256(self.document.encode("utf-8")).hexdigest()

    def spec(self) -> dict[str, Any]:
        other = {} if self.alphabet == DNA else {"alphabet": self.alphabet.name}
        return {"_target_": "gulmfit.seq.tokens.subword.SubwordTokenizer", "document": self.document, **other}

    def summary(self) -> dict[str, Any]:
        """Return what a record says of the tokenizer: everything but the document, which it names by its digest."""
        return {**self.spec(), "document": self.digest, "kind": self.kind, "vocab_size": len(self)}

    def settings(self) -> str:
        return f"tokenizer={self.kind}"

    def files(self) -> dict[str, str]:
        return {"tokenizer.json": self.document}

    def encode(self, codes: Codes) -> Tokens:
        blocks = [self._encode_block(codes[start:end]) for start, end in self.blocks(len(codes))]
        return np.concatenate(blocks) if blocks else np.empty(0, dtype=np.int32)

    def _encode_block(self, codes: Codes) -> Tokens:
        text = decode(codes, self.alphabet)
        if len(text) <= CHUNK_BASES:  # never by several threads: a process that forks later is not disturbed
            return np.array(self._library.encode(text, add_special_tokens=False).ids, dtype=np.int32)
        chunks = [text[start : start + CHUNK_BASES] for start in range(0, len(text), CHUNK_BASES)]
        encoded = self._library.encode_batch_fast(chunks, add_special_tokens=False)
        return np.concatenate([np.array(item.ids, dtype=np.int32) for item in encoded])

    def spans(self, codes: Codes) -> Spans:
        """Return the base span `[start, end)` of every token of base codes `(L,)`, `(T, 2)`; they tile the sequence."""
        ids = self.encode(codes)
        sizes = self.sizes()[ids]
        sizes[ids == self.unk_id] = _ambiguous_runs(codes >= len(self.alphabet))
        ends = np.cumsum(sizes)
        return np.stack([ends - sizes, ends], axis=1)

    def spell(self, token: int) -> str:
        self._check_token(token)
        return self.pieces[token]

    def bases(self) -> npt.NDArray[np.int64]:
        spelled = self.pieces[self.num_special :]
        table = np.full((len(self), max(map(len, spelled))), -1, dtype=np.int64)
        for row, piece in zip(table[self.num_special :], spelled, strict=True):
            row[: len(piece)] = encode(piece, alphabet=self.alphabet)
        return table

    def sizes(self) -> npt.NDArray[np.int64]:
        return self._sizes

    @cached_property
    def _sizes(self) -> npt.NDArray[np.int64]:
        return np.array([0] * self.num_special + [len(piece) for piece in self.pieces[self.num_special :]])

    def blocks(self, num_bases: int) -> Iterator[tuple[int, int]]:
        size = _CHUNKS_AT_ONCE * CHUNK_BASES
        return ((start, min(start + size, num_bases)) for start in range(0, num_bases, size))

    @property
    def overlap(self) -> int:
        """Bases that a token shares with the next one: none."""
        return 0

    @property
    def min_bases(self) -> int:
        """Bases of the shortest sequence that has a token: every letter is a piece."""
        return 1

    def __getstate__(self) -> dict[str, Any]:
        return self.spec()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["document"], state.get("alphabet", DNA.name))  # type: ignore[misc]


def tokenizers_library() -> Any:
    """Import the library that learns and applies sub-words; raise TokenizerError if it is not installed."""
    return libraries.library("tokenizers", "tokenize", "cutting sub-word tokens", TokenizerError)


def _ambiguous_runs(ambiguous: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the length of every run of true values in `(L,)`, runs cut at the borders of chunks."""
    begins = ambiguous.copy()
    begins[1:] &= ~ambiguous[:-1]
    begins[::CHUNK_BASES] = ambiguous[::CHUNK_BASES]
    seen = np.cumsum(ambiguous)
    # Between the first bases of two runs lie as many ambiguous bases as the former has.
    return np.diff(seen[begins], append=seen[-1:] + 1) if begins.any() else np.empty(0, dtype=np.int64)


def _read(document: str, alphabet: Alphabet) -> tuple[str, list[str], Sequence[Any]]:
    """Take the kind of a document's model, its pieces without special tokens, and its merges or scores."""
    try:
        content = parse_json(document)
        model = content["model"]
        special = {str(item["content"]) for item in content.get("added_tokens") or ()}
        kind = KINDS.get(str(model.get("type") or ("BPE" if "merges" in model else "")))
        if kind is None:
            raise TokenizerError(
                f"its model is {model.get('type')!r}. Give a BPE or Unigram model: those cut a sequence without spaces."
            )
        wrong = [key for key in ("continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "dropout")
                 if model.get(key)]  # fmt: skip
        if wrong:
            raise TokenizerError(f"its model has {', '.join(wrong)}: pieces of bases have none. Train it without.")
        if kind == "bpe":
            pieces = [piece for piece in sorted(model["vocab"], key=model["vocab"].__getitem__) if piece not in special]
            pairs = (item.split(" ") if isinstance(item, str) else item for item in model["merges"])
            rules: Sequence[Any] = [(str(left), str(right)) for left, right in pairs]
        else:
            rules = [(str(piece), float(score)) for piece, score in model["vocab"] if piece not in special]
            pieces = [piece for piece, _ in rules]
            if not all(math.isfinite(score) for _, score in rules):
                raise ValueError("a score is not a number")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise TokenizerError(f"no tokenizer.json of the library tokenizers, or damaged: {error!r}.") from error
    pieces = [piece for piece in pieces if piece not in SPECIAL]
    rules = [rule for rule in rules if rule[0] not in SPECIAL]
    _check_pieces(pieces, alphabet)
    return kind, pieces, rules


def _check_pieces(pieces: Sequence[str], alphabet: Alphabet) -> None:
    """Make sure that pieces can spell every sequence, and nothing else."""
    longest = max(map(len, pieces), default=0)
    if len(pieces) * longest > LARGEST_TABLE:
        raise TokenizerError(
            f"{len(pieces):,} pieces of up to {longest:,} letters: their table is too large. Use fewer or shorter ones."
        )
    missing = [letter for letter in alphabet.letters if letter not in pieces]
    foreign = sorted({letter for piece in pieces for letter in piece} - set(alphabet.letters))
    if not missing and not foreign:
        return
    found = []
    if missing:
        found.append(f"{', '.join(missing)} as pieces of their own are missing from its vocabulary")
    if foreign:
        example = next(piece for piece in pieces if set(piece) & set(foreign))
        shown = ", ".join(map(repr, foreign[:8])) + (", …" if len(foreign) > 8 else "")
        found.append(f"it has letters that cannot occur: {shown} (in {example!r}, for one)")
    raise TokenizerError(
        f"{'; '.join(found)}. Pieces are spelled in the capital letters {' '.join(alphabet.letters)} alone, with no "
        "mark of a word's start or end; other tokens must be declared special."
    )


def _write(kind: str, pieces: Sequence[str], rules: Sequence[Any], alphabet: Alphabet) -> str:
    """Write the document that makes the library cut every sequence as we do."""
    tokenizers = tokenizers_library()
    unknown = SPECIAL[Tokenizer.unk_id]
    try:
        if kind == "bpe":
            vocabulary: Mapping[str, int] = {piece: token for token, piece in enumerate([*SPECIAL, *pieces])}
            model = tokenizers.models.BPE(vocab=vocabulary, merges=rules, unk_token=unknown, fuse_unk=True)
        else:
            model = tokenizers.models.Unigram([*((name, 0.0) for name in SPECIAL), *rules], unk_id=Tokenizer.unk_id)
        made = tokenizers.Tokenizer(model)
    except Exception as error:  # the library raises nothing more particular
        raise TokenizerError(f"its merges or scores do not fit its vocabulary: {error}.") from error
    made.add_special_tokens(list(SPECIAL))
    cut = tokenizers.pre_tokenizers.Split
    made.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([
        cut(tokenizers.Regex(f"[A-Z]{{{CHUNK_BASES}}}"), "isolated"),
        cut(tokenizers.Regex(f"[^{alphabet.letters}]+"), "isolated"),
    ])  # fmt: skip
    made.decoder = tokenizers.decoders.Fuse()
    return str(made.to_str())
