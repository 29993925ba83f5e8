"""Compose a configuration and find every mistake in it before data is touched."""

import difflib
import inspect
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import yaml  # type: ignore[import-untyped]
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gulmfit.checkpoint import DERIVED
from gulmfit.checks import MISSING, SEARCHED, check_kinds, check_ranges, check_stage, missing_keys, nearest
from gulmfit.errors import ConfigError
from gulmfit.files import config_dir
from gulmfit.moved import named
from gulmfit.overrides import keys_of_groups, overrides_for_hydra
from gulmfit.schema import KINDS
from gulmfit.seq.alphabet import ALPHABETS, DNA, held_alphabet
from gulmfit.seq.labels.labelled import LabelledSequences

STAGES = ("pretrain", "finetune", "classify", "label", "ulmfit", "learning_curve", "search", "panel")
COMBINING = ("classify", "ulmfit", "panel")  # what `ensemble` and `blend` go with

TARGET_NODES = ("arch", "head", "loss", "tokenizer", "data", "split", "optimizer", "schedule", "trainer")
TARGET_MAPPINGS = ("callbacks", "logger")

# Keys with a few allowed values.
CHOICES = {
    "leakage": ("warn", "error", "ignore"),
    "calibration": ("temperature", "isotonic", "none"),
    "on_divergence": ("stop", "rollback"),
    "search.sampler": ("tpe", "random", "grid"),
    "search.pruner": ("quarter", "median", "hyperband", "none"),
    "search.stage": SEARCHED,
    "panel.score": ("auroc", "auprc", "mcc", "accuracy"),
    "panel.near_duplicates": ("drop", "keep"),
}

# What Hydra says where a group has no file of a name.
_CHOICE = re.compile(r"Could not find '([\w/]+)/([^']*)'\s*Available options in '[^']*':((?:\s+\S+)+?)\s*(?:Config|\Z)")

# What `read_plain` reads and refuses.
LARGEST_CONFIG = 1 << 18
REFUSED_TOKENS = (yaml.AnchorToken, yaml.AliasToken, yaml.TagToken)

# Arguments that the program fills in where a node is built.
FILLED = {
    "optimizer": {"params", "lr"},
    "trainer": {"callbacks", "logger", "default_root_dir"},
    "callbacks.checkpoint": {"dirpath", "monitor", "mode"},
}


def data_dir() -> str:
    """Return the folder of real data: `$GULMFIT_DATA`, else `data`, else `../shared/data`."""
    given = os.environ.get("GULMFIT_DATA")
    candidates = [given] if given else ["data", "../shared/data"]
    return next((path for path in candidates if Path(path).is_dir()), candidates[0])


OmegaConf.register_new_resolver("gulmfit.data_dir", data_dir, replace=True)


def targets_of(target: str) -> str:
    """Return what the labels are for a head, by the class that its `_target_` names; of a language model classes."""
    learned = _kind({"_target_": target})
    return learned.labels.name if learned else LabelledSequences.targets


OmegaConf.register_new_resolver("gulmfit.targets", targets_of, replace=True)


@contextmanager
def _initialised() -> Iterator[None]:
    """Use the search path of a running Hydra application, or set one up for a moment."""
    if GlobalHydra.instance().is_initialized():
        yield
        return
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield


def compose(overrides: Sequence[str] = ()) -> DictConfig:
    """Compose the configuration as the command line would, without leaving Hydra initialised.

    >>> config = compose(["stage=classify", "batch_size=7"])
    >>> config.stage.name, config.batch_size, config.paths.run_dir
    ('classify', 7, 'outputs/classify/default')

    Raises:
        ConfigError: If an override or a file cannot be composed.
    """
    try:
        with _initialised():
            return hydra_compose("train", overrides=overrides_for_hydra(overrides))
    except Exception as error:
        raise explain(error) from error


