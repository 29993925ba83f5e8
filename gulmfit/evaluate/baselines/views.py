"""What a baseline sees of sequences, described so that a saved baseline sees the same again.

Shapes: `N` sequences, `P` features.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gulmfit.evaluate.baselines import inputs
from gulmfit.seq.alphabet import DNA, Alphabet, alphabet_named

FEATURES: dict[str, Callable[..., Any]] = {
    "length": inputs.length_features,
    "gc": inputs.gc_features,
    "kmers": inputs.kmer_features,
    "words": inputs.word_features,
    "onehot": inputs.onehot_features,
    "positions": inputs.positional_features,
    "letters": inputs.letter_features,
    "spectrum": inputs.spectrum_features,
    "gapped": inputs.gapped_features,
}

_CHUNK = 4096  # sequences whose features are held at once


@dataclass(frozen=True)
class View:
    """Features of one kind.

    Args:
        features: A name in `FEATURES`.
        alphabet: What the letters are.
        options: Further arguments of the function that makes the features; plain numbers and truth values.
    """

    features: str
    alphabet: Alphabet = DNA
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, sequences: Sequence[str]) -> Any:
        """Give the features (N, P), dense or sparse."""
        make = FEATURES[self.features]
        known = {"alphabet": self.alphabet} if "alphabet" in inspect.signature(make).parameters else {}
        return make(sequences, **known, **self.options)

    def chunks(self, sequences: Sequence[str]) -> Iterator[Any]:
        """Yield the features of as many sequences as are held at once."""
        for start in range(0, len(sequences), _CHUNK):
            yield self(sequences[start : start + _CHUNK])

    def whole(self, sequences: Sequence[str]) -> Any:
        """Give the features (N, P) of all sequences, made chunk by chunk."""
        from scipy.sparse import issparse, vstack

        parts = list(self.chunks(sequences))
        return vstack(parts, format="csr") if issparse(parts[0]) else np.concatenate(parts)

    def to_dict(self) -> dict[str, Any]:
        """Describe the view in plain words and numbers."""
        return {"features": self.features, "alphabet": self.alphabet.name, "options": dict(self.options)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "View":
        """Make a view from what `to_dict` gave."""
        return cls(content["features"], alphabet_named(content["alphabet"]), content["options"])
