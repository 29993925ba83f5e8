"""One network for all sets of a panel: a label for each set, learned from the training parts of all.

A sequence of one set says nothing of another set's label: a peak of one factor may well hold a site of another. So
that label is unknown there, and left out of loss, thresholds and scores. A sequence of several sets, on either strand,
is one with the labels of all of them. Test parts stay as they are, a row for each sequence of each set, so that the
network is scored on exactly the sequences that a set's own network is scored on.
"""

import csv
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from omegaconf import DictConfig

from gulmfit.errors import DataError
from gulmfit.evaluate.outcomes import Bounded
from gulmfit.files import write_whole
from gulmfit.overrides import as_word, assign
from gulmfit.report.kinds.kind import kind_named
from gulmfit.report.kinds.predictions import Predictions
from gulmfit.seq.alphabet import Alphabet, reverse_complement_text
from gulmfit.seq.labels.label_sets import UNKNOWN_LABEL
from gulmfit.seq.labels.label_text import NOT_KNOWN
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.splits.split import PARTS
from gulmfit.train.panel.playing import QUIET, PlannedRun, plan
from gulmfit.train.panel.warm_start import near_duplicates, read_sets

logger = logging.getLogger(__name__)

# Words of the sets' own runs that one network for all has no use for.
OF_ONE_SET = (
    "stage=", "head=", "loss=", "loss.", "data=", "data.", "split=", "split.", "blend=", "must_win=", "with_scratch=",
    "calibration=isotonic",
)  # fmt: skip
COLUMNS = ("panel:id", "panel:sequence", "panel:part")  # no set is called so
FEWEST = 2  # sets that are worth merging

Row = tuple[str, npt.NDArray[np.int64]]
"""A sequence and its labels (C,)."""


def merged_run(
    kind: str, folder: Path, sets: Mapping[str, DictConfig], words: Sequence[str], policy: str, *, write: bool
) -> PlannedRun | None:
    """Write down the labels of all sets in one table, and plan the run that learns them.

    Args:
        kind: Of negatives; empty where sets bring their own.
        folder: Where the table and the run go.
        sets: By name, the configuration of each set's own run.
        words: Of all runs.
        policy: `drop` or `keep`, training sequences that are nearly validation or test sequences of any set.
        write: Whether to write the table where there is none; else there is no run without one.

    Raises:
        GulmfitError: If fewer than two sets can be merged.
    """
    name = kind or "sets"
    path = folder / f"{name}.tsv"
    if not path.is_file():
        if not write:
            return None
        labels, rows = _merge(sets, policy, name)
        write_whole(path, "".join("\t".join(row) + "\n" for row in [[*COLUMNS, *labels], *rows]))
    with path.open(encoding="utf-8", newline="") as handle:
        labels = next(csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))[len(COLUMNS) :]
    if unmet := [one for one in sets if one not in labels]:
        logger.warning("%s has no label for %s; with overwrite=true it is written again", path, ", ".join(unmet))
    own = [word for word in words if not word.lstrip("+").startswith(OF_ONE_SET)]
    own += ["stage=classify", "data=table", assign("data.path", path), "split=column", "head=multi_label"]
    own += [assign(f"data.{key}", column) for key, column in zip(("id", "sequence", "split"), COLUMNS, strict=True)]
    first = next(iter(sets.values())).data
    own += [as_word("data.label", labels)]
    own += [as_word(f"data.{key}", first[key]) for key in ("alphabet", "stranded") if key in first]
    own += [assign("run.name", f"multi_label_{name}"), assign("paths.run_dir", folder / name), *QUIET]
    return plan(f"{folder.name}/{name}", "", own)


