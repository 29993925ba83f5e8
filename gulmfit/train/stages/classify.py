"""`stage=classify` and `stage=label`: a model learns labels of sequences, or of their positions, and is held against
baselines that learned nothing of a genome.
"""

import logging
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from gulmfit.checkpoint import TRACKS_READ, LoadedModel, Spec, build_tokenizer, resolve_target
from gulmfit.config import instantiate, plain
from gulmfit.data.sequences import ClassificationDataModule
from gulmfit.data.sources.base import Source
from gulmfit.errors import ConfigError, DataError
from gulmfit.models.classifier import LabelModel
from gulmfit.models.ensemble import one_network
from gulmfit.models.labeller import Labeller
from gulmfit.models.losses import Loss
from gulmfit.models.transfer import transfer
from gulmfit.overrides import assign
from gulmfit.predict.predictor import Predictor
from gulmfit.predict.track_predictor import predictor_of
from gulmfit.report.kinds.kind import kind_of
from gulmfit.report.pages import classification_report
from gulmfit.seq.labels.annotated import AnnotatedWindows
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.related.leakage import check_leakage, leakage_report
from gulmfit.seq.splits.split import PARTS, source_of
from gulmfit.seq.splits.split_file import write_split
from gulmfit.train.inheriting import UNTUNED, take_over, tuned_spec
from gulmfit.train.loop.classification_task import ClassificationTask
from gulmfit.train.loop.fit import Fitted, build_spec, fit, seed_everything
from gulmfit.train.loop.lr_find import lr_range_test
from gulmfit.train.recipe import decide
from gulmfit.train.run import Run
from gulmfit.train.stages.concluding import conclude
from gulmfit.train.stages.materials import Material
from gulmfit.train.stages.origins import what_was_met
from gulmfit.train.survive.identity import Identity, of_labelled, of_measured, of_weights

logger = logging.getLogger(__name__)

MANY = 10  # names of classes that a line of the log has room for


def split_parts(run: Run, data: LabelledSequences) -> dict[str, LabelledSequences]:
    """Split labelled sequences as the configuration says, into `train`, `valid` and `test`."""
    return _parts(data, instantiate(run.config.split)(data))


def _parts(data: LabelledSequences, where: npt.NDArray[np.str_]) -> dict[str, LabelledSequences]:
    parts = {part: data.subset(np.flatnonzero(where == part)) for part in PARTS}
    for name, part in parts.items():
        if not len(part):
            raise DataError(
                f"{', '.join(data.files) or 'the data'}: the split leaves no sequence for {name}. Training, validation "
                f"and test are all needed; raise split.{name}_fraction, or mark some sequences."
            )
        if isinstance(part, AnnotatedWindows) and part.decode and not any(one.genes for one in part.labelled_parts()):
            raise DataError(
                f"{source_of(data)}: no gene lies wholly in the {name} part, and a decoder of genes is fitted to genes "
                "of training and validation and scored on those of the test. Shares are cut off every contig: with "
                "many short ones give whole contigs instead (data.valid_contigs and data.test_contigs, or "
                "split=contig without shares), else larger shares."
            )
    train = parts["train"]
    train.kind.check_training(train.labels, train.classes, source_of(data))
    return parts


def check_targets(config: Any, data: LabelledSequences) -> None:
    """Check that the head learns what the labels are.

    Raises:
        ConfigError: If it learns another kind of target.
    """
    head = resolve_target(str(config.head._target_))
    learned = kind_of(head).labels.name
    if learned != data.targets:
        raise ConfigError(
            f"{source_of(data)} was read as {data.targets}, and head={head.__name__} learns {learned}. "
            "data=table reads labels as the head wants them; data=hmm has a label for each position, for stage=label; "
            "data=annotation has labels of both strands, for stage=label head=tracks; other sources have one class a "
            "sequence, for head=classifier."
        )


