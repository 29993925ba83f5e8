"""The workflows in examples/ are of this version: what they run composes and is understood."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import gulmfit.cli
from gulmfit.config import compose, validate

from .test_readme import ENDS_IN

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SNAKEFILE, NEXTFLOW = EXAMPLES / "snakemake" / "Snakefile", EXAMPLES / "nextflow" / "main.nf"
FILES = yaml.safe_load((SNAKEFILE.parent / "config.yaml").read_text(encoding="utf-8"))
RUNS = {"train": 2, "predict": 1, "annotate": 1}
SNAKEMAKE = shutil.which("snakemake")


def of_snakemake() -> list[str]:
    """Shell commands of the rules, as Snakemake would fill them in."""
    commands = []
    for rule in re.split(r"^rule ", SNAKEFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        shell = "".join(re.findall(r'^ +"(.*)"$', rule.partition("shell:")[2], flags=re.MULTILINE))
        if not shell:
            continue
        named = dict(re.findall(r'^        (\w+)=config\["(\w+)"\]', rule, flags=re.MULTILINE))
        values = {f"input.{name}": FILES[key] for name, key in named.items()}
        values |= {f"output.{name}": path for name, path in re.findall(r'^        (\w+)="(\S+)"', rule, re.MULTILINE)}
        values |= {"log": "log", "input": FILES["table"]}
        if alone := re.search(r'output:\n +"(\S+)"', rule):
            values["output"] = alone[1]
        commands.append(re.sub(r"\{([\w.]+)\}", lambda found, values=values: values[found[1]], shell))
    return commands


def of_nextflow() -> list[str]:
    """Scripts of the processes, with names in the place of what is staged."""
    scripts = re.findall(r'"""\n(.*?)\n +"""', NEXTFLOW.read_text(encoding="utf-8"), flags=re.DOTALL)
    values = {**FILES, "model": "mine"}
    return [
        re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], " ".join(script.replace("\\\\", "").split()))
        for script in scripts
    ]


def programs(commands: list[str]) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    for command in commands:
        program, *words = shlex.split(command.partition(" > ")[0])
        found.setdefault(program.removeprefix("gulmfit-"), []).append(words)
    return found


@pytest.mark.parametrize("commands", [of_snakemake(), of_nextflow()], ids=["snakemake", "nextflow"])
def test_what_they_run_is_understood(commands: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = programs(commands)
    assert {name: len(all_words) for name, all_words in found.items()} == RUNS
    for words in found.pop("train"):
        validate(compose(words))
    reached: list[dict[str, Any]] = []
    for name, ((*words,),) in found.items():
        (target,) = ENDS_IN[name]
        monkeypatch.setattr(target, lambda *_, **values: reached.append(values))
        monkeypatch.setattr("sys.argv", [f"gulmfit-{name}", *words])
        getattr(gulmfit.cli, name)()
    assert len(reached) == len(found)


def test_both_do_the_same() -> None:
    def keys(commands: list[str]) -> list[set[str]]:
        return [{word.partition("=")[0] for word in shlex.split(command.partition(" > ")[0])} for command in commands]

    own = [one - {"overwrite"} for one in keys(of_snakemake())]  # a process of Nextflow begins in an empty folder
    assert own == keys(of_nextflow())


def test_nextflow_has_a_process_for_each_script_and_a_file_for_each_input() -> None:
    text = NEXTFLOW.read_text(encoding="utf-8")
    processes = re.findall(r"^process (\w+) \{$", text, flags=re.MULTILINE)
    workflow = text[text.index("\nworkflow {") :]
    assert all(workflow.count(f"{name}(") == 1 for name in processes)
    assert len(processes) == len(of_nextflow())
    for block in re.split(r"^process ", text, flags=re.MULTILINE)[1:]:
        declared = set(re.findall(r"^    path (\w+)$", block, flags=re.MULTILINE))
        assert set(re.findall(r"\$\{(\w+)\}", block)) == declared
    config = (NEXTFLOW.parent / "nextflow.config").read_text(encoding="utf-8")
    params = dict(re.findall(r"^    (\w+) = '([^']+)'", config[config.index("params {") :], flags=re.MULTILINE))
    assert set(re.findall(r"params\.(\w+)", text)) == set(params)
    assert {name: params[name] for name in FILES} == FILES
    for part in (text, config):
        assert all(part.count(opened) == part.count(closed) for opened, closed in ("{}", "()"))


@pytest.mark.skipif(SNAKEMAKE is None, reason="snakemake is not installed (pip install snakemake)")
def test_snakemake_likes_its_file_and_plans_what_is_read_from_it(tmp_path: Path) -> None:
    for name in FILES.values():
        (tmp_path / name).touch()

    def run(*words: str) -> str:
        given = [str(SNAKEMAKE), "--snakefile", str(SNAKEFILE), "--cores", "1", *words]
        done = subprocess.run(given, cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    run("--lint")
    planned = run("--dry-run", "--printshellcmds")
    shown = [line.removeprefix("Shell command:").strip() for line in planned.splitlines()]
    plain = [command.partition(" > ")[0] for command in of_snakemake()]
    assert {line.partition(" > ")[0] for line in shown if line.startswith("gulmfit-")} == set(plain)
