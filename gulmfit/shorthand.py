"""Words that a user types first, in terms of the keys of the configuration: what follows from others is filled in.

    epochs=3, lr=1e-3        the length and the highest rate of the stage: pretrain.epochs, classify.lr and so on
    early_stopping=3         stop after so many looks at the validation part without a gain; true for 3
    report.figures=svg       the figures of reports as SVG, PNG or PDF, and their tables as TSV, in files of their own
    data.path=labelled.csv   data=table, and stage=classify; a genome in FASTA has data=fasta and stage=pretrain

They are translated before Hydra sees them, so what a run keeps are keys alone.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from gulmfit.errors import ConfigError
from gulmfit.files import config_dir

DEFAULT_STAGE = "ulmfit"  # as conf/train.yaml has it
LOOKS = 3
FIGURES_WORD = "report.figures"

# By suffix, compression left out: the kind of data, and the stage that goes with it.
GUESSED = {
    **dict.fromkeys((".csv", ".tsv", ".jsonl", ".parquet"), ("table", "classify")),
    **dict.fromkeys((".fa", ".fasta", ".fna"), ("fasta", "pretrain")),
    **dict.fromkeys((".bed", ".narrowpeak"), ("intervals", "classify")),
}
_COMPRESSED = (".gz", ".bgz")
_NAMES_FILES = ("data.path", "data.train")
_BRINGS_DATA = ("data", "experiment", "recipe", "hmm", "search")
# Stages whose own block of the configuration has the number, and those that learn labels, where phases are scaled.
_OWN_LENGTH, _SCALED = ("pretrain", "finetune"), ("classify", "label")
_CLASSIFIERS = {"classify": "classify", "label": "label", "learning_curve": "classify"}


def translated(words: Sequence[str]) -> list[str]:
    """Translate what of the words of a command line is shorthand; the others stay as they are.

    Raises:
        ConfigError: If a word does not say which part of `stage=ulmfit` it is for, or has no such value.
    """
    return [told for word in words for told in _translated(word, words)]


def figures_asked(words: Sequence[str]) -> tuple[list[str], str]:
    """Take `report.figures=svg` out of words: it says how results are shown, and is not a setting of the run."""
    asked = [word.partition("=")[2].strip("'\"") for word in words if word.startswith(f"{FIGURES_WORD}=")]
    return [word for word in words if not word.startswith(f"{FIGURES_WORD}=")], asked[-1] if asked else ""


def guessed(words: Sequence[str]) -> list[str]:
    """Return the kind of data and the stage that the name of the data says, where nothing else does.

    For those who start a run: words of a part of one say all that.
    """
    given = _keys(words)
    if given & set(_BRINGS_DATA):
        return []
    files = [file for word in words for file in _files(word)]
    kinds = {GUESSED.get(_suffix(file)) for file in files}
    if len(kinds) != 1 or (kind := kinds.pop()) is None:
        return []
    data, stage = kind
    has_stage = "stage" in given or (data != "fasta" and "data.genome" in given and data == "table")
    return [f"data={data}", *([] if has_stage else [f"stage={stage}"])]


def _keys(words: Sequence[str]) -> set[str]:
    return {word.partition("=")[0].lstrip("+") for word in words if "=" in word and not word.startswith("-")}


def _files(word: str) -> Iterator[str]:
    key, _, value = word.partition("=")
    if key in _NAMES_FILES:
        yield from (part.strip(" '\"[]") for part in value.split(","))


def _suffix(file: str) -> str:
    path = Path(file.lower())
    return Path(path.stem).suffix if path.suffix in _COMPRESSED else path.suffix


def _translated(word: str, words: Sequence[str]) -> list[str]:
    key, equals, value = word.partition("=")
    if not equals:
        return [word]
    if key in ("epochs", "lr"):
        return [_of_stage(key, value, words)]
    stage, _, name = key.partition(".")
    if stage in _SCALED and name in ("epochs", "lr"):
        return [f"++{key}={value}"]
    if key == "early_stopping":
        return _early_stopping(value)
    return [word]


def _of_stage(key: str, value: str, words: Sequence[str]) -> str:
    stage = stage_of(words)
    if stage in _OWN_LENGTH:
        return f"{stage}.{key}={value}"
    if stage in _CLASSIFIERS:
        return f"++{_CLASSIFIERS[stage]}.{key}={value}"
    parts = " or ".join(f"{part}.{key}=" for part in (*_OWN_LENGTH, *_SCALED[:1]))
    raise ConfigError(f"{key}={value}: stage={stage} has several parts. Say which one is meant: {parts}.")


def stage_of(words: Sequence[str]) -> str:
    """Return the stage that words ask for, an experiment among them; the last one wins."""
    pairs = [word.partition("=")[::2] for word in words]
    given = {key.lstrip("+"): value.strip("'\"") for key, value in pairs}
    return given.get("stage") or _stage_of_experiment(given.get("experiment", "")) or DEFAULT_STAGE


def _stage_of_experiment(name: str) -> str:
    """Return the stage of an experiment by its name or file; an empty text where it names none or is not there."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else config_dir() / "experiment" / f"{name}.yaml"
    try:
        defaults = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("defaults", [])
    except (OSError, ValueError, yaml.YAMLError, AttributeError):  # told where it is composed
        return ""
    for item in defaults if isinstance(defaults, list) else []:
        for key, value in item.items() if isinstance(item, dict) else [("experiment", item)]:
            group = str(key).removeprefix("override").strip().lstrip("/")
            if group == "stage":
                return str(value)
            if group == "experiment" and value != "_self_" and (stage := _stage_of_experiment(str(value))):
                return stage
    return ""


def _early_stopping(value: str) -> list[str]:
    """Return a callback of Lightning's, which every part of the run then has."""
    if value.lower() == "false":
        return []
    if value.lower() != "true" and not (value.isascii() and value.isdigit() and int(value)):
        raise ConfigError(
            f"early_stopping={value}: give true, false, or after how many looks at the validation part without a gain "
            "training stops."
        )
    callback = {
        "_target_": "pytorch_lightning.callbacks.EarlyStopping",
        "monitor": "${stage.monitor}",
        "mode": "${stage.mode}",
        "patience": LOOKS if value.lower() == "true" else int(value),
    }
    return [f"++callbacks.early_stopping.{key}={item}" for key, item in callback.items()]
