"""How the threads of a process wait for each other, and how many of them a recurrent layer keeps busy.

Torch's threads meet at the end of every product and every element-wise operation: thousands of times in a training
step of an LSTM. OpenMP lets those that arrive first spin, in the hope that the others are about to arrive. If another
process has the core of one of them, all spin until the system gives that core back, and a step takes 2 to 60 times as
long. Threads that sleep leave their cores to whoever needs them; but to wake one takes longer than most waits last. So
they spin for as long as the others usually need, and then sleep.
"""

import os
from collections.abc import MutableMapping

PASSIVE = {
    "OMP_WAIT_POLICY": "PASSIVE",  # the standard's word: GNU's OpenMP (Linux) and LLVM's (macOS, Windows)
    "GOMP_SPINCOUNT": "2000",  # GNU's own: turns before a thread sleeps, some 60 microseconds on Zen 3
    "KMP_BLOCKTIME": "0",  # LLVM's and Intel's own: milliseconds before a thread sleeps
}
"""Variables that OpenMP reads once, when it is loaded."""

HOW_TO_WAIT = {*PASSIVE, "KMP_LIBRARY"}
HOW_MANY = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")

WORK_OF_A_THREAD = 1 << 20
"""Multiplications of one gate at one time step that are worth another thread: below it, meeting takes longer."""


def wait_passively(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let the threads of this process, and of those that it starts, sleep when they wait for long.

    It must come before torch is imported. A user who has said anything about waiting is left alone.

    Args:
        environment: Variables to write to.
    """
    if not HOW_TO_WAIT & environment.keys():
        environment.update(PASSIVE)


def suited_threads(
    batch_size: int, hidden_size: int, available: int, environment: MutableMapping[str, str] = os.environ
) -> int:
    """Return how many threads should train a recurrent layer.

    The answer depends on sizes alone, never on how busy the machine is: the order of sums, and so the last digits of
    the weights, follows the number of threads.

    Args:
        batch_size: Sequences that are learned at once.
        hidden_size: Units of the layer.
        available: Threads that torch would use.
        environment: A user who has set the number of threads there is left alone, and so are processes that were
            started side by side, which get theirs in the same way.

    Returns:
        From 1 to `available`.
    """
    if any(name in environment for name in HOW_MANY):
        return available
    return max(1, min(available, batch_size * hidden_size**2 // WORK_OF_A_THREAD))
