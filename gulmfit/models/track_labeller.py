"""The labeller of tracks: several labels for every base of both strands, all in one pass.

Shape letters: `B` batch, `T` tokens, `E` encoder outputs, `s` stride, `L` bases, `C` classes of all tracks together.
An axis of 2 is the strand, "+" and "-"; both have their bases on the coordinates of the given strand.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from gulmfit.errors import ConfigError
from gulmfit.label_tracks import track_slices
from gulmfit.models.dropout import DropoutRates
from gulmfit.models.encoder import Encoder
from gulmfit.models.labeller import Labeller, owning, swapped


class TrackLabeller(Labeller):
    """Give every base of both strands a class of each track, such as what it is to a gene and its place in a codon.

    The head that reads `[forward ; reverse]` for one strand reads `[reverse ; forward]` for the other, so the labels of
    the reverse complement are those of the sequence, turned, for every k and stride where the tokens reach both ends.

    A specification holds the tracks in `classes`, each class as `track:class`, the tracks one after another:
    `["class:intergenic", "class:UTR", "class:CDS", "class:intron", "phase:none", "phase:0", "phase:1", "phase:2"]`.

    `forward(tokens, lengths)` gives logits `(B, 2, L, C)`; `log_probabilities` splits them by track.

    Args:
        encoder, num_classes, kmer_bases, kmer_stride, dropout, hidden_size, bptt, alpha, beta, complement, tuned_size:
            As in `Labeller`.
        class_names: The classes of all tracks (C), as above.
        strands: `both`.
        offsets: First bases that a sequence is read from in turn when it is labelled: what is predicted is the mean
            over so many ways to cut it into tokens; None for all, one for each base of the stride. Training reads it in
            one of them.
        other_channels: Of each channel of measured values (A), which join the outputs of the trunk, the one that has
            its values for the other strand: itself where it tells no strand.

    Attributes:
        tracks: Where the classes of each track stand in the last axis, by name.

    Raises:
        ConfigError: A strand is missing, channels do not come in pairs, there are not so many offsets, or as in
            `Labeller`.
        DataError: A class does not say its track, or a track has fewer than two classes or is cut in two.
    """

    kind: ClassVar[str | type] = "gulmfit.report.kinds.position_tracks.TrackLabels"

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        class_names: Sequence[str],
        kmer_bases: int | None,
        kmer_stride: int | None,
        dropout: DropoutRates | None = None,
        hidden_size: int = 64,
        bptt: int | None = None,
        alpha: float = 0.0,
        beta: float = 0.0,
        strands: str = "both",
        complement: Sequence[int] | None = None,
        tuned_size: int | None = None,
        other_channels: Sequence[int] = (),
        offsets: int | None = 1,
    ) -> None:
        if strands != "both":
            raise ConfigError(f"arch.strands={strands}: head=tracks labels both strands in one pass; give both.")
        self.other_channels = list(other_channels)
        count = len(self.other_channels)
        if any(not 0 <= one < count or self.other_channels[one] != at for at, one in enumerate(self.other_channels)):
            raise ConfigError(f"head.other_channels={self.other_channels}: each is of the other strand of the other.")
        if other_channels and tuned_size is None:
            raise ConfigError("head.other_channels: measured values join a labeller that is tuned with tune=head.")
        super().__init__(
            encoder, num_classes, kmer_bases, kmer_stride, dropout, hidden_size, bptt, alpha, beta, strands, complement,
            tuned_size, (kmer_stride or 0) * len(other_channels),
        )  # fmt: skip
        self.tracks = track_slices(class_names)
        self.offsets = checked_offsets(offsets, self.stride, "head.offsets")

    def forward(
        self, tokens: Tensor, lengths: Tensor, frozen: int = 0, coverage: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return logits `(B, 2, L, C)` and the penalty AR + TAR; other arguments, `L` and the rest as in `Labeller`.

        Args:
            tokens, lengths, frozen: As in `Labeller`.
            coverage: Measured values of each base on the given strand `(B, A, L)`; needed where there are channels.
        """
        features, penalty = self.features(tokens, lengths, frozen)
        owners = [
            owning(self.k, self.stride, lengths, tokens.shape[1]),
            owning_other(self.k, self.stride, lengths, tokens.shape[1]),
        ]
        found = []
        for strand, (own, owner) in enumerate(zip((features, swapped(features)), owners, strict=True)):
            known = self.trunk(own)
            if self.other_channels:
                if coverage is None:
                    raise ConfigError("the labeller was trained with tracks, and reads none: give the same tracks.")
                known = torch.cat([known, self._by_token(coverage, lengths, tokens.shape[1], strand).to(known)], -1)
            by_base = self.head(known).reshape(len(tokens), -1, self.num_classes)  # (B, T s, C)
            found.append(by_base.gather(1, owner.unsqueeze(-1).expand(-1, -1, self.num_classes)))
        return torch.stack(found, 1), penalty

    def _by_token(self, coverage: Tensor, lengths: Tensor, num_tokens: int, strand: int) -> Tensor:
        """Return the values of the bases that each token owns on a strand, in its direction, `(B, T, s A)`."""
        steps, shift = torch.arange(num_tokens, device=lengths.device), (self.k - self.stride) // 2
        tokens = lengths.unsqueeze(1) - 1 - steps if strand else steps.expand(len(lengths), -1)  # as the strand counts
        bases = (tokens * self.stride + shift).unsqueeze(-1) + torch.arange(self.stride, device=lengths.device)
        if strand:
            bases = ((lengths - 1) * self.stride + self.k - 1).view(-1, 1, 1) - bases
            coverage = coverage[:, self.other_channels]
        where = bases.clamp(0, coverage.shape[-1] - 1).flatten(1).unsqueeze(1).expand(-1, coverage.shape[1], -1)
        found = coverage.gather(2, where).view(*coverage.shape[:2], num_tokens, self.stride)
        return found.permute(0, 2, 3, 1).flatten(2)

    def outputs(self, logits: Tensor) -> Tensor:
        """Turn logits `(..., C)` into probabilities, which add up to 1 in each track."""
        return torch.cat([logits[..., own].softmax(-1) for own in self.tracks.values()], -1)

    def log_probabilities(self, logits: Tensor) -> dict[str, Tensor]:
        """Split logits `(..., L, C)`, and return log-probabilities by track, as decoders take them, `(..., c, L)`."""
        return {name: logits[..., own].log_softmax(-1).transpose(-1, -2) for name, own in self.tracks.items()}


def checked_offsets(offsets: int | None, stride: int, option: str) -> int:
    """Return from how many first bases a sequence can be read so that its tokens differ: all of a stride for None.

    Raises:
        ConfigError: There are not so many.
    """
    if offsets is not None and not 1 <= offsets <= stride:
        raise ConfigError(f"{option}={offsets}: tokens with a stride of {stride} begin at 1 to {stride} bases.")
    return stride if offsets is None else offsets


def owning_other(k: int, stride: int, lengths: Tensor, num_tokens: int) -> Tensor:
    """Return which of the outputs `(T s)` for the other strand each base has, `(B, L)`.

    Tokens stand where those of the given strand do, and the bases of each run in the direction of the other strand.
    This is `owning`, as the reverse complement of what the tokens hold has it.
    """
    bases = torch.arange((num_tokens - 1) * stride + k + stride - 1, device=lengths.device)
    lengths = lengths.unsqueeze(1)
    held = (lengths - 1) * stride + k
    place = (held - 1 - bases - (k - stride) // 2).clamp_min(0)
    place = torch.minimum(place, lengths * stride - 1)
    token = lengths - 1 - place.div(stride, rounding_mode="floor")
    return token * stride + place % stride
