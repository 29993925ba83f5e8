"""What the model that a run starts from has read: genomes, labelled sequences, the corpus of a model that ships.

`init_from` is followed from run to run. Whatever is found on the way is searched for the sequences of the run; what
cannot be searched is named, so that a clean report does not say more than it knows.
"""

import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from gulmfit.checkpoint import build
from gulmfit.config import plain
from gulmfit.data.sources.base import Source
from gulmfit.errors import GulmfitError
from gulmfit.pretrained import SKETCH, find, read_card
from gulmfit.seq.alphabet import DNA, Alphabet, Codes, held_alphabet
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.related.overlap import Mask, count_marked, find_overlaps, near_duplicate_k, stand_in
from gulmfit.seq.related.sketch import Sketch
from gulmfit.seq.splits.split import Split
from gulmfit.train.run import Run, read_config

logger = logging.getLogger(__name__)

# How the sequences that a model has read were read.
GENOME, UNLABELLED, LABELLED = "genome", "without labels", "with labels"


@dataclass(frozen=True)
class Corpus:
    """Something that a model has read."""

    name: str
    """What it is and whose."""
    read: str
    """`GENOME`, `UNLABELLED` or `LABELLED`."""
    search: Callable[[Sequence[str], Alphabet], Mask] | None = None
    """Marks the sequences (N,) most of which stand in it; None where it cannot be searched."""
    why_not: str = ""
    """Why it cannot be searched."""
    k: int | None = None
    """Length of the k-mers that it is searched by, where that follows from its size."""


def what_was_met(run: Run, parts: Mapping[str, LabelledSequences]) -> dict[str, Any]:
    """Count the sequences of each part that the model which a run starts from has read.

    Returns:
        What completes a leakage report: `corpus_k`, the length of the k-mers that the largest genome is searched by,
        null where there is none; `corpus`, for each part the `count`, `fraction` and `examples` of what stands
        in any corpus that can be searched, null where there is none; and `corpora`, for each corpus its `name`, how it
        was `read`, and `parts`, the same three by part, or null and `why_not`.
    """
    filled = {name: part for name, part in parts.items() if len(part)}
    alphabet = next((part.alphabet for part in filled.values()), DNA)
    sequences = [sequence for part in filled.values() for sequence in part.sequences]
    edges = np.cumsum([len(part) for part in filled.values()])[:-1]

    def by_part(marked: Mask) -> dict[str, Any]:
        pieces = np.split(marked, edges)
        return {name: count_marked(piece, part.ids) for (name, part), piece in zip(filled.items(), pieces, strict=True)}

    anywhere, searched, listed, k = np.zeros(len(sequences), np.bool_), False, [], None
    for corpus in corpora(run):
        found = None
        if corpus.search is not None:
            marked = corpus.search(sequences, alphabet)
            found, searched = by_part(marked), True
            k = max(filter(None, (k, corpus.k)), default=None)
            anywhere |= marked
        listed.append({"name": corpus.name, "read": corpus.read, "parts": found, "why_not": corpus.why_not})
        _tell(corpus, found, len(parts["test"]))
    return {"corpus_k": k, "corpus": by_part(anywhere) if searched else None, "corpora": listed}


def _tell(corpus: Corpus, found: dict[str, Any] | None, tested: int) -> None:
    """Log what has to be known of a corpus."""
    if found is None:
        logger.warning("the leak check leaves out %s: %s", corpus.name, corpus.why_not)
        return
    met = found.get("test", {"count": 0})
    if not met["count"]:
        return
    level, how = (logging.INFO, "") if corpus.read == GENOME else (logging.WARNING, f" {corpus.read}")
    logger.log(
        level,
        "%d of %d test sequences stand in %s, which the model that this run starts from has read%s; for example %s.",
        met["count"],
        tested,
        corpus.name,
        how,
        ", ".join(map(repr, met["examples"])),
    )


def corpora(run: Run) -> list[Corpus]:
    """List what the model that a run starts from has read, the latest first."""
    origin, cache_dir = run.config.init_from, Path(str(run.config.paths.cache_dir))
    listed: list[Corpus] = []
    seen: set[str] = set()
    while origin and str(origin) not in seen:  # folders from elsewhere may name each other
        seen.add(str(origin))
        unknown = f"what {origin} has read"
        try:
            path = find(str(origin))
            if (path / SKETCH).is_file():
                listed.append(_sketched(path, str(origin)))
                break
            config = read_config(path)
        except GulmfitError as error:
            listed.append(Corpus(unknown, GENOME, why_not=str(error)))
            break
        if config is None:
            why = "no config.yaml of a run lies beside it" if path.exists() else "it is not there any more"
            listed.append(Corpus(unknown, GENOME, why_not=f"{why}."))
            break
        try:
            listed += _read_by(config, str(origin), cache_dir)
        except GulmfitError as error:
            listed.append(Corpus(unknown, GENOME, why_not=f"it cannot be read again: {error}"))
        origin = config.get("init_from")
    return listed


def _sketched(folder: Path, name: str) -> Corpus:
    """Return the corpus of a model folder that has a sketch of it."""
    sketch, card = Sketch.open(folder / SKETCH), read_card(folder)
    what = f"the corpus of {name} ({card['read']})" if isinstance(card.get("read"), str) else f"the corpus of {name}"

    def search(sequences: Sequence[str], alphabet: Alphabet) -> Mask:
        return sketch.stand_in(sequences) if alphabet.complements else np.zeros(len(sequences), np.bool_)

    return Corpus(what, GENOME, search)


def _read_by(config: DictConfig, origin: str, cache_dir: Path) -> Iterator[Corpus]:
    """Yield what a run has read itself, whatever it was started from."""
    stage, tuned = str(config.stage.name), bool(config.get("init_from"))
    source: Source = build(plain(config.get("data")), {}, Source)
    if stage in ("finetune", "classify", "label", "ulmfit") and source.has_labels:
        how = UNLABELLED if stage == "finetune" else LABELLED
        known = _labelled(OmegaConf.to_yaml(config.get("data")), OmegaConf.to_yaml(config.get("split")))
        name = f"the training and validation sequences of {origin}"
        yield Corpus(name, how, functools.partial(_among, known))
    if stage == "pretrain" or (stage == "ulmfit" and not tuned) or (stage == "finetune" and not source.has_labels):
        codes, alphabet = source.store(cache_dir).codes, held_alphabet(source.alphabet)
        search = functools.partial(_in_genome, codes)
        yield Corpus(f"the genome of {origin}", GENOME, search, k=near_duplicate_k(alphabet, len(codes)))


def _in_genome(codes: Codes, sequences: Sequence[str], alphabet: Alphabet) -> Mask:
    return stand_in(sequences, codes, alphabet=alphabet)


def _among(known: Sequence[str], sequences: Sequence[str], alphabet: Alphabet) -> Mask:
    """Mark the sequences (N,) that are among known ones, on either strand, or near-copies of them."""
    marked: Mask = np.logical_or.reduce(list(find_overlaps(known, sequences, alphabet=alphabet).values()))
    return marked


@functools.lru_cache(maxsize=2)  # the classifiers of a cross-validation start from one language model
def _labelled(data: str, split: str) -> tuple[str, ...]:
    """Return the sequences of training and validation of a run, by its nodes `data` and `split` as YAML."""
    source: Source = build(plain(OmegaConf.create(data)), {}, Source)
    labelled = source.labelled()
    divide: Split = build(plain(OmegaConf.create(split)), {}, Split)
    where = divide(labelled)
    return tuple(labelled.subset(np.flatnonzero(where != "test")).sequences)
