"""Build the image and use it where a container engine runs; elsewhere run the steps of the Dockerfile in a folder.

    python scripts/try_container.py
    python scripts/try_container.py --python /opt/python3.12/bin/python --build-arg DEVICE=gpu

Absolute paths of the image then lie below that folder, and the interpreter stands in for that of the base image. Ends
with 0 if training and prediction have worked.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from try_wheels import use, write_data

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = ROOT / "Dockerfile"
IMAGE = "gulmfit:tried"
IGNORED = shutil.ignore_patterns("__pycache__")


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield the instructions of a Dockerfile and what stands behind each."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield name, rest.strip()


class Folder:
    """An empty folder in which the steps of a Dockerfile are done.

    Args:
        root: It stands for / of the image.
        python: Interpreter that the base image would have.
        arguments: Build arguments.
    """

    def __init__(self, root: Path, python: Path, arguments: Mapping[str, str]) -> None:
        self.root, self.arguments = root, arguments
        (root / "bin").mkdir()
        (root / "bin" / "python").symlink_to(python)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
        self.environment = {**kept, "PATH": f"{root / 'bin'}:{kept['PATH']}"}
        self.folder, self.shell = root, ["/bin/sh", "-c"]

    def do(self, name: str, rest: str) -> None:
        """Do one step.

        Raises:
            ValueError: It is an instruction that this does not know.
            subprocess.CalledProcessError: It fails.
        """
        if name in ("ARG", "ENV"):
            for word in shlex.split(rest):
                key, _, value = word.partition("=")
                value = re.sub(r"\$\{?(\w+)\}?", lambda found: self.environment.get(found[1], ""), value)
                self.environment[key] = self.arguments.get(key, value) if name == "ARG" else self._below(value)
        elif name == "SHELL":
            self.shell = [word.strip(' "') for word in rest.strip("[]").split(",")]
        elif name == "WORKDIR":
            self.folder = Path(self._below(rest))
            self.folder.mkdir(parents=True, exist_ok=True)
        elif name == "COPY":
            *sources, target = shlex.split(rest)
            for source in sources:
                into = self.folder / target
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, into, ignore=IGNORED)
                else:
                    shutil.copy2(ROOT / source, into)
        elif name == "RUN":
            subprocess.run([*self.shell, rest], cwd=self.folder, env=self.environment, check=True)
        elif name not in ("FROM", "CMD"):
            raise ValueError(f"{name} {rest}: this step of the Dockerfile is not understood here")

    def _below(self, value: str) -> str:
        """Put the absolute paths of a value below the folder, but for those of this machine."""
        parts = value.split(":")
        return ":".join(
            f"{self.root}{part}" if part.startswith("/") and not Path(part).exists() else part for part in parts
        )


def in_a_folder(python: Path, arguments: Mapping[str, str]) -> None:
    """Do the steps, then train, predict and explain with what they have installed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Folder(Path(name), python, arguments)
        for step in instructions(DOCKERFILE.read_text(encoding="utf-8")):
            folder.do(*step)
        took = use(Path(folder.environment["VIRTUAL_ENV"]) / "bin", folder.folder)
        sys.stdout.write(
            "steps run in a folder; training took {:.0f} s, prediction {:.0f} s, explanation {:.0f} s\n".format(*took)
        )


def in_a_container(arguments: Mapping[str, str]) -> None:
    """Build the image, then train and predict in containers."""
    given = [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
    subprocess.run(["docker", "build", "--tag", IMAGE, *given, str(ROOT)], check=True)
    with tempfile.TemporaryDirectory() as name:
        count = len(write_data(Path(name)))
        start = ["docker", "run", "--rm", "--volume", f"{name}:/data", IMAGE]
        subprocess.run([*start, "gulmfit-train", "data.path=labelled.csv", "epochs=1", "run.name=mine"], check=True)
        words = ["model=outputs/classify/mine", "input=new.fa", "output=new.tsv"]
        subprocess.run([*start, "gulmfit-predict", *words], check=True)
        if len((Path(name) / "new.tsv").read_text(encoding="utf-8").splitlines()) != count + 1:
            raise ValueError("the container has not predicted every record")
    sys.stdout.write("built and run in a container\n")


def main() -> int:
    """Try it one way or the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--python", type=Path, default=Path(sys.executable).resolve(), help="where no engine runs")
    options = parser.parse_args()
    arguments = dict(word.split("=", 1) for word in options.build_arg)
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True).returncode == 0:
        in_a_container(arguments)
    else:
        sys.stdout.write("no container engine runs here: the steps of the Dockerfile are run in an empty folder\n")
        in_a_folder(options.python, arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
