"""What the commands have in common: `key=value` words, errors without a traceback, exit codes that tell the truth.

Exit codes: 1 for mistakes that a user can mend, 3 for results that are written and worth nothing, 75 for work that a
signal stopped and that is saved, 130 for Ctrl-C.
"""

import difflib
import functools
import logging
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from gulmfit.errors import ConfigError, GulmfitError, StoppedError, WorthlessError

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
        except KeyboardInterrupt:
            sys.exit(130)

    return wrapped


def _message(error: GulmfitError) -> str:
    return f"{type(error).__name__}: {error}"


def arguments(usage: str, known: dict[str, Any], required: tuple[str, ...]) -> dict[str, Any]:
    """Parse `key=value` words in the style of the training command.

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
            if not value.isdigit():
                raise ConfigError(f"{word}: a whole number is needed.")
            values[key] = int(value)
        elif isinstance(known[key], float):
            try:
                values[key] = float(value)
            except ValueError as error:
                raise ConfigError(f"{word}: a number is needed.") from error
        else:
            values[key] = value
    missing = [key for key in required if not values[key]]
    if missing:
        raise ConfigError(f"{', '.join(f'{key}=' for key in missing)} is missing.\n{usage}")
    if values.pop("trust"):
        from gulmfit.checkpoint import foreign_classes_trusted

        _of_this_command.enter_context(foreign_classes_trusted())
    return values


def log_to_stdout() -> None:
    """Print what a command has to say as it is."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
