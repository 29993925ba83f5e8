"""Records in, explanations out, by any method and on one strand or both; and what random weights make of the same."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np
import torch

from gulmfit.errors import ConfigError
from gulmfit.explain.attribution import Attribution, check_length
from gulmfit.explain.explained import Explained
from gulmfit.explain.gradients import IntegratedGradients
from gulmfit.explain.substituting import Deletion, Mutagenesis, Substituting
from gulmfit.models.hardware import threads
from gulmfit.predict.predictor import Record
from gulmfit.seq.alphabet import reverse_complement

logger = logging.getLogger(__name__)

METHODS = ("mutagenesis", "gradients", "deletion")
BATCHES_AHEAD = 4


class Settings(NamedTuple):
    """How to explain."""

    method: str = "mutagenesis"
    strand: str = "forward"
    """Or `average`, the mean over both strands."""
    batch_size: int = 64
    """Sequences that are explained together."""
    shuffles: int = 8
    """Of each sequence, for `gradients` and `deletion`."""
    steps: int = 16
    """Of `gradients`, at first."""
    width: int = 10
    """Bases of a window of `deletion`."""
    fill: str = "shuffle"
    """What `deletion` puts in the place of a window, or `unknown`."""
    seed: int = 0
    """Of the shuffles."""


class Method(Protocol):
    """A way to explain."""

    def explain(self, records: Sequence[Record]) -> list[Attribution]:
        """Explain some records together, in their order."""


class Explainer:
    """A model and a method.

    Args:
        explained: The model.
        settings: The method, and its options.

    Raises:
        ConfigError: An option is out of range, or does not go with the model.
    """

    def __init__(self, explained: Explained, settings: Settings) -> None:
        if settings.method not in METHODS:
            raise ConfigError(f"method={settings.method!r} is unknown; choose one of {', '.join(METHODS)}.")
        if settings.batch_size < 1 or settings.shuffles < 1:
            raise ConfigError(f"batch_size={settings.batch_size}, shuffles={settings.shuffles}: 1 or more is needed.")
        if settings.strand != "forward":
            explained.tokenizer.alphabet.check_strands()
            if explained.position is not None:
                raise ConfigError("strand=average: a labeller labels the strand as given; give strand=forward.")
        self.explained, self.settings = explained, settings
        count, seed = settings.shuffles, settings.seed
        self.method: Method
        if settings.method == "gradients":
            self.method = IntegratedGradients(explained, count=count, steps=settings.steps, seed=seed)
        elif settings.method == "deletion":
            self.method = Deletion(explained, width=settings.width, fill=settings.fill, count=count, seed=seed)
        else:
            self.method = Mutagenesis(explained)

    def explain(self, records: Iterable[Record], where: str = "") -> Iterator[Attribution]:
        """Yield what explains each record, in the order given.

        Args:
            records: Sequences.
            where: What error messages put before the name of a record.

        Raises:
            SequenceError: A record is shorter than a token, or than the position that is explained.
        """
        stream, size = iter(records), self.settings.batch_size
        while ahead := list(islice(stream, size * BATCHES_AHEAD)):
            for record in ahead:
                check_length(record, self.explained.tokenizer, self.explained.position, where)
            order = sorted(range(len(ahead)), key=lambda number: len(ahead[number].codes))
            workers = self._workers()
            most = min(size, -(-len(ahead) // workers))
            batches = [order[start : start + most] for start in range(0, len(order), most)]
            explained = self._side_by_side([[ahead[number] for number in numbers] for numbers in batches], workers)
            found: dict[int, Attribution] = {}
            for numbers, some in zip(batches, explained, strict=True):
                found.update(zip(numbers, some, strict=True))
            yield from (found[number] for number in range(len(ahead)))

    def _workers(self) -> int:
        """Return how many batches are explained at once.

        On a CPU a thread takes a batch, as products of versions are too small for two threads to meet in. Gradients
        keep all threads for one batch, and so does a GPU.
        """
        alone = not isinstance(self.method, Substituting) or self.explained.device.type != "cpu"
        return 1 if alone else torch.get_num_threads()

    def _side_by_side(self, batches: Sequence[list[Record]], workers: int) -> list[list[Attribution]]:
        if workers == 1:
            return list(map(self._together, batches))
        with threads(1), ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(self._together, batches))

    def _together(self, records: list[Record]) -> list[Attribution]:
        found = self.method.explain(records)
        if self.settings.strand == "forward":
            return found
        alphabet = self.explained.tokenizer.alphabet
        other = [record._replace(codes=reverse_complement(record.codes, alphabet)) for record in records]
        return [one.averaged(two.turned()) for one, two in zip(found, self.method.explain(other), strict=True)]

    def cost(self) -> str:
        """Say what the work was, where the method knows it."""
        if not isinstance(self.method, Substituting) or not self.method.scorer.tokens_whole:
            return ""
        scorer = self.method.scorer
        share = scorer.tokens_run / scorer.tokens_whole
        return f"; {scorer.versions:,} versions, for which {share:.0%} of their tokens were read"


class Sanity(NamedTuple):
    """What the same network with random weights makes of the same sequences."""

    attributions: list[Attribution]
    correlation: float
    """Mean correlation of its contributions with the model's; 0 is right."""


def against_random_weights(explainer: Explainer, attributions: Sequence[Attribution], seed: int = 0) -> Sanity:
    """Explain records again with random weights.

    Source: Adebayo et al. 2018, "Sanity checks for saliency maps": an explanation that survives random weights says
    nothing of what the model has learned.
    """
    twin = Explainer(explainer.explained.with_random_weights(seed), explainer.settings)
    found = list(twin.explain([one.record for one in attributions]))
    pairs = [
        (ours, theirs)
        for one, other in zip(attributions, found, strict=True)
        for ours, theirs in zip(one.contributions, other.contributions, strict=True)
        if ours.std() and theirs.std()
    ]
    correlations = [float(np.corrcoef(ours, theirs)[0, 1]) for ours, theirs in pairs]
    return Sanity(found, float(np.mean(correlations)) if correlations else 0.0)
