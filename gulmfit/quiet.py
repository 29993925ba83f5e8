"""Whether a command says anything but errors: a variable, which every process that it starts inherits."""

import os

VARIABLE = "GULMFIT_QUIET"


def is_quiet() -> bool:
    """Whether only errors are to be printed; the `log` of a run folder has all the same."""
    return bool(os.environ.get(VARIABLE))
