"""Choose a codon for every residue of a protein, among those that spell it.

Shape letters: `B` batch, `T` tokens, one a residue, `V` vocabulary, `C` classes, `K` codons of the residue
that has most.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from gulmfit.errors import ConfigError
from gulmfit.models.dropout import DropoutRates
from gulmfit.models.encoder import Encoder
from gulmfit.models.labeller import Labeller
from gulmfit.models.losses import PositionCrossEntropy

_STOP, _START, _START_RESIDUE = "*", "start", "M"
_KIND = "gulmfit.report.kinds.codon_choice.CodonChoice"


class CodonLabeller(Labeller):
    """Give each residue the logits of its own codons, `(B, T, K)`: minus infinity past the last of them.

    So no other codon can be chosen, whatever the weights are. A class is a residue with a codon, "K:AAA", and the
    classes of a residue stand next to each other; those of an M that begins a protein are "start:ATG" and the like. A
    token that spells no one residue has the codons of a stop, "*:TAA" and the like.

    Args:
        encoder, num_classes, kmer_bases, kmer_stride, dropout, hidden_size, alpha, beta: As of `Labeller`; the encoder
            reads whole proteins, if it is to know what follows a residue.
        class_names: Of the classes (C).
        letters: Of the residues, in the order of their tokens.
        num_special: Tokens before the first of them.

    Raises:
        ConfigError: Tokens are not single residues, or a residue has no class.
    """

    kind: ClassVar[str | type] = _KIND

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        kmer_bases: int | None,
        kmer_stride: int | None,
        class_names: Sequence[str],
        letters: str,
        num_special: int,
        dropout: DropoutRates | None = None,
        hidden_size: int = 128,
        alpha: float = 0.0,
        beta: float = 0.0,
    ) -> None:
        if (kmer_bases, kmer_stride) != (1, 1):
            raise ConfigError("head=codons reads one residue a token: tokenizer=kmer tokenizer.k=1 tokenizer.stride=1.")
        super().__init__(encoder, num_classes, 1, 1, dropout, hidden_size, None, alpha, beta)
        members: dict[str, list[int]] = {}
        for index, name in enumerate(class_names):
            members.setdefault(name.partition(":")[0], []).append(index)
        if {_STOP, _START, *letters} - set(members) or _START_RESIDUE not in letters:
            raise ConfigError("head=codons chooses among the codons of residues: data=codons with alphabet=protein.")
        width = max(map(len, members.values()))
        padded = {name: [*found, *[-1] * (width - len(found))] for name, found in members.items()}
        # Neither weights nor buffers: they follow from the names, and are there even where weights have no numbers.
        spelled = [padded[_STOP]] * num_special + [padded[letter] for letter in letters]
        self._options = torch.tensor(spelled, device="cpu")  # (V, K)
        self._starts = torch.tensor(padded[_START], device="cpu")  # (K,)
        places = [place for found in members.values() for place in range(len(found))]
        self._places = torch.tensor(places, device="cpu")  # (C,)
        self._start_token = num_special + letters.index(_START_RESIDUE)

    def forward(self, tokens: Tensor, lengths: Tensor, frozen: int = 0) -> tuple[Tensor, Tensor]:
        """Choose codons.

        Args:
            tokens: `(B, T)`, padded at the end.
            lengths: Real tokens of each protein, `(B,)`, each 1 or more.
            frozen: How many of the lowest layer groups to run without a graph.

        Returns:
            Logits `(B, T, K)` of the codons of each residue, and the penalty AR + TAR, 0 outside training.
        """
        every, penalty = super().forward(tokens, lengths, frozen)  # (B, T, C)
        options = self._options.to(tokens.device)[tokens.long()]
        begins = (tokens[:, :1] == self._start_token).unsqueeze(-1)  # (B, 1, 1)
        options = torch.cat([torch.where(begins, self._starts.to(tokens.device), options[:, :1]), options[:, 1:]], 1)
        return every.gather(2, options.clamp_min(0)).masked_fill(options < 0, float("-inf")), penalty

    def learned(self, labels: Tensor) -> Tensor:
        """Turn classes `(B, L)` into places among the codons of their residues; negative labels stay."""
        places = self._places.to(labels.device)[labels.long().clamp_min(0)]
        return torch.where(labels >= 0, places, labels.long())

    def scored(self, labels: Tensor) -> Tensor:
        return self.learned(labels)


class CodonCrossEntropy(PositionCrossEntropy):
    """Cross-entropy of one codon a residue, all codons counted alike; residues whose label is negative are left out."""

    kind: ClassVar[str | type] = _KIND

    def __init__(self) -> None:
        super().__init__()
