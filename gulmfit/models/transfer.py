"""Move what one model has learned into another, and prove that it has arrived.

Shape letters: `V` vocabulary, `E` embedding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from gulmfit.errors import CheckpointError

# Tensors with one row for every entry of the vocabulary: they move row by row, by spelling.
VOCABULARY_ROWS = ("encoder.embedding.weight", "head.bias")


@dataclass
class TransferReport:
    """What a transfer did."""

    moved: list[str] = field(default_factory=list)
    """Names of the parameters that were copied."""
    fresh: list[str] = field(default_factory=list)
    """Names of the parameters that keep their initial values."""
    parameters_moved: int = 0
    kmers_matched: int = 0
    kmers_fresh: int = 0
    """Rows of the vocabulary that the source did not have; they get the mean row."""

    def summary(self) -> str:
        """Say in one line what moved."""
        return (
            f"{len(self.moved)} tensors with {self.parameters_moved:,} parameters moved, {self.kmers_matched} "
            f"vocabulary rows matched by spelling, {self.kmers_fresh} new; fresh: {', '.join(self.fresh) or 'nothing'}"
        )


def transfer(
    target: nn.Module,
    source: Mapping[str, Tensor],
    target_vocabulary: Sequence[str],
    source_vocabulary: Sequence[str],
    prefixes: Sequence[str] = ("encoder.",),
) -> TransferReport:
    """Copy weights under `prefixes` from a state dictionary into a model.

    Args:
        target: The model that receives.
        source: State dictionary of the model that gives.
        target_vocabulary: Spelling of the target's tokens, `V` entries.
        source_vocabulary: Spelling of the source's tokens.
        prefixes: Parts to move: `encoder.` for a classifier, `encoder.` and `head.` for another language model.

    Returns:
        What moved and what did not.

    Raises:
        CheckpointError: If a tensor under the prefixes is missing or of another shape, or did not arrive.
    """
    report = TransferReport()
    rows = {word: row for row, word in enumerate(source_vocabulary)}
    matched = [(row, rows[word]) for row, word in enumerate(target_vocabulary) if word in rows]
    to_rows = torch.tensor([pair[0] for pair in matched])
    from_rows = torch.tensor([pair[1] for pair in matched])
    report.kmers_matched = len(matched)
    report.kmers_fresh = len(target_vocabulary) - len(matched)
    if not matched:
        raise CheckpointError("the two vocabularies share no token: nothing can be transferred.")
    wrong: list[str] = []
    state = target.state_dict()
    for name, tensor in state.items():
        if not name.startswith(tuple(prefixes)):
            report.fresh.append(name)
            continue
        given = source.get(name)
        by_row = name in VOCABULARY_ROWS
        if given is None:
            wrong.append(f"{name} is missing")
        elif given.shape[by_row:] != tensor.shape[by_row:] or (by_row and len(given) != len(source_vocabulary)):
            wrong.append(f"{name} is {tuple(given.shape)}, not {tuple(tensor.shape)}")
        elif by_row:
            tensor[:] = given.mean(0)
            tensor[to_rows] = given[from_rows].to(tensor)
        else:
            tensor.copy_(given)
        report.moved.append(name)
    if wrong:
        raise CheckpointError(
            "init_from does not fit this architecture: " + "; ".join(wrong) + ". Use the arch= it was trained with."
        )
    for name, tensor in target.state_dict().items():
        if name not in report.moved:
            continue
        given, got = source[name], tensor
        if name in VOCABULARY_ROWS:
            given, got = given[from_rows], tensor[to_rows]
        if not torch.equal(given.to(got), got):
            raise CheckpointError(f"{name} did not arrive intact: the transfer was stopped.")
        report.parameters_moved += tensor.numel()
    return report
