"""One language model that the sets of a panel start from: it reads the positives that they are trained on.

DFLM tunes its language model on the first fifth of each factor's file, with the shuffles in it and what it validates
on. Here it reads the training parts alone, positives alone; and what is nearly a test sequence of any set of the panel
is left out (`panel.near_duplicates`), since the sets of one cell line share many peaks.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from omegaconf import DictConfig

from gulmfit.config import instantiate
from gulmfit.data.sources.base import Source
from gulmfit.errors import DataError, GulmfitError
from gulmfit.files import write_whole
from gulmfit.overrides import assign
from gulmfit.seq.alphabet import DNA, Alphabet
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.related.overlap import find_overlaps
from gulmfit.seq.splits.split import PARTS
from gulmfit.train.panel.playing import PlannedRun, plan

logger = logging.getLogger(__name__)

# Words that a language model has no use for.
OF_CLASSIFIERS = (
    "head=", "loss=", "loss.", "classify.", "cv.", "seeds=", "ensemble=", "blend=", "recipe=", "data=", "data.",
    "split=", "split.", "dropout=", "with_scratch=", "calibration=", "must_win=",
)  # fmt: skip


def language_run(
    name: str, folder: Path, configs: Sequence[DictConfig], words: Sequence[str], near_duplicates: str
) -> PlannedRun:
    """Write down what the language model of some sets reads, and plan its training.

    Args:
        name: Of the group of sets.
        folder: Where the sequences and the run go.
        configs: Those of the sets' runs.
        words: Of all runs; with `init_from` among them that language model is tuned, else one is trained.
        near_duplicates: `drop` or `keep`, what is nearly a test sequence.

    Raises:
        GulmfitError: If no set gives it anything to read.
    """
    path = folder / f"{name}.fa"
    if not path.is_file():
        train, test = positives(configs)
        kept = without_near_duplicates(train, test) if near_duplicates == "drop" else train
        logger.info(
            "warm start of %d sets (%s): %s training positives, %s of them near-duplicates of test sequences, left out",
            len(configs), name, f"{len(train):,}", f"{len(train) - len(kept):,}",
        )  # fmt: skip
        if not kept:
            raise DataError(f"{name}: no training positive is left for its language model.")
        write_whole(path, "".join(f">{number}\n{sequence}\n" for number, sequence in enumerate(kept, start=1)))
    own = [word for word in words if not word.lstrip("+").startswith(OF_CLASSIFIERS)]
    tuned = any(word.startswith("init_from=") for word in own)
    own += [f"stage={'finetune' if tuned else 'pretrain'}", "data=fasta", assign("data.path", path)]
    own += [assign("run.name", f"language_{name}"), assign("paths.run_dir", folder / name), "resume=auto"]
    return plan(f"language model {name}", "", own)


def positives(configs: Sequence[DictConfig]) -> tuple[list[str], list[str]]:
    """Return the distinct training sequences, where there is a positive class its own alone, and all test sequences.

    Args:
        configs: Of the runs of classifiers, whose splits are followed.
    """
    train: dict[str, None] = {}
    test: dict[str, None] = {}
    for _, data, where in read_sets(configs):
        positive = data.classes.index(data.positive) if data.positive in data.classes else None
        for sequence, label, part in zip(data.sequences, data.labels, where, strict=True):
            if part == PARTS[2]:
                test[sequence] = None
            elif part == PARTS[0] and (positive is None or np.all(label == positive)):
                train[sequence] = None
    return list(train), list(test)


def read_sets(
    configs: Sequence[DictConfig],
) -> Iterator[tuple[DictConfig, LabelledSequences, npt.NDArray[np.str_]]]:
    """Yield configuration, sequences and their parts (N,) of each set that can be read."""
    for config in configs:
        try:
            source: Source = instantiate(config.data)
            data = source.labelled()
            where = instantiate(config.split)(data)
        except GulmfitError as error:  # its own run fails of it, and takes no other along
            logger.warning("%s gives nothing to what all sets share: %s", config.run.name, error)
            continue
        yield config, data, where


def near_duplicates(sequences: Sequence[str], known: Sequence[str], alphabet: Alphabet = DNA) -> npt.NDArray[np.bool_]:
    """Tell which sequences (N,) are nearly one of those that are known, on either strand where there are two."""
    if not known or not sequences:
        return np.zeros(len(sequences), np.bool_)
    found: npt.NDArray[np.bool_] = np.logical_or.reduce(
        list(find_overlaps(known, sequences, alphabet=alphabet).values())
    )
    return found


def without_near_duplicates(train: Sequence[str], test: Sequence[str]) -> list[str]:
    """Return the training sequences that are nearly none of the test sequences, on either strand."""
    return [sequence for sequence, out in zip(train, near_duplicates(train, test), strict=True) if not out]
