"""Class probabilities, or values, for sequences or their positions: the same for every batch size, padding and order.

Shape letters: `N` sequences, `S` strands that are told apart (1 or 2), `C` classes, labels or values, `M` networks, `K`
columns of the spread over them, `T` tokens, `L` bases.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch

from gulmfit.checkpoint import Spec, letters_of, load
from gulmfit.data.batches import padded_coverage
from gulmfit.errors import CheckpointError, ConfigError, SequenceError
from gulmfit.evaluate.calibration import Calibration
from gulmfit.models.classifier import SequenceClassifier
from gulmfit.models.encoder import is_causal
from gulmfit.models.ensemble import Classifier, Ensemble, one_network
from gulmfit.models.hardware import computing, place
from gulmfit.models.labeller import Labeller
from gulmfit.models.track_labeller import TrackLabeller
from gulmfit.predict.blending import BlendedModel, load_blend
from gulmfit.report.kinds.kind import kind_of
from gulmfit.seq.alphabet import Codes, decode, reverse_complement
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.names import column_names
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

    >>> predictor = Predictor.load(MODEL)  # a model folder, or the run folder around it
    >>> predictor.classes, predictor.predict(["ACGTACGTACGT", "TTGACATATAAT"]).shape
    (['no', 'yes'], (2, 2))

    Args:
        spec: The model's specification.
        model: The classifier, or an ensemble of them.
        tokenizer: Its tokenizer.
        device: Where to run; the first GPU if there is one.
        precision: `32`; `bf16`, which is faster where the hardware computes in it, moves probabilities by some
            thousandths, and may move them a little with a sequence's batch mates; or `auto`, the faster one.
        calibration: How to turn its probabilities into calibrated ones; none by default.
        blend: What is made of its probabilities and those of baselines; by default its own are what is predicted.

    Raises:
        ConfigError: If the precision is unknown.
    """

    of_models: ClassVar[Any] = Classifier
    refusal: ClassVar[str] = (
        "it labels the positions of a sequence, and this needs one answer for each sequence. Give a classifier "
        "(stage=classify); gulmfit-predict and gulmfit-evaluate use labellers."
    )

    def __init__(
        self,
        spec: Spec,
        model: Classifier | Labeller,
        tokenizer: Tokenizer,
        device: str | torch.device | None = None,
        precision: str = "32",
        calibration: Calibration | None = None,
        blend: BlendedModel | None = None,
    ) -> None:
        self.classes: list[str] = list(spec["classes"])
        self.positive = str(spec.get("positive") or self.classes[-1])
        self.sequence_bp = int(spec.get("sequence_bp") or 0)
        """Usual length of the training sequences; 0 where that is not known."""
        self.device, reduced = place(model, device, precision)
        self.model, self.precision = model, "bf16" if reduced else "32"
        self.networks = len(model.members) if isinstance(model, Ensemble) else 1
        """`M`."""
        self.tokenizer = tokenizer
        self.letters = letters_of(spec)
        """How letters are read: as in training, unless another way is set."""
        self.kind = kind_of(model)
        self.blend = blend
        self.calibration: Calibration = calibration or self.kind.calibration()
        self.folder: Path | None = None
        """Where it was loaded from, where that is known."""

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
        if not isinstance(loaded.model, Classifier | Labeller):
            if loaded.classes:
                found = type(loaded.model).__name__
                raise CheckpointError(f"{path} names classes, and its head is a {found}: damaged?")
            raise CheckpointError(
                f"{path} is a language model, not a classifier: train one from it with stage=classify init_from={path}."
            )
        if isinstance(loaded.model, TrackLabeller):
            raise CheckpointError(
                f"{path} labels both strands of a genome: gulmfit-annotate uses it. This needs a model with one answer "
                "for each sequence, or position of one strand."
            )
        kind: type[Predictor] = PositionPredictor if positions and isinstance(loaded.model, Labeller) else cls
        if not isinstance(loaded.model, kind.of_models):
            raise CheckpointError(f"{path} is a {type(loaded.model).__name__}: {kind.refusal}")
        calibration = kind_of(loaded.model).read_calibration(loaded.calibration) if loaded.calibration else None
        blend = load_blend(loaded) if "blend" in loaded.spec else None
        return kind(loaded.spec, loaded.model, loaded.tokenizer, device, precision, calibration, blend)

    @property
    def reads_ahead(self) -> bool:
        """Whether what is predicted of a position depends on those after it."""
        network = cast("SequenceClassifier | Labeller", one_network(self.model))
        return network.strands != "forward" or not is_causal(network.encoder)

    @property
    def gives_probabilities(self) -> bool:
        """Whether scores are probabilities."""
        return self.kind.labels.probabilities

    def spread_names(self, name: str = "spread") -> list[str]:
        """Name the `K` columns of the spread over an ensemble's networks; none of one network.

        Of classes that exclude each other there is one column, else one for each label or value.
        """
        if self.networks == 1:
            return []
        one = self.kind.labels.exclusive or len(self.classes) == 1
        return column_names([name] if one else [f"{name}:{item}" for item in self.classes], self.classes)

    def calibrated(self, raw: Probabilities) -> Probabilities:
        """Calibrate what the network or the blend predicts, `(..., C)`."""
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
            SequenceError: If a sequence is shorter than one k-mer or holds a letter that is not a nucleotide.
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

    def of_part(self, data: LabelledSequences, *, batch_size: int, raw: bool = False) -> Probabilities:
        """Return what is predicted of labelled sequences; arguments and shape as of `predict`."""
        return self.predict(data.sequences, batch_size=batch_size, raw=raw)

    def predict_records(
        self, records: Iterable[Record], *, strand: str, batch_size: int, where: str = "", spread: bool = False
    ) -> Iterator[tuple[list[Record], Probabilities]]:
        """Yield records, some at a time in the order given, and their scores before calibration, `(N, S, C)`; with
        their spread `(N, S, C + K)`.

        Args:
            records: Sequences.
            strand: One of `STRANDS`.
            batch_size: Sequences that are run at once.
            where: What error messages put before the name of a record, such as a file.
            spread: Whether the spread over networks follows (`spread_names`).

        Raises:
            ConfigError: If `strand` or `batch_size` is out of range.
            SequenceError: If a sequence is shorter than one k-mer, or has no other strand.
        """
        if strand not in STRANDS:
            raise ConfigError(f"strand={strand!r} is unknown; choose one of {', '.join(STRANDS)}.")
        for group in grouped(records, batch_size, len(STRANDS[strand])):
            strands = (False,) if strand == "forward" else (False, True)
            tokens = (self._tokens(group, where, reverse) for reverse in strands)
            texts = [self._texts(group, reverse) for reverse in strands] if self.blend else []
            if strand == "both":  # side by side, as ever: whom a sequence meets in a batch moves its last digits
                rows = [row for pair in zip(*tokens, strict=True) for row in pair]
                found = self._forward(rows, batch_size).reshape(len(group), 2, self.networks, -1)
                yield group, self._told([found[:, 0], found[:, 1]], texts, average=False, spread=spread)
            else:
                yield group, self.score(tokens, batch_size, texts, average=strand == "average", spread=spread)

    def score(
        self,
        strands: Iterable[Sequence[Tokens]],
        batch_size: int,
        texts: Sequence[Sequence[str]] = (),
        *,
        average: bool,
        spread: bool = False,
    ) -> Probabilities:
        """Return the scores `(N, S, C)` of tokens `(T,)`, given for each strand that is read, or their mean; with their
        spread `(N, S, C + K)`. A blend also needs the sequences of each strand."""
        read = [self._forward(rows, batch_size) for rows in strands]
        return self._told(read, texts, average=average, spread=spread)

    def _told(
        self, read: Sequence[Probabilities], texts: Sequence[Sequence[str]], *, average: bool, spread: bool
    ) -> Probabilities:
        """Turn what every network predicts of each strand `(N, M, C)` into scores and, if wanted, their spread."""

        scores = [one.mean(1) for one in read]
        if self.blend:
            scores = [self.blend.predict(*one) for one in zip(scores, texts, strict=True)]
        if average:
            scores, read = [np.asarray(sum(scores)) / 2], [np.asarray(sum(read)) / 2]
        found = np.stack(scores, axis=1)
        if not spread or self.networks == 1:
            return found
        return np.concatenate([found, self._spread(np.stack(read, axis=1))], axis=2)

    def _spread(self, members: Probabilities) -> Probabilities:
        """Return how far networks `(N, S, M, C)` lie apart, as standard deviations `(N, S, K)`: of the probability of
        the positive one of two classes, of more classes of the likeliest one, else of every label or value."""
        apart: Probabilities = members.std(axis=2, ddof=1)
        if not self.kind.labels.exclusive:
            return apart
        if len(self.classes) == 2:
            column = self.classes.index(self.positive)
            return apart[:, :, column : column + 1]
        return np.take_along_axis(apart, members.mean(2).argmax(-1)[..., None], axis=2)

    def _tokens(self, records: Sequence[Record], where: str, reverse: bool) -> list[Tokens]:
        for record in records:
            if len(record.codes) < self.tokenizer.min_bases:
                raise SequenceError(f"{where}record {record.name!r}: {self.tokenizer.too_short(len(record.codes))}")
        codes = (reverse_complement(one.codes, self.tokenizer.alphabet) if reverse else one.codes for one in records)
        return [self.tokenizer.encode(part) for part in codes]

    def _texts(self, records: Sequence[Record], reverse: bool) -> list[str]:
        alphabet = self.tokenizer.alphabet
        codes = (reverse_complement(one.codes, alphabet) if reverse else one.codes for one in records)
        return [decode(part, alphabet) for part in codes]

    @torch.inference_mode()
    def _forward(
        self, rows: Sequence[Tokens], batch_size: int, coverage: Sequence[npt.NDArray[np.float32]] = ()
    ) -> Probabilities:
        """Run the networks over tokens `(T,)`, those of similar length together, and return `(N, M, C)`, of positions
        `(N, M, L, C)`; `coverage` has the measured values `(A, L)` of each, for what reads them."""
        lengths, found = np.array([len(row) for row in rows]), list[tuple[npt.NDArray[np.int64], Probabilities]]()
        order = np.argsort(lengths, kind="stable")
        while len(order):
            cells = np.arange(1, min(batch_size, len(order)) + 1) * lengths[order[:batch_size]]
            count = max(1, int(np.searchsorted(cells, TOKENS_AT_ONCE, side="right")))
            batch, order = order[:count], order[count:]
            tokens = np.full((count, lengths[batch[-1]]), self.tokenizer.pad_id, dtype=np.int64)  # (B, T)
            for row, index in enumerate(batch):
                tokens[row, : lengths[index]] = rows[index]
            with computing(self.device, self.precision == "bf16"):
                more = [("coverage", padded_coverage([coverage[index] for index in batch]))] if len(coverage) else []
                inputs = (torch.from_numpy(part).to(self.device) for part in (tokens, lengths[batch]))
                logits, _ = self.model(*inputs, **{name: torch.from_numpy(part).to(self.device) for name, part in more})
            if isinstance(self.model, Ensemble):
                each = self.model.each(logits.double())
            else:
                each = self.model.outputs(logits.double()).unsqueeze(0)
            found.append((batch, each.transpose(0, 1).cpu().numpy()))
        scores = np.zeros((len(rows), *(found[-1][1].shape[1:] if found else (self.networks, len(self.classes)))))
        for batch, part in found:  # the last one has the longest
            place_of: Any = (batch, *map(slice, part.shape[1:]))
            scores[place_of] = part
        return scores


class PositionPredictor(Predictor):
    """A labeller that is ready to use; arguments as of `Predictor`."""

    of_models = Labeller
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
            SequenceError: If a sequence is shorter than one k-mer or holds a letter that is not a nucleotide.
        """
        if strand != "forward":
            raise ConfigError(f"strand={strand}: a labeller labels the strand as given; give strand=forward.")
        records = (
            Record(str(number), self.letters.encode(text, f"record '{number}'", self.tokenizer.alphabet))
            for number, text in enumerate(sequences)
        )
        found = [row for _, row in self.label(records, batch_size=batch_size, raw=raw)]
        width = found[0].shape[1] if found else len(self.classes)
        scores = np.zeros((len(found), max(map(len, found), default=0), width))
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
            found = self._forward(self._tokens(group, where, False), batch_size)[:, 0]  # of its one network
            for record, scores in zip(group, found, strict=True):
                row = scores[: len(record.codes)]
                yield record, row if raw else self.calibrated(row)


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
