"""The processes of a run: what each knows for itself, kept in one checkpoint that all share; and their SLURM job."""

import logging
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from torch import distributed

from gulmfit.errors import CheckpointError

logger = logging.getLogger(__name__)

SECONDS = 60


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


def job_id(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the id of the SLURM job of this process, of an array that of its task; None outside SLURM."""
    array, task = (environment.get(f"SLURM_ARRAY_{name}_ID") for name in ("JOB", "TASK"))
    return f"{array}_{task}" if array and task else environment.get("SLURM_JOB_ID")


def requeue() -> bool:
    """Put this job back into the queue, once it has saved; return whether that was done.

    The job script needs `#SBATCH --signal=SIGUSR1@120` and `--requeue`, and the command `resume=auto`.
    """
    job = job_id()
    if job is None:
        return False
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or error
        logger.warning("job %s could not be put back into the queue: %s. Submit it again by hand.", job, said)
        return False
    logger.info("job %s is back in the queue", job)
    return True