def explain(error: BaseException) -> ConfigError:
    """Turn a complaint of Hydra's into one of ours, with the nearest valid key."""
    text = str(error).strip()
    cause = error if isinstance(error, OverrideParseException) else error.__cause__
    if isinstance(cause, OverrideParseException):
        return ConfigError(
            f"{cause.override!r} is not a word that can be read: give key=value, +key=value for a new key, or ~key to "
            "remove one. A value with blanks or signs may stand in quotation marks: \"key='a, b'\"."
        )
    if choice := _CHOICE.search(text):
        options = choice[3].split()
        return ConfigError(f"{choice[1]}={choice[2]}: {nearest(choice[2], options)} Choose from {', '.join(options)}.")
    key = text.partition("Could not override '")[2].partition("'")[0]
    if not key:
        return ConfigError(text)
    of_files = keys_of_groups()
    known = sorted({*_all_keys(), *of_files})
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    hint = f" Did you mean {near[0]!r}?" if near else " See --cfg job for all keys."
    if key in of_files:
        hint = f" It belongs to {', '.join(of_files[key])}: choose one of them."
    elif key in known:
        hint = " It belongs to another stage or group."
    return ConfigError(f"there is no configuration key {key!r}.{hint}")


def _all_keys() -> list[str]:
    """List every dotted key of the default configuration of every stage."""
    keys: set[str] = set()
    for stage in STAGES:
        with _initialised():
            config = OmegaConf.to_container(hydra_compose("train", [f"stage={stage}"]), resolve=False)
        keys.update(_dotted(config))
    return sorted(keys)