def fitted_loss(config: Any, train: LabelledSequences) -> Loss:
    """Build the loss, its weights worked out from the training part."""
    loss: Loss = instantiate(config.loss)
    return loss.fit(torch.from_numpy(train.labels), train.classes)


def _spec(run: Run, train: LabelledSequences) -> Spec:
    """Describe the model, with what its head takes from the training labels."""
    spec = build_spec(run, plain(run.config.tokenizer), train.classes, train.positive, corpus=lambda: train.sequences)
    spec["sequence_bp"] = int(np.median([len(sequence) for sequence in train.sequences]))
    head = cast("type[LabelModel]", resolve_target(str(spec["head"]["_target_"])))
    spec["head"] |= head.fitted(torch.from_numpy(train.labels))
    return spec


def learned_from(
    run: Run, data: LabelledSequences, where: npt.NDArray[np.str_], initial: LoadedModel | None
) -> Identity:
    """Return what a classifier learns from, by content: data, its parts (N,), seed, and the weights it starts with."""
    first = of_weights(one_network(initial.model).state_dict()) if initial else None
    found = of_labelled(data, where, int(run.config.seed), int(run.config.batch_size), first)
    return found | of_measured(data) if isinstance(data, AnnotatedWindows) else found


def materials(run: Run, source: Source, labelled: LabelledSequences | None = None) -> Material:
    """Read, split and check the sequences of a run; what they are learned from is added by `learned_from`.

    Args:
        run: Its configuration and folder.
        source: Where labelled sequences come from.
        labelled: The sequences, where they have been read before.
    """
    config = run.config
    seed_everything(run)
    labelled = labelled or source.labelled()
    check_targets(config, labelled)
    split = instantiate(config.split)
    where, groups = split(labelled), split.groups(labelled)
    parts = _parts(labelled, where)
    leakage = leakage_report(parts) | what_was_met(run, parts)
    check_leakage(leakage, float(config.leakage_threshold), str(config.leakage))
    return Material(source, labelled, where, groups, parts, leakage, {})


@dataclass
class Learned:
    """A classifier whose test part nobody has looked at.

    Attributes:
        material: What it learned from.
        results: What is told besides, so far.
        fitted: What fitting gave; None in a learning-rate range test.
        predictor: The classifier; None there, and in a process that does not evaluate.
        before: The labeller that was tuned to it, where there is one.
    """

    material: Material
    results: dict[str, Any]
    fitted: Fitted | None = None
    predictor: Predictor | None = None
    before: Predictor | None = None


def run_classifier(
    run: Run, source: Source, labelled: LabelledSequences | None = None, *, baseline_seed: int | None = None
) -> dict[str, Any]:
    """Train a classifier and score it once on the test part, beside the baselines on the same split.

    Args:
        run: Its configuration and folder.
        source: Where labelled sequences come from.
        labelled: The sequences, where they have been read before.
        baseline_seed: Of the baselines; the run's by default.
    """
    found = learn_labels(run, source, labelled)
    if found.fitted is None or found.predictor is None:
        return found.results
    return conclude(
        run, found.material, found.predictor, found.fitted, found.results, baseline_seed=baseline_seed,
        before=found.before,
    )  # fmt: skip


