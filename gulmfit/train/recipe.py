"""How a classifier is trained where nobody has said: a recipe that follows what it starts from and its data.

What can be known before data is read is a group of the configuration, `conf/recipe`; `settle` chooses the file, and
takes the network and the tokens of the model that a run starts from. What depends on the labelled sequences, `decide`
fills in: how long to train, which strands to read, and words without their order where there are many classes. Both say
what they chose and why; whatever is given on the command line or in an experiment stays.
"""

import logging
from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf

from gulmfit.checkpoint import load
from gulmfit.config import compose, plain
from gulmfit.errors import GulmfitError
from gulmfit.evaluate.strands import strand_matters
from gulmfit.models.gapped_kmers import readable
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.train.inheriting import UNTUNED, inherit

logger = logging.getLogger(__name__)

AUTO, NONE = "auto", "none"
CHOOSING = ("classify", "ulmfit", "learning_curve")  # stages that train classifiers
CODONS = "gulmfit.data.sources.coding.CodonSource"

# Optimizer steps at so many training sequences; of others they grow with a power of the number below 1, since each
# sequence is seen less often where there are many.
STEPS, SEQUENCES, POWER = 600, 5_000, 0.6
TRANSFERRED = 0.4  # as many steps where a language model has learned the words beforehand
FEW = 1_000  # training sequences below which every layer learns from the start, at a lower rate
BATCHES = 32  # batches that so few are read in, of SMALLEST to LARGEST sequences
SMALLEST, LARGEST = 8, 32
LEAST_STEPS = 200  # however few the sequences are
MANY_CLASSES = 20  # more of them are told apart by words without their order
UNITS_A_CLASS = 2  # of the head's hidden layer there
VALIDATIONS = 20  # looks at the validation part where an epoch has few steps: a look costs more than a step


def settle(config: DictConfig, words: Sequence[str]) -> DictConfig:
    """Choose the recipe of a composed configuration, and the network that it starts from.

    Args:
        config: As composed.
        words: The overrides it was composed from.

    Returns:
        The configuration, composed again with the recipe where there is one to choose.
    """
    given = [word.lstrip("+") for word in words]
    if config.recipe == AUTO and (chosen := _recipe(config, given)):
        recipe, why = chosen
        if recipe == NONE:  # its file says nothing but its name
            config.recipe = recipe
        else:
            config = compose([*words, f"recipe={recipe}"])
        logger.info("recipe=%s: %s", recipe, why)
    if origin := config.init_from or config.arch_from:
        _take_network(config, given, str(origin))
    return config


def _recipe(config: DictConfig, given: Sequence[str]) -> tuple[str, str] | None:
    if config.stage.name == "label" and str(config.data._target_) == CODONS:
        return "codons", "residues in, codons out"
    if config.stage.name not in CHOOSING:
        return None
    if config.stage.name != "classify":
        return "transfer", "its classifiers start from a language model"
    if config.init_from or config.arch_from:
        return "transfer", "it starts from a language model" if config.init_from else "the twin of a transferred one"
    own = next((word for word in given if _names_network(word) or word.startswith("tokenizer=")), None)
    if own:
        return NONE, f"{own} was chosen"
    return "scratch", "labels alone, without a language model (init_from=)"


def _names_network(word: str) -> bool:
    return word.startswith(("arch=", "arch.")) and not word.startswith("arch.strands=")


def _take_network(config: DictConfig, given: Sequence[str], origin: str) -> None:
    """Let a run have the network and the k-mers of the model that it starts from, unless others were asked for."""
    try:
        source = load(origin)
    except GulmfitError:  # told where its weights are needed
        return
    if not any(map(_names_network, given)):
        strands = config.arch.get("strands", AUTO)
        arch = {**source.spec["arch"], "strands": strands}
        if OmegaConf.to_container(config.arch, resolve=True) != arch:
            OmegaConf.update(config, "arch", arch, merge=False, force_add=True)
    theirs = source.spec["tokenizer"]
    if config.tune.name != UNTUNED:
        inherit(config, given, source)
    same_kind = config.tokenizer.get("_target_") == theirs["_target_"]
    if same_kind and "k" in theirs and not any(word.startswith("tokenizer") for word in given):
        config.tokenizer.k, config.tokenizer.stride = theirs["k"], theirs["stride"]


def decide(
    config: DictConfig, train: LabelledSequences, valid: LabelledSequences, words: Sequence[str] = ()
) -> DictConfig:
    """Fill in what follows from the labelled sequences; the configuration that is given stays as it is.

    Args:
        config: As composed.
        train: The training part.
        valid: The validation part.
        words: The overrides that the configuration was composed from.
    """
    config = config.copy()
    if _has_many_classes(config, train, words):
        _take_words(config, words, len(train.classes))
        logger.info(
            "recipe=%s: %d classes are told apart by the words they hold, whatever their order",
            config.recipe, len(train.classes),
        )  # fmt: skip
    if not config.schedule.phases:
        _decide_length(config, len(train))
    else:
        config.schedule.patience.steps = None  # they say how long
    _scale_phases(config)
    _decide_gaps(config, train, words)
    if config.arch.get("strands") == AUTO:
        config.arch.strands, why = _strands(config, train, valid)
        logger.info("arch.strands=%s: %s", config.arch.strands, why)
    return config


