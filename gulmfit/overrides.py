"""Words of the command line, made ready for Hydra: a path, a name or a class arrives as it was given.

Hydra reads `key=value` in a grammar of its own, where `é ( # & ' ; ~` are mistakes, `20240101` is a number and a comma
asks for a sweep. A word that it would refuse, or would take for something that its key cannot be, is quoted here first.
What it reads rightly stays as it is: lists, mappings, globs, quoted values, `${references}` and sweeps.
"""

import functools
import importlib
import inspect
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml  # type: ignore[import-untyped]
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, QuotedString, Sweep
from hydra.errors import HydraException
from omegaconf import OmegaConf

from gulmfit.errors import ConfigError
from gulmfit.files import config_dir
from gulmfit.schema import KINDS
from gulmfit.seq.limits import is_pipe
from gulmfit.shorthand import translated

# Groups whose keys are paths, names of columns and the like; what they may be, the classes say that they build.
GROUPS = ("data", "split", "tokenizer")

_KEY = re.compile(r"\+{0,2}[\w$@./:-]+", re.ASCII)
_Types = frozenset[Any]
_CLOSING = {"[": "]", "{": "}", "(": ")"}


class _Unread:
    """What Hydra cannot read."""


def mapping_of(*pairs: Sequence[Any]) -> dict[str, Any]:
    """Return a mapping from names to values: what `${gulmfit.mapping:['name','value']}` stands for."""
    return {str(name): value for name, value in pairs}


if not OmegaConf.has_resolver("gulmfit.mapping"):
    OmegaConf.register_new_resolver("gulmfit.mapping", mapping_of)


def assign(key: str, value: object) -> str:
    """Return `key=value` so that Hydra reads exactly this text, whatever it holds."""
    # A reference would be replaced, so it is told to be none.
    text = re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + "\\${", str(value))
    return f"{key}={_quoted(text)}"


def as_word(key: str, value: object) -> str:
    """Return `key=value` for a value of Python: text as it is, lists and mappings in Hydra's grammar."""
    return assign(key, value) if isinstance(value, str | Path) else f"{key}={_text(value)}"


def overrides_for_hydra(words: Sequence[str], *, multirun: bool = False) -> list[str]:
    """Quote what Hydra would misread among the words of a command line.

    Args:
        words: Options and `key=value` words; options are left alone.
        multirun: Whether commas part the values of a sweep.

    Raises:
        ConfigError: If a word is not text in the encoding of this machine, a list or mapping of paths is not closed, or
            the file of an experiment cannot be read.
    """
    return [_override(word, multirun) for word in expanded(words)]


def expanded(words: Sequence[str]) -> list[str]:
    """Translate shorthand, and put the words of a file (`experiment=FOLDER/best.yaml`) in its place.

    Raises:
        ConfigError: If there is no such file, it is not an experiment, or shorthand does not say enough.
    """
    return [told for word in translated(words) for told in _expanded(word)]


def _expanded(word: str) -> list[str]:
    key, _, value = word.partition("=")
    if key == "panel" and value not in ("", "null") and not (config_dir() / key / f"{value}.yaml").is_file():
        return [f"panel.path={value}"]  # stage=panel brings the rest
    if key != "experiment" or not value.endswith((".yaml", ".yml")):
        return [word]
    path = Path(_at_home(value))
    try:
        content = OmegaConf.to_container(OmegaConf.create(path.read_text(encoding="utf-8")), resolve=False)
        if not isinstance(content, dict):
            raise ValueError("it is not a mapping")
        chosen = [_chosen(item) for item in content.pop("defaults", [])]
    except Exception as error:  # of the file system, YAML or OmegaConf
        told = " ".join(str(error).split())[:300]
        raise ConfigError(f"{word}: {path} cannot be read as an experiment: {told}.") from error
    return [*filter(None, chosen), *(f"++{name}={_text(value)}" for name, value in _dotted_leaves(content))]


def _chosen(item: Any) -> str:
    """Return an item of a list of defaults as a word."""
    if isinstance(item, str):
        return "" if item == "_self_" else f"experiment={item}"
    ((group, name),) = item.items()
    return f"{str(group).removeprefix('override').strip().lstrip('/')}={'null' if name is None else name}"


