"""Make of a language model the folder under which it ships with gulmfit: weights in bf16, card, sketch of its corpus.

    python scripts/ship_model.py run=outputs/pretrain/bacteria name=bacteria

run=     run folder of stage=pretrain, or one of its checkpoints; its data must be where its config.yaml says
name=    what it will be called: init_from=NAME, model=NAME
output=  folder of such folders; that of this checkout by default, where an older model of this name is replaced
trained_by= the command that trained it (gulmfit-train experiment=NAME)
about=   a sentence on what it is; data= where its corpus comes from; relatives= what a reader should know of relatives
         among the genomes (of bacteria they are known to this script)
license= of the weights (MIT)
cache=   folder of the genome store (outputs/store)

The weights are scored as they ship, after rounding, on what training held out: each genome by itself, in pieces of
100 kb that are read from <sep>, beside a back-off Markov model of all that was read. Ten million bases take a core some
minutes; of an older model of the same corpus the Markov model's figures are taken over.
"""

import json
import math
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import gulmfit
from gulmfit.checkpoint import LoadedModel, load, read_progress, save_model
from gulmfit.cli.words import arguments, command, log_to_stdout
from gulmfit.config import instantiate
from gulmfit.errors import CheckpointError, ConfigError
from gulmfit.exchange.pretrained_card import page
from gulmfit.files import whole_folder
from gulmfit.predict.language.likelihood import LikelihoodScorer
from gulmfit.predict.language.reading import Reading
from gulmfit.pretrained import CARD, FOLDER, PAGE, SKETCH, read_card
from gulmfit.seq.alphabet import decode
from gulmfit.seq.genome.holdout import Holdout
from gulmfit.seq.genome.store import GenomeStore, Interval
from gulmfit.seq.related.sketch import Sketch
from gulmfit.seq.simulate.markov import MarkovModel
from gulmfit.train.run import CHECKPOINTS, Run, read_config
from gulmfit.train.stages.language import corpus
from gulmfit.weights import weight_files, weights_digest

# What a card says that no record says, by the name of the model.
WORDS = {
    "bacteria": {
        "about": "A language model of bacterial genomes, to start classifiers and other language models from.",
        "data": "Public genomes of RefSeq and ATCC; none of their sequence is part of this folder.",
        "relatives": (
            "The corpus holds close relatives of Escherichia coli MG1655: three other strains of E. coli, two Shigella "
            "and a Salmonella. What is held out of these genomes is therefore not unrelated to what was read: much of "
            "it stands in a relative."
        ),
    }
}

SHARD_BYTES = 15e6  # what code hosts take without a word
PIECE = 100_000  # bases that are read with the memory carried along: far more than it reaches back
PROBE = 1_000  # bases of the pieces that are searched in what was read
UNRELATED = 0.1  # of such pieces: a genome of which fewer are found has no close relative among the others


