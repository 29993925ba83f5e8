"""The weight matrices of a model, one by one: what its weights say without data.

Shape letters: `M` rows, `N` columns, `H` hidden.
"""

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor, nn

# In the order in which torch stacks them along the first axis.
GATES: dict[type[nn.Module], tuple[str, ...]] = {
    nn.LSTM: ("input", "forget", "cell", "output"),
    nn.GRU: ("reset", "update", "new"),
}


class WeightMatrix(NamedTuple):
    """One matrix."""

    name: str
    """Of the parameter, as in `state_dict`."""
    gate: str
    """Of a recurrent layer; empty elsewhere."""
    weight: Tensor
    """`(M, N)`, without dropout."""


def weight_matrices(model: nn.Module) -> Iterator[WeightMatrix]:
    """Yield every weight matrix, from input to output as the modules are defined.

    Each gate of a recurrent layer is a matrix by itself, for input and for hidden state: stacked they would be one of
    four mixed spectra. A convolution is flattened to `(filters, channels * width)`. A tied weight comes once.
    """
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2:
            continue
        owner = model.get_submodule(name.rpartition(".")[0])
        gates = GATES.get(type(owner), ())
        weight = parameter.detach().flatten(1)
        if gates and not name.rpartition(".")[2].startswith("weight_hr"):  # a projection has no gates
            for gate, part in zip(gates, weight.chunk(len(gates)), strict=True):
                yield WeightMatrix(name, gate, part)
        else:
            yield WeightMatrix(name, "", weight)
