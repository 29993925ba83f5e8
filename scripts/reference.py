"""Write docs/reference.md: every key of `conf/` with its type, default and meaning.

    python scripts/reference.py            # writes the page
    python scripts/reference.py --check    # exit status 1 where the page is not what would be written

Defaults and meanings are those of the YAML files and the comments in their lines. Types, and meanings that a line does
not tell, are those of the signature and docstring of a class of gulmfit that a file builds. Classes of other libraries
change with their versions: there the line must tell, and the type is the default's, or stands in the line as (int).
"""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from gulmfit.files import config_dir
from gulmfit.moved import named
from gulmfit.schema import KINDS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference.md"
HEAD = """# Reference of the configuration

Every key of `conf/`, written by `scripts/reference.py`; do not edit it by hand. A key is given as `key=value`, a file
of a group as `group=name`. `null` is nothing, `???` must be given, `${...}` is the value of another key.
"""
# Their files set keys of others.
GLOBAL = "# @package _global_"
_ARGUMENT = r"^ {2,8}([\w, ]+)(?: \([^)]*\))?: +(.+(?:\n {6,}.+)*)"


class Key(NamedTuple):
    """A key of a file."""

    name: str
    default: str
    comment: str


def keys_of(path: Path) -> Iterator[Key]:
    """Yield the keys of a YAML file that have a value of their own, nested ones with dots."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    root = yaml.compose(text)
    if root is not None:
        yield from _keys(root, lines, "")


def _keys(node: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[Key]:
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        if name in ("defaults", "_target_"):
            continue
        if isinstance(value, yaml.MappingNode) and value.value and not _is_data(name):
            yield from _keys(value, lines, f"{name}.")
            continue
        last = value.end_mark.line - (value.end_mark.column == 0)
        own = [lines[key.start_mark.line]] + ([lines[last]] if last != key.start_mark.line else [])
        comment = next((found for line in own if (found := _comment(line))), "")
        yield Key(name, _shown(value, lines), comment)


def _is_data(name: str) -> bool:
    """Whether a mapping is one value: names in it are the user's."""
    return name.partition(".")[0] in ("start", "transition", "emission", "space", "set") or name == "holdout.contigs"


def _comment(line: str) -> str:
    return line.partition(" # ")[2].strip()


def _shown(value: yaml.Node, lines: list[str]) -> str:
    if isinstance(value, yaml.ScalarNode):
        return value.value or '""'
    start, end = value.start_mark, value.end_mark
    if start.line == end.line:
        return lines[start.line][start.column : end.column]
    return str(yaml.safe_load(yaml.serialize(value)))


