"""Who may import whom, and the rules of style that a machine can check."""

import ast
import functools
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "gulmfit"
MAX_LINES = 400

# Every part but the two that put the others together.
LIBRARY = {
    f"gulmfit.{name}"
    for name in (
        "errors",
        "evaluate",
        "files",
        "label_tracks",
        "libraries",
        "metadata",
        "model_files",
        "moved",
        "threads",
        "weights",
        "seq",
        "models",
        "data",
        "checkpoint",
        "config",
        "overrides",
        "predict",
        "pretrained",
        "shorthand",
        "report",
        "explain",
    )
}

# What each part may import beside the standard library and itself. A part is a folder or module of gulmfit/.
ALLOWED = {
    "__init__": {"gulmfit.threads"}
    | {"gulmfit.api", "gulmfit.config", "gulmfit.predict", "gulmfit.seq"},  # the latter for type checkers
    "__main__": {"gulmfit.cli"},
    "api": {"numpy", "gulmfit.checkpoint", "gulmfit.errors", "gulmfit.moved", "gulmfit.overrides", "gulmfit.predict"}
    | {"gulmfit.report", "gulmfit.train"},
    "errors": set(),
    "moved": set(),
    "libraries": {"gulmfit.errors"},
    "quiet": set(),
    "threads": set(),
    "files": {"gulmfit.errors"},
    "metadata": {"numpy", "gulmfit.files", "gulmfit.seq"},
    "seq": {
        "numpy",
        "scipy",
        "yaml",
        "gulmfit.label_tracks",
        "Bio",
        "hmmlearn",
        "pyarrow",
        "pybigtools",
        "pyrodigal",
        "pysam",
        "tokenizers",
        "gulmfit.errors",
        "gulmfit.files",
        "gulmfit.libraries",
    },
    "label_tracks": {"gulmfit.errors"},
    "models": {"torch", "gulmfit.errors", "gulmfit.label_tracks"},
    "pretrained": {"gulmfit.seq", "gulmfit.errors"},
    "weights": {"torch", "safetensors", "gulmfit.errors", "gulmfit.files"},
    "checkpoint": {"torch", "gulmfit.models", "gulmfit.pretrained", "gulmfit.seq", "gulmfit.weights"}
    | {"gulmfit.errors", "gulmfit.files", "gulmfit.moved"},
    "model_files": {"gulmfit.checkpoint", "gulmfit.pretrained", "gulmfit.seq", "gulmfit.weights"},
    "data": {"torch", "numpy", "pytorch_lightning", "gulmfit.seq", "gulmfit.errors", "gulmfit.files"},
    "predict": {"torch", "numpy", "scipy", "tqdm", "pyarrow", "pybigtools"}
    | {"gulmfit.models", "gulmfit.seq", "gulmfit.data", "gulmfit.checkpoint", "gulmfit.errors", "gulmfit.files"}
    | {"gulmfit.libraries", "gulmfit.weights", "gulmfit.evaluate", "gulmfit.report"}  # the latter for kinds of target
    | {"gulmfit.pretrained", "gulmfit.quiet"},
    "explain": {"torch", "numpy", "gulmfit.models", "gulmfit.seq", "gulmfit.checkpoint", "gulmfit.predict"}
    | {"gulmfit.report", "gulmfit.errors", "gulmfit.files"},  # of report the kinds of target
    "evaluate": {"numpy", "scipy", "sklearn", "gulmfit.models", "gulmfit.seq", "gulmfit.errors", "gulmfit.files"},
    "report": {
        "numpy",
        "sklearn",
        "matplotlib",
        "jinja2",
        "gulmfit.evaluate",
        "gulmfit.label_tracks",
        "gulmfit.moved",
        "gulmfit.seq",
        "gulmfit.errors",
        "gulmfit.files",
    },
    "exchange": {"torch", "numpy", "safetensors", "onnx", "onnxruntime", "huggingface_hub"}
    | {
        "gulmfit.config",
        "gulmfit.models",
        "gulmfit.seq",
        "gulmfit.data",
        "gulmfit.checkpoint",
        "gulmfit.predict",
        "gulmfit.model_files",
        "gulmfit.pretrained",
        "gulmfit.weights",
        "gulmfit.errors",
        "gulmfit.files",
        "gulmfit.libraries",
    },
    "schema": set(),
    "shorthand": {"yaml", "gulmfit.errors", "gulmfit.files"},
    "checks": {"gulmfit.schema"},
    "overrides": {"hydra", "omegaconf", "yaml", "gulmfit.errors", "gulmfit.files", "gulmfit.schema", "gulmfit.seq"}
    | {"gulmfit.shorthand"},
    "config": {"hydra", "omegaconf", "yaml"}
    | {
        "gulmfit.checkpoint",
        "gulmfit.checks",
        "gulmfit.errors",
        "gulmfit.files",
        "gulmfit.moved",
        "gulmfit.overrides",
        "gulmfit.schema",
        "gulmfit.seq",
    },
    "train": {
        "torch",
        "numpy",
        "pytorch_lightning",
        "torchmetrics",
        "omegaconf",
        "hydra",
        "tqdm",
        "yaml",
        "gulmfit.checks",
        "gulmfit.quiet",
    }
    | LIBRARY,
    "commands": {"torch", "numpy", "tqdm", "omegaconf", "hydra", "pyarrow", "gulmfit.train", "gulmfit.exchange"}
    | {"gulmfit.quiet"}
    | LIBRARY,
    # What commands do is found by name, so that words are understood without it.
    "cli": {"gulmfit", "gulmfit.checkpoint", "gulmfit.config", "gulmfit.errors", "gulmfit.moved", "gulmfit.seq"}
    | {"gulmfit.files", "gulmfit.quiet", "gulmfit.train", "yaml"},
}

