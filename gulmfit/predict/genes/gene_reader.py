"""A labeller of genes that is ready to use: windows in, probabilities of classes and phases on both strands out.

Shape letters: `N` windows, `L` bases, `T` tokens, `C` classes of all tracks; an axis of 2 is the strand.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from gulmfit.checkpoint import TRACKS_READ, LoadedModel, load
from gulmfit.data.batches import padded_coverage
from gulmfit.errors import CheckpointError
from gulmfit.models.hardware import computing, place
from gulmfit.models.track_labeller import TrackLabeller, checked_offsets
from gulmfit.predict.genes.decoding import Decoding
from gulmfit.predict.offsets import mean_over_offsets
from gulmfit.predict.scans.bases import Singles
from gulmfit.seq.alphabet import Codes
from gulmfit.seq.genome.coverage import Coverage
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.gene_labels import CDS, CLASSES
from gulmfit.seq.labels.track_labels import GENE_CLASSES

logger = logging.getLogger(__name__)


class GeneReader:
    """Read windows with a labeller of genes.

    Args:
        loaded: The model.
        device: Where to run; the first GPU if there is one.
        precision: `32`, `bf16` or `auto`, the faster one.
        offsets: Bases that tokens begin at, as `gulmfit.predict.offsets` reads them; 0 for those of the model.

    Raises:
        ConfigError: The precision is unknown, or tokens have no such offsets.
    """

    unknown: Singles = np.array([0 if n == CDS else 1 / 3 for n in range(len(CLASSES))] + [1, 0, 0, 0], np.float32)
    """It does not code."""

    def __init__(
        self, loaded: LoadedModel, device: str | torch.device | None = None, precision: str = "32", offsets: int = 0
    ) -> None:
        self.loaded: LoadedModel = loaded
        labeller: Any = loaded.model
        self.model = labeller
        self.tokenizer, self.letters = loaded.tokenizer, loaded.letters
        self.device, reduced = place(self.model, device, precision)
        self.precision = "bf16" if reduced else "32"
        self.min_bases: int = self.tokenizer.min_bases
        self.offsets: int = checked_offsets(offsets or labeller.offsets, labeller.stride, "offsets")

    def decoding(self, kind: str = "") -> Decoding:
        """Return the decoder that was tuned to the model, or of a kind that was not an untuned one, which is logged.

        Args:
            kind: One of `DECODERS`; empty for that of the model, `orfs` if it has none.

        Raises:
            CheckpointError: What the model folder holds is damaged.
        """
        tuned = Decoding.load(self.loaded.source)
        if tuned and kind in ("", tuned.kind):
            return tuned
        chosen = Decoding.untuned(kind or "orfs")
        logger.warning(
            "%s: the model has no tuned decoder%s. Weights and scores of genes are those of any model.",
            f"decode={chosen.kind}", " of this kind" if tuned else "",
        )  # fmt: skip
        return chosen.changed(code=tuned.decoder.code) if tuned else chosen

    @classmethod
    def load(
        cls, path: str | Path, device: str | torch.device | None = None, precision: str = "32", offsets: int = 0
    ) -> Self:
        """Load a labeller from a run folder, a model folder or a checkpoint.

        Raises:
            CheckpointError: Nothing there labels genes on both strands.
            ConfigError: The precision is unknown, or tokens have no such offsets.
        """
        loaded = load(path)
        if loaded.classes != GENE_CLASSES or not isinstance(loaded.model, TrackLabeller):
            classes = f" of {', '.join(loaded.classes)}" if loaded.classes else ""
            raise CheckpointError(
                f"{path} is a {type(loaded.model).__name__}{classes}: it finds no genes. Give a labeller that was "
                "trained with stage=label head=tracks data=annotation, or use gulmfit-predict."
            )
        return cls(loaded, device, precision, offsets)

    def coverage(self, tracks: str, store: GenomeStore) -> Coverage | None:
        """Open the tracks that are given for a genome (`Coverage.asked`); None where the model reads none.

        Raises:
            CheckpointError: The model reads other channels than its configuration tells of.
        """
        found = Coverage.asked(tracks, self.loaded.spec.get(TRACKS_READ), store)
        if (found.other_channels if found else []) != self.model.other_channels:
            raise CheckpointError(f"{self.loaded.source}: its head and its tracks differ: the model folder is damaged.")
        return found

    def read(self, windows: Sequence[Codes], coverage: Sequence[Singles] = ()) -> Singles:
        """Return the probabilities of windows (L,), `(N, 2, L, C)`; 0 past the end of a shorter one.

        Args:
            windows: Base codes.
            coverage: Measured values `(A, L)` of each, for a model that was trained with tracks.
        """

        def read(cuts: Sequence[int]) -> Singles:
            bases = [window[cut:] for window, cut in zip(windows, cuts, strict=True)]
            measured = [values[:, cut:] for values, cut in zip(coverage, cuts, strict=True)] if coverage else []
            return self._read(bases, measured)

        return mean_over_offsets(read, [len(window) for window in windows], self.offsets, self.min_bases)

    @torch.inference_mode()
    def _read(self, windows: Sequence[Codes], coverage: Sequence[Singles]) -> Singles:
        rows = [self.tokenizer.encode(window) for window in windows]
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        tokens = np.full((len(rows), lengths.max()), self.tokenizer.pad_id, dtype=np.int64)
        for row, own in zip(tokens, rows, strict=True):
            row[: len(own)] = own
        inputs = {"tokens": tokens, "lengths": lengths, **({"coverage": padded_coverage(coverage)} if coverage else {})}
        with computing(self.device, self.precision == "bf16"):
            logits, _ = self.model(**{name: torch.from_numpy(part).to(self.device) for name, part in inputs.items()})
        found: Singles = self.model.outputs(logits.float()).cpu().numpy()
        return found
