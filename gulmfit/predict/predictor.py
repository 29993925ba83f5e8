"""Class probabilities, or values, for sequences or their positions: the same for every batch size, padding and order.

Shape letters: `N` sequences, `S` strands that are told apart (1 or 2), `C` classes, labels or values, `T` tokens, `L`
bases.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from gulmfit.checkpoint import Spec, letters_of, load
from gulmfit.errors import CheckpointError, ConfigError, SequenceError
from gulmfit.evaluate.calibration import Calibration
from gulmfit.models.classifier import LabelModel, SequenceClassifier
from gulmfit.models.encoder import is_causal
from gulmfit.models.hardware import computing, place
from gulmfit.models.labeller import Labeller
from gulmfit.report.kinds.kind import kind_of
from gulmfit.seq.alphabet import Codes, reverse_complement
from gulmfit.seq.tokens.tokenizer import Tokenizer, Tokens

Probabilities = npt.NDArray[np.float64]

# The strand that each score of a sequence is for.
STRANDS = {"forward": "+", "both": "+-", "average": "."}

# Sequences that are read ahead, to be sorted by length: so many batches, and so many bases unless one has more.
BATCHES_AHEAD = 32
BASES_AHEAD = 1 << 24
# Tokens of a batch, padding included; a longer sequence is a batch of its own.
TOKENS_AT_ONCE = 1 << 22


class Record(NamedTuple):
    """A sequence, and where it lies; the fields from `contig` on mean nothing where it lies on no genome."""

    name: str
    codes: Codes
    """`(L,)`."""
    contig: str = ""
    start: int = 0
    end: int = 0
    strand: str = "+"


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

    of_models: ClassVar[type[LabelModel]] = SequenceClassifier
    refusal: ClassVar[str] = (
        "it labels the positions of a sequence, and this needs one answer for each sequence. Give a classifier "
        "(stage=classify); gulmfit-predict and gulmfit-evaluate use labellers."
    )

    def __init__(
        self,
        spec: Spec,
        model: LabelModel,
        tokenizer: Tokenizer,
        device: str | torch.device | None = None,
        precision: str = "32",
        calibration: Calibration | None = None,
    ) -> None:
        self.classes: list[str] = list(spec["classes"])
        self.positive = str(spec.get("positive") or self.classes[-1])
        self.device, reduced = place(model, device, precision)
        self.model, self.precision = model, "bf16" if reduced else "32"
        self.tokenizer = tokenizer
        self.letters = letters_of(spec)
        """How letters are read: as in training, unless another way is set."""
        self.kind = kind_of(model)
        self.calibration: Calibration = calibration or self.kind.calibration()

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str | torch.device | None = None,
        precision: str = "32",
        *,
        positions: bool = False,
    ) -> "Predictor":
        """Load a classifier from a run folder, a model folder or a checkpoint.

        Args:
            path, device, precision: As above.
            positions: Also accept a labeller of positions: a `PositionPredictor` is returned.

        Raises:
            CheckpointError: If nothing there is a classifier.
            ConfigError: If the precision is unknown.
        """
        loaded = load(path)
        if not isinstance(loaded.model, LabelModel):
            if loaded.classes:
                found = type(loaded.model).__name__
                raise CheckpointError(f"{path} names classes, and its head is a {found}: damaged?")
            raise CheckpointError(
                f"{path} is a language model, not a classifier: train one from it with stage=classify init_from={path}."
            )
        kinds = (cls, PositionPredictor) if positions else (cls,)
        kind = next((one for one in kinds if isinstance(loaded.model, one.of_models)), None)
        if kind is None:
            raise CheckpointError(f"{path} is a {type(loaded.model).__name__}: {cls.refusal}")
        calibration = kind_of(loaded.model).read_calibration(loaded.calibration) if loaded.calibration else None
        return kind(loaded.spec, loaded.model, loaded.tokenizer, device, precision, calibration)

    @property
    def reads_ahead(self) -> bool:
        """Whether what is predicted of a position depends on those after it."""
        return self.model.strands != "forward" or not is_causal(self.model.encoder)

    @property
    def gives_probabilities(self) -> bool:
        """Whether scores are probabilities."""
        return self.kind.labels.probabilities

    def calibrated(self, raw: Probabilities) -> Probabilities:
        """Calibrate what the network predicts, `(..., C)`."""
        return self.calibration.calibrated(raw.reshape(-1, raw.shape[-1])).reshape(raw.shape)

    def predict(
        self, sequences: Sequence[str], *, strand: str = "forward", batch_size: int = 64, raw: bool = False
    ) -> Probabilities:
        """Return what is predicted of sequences, `(N, C)`, in their order.

        Predicted are the probabilities of classes, which add up to 1; of labels, each by itself; or values in the units
        of the training data. `classes` has their names.

        Args:
            sequences: Letters.
            strand: `forward`, or `average` for the mean over a sequence and its reverse complement, which is the same
                for both.
            batch_size: Sequences that are run at once.
            raw: Leave the probabilities as the network gives them, without calibration.

        Raises:
            ConfigError: If `strand` or `batch_size` is out of range.
            SequenceError: If a sequence is shorter than one k-mer or holds a letter that is no nucleotide.
        """
        if strand not in ("forward", "average"):
            raise ConfigError(f"strand={strand!r} is unknown; choose forward or average.")
        records = (
            Record(str(number), self.letters.encode(text, f"record '{number}'", self.tokenizer.alphabet))
            for number, text in enumerate(sequences)
        )
        found = [scores[:, 0] for _, scores in self.predict_records(records, strand=strand, batch_size=batch_size)]
        scores = np.concatenate(found) if found else np.empty((0, len(self.classes)))
        return scores if raw or not found else self.calibrated(scores)

    def predict_records(
        self, records: Iterable[Record], *, strand: str, batch_size: int, where: str = ""
    ) -> Iterator[tuple[list[Record], Probabilities]]:
        """Yield records, some at a time in the order given, and their scores before calibration, `(N, S, C)`.

        Args:
            records: Sequences.
            strand: One of `STRANDS`.
            batch_size: Sequences that are run at once.
            where: What error messages put before the name of a record, such as a file.

        Raises:
            ConfigError: If `strand` or `batch_size` is out of range.
            SequenceError: If a sequence is shorter than one k-mer, or has no other strand.
        """
        if strand not in STRANDS:
            raise ConfigError(f"strand={strand!r} is unknown; choose one of {', '.join(STRANDS)}.")
        for group in grouped(records, batch_size, len(STRANDS[strand])):
            strands = (False,) if strand == "forward" else (False, True)
            tokens = (self._tokens(group, where, reverse) for reverse in strands)
            if strand == "both":  # side by side, as ever: whom a sequence meets in a batch moves its last digits
                rows = [row for pair in zip(*tokens, strict=True) for row in pair]
                yield group, self._forward(rows, batch_size).reshape(len(group), 2, -1)
            else:
                yield group, self.score(tokens, batch_size, average=strand == "average")

    def score(self, strands: Iterable[Sequence[Tokens]], batch_size: int, *, average: bool) -> Probabilities:
        """Return the scores `(N, S, C)` of tokens `(T,)`, given for each strand that is read, or their mean."""
        read = [self._forward(rows, batch_size) for rows in strands]
        return np.stack([sum(read) / 2] if average else read, axis=1)

    def _tokens(self, records: Sequence[Record], where: str, reverse: bool) -> list[Tokens]:
        for record in records:
            if len(record.codes) < self.tokenizer.min_bases:
                raise SequenceError(f"{where}record {record.name!r}: {self.tokenizer.too_short(len(record.codes))}")
        codes = (reverse_complement(one.codes, self.tokenizer.alphabet) if reverse else one.codes for one in records)
        return [self.tokenizer.encode(part) for part in codes]

    def _forward(self, rows: Sequence[Tokens], batch_size: int) -> Probabilities:
        """Run the network over tokens `(T,)`, those of similar length together, and return `(N, C)`."""
        scores = np.empty((len(rows), len(self.classes)))
        for batch, found in self._batches(rows, batch_size):
            scores[batch] = found
        return scores

    @torch.inference_mode()
    def _batches(
        self, rows: Sequence[Tokens], batch_size: int
    ) -> Iterator[tuple[npt.NDArray[np.int64], Probabilities]]:
        """Yield the numbers of rows of tokens `(T,)`, those of similar length together, and what is predicted."""
        lengths = np.array([len(row) for row in rows])
        order = np.argsort(lengths, kind="stable")
        while len(order):
            cells = np.arange(1, min(batch_size, len(order)) + 1) * lengths[order[:batch_size]]
            count = max(1, int(np.searchsorted(cells, TOKENS_AT_ONCE, side="right")))
            batch, order = order[:count], order[count:]
            tokens = np.full((count, lengths[batch[-1]]), self.tokenizer.pad_id, dtype=np.int64)  # (B, T)
            for row, index in enumerate(batch):
                tokens[row, : lengths[index]] = rows[index]
            with computing(self.device, self.precision == "bf16"):
                logits, _ = self.model(*(torch.from_numpy(part).to(self.device) for part in (tokens, lengths[batch])))
            yield batch, self.model.outputs(logits.double()).cpu().numpy()


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


def grouped(records: Iterable[Record], batch_size: int, strands: int = 1) -> Iterator[list[Record]]:
    """Put records together that are read ahead: `BATCHES_AHEAD` batches at most, and of `BASES_AHEAD` bases unless one
    has more.

    Raises:
        ConfigError: If `batch_size` is out of range.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size={batch_size}: 1 or more is needed.")
    most = batch_size * BATCHES_AHEAD // strands
    group: list[Record] = []
    bases = 0
    for record in records:
        if group and (len(group) == most or bases + len(record.codes) > BASES_AHEAD):
            yield group
            group, bases = [], 0
        group.append(record)
        bases += len(record.codes)
    if group:
        yield group
