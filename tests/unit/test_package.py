"""The package as such: its public names, its metadata and its pinned dependencies."""

import ast
import importlib
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import gulmfit
from gulmfit.cli import COMMANDS

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = (("linux", "Linux", "x86_64"), ("darwin", "Darwin", "arm64"), ("win32", "Windows", "AMD64"))

# Distributions whose module has another name.
DISTRIBUTIONS = {"Bio": "biopython", "hydra": "hydra-core", "sklearn": "scikit-learn", "yaml": "pyyaml"}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pins() -> list[Requirement]:
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def requirements(project: dict[str, Any]) -> list[Requirement]:
    groups = [project["project"]["dependencies"], *project["project"]["optional-dependencies"].values()]
    found = [Requirement(text) for group in groups for text in group]
    return [requirement for requirement in found if requirement.name != "gulmfit"]  # extras that name other extras


@pytest.mark.parametrize("name", gulmfit.__all__)
def test_public_names_resolve_and_are_remembered(name: str) -> None:
    value = getattr(gulmfit, name)
    assert value.__name__ == name
    assert vars(gulmfit)[name] is value
    assert name in dir(gulmfit)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(AttributeError, match=r"'Tokenizer'; public are KmerTokenizer, Model, Predictor"):
        gulmfit.Tokenizer  # noqa: B018


def test_no_public_name_hides_a_submodule() -> None:
    """Importing a submodule binds its name in the package: the name would mean now one, now the other."""
    submodules = {path.stem for path in (REPOSITORY / "gulmfit").iterdir()}
    assert not submodules & set(gulmfit.__all__)


def test_the_version_stands_in_one_place(project: dict[str, Any]) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", gulmfit.__version__)
    assert "version" in project["project"]["dynamic"]
    assert f"## [{gulmfit.__version__}]" in (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")


def test_all_packages_are_listed(project: dict[str, Any]) -> None:
    """`conf` is mapped into the package, so that discovery cannot be used and the list is written by hand."""
    folders = {path.parent.relative_to(REPOSITORY) for path in (REPOSITORY / "gulmfit").rglob("*.py")}
    assert set(project["tool"]["setuptools"]["packages"]) == {".".join(path.parts) for path in folders} | {
        "gulmfit.conf"
    }
    assert (REPOSITORY / "gulmfit" / "py.typed").is_file()
    assert (REPOSITORY / "conf" / "__init__.py").is_file()


def test_commands_exist(project: dict[str, Any]) -> None:
    scripts = project["project"]["scripts"]
    names = {name.partition(" ")[0] for name in COMMANDS}
    assert set(scripts) == {"gulmfit", *(f"gulmfit-{name}" for name in names)}
    for target in scripts.values():
        module, _, function = target.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_everything_imported_is_declared(project: dict[str, Any]) -> None:
    """What comes along with a dependency today may not come along tomorrow."""
    declared = {canonicalize_name(requirement.name) for requirement in requirements(project)} | {"gulmfit"}
    imported = set()
    for path in (REPOSITORY / "gulmfit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    outside = imported - sys.stdlib_module_names
    assert {canonicalize_name(DISTRIBUTIONS.get(name, name)) for name in outside} <= declared


def test_pins_name_no_place_and_no_local_build(pins: list[Requirement]) -> None:
    for pin in pins:
        assert pin.url is None
        assert re.fullmatch(r"==[0-9a-z.]+", str(pin.specifier)), pin


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("platform", "system", "machine"), PLATFORMS)
def test_every_dependency_has_one_pin_that_fits(
    project: dict[str, Any], pins: list[Requirement], python: str, platform: str, system: str, machine: str
) -> None:
    environment = {
        **default_environment(),
        "python_version": python,
        "python_full_version": f"{python}.1",
        "sys_platform": platform,
        "platform_system": system,
        "platform_machine": machine,
    }
    chosen: dict[str, Requirement] = {}
    for pin in pins:
        if pin.marker is None or pin.marker.evaluate(environment):
            name = canonicalize_name(pin.name)
            assert name not in chosen, f"{name} is pinned twice"
            chosen[name] = pin
    for requirement in requirements(project):
        if requirement.marker is not None and not requirement.marker.evaluate(environment):
            continue
        pin = chosen[canonicalize_name(requirement.name)]
        version = str(pin.specifier).removeprefix("==")
        assert requirement.specifier.contains(version), f"{requirement} is pinned to {version}"


def test_refused_lightning_releases_stay_refused(project: dict[str, Any]) -> None:
    lightning = next(item for item in requirements(project) if item.name == "pytorch-lightning")
    assert not any(lightning.specifier.contains(version) for version in ("2.6.2", "2.6.3", "3.0.0"))


def test_installed_metadata_agree() -> None:
    try:
        found = importlib.metadata.distribution("gulmfit")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("gulmfit is used from a checkout without being installed")
    assert found.version == gulmfit.__version__
    assert found.metadata["License-Expression"] == "MIT"


def test_the_citation_is_of_this_version(project: dict[str, Any]) -> None:
    cited = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert cited["version"] == gulmfit.__version__
    assert cited["license"] == project["project"]["license"]


def test_the_picture_of_the_readme_is_drawn_by_its_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))
    drawn = importlib.import_module("draw_stages")
    assert drawn.draw() == drawn.OUTPUT.read_text(encoding="utf-8")
