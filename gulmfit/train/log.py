"""Where the words of a run go: to the terminal, or a pipe, and to the file `log` of its folder."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from gulmfit.quiet import is_quiet

# Marks a record that a terminal shows already, as a progress bar.
SHOWN = {"shown_as_bar": True}


class Console(logging.StreamHandler[object]):  # type: ignore[type-var]
    """Print above a progress bar on a terminal; elsewhere line by line, and no line empty."""

    def __init__(self, stream: object = None) -> None:
        super().__init__(sys.stdout)
        self._errors = stream is sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        if record.levelno < logging.WARNING and not record.name.startswith("gulmfit"):
            return  # the tips and news of libraries
        if record.levelno < logging.ERROR and is_quiet():
            return
        stream = sys.stderr if self._errors else sys.stdout  # as it is now: notebooks and tests put another there
        on_terminal = stream.isatty()
        if on_terminal and getattr(record, "shown_as_bar", False):
            return
        try:
            text = self.format(record)
            tqdm.write(text if on_terminal else without_empty_lines(text), file=stream)
            stream.flush()
        except BrokenPipeError:
            raise
        except Exception:  # as every handler of logging does: what is said never stops the work
            self.handleError(record)


class _LogFile(logging.FileHandler):
    """A file that a full disk does not stop the run for: what matters is written elsewhere, and complains there."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Say nothing."""

    def format(self, record: logging.LogRecord) -> str:
        """Leave empty lines out."""
        return without_empty_lines(super().format(record))


def without_empty_lines(text: str) -> str:
    """Return a text without its empty lines."""
    return "\n".join(line for line in text.splitlines() if line.strip())


@contextmanager
def logged(folder: Path, command: str) -> Iterator[None]:
    """Write what gulmfit says into `log` of a run folder, behind what an earlier command has said there.

    Meanwhile Lightning speaks in warnings alone, wherever it writes: a notebook has no `Console`.

    Args:
        folder: It is there.
        command: First line of what is written.
    """
    handler = _LogFile(folder / "log", encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    ours = logging.getLogger("gulmfit")
    level = ours.level
    if ours.getEffectiveLevel() > logging.INFO:  # as in a notebook
        ours.setLevel(logging.INFO)
    ours.addHandler(handler)
    lightning = logging.getLogger("pytorch_lightning")
    lightnings = lightning.level
    lightning.setLevel(logging.WARNING)
    try:
        handler.emit(logging.LogRecord("gulmfit", logging.INFO, "", 0, command, None, None))
        with warnings.catch_warnings():  # of Lightning to torch
            warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
            yield
    finally:
        ours.removeHandler(handler)
        ours.setLevel(level)
        lightning.setLevel(lightnings)
        handler.close()
