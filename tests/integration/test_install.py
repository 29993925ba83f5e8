"""gulmfit as others install it: a source archive, the wheel built from it, and an editable checkout."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import gulmfit

REPOSITORY = Path(__file__).resolve().parents[2]
SHIPPED = ("pyproject.toml", "README.md", "LICENSE", "gulmfit", "conf")
MARK = 20_260_101  # a seed that only the built copy has


def run(*words: str | Path, cwd: Path) -> str:
    """Run a command as a user would, away from the checkout and without its path; return what it prints."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PIP_REQUIRE"))}
    result = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=900
    )
    assert result.returncode == 0, f"{words}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source archive of a copy of the checkout, told from the checkout by its default seed."""
    pytest.importorskip("setuptools", minversion="77")
    copy = tmp_path_factory.mktemp("source")
    for name in SHIPPED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy2(source, copy)
    config = copy / "conf" / "train.yaml"
    text = config.read_text(encoding="utf-8")
    assert "\nseed: 0 " in text
    config.write_text(text.replace("\nseed: 0 ", f"\nseed: {MARK} "), encoding="utf-8")
    (copy / "conf" / "local" / "default.yaml").write_text("seed: 1\n", encoding="utf-8")
    code = "from setuptools import build_meta; build_meta.build_sdist('dist')"
    run(sys.executable, "-c", code, cwd=copy)
    (path,) = (copy / "dist").iterdir()
    return path


@pytest.fixture(scope="module")
def wheel(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source archive alone."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ("pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", ".")
    run(sys.executable, "-m", *build, archive, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of commands of an environment with the wheel, which borrows all else from the running one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=os.name != "nt", with_pip=False)
    commands = folder / ("Scripts" if os.name == "nt" else "bin")
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run(commands / "python", "-c", code, cwd=folder).strip())
    # Folders that a .pth file names come last, and .pth files in them (an editable gulmfit) are not read.
    borrowed = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (packages / "borrowed.pth").write_text("\n".join(borrowed) + "\n", encoding="utf-8")
    install = (
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-warn-script-location",
        "--force-reinstall",
    )
    run(sys.executable, "-m", "pip", "--python", commands / "python", *install, wheel, cwd=folder)
    return commands


def names(path: Path) -> set[str]:
    """List the files of an archive, below its top folder, or of a wheel."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as opened:
            return set(opened.namelist())
    with tarfile.open(path) as opened:
        return {name.partition("/")[2] for name in opened.getnames()}


def shipped_configs(prefix: str) -> set[str]:
    folder = REPOSITORY / "conf"
    files = {path.relative_to(folder) for path in folder.rglob("*.yaml")}
    return {f"{prefix}/{path.as_posix()}" for path in files if path.parts[0] != "local"}


def test_archive_and_wheel_hold_every_configuration_file(archive: Path, wheel: Path) -> None:
    assert shipped_configs("conf") <= names(archive)
    assert shipped_configs("gulmfit/conf") <= names(wheel)
    assert {"gulmfit/py.typed", "gulmfit/conf/__init__.py", "gulmfit/report/report.html.j2"} <= names(wheel)


def test_archive_and_wheel_hold_the_models_that_ship(archive: Path, wheel: Path, installed: Path) -> None:
    folder = REPOSITORY / "gulmfit" / "pretrained"
    files = {path.relative_to(REPOSITORY).as_posix() for path in folder.glob("*/*") if path.parent.name[0] not in "._"}
    assert files >= {f"gulmfit/pretrained/bacteria/{name}" for name in ("config.json", "card.json", "corpus.npz")}
    assert files <= names(archive)
    assert files <= names(wheel)
    assert "| bacteria |" in run(installed / "gulmfit-models", cwd=installed)


def test_local_settings_and_tests_stay_at_home(archive: Path, wheel: Path) -> None:
    assert not [name for name in names(archive) | names(wheel) if "local/default.yaml" in name]
    assert {name.partition("/")[0] for name in names(wheel)} == {
        "gulmfit",
        f"gulmfit-{gulmfit.__version__}.dist-info",
    }


def test_the_wheel_is_what_runs(installed: Path, tmp_path: Path) -> None:
    code = (
        "import gulmfit, gulmfit.conf, gulmfit.config, json; "
        "files = gulmfit.__file__, gulmfit.conf.__file__, str(gulmfit.config.config_dir()); "
        "print(json.dumps([*files, gulmfit.compose([]).seed]))"
    )
    *files, seed = json.loads(run(installed / "python", "-c", code, cwd=tmp_path))
    assert seed == MARK
    for file in files:
        assert Path(file).resolve().is_relative_to(installed.parent.resolve())


def test_train_shows_the_configuration_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    shown = run(installed / "gulmfit-train", "--cfg", "job", "stage=pretrain", cwd=tmp_path)
    assert f"seed: {MARK}\n" in shown
    assert "_target_: gulmfit.seq.tokens.tokenizer.KmerTokenizer\n" in shown
    assert not list(tmp_path.iterdir())  # looking leaves nothing behind


@pytest.mark.parametrize("name", ["gulmfit-train", "gulmfit-evaluate", "gulmfit-predict"])
def test_commands_explain_themselves(installed: Path, tmp_path: Path, name: str) -> None:
    assert "gulmfit" in run(installed / name, "--help", cwd=tmp_path)


def test_editable_uses_the_files_of_the_checkout(tmp_path: Path) -> None:
    origins = [item.read_text("direct_url.json") for item in importlib.metadata.distributions(name="gulmfit")]
    if not any(json.loads(origin or "{}").get("dir_info", {}).get("editable") for origin in origins):
        pytest.skip("gulmfit is not installed in editable mode in the environment that runs the tests")
    code = "import gulmfit.conf, gulmfit.config as c; print(gulmfit.conf.__file__, c.config_dir(), sep='\\n')"
    conf, folder = run(sys.executable, "-c", code, cwd=tmp_path).splitlines()
    assert Path(conf) == Path(folder) / "__init__.py"
    code = "import gulmfit.pretrained as p; print(*p.shipped().values())"
    folders = run(sys.executable, "-c", code, cwd=tmp_path).split()
    assert REPOSITORY / "gulmfit" / "pretrained" / "bacteria" in map(Path, folders)
    command = Path(sys.executable).with_name("gulmfit-train")
    shown = run(command, "--cfg", "job", cwd=tmp_path)
    assert "seed: 0\n" in shown
