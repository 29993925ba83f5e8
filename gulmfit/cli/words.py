"""What the commands have in common: `key=value` words, errors without a traceback, exit codes that tell the truth.

Exit codes: 1 for mistakes that a user can mend, 3 for results that are written and worth nothing, 75 for work that a
signal stopped and that is saved, 130 for Ctrl-C.
"""

import errno
import functools
import logging
import os
import sys
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, ParamSpec

from gulmfit.cli.options import QUIET, REQUIRED, TRUST, Function, Option
from gulmfit.errors import GulmfitError, StoppedError, WorthlessError
from gulmfit.quiet import VARIABLE

# Told to stop by a signal, and saved: the same command with resume=auto goes on (EX_TEMPFAIL of sysexits.h).
STOPPED = 75

# Ended, and worth nothing: a model that has learned nothing, a transfer that was to win and did not.
WORTHLESS = 3

# What holds until the command ends.
_of_this_command = ExitStack()

HELP = {"-h", "--help"}
P = ParamSpec("P")


def command(function: Callable[P, None]) -> Callable[P, None]:
    """Turn errors into a message and an exit code that tells the truth."""

    @functools.wraps(function)
    def wrapped(*given: P.args, **named: P.kwargs) -> None:
        # Without this Hydra prints its own summary of an error and we could not add to it.
        os.environ.setdefault("HYDRA_FULL_ERROR", "1")
        _speak_plainly()
        try:
            with _of_this_command:
                function(*given, **named)
        except StoppedError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(STOPPED)
        except WorthlessError as error:
            sys.stderr.write(f"{_told(error)}\n")
            sys.exit(WORTHLESS)
        except KeyboardInterrupt as interrupt:
            sys.stderr.write(f"\n{interrupt or 'stopped by Ctrl-C'}\n")
            sys.exit(130)
        except BrokenPipeError:  # whoever read the output has had enough, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except Exception as error:
            sys.exit(_told(error))

    return wrapped


def _speak_plainly() -> None:
    """Leave to the user what is theirs: no warnings of libraries to their callers, and no letter that cannot be shown.

    Python's own `-W` and PYTHONWARNINGS bring the warnings back.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name in Greek on a terminal that has ASCII alone is shown as \u03b1...
            stream.reconfigure(errors="backslashreplace")


def _told(error: Exception) -> str:
    """Say what a user can mend; an error that is none of theirs is raised again.

    Whoever raises an error of Hydra or OmegaConf has imported them: a command that does without stays quick.
    """
    if {"hydra.errors", "omegaconf.errors"} & {kind.__module__ for kind in type(error).__mro__}:
        from gulmfit.config import explain

        error = error.__cause__ if isinstance(error.__cause__, GulmfitError) else explain(error)
    if isinstance(error, GulmfitError):
        return f"{type(error).__name__}: {error}"
    if isinstance(error, OSError):
        return _of_the_system(error)
    raise error


def _of_the_system(error: OSError) -> str:
    """Say what the system refused, and what to do."""
    advice = {
        errno.ENOSPC: "Free some space, or name another disk",
        errno.EDQUOT: "Your quota is used up: free some space, or name another disk",
        errno.EROFS: "Name a folder that can be written to",
        errno.EACCES: "Ask for the right to it, or name another place",
        errno.EPERM: "Ask for the right to it, or name another place",
        errno.ENOTDIR: "A part of this path is a file: name another place",
        errno.ENAMETOOLONG: "Choose a shorter name",
    }.get(error.errno or 0, "Correct the path, or name another place")
    place = f"{error.filename}: " if error.filename else ""
    return (
        f"{type(error).__name__}: {place}{error.strerror or error}. {advice} (output=, or paths.output_dir= and "
        "paths.cache_dir= in training)."
    )


def arguments(usage: str, known: Mapping[str, Any], required: Collection[str]) -> dict[str, Any]:
    """Read the words of a script; `known` has its options and their defaults, whose kind a value must have.

    Raises:
        ConfigError: If a key is unknown, a value is of the wrong kind, or a required option is missing.
    """
    if len(sys.argv) < 2 or HELP & set(sys.argv):
        sys.stdout.write(f"{usage}\n\n{TRUST.name}=  {TRUST.text}\n")
        sys.exit(0 if len(sys.argv) > 1 else 2)
    options = {
        key: Option(key, type(default).__name__, REQUIRED if key in required else default)
        for key, default in known.items()
    }
    return trusting(Function(usage, options).read(sys.argv[1:], usage))


def quietly(words: Sequence[str]) -> list[str]:
    """Take `quiet=true` out of the words of a command; nothing but errors is then printed until it ends.

    Raises:
        ConfigError: If it is neither true nor false.
    """
    asked = [QUIET.read(word.partition("=")[2]) for word in words if word.startswith(f"{QUIET.name}=")]
    if asked and asked[-1]:
        os.environ[VARIABLE] = "true"
        _of_this_command.callback(os.environ.pop, VARIABLE, None)
    return [word for word in words if not word.startswith(f"{QUIET.name}=")]


def trusting(values: dict[str, Any]) -> dict[str, Any]:
    """Take `trust` out of the options of a command; it then holds until the command ends."""
    if values.pop(TRUST.name):
        from gulmfit.checkpoint import foreign_classes_trusted

        _of_this_command.enter_context(foreign_classes_trusted())
    return values


def log_to_stdout(*, errors: bool = False) -> None:
    """Print what a command has to say as it is; libraries speak in warnings alone.

    Args:
        errors: Print to standard error instead, where standard output is for results.
    """
    from gulmfit.train.log import Console

    logging.basicConfig(
        level=logging.WARNING, format="%(message)s", handlers=[Console(sys.stderr if errors else sys.stdout)]
    )
    logging.getLogger("gulmfit").setLevel(logging.INFO)
