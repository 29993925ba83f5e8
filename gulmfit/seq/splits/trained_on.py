"""The sequences that a model was trained on, known by digests: a table in its model folder. Shape: N sequences."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gulmfit.files import whole_file
from gulmfit.seq.alphabet import DNA, Alphabet, reverse_complement_text
from gulmfit.seq.formats.tables import read_rows
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.names import tsv_line
from gulmfit.seq.related.overlap import Mask, count_marked
from gulmfit.seq.splits.split_file import sequence_digest

TRAINED_ON = "trained_on.tsv"
COLUMNS = ("digest", "part")
USED = ("train", "valid")  # in validation weights, calibration and thresholds are chosen


def write_trained_on(path: Path, parts: Mapping[str, LabelledSequences]) -> None:
    """Write the digests of the training and the validation part, each once, in ascending order: a row tells no id."""
    rows = sorted({(sequence_digest(text), part) for part in USED for text in parts[part].sequences})
    with whole_file(path) as unfinished, unfinished.open("wb") as handle:
        handle.writelines(tsv_line(row, path) for row in (COLUMNS, *rows))


def read_trained_on(path: Path) -> dict[str, set[str]]:
    """Return the digests of each part that was used, from such a table or the `split.tsv` of a run.

    Raises:
        DataError: If it is neither.
    """
    found: dict[str, set[str]] = {part: set() for part in USED}
    for _, row in read_rows(path, {column: column for column in COLUMNS}):
        if row["part"] in found:
            found[row["part"]].add(row["digest"])
    return found


def met_before(
    digests: Mapping[str, set[str]], sequences: Sequence[str], ids: Sequence[str], alphabet: Alphabet = DNA
) -> tuple[dict[str, Any], Mask]:
    """Count the scored sequences that a model was trained on, as they are or as reverse complements.

    Args:
        digests: As `read_trained_on` gives them.
        sequences: What is scored (N).
        ids: Their names.
        alphabet: Of both.

    Returns:
        What a leakage report holds of such pairs (`gulmfit.seq.related.leakage.leakage_report`; near-copies, which
        digests cannot show, are null), and which sequences were met (N,).
    """
    own = [sequence_digest(text) for text in sequences]
    twins = (
        [sequence_digest(reverse_complement_text(text, alphabet)) for text in sequences] if alphabet.complements else []
    )
    pairs: dict[str, Any] = {}
    anywhere: Mask = np.zeros(len(own), np.bool_)
    for part, known in digests.items():
        exact = np.array([digest in known for digest in own], np.bool_)
        reverse = np.array([digest in known for digest in twins], np.bool_) if twins else None
        met = exact if reverse is None else exact | reverse
        anywhere |= met
        pairs[f"{part}->test"] = {
            "exact": count_marked(exact, ids),
            "reverse_complement": None if reverse is None else count_marked(reverse, ids),
            "near_duplicate": None,
            "coordinates": None,
            "any": count_marked(met, ids),
        }
    return {"sequences": {"test": len(own)}, "pairs": pairs}, anywhere
