"""What an encoder is: the contract between a network that reads tokens and all that is built on it.

Shape letters: `B` batch, `T` tokens, `E` units of an output, `R` tokens of context.

`gulmfit.models.awd_rnn.AWDRNN` is one encoder among others. `docs/encoders.md` has the contract with an example.
"""

from collections.abc import Callable
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from gulmfit.errors import ConfigError

State = Any
"""What an encoder remembers: None, or a tree of tensors `(…, B, …)` with the batch in axis 1, as torch's own recurrent
layers have it; zeros are the start of a sequence, as None is."""

# Outputs that should be the same differ by rounding alone.
TOLERANCE = 1e-4


class Encoder(Protocol):
    """Tokens to vectors, window after window.

    Optional are `causal` (True where it is missing), `context` (None), and `depth` with `up_to(layer)`. Padding is the
    token 0 at the end of a row, and only there; it must not change the outputs before it.

    Attributes:
        embedding: Of the tokens; the decoder of a language model is tied to it.
        output_size: `E`; in a language model the size of the embedding.
    """

    embedding: nn.Embedding
    output_size: int

    def __call__(self, tokens: Tensor, state: State = None, frozen: int = 0) -> tuple[Tensor, State]:
        """Encode tokens `(B, T)` from a state; return outputs `(B, T, E)` and the state after them.

        The lowest `frozen` layer groups need no graph, which saves time; it may be ignored.
        """

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Return all parameters from input to output; the first group is the embedding."""


def is_causal(encoder: Encoder) -> bool:
    """Whether an output depends on no token after its own."""
    return bool(getattr(encoder, "causal", True))


def encode_window(encoder: Encoder, tokens: Tensor, state: State = None, frozen: int = 0) -> tuple[Tensor, State]:
    """Encode a window after what came before it: for an encoder with a `context` the last `R` tokens, padding at the
    start of a sequence, else its own state."""
    context = getattr(encoder, "context", None)
    if context is None:
        return encoder(tokens, state, frozen)
    before = tokens.new_zeros(tokens.shape[0], context) if state is None else state[0]
    tokens = torch.cat([before, tokens], 1)  # (B, R + T)
    outputs, _ = encoder(tokens, None, frozen)
    return outputs[:, context:], tokens[:, tokens.shape[1] - context :].unsqueeze(0)


def map_state(change: Callable[[Tensor], Tensor], state: State) -> State:
    """Change every tensor of a state."""
    return tree_map_only(Tensor, change, state)


def detach(state: State) -> State:
    """Cut a state off its history, the end of a window of truncated back-propagation through time."""
    return map_state(Tensor.detach, state)


def join_fresh(state: State, count: int) -> State:
    """Add so many sequences at their start to those of a state."""
    return map_state(lambda part: torch.cat([part, part.new_zeros(part.shape[0], count, *part.shape[2:])], 1), state)


def keep_rows(state: State, rows: list[int]) -> State:
    """Return the state of some of the sequences."""
    return map_state(lambda part: part[:, rows], state)


@torch.no_grad()
def check_encoder(encoder: Encoder) -> None:
    """Try an encoder on a few tokens, so that one of your own that breaks the contract is told before it is trained.

    Raises:
        ConfigError: If layer groups lack a parameter, outputs are of another size, depend on other sequences or on
            padding, or (where it is causal) on later tokens, or differ between one window and two.
    """
    module = cast(nn.Module, encoder)
    name, training = type(encoder).__name__, module.training
    groups = encoder.layer_groups()
    first_group, *others = [[id(parameter) for parameter in group] for group in groups]
    in_groups = sorted(sum(others, first_group))
    if in_groups != sorted(map(id, module.parameters())) or first_group != [id(encoder.embedding.weight)]:
        raise ConfigError(f"{name}.layer_groups: the embedding first, then every other parameter once, is needed.")
    half = max(16, (getattr(encoder, "context", None) or 0) + 1)
    weight = encoder.embedding.weight
    tokens = 1 + torch.arange(4 * half, device=weight.device).view(2, -1) % (len(weight) - 1)
    with torch.random.fork_rng(devices=[]):
        module.eval()
        whole, _ = encode_window(encoder, tokens)
        if whole.shape != (*tokens.shape, encoder.output_size):
            raise ConfigError(
                f"{name}: outputs for tokens {tuple(tokens.shape)} are {tuple(whole.shape)}, and output_size is "
                f"{encoder.output_size}."
            )
        first, state = encode_window(encoder, tokens[:, :half])
        wrong: dict[str, tuple[Tensor, Tensor]] = {}
        if is_causal(encoder):
            if any(part.dim() < 2 or part.shape[1] != len(tokens) for part in tree_leaves(state) if part is not None):
                raise ConfigError(f"{name}: the batch is not in axis 1 of every tensor of its state.")
            wrong = {
                "outputs depend on later tokens: say causal = False if they may": (first, whole[:, :half]),
                "a second window does not follow the first: return what it needs as state, or say how many tokens an "
                "output looks back, as context": (encode_window(encoder, tokens[:, half:], state)[0], whole[:, half:]),
                "a state of zeros is not the start of a sequence": (
                    encode_window(encoder, tokens, map_state(torch.zeros_like, state))[0], whole
                ),
            }  # fmt: skip
        padded = tokens.clone()
        padded[0, half:] = 0
        wrong[
            "outputs depend on padding or on other sequences of the batch: tokens of 0 at the end of a row must change "
            "nothing before them"
        ] = (encode_window(encoder, padded)[0][:1, :half], encode_window(encoder, tokens[:1, :half])[0])
        module.train(training)
    for what, (ours, theirs) in wrong.items():
        if not bool((ours - theirs).abs().max() <= TOLERANCE * whole.abs().max()):
            raise ConfigError(f"{name}: {what}. See docs/encoders.md.")