def ship(
    *,
    run: str,
    name: str,
    output: str,
    trained_by: str,
    about: str,
    license: str,
    data: str,
    relatives: str,
    cache: str,
) -> dict[str, Any]:
    """Write the folder; return its card.

    Raises:
        ConfigError: If the name is not one, or the run is not a pre-training.
        CheckpointError: If the run has no model, or the folder cannot be written.
    """
    if not name.isidentifier():
        raise ConfigError(f"name={name}: letters, digits and '_'.")
    config = read_config(Path(run))
    if config is None or config.stage.name != "pretrain":
        raise ConfigError(f"run={run}: give a run of stage=pretrain, or one of its checkpoints.")
    loaded = load(run)
    config.paths.cache_dir = cache
    store, holdout = corpus(Run(config, Path(run)), instantiate(config.data))
    target = Path(output) / name
    with whole_folder(target.with_name(f"{name}.new")) as folder:
        state = loaded.model.state_dict()
        save_model(folder, loaded.spec, {key: _rounded(tensor) for key, tensor in state.items()}, SHARD_BYTES)
        sketch = Sketch.build(store.codes, [(part.start, part.end) for part in holdout.train])
        sketch.save(folder / SKETCH)
        older = [read_card(one) for one in Path(output).iterdir() if one.is_dir()]
        genomes, order = score(LikelihoodScorer.load(folder), store, holdout, sketch, older)
        card = {
            "name": name,
            "about": about,
            **_model(loaded, folder),
            "read": f"{len(genomes)} genomes, {sum(genome['read'] for genome in genomes) / 1e6:.1f} Mb",
            "headline": f"held-out part of {genomes[0]['records'][0]['id']}",
            "bits_per_base": genomes[0]["bits_per_base"],
            "licence": {"weights": license, "data": data},
            "relatives": relatives,
            "overall": _mean(genomes),
            "unrelated": {**_mean([one for one in genomes if one["found"] < UNRELATED]), "found": UNRELATED},
            "markov_order": order,
            "training": _training(Path(run), config, loaded.source, trained_by),
            "sketch": {
                "k": sketch.k,
                "window": sketch.window,
                "minimizers": len(sketch.prints),
                "false_positives": sketch.false_positives,
            },
            "genomes": genomes,
        }
        (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
        (folder / PAGE).write_text(page(card), encoding="utf-8")
        for file in folder.iterdir():
            file.chmod(0o644)
    if target.is_dir():
        shutil.rmtree(target)
    os.replace(target.with_name(f"{name}.new"), target)
    return card


def _rounded(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor


def score(
    scorer: LikelihoodScorer, store: GenomeStore, holdout: Holdout, sketch: Sketch, older: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], int]:
    """Score what was held out of each genome, by the model and by a Markov model of all that was read.

    Args:
        scorer: The model as it ships.
        store: The genomes.
        holdout: What was read of them, and what was not.
        sketch: Of what was read.
        older: Cards of older models: of the same corpus the Markov model says the same.

    Returns:
        What the card says of each genome (a genome is a file), and the order of the Markov model.
    """
    paths = list(dict.fromkeys(contig.path for contig in store.contigs))
    genomes = []
    for path, source in zip(paths, store.sources, strict=True):
        records = [_record(store, number, holdout) for number, one in enumerate(store.contigs) if one.path == path]
        sizes = {part: sum(end - start for one in records for start, end in one[part]) for part in ("read", "held_out")}
        bases = sum(one["bases"] for one in records)
        genomes.append({"file": source.name, "sha256": source.sha256, "bases": bases, **sizes, "records": records})
    names = [contig.path for contig in store.contigs]
    held = [[(part.start, part.end) for part in holdout.valid if names[part.contig] == path] for path in paths]
    read = [_corpus(one) for one in genomes]
    same = next((card for card in older if [_corpus(one) for one in card.get("genomes", [])] == read), None)
    if same is not None:
        order = int(same["markov_order"])
        for genome, before in zip(genomes, same["genomes"], strict=True):
            genome |= {key: before[key] for key in ("markov", "found")}
    else:
        markov = MarkovModel.fit(store.codes, [(part.start, part.end) for part in holdout.train])
        order = markov.order
        for genome, spans in zip(genomes, held, strict=True):
            genome |= {"markov": markov.bits_per_base(store.codes, spans), "found": _found(store, spans, sketch)}
    bits, bases_scored = held_out_bits(scorer, store, holdout.valid)
    for genome, path in zip(genomes, paths, strict=True):
        own = [name == path for name in names]
        genome["bits_per_base"] = float(bits[own].sum() / bases_scored[own].sum())
    return genomes, order


def _corpus(genome: Mapping[str, Any]) -> tuple[Any, ...]:
    return genome["sha256"], genome["records"]


def held_out_bits(
    scorer: LikelihoodScorer, store: GenomeStore, intervals: Sequence[Interval], *, batch_size: int = 64
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bits of intervals, and the bases that they are of, summed by contig (C,).

    Intervals are read in pieces, many side by side, so that no core waits for the longest.
    """
    pieces = [
        part._replace(start=start, end=min(start + PIECE, part.end))
        for part in intervals
        for start in range(part.start, part.end, PIECE)
    ]
    pieces.sort(key=lambda part: part.start - part.end)
    readings = (Reading(np.asarray(store.codes[part.start : part.end]), scorer.tokenizer) for part in pieces)
    bits, bases = np.zeros((2, len(store.contigs)))
    for number, window, nats in scorer.read(readings, batch_size=batch_size):
        scored, contig = ~np.isnan(nats), pieces[number].contig
        bits[contig] -= nats[scored].sum() / math.log(2)
        bases[contig] += (window.new[scored, 1] - window.new[scored, 0]).sum()
    return bits, bases


def _found(store: GenomeStore, spans: Sequence[tuple[int, int]], sketch: Sketch) -> float:
    """Return the share of held-out pieces of 1 kb that stand in what was read: of relatives, or repeats."""
    starts = [(first, min(first + PROBE, end)) for start, end in spans for first in range(start, end, PROBE)]
    pieces = [decode(np.asarray(store.codes[start:end])) for start, end in starts if end - start >= sketch.covered]
    return float(sketch.stand_in(pieces).mean()) if pieces else 0.0


def _record(store: GenomeStore, number: int, holdout: Holdout) -> dict[str, Any]:
    contig = store.contigs[number]

    def own(parts: Sequence[Interval]) -> list[list[int]]:
        return [[part.start - contig.start, part.end - contig.start] for part in parts if part.contig == number]

    return {"id": contig.name, "bases": contig.length, "read": own(holdout.train), "held_out": own(holdout.valid)}


def _mean(genomes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return bits per base over the held-out bases of genomes."""
    held = sum(genome["held_out"] for genome in genomes)
    return {
        "genomes": len(genomes),
        "held_out": held,
        **{
            name: sum(genome[name] * genome["held_out"] for genome in genomes) / held if held else None
            for name in ("bits_per_base", "markov")
        },
    }


def _model(loaded: LoadedModel, folder: Path) -> dict[str, Any]:
    arch, tokenizer = loaded.spec["arch"], loaded.spec["tokenizer"]
    settings = {
        **{f"arch.{key}": arch[key] for key in ("embed_size", "hidden_size", "num_layers")},
        **{f"tokenizer.{key}": tokenizer[key] for key in ("k", "stride") if key in tokenizer},
    }
    return {
        "architecture": f"AWD-{str(arch.get('cell', 'lstm')).upper()}, {arch['num_layers']} layers, "
        f"{arch['embed_size']}/{arch['hidden_size']}",
        "parameters": sum(parameter.numel() for parameter in loaded.model.parameters()),
        "tokens": f"{tokenizer['k']}-mers, stride {tokenizer['stride']}"
        if "k" in tokenizer
        else repr(loaded.tokenizer),
        "settings": settings,
        "bytes": sum(file.stat().st_size for file in weight_files(folder)),
        "sha256": weights_digest(folder),
    }


def _training(run: Path, config: Any, source: Path, trained_by: str) -> dict[str, Any]:
    """Say how a model was trained."""
    folder = next(place for place in (run, *run.parents) if (place / "config.yaml").is_file())
    checkpoint = source if source.is_file() else folder / CHECKPOINTS / "best.ckpt"
    if not checkpoint.is_file():
        raise CheckpointError(f"{checkpoint} is not there: the step at which the weights were saved is not known.")
    return {
        "command": trained_by,
        "step": read_progress(checkpoint)[1],
        "steps": int(config.trainer.max_steps) if (config.trainer.max_steps or -1) > 0 else None,
        "seed": int(config.seed),
        "gulmfit": gulmfit.__version__,
    }


@command
def main() -> None:
    known = {"run": "", "name": "", "output": str(FOLDER), "license": "MIT", "cache": "outputs/store"}
    known |= {"trained_by": "", "about": "", "data": "", "relatives": ""}
    values = arguments(str(__doc__), known, ("run", "name"))
    values["trained_by"] = values["trained_by"] or f"gulmfit-train experiment={values['name']}"
    words = WORDS.get(values["name"], {})
    values |= {key: values[key] or words.get(key, "") for key in ("about", "data", "relatives")}
    if missing := [key for key in ("about", "data") if not values[key]]:
        raise ConfigError(f"{', '.join(f'{key}=' for key in missing)}: say it, since the card must.")
    log_to_stdout()
    sys.stdout.write(page(ship(**values)))


if __name__ == "__main__":
    main()
