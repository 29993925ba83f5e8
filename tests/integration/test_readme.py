"""Every command that README.md and docs/ show is one that works: its keys exist, it composes, its target is made."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

import gulmfit.cli
from gulmfit.config import compose, validate
from gulmfit.shorthand import guessed

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# The library function that each command of gulmfit ends in: words that reach it have been understood.
ENDS_IN = {
    "predict": ["gulmfit.commands.predict.predict_file"],
    "evaluate": ["gulmfit.commands.evaluate.evaluate_file"],
    "compare": ["gulmfit.commands.compare.compare"],
    "variants": ["gulmfit.commands.variants.score_vcf"],
    "embed": ["gulmfit.commands.embed.embed_file"],
    "score": ["gulmfit.commands.score.score_file"],
    "generate": ["gulmfit.commands.generate.generate_file"],
    "codons": ["gulmfit.commands.codons.choose_codons"],
    "annotate": ["gulmfit.commands.annotate.annotate_file"],
    "explain": ["gulmfit.commands.explain.explain_file"],
    "motifs": ["gulmfit.commands.motifs.find_motifs_of"],
    "inspect": ["gulmfit.commands.inspect.inspect_models"],
    "tokens": ["gulmfit.commands.tokens.compare_tokens"],
    "export": [
        f"gulmfit.exchange.{name}"
        for name in (
            "to_onnx.export_onnx", "card.write_card", "hub.push", "hub.pull", "fastai_format.import_fastai",
            "fastai_format.export_fastai",
        )
    ],
}  # fmt: skip
PROGRAMS = {
    "python train.py": "train",
    "gulmfit-train": "train",
    "make": "make",
    **{f"gulmfit-{name}": name for name in ENDS_IN},
    **{
        f"python scripts/{name}.py": name
        for name in ("checkpoint_overhead", "fetch", "fuzz", "kill_and_resume", "league", "scan_report", "summary")
    },
}
# Lest nothing is found and all is well.
AT_LEAST = {"train": 15, "make": 3, "predict": 2, "evaluate": 2, "compare": 2, **dict.fromkeys(list(ENDS_IN)[3:], 1)}
INLINE = re.compile(rf"`((?:{'|'.join(map(re.escape, PROGRAMS))}) [^`…]+)`")


class Command(NamedTuple):
    """A command as a page shows it."""

    program: str
    words: list[str]
    place: str


def code(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of code blocks, fenced or indented, and what stands in backquotes, with line numbers."""
    fenced = False
    begun = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            begun += line.strip().removeprefix("$ ")
            if begun.endswith("\\"):
                begun = begun.removesuffix("\\")
                continue
            yield number, begun
            begun = ""
        else:
            yield from ((number, found) for found in INLINE.findall(line))


def commands() -> Iterator[Command]:
    for page in PAGES:
        for number, line in code(page.read_text(encoding="utf-8")):
            # A word before the command may set a variable: PYTHON=python3.12 make test.
            bare = re.sub(r"^([A-Z_]+=\S+ +)+", "", line)
            for start, program in PROGRAMS.items():
                if bare == start or bare.startswith(f"{start} "):
                    words = shlex.split(bare.removeprefix(start), comments=True)
                    yield Command(program, words, f"{page.relative_to(ROOT)}:{number}")


COMMANDS = list(commands())


def shown(program: str) -> list[Any]:
    return [pytest.param(item.words, id=item.place) for item in COMMANDS if item.program == program]


def first_values(overrides: list[str]) -> list[str]:
    """Take the first value of every list of a sweep."""
    parsed = [OverridesParser.create().parse_override(word) for word in overrides]
    return [
        f"{item.get_key_element()}={next(item.sweep_string_iterator())}" if item.is_sweep_override() else word
        for item, word in zip(parsed, overrides, strict=True)
    ]


@pytest.mark.parametrize("program", AT_LEAST)
def test_commands_are_found(program: str) -> None:
    assert sum(item.program == program for item in COMMANDS) >= AT_LEAST[program]


@pytest.mark.parametrize("words", shown("train"))
def test_training_commands_compose_and_validate(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for word in words:
        if re.fullmatch(r"experiment=.*\.yaml", word):  # what a search has found
            monkeypatch.chdir(tmp_path)
            found = tmp_path / word.partition("=")[2]
            found.parent.mkdir(parents=True)
            stage = "label" if "tune=head" in words else "classify"
            origin = "init_from: outputs/label/mine\n" if stage == "label" else ""
            content = f"# @package _global_\ndefaults:\n  - override /stage: {stage}\n{origin}"
            found.write_text(content, encoding="utf-8")
    multirun = bool({"-m", "--multirun"} & set(words))
    overrides = [word for word in words if "=" in word]
    flags = set(words) - set(overrides) - {"-m", "--multirun"}
    assert flags <= {"--help", "--cfg", "job", "--info"}
    chosen = first_values(overrides)
    assert multirun or chosen == overrides, "a list of values is a sweep and needs -m"
    chosen = [*chosen, *guessed(chosen)]
    config = compose(chosen)
    if "--cfg" not in flags and "--help" not in flags:
        validate(config, multirun=multirun)
    if config.stage.name == "ulmfit":  # its parts are composed from the same words
        from gulmfit.train.run import OWN

        shared = [word for word in chosen if not word.startswith(OWN)]
        for stage in ("pretrain", "finetune", "classify"):
            compose([*shared, f"stage={stage}"])


@pytest.mark.parametrize("program", ENDS_IN)
def test_commands_are_understood(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[dict[str, Any]] = []
    for target in ENDS_IN[program]:
        monkeypatch.setattr(target, lambda *_, **values: reached.append(values))
    command = getattr(gulmfit.cli, program)
    found = [item for item in COMMANDS if item.program == program and any("=" in word for word in item.words)]
    assert found
    for number, item in enumerate(found, start=1):
        monkeypatch.setattr("sys.argv", [f"gulmfit-{program}", *item.words])
        command()
        assert len(reached) == number, item.place
        if program == "evaluate":
            validate(compose(["stage=classify", *reached[-1]["data_overrides"]]))


@pytest.mark.parametrize("words", shown("fetch"))
def test_what_is_fetched_is_known(words: list[str]) -> None:
    known = json.loads((ROOT / "scripts" / "fetch_sets.json").read_text(encoding="utf-8"))
    names = [word for word in words[: words.index("--to") if "--to" in words else None] if not word.startswith("-")]
    assert set(names) <= set(known)


@pytest.mark.parametrize(("program", "words"), [(item.program, item.words) for item in COMMANDS])
def test_scripts_know_their_options(program: str, words: list[str]) -> None:
    if (script := ROOT / "scripts" / f"{program}.py").is_file():
        text = script.read_text(encoding="utf-8")
        assert all(f'"{word}"' in text for word in words if word.startswith("--"))


@pytest.mark.parametrize("words", shown("make"))
def test_targets_are_made(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    assert words
    assert {word for word in words if "=" not in word} <= targets


def test_links_lead_to_files() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
