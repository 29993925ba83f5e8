"""The options of a command: its function's signature and docstring, read from the source.

Importing the function would import torch, which takes seconds. The signature says the name, kind, choices and default
of an option, and `Args:` says what it means; usage, help and checks follow from that.
"""

import ast
import difflib
import importlib.util
import math
import os
import re
import textwrap
from collections.abc import Collection, Iterable, Mapping
from importlib.abc import InspectLoader
from typing import Any, NamedTuple, cast

from gulmfit.errors import ConfigError
from gulmfit.seq.limits import is_pipe, is_whole_number

WIDTH = 120
REQUIRED = object()
SEVERAL = "Sequence[str]"

# As `float` reads it, in the digits 0 to 9 alone, without "inf", "nan" and "1_000".
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_SECTION = re.compile(r"^(?:Args|Returns|Raises|Yields):\n", re.MULTILINE)


class Option(NamedTuple):
    """One option."""

    name: str
    kind: str
    """`str`, `int`, `float` or `bool`; with ` | None`, an empty value stands for None; `Sequence[str]` may be given
    several times."""
    default: Any = REQUIRED
    choices: tuple[str, ...] = ()
    text: str = ""

    def read(self, text: str) -> Any:
        """Turn a word into a value.

        Raises:
            ConfigError: It is of another kind, or not one of the choices.
        """
        kind, _, optional = self.kind.partition(" | ")
        if optional and not text:
            return None
        if self.choices and text not in self.choices:
            raise ConfigError(f"{self.name}={text} {is_not_one_of(text, filter(None, self.choices))}")
        if kind == "bool" and (word := text.lower()) in ("true", "false"):
            return word == "true"
        if kind == "int" and is_whole_number(text):
            return int(text)
        if kind == "float" and _NUMBER.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
        if kind not in ("str", SEVERAL):
            raise ConfigError(f"{self.name}={text}: {_NEEDED[kind]}.")
        return with_home(text)

    def usage(self) -> str:
        """Return the option as usage shows it: its default first, in brackets where it may be left out."""
        default = "" if self.default in (REQUIRED, None) else str(self.default)
        words = [default.lower() if self.kind == "bool" else default, *self.choices]
        text = f"{self.name}={'|'.join(filter(None, dict.fromkeys(words))) or '...'}"
        text += f" [{self.name}=... ...]" * (self.kind == SEVERAL)
        return text if self.default is REQUIRED else f"[{text}]"


_NEEDED = {
    "bool": "true or false is needed",
    "int": "a whole number is needed, written with digits alone",
    "float": "a number is needed, such as 0.5 or 1e-3",
}
TRUST = Option(
    "trust", "bool", False,
    text="Let a model name classes outside gulmfit, such as an encoder of your own; they are then imported.",
)  # fmt: skip
QUIET = Option("quiet", "bool", False, text="Print nothing but errors.")


class Function(NamedTuple):
    """What a command ends in."""

    text: str
    """Its docstring without `Args:` and what follows."""
    options: Mapping[str, Option]
    words: str = ""
    """Name of the parameter that takes words other than options; empty for none."""

    @property
    def required(self) -> list[str]:
        """Names of the options that must have a value."""
        return [name for name, option in self.options.items() if option.default is REQUIRED]

    def usage(self, command: str, words: str) -> str:
        """Return how the command is called; `words` are those that are not its options."""
        parts = [command, *[words] * bool(words), *(option.usage() for option in self.options.values())]
        return _filled(" ".join(parts), len(command) + 1)

    def help(self) -> str:
        """Return what the command does, and what each option means."""
        options = [*self.options.values(), TRUST, QUIET] if self.options else [QUIET]
        left = max((len(option.name) for option in options), default=0) + 5
        table = [_filled(f"{f'  {option.name}='.ljust(left)}{option.text}", left) for option in options]
        return "\n".join([self.text, *[""] * bool(table), *table]).replace("`", "")

    def read(self, words: Iterable[str], usage: str, *, piped: Collection[str] = ("output",)) -> dict[str, Any]:
        """Read `key=value` words.

        Args:
            words: As the shell gives them.
            usage: What is shown where an option is missing.
            piped: Names of options that may be a pipe, which can be read only once.

        Raises:
            ConfigError: If a key is unknown, a value is of the wrong kind, or a required option is missing.
        """
        options = {**self.options, TRUST.name: TRUST}
        values = {name: option.default for name, option in options.items()}
        for word in words:
            key, equals, text = word.partition("=")
            if not equals or key not in options:
                raise ConfigError(f"{word!r} {is_not_one_of(key, options, '=')}")
            value, before = options[key].read(text), values[key]
            values[key] = value
            if options[key].kind == SEVERAL:
                values[key] = [*(before if isinstance(before, list) else []), value]
            if isinstance(value, str) and key not in piped and is_pipe(value):
                raise ConfigError(f"{word}: a pipe can be read only once. Write it to a file first, and name that.")
        if missing := [f"{key}=" for key in self.required if values[key] in (REQUIRED, "", [""])]:
            raise ConfigError(f"{', '.join(missing)} is missing.\n{usage}")
        return values


def _filled(text: str, indent: int) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def read_signature(target: str) -> Function:
    """Read a function's signature and docstring without importing it.

    Args:
        target: MODULE:NAME. Options are its keyword-only parameters; a positional one takes other words.
    """
    module, _, name = target.partition(":")
    spec = importlib.util.find_spec(module)
    source = cast(InspectLoader, spec.loader).get_source(module) if spec else None
    nodes = ast.parse(source or "").body
    node = next(node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == name)
    text, *sections = _SECTION.split(ast.get_docstring(node) or "")
    pairs = re.findall(r"^    (\w+): (.*(?:\n     .*)*)", sections[0] if sections else "", re.MULTILINE)
    told = {key: " ".join(told.split()) for key, told in pairs}
    options = {
        argument.arg: _option(argument, default, told.get(argument.arg, ""))
        for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    }
    return Function(text.strip(), options, "".join(argument.arg for argument in node.args.args))


def _option(argument: ast.arg, default: ast.expr | None, text: str) -> Option:
    value = REQUIRED if default is None else ast.literal_eval(default)
    if isinstance(argument.annotation, ast.Subscript) and ast.unparse(argument.annotation.value) == "Literal":
        return Option(argument.arg, "str", value, ast.literal_eval(argument.annotation.slice), text)
    return Option(argument.arg, ast.unparse(cast(ast.expr, argument.annotation)), value, text=text)


def is_not_one_of(word: str, known: Iterable[str], ending: str = "") -> str:
    """Say what is allowed instead of a word, and which of that is nearest."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1)
    hint = f" Did you mean {near[0]}{ending}?" if near else ""
    return f"is not one of {', '.join(f'{name}{ending}' for name in names)}.{hint}"


def with_home(value: str) -> str:
    """Write the home folder for `~`, which a shell does not behind `key=`, in one path or several with commas."""
    return re.sub(r"(?:^|(?<=,))~[^/,]*(?=/|,|$)", lambda found: os.path.expanduser(found[0]), value)
