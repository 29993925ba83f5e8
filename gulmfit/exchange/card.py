"""A model card: what a model is, what it learned from, how good it is and what it is not for.

It is the README.md of a model hub: YAML front matter, then Markdown. Everything that comes from a run's files stands in
code spans or JSON strings, so that a class or a file called like markup stays what it is. What was not recorded is said
to be missing.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gulmfit.checkpoint import MODEL_FOLDER, LoadedModel, load
from gulmfit.errors import CheckpointError, ConfigError
from gulmfit.files import claimed, write_whole
from gulmfit.model_files import files_of
from gulmfit.seq.alphabet import DNA, alphabet_named
from gulmfit.seq.limits import parse_json

MISSING = "Not recorded in this run."
SHOWN = ("accuracy", "mcc", "f1", "auroc", "auprc", "ece", "bits_per_base")
AT_MOST_SHOWN = 6

# Keys of config.yaml that say how a model was trained.
SETTINGS = (
    "seed", "drop_mult", "batch_size", "bptt", "strands", "reverse_complement_p", "leakage", "calibration", "optimizer",
    "schedule",
)  # fmt: skip

LIMITS = """\
- For research. It is not a medical device and no ground for a decision about a person's health.
- Its scores hold for sequences like those of its test part: same organisms, same length, made in the same way. How it
  does on others is not known until it is measured (`gulmfit-evaluate`).
- A language model's genome may hold the sequences that a classifier is tested on, without their labels.
- A probability is not proof of function: confirm what matters in the laboratory."""

CITATION = """\
- J. Howard, S. Ruder: Universal Language Model Fine-tuning for Text Classification. ACL 2018.
- S. Merity, N. S. Keskar, R. Socher: Regularizing and Optimizing LSTM Language Models. ICLR 2018.
- K. Heyer: Genomic-ULMFiT, 2019, https://github.com/kheyer/Genomic-ULMFiT."""


def write_card(*, model: str, output: str, license: str = "unknown", repo: str = "OWNER/NAME") -> None:
    """Write what a model is, what it learned from and how good it is, as the README of a model hub.

    Args:
        model: Run folder, model folder or checkpoint, or the name of a model.
        output: A file, such as README.md.
        license: Licence of the model, as the hub calls it.
        repo: Where it can be had.
    """
    with claimed([output], files_of(model)):
        write_whole(Path(output), model_card(load(model), license=license, repo=repo))


def model_card(loaded: LoadedModel, *, license: str, repo: str) -> str:
    """Write the card of a model from the records beside it.

    Args:
        loaded: The model; `metrics.json` and `config.yaml` are looked for in its run folder.
        license: Its licence, as the hub calls it.
        repo: Where it can be had, OWNER/NAME.

    Raises:
        CheckpointError: If a record is damaged.
        ConfigError: If `repo` is not of the form OWNER/NAME.
    """
    check_repo(repo)
    folder = loaded.source if loaded.source.is_dir() else loaded.source.parent
    run = folder.parent if folder.name in (MODEL_FOLDER, "checkpoints") else folder
    metrics, config = _read_json(run / "metrics.json"), _read_config(run / "config.yaml")
    classifier = bool(loaded.classes)
    sections = {
        "What it is": _what(loaded, metrics),
        "How to use it": _use(classifier, repo),
        "Training data": _data(metrics.get("data") or {}),
        "Results": _results(metrics),
        **({"Calibration": _calibration(loaded, metrics)} if classifier else {}),
        **({"Leakage": _leakage(metrics)} if classifier else {}),
        "Intended use and limits": LIMITS,
        "Training": _training(config, metrics),
        "Versions": _list(metrics.get("versions") or {}),
        "Citation": CITATION,
    }
    kind = "classifier of sequences" if classifier else "language model of genomes"
    lead = f"A {kind}, made with gulmfit (ULMFiT for genomes)."
    task = "text-classification" if classifier else "text-generation"
    return markdown_page(code(metrics.get("run") or run.name), lead, sections, license=license, task=task)


def markdown_page(name: str, lead: str, sections: Mapping[str, str], *, license: str, task: str) -> str:
    """Lay out a page: the header that a hub reads, then Markdown."""
    tags = ["biology", "genomics", "dna", "ulmfit", "awd-lstm"]
    front = {"license": license, "library_name": "gulmfit", "pipeline_tag": task, "tags": tags}
    # JSON is YAML, and needs no second thought about quotes.
    header = "".join(f"{key}: {json.dumps(value)}\n" for key, value in front.items())
    body = "".join(f"\n## {title}\n\n{text}\n" for title, text in sections.items())
    return f"---\n{header}---\n\n# {name}\n\n{lead}\n{body}"


