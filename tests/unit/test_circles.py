"""No two modules of the package need each other, not even inside functions."""

import ast
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.unit.test_imports import FILES, PACKAGE, dotted_name, parse


def statements(nodes: Iterable[ast.AST]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports among nodes and below them, at any depth, but for those of type checkers."""
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from statements(node.orelse)
        else:
            yield from statements(ast.iter_child_nodes(node))


def needed(tree: ast.Module, modules: set[str]) -> set[str]:
    """Return which of `modules` a module imports."""
    found: set[str] = set()
    for node in statements(tree.body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        else:
            # `from package import module` needs the module; `from module import name` does not have `module.name`.
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= whole & modules or {str(node.module)}
    return found & modules


def circle(needs: dict[str, set[str]]) -> list[str]:
    """Return the modules along a circle, or nothing."""
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return [str(name) for name in error.args[1]]
    return []


def test_no_modules_import_each_other() -> None:
    modules = {dotted_name(path): path for path in FILES}
    found = circle({name: needed(parse(path), set(modules)) - {name} for name, path in modules.items()})
    assert not found, f"an import circle: {' -> '.join(found)}"


@pytest.mark.parametrize(
    "importing",
    [
        "import p.b",
        "from p import b",
        "from p.b import thing",
        "def late():\n    from p.b import thing",
        "class A:\n    def late(self):\n        with x:\n            import p.b as other",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass\nelse:\n    import p.b",
    ],
)
def test_a_circle_is_seen(importing: str) -> None:
    modules = {"p", "p.a", "p.b", "p.c"}
    needs = {"p.a": needed(ast.parse(importing), modules), "p.b": {"p.c"}, "p.c": {"p.a"}}
    assert set(circle(needs)) == {"p.a", "p.b", "p.c"}


def test_type_checkers_may_look_back() -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import p.b"
    assert needed(ast.parse(text), {"p.a", "p.b"}) == set()


def test_every_module_is_looked_at() -> None:
    assert {"gulmfit.report.pages", "gulmfit.commands.train", "gulmfit"} <= {dotted_name(path) for path in FILES}
    assert PACKAGE.name == "gulmfit"
