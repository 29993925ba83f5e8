"""What is explained: the scores that a network gives a sequence, as numbers that gradients pass through.

Shape letters: `N` sequences, `T` tokens, `M` networks, `C` classes, labels or values, `O` outputs that are explained.

The score of a class or label is the log-odds of its probability before calibration, in nats: it keeps growing where a
probability has reached 1. That of a measured value is the value. That of a language model is the log-likelihood of the
sequence, in nats.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from gulmfit.checkpoint import LoadedModel, build_model, load
from gulmfit.errors import CheckpointError, ConfigError
from gulmfit.models.classifier import SequenceClassifier
from gulmfit.models.encoder import Encoder
from gulmfit.models.ensemble import Ensemble
from gulmfit.models.hardware import place
from gulmfit.models.labeller import Labeller
from gulmfit.models.language_model import LanguageModel
from gulmfit.models.precision import fast_precision
from gulmfit.report.kinds.kind import kind_of
from gulmfit.seq.formats.tables import not_one_of

# Probabilities that lie nearer to 0 or 1 than this have no log-odds of their own.
TINY_PROBABILITY = 1e-15
LOG_ODDS = "log-odds"


class Explained:
    """A model whose scores are explained.

    Args:
        loaded: The model.
        source: Where it comes from, for messages.
        device: Where to run; the first GPU if there is one.
        precision: `32`; `mixed`, the same but for what versions of a sequence change in an AWD-LSTM, which is
            multiplied in bf16 where the hardware does; `bf16` or `auto`, with which scores move by some thousandths.
        positive: Name of the class, label or value to explain. By default the positive one of two classes, else all.
        position: Base whose label a labeller explains, 0-based.

    Attributes:
        names: Of the `O` outputs.
        networks: The `M` networks.
        kept: The model as it was loaded.

    Raises:
        CheckpointError: The model is of no kind that can be explained.
        ConfigError: An option is out of range.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        source: str,
        *,
        device: str | torch.device | None = None,
        precision: str = "32",
        positive: str = "",
        position: int | None = None,
    ) -> None:
        model = loaded.model
        if not isinstance(model, SequenceClassifier | Ensemble | Labeller | LanguageModel):
            raise CheckpointError(f"{source}: a {type(model).__name__} has no scores that could be explained.")
        self.device, self.reduced = place(model, device, "32" if precision == "mixed" else precision)
        self.mixed = precision == "mixed" and fast_precision("cpu") == "bf16-mixed"
        self.model, self.tokenizer, self.letters, self.kept = model, loaded.tokenizer, loaded.letters, loaded
        self.networks: list[nn.Module] = list(model.members) if isinstance(model, Ensemble) else [model]
        self.language = isinstance(model, LanguageModel)
        self.position = position
        if isinstance(model, Labeller) != (position is not None):
            raise ConfigError(
                f"position={position}: only a labeller has labels of positions, and {source} is another model."
                if position is not None
                else f"{source} labels positions: say with position= whose label is to be explained."
            )
        self.names, self._columns = self._chosen(loaded, positive)
        self._options: dict[str, Any] = {"positive": positive, "position": position, "precision": precision}

    @classmethod
    def load(cls, path: str, **options: Any) -> "Explained":
        """Load a model from a run folder, a model folder or a checkpoint, or by its name; options as above.

        Raises:
            CheckpointError: If nothing there is a model that can be explained.
            ConfigError: It is an ONNX file, or an option is out of range.
        """
        if Path(path).suffix == ".onnx":
            raise ConfigError(
                f"model={path}: an ONNX file holds a graph without the embedding and the states that are explained. "
                "Give the run folder that it was exported from."
            )
        return cls(load(path), path, **options)

    def with_random_weights(self, seed: int) -> "Explained":
        """Return the same network with fresh weights: what it explains is not a finding."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model, tokenizer = build_model(self.kept.spec)
        twin = LoadedModel(self.kept.spec, model, tokenizer, self.kept.source)
        return Explained(twin, "random weights", device=self.device, **self._options)

    @property
    def encoders(self) -> list[Encoder]:
        """The encoder of each network."""
        return [cast("Any", network).encoder for network in self.networks]

    @property
    def blended(self) -> bool:
        """Whether the model predicts with baselines, too, which are not explained."""
        return "blend" in self.kept.spec

    @property
    def unit(self) -> str:
        """What a score is measured in."""
        if self.language:
            return "nats"
        return LOG_ODDS if kind_of(self.model).labels.probabilities else "units of the value"

    def scores(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Return the scores `(N, O)` of tokens `(N, T)`, padded at the end, in 64 bits."""
        if isinstance(self.model, LanguageModel):
            raise ConfigError(
                "a language model has no score that gradients could explain: it predicts the very tokens that it "
                "reads. Give method=mutagenesis."
            )
        return self.read(self.model(tokens, lengths)[0])

    def read(self, logits: Tensor) -> Tensor:
        """Turn logits `(N, C)`, of an ensemble `(M, N, C)` and of a labeller `(N, L, C)`, into scores `(N, O)`."""
        outputs = cast("SequenceClassifier | Labeller | Ensemble", self.model).outputs(logits.double())
        if self.position is not None:
            outputs = outputs[:, self.position]
        if kind_of(self.model).labels.probabilities:
            outputs = outputs.logit(TINY_PROBABILITY)
        return outputs[:, self._columns]

    def _chosen(self, loaded: LoadedModel, positive: str) -> tuple[list[str], Sequence[int]]:
        """Return names and columns of what is explained."""
        if self.language:
            if positive:
                raise ConfigError(f"positive={positive}: a language model has no classes. Leave positive= out.")
            return ["log_likelihood"], [0]
        classes = loaded.classes
        if positive and positive not in classes:
            raise ConfigError(f"positive={positive}: {not_one_of(positive, classes)}")
        if not positive and len(classes) == 2 and kind_of(self.model).labels.exclusive:
            positive = str(loaded.spec.get("positive") or classes[-1])
        columns = [classes.index(positive)] if positive else list(range(len(classes)))
        return [classes[column] for column in columns], columns
