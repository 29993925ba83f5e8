"""What the logits of several tracks are held against.

Shape letters: `B` batch, `K` tracks, `L` positions, `C` classes of all tracks together. An axis of 2 is the strand.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from gulmfit.errors import ConfigError
from gulmfit.label_tracks import track_slices
from gulmfit.models.losses import ClassWeights, PositionCrossEntropy, resolved


class TrackCrossEntropy(PositionCrossEntropy):
    """Cross-entropy of one class a position in each track: the mean over all of them, as they are weighted.

    Args:
        class_weights: As of `PositionCrossEntropy`, by `track:class`; balanced within each track.
        track_weights: What a position counts in a track, by name, 0 or more; 1 for those that are not named.
        transition_weight, transition_bp: As of `PositionCrossEntropy`. The borders are those of the first track, and
            count in all of them: others may change their class at every base, as phases do.

    Raises:
        ConfigError: A value is out of range, or a track that is named does not exist.
    """

    kind: ClassVar[str | type] = "gulmfit.report.kinds.position_tracks.TrackLabels"

    def __init__(
        self,
        class_weights: ClassWeights = None,
        track_weights: Mapping[str, float] | None = None,
        transition_weight: float = 1.0,
        transition_bp: float = 10.0,
    ) -> None:
        super().__init__(class_weights, transition_weight, transition_bp)
        self.track_weights = dict(track_weights or {})
        for name, weight in self.track_weights.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
                raise ConfigError(f"loss.track_weights: {name}={weight!r}; a number of 0 or more is needed.")
        self.tracks: dict[str, slice] = {}

    def fit(self, labels: Tensor, classes: Sequence[str]) -> Self:
        self.tracks = track_slices(classes)
        if unknown := sorted(set(self.track_weights) - set(self.tracks)):
            raise ConfigError(f"loss.track_weights names {unknown[0]}; the tracks are {', '.join(self.tracks)}.")
        balanced = []
        for number, own in enumerate(self.tracks.values()):
            found = labels[:, :, number]
            counts = (found[found >= 0].long() - own.start).bincount(minlength=own.stop - own.start).double()
            balanced.append(counts.sum() / (len(counts) * counts.clamp_min(1)))
        self.weights = resolved(self.class_weights, classes, torch.cat(balanced))
        return self

    def each(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses and weights of sequences, both `(B,)`, from logits `(B, 2, L, C)` and labels `(B, 2, K, L)`.

        Labels are indices among the classes of all tracks, negative where they are left out.
        """
        labels = labels.long()
        logits = logits[:, :, : labels.shape[-1]]  # those further on are past the end of every sequence
        first = labels[:, :, 0]
        borders = self.border_factors(first.flatten(0, 1)).view(first.shape) if self.transition_weight > 1 else 1.0
        nats = total = torch.zeros(len(labels), device=logits.device)
        for number, (name, own) in enumerate(self.tracks.items()):
            known, truth = labels[:, :, number] >= 0, (labels[:, :, number] - own.start).clamp_min(0)
            losses = F.cross_entropy(logits[..., own].movedim(-1, 1), truth, reduction="none")
            counted = known.float() * self.track_weights.get(name, 1.0) * borders
            if self.weights is not None:
                counted = counted * self.weights[own][truth]
            nats, total = nats + (losses * counted).sum((1, 2)), total + counted.sum((1, 2))
        return nats / total.clamp_min(torch.finfo(total.dtype).tiny), total