def told_by(target: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the types and the meanings of the arguments of a class or function."""
    if not target.startswith("gulmfit."):
        return {}, {}
    found = named(target)
    parameters = inspect.signature(found).parameters.values()
    kinds = {one.name: _type(one.annotation) for one in parameters if one.annotation is not inspect.Parameter.empty}
    meanings: dict[str, str] = {}
    for part in (found, getattr(found, "__init__", None), *getattr(found, "__mro__", ())[1:]):
        for names, text in re.findall(_ARGUMENT, inspect.getdoc(part) or "", re.MULTILINE):
            for name in names.split(","):
                meanings.setdefault(name.strip(), " ".join(text.split()))
    return kinds, meanings


def _type(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    if not text or hasattr(annotation, "__args__"):
        text = str(annotation)
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", text)


def _head_comment(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    told: list[str] = []
    for line in lines:
        if line == GLOBAL or line.startswith("# @package"):
            continue
        if not line.startswith("# "):
            break
        told.append(line[2:])
    return " ".join(told)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _row(name: str, kind: str, default: str, meaning: str) -> str:
    return f"| `{name}` | {f'`{_cell(kind)}`' if kind else ''} | `{_cell(default)}` | {_cell(meaning)} |"


def _table(rows: list[str]) -> list[str]:
    return ["| Key | Type | Default | Meaning |", "|---|---|---|---|", *rows, ""]


def page() -> tuple[str, list[str]]:
    """Return the page, and the keys that nothing says the meaning of."""
    conf = config_dir()
    rows, silent = [], []
    for key in keys_of(conf / "train.yaml"):
        rows.append(_row(key.name, _type(KINDS[key.name]), key.default, key.comment))
        silent += [key.name] if not key.comment else []
    text = [HEAD, "## Keys of every run", "", *_table(rows)]
    for group in sorted({path.parent for path in conf.glob("*/**/*.yaml")}):
        name = group.relative_to(conf).as_posix()
        text += [f"## `{name}=`", ""]
        lists = []
        for path in sorted(group.glob("*.yaml")):
            content = path.read_text(encoding="utf-8")
            head = _head_comment(path)
            if GLOBAL in content or group.name in ("hydra", "hmm", "launcher"):
                lists.append(f"| `{path.stem}` | {_cell(head)} |")
                silent += [] if head else [f"{group.name}={path.stem}"]
                continue
            found, missing = _file(group.name, path)
            target = (yaml.safe_load(content) or {}).get("_target_", "")
            text += [f"### `{group.name}={path.stem}`", ""]
            text += [head, ""] if head else []
            text += [f"Builds `{target}`.", ""] if target and target != "???" else []
            text += _table(found) if found else []
            silent += missing
        if lists:
            text += ["| Name | What it is |", "|---|---|", *lists, ""]
    return "\n".join(text).rstrip() + "\n", silent


def _file(group: str, path: Path) -> tuple[list[str], list[str]]:
    """Return the rows of a file, and the keys without a meaning."""
    bases = _bases(path)
    told = {prefix: told_by(target) for one in [*bases, path] for prefix, target in _targets(group, one)}
    earlier = {key.name: key.comment for base in bases for key in keys_of(base)}
    rows, silent = [], []
    for key in keys_of(path):
        if key.name.endswith("._target_"):
            continue
        prefix = next((one for one in sorted(told, reverse=True) if key.name.startswith(one)), "")
        kinds, meanings = told.get(prefix, ({}, {}))
        name = key.name.removeprefix(prefix)
        dotted = f"{group}.{key.name}"
        meaning = key.comment or earlier.get(key.name) or meanings.get(name) or meanings.get(name.partition(".")[0], "")
        kind = kinds.get(name) or (_type(KINDS[dotted]) if dotted in KINDS else "")
        if not kind:
            kind, meaning = _plain_type(key.default, meaning)
        rows.append(_row(dotted, kind, key.default, meaning))
        silent += [] if meaning and kind else [f"{group}={path.stem}: {key.name}"]
    return rows, silent


def _plain_type(default: str, meaning: str) -> tuple[str, str]:
    """Return the type of a default, of null the one that stands in the line, and the rest of the line."""
    if default == "null":
        told, _, rest = meaning.removeprefix("(").partition(") ")
        return (" | ".join([*told.split(", "), "None"]), rest) if meaning.startswith("(") else ("", meaning)
    try:
        return type(yaml.safe_load(default) if "e" not in default else float(default)).__name__, meaning
    except ValueError:
        return type(yaml.safe_load(default)).__name__, meaning


def _bases(path: Path) -> list[Path]:
    """Return the files of its group that a file begins with, the first of all first."""
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    names = [item for item in content.get("defaults", []) if isinstance(item, str) and item != "_self_"]
    files = [path.with_name(f"{name}.yaml") for name in names]
    return [one for file in files if file.is_file() for one in (*_bases(file), file)]


def _targets(group: str, path: Path) -> Iterator[tuple[str, str]]:
    """Yield what a file builds: where its arguments lie, "" or "NAME.", and the class."""
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    nodes = {"": content} | {f"{name}.": node for name, node in content.items() if isinstance(node, dict)}
    yield from ((prefix, node["_target_"]) for prefix, node in nodes.items() if node.get("_target_", "???") != "???")
    if group == "dropout":
        yield "", "gulmfit.models.dropout.DropoutRates"


def main() -> None:
    """Write the page, or check it."""
    text, silent = page()
    if silent:
        sys.exit("nothing says what these mean; write a comment in their line:\n  " + "\n  ".join(silent))
    if "--check" in sys.argv:
        sys.exit(PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
