"""Move what one model has learned into another of the same vocabulary, and prove that it has arrived."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from gulmfit.errors import CheckpointError


@dataclass
class TransferReport:
    """What a transfer did."""

    moved: list[str]
    """Names of the tensors that were copied."""
    fresh: list[str]
    """Names of the tensors that keep their initial values."""
    parameters_moved: int
    kmers_matched: int
    """Rows of the vocabulary."""
    kmers_fresh: int = 0
    """Rows that the source did not have: none, since models of another vocabulary are refused."""
    begun: list[str] = field(default_factory=list)
    """Names of new tensors that give at first what those of the source give."""

    def summary(self) -> str:
        """Say in one line what moved."""
        return (
            f"{len(self.moved)} tensors with {self.parameters_moved:,} parameters moved, {self.kmers_matched} "
            f"vocabulary rows among them; fresh: {', '.join(self.fresh) or 'nothing'}"
            + f"; new, and at first as in what is tuned: {', '.join(self.begun)}"
            * bool(self.begun)
        )


def transfer(target: nn.Module, source: Mapping[str, Tensor], *prefixes: str) -> TransferReport:
    """Copy weights under `prefixes` from a state dictionary into a model of the same vocabulary.

    Args:
        target: The model that receives.
        source: State dictionary of the model that gives.
        prefixes: Parts to move: `encoder.` for a classifier, `encoder.` and `head.` for another language model.

    Raises:
        CheckpointError: If a tensor under the prefixes is missing or of another shape, or did not arrive.
    """
    state = target.state_dict()
    moved = [name for name in state if name.startswith(prefixes)]
    wrong = [
        f"{name} is {tuple(source[name].shape) if name in source else 'missing'}, not {tuple(state[name].shape)}"
        for name in moved
        if name not in source or source[name].shape != state[name].shape
    ]
    if wrong:
        raise CheckpointError(
            "init_from does not fit this architecture: " + "; ".join(wrong) + ". Use the arch= it was trained with."
        )
    target.load_state_dict({name: source[name] for name in moved}, strict=False)
    arrived = target.state_dict()
    if lost := [name for name in moved if not torch.equal(source[name].to(arrived[name]), arrived[name])]:
        raise CheckpointError(f"{', '.join(lost)} did not arrive intact: the transfer was stopped.")
    return TransferReport(
        moved,
        [name for name in state if name not in moved],
        sum(state[name].numel() for name in moved),
        len(state["encoder.embedding.weight"]),
    )