def _dotted(node: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield f"{prefix}{key}"
            yield from _dotted(value, f"{prefix}{key}.")


def plain(config: Any) -> Any:
    """Return a configuration, or a part of one, as plain resolved containers: what a checkpoint may hold."""
    if isinstance(config, DictConfig | ListConfig):
        return OmegaConf.to_container(config, resolve=True)
    return config


def read_plain(path: Path) -> DictConfig:
    """Read a configuration that somebody else may have written: values alone.

    gulmfit writes configurations resolved. So a reference that would be resolved here (`${oc.env:...}` reads this
    machine's environment), an alias, which a few lines can repeat into billions, and a tag are refused.

    Raises:
        ConfigError: If the file is damaged, too large, or holds any of these.
    """
    try:
        with path.open(encoding="utf-8") as handle:
            text = handle.read(LARGEST_CONFIG + 1)
        if len(text) > LARGEST_CONFIG:
            raise ValueError(f"longer than {LARGEST_CONFIG:,} letters")
        if any(isinstance(token, REFUSED_TOKENS) for token in yaml.scan(text, yaml.SafeLoader)):
            raise ValueError("it has anchors, aliases or tags, which gulmfit never writes")
        config = OmegaConf.create(text)
        if not isinstance(config, DictConfig):
            raise ValueError("it is not a mapping")
        if any("${" in str(value) for value in _leaves(OmegaConf.to_container(config, resolve=False))):
            raise ValueError("it refers to other values with ${...}, which gulmfit never writes there")
    except Exception as error:  # of the file system, YAML or OmegaConf; too deep a nesting
        told = " ".join(str(error).split())[:300]
        raise ConfigError(f"{path} is not the configuration of a run, or damaged: {told}.") from error
    return config


def _leaves(node: Any) -> Iterator[Any]:
    """Yield the keys and values of plain containers."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield key
            yield from _leaves(value)
    elif isinstance(node, list):
        for value in node:
            yield from _leaves(value)
    else:
        yield node


def validate(config: DictConfig, *, multirun: bool = False) -> None:
    """Check a composed configuration; nothing is built and no data is read.

    Raises:
        ConfigError: Listing every mistake at once, each with the nearest valid name.
    """
    try:
        resolved = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    except OmegaConfBaseException as error:
        raise ConfigError(f"the configuration does not resolve: {error}") from error
    resolved = cast("dict[str, Any]", resolved)
    mistakes = [f"{key} has no value: give {key}=..." for key in sorted(missing_keys(resolved))]
    nodes = (*TARGET_NODES, *TARGET_MAPPINGS)
    mistakes += check_kinds(resolved, KINDS, other=(*nodes, "hmm"))
    mistakes += check_ranges(resolved)
    for name in TARGET_NODES:
        mistakes += _check_target(resolved.get(name), name, FILLED.get(name, set()))
    for group in TARGET_MAPPINGS:
        for name, node in (resolved.get(group) or {}).items():
            mistakes += _check_target(node, f"{group}.{name}", FILLED.get(f"{group}.{name}", set()))
    mistakes += _check_sense(resolved, multirun)
    if mistakes:
        lines = "\n".join(f"  - {mistake}" for mistake in mistakes)
        raise ConfigError(f"the configuration has {len(mistakes)} mistake{'s' * (len(mistakes) > 1)}:\n{lines}")


def instantiate(node: Any) -> Any:
    """Build what a `_target_` node describes, with plain containers as arguments.

    Raises:
        ConfigError: If it needs a library that is not installed.
    """
    arguments = plain(node)
    target = str(arguments.pop("_target_"))
    try:
        return named(target)(**arguments)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{target} needs a library that is not installed: {error}") from error


def _check_target(node: Any, where: str, filled: set[str]) -> list[str]:
    """Bind a node to the signature of what it names."""
    if not isinstance(node, Mapping) or "_target_" not in node:
        return [f"{where} must name a class in {where}._target_."]
    if node["_target_"] == MISSING:  # told as a key without a value
        return []
    try:
        target = named(str(node["_target_"]))
    except (ImportError, AttributeError, ValueError) as error:
        return [f"{where}._target_={node['_target_']!r} cannot be imported: {error}"]
    parameters = inspect.signature(target).parameters
    if any(item.kind is inspect.Parameter.VAR_KEYWORD for item in parameters.values()):
        return []
    derived = DERIVED if where in ("arch", "head") else frozenset()
    own = [name for name in parameters if name not in derived] + (["strands"] if where == "arch" else [])
    mistakes = [
        f"there is no key {where}.{key}; {nearest(str(key), own)}"
        for key in node
        if key not in own and key not in ("_target_", "_partial_", "_convert_", "_recursive_")
    ]
    mistakes += [
        f"{where}.{name} has no value: give {where}.{name}=..."
        for name, item in parameters.items()
        if item.default is inspect.Parameter.empty
        and item.kind is not inspect.Parameter.VAR_POSITIONAL
        and name not in node
        and name not in derived
        and name not in filled
    ]
    return mistakes


def _check_combined(config: Mapping[str, Any], stage: Any) -> list[str]:
    """Check what puts several models into one."""
    asked = [f"ensemble={config['ensemble']}"] if config.get("ensemble", 1) != 1 else []
    asked += ["blend=true"] if config.get("blend") else []
    if not asked:
        return []
    if stage not in COMBINING:
        return [f"{' and '.join(asked)}: classifiers alone are combined; this goes with stage=classify or ulmfit."]
    mistakes = []
    if config.get("lr_find"):
        mistakes.append(f"lr_find looks for the rate of one network: leave out {' '.join(asked)}.")
    if config.get("ensemble", 1) != 1 and config.get("resume") not in (None, "auto"):
        mistakes.append("ensemble= continues all its members: give resume=auto and the run.name it was started with.")
    learned = _kind(config.get("head"))
    if config.get("blend") and learned and not learned.blends:
        mistakes.append(f"blend=true weighs probabilities of classes, and this head learns {learned.labels.name}.")
    return mistakes


def _check_sense(config: Mapping[str, Any], multirun: bool) -> list[str]:
    """Check what holds between keys."""
    stage = (config.get("stage") or {}).get("name", STAGES[0])
    mistakes = [] if stage in STAGES else [f"stage={stage!r} is unknown; choose one of {', '.join(STAGES)}."]
    many = (config.get("cv") or {}).get("folds") is not None or config.get("seeds", 1) > 1
    if config.get("init_from") and config.get("resume") not in (None, "auto"):
        mistakes.append(
            "init_from takes weights for a new run and resume=PATH continues an old one: give one of them, or "
            "resume=auto, which starts from init_from unless there is something to continue."
        )
    if config.get("lr_find") and (many or stage in ("ulmfit", "learning_curve")):
        mistakes.append("lr_find looks for the rate of one stage: give stage=pretrain, finetune or classify with it.")
    if stage == "ulmfit" and config.get("resume") not in (None, "auto"):
        mistakes.append("stage=ulmfit continues all its parts: give resume=auto and the run.name it was started with.")
    if config.get("strands", "both") not in ("both", "forward"):
        mistakes.append(f"strands={config.get('strands')!r} is unknown; choose both or forward.")
    mistakes += _check_alphabet(config)
    for key, known in CHOICES.items():
        group, _, name = key.rpartition(".")
        value = ((config.get(group) or {}) if group else config).get(name, known[0])
        if value not in known:
            mistakes.append(f"{key}={value!r} is unknown; choose one of {', '.join(known)}.")
    mistakes += check_stage(config, stage)
    trainer = config.get("trainer") or {}
    if multirun and (trainer.get("devices") not in (1, "1") or trainer.get("num_nodes", 1) != 1):
        mistakes.append(
            "a sweep (-m) with several processes in each job trains with mixed hyper-parameters: every process would "
            "start the sweep again. Use trainer.devices=1 for each job, or start the jobs of the sweep one by one."
        )
    return mistakes + _check_combined(config, stage) + _check_head(config, stage)


def _check_alphabet(config: Mapping[str, Any]) -> list[str]:
    """Check that data and tokens are of one alphabet, and that nobody asks for the other strand of a protein."""
    name = config.get("alphabet", DNA.name)
    if name not in ALPHABETS:
        return [f"alphabet={name!r} is unknown; choose one of {', '.join(ALPHABETS)}."]
    mistakes, alphabet = [], held_alphabet(name)
    for key in ("data", "tokenizer"):
        own = (config.get(key) or {}).get("alphabet", DNA.name)
        if own not in ALPHABETS or held_alphabet(own) != alphabet:
            mistakes.append(
                f"alphabet={name} and {key}.alphabet={own} differ: set alphabet= alone, which both follow. Proteins "
                "come by data=fasta, table, fasta_classes or folder; other data is of nucleotides."
            )
    if not alphabet.complements and config.get("reverse_complement_p"):
        mistakes.append(f"reverse_complement_p goes with nucleotides: a {name} has no other strand. Set it to 0.")
    return mistakes


def _check_head(config: Mapping[str, Any], stage: Any) -> list[str]:
    """Check that the head goes with the stage, and the loss with the head."""
    head = str((config.get("head") or {}).get("_target_", ""))
    models_language = head.endswith("LanguageModel")
    if stage in ("pretrain", "finetune") and not models_language:
        return [f"head={head.rpartition('.')[2]} does not go with stage={stage}; it needs LanguageModel."]
    if stage in ("pretrain", "finetune") and not getattr(_target(config.get("arch")), "causal", True):
        name = str(config["arch"]["_target_"]).rpartition(".")[2]
        return [f"arch={name} reads both ways (causal = False), so stage={stage} would have nothing to predict."]
    if stage in ("classify", "label") and models_language:
        needed = "SequenceClassifier" if stage == "classify" else "Labeller"
        return [f"head={head.rpartition('.')[2]} does not go with stage={stage}; it needs {needed}."]
    if models_language:
        return []
    learned, judged = (_kind(config.get(name)) for name in ("head", "loss"))
    if learned is None:
        return []
    head, labels = head.rpartition(".")[2], learned.labels.name
    if learned.stage != (stage if stage == "label" else "classify"):
        return [f"head={head} learns {labels}, which stage={stage} does not: give stage={learned.stage}."]
    if stage == "learning_curve" and not learned.curve:
        return [f"stage=learning_curve counts labels of head=classifier; head={head} has {labels}."]
    if config.get("calibration") == "isotonic" and "isotonic" not in learned.calibrations:
        return [f"calibration=isotonic is for two classes, and head={head} learns {labels}."]
    # What a source reads unless it is told otherwise.
    if labels != LabelledSequences.targets and not _can_read_targets(config.get("data")):
        return [
            f"head={head} learns {labels}, and this data has one class a sequence: give data=table with data.label=."
        ]
    if judged and not issubclass(learned, judged):
        loss = str((config.get("loss") or {}).get("_target_", "")).rpartition(".")[2]
        return [
            f"loss={loss} is for {judged.labels.name}, and head={head} learns {labels}: leave loss= out, and the head "
            "brings its own."
        ]
    return []


def _can_read_targets(node: Any) -> bool:
    """Whether a source of data reads other labels than one class a sequence; what reads no file is told of later."""
    target = _target(node)
    known = inspect.signature(target).parameters if target else {"targets": None}
    return "targets" in known or hasattr(target, "targets") or not {"path", "classes"} & set(known)


def _kind(node: Any) -> Any:
    """Return the kind of target that a head or loss is for; None where it does not say."""
    found = getattr(_target(node), "kind", None)
    return named(found) if isinstance(found, str) else found


def _target(node: Any) -> Any:
    """Return the class that a node names; None where there is none, which is told elsewhere."""
    try:
        return named(str((node or {}).get("_target_", "")))
    except (ImportError, AttributeError, ValueError):
        return None
