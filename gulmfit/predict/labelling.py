"""Labels of every position of sequences: the same for every batch size, padding and order.

Shape letters: `N` sequences, `L` bases, `C` classes.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from gulmfit.checkpoint import load
from gulmfit.errors import ConfigError
from gulmfit.models.classifier import LabelModel
from gulmfit.models.labeller import Labeller
from gulmfit.predict.outputs.registry import Output
from gulmfit.predict.outputs.writers import Columns
from gulmfit.predict.predictor import Predictor, Probabilities, Record, grouped
from gulmfit.seq.labels.position_labels import symbols


class PositionPredictor(Predictor):
    """A labeller that is ready to use; arguments as of `Predictor`."""

    of_models: ClassVar[type[LabelModel]] = Labeller
    refusal: ClassVar[str] = "it classifies whole sequences, and this needs a label for each position (stage=label)."

    def predict(
        self, sequences: Sequence[str], *, strand: str = "forward", batch_size: int = 64, raw: bool = False
    ) -> Probabilities:
        """Return class probabilities `(N, L, C)` of the positions of sequences, 0 past the end of a shorter one.

        Args:
            sequences: Letters.
            strand: `forward`.
            batch_size: Sequences that are run at once.
            raw: Leave the probabilities as the network gives them, without calibration.

        Raises:
            ConfigError: If `strand` or `batch_size` is out of range.
            SequenceError: If a sequence is shorter than one k-mer or holds a letter that is no nucleotide.
        """
        if strand != "forward":
            raise ConfigError(f"strand={strand}: a labeller labels the strand as given; give strand=forward.")
        records = (
            Record(str(number), self.letters.encode(text, f"record '{number}'", self.tokenizer.alphabet))
            for number, text in enumerate(sequences)
        )
        found = [row for _, row in self.label(records, batch_size=batch_size, raw=raw)]
        scores = np.zeros((len(found), max(map(len, found), default=0), len(self.classes)))
        for at, row in enumerate(found):
            scores[at, : len(row)] = row
        return scores

    def label(
        self, records: Iterable[Record], *, batch_size: int, where: str = "", raw: bool = False
    ) -> Iterator[tuple[Record, Probabilities]]:
        """Yield records in the order given, each with the class probabilities of its positions, `(L, C)`.

        Args:
            records: Sequences.
            batch_size: Sequences that are run at once.
            where: What error messages put before the name of a record, such as a file.
            raw: As of `predict`.

        Raises:
            ConfigError: If `batch_size` is out of range.
            SequenceError: If a sequence is shorter than one k-mer.
        """
        for group in grouped(records, batch_size):
            rows: list[Probabilities] = [np.empty(0)] * len(group)
            for batch, found in self._batches(self._tokens(group, where, False), batch_size):
                for at, scores in zip(batch.tolist(), found, strict=True):
                    rows[at] = scores[: len(group[at].codes)]
            for record, row in zip(group, rows, strict=True):
                yield record, row if raw else self.calibrated(row)


def predictor_of(model: object) -> type[Predictor]:
    """Return what predicts with a model."""
    return PositionPredictor if isinstance(model, Labeller) else Predictor


def load_predictor(path: str | Path, device: str | torch.device | None = None, precision: str = "32") -> Predictor:
    """Load what predicts with the classifier or labeller of a path; arguments and errors as of `Predictor.load`."""
    loaded = load(path)
    return predictor_of(loaded.model).of(loaded, path, device, precision)


def write_labels(
    predictor: PositionPredictor, records: Iterable[Record], outputs: Sequence[Output], *, batch_size: int, where: str
) -> int:
    """Write a line for each record into tables: its id and a letter for each position, of the likeliest class.

    Returns:
        How many records were written.

    Raises:
        ConfigError: An output is not a table.
    """
    columns: Columns = [("id", str), ("labels", str)]
    letters = np.array(symbols(predictor.classes))
    count = 0
    with ExitStack() as stack:
        tables = [stack.enter_context(one.format.table(one.path, columns)) for one in outputs if one.format.table]
        for record, scores in predictor.label(records, batch_size=batch_size, where=where):
            row = [record.name, "".join(letters[scores.argmax(axis=1)])]
            for write in tables:
                write([row])
            count += 1
    return count