def _dotted_leaves(node: dict[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from _dotted_leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(value: Any) -> str:
    """Write a value in Hydra's grammar."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_text(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    return "null" if value is None else _quoted(value) if isinstance(value, str) else str(value).lower()


def experiment_of(words: Sequence[str]) -> dict[str, Any]:
    """Return words as the content of an experiment's file, the other way round; one that removes a key is left out."""
    groups = {path.name for path in config_dir().iterdir() if path.is_dir()}
    chosen: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for word in words:
        override = OverridesParser.create().parse_override(word)
        key, value = override.key_or_group, override.value()
        if key in groups and not isinstance(value, dict | list):
            chosen[key] = value
        elif not override.is_delete():
            *path, last = key.split(".")
            node = values
            for name in path:
                node = node.setdefault(name, {})
            node[last] = value
    start: list[Any] = [chosen.pop("experiment")] if "experiment" in chosen else []
    return {"defaults": [*start, *({f"override /{key}": value} for key, value in chosen.items()), "_self_"], **values}


def _override(word: str, multirun: bool) -> str:
    try:
        word.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"{word!r} is not text in the encoding of this machine. Set PYTHONUTF8=1 or a UTF-8 locale "
            "(LC_ALL=C.UTF-8), or give the file another name."
        ) from error
    key, equals, value = word.partition("=")
    if not equals or word.startswith("-") or not _KEY.fullmatch(key):
        return word
    kinds = _kinds(key.lstrip("+"))
    if str in kinds and is_pipe(value):
        raise ConfigError(f"{word}: a pipe can be read only once. Write it to a file first, and name that.")
    sweep = _parts(value) if multirun else None
    if sweep and len(sweep) > 1 and _is_unread_or_plain(_read(value)):
        return f"{key}={','.join(_value(key, part, kinds, multirun) for part in sweep)}"
    return f"{key}={_value(key, value, kinds, multirun)}"


def _is_unread_or_plain(found: object) -> bool:
    """Whether commas part what was read, and not `choice(...)` or the like, which Hydra has read."""
    return isinstance(found, _Unread) or (isinstance(found, ChoiceSweep) and found.simple_form and not found.shuffle)


def _value(key: str, raw: str, kinds: _Types, multirun: bool = False) -> str:
    """Return a value as Hydra must be told it."""
    text = raw.strip()
    if text[:1] in ("[", "{") and _CLOSING[text[0]] == text[-1:] and not (str in kinds and os.path.lexists(raw)):
        parts = _parts(text[1:-1])
        if parts is not None:
            return _mapping(key, text, parts, kinds) if text[0] == "{" else _list(key, text, parts, kinds)
    found = _read(raw)
    if isinstance(found, QuotedString):
        return raw
    if isinstance(found, _Unread):
        return _quoted(_at_home(raw))
    if isinstance(found, Sweep):
        return raw if multirun or str not in kinds else _quoted(raw)
    if isinstance(found, str):
        changed = str in kinds and found != raw and "\\" not in raw
        return _quoted(raw) if changed else raw
    return _quoted(raw) if str in kinds and not _fits(found, kinds) else raw


def _list(key: str, raw: str, parts: list[str], kinds: _Types) -> str:
    told = [_value(key, part.strip(), kinds) for part in parts]
    return raw if told == [part.strip() for part in parts] else f"[{','.join(told)}]"


def _mapping(key: str, raw: str, parts: list[str], kinds: _Types) -> str:
    """Return a mapping; where Hydra would take one of its names for something else, as pairs of texts."""
    pairs = []
    for part in parts:
        name, value = _named(part)
        if value is None:
            raise ConfigError(
                f"{key}={raw}: {part.strip()!r} is not 'name: value'. Quote what holds a comma or a colon: "
                "{'a, b': file.fa}."
            )
        pairs.append((name, value))
    if all(_is_name(name) for name, _ in pairs):
        told = [(name, _value(key, value, kinds)) for name, value in pairs]
        return raw if told == pairs else "{" + ", ".join(f"{name}: {value}" for name, value in told) + "}"
    inner = ",".join(f"[{_quoted(name)},{_pair_value(value, kinds)}]" for name, value in pairs)
    return _quoted(f"${{gulmfit.mapping:{inner}}}", '"')


def _is_name(name: str) -> bool:
    """Whether Hydra reads a name of a mapping as it is."""
    found = _read(f"{{{name}: 0}}")
    return isinstance(found, dict) and [str(key) for key in found] == [name]


def _named(part: str) -> tuple[str, str | None]:
    """Part the name and the value of a mapping at the first colon that is not quoted."""
    part = part.strip()
    if part[:1] in ("'", '"') and (end := part.find(part[0], 1)) > 0:
        name, rest = part[1:end], part[end + 1 :].lstrip()
        return (name, rest[1:].strip()) if rest.startswith(":") else (part, None)
    name, colon, value = part.partition(":")
    return (name.strip(), value.strip()) if colon else (part, None)


def _pair_value(raw: str, kinds: _Types) -> str:
    """Return a value of a mapping in the grammar of references, which quotes alike."""
    parts = _parts(raw[1:-1]) if raw[:1] == "[" and raw[-1:] == "]" else None
    if parts is not None:
        return f"[{','.join(_pair_value(part.strip(), kinds) for part in parts)}]"
    found = _read(raw)
    if isinstance(found, QuotedString):
        return _quoted(found.text)
    is_text = isinstance(found, str | _Unread | Sweep) or (str in kinds and not _fits(found, kinds))
    return _quoted(_at_home(raw)) if is_text else raw


def _parts(text: str) -> list[str] | None:
    """Cut a text at its commas, but not within quotes or brackets; None if these are not closed."""
    parts, open_brackets, quote, start = [], [], "", 0
    for index, sign in enumerate(text):
        at_start = not text[start:index].strip() or text[:index].rstrip()[-1:] in ("[", "{", ":", ",")
        if quote:
            quote = "" if sign == quote and text[index - 1] != "\\" else quote
        elif sign in "'\"" and at_start and sign in text[index + 1 :]:
            quote = sign
        elif sign in "[{":
            open_brackets.append(_CLOSING[sign])
        elif open_brackets and sign == open_brackets[-1]:
            open_brackets.pop()
        elif sign in "]}":
            return None
        elif sign == "," and not open_brackets:
            parts.append(text[start:index])
            start = index + 1
    last = text[start:]
    return None if quote or open_brackets else [*parts, last] if parts or last.strip() else []


@functools.lru_cache(maxsize=1024)
def _read(value: str) -> Any:
    """Return what Hydra reads in a value."""
    try:
        return OverridesParser.create().parse_override(f"key={value}")._value
    except HydraException:
        return _Unread()


def _at_home(text: str) -> str:
    """Write the home folder for `~`, as a shell does at the start of a word but not after `key=`."""
    return os.path.expanduser(text) if text.startswith("~") else text


def _quoted(text: str, mark: str = "'") -> str:
    """Return a text between quotation marks that Hydra takes off again."""
    at_risk = re.compile(rf"(\\*)({mark}|\Z)")  # backslashes are doubled before a mark, and nowhere else
    return mark + at_risk.sub(lambda found: found[1] * 2 + (found[2] and f"\\{mark}"), text) + mark


def _fits(value: object, kinds: _Types) -> bool:
    """Whether a value that is not text is one of the kinds."""
    return Any in kinds or type(value) in kinds


def _leaves(annotation: Any) -> Iterator[Any]:
    """Yield the single types of an annotation: `str` and `None` of `list[str] | None`."""
    inner = get_args(annotation)
    if not inner:
        yield annotation
    for item in inner:
        yield from _leaves(item)


def _kinds(key: str) -> _Types:
    """Return the single types that the value of a key may have; none where that is not known."""
    group, _, name = key.partition(".")
    annotations = _parameters(group).get(name, []) if group in GROUPS else [KINDS[key]] if key in KINDS else []
    return frozenset(leaf for annotation in annotations for leaf in _leaves(annotation))


def keys_of_groups() -> dict[str, list[str]]:
    """Return every key that a file of a group can set, `data.path`, and the files which can."""
    found: dict[str, list[str]] = {}
    for group in GROUPS:
        for path in sorted((config_dir() / group).glob("*.yaml")):
            for name in yaml.safe_load(path.read_text(encoding="utf-8")) or {}:
                if not name.startswith("_") and name != "defaults":
                    found.setdefault(f"{group}.{name}", []).append(f"{group}={path.stem}")
    return found


@functools.cache
def _parameters(group: str) -> dict[str, list[Any]]:
    """Return the annotations of every parameter that a file of a group can set."""
    found: dict[str, list[Any]] = {}
    for path in sorted((config_dir() / group).glob("*.yaml")):
        target = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("_target_")
        if target in (None, "???"):
            continue
        module, _, name = str(target).rpartition(".")
        for parameter in inspect.signature(getattr(importlib.import_module(module), name)).parameters.values():
            found.setdefault(parameter.name, []).append(parameter.annotation)
    return found
