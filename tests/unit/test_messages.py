"""Tests match the type of an error and the facts of its message, so that the words of the message can change."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef

# A word of a sentence. What touches a quote, a dot or '=' is a value, a file or a key.
WORD = r"(?<!['\w=./_-])(?:a|[a-z]{2,}(?:'[a-z]{1,2})?)(?!['\w=/_-]|\.\w)"
SENTENCE = re.compile(rf"{WORD}(?:[,;]? {WORD}){{2,}}")


def text(node: ast.expr) -> str | None:
    """Return the text of a literal, of which parts may be put in, or None for other expressions."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text(part) or "{}" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return "".join(text(part) or "{}" for part in (node.left, node.right))
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "re.escape":
        return text(node.args[0])
    return None


def column(function: FUNCTION, name: str) -> Iterator[ast.expr]:
    """Yield what a test is parametrised with under a name."""
    for mark in function.decorator_list:
        if not (isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.parametrize"):
            continue
        names, table = mark.args[:2]
        given = ast.literal_eval(names)
        given = [one.strip() for one in given.split(",")] if isinstance(given, str) else list(given)
        if name in given and isinstance(table, ast.List):
            for row in table.elts:
                yield row.elts[given.index(name)] if len(given) > 1 and isinstance(row, ast.Tuple) else row


def patterns(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield what is given as `match=`, and the values of a parameter that is given so."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "match":
            yield node.value
        if isinstance(node, FUNCTION):
            matched = {
                inner.value.id
                for inner in ast.walk(node)
                if isinstance(inner, ast.keyword) and inner.arg == "match" and isinstance(inner.value, ast.Name)
            }
            for name in sorted(matched):
                yield from column(node, name)


def sentences(source: str) -> list[tuple[int, str]]:
    """Return the lines of patterns that spell out three or more words in a row, with these words."""
    found = []
    for node in patterns(ast.parse(source)):
        plain = re.sub(r"\\(?:[A-Za-z]|(\W))", r"\1", text(node) or "")
        found += [(node.lineno, words[0]) for words in SENTENCE.finditer(plain)]
    return sorted(found)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ('"a.bed, line 1: this interval holds no base"', ["this interval holds no base"]),
        (r'r"a\.bed: not\ a\ table"', ["not a table"]),
        (r'rf"{name}\.bed: \bthe file is empty\b.*x="', ["the file is empty"]),
        (r're.escape("k=3: no k-mer, so nothing to count")', ["so nothing to count"]),
        ('"k=" + str(k) + " is more than all"', ["is more than all"]),
        (r'''r"a\.bed, line 1: 20-20 .*'1' .*\bdata\.flank_bp"''', []),
        (r'''r"record 'the one', position 3: .*(no base|bad letter)"''', []),
        (r'''r"^split=file .*split\.path=.*pip install 'gulmfit\[bio\]'"''', []),
        ("message", []),
    ],
)
def test_sentences_are_found_and_facts_are_not(pattern: str, words: list[str]) -> None:
    source = f"\nwith pytest.raises(DataError, match={pattern}):\n    read()\n"
    assert sentences(source) == [(2, said) for said in words]


@pytest.mark.parametrize(
    "given",
    [
        '("word", "told"), [\n(1, "k=1"),\n(2, "give more of them")]',
        '"word, told", [\n(1, "k=1"),\n(2, "give more of them")]',
        '"told", [\n"k=1",\n"give more of them"]',
    ],
)
def test_tables_of_tests_are_looked_through(given: str) -> None:
    test = "def test(word, told):\n    with pytest.raises(DataError, match=told):\n        read(word)\n"
    assert sentences(f"@pytest.mark.parametrize({given})\n{test}") == [(3, "give more of them")]


def test_no_test_matches_a_sentence() -> None:
    found = [
        f"{path.relative_to(TESTS.parent)}:{line}: {said!r}"
        for path in sorted(TESTS.rglob("*.py"))
        for line, said in sentences(path.read_text(encoding="utf-8"))
    ]
    assert not found, "match the facts instead, such as the file, line, key=value or number:\n" + "\n".join(found)
