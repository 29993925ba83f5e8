"""How far a command is: a bar on a terminal, and a line now and then in a pipe or a file."""

import sys
from typing import Any

from tqdm import tqdm

_EVERY_S = 60.0


def bases_bar(total: int, what: str) -> Any:
    """Return a bar over bases, for a `with` statement.

    Args:
        total: Bases.
        what: What is done with them.
    """
    options: dict[str, Any] = {"total": total, "desc": what, "unit": "b", "unit_scale": True, "smoothing": 0.05}
    if not sys.stderr.isatty():
        line = "{desc}: {percentage:.0f}%, {n_fmt} of {total_fmt} in {elapsed}, {remaining} left, {rate_fmt}\n"
        options |= {"mininterval": _EVERY_S, "maxinterval": _EVERY_S, "delay": _EVERY_S, "bar_format": line}
    return tqdm(**options)
