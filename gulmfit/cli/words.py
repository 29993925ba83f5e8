"""What the commands have in common: `key=value` words, errors without a traceback, exit codes that tell the truth.

Exit codes: 1 for mistakes that a user can mend, 3 for results that are written and worth nothing, 75 for work that a
signal stopped and that is saved, 130 for Ctrl-C.
"""

import difflib
import errno
import functools
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from gulmfit.errors import ConfigError, GulmfitError, StoppedError, WorthlessError
from gulmfit.seq.limits import is_pipe, is_whole_number

# Told to stop by a signal, and saved: the same command with resume=auto goes on (EX_TEMPFAIL of sysexits.h).
STOPPED = 75

# Ended, and worth nothing: a model that has learned nothing, a transfer that was to win and did not.
WORTHLESS = 3

# What holds until the command ends.
_of_this_command = ExitStack()

TRUST = "trust=true lets a model name classes outside gulmfit, such as an encoder of your own; they are then imported."


def command(function: Callable[[], None]) -> Callable[[], None]:
    """Turn errors into a message and an exit code that tells the truth."""

    @functools.wraps(function)
    def wrapped() -> None:
        # Without this Hydra prints its own summary of an error and we could not add to it.
        os.environ.setdefault("HYDRA_FULL_ERROR", "1")
        _speak_plainly()
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException

        from gulmfit.config import explain

        try:
            with _of_this_command:
                function()
        except StoppedError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(STOPPED)
        except WorthlessError as error:
            sys.stderr.write(f"{_message(error)}\n")
            sys.exit(WORTHLESS)
        except GulmfitError as error:
            sys.exit(_message(error))
        except (HydraException, OmegaConfBaseException) as error:
            cause = error.__cause__ if isinstance(error.__cause__, GulmfitError) else None
            sys.exit(_message(cause or explain(error)))
        except KeyboardInterrupt as interrupt:
            sys.stderr.write(f"\n{interrupt or 'stopped by Ctrl-C'}\n")
            sys.exit(130)
        except BrokenPipeError:  # whoever read the output has had enough, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except OSError as error:
            sys.exit(_of_the_system(error))

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


def _message(error: GulmfitError) -> str:
    return f"{type(error).__name__}: {error}"


def arguments(usage: str, known: dict[str, Any], required: tuple[str, ...], *, pipes: bool = False) -> dict[str, Any]:
    """Parse `key=value` words in the style of the training command.

    Args:
        usage: What `--help` prints.
        known: Keys and their defaults, whose kind a value must have.
        required: Keys that must have a value.
        pipes: Whether `input=` may be a pipe.

    Raises:
        ConfigError: If a key is unknown, a value is of the wrong kind, or a required key is missing.
    """
    if len(sys.argv) < 2 or {"-h", "--help"} & set(sys.argv):
        sys.stdout.write(f"{usage}\n\n{TRUST}\n")
        sys.exit(0 if len(sys.argv) > 1 else 2)
    known = {**known, "trust": False}
    values = dict(known)
    for word in sys.argv[1:]:
        key, equals, value = word.partition("=")
        if not equals or key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f" Did you mean {near[0]}=?" if near else ""
            raise ConfigError(f"{word!r} is not one of {', '.join(f'{name}=' for name in known)}.{hint}")
        if isinstance(known[key], bool):
            if value.lower() not in ("true", "false"):
                raise ConfigError(f"{word}: true or false is needed.")
            values[key] = value.lower() == "true"
        elif isinstance(known[key], int):
            if not is_whole_number(value):
                raise ConfigError(f"{word}: a whole number is needed, written with digits alone.")
            values[key] = int(value)
        elif isinstance(known[key], float):
            try:
                values[key] = float(value)
            except ValueError as error:
                raise ConfigError(f"{word}: a number is needed.") from error
        else:
            values[key] = _at_home(value)
            if key != "output" and not (pipes and key == "input") and is_pipe(values[key]):
                raise ConfigError(f"{word}: a pipe can be read only once. Write it to a file first, and name that.")
    missing = [key for key in required if not values[key]]
    if missing:
        raise ConfigError(f"{', '.join(f'{key}=' for key in missing)} is missing.\n{usage}")
    if values.pop("trust"):
        from gulmfit.checkpoint import foreign_classes_trusted

        _of_this_command.enter_context(foreign_classes_trusted())
    return values


def _at_home(value: str) -> str:
    """Write the home folder for `~`, which a shell does not behind `key=`, in one path or several with commas."""
    return re.sub(r"(?:^|(?<=,))~[^/,]*(?=/|,|$)", lambda found: os.path.expanduser(found[0]), value)


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
