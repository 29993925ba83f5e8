"""Class probabilities, or values, for sequences: the same for every batch size, padding and order.

Shape letters: `N` sequences, `C` classes, labels or values.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gulmfit.checkpoint import LoadedModel, Spec, letters_of, load
from gulmfit.data.batches import collate, tokenise
from gulmfit.errors import CheckpointError, ConfigError
from gulmfit.models.classifier import SequenceClassifier
from gulmfit.models.precision import fast_precision, guard
from gulmfit.report.calibration import Calibration
from gulmfit.report.objective import kind_of
from gulmfit.seq.tokenizer import Tokenizer

Probabilities = npt.NDArray[np.float64]

# Sequences that are read ahead, in batches, to be sorted by length.
BATCHES_AHEAD = 32

PRECISIONS = ("32", "bf16", "auto")


class Predictor:
    """A classifier, of whatever kind of target, that is ready to use.

    Args:
        spec: The model's specification.
        model: The classifier.
        tokenizer: Its tokenizer.
        device: Where to run; the first GPU if there is one.
        precision: `32`; `bf16`, which is faster where the hardware computes in it, moves probabilities by some
            thousandths, and may move them a little with a sequence's batch mates; or `auto`, the faster one.
        calibration: How to turn its probabilities into calibrated ones; none by default.

    Raises:
        ConfigError: If the precision is unknown.
    """

    def __init__(
        self,
        spec: Spec,
        model: SequenceClassifier,
        tokenizer: Tokenizer,
        device: str | torch.device | None = None,
        precision: str = "32",
        calibration: Calibration | None = None,
    ) -> None:
        if precision not in PRECISIONS:
            raise ConfigError(f"precision={precision!r} is unknown; choose one of {', '.join(PRECISIONS)}.")
        self.classes: list[str] = list(spec["classes"])
        self.positive = str(spec.get("positive") or self.classes[-1])
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model = model.to(self.device).eval()
        self.tokenizer = tokenizer
        self.letters = letters_of(spec)
        """How letters are read: as in training, unless another way is set."""
        if precision == "auto":
            precision = "bf16" if fast_precision(self.device.type) == "bf16-mixed" else "32"
        self.precision = precision
        self.kind = kind_of(model)
        self.calibration: Calibration = calibration or self.kind.calibration()
        if precision == "bf16":
            guard(model.encoder, torch.bfloat16, self.device.type)

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device | None = None, precision: str = "32") -> "Predictor":
        """Load a classifier from a run folder, a model folder or a checkpoint; arguments as above.

        Raises:
            CheckpointError: If nothing there is a classifier.
            ConfigError: If the precision is unknown.
        """
        loaded: LoadedModel = load(path)
        if not loaded.classes:
            raise CheckpointError(
                f"{path} is a language model, not a classifier: train one from it with stage=classify init_from={path}."
            )
        if not isinstance(loaded.model, SequenceClassifier):
            raise CheckpointError(f"{path} names classes, and its head is a {type(loaded.model).__name__}: damaged?")
        calibration = kind_of(loaded.model).read_calibration(loaded.calibration) if loaded.calibration else None
        return cls(loaded.spec, loaded.model, loaded.tokenizer, device, precision, calibration)

    def calibrated(self, raw: Probabilities) -> Probabilities:
        """Calibrate what the network predicts, `(N, C)`."""
        return self.calibration.calibrated(raw)

    def predict(
        self, sequences: Sequence[str], *, strand: str = "forward", batch_size: int = 64, raw: bool = False
    ) -> Probabilities:
        """Return what is predicted of sequences, `(N, C)`, in their order; arguments as below."""
        records = ((str(number), sequence) for number, sequence in enumerate(sequences))
        rows = [row for _, row in self.predict_records(records, strand=strand, batch_size=batch_size, raw=raw)]
        return np.stack(rows) if rows else np.empty((0, len(self.classes)))

    def predict_records(
        self,
        records: Iterable[tuple[str, str]],
        *,
        strand: str = "forward",
        batch_size: int = 64,
        where: str = "",
        raw: bool = False,
    ) -> Iterator[tuple[str, Probabilities]]:
        """Yield id and prediction `(C,)` of each record, in the order given; memory does not grow with their number.

        Predicted are the probabilities of classes, which add up to 1; of labels, each by itself; or values in the units
        of the training data. `classes` has their names.

        Args:
            records: Id and sequence.
            strand: `forward`, or `average` for the mean over a sequence and its reverse complement, which is the same
                for both.
            batch_size: Sequences that are run at once.
            where: What error messages put before the name of a record, such as a file.
            raw: Leave the probabilities as the network gives them, without calibration.

        Raises:
            ConfigError: If `strand` or `batch_size` is out of range.
            SequenceError: If a sequence is shorter than one k-mer or holds a letter that is no nucleotide.
        """
        if strand not in ("forward", "average"):
            raise ConfigError(f"strand={strand!r} is unknown; choose forward or average.")
        if batch_size < 1:
            raise ConfigError(f"batch_size={batch_size}: 1 or more is needed.")
        iterator = iter(records)
        while ahead := list(islice(iterator, batch_size * BATCHES_AHEAD)):
            probabilities = self._strand(ahead, batch_size, where, reverse=False)
            if strand == "average":
                probabilities = (probabilities + self._strand(ahead, batch_size, where, reverse=True)) / 2
            yield from zip(
                (name for name, _ in ahead), probabilities if raw else self.calibrated(probabilities), strict=True
            )

    @torch.inference_mode()
    def _strand(
        self, records: Sequence[tuple[str, str]], batch_size: int, where: str, *, reverse: bool
    ) -> Probabilities:
        tokens: list[Tensor] = [
            tokenise(sequence, self.tokenizer, f"{where}record {name!r}", reverse=reverse, letters=self.letters)
            for name, sequence in records
        ]
        order = sorted(range(len(tokens)), key=lambda index: len(tokens[index]))
        probabilities = np.empty((len(tokens), len(self.classes)))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = collate([(tokens[index], 0, index) for index in rows], self.tokenizer.pad_id)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                logits, _ = self.model(batch.tokens.to(self.device), batch.lengths.to(self.device))
            probabilities[rows] = self.model.outputs(logits.double()).cpu().numpy()
        return probabilities
