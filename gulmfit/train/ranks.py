"""What each of several processes knows for itself, kept in the one checkpoint that they share."""

from typing import Any

from torch import distributed

from gulmfit.errors import CheckpointError


def gather(value: Any) -> list[Any]:
    """Return the value of every process, in the order of their ranks; every process has to call this."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return [value]
    values: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values


def own(values: list[Any]) -> Any:
    """Return from what `gather` gave in the run that was saved the part of this process.

    Raises:
        CheckpointError: If there were more or fewer processes.
    """
    running = distributed.is_available() and distributed.is_initialized()
    rank, world_size = (distributed.get_rank(), distributed.get_world_size()) if running else (0, 1)
    if len(values) != world_size:
        raise CheckpointError(
            f"the checkpoint was saved by {len(values)} process(es) and cannot be continued by {world_size}: each has "
            "a stream, a hidden state and random numbers of its own. Continue with as many as before "
            f"(trainer.devices={len(values)} on one machine), or start a new run from its weights with init_from=."
        )
    return values[rank]
