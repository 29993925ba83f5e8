"""Shuffled sequences that keep every k-let count: what is left of a signal when only composition is left.

Shapes: L letters, so L - k + 1 overlapping k-lets.
"""

from collections.abc import Sequence

import numpy as np

from gulmfit.errors import ConfigError


def shuffle(sequence: str, k: int, rng: np.random.Generator) -> str:
    """Draw uniformly from all sequences with the same count of every k-let (overlapping word of k letters) and ends.

    The ends are the first and the last k - 1 letters; with them the counts of all shorter words stay, too. k = 1
    permutes letters, k = 2 keeps dinucleotides. Where no other sequence has these counts and ends, as with a repeat
    of one letter, a k that is large for the length, or L <= k, the sequence itself comes back.

    The (k-1)-lets are the nodes and the k-lets the edges of a directed multigraph, and the sequence is one of its
    Eulerian paths. The last exits from all nodes but the final one form a tree that leads to the final node; each
    tree, with any order of the other exits, is one path. So a uniformly random tree is drawn, as a loop-erased
    random walk from each node, then the order of the other exits, and the path is walked. Time is about linear in L.

    Args:
        sequence: Any letters, each one for itself: N and other ambiguous letters, lower case.
        k: Letters of the words whose counts are kept, 1 or more.
        rng: Source of chance.

    Raises:
        ConfigError: k is below 1.

    Source: Altschul and Erickson 1985, Mol Biol Evol 2:526, who draw trees by rejection; the walk is that of Wilson
    1996, STOC, doi:10.1145/237814.237880, which rejects none.
    """
    if k < 1:
        raise ConfigError(f"k={k} cannot be kept by a shuffle: 1 permutes letters, 2 keeps dinucleotides, and so on")
    edges = len(sequence) - k + 1
    if edges < 2:
        return sequence
    numbers: dict[str, int] = {}
    # The node before each edge, and the last one: edge i leads from path[i] to path[i + 1].
    path = [numbers.setdefault(sequence[i : i + k - 1], len(numbers)) for i in range(edges + 1)]
    exits: list[list[int]] = [[] for _ in numbers]
    for edge in rng.permutation(edges).tolist():
        exits[path[edge]].append(edge)
    for ways, last in zip(exits, _last_exits(path, exits, rng), strict=True):
        # Ways are taken from the end of the list, so the first one is the last to be taken. The others stay in
        # uniformly random order, as the tree was drawn without regard to it.
        if last:
            ways[0], ways[last] = ways[last], ways[0]
    node, letters = path[0], [sequence[: k - 1]]
    while exits[node]:
        edge = exits[node].pop()
        letters.append(sequence[edge + k - 1])
        node = path[edge + 1]
    return "".join(letters)


def _last_exits(path: Sequence[int], exits: Sequence[Sequence[int]], rng: np.random.Generator) -> list[int]:
    """Draw a uniformly random tree to the final node (Wilson 1996): for each node the index of its exit.

    The final node is the root; it has no last exit and gets 0.
    """
    chosen = [0] * len(exits)
    joined = [node == path[-1] for node in range(len(exits))]
    for start in range(len(exits)):
        # Walking again from a node overwrites its exit, which is what erases the loops.
        node = start
        while not joined[node]:
            ways = exits[node]
            if len(ways) > 1:
                chosen[node] = int(rng.random() * len(ways))
            node = path[ways[chosen[node]] + 1]
        node = start
        while not joined[node]:
            joined[node] = True
            node = path[exits[node][chosen[node]] + 1]
    return chosen