def check_repo(repo: str) -> None:
    """Raise ConfigError unless a repository of the hub is named OWNER/NAME."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo, re.ASCII):
        raise ConfigError(f"repo={repo}: a repository is named OWNER/NAME, of letters, digits, '.', '_' and '-'.")


def code(value: object) -> str:
    """Set a value as a code span, in which nothing is markup."""
    text = re.sub(r"[\s\x00-\x1f\x7f]+", " ", str(value)).strip()
    if not text:
        return "(empty)"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"


def _what(loaded: LoadedModel, metrics: Mapping[str, Any]) -> str:
    arch = loaded.spec["arch"]
    facts: dict[str, Any] = {
        "encoder": f"AWD-{str(arch.get('cell', 'lstm')).upper()}, {arch.get('num_layers')} layers, "
        f"embedding {arch.get('embed_size')}, hidden {arch.get('hidden_size')}"
        if arch["_target_"].startswith("gulmfit.")
        else _short(arch),
        "parameters": sum(parameter.numel() for parameter in loaded.model.parameters()),
        "tokens": repr(loaded.tokenizer),
    }
    if "ensemble" in loaded.spec:
        facts["networks, whose predictions are averaged"] = loaded.spec["ensemble"]
    if "blend" in loaded.spec:
        weights = loaded.spec["blend"]["weights"]
        facts["blend, weights"] = [f"{name} {_number(weight)}" for name, weight in weights.items()]
    if loaded.classes:
        facts["classes"] = loaded.classes
        facts["positive class"] = loaded.spec.get("positive")
    origin = (metrics.get("transfer") or {}).get("from") or metrics.get("init_from")
    facts["started from"] = Path(str(origin)).name if origin else "fresh weights, as far as recorded"
    facts["stage, seed"] = f"{metrics['stage']}, {metrics.get('seed')}" if "stage" in metrics else MISSING
    return _list(facts)


def _use(classifier: bool, repo: str) -> str:
    fetch = f"gulmfit-export pull repo={repo} output=model"
    then = (
        "gulmfit-predict model=model input=contigs.fa.gz output=hits.tsv"
        if classifier
        else "gulmfit-train stage=classify data=table data.path=labelled.csv init_from=model run.name=mine"
    )
    return f"```sh\npip install 'gulmfit[hub]'\n{fetch}\n{then}\n```"


def _data(data: Mapping[str, Any]) -> str:
    rows = []
    for file in data.get("files") or []:
        known = file if isinstance(file, Mapping) else {"name": file}
        rows.append([code(Path(str(known.get("name"))).name), code(known.get("sha256") or "not recorded")])
    parts = [markdown_table(["file", "SHA-256"], rows) if rows else f"Files: {MISSING}"]
    counts = data.get("counts") or data.get("bases")
    if counts:
        unit = "sequences" if "counts" in data else "bases"
        parts.append(_list({f"{unit}, {part}": count for part, count in counts.items()}))
    for part, classes in (data.get("classes") or {}).items():
        parts.append(
            f"Classes of {code(part)}: " + ", ".join(f"{code(name)} {code(n)}" for name, n in classes.items()) + "."
        )
    if split := data.get("split"):
        parts.append(f"Split: {code(_short(split))}.")
    if strands := data.get("strands"):
        parts.append(f"Strands: {code(strands)}.")
    return "\n\n".join(parts)


def _results(metrics: Mapping[str, Any]) -> str:
    scores = metrics.get("metrics") or {}
    part = "test" if any(name.startswith("test/") for name in scores) else "val"
    found = [name.removeprefix(f"{part}/") for name in scores if name.startswith(f"{part}/")]
    names = ([name for name in SHOWN if name in found] or found)[:AT_MOST_SHOWN]
    if not names:
        return MISSING
    ci95 = metrics.get("ci95") or {}
    rows = [["**this model**", *(_score(scores[f"{part}/{name}"], ci95.get(f"{part}/{name}")) for name in names)]]
    if blend := metrics.get("blend"):
        rows[0][0] = "its network alone"
        own = [_score(blend["metrics"].get(f"test/{name}"), blend["ci95"].get(f"test/{name}")) for name in names]
        rows.insert(0, ["**this model**, a blend", *own])
    for baseline, values in (metrics.get("baselines") or {}).items():
        intervals = values.get("ci95") or {}
        rows.append([code(baseline), *(_score(values.get(name), intervals.get(name)) for name in names)])
    about = {
        "test": "On the test part, which neither training nor the choice of the weights has seen. ",
        "val": "On the validation part, which also chose the weights that were kept. ",
    }
    text = about[part] + "In brackets 95 % intervals over its sequences; a dash: not measured."
    if "bits_per_base" in names:
        alphabet = alphabet_named(str((metrics.get("data") or {}).get("alphabet", DNA.name)))
        nothing = f"{alphabet.bits:.3g} bits per {alphabet.unit}"
        text += f" Knowing nothing needs {nothing}, and `markov` is a back-off Markov model."
    if len(rows) == 1:
        text += " No baseline was recorded: these numbers have nothing to be compared with."
    return f"{text}\n\n{markdown_table(['', *map(code, names)], rows)}"


def _calibration(loaded: LoadedModel, metrics: Mapping[str, Any]) -> str:
    if not loaded.calibration:
        return "Probabilities are those of the network, not calibrated."
    facts: dict[str, Any] = {"kind": loaded.calibration.get("kind"), "threshold": loaded.calibration.get("threshold")}
    for when, values in (((metrics.get("blend") or metrics).get("calibration") or {}).get("test") or {}).items():
        facts[f"test, {when}"] = ", ".join(f"{name} {_number(value)}" for name, value in values.items())
    return "Fitted on the validation part, with the threshold for the positive class.\n\n" + _list(facts)


def _leakage(metrics: Mapping[str, Any]) -> str:
    leakage = metrics.get("leakage") or {}
    pairs = leakage.get("pairs") or {}
    kinds = ("exact", "reverse_complement", "near_duplicate", "coordinates", "any")
    rows = [[code(pair), *(_share(found.get(kind)) for kind in kinds)] for pair, found in pairs.items()]
    if not rows:
        return MISSING
    text = "Sequences of the later part that were met in the earlier one: copies, copies of the other strand, "
    text += "near-copies, overlapping loci, any of these.\n\n" + markdown_table(
        ["", *(kind.replace("_", " ") for kind in kinds)], rows
    )
    if not leakage.get("corpus"):
        text += "\n\nThe language model's corpus was not compared with these sequences."
    return text + _without_leaked(metrics.get("without_leaked"))


def _without_leaked(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    scores = found.get("scores") or {}
    shown = ", ".join(f"{code(name)} {_number(scores[name])}" for name in SHOWN if name in scores)
    return f"\n\nOn the {int(found.get('sequences') or 0)} test sequences that were met nowhere before: {shown}."


def _training(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    facts: dict[str, Any] = {name: _short(config[name]) for name in SETTINGS if config.get(name) is not None}
    timing = metrics.get("timing") or {}
    if "seconds" in timing:
        facts["seconds of training"] = round(float(timing["seconds"]))
    return _list(facts)


def _list(facts: Mapping[str, Any]) -> str:
    def shown(value: object) -> str:
        return ", ".join(code(item) for item in value) if isinstance(value, list) else code(value)

    lines = [f"- {code(name) if name != _plain(name) else name}: {shown(value)}" for name, value in facts.items()]
    return "\n".join(lines) or MISSING


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9 ,-]", "", name)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay rows out as a table of Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _score(value: object, interval: object) -> str:
    if not isinstance(value, int | float):
        return "–"
    between = f" [{', '.join(_number(end) for end in interval)}]" if isinstance(interval, list) else ""
    return _number(value) + between


def _number(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else code(value)


def _share(found: Any) -> str:
    if not isinstance(found, Mapping):
        return "–"
    return f"{int(found.get('count') or 0)} ({100 * float(found.get('fraction') or 0):.1f} %)"


def _short(value: Any) -> str:
    """Write a setting on one line, a node with its class's own name."""
    if not isinstance(value, Mapping):
        return str(value)
    name = str(value.get("_target_", "")).rpartition(".")[2]
    inside = ", ".join(f"{key}={_short(item)}" for key, item in value.items() if key != "_target_" and item is not None)
    return f"{name}({inside})"


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}. Remove it: the card then says what is missing.") from error
    return content if isinstance(content, dict) else {}


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    from gulmfit.config import plain, read_plain

    try:
        content = plain(read_plain(path))
    except ConfigError as error:
        raise CheckpointError(f"{path} is damaged: {error} Remove it: the card then says what is missing.") from error
    return {str(key): value for key, value in content.items()}