def _has_many_classes(config: DictConfig, train: LabelledSequences, words: Sequence[str]) -> bool:
    chosen = any(word.lstrip("+").startswith("recipe=") for word in words)
    kind = train.kind
    fits = kind.exclusive and train.alphabet.complements and len(train.classes) > MANY_CLASSES
    return bool(config.recipe == "scratch" and fits and not chosen)


def _take_words(config: DictConfig, words: Sequence[str], classes: int) -> None:
    """Take all that `recipe=words` brings; what was given on the command line stays."""
    other = compose([*words, "recipe=words"])
    for key in ("recipe", "arch", "tokenizer", "head", "dropout", "classify", "batch_size", "drop_mult", "schedule"):
        OmegaConf.update(config, key, other[key], merge=False, force_add=True)
    if not any(word.lstrip("+").startswith("head.hidden_size=") for word in words):
        config.head.hidden_size = max(int(config.head.hidden_size), UNITS_A_CLASS * classes)


def _scale_phases(config: DictConfig) -> None:
    """Let the phases last and rise as `epochs` and `lr` of the stage say, in the proportions that they have."""
    own = config.get(config.stage.name) or {}
    epochs, lr = own.get("epochs"), own.get("lr")
    if epochs is None and lr is None:
        return
    phases = plain(config.schedule.phases)
    longer = 1.0 if epochs is None else float(epochs) / sum(float(phase["epochs"]) for phase in phases)
    higher = 1.0 if lr is None else float(lr) / max(float(phase["lr"]) for phase in phases)
    config.schedule.phases = [
        {**phase, "epochs": float(phase["epochs"]) * longer, "lr": float(phase["lr"]) * higher} for phase in phases
    ]
    if epochs is not None:
        config.schedule.patience.steps = None


def _decide_length(config: DictConfig, count: int) -> None:
    if count < FEW:
        config.batch_size = min(int(config.batch_size), LARGEST, max(SMALLEST, count // BATCHES))
    steps_an_epoch = max(1, count // int(config.batch_size))
    steps = STEPS * (count / SEQUENCES) ** POWER
    if config.init_from:
        steps *= TRANSFERRED
    steps = max(LEAST_STEPS, steps)
    epochs = max(2, round(steps / steps_an_epoch))
    if config.trainer.check_val_every_n_epoch == 1 and (every := epochs // VALIDATIONS) > 1:
        config.trainer.check_val_every_n_epoch = every
        epochs = every * round(epochs / every)  # the last epoch has its look too
    if config.init_from and count >= FEW:
        phases = [{"epochs": 1, "lr": 2e-2, "groups": 1}, {"epochs": epochs, "lr": 5e-3}]
    elif config.init_from:
        phases = [{"epochs": epochs, "lr": 3e-3}]
    else:
        phases = [{"epochs": epochs, "lr": float(config.classify.scratch.lr)}]
    config.schedule.phases = phases
    total = sum(int(phase["epochs"]) for phase in phases) * steps_an_epoch
    logger.info(
        "schedule: %s; batch_size=%d: %s training sequences, %s steps",
        ", then ".join(" ".join(f"{key}={value:g}" for key, value in phase.items()) for phase in phases),
        config.batch_size, f"{count:,}", f"{total:,}",
    )  # fmt: skip


def _decide_gaps(config: DictConfig, train: LabelledSequences, words: Sequence[str]) -> None:
    """Leave out the weights of gapped k-mers of the recipe, where they cannot be read or nobody has tried them."""
    given = any(word.lstrip("+").startswith(("classify.gaps=", "head.gaps=")) for word in words)
    if config.recipe != "scratch" or not config.classify.gaps or given:
        return
    tokens, kmers = config.tokenizer, str(config.tokenizer._target_).endswith("KmerTokenizer")
    if not (kmers and train.alphabet.complements and readable(tokens.k, tokens.stride, train.alphabet.letters)):
        why = "these tokens do not spell them"
    elif not train.kind.exclusive:
        why = "they were tried on one class a sequence alone"
    elif len(train.classes) > MANY_CLASSES:
        why = f"{len(train.classes)} classes would have too many"
    else:
        return
    logger.info("classify.gaps=0: no weights of gapped k-mers alongside the network, as %s", why)
    config.classify.gaps = 0


def _strands(config: DictConfig, train: LabelledSequences, valid: LabelledSequences) -> tuple[str, str]:
    """Return what a classifier should read, and why."""
    if train.kind.both_strands:
        return "both", "labels are of both strands"
    if config.recipe == NONE:
        return "forward", "there is no recipe"
    if not train.alphabet.complements:
        return "forward", f"{train.alphabet.name} has one strand"
    if not str(config.tokenizer._target_).endswith("KmerTokenizer"):
        return "forward", "sub-words have no other strand"
    if not train.kind.choices(train.labels):
        return "both", "both strands are read, and told apart"
    if strand_matters(train, valid):
        return "both", "linear models do worse on reverse complements, or have not learned enough to tell"
    return "symmetric", "linear models do as well on reverse complements: the answer is the same for either strand"
