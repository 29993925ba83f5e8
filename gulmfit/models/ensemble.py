"""Several classifiers of one build that predict as one: the mean of what each predicts.

Shape letters: `M` members, `B` batch, `T` tokens, `C` classes, labels or values.

Source: Lakshminarayanan, Pritzel & Blundell 2017, "Simple and scalable predictive uncertainty estimation using deep
ensembles": members differ in their first weights and in the order of their data, and their outputs are averaged.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from gulmfit.errors import CheckpointError
from gulmfit.models.classifier import SequenceClassifier

MOST_MEMBERS = 100


def members_of(count: Any) -> int:
    """Return the number of members that a file gives.

    Raises:
        CheckpointError: If it is out of range.
    """
    if type(count) is not int or not 1 <= count <= MOST_MEMBERS:
        raise CheckpointError(f"ensemble: {count!r} is not a number of networks from 1 to {MOST_MEMBERS}.")
    return count


class Ensemble(nn.Module):
    """Classifiers of one build whose outputs are averaged.

    Args:
        members: The classifiers.

    Raises:
        CheckpointError: If they are something else.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if not all(isinstance(one, SequenceClassifier) for one in members):
            raise CheckpointError(f"an ensemble is of classifiers, and this head is a {type(members[0]).__name__}.")
        self.members = nn.ModuleList(members)

    @property
    def kind(self) -> str | type:
        """The kind of target, as of a member."""
        return self.first.kind

    @property
    def first(self) -> SequenceClassifier:
        """The first member."""
        return cast(SequenceClassifier, self.members[0])

    def forward(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of every member `(M, B, C)`, and 0: an ensemble is never trained as a whole."""
        logits = torch.stack([member(tokens, lengths)[0] for member in self.members])
        return logits, torch.zeros((), device=logits.device)

    def each(self, logits: Tensor) -> Tensor:
        """Turn the logits of every member into what it predicts, `(M, B, C)`."""
        pairs = zip(self.members, logits, strict=True)
        return torch.stack([cast(SequenceClassifier, member).outputs(own) for member, own in pairs])

    def outputs(self, logits: Tensor) -> Tensor:
        """Turn the logits of every member `(M, B, C)` into what the ensemble predicts, `(B, C)`."""
        return self.each(logits).mean(0)


Classifier = SequenceClassifier | Ensemble


def one_network(model: nn.Module) -> nn.Module:
    """Return the first member of an ensemble, and any other model as it is: what has one encoder."""
    return model.first if isinstance(model, Ensemble) else model
