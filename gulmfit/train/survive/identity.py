"""What a run learns from, known by content: its checkpoints keep it, and a run that is continued compares it.

Names, sizes, times and row numbers of files say nothing here. An identity is a flat dictionary of what must stay the
same, in words for the message, to a digest or a number. Shape: N sequences.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gulmfit.seq.alphabet import Codes
from gulmfit.seq.genome.holdout import Holdout
from gulmfit.seq.labels.annotated import AnnotatedWindows
from gulmfit.seq.labels.labelled import LabelledSequences

Identity = dict[str, str]

# The name of an identity in checkpoints, in the `config.json` of model folders, and in `metrics.json` under `data`.
LEARNED_FROM = "learned_from"

RECORDS, PARTS, ORDER, SEED, FIRST_WEIGHTS = (
    "the records and their labels", "the split", "the ids or the order of the records", "the seed",
    "the weights of init_from",
)  # fmt: skip
CORPUS, HELD_OUT, STRANDS = "the bases of the corpus", "the held-out part", "strands"
MEASURED = "the values of data.tracks"
BATCHES = "batch_size and bptt"
_HASHED_AT_ONCE = 1 << 26


def of_labelled(
    data: LabelledSequences, where: npt.NDArray[np.str_], seed: int, batch_size: int, first: str | None = None
) -> Identity:
    """Return the identity of a classifier's training.

    Args:
        data: All labelled sequences.
        where: Part of each (N,).
        seed: Of the run.
        batch_size: Sequences in a batch; with another one the position in an epoch would mean other sequences.
        first: Digest of the weights that training starts from (`of_weights`); None without.
    """
    records, parts, order = [], [], []
    for name, sequence, label, part in zip(data.ids, data.sequences, data.labels, where, strict=True):
        record = _digest([sequence.encode(), label.tobytes()], size=16)  # ids may be row numbers
        records.append(record)
        parts.append(record + str(part).encode())
        order += [record, name.encode()]
    classes = "\0".join(data.classes).encode()
    found = {
        RECORDS: _digest([classes, *sorted(records)]).hex(),
        PARTS: _digest(sorted(parts)).hex(),
        ORDER: _digest(order).hex(),
        SEED: str(seed),
        BATCHES: str(batch_size),
    }
    return found | ({FIRST_WEIGHTS: first} if first else {})


def of_measured(data: AnnotatedWindows) -> Identity:
    """Return the identity of the measured values that are read with the bases; empty where there are none."""
    values = [one.coverage.data for _, one in sorted(data.contigs.items()) if one.coverage is not None]
    return {MEASURED: _digest(values, lengths=False).hex()} if values else {}


def of_stream(
    codes: Codes, holdout: Holdout, strands: str, seed: int, batches: tuple[int, int], first: str | None = None
) -> Identity:
    """Return the identity of a language model's training.

    Args:
        codes, holdout, strands, seed: What is learned from, and held out.
        batches: Parallel streams, and tokens in a window.
        first: As for `of_labelled`.
    """
    blocks = (
        np.ascontiguousarray(codes[at : at + _HASHED_AT_ONCE]).data for at in range(0, len(codes), _HASHED_AT_ONCE)
    )
    intervals = [np.array([part[1:] for part in side], np.int64).tobytes() for side in (holdout.train, holdout.valid)]
    found = {
        CORPUS: _digest(blocks, lengths=False).hex(),
        HELD_OUT: _digest(intervals).hex(),
        STRANDS: strands,
        SEED: str(seed),
        BATCHES: f"{batches[0]} and {batches[1]}",
    }
    return found | ({FIRST_WEIGHTS: first} if first else {})


def of_weights(state: Mapping[str, Tensor]) -> str:
    """Return the digest of weights, by name, shape and value."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(state.items())}
    heads = (f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode() for name, tensor in tensors.items())
    values = (tensor.reshape(-1).view(torch.uint8).numpy().data for tensor in tensors.values())
    return _digest([_digest(heads), *values]).hex()


def differences(theirs: Mapping[str, Any], ours: Identity) -> list[str]:
    """Name what is not the same, numbers with both values; what only one of them knows is not compared."""
    found: list[str] = []
    for name, value in ours.items():
        before = theirs.get(name)
        if before is None or before == value:
            continue
        if name in (PARTS, ORDER) and RECORDS in found:  # follow from the records
            continue
        shown = name in (SEED, BATCHES, STRANDS)
        found.append(f"{name} ({before} before, now {value})" if shown else name)
    return found


def _digest(parts: Iterable[Any], *, size: int = 32, lengths: bool = True) -> bytes:
    """Hash parts one after the other, each with its length, so that no two lists of parts run together alike."""
    whole = hashlib.blake2b(digest_size=size)
    for part in parts:
        if lengths:
            whole.update(len(part).to_bytes(8, "little"))
        whole.update(part)
    return whole.digest()