# Rooms of `seq`, each of which may import those before it only; "" are the files outside them.
ROOMS_OF_SEQ = ("", "formats", "genome", "tokens", "labels", "related", "splits", "negatives", "simulate")

FILES = sorted(PACKAGE.rglob("*.py"))
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())


@functools.cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def dotted_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the full name of everything imported, anywhere in a file."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def part(name: str) -> str:
    """`gulmfit.seq` for `gulmfit.seq.formats.fasta.read_fasta`, `numpy` for `numpy.typing`."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "gulmfit" else parts[0]


@each_file
def test_imports_only_what_its_part_may(path: Path) -> None:
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    assert own in ALLOWED, f"{own} is a new part of gulmfit: say in ALLOWED what it may import"
    allowed = ALLOWED[own] | {f"gulmfit.{own}"}
    wrong = [
        f"{path}:{line} imports {name}"
        for line, name in imports(path)
        if part(name) not in allowed and part(name) not in sys.stdlib_module_names
    ]
    assert not wrong, "\n".join(wrong)


def test_the_rule_sees_every_form_of_import(tmp_path: Path) -> None:
    source = tmp_path / "example.py"
    source.write_text(
        "import torch.nn as nn\nfrom . import sibling\ndef inside():\n    from gulmfit.train import run\n"
    )
    found = {part(name) for _, name in imports(source)}
    assert found == {"torch", "", "gulmfit.train"}


@each_file
def test_lightning_goes_by_one_name(path: Path) -> None:
    lines = [line for line, name in imports(path) if part(name) == "lightning"]
    assert not lines, f"{path}:{lines}: import pytorch_lightning; the two do not mix"


@each_file
def test_a_file_fits_in_the_head(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{path} has {lines} lines: split it by reason to open it"


@each_file
def test_no_print_and_no_assert(path: Path) -> None:
    """Libraries log, and `python -O` removes assertions."""
    found = [
        f"{path}:{node.lineno}"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Assert)
        or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print")
    ]
    assert not found, "\n".join(found)


@each_file
def test_imports(path: Path) -> None:
    importlib.import_module(dotted_name(path))


def loaded_by(statement: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has loaded after a statement."""
    code = f"import sys; {statement}; sys.stdout.write(' '.join(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, timeout=900
    )
    assert result.returncode == 0, result.stderr
    return {name.partition(".")[0] for name in result.stdout.split()}


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("gulmfit", {"torch", "numpy", "hydra", "omegaconf", "pytorch_lightning", "sklearn", "matplotlib"}),
        ("gulmfit.seq.tokens.tokenizer", {"torch", "hydra", "pytorch_lightning", "sklearn", "scipy", "Bio"}),
        ("gulmfit.cli, gulmfit.commands.train", {"torch", "numpy", "hydra", "omegaconf", "yaml", "tqdm"}),
        ("gulmfit.models.language_model", {"pytorch_lightning", "hydra", "sklearn"}),
        ("gulmfit.report.pages", {"torch", "hydra", "sklearn", "scipy", "matplotlib", "jinja2"}),
    ],
)
def test_importing_is_quick(module: str, absent: set[str]) -> None:
    loaded = loaded_by(f"import {module}")
    assert "gulmfit" in loaded
    assert not loaded & absent, f"import {module} loads {', '.join(sorted(loaded & absent))}"


def test_what_reads_a_model_loads_nothing_of_training() -> None:
    commands = ("annotate", "codons", "embed", "explain", "generate", "motifs", "predict", "score", "variants")
    imported = ", ".join(f"gulmfit.commands.{name}" for name in commands)
    loaded = loaded_by(f"import {imported}; gulmfit.checkpoint.load('bacteria')")
    # sympy comes with torch's compiler, which drawing weights that have no numbers would load
    assert not loaded & {"hydra", "pytorch_lightning", "torchmetrics", "matplotlib", "sklearn", "sympy"}


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.is_relative_to(PACKAGE / "seq")], ids=lambda path: path.stem
)
def test_rooms_of_seq_import_those_before_them(path: Path) -> None:
    def room(names: list[str]) -> int:
        return ROOMS_OF_SEQ.index(names[2] if names[2] in ROOMS_OF_SEQ else "")

    own = room([*dotted_name(path).split("."), ""]) if path.name != "__init__.py" else 0
    for line, name in imports(path):
        if name.startswith("gulmfit.seq."):
            assert room(name.split(".")) <= own, f"{path}:{line} imports {name}"
