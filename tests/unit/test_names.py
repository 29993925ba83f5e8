"""Nothing public shares its name with another thing, and no file with another file: who searches finds one."""

import ast
from collections import defaultdict
from collections.abc import Iterable

from tests.unit.test_imports import FILES, PACKAGE, dotted_name, parse


def homonyms(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return, of (name, place) pairs, the names that have more than one place."""
    places: dict[str, list[str]] = defaultdict(list)
    for name, place in pairs:
        places[name].append(place)
    return {name: found for name, found in places.items() if len(found) > 1}


def public(tree: ast.Module) -> set[str]:
    """Return the public classes and functions that a module defines."""
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")}


def listed(found: dict[str, list[str]]) -> str:
    return "\n".join(f"{name}: {', '.join(places)}" for name, places in sorted(found.items()))


def test_no_two_public_things_share_a_name() -> None:
    found = homonyms((name, dotted_name(path)) for path in FILES for name in public(parse(path)))
    assert not found, f"give one of them another name:\n{listed(found)}"


def test_no_two_files_share_a_name() -> None:
    paths = [path.relative_to(PACKAGE) for path in FILES if path.name != "__init__.py"]
    found = homonyms((path.name, path.as_posix()) for path in paths)
    assert not found, f"give one of them another name:\n{listed(found)}"


def test_a_homonym_is_seen() -> None:
    one, two = (
        "class Window: ...\ndef _own(): ...",
        "async def Window(): ...\ndef _own(): ...\nif 1:\n    def deep(): ...",
    )
    pairs = [(name, place) for place, text in (("one", one), ("two", two)) for name in public(ast.parse(text))]
    assert homonyms(pairs) == {"Window": ["one", "two"]}