def _merge(sets: Mapping[str, DictConfig], policy: str, name: str) -> tuple[list[str], list[list[str]]]:
    """Return the names of the labels, and the rows of the table."""
    read = {config.run.name: (data, where) for config, data, where in read_sets(list(sets.values()))}
    found = {one: read[config.run.name] for one, config in sets.items() if config.run.name in read}
    for one, (data, _) in list(found.items()):
        if len(data.classes) != 2 or not data.positive:
            logger.warning("%s has no positive class of two, and no label in the network for all sets", one)
            del found[one]
    if len(found) < FEWEST:
        raise DataError(f"{name}: {len(found)} set(s) have a positive class of two; panel.multi_label needs {FEWEST}.")
    if len({(data.alphabet.name, data.stranded) for data, _ in found.values()}) > 1:
        raise DataError(f"{name}: sets of several alphabets or strands cannot be merged: leave panel.multi_label out.")
    alphabet = next(iter(found.values()))[0].alphabet
    train, valid = (_union(found, part) for part in PARTS[:2])
    test = [
        (f"{one}/{data.ids[at]}", data.sequences[at], column, _label(data, at))
        for column, (one, (data, where)) in enumerate(found.items())
        for at in np.flatnonzero(where == PARTS[2])
    ]
    counts = len(train), len(valid)
    if policy == "drop":
        tested = [sequence for _, sequence, *_ in test]
        valid = _without(valid, tested, alphabet)
        train = _without(train, [*tested, *(sequence for sequence, _ in valid)], alphabet)
    logger.info(
        "one network for %d sets (%s): %s training and %s validation sequences; %s and %s near-duplicates of what is "
        "held out left out",
        len(found), name, *(f"{count:,}" for count in (*counts, counts[0] - len(train), counts[1] - len(valid))),
    )  # fmt: skip
    known = [(part, row) for part, rows in ((PARTS[0], train), (PARTS[1], valid)) for row in rows]
    rows = [
        [f"{number}", sequence, part, *(NOT_KNOWN if label == UNKNOWN_LABEL else str(label) for label in labels)]
        for number, (part, (sequence, labels)) in enumerate(known, start=1)
    ]
    for record, sequence, column, label in test:
        cells = [NOT_KNOWN] * len(found)
        cells[column] = str(label)
        rows.append([record, sequence, PARTS[2], *cells])
    return list(found), rows


def _union(sets: Mapping[str, tuple[LabelledSequences, npt.NDArray[np.str_]]], part: str) -> list[Row]:
    """Put a part of all sets together, a sequence once; one that a set holds as both is positive."""
    rows: dict[str, Row] = {}
    for column, (data, where) in enumerate(sets.values()):
        both = data.alphabet.complements and not data.stranded
        for at in np.flatnonzero(where == part):
            sequence = data.sequences[at]
            key = min(sequence, reverse_complement_text(sequence)) if both else sequence
            _, labels = rows.setdefault(key, (sequence, np.full(len(sets), UNKNOWN_LABEL)))
            labels[column] = max(labels[column], _label(data, at))
    return list(rows.values())


def _label(data: LabelledSequences, at: Any) -> int:
    return int(data.classes[data.labels[at]] == data.positive)


def _without(rows: Sequence[Row], known: Sequence[str], alphabet: Alphabet) -> list[Row]:
    marked = near_duplicates([sequence for sequence, _ in rows], known, alphabet)
    return [row for row, out in zip(rows, marked, strict=True) if not out]


def scores_of_a_set(
    merged: PlannedRun, name: str, own: PlannedRun, scores: Sequence[str], predictions: Predictions
) -> dict[str, Bounded] | None:
    """Score the network for all on the test part of a set, as the set's own network is scored.

    Args:
        merged: The run of that network.
        name: Of the set.
        own: The set's own run.
        scores: Which.
        predictions: What that network predicts of all test parts.

    Returns:
        Each score with its interval; None if the set has no label in that network.
    """
    if name not in predictions.classes:
        return None
    known = Predictions.read(own.folder / "predictions", str(own.results()["positive"]))
    place = {record: at for at, record in enumerate(predictions.ids)}
    try:
        rows = [place[f"{name}/{record}"] for record in known.ids]
    except KeyError as error:
        raise DataError(f"{merged.folder} has not tested {error}, which {own.folder} has: overwrite=true.") from error
    there = predictions.by_model["model"][rows, predictions.classes.index(name)]
    pair = np.stack([1 - there, there], axis=1)[:, [int(one == known.positive) for one in known.classes]]
    judge, seed = kind_named(known.targets)(known.classes, known.positive), int(own.config.seed)
    values = judge.scores(known.labels, pair)
    bounds = judge.intervals(known.labels, pair, known.groups, seed)
    return {one: (values[one], *bounds[one]) for one in scores if one in values}
