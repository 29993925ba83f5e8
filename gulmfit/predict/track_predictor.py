"""Probabilities for both strands of windows of a genome.

Shape letters: `N` windows, `L` bases, `C` classes of all tracks; an axis of 2 is the strand.
"""

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from gulmfit.checkpoint import Spec
from gulmfit.errors import ConfigError
from gulmfit.models.classifier import LabelModel, SequenceClassifier
from gulmfit.models.labeller import Labeller
from gulmfit.models.track_labeller import TrackLabeller
from gulmfit.predict.offsets import mean_over_offsets
from gulmfit.predict.predictor import PositionPredictor, Predictor, Probabilities, Record
from gulmfit.seq.alphabet import decode
from gulmfit.seq.labels.annotated import AnnotatedWindows
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.tokens.tokenizer import Tokenizer

Singles = npt.NDArray[np.float32]

MARGIN_BP = 600
"""Bases on each side of a window that are read with it: what a network makes of an edge is left out."""


class TrackPredictor(PositionPredictor):
    """A labeller of both strands that is ready to use; arguments as of `Predictor`."""

    def predict(
        self,
        sequences: Sequence[str],
        *,
        strand: str = "forward",
        batch_size: int = 64,
        raw: bool = False,
        coverage: Sequence[Singles] = (),
    ) -> Probabilities:
        """Return the probabilities of the bases of both strands `(N, 2, L, C)`; other arguments as of
        `PositionPredictor`, and `coverage` has the measured values `(A, L)` of each sequence."""
        if strand != "forward":
            raise ConfigError(f"strand={strand}: both strands have labels in one pass; give strand=forward.")
        alphabet = self.tokenizer.alphabet
        records = [
            Record(str(number), self.letters.encode(text, f"record '{number}'", alphabet))
            for number, text in enumerate(sequences)
        ]
        if not records:
            return np.zeros((0, 2, 0, len(self.classes)), np.float32)
        longest = max(map(len, sequences))

        def read(cuts: Sequence[int]) -> Probabilities:
            cut = [Record(one.name, one.codes[size:]) for one, size in zip(records, cuts, strict=True)]
            measured = [values[:, size:] for values, size in zip(coverage, cuts, strict=True)] if coverage else []
            found = self._forward(self._tokens(cut, "", False), batch_size, measured)[:, 0]  # of its one network
            return found[:, :, :longest]

        offsets = cast("TrackLabeller", self.model).offsets
        found = mean_over_offsets(read, list(map(len, sequences)), offsets, self.tokenizer.min_bases)
        return found if raw else self.calibrated(found)

    def of_part(self, data: LabelledSequences, *, batch_size: int, raw: bool = False) -> Probabilities:
        """Return the probabilities of windows, each read with `MARGIN_BP` on both sides where its stretch has them."""
        if not isinstance(data, AnnotatedWindows):
            return super().of_part(data, batch_size=batch_size, raw=raw)
        reads, windows, measured = list[str](), list[tuple[int, int, int]](), list[Singles]()
        wants = bool(cast("TrackLabeller", self.model).other_channels)
        for one in data.stretches():
            whole = data.contigs[one.contig]
            for index in one.windows:
                _, start, end, _ = (data.loci or [])[index]
                low, high = max(one.start, start - MARGIN_BP), min(one.end, end + MARGIN_BP)
                reads.append(decode(whole.codes[low:high]))
                if wants and whole.coverage is not None:
                    measured.append(whole.coverage[:, low:high])
                windows.append((index, start - low, end - start))
        width, batch = data.labels.shape[-1], max(1, batch_size)
        found = np.zeros((len(data), 2, width, len(self.classes)), np.float32)
        for at in range(0, len(reads), batch):
            here = slice(at, at + batch)
            predicted = self.predict(reads[here], batch_size=batch, raw=raw, coverage=measured[here])
            for (index, first, size), values in zip(windows[here], predicted, strict=True):
                found[index, :, :size] = values[:, first : first + size]
        return cast("Probabilities", found)


def predictor_of(spec: Spec, model: LabelModel, tokenizer: Tokenizer) -> Predictor:
    """Return what predicts with one network, a classifier or a labeller; arguments as of `Predictor`."""
    kind: type[Predictor] = PositionPredictor if isinstance(model, Labeller) else Predictor
    if isinstance(model, TrackLabeller):
        kind = TrackPredictor
    return kind(spec, cast("SequenceClassifier | Labeller", model), tokenizer)
