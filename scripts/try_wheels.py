"""Install the wheel and the source archive on every Python in clean environments; train, predict and explain there.

    python scripts/try_wheels.py
    python scripts/try_wheels.py /opt/python3.13/bin/python --constraint constraints.txt

Dependencies come from the package index as they would for anybody, so this takes gigabytes and minutes. Without names
of interpreters it takes those on PATH and those of pyenv. Prints a row for each Python, those that are not there among
them, and ends with 0 if none failed.
"""

import argparse
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
COLUMNS = ("python", "package", "torch", "lightning", "numpy", "install", "train", "predict", "explain", "outcome")
VERSIONS = (
    "import json, sys, torch, numpy, pytorch_lightning as l; "
    "print(json.dumps([sys.version.split()[0], torch.__version__, l.__version__, numpy.__version__]))"
)
# What a user of Python sees, against what the command has written.
LOADED = (
    "import gulmfit, json, sys; model = gulmfit.load('outputs/classify/mine'); "
    "print(json.dumps(model.predict(json.load(sys.stdin))['background']))"
)


class FailedError(Exception):
    """A command ended with an error, or wrote what it should not have."""


def run(*words: str | Path, cwd: Path, given: str | None = None) -> str:
    """Run a command away from the checkout and without its path; return what it prints.

    Raises:
        FailedError: If it fails.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    result = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=environment, input=given, capture_output=True, text=True
    )
    if result.returncode:
        raise FailedError(f"{' '.join(map(str, words))}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}")
    return result.stdout


def found(named: Iterable[str]) -> dict[str, Path]:
    """Find an interpreter for each version, those named before others."""
    versions = os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))
    candidates = [*named] or [
        *(path for version in PYTHONS if (path := shutil.which(f"python{version}"))),
        *map(str, sorted(Path(versions).glob("versions/*/bin/python"))),
    ]
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    interpreters: dict[str, Path] = {}
    for candidate in candidates:  # a name on PATH may be a shim of pyenv that refuses to run
        asked = subprocess.run([candidate, "-c", ask], capture_output=True, text=True)
        if asked.returncode == 0 and (version := asked.stdout.strip()) in PYTHONS:
            interpreters.setdefault(version, Path(candidate))
    return interpreters


def build(folder: Path) -> tuple[Path, Path]:
    """Build the source archive, and the wheel from it alone; return wheel and archive."""
    environment = new_environment(Path(sys.executable), folder / "builder")
    run(environment / "python", "-m", "pip", "install", "--quiet", "build", cwd=folder)
    run(environment / "python", "-m", "build", "--outdir", folder / "dist", ROOT, cwd=folder)
    return next((folder / "dist").glob("*.whl")), next((folder / "dist").glob("*.tar.gz"))


def new_environment(python: Path, folder: Path) -> Path:
    """Make an empty environment; return its folder of commands."""
    run(python, "-m", "venv", folder, cwd=folder.parent)
    return folder / ("Scripts" if os.name == "nt" else "bin")


def write_data(folder: Path) -> list[str]:
    """Write a labelled table and a FASTA file of other sequences, which are returned."""
    drawn = random.Random(0)
    sequences = ["".join(drawn.choices("ACGT", k=80)) for _ in range(260)]
    sequences = [f"{text[:30]}TATAAT{text[36:]}" if number % 2 else text for number, text in enumerate(sequences)]
    with (folder / "labelled.csv").open("w", newline="", encoding="utf-8") as file:
        rows = ((text, "promoter" if number % 2 else "background") for number, text in enumerate(sequences[:240]))
        csv.writer(file).writerows([("sequence", "label"), *rows])
    records = (f">new{number}\n{text}\n" for number, text in enumerate(sequences[240:]))
    (folder / "new.fa").write_text("".join(records), encoding="ascii")
    return sequences[240:]


def use(commands: Path, folder: Path) -> tuple[float, float, float]:
    """Train a classifier from the shipped language model, predict with it in two ways, explain; return seconds of each.

    Raises:
        FailedError: If a command fails, or the two ways differ.
    """
    asked = write_data(folder)
    began = time.perf_counter()
    words = ("data.path=labelled.csv", "init_from=bacteria", "epochs=1", "run.name=mine", "overwrite=true")
    run(commands / "gulmfit-train", *words, cwd=folder)
    trained = time.perf_counter()
    run(commands / "gulmfit", "predict", "model=outputs/classify/mine", "input=new.fa", "output=new.tsv", cwd=folder)
    predicted = time.perf_counter()
    with (folder / "new.tsv").open(encoding="utf-8", newline="") as file:
        written = [float(row["background"]) for row in csv.DictReader(file, delimiter="\t")]
    loaded = json.loads(run(commands / "python", "-c", LOADED, cwd=folder, given=json.dumps(asked)))
    if len(written) != len(asked) or any(abs(one - two) > 1e-4 for one, two in zip(written, loaded, strict=True)):
        raise FailedError(f"the command wrote {written}, and gulmfit.load(...).predict says {loaded}")
    loaded_too = time.perf_counter()
    words = ("model=outputs/classify/mine", "input=new.fa", "output=bases.tsv")
    run(commands / "gulmfit", "explain", *words, cwd=folder)
    explained = time.perf_counter() - loaded_too
    bases = (folder / "bases.tsv").read_text(encoding="utf-8").splitlines()[1:]
    if len(bases) != sum(map(len, asked)):
        raise FailedError(f"gulmfit explain wrote {len(bases)} rows for {sum(map(len, asked))} bases")
    return trained - began, predicted - trained, explained


def trial(version: str, python: Path, packages: Iterable[Path], extra: list[str], folder: Path) -> bool:
    """Install each package in one clean environment, with its dependencies, and use it; say whether all went well."""
    try:
        commands = new_environment(python, folder / version)
        for package in packages:
            kind = "wheel" if package.suffix == ".whl" else "sdist"
            began = time.perf_counter()
            again = ["--force-reinstall", "--no-deps"] if kind == "sdist" else []
            words = ("install", "--quiet", "--no-compile", *again, *extra, package)
            run(commands / "python", "-m", "pip", *words, cwd=folder)
            installed = time.perf_counter() - began
            work = folder / f"{version}-{kind}"
            work.mkdir()
            seconds = use(commands, work)
            full, *used = json.loads(run(commands / "python", "-c", VERSIONS, cwd=work))
            tell(full, kind, *used, *(f"{value:.0f} s" for value in (installed, *seconds)), "runs")
    except FailedError as error:
        tell(version, outcome="failed")
        sys.stderr.write(f"{error}\n")
        return False
    finally:
        shutil.rmtree(folder / version, ignore_errors=True)  # gigabytes
    return True


def tell(*cells: str, outcome: str = "") -> None:
    """Print a row."""
    row = [*cells, *["–"] * (len(COLUMNS) - len(cells) - bool(outcome)), *[outcome] * bool(outcome)]
    sys.stdout.write(f"| {' | '.join(row)} |\n")
    sys.stdout.flush()


def main() -> int:
    """Try all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("interpreters", nargs="*", metavar="PYTHON", help="interpreters; left out: all that are found")
    parser.add_argument("--constraint", action="append", default=[], metavar="FILE", help="handed to pip install")
    options = parser.parse_args()
    extra = [word for file in options.constraint for word in ("--constraint", str(Path(file).resolve()))]
    interpreters = found(options.interpreters)
    with tempfile.TemporaryDirectory() as name:
        packages = build(Path(name))
        tell(*COLUMNS)
        tell(*["---"] * len(COLUMNS))
        well = [trial(version, interpreters[version], packages, extra, Path(name)) for version in sorted(interpreters)]
        for version in sorted({*PYTHONS} - {*interpreters}):
            tell(version, outcome="skipped: no such interpreter")
    return 0 if well and all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