def learn_labels(run: Run, source: Source, labelled: LabelledSequences | None = None) -> Learned:
    """Train a classifier, and leave the test part alone; arguments as of `run_classifier`."""
    config, material = run.config, materials(run, source, labelled)
    labelled, parts = material.labelled, material.parts
    decided = replace(run, config=decide(config, parts["train"], parts["valid"], run.overrides))
    config = decided.config
    spec = _spec(decided, parts["train"])
    initial, tune = run.initial_model(spec), plain(config.tune)
    if initial is not None and tune["name"] != UNTUNED:
        spec = tuned_spec(spec, initial, tune, getattr(parts["train"], "tracks", {}))
    loss = fitted_loss(config, parts["train"])
    task = ClassificationTask(spec, plain(config.optimizer), _schedule(config), loss)
    task.learned_from = identity = learned_from(run, labelled, material.where, initial)
    material.identity = identity
    run.take_up(spec, identity)  # after all that can be refused: a folder with a split in it counts as a run's
    if run.writes:
        write_split(run.folder / "split.tsv", labelled, material.where, material.groups)
    tokenizer = build_tokenizer(spec)
    data = ClassificationDataModule(
        parts,
        tokenizer,
        batch_size=int(config.batch_size),
        seed=int(config.seed),
        reverse_complement_p=float(config.reverse_complement_p),
    )
    counts = {part: len(item) for part, item in parts.items()}
    noun, names = labelled.targets.replace("_", " "), labelled.classes
    told = ", ".join(names) if len(names) <= MANY else f"{', '.join(names[: MANY // 2])} … ({len(names)} in all)"
    logger.info("%s: %s labelled sequences, %s %s", run.stage, counts, noun, told)
    if labelled.positive and len(labelled.classes) == 2:
        logger.info("classify: %r is the positive class (data.positive= names another)", labelled.positive)
    results: dict[str, Any] = run.facts
    if initial is not None:
        if tune["name"] == UNTUNED:
            report = transfer(task.model, initial.model.state_dict(), "encoder.")
        else:
            report = take_over(cast("Labeller", task.model), spec, initial, tune)
        logger.info("transfer from %s: %s", initial.source, report.summary())
        results["transfer"] = {"from": str(initial.source), **vars(report)}
    if config.lr_find:
        rates, losses, suggestion = lr_range_test(task.model, data.train_dataloader(), loss)
        logger.info("learning-rate range test: the loss falls fastest at %.1e (lr=%.1e)", suggestion, suggestion)
        results |= {"lr_find": {"lrs": rates, "losses": losses, "suggestion": suggestion}}
        run.finish(results, classification_report(results), name="lr_find")
        return Learned(material, results)
    fitted = fit(decided, task, data, spec)
    predictor = predictor_of(spec, task.model, tokenizer) if fitted.is_main else None
    known = initial if tune["name"] != UNTUNED and fitted.is_main else None
    return Learned(material, results, fitted, predictor, before_tuning(known, spec) if known else None)


def before_tuning(source: LoadedModel, spec: Spec) -> Predictor | None:
    """Return the labeller that was tuned, to be judged alongside what it became.

    Returns:
        None where it says other classes, or reads tracks that the data have not.
    """
    theirs, ours = ([one["classes"], one.get(TRACKS_READ)] for one in (source.spec, spec))
    if theirs[0] != ours[0] or (theirs[1] and theirs[1] != ours[1]):
        return None
    model = cast("Labeller", source.model)
    predictor = predictor_of(source.spec, model, source.tokenizer)
    if source.calibration:
        predictor.calibration = kind_of(model).read_calibration(source.calibration)
    predictor.folder = source.source
    return predictor


def _schedule(config: Any) -> dict[str, Any]:
    """Return the schedule, every phase with the stage's discriminative rate unless it has its own."""
    schedule: dict[str, Any] = plain(config.schedule)
    decay = float(config[config.stage.name].decay)
    schedule["phases"] = [{"decay": decay, **phase} for phase in schedule["phases"]]
    return schedule


def scratch_overrides(config: Any) -> list[str]:
    """Return what makes the from-scratch twin of a classifier: as many epochs, no frozen layer, one rate for all.

    Gradual unfreezing and discriminative rates protect what has been learned before; without it they would only hold
    the twin back.
    """
    epochs = sum(float(phase["epochs"]) for phase in plain(config.classify.phases))
    scratch = config.classify.scratch
    one_rate = (
        f"schedule.phases=[{{epochs: {epochs:g}, lr: {scratch.lr}, decay: 1.0}}]" if epochs else "classify.decay=1"
    )
    own_rate = ["++classify.lr=null"] if config.classify.get("lr") else []
    twin_of = [assign("arch_from", config.init_from)] if config.init_from else []
    return [one_rate, *own_rate, f"drop_mult={scratch.drop_mult}", *twin_of]
