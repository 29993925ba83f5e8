"""The page of a model that ships with gulmfit, and the table of all of them, from their cards (`card.json`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from gulmfit.errors import ConfigError
from gulmfit.exchange.card import CITATION, LIMITS, code, markdown_page, markdown_table
from gulmfit.pretrained import HOSTED, PAGE, known, read_card, shipped

Card = Mapping[str, Any]

COLUMNS = ("name", "architecture", "tokens", "bits per base", "on", "read", "size", "licence")


def listing() -> str:
    """List the models that have a name: those that ship with gulmfit in a table, and those that can be fetched."""
    text = markdown_table(COLUMNS, [row(read_card(folder)) for folder in shipped().values()])
    fetched = "".join(f"{name}: gulmfit-export pull repo={name} ({hosted.repo})\n" for name, hosted in HOSTED.items())
    return f"{text}\n\n{fetched.rstrip() or 'No other model can be fetched by name yet.'}\n"


def page_of(name: str) -> str:
    """Return the page of a model that ships with gulmfit; raise ConfigError if there is none of this name."""
    if name not in shipped():
        raise ConfigError(f"name={name}: no model of this name ships with gulmfit; there are {known()}.")
    return (shipped()[name] / PAGE).read_text(encoding="utf-8")


def row(card: Card) -> list[str]:
    """Return what the table says of a model, in the order of `COLUMNS`."""
    return [
        str(card["name"]),
        str(card["architecture"]),
        str(card["tokens"]),
        f"{card['bits_per_base']:.3f}",
        str(card["headline"]),
        str(card["read"]),
        f"{card['bytes'] / 1e6:.1f} MB",
        str(card["licence"]["weights"]),
    ]


def page(card: Card) -> str:
    """Write the page of a model as Markdown, with the header that a hub reads."""
    name = card["name"]
    sections = {
        "How to use it": (
            f"```sh\ngulmfit-train stage=ulmfit init_from={name} data=table data.path=labelled.csv\n"
            f"gulmfit-score model={name} input=genome.fa.gz output=bits.bedgraph\n```\n\n"
            f"A run that starts from it takes its network and tokens: {_settings(card)}."
        ),
        "How well it knows genomes": _scores(card),
        "What it has read": _read(card),
        "Training": _training(card),
        "Licence": f"Weights: {card['licence']['weights']}. Data: {card['licence']['data']}",
        "Intended use and limits": LIMITS,
        "Citation": CITATION,
    }
    facts = f"{card['architecture']}, {card['parameters']:,} parameters, {card['tokens']}."
    licence = str(card["licence"]["weights"]).lower()
    return markdown_page(name, f"{card['about']}\n\n{facts}", sections, license=licence, task="text-generation")


def _settings(card: Card) -> str:
    return " ".join(code(f"{key}={value}") for key, value in card["settings"].items())


def _scores(card: Card) -> str:
    genomes: Sequence[Card] = card["genomes"]
    rows = [
        [code(one["file"]), _mega(one["held_out"]), *_pair(one), f"{100 * one['found']:.0f} %"]
        for one in sorted(genomes, key=lambda one: float(one["bits_per_base"]))
    ]
    for title, part in (("**all**", card["overall"]), ("**without relatives**", card["unrelated"])):
        if part["genomes"]:
            rows.append([f"{title} ({part['genomes']})", _mega(part["held_out"]), *_pair(part), ""])
    table = markdown_table(
        ["genome", "held out", "bits per base", "Markov model", "of it found in what was read"], rows
    )
    return (
        "Bits per base on what training did not read; 2 is knowing nothing. Beside them a back-off Markov model of "
        f"order {card['markov_order']} of the same corpus. The last column says how many pieces of 1 kb of the "
        f"held-out part stand in what was read, in a relative or as a repeat; *without relatives* are the genomes "
        f"where that is less than {100 * card['unrelated']['found']:.0f} %. {card['relatives']}\n\n{table}"
    )


def _read(card: Card) -> str:
    rows = [
        [code(one["file"]), _records(one["records"]), f"{one['bases']:,}", f"{one['read']:,}", code(one["sha256"])]
        for one in card["genomes"]
    ]
    sketch = card["sketch"]
    return (
        f"{card['read']}, both strands; spans of every record are in `card.json`. `corpus.npz` is a sketch of it "
        f"({sketch['minimizers']:,} minimizers of {sketch['k']}-mers): the leak check of a run that starts from this "
        f"model finds in it every copy of {sketch['window'] + sketch['k'] - 1} bases or more.\n\n"
        + markdown_table(["genome", "records", "bases", "read", "SHA-256 of the file"], rows)
    )


def _records(records: Sequence[Card]) -> str:
    shown = ", ".join(code(record["id"]) for record in records[:2])
    return f"{shown} and {len(records) - 2} more" if len(records) > 2 else shown


def _training(card: Card) -> str:
    training = card["training"]
    of = f" of {training['steps']:,}" if training["steps"] else ""
    return (
        f"{code(training['command'])}, weights of step {training['step']:,}{of}, seed {training['seed']}, gulmfit "
        f"{training['gulmfit']}; kept in bf16. SHA-256 of the weights: {code(card['sha256'])}."
    )


def _pair(part: Card) -> list[str]:
    return [f"{part[name]:.3f}" for name in ("bits_per_base", "markov")]


def _mega(bases: int) -> str:
    return f"{bases / 1e6:.2f} Mb"
