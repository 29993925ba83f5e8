"""The commands: which function each ends in. None is imported before its words are understood, so `--help` is quick."""

import functools
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import gulmfit
from gulmfit.cli.examples import EXAMPLES
from gulmfit.cli.options import is_not_one_of, read_signature
from gulmfit.cli.pipes import piped
from gulmfit.cli.words import HELP, command, log_to_stdout, quietly, trusting
from gulmfit.errors import ConfigError
from gulmfit.moved import named


class Command(NamedTuple):
    """A command."""

    targets: tuple[str, ...]
    """MODULE:NAME of what it ends in; of several the one whose first option is given, or else the last."""
    words: str = ""
    """How usage shows words that are not its own options."""
    takes: Callable[[str], bool] = lambda word: False
    """Whether a word is such a one."""
    pipes: bool = False
    """Whether its input and `output=` may be pipes."""
    reads: str = "input"
    """The option that is its input; empty for none."""
    suffix: str = ".tsv"
    """Of the text that it writes into a pipe."""
    writes_text: bool = True
    """Whether its output can be a table of text, for a pipe."""
    more: str = ""
    """MODULE:NAME of a function from words to more help; its module is quick to import."""


def _is_run(word: str) -> bool:
    """Whether a word names a run folder; it may have a "=" in its name."""
    return not word.startswith("-") and ("=" not in word or Path(word).exists())


def _is_of_data(word: str) -> bool:
    return word.startswith(("data", "paths."))


COMMANDS = {
    "train": Command(
        ("gulmfit.commands.train:start_training",),
        "[key=value ...]",
        lambda word: True,
        more="gulmfit.commands.train:groups",
    ),
    "evaluate": Command(
        ("gulmfit.commands.evaluate:evaluate_file",), "data=SOURCE [data.KEY=VALUE ...]", _is_of_data
    ),
    "predict": Command(("gulmfit.commands.predict:predict_file",), pipes=True),
    "annotate": Command(("gulmfit.commands.annotate:annotate_file",)),
    "pseudolabel": Command(("gulmfit.commands.pseudolabel:pseudolabel",)),
    "compare": Command(("gulmfit.commands.compare:compare",), "RUN RUN ...", _is_run),
    "variants": Command(("gulmfit.commands.variants:score_vcf",), pipes=True, reads="vcf", suffix=".vcf"),
    "embed": Command(("gulmfit.commands.embed:embed_file",), pipes=True, writes_text=False),
    "score": Command(("gulmfit.commands.score:score_file",), pipes=True),
    "explain": Command(("gulmfit.commands.explain:explain_file",), pipes=True),
    "motifs": Command(("gulmfit.commands.motifs:find_motifs_of",)),
    "generate": Command(("gulmfit.commands.generate:generate_file",), pipes=True, reads="", suffix=".fasta"),
    "codons": Command(("gulmfit.commands.codons:choose_codons",), pipes=True, suffix=".fasta"),
    "tokens": Command(("gulmfit.commands.tokens:compare_tokens",)),
    "inspect": Command(("gulmfit.commands.inspect:inspect_models",)),
    "models": Command(("gulmfit.commands.models:show_models",)),
    "completion": Command(("gulmfit.cli.completing:print_completion",), "bash|zsh", lambda word: True),
    "export onnx": Command(("gulmfit.exchange.to_onnx:export_onnx",)),
    "export card": Command(("gulmfit.exchange.card:write_card",)),
    "export push": Command(("gulmfit.exchange.hub:push",)),
    "export pull": Command(("gulmfit.exchange.hub:pull",)),
    "export fastai": Command(
        ("gulmfit.exchange.fastai_format:export_fastai", "gulmfit.exchange.fastai_format:import_fastai")
    ),
}  # fmt: skip


@command
def main(*given: str) -> None:
    """Run `gulmfit COMMAND ...`, or a command that has a name of its own.

    Args:
        *given: Words that come before those of the command line.

    Raises:
        ConfigError: If there is no such command, or a word of it is not understood.
    """
    words = [*given, *sys.argv[1:]]
    script = Path(sys.argv[0])
    if script.stem == "gulmfit" and words[:1] == ["train"]:
        sys.argv[0] = str(script.with_stem("gulmfit-train"))  # what other ranks are started with
    if words[-1:] == ["--version"]:
        sys.stdout.write(f"gulmfit {gulmfit.__version__}\n")
        return
    for size in (1, 2):
        if (name := " ".join(words[:size])) in COMMANDS:
            _run(name, words[size:])
            return
    group = next((f"{word} " for word in words[:1] if any(name.startswith(f"{word} ") for name in COMMANDS)), "")
    names = [name.removeprefix(group) for name in COMMANDS if name.startswith(group)]
    asked = words[bool(group) :]
    if asked and not HELP & set(asked):
        raise ConfigError(f"{asked[0]!r} {is_not_one_of(asked[0], names)}")
    told = {name: read_signature(COMMANDS[group + name].targets[0]).text.splitlines()[0] for name in names}
    lines = "".join(f"  {name:14}{text}\n" for name, text in told.items())
    sys.stdout.write(
        f"gulmfit {group}COMMAND key=value ...\n\n{lines}\nCOMMAND --help says more; gulmfit-NAME is gulmfit NAME.\n"
    )
    sys.exit(0 if asked else 2)


def _run(name: str, words: list[str]) -> None:
    """Understand the words of a command, and do what it does."""
    entry, program, words = COMMANDS[name], f"gulmfit-{name}", quietly(words)
    functions = [read_signature(target) for target in entry.targets]
    usage = "\n".join(function.usage(program, entry.words) for function in functions)
    wanted = entry.words and not entry.words.startswith("[")
    needed = wanted or all(function.required for function in functions)
    if HELP & set(words) or (needed and not words):
        more = [named(entry.more.replace(":", "."))(words)] if entry.more else []
        shown = [f"Examples:\n{examples}"] if (examples := _examples(name)) else []
        sys.stdout.write("\n\n".join([usage, *(function.help() for function in functions), *shown, *more]) + "\n")
        sys.exit(0 if words else 2)
    chosen = [bool(one.required) and any(word.startswith(f"{one.required[0]}=") for word in words) for one in functions]
    number = chosen.index(True) if any(chosen) else -1
    function, rest = functions[number], [word for word in words if entry.takes(word)]
    own = [word for word in words if not entry.takes(word)]
    values = trusting(function.read(own, usage, piped=(entry.reads, "output") if entry.pipes else ("output",)))
    if wanted and not rest:
        raise ConfigError(f"{entry.words} is missing.\n{usage}")
    if entry.words:
        values[function.words] = rest
    if function.options:  # Hydra speaks for itself
        log_to_stdout(errors=values.get("output") == "-")
    run = named(entry.targets[number].replace(":", "."))
    within = piped(values, text_output=entry.writes_text, reads=entry.reads, suffix=entry.suffix)
    with within if entry.pipes else nullcontext(values) as files:
        run(**files)


def _examples(name: str) -> str:
    return "\n".join(f"  gulmfit {name} {words}".rstrip() for words in EXAMPLES.get(name, ()))


def _named(name: str) -> Callable[[], None]:
    return functools.partial(main, name)


train, evaluate, predict, compare, codons = map(_named, ("train", "evaluate", "predict", "compare", "codons"))
variants, embed, score, generate = map(_named, ("variants", "embed", "score", "generate"))
explain, motifs, annotate, tokens = map(_named, ("explain", "motifs", "annotate", "tokens"))
inspect, models, export, pseudolabel = map(_named, ("inspect", "models", "export", "pseudolabel"))
completion = _named("completion")
