"""The network that everyone knows: one layer of motif detectors, read on both strands, and the best match of each.

Shapes: `N` sequences, `B` of them at once, `L` letters, `A` letters of the alphabet, `F` filters, `W` their width,
`C` classes.

Source: Alipanahi et al., Nature Biotechnology 33 (2015) 831-838 (DeepBind). Here there are 64 filters of 24 letters, no
hidden layer, and no average beside the maximum.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

FILTERS, WIDTH, DROPOUT = 64, 24, 0.3
BATCH, LEARNING_RATE, WEIGHT_DECAY = 64, 4e-3, 1e-3
MOST_TIMES, TIMES_ALONE = 60, 20  # that a sequence is met, the latter where there is no validation part
CHECKED_AFTER = 8192  # training sequences between looks at the validation part, or all if they are fewer
PATIENCE = 5  # looks in a row without a lower loss end training


class PeerCNN(nn.Module):
    """Motif detectors, the maximum of each over positions, a linear layer.

    Args:
        letters: A; the code A is an unknown letter, and A + 1 stands after the end of a sequence.
        classes: C.
        both_strands: Whether a filter looks for its reverse complement too, where letters pair first with last.
    """

    def __init__(self, letters: int, classes: int, both_strands: bool) -> None:
        super().__init__()
        self.letters, self.both_strands = letters, both_strands
        self.filters = nn.Parameter(torch.randn(WIDTH, letters, FILTERS) / (WIDTH * letters) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(FILTERS))
        self.head = nn.Linear(FILTERS, classes)

    def forward(self, codes: Tensor) -> Tensor:
        """Give the scores (B, C) of codes (B, L)."""
        lengths = (codes <= self.letters).sum(1)
        codes = codes[:, : int(lengths.max())]
        # A filter may reach half of its width beyond either end, where there is no letter.
        codes = functional.pad(codes.long(), (WIDTH // 2, WIDTH // 2), value=self.letters).clamp(max=self.letters)
        letters = functional.one_hot(codes, self.letters + 1)[:, :, : self.letters].to(self.filters.dtype)
        windows = letters.unfold(1, WIDTH, 1).transpose(2, 3).flatten(2)  # (B, L + 1, W * A)
        beyond = torch.arange(windows.shape[1]) > lengths[:, None]
        filters: Tensor = self.filters
        if self.both_strands:
            filters = torch.cat([filters, filters.flip(0, 1)], dim=2)
        matches = (windows @ filters.flatten(0, 1)).masked_fill(beyond[:, :, None], -torch.inf).amax(1)
        best = matches.reshape(len(codes), -1, FILTERS).amax(1)
        return self.head(functional.dropout(functional.relu(best + self.bias), DROPOUT, self.training))  # type: ignore[no-any-return]


def train_peer(
    codes: Any, targets: Any, held: tuple[Any, Any] | None, *,
    letters: int, classes: int, both_strands: bool, seed: int, most_letters: int,
) -> dict[str, Any]:  # fmt: skip
    """Train a network, and return its weights as arrays, those of the least loss on the validation part.

    The state of torch's generator is the same afterwards as before.

    Args:
        codes: Of the training sequences, an array (N, L).
        targets: Class of each (N,).
        held: The same two of the validation part; without one training ends after `most_letters`.
        letters, classes, both_strands: As of `PeerCNN`.
        seed: Of weights, order and dropout.
        most_letters: Letters that are trained on in all, those of a sequence as often as it is met.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = PeerCNN(letters, classes, both_strands)
        known = tuple(torch.as_tensor(part) for part in (codes, targets))
        valid = None if held is None else tuple(torch.as_tensor(part) for part in held)
        optimizer = torch.optim.Adam(net.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        long = float((known[0] <= letters).sum(1).double().mean()) + WIDTH
        times = min(most_letters / (len(codes) * long), TIMES_ALONE if valid is None else MOST_TIMES)
        steps = max(1, int(times * -(-len(codes) // BATCH)))
        between = max(1, min(CHECKED_AFTER, 4 * len(codes)) // BATCH)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.02, 1 - step / steps))
        best, least, since = copy.deepcopy(net.state_dict()), float("inf"), 0
        for step, chosen in zip(range(1, steps + 1), _batches(len(codes)), strict=False):
            net.train()
            optimizer.zero_grad()
            torch.autograd.backward(functional.cross_entropy(net(known[0][chosen]), known[1][chosen]))
            optimizer.step()
            schedule.step()
            if valid is not None and (step % between == 0 or step == steps):
                loss = functional.cross_entropy(_outputs(net, valid[0]), valid[1]).item()
                since = 0 if loss < least else since + 1
                if not since:
                    best, least = copy.deepcopy(net.state_dict()), loss
                elif since == PATIENCE:
                    break
        weights = best if valid is not None else net.state_dict()
    return {name.replace(".", "_"): tensor.numpy() for name, tensor in weights.items()}


def peer_outputs(weights: Mapping[str, Any], codes: Any, both_strands: bool) -> Any:
    """Give the scores, an array (N, C), of codes (N, L) by the weights that `train_peer` returned."""
    with torch.random.fork_rng(devices=[]):
        net = PeerCNN(weights["filters"].shape[1], len(weights["head_bias"]), both_strands)
    net.load_state_dict({name.replace("head_", "head."): torch.as_tensor(item) for name, item in weights.items()})
    return _outputs(net, torch.as_tensor(codes)).double().numpy()


def _batches(count: int) -> Iterator[Tensor]:
    """Deal the training sequences out again and again."""
    while True:
        yield from torch.split(torch.randperm(count), BATCH)


def _outputs(net: PeerCNN, codes: Tensor) -> Tensor:
    net.eval()
    with torch.no_grad():
        return torch.cat([net(part) for part in torch.split(codes, BATCH)])
