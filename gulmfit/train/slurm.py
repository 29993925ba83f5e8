"""A job under SLURM that is told that its time is up puts itself back into the queue."""

import logging
import os
import subprocess
from collections.abc import Mapping

logger = logging.getLogger(__name__)

SECONDS = 60


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
