"""What a trial of a search is: an ordinary run of a stage whose test part stays closed."""

import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from gulmfit.checkpoint import load
from gulmfit.config import compose, instantiate, plain, validate
from gulmfit.data.sources.base import Source
from gulmfit.errors import ConfigError, GulmfitError, StoppedError
from gulmfit.evaluate.power_law import matrix_spectrum
from gulmfit.models.matrices import weight_matrices
from gulmfit.overrides import assign
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.splits.split_file import write_split
from gulmfit.train.log import logged
from gulmfit.train.recipe import settle
from gulmfit.train.run import CHECKPOINTS, Run
from gulmfit.train.search.pruning import PrunedError, Pruning
from gulmfit.train.search.space import Space, Values
from gulmfit.train.search.studies import Claim, Study
from gulmfit.train.stages.classify import check_targets, learn_labels, run_classifier
from gulmfit.train.stages.language import corpus, run_language_model
from gulmfit.train.stages.scoring import calibrate, judge_of
from gulmfit.train.survive.identity import BATCHES, SEED, Identity, of_labelled, of_stream

logger = logging.getLogger(__name__)

# Words of the search that its trials do not have.
OF_THE_SEARCH = ("stage", "search", "run.name", "paths.run_dir", "resume", "overwrite")
LABELLED = ("classify", "label")
QUIET = ["trainer.enable_progress_bar=false"]


@dataclass
class Trials:
    """What all trials of a search have in common.

    Attributes:
        run: Of the search.
        stage: What a trial is.
        words: The overrides of all of them.
        base: Their configuration without any value of the space.
        source: Where their data come from.
        labelled: All labelled sequences; None for language models.
        identity: What they learn from, by content.
    """

    run: Run
    stage: str
    words: list[str]
    base: DictConfig
    source: Source
    labelled: LabelledSequences | None
    identity: Identity

    @classmethod
    def of(cls, run: Run, stage: str) -> "Trials":
        """Read what the trials of a search learn from, and write their split down.

        Raises:
            GulmfitError: Whatever a run of the stage would refuse.
        """
        words = [word for word in run.overrides if not is_of_the_search(word)] + [f"stage={stage}"]
        base = settle(compose(words), words)
        if stage == "classify":  # which words of a trial must not change
            words.append(f"recipe={base.recipe}")
        source: Source = instantiate(base.data)
        validate(base)
        labelled = None
        if stage not in LABELLED:
            store, holdout = corpus(Run(base, run.folder, words), source)
            identity = of_stream(store.codes, holdout, str(base.strands), int(base.seed), (0, 0))
        else:
            labelled = source.labelled()
            check_targets(base, labelled)
            split = instantiate(base.split)
            where = split(labelled)
            path = run.folder / "split.tsv"
            if not path.is_file():
                write_split(path, labelled, where, split.groups(labelled))
            identity = of_labelled(labelled, where, int(base.seed), 0)
            words = [word for word in words if not word.lstrip("+").startswith(("split=", "split."))]
            words += ["split=file", assign("split.path", path)]
        return cls(run, stage, words, base, source, labelled, {**identity, BATCHES: "any", SEED: str(base.seed)})

    @property
    def monitor(self) -> str:
        """What validation is judged by."""
        return str(self.base.stage.monitor)

    @property
    def minimise(self) -> bool:
        """Whether less of it is better."""
        return str(self.base.stage.mode) == "min"

    def compose(self, folder: Path, words: Sequence[str], seed: int | None = None) -> Run:
        """Describe the run of a trial; nothing is written."""
        overrides = [*self.words, *words, assign("run.name", folder.name), assign("paths.run_dir", folder), *QUIET]
        if seed is not None:
            overrides += [f"seed={seed}", *([f"data.seed={self.base.data.seed}"] if "seed" in self.base.data else [])]
        config = settle(compose(overrides), overrides)
        validate(config)
        config.resume = "auto"
        return Run(config, folder, overrides)

    def check(self, space: Space) -> None:
        """Compose every bound and every choice of a space, so that a mistake is told before the first trial.

        Raises:
            ConfigError: If a key is unknown, or a value out of its range.
        """
        for values in space.corners():
            words = space.words(values)
            try:
                self.compose(self.run.folder / "trials" / "000", words)
            except ConfigError as error:
                raise ConfigError(f"search.space: with {' '.join(words)}: {error}") from error

    def defaults(self, space: Space) -> Values:
        """Return the values that the settings have without a search, as far as they lie in the space."""
        found: Values = {}
        for parameter in space.parameters:
            value = plain(OmegaConf.select(self.base, parameter.name))
            if parameter.is_active(found) and parameter.holds(value):
                found[parameter.name] = value
        return found

    def train(self, run: Run) -> tuple[float, dict[str, Any]]:
        """Train one model, and score it on validation alone.

        Returns:
            The monitored value, and what else is kept: `scores` on validation, `seconds`, `epochs`, `parameters`, and
            the mean `alpha` of its weight matrices, where any is large enough.
        """
        start = time.perf_counter()
        with held_back(), logged_in(run):
            if self.stage in LABELLED:
                learned = learn_labels(run, self.source, self.labelled)
                if learned.fitted is None or learned.predictor is None:
                    raise ConfigError("a search trains each trial in one process: set trainer.devices=1.")
                valid = learned.material.parts["valid"]
                raw = calibrate(learned.predictor, valid, str(run.config.calibration), int(run.config.batch_size))
                judge = judge_of(valid).decided(learned.predictor.calibration)
                scores = judge.scores(valid.labels, learned.predictor.calibrated(raw))
                value = learned.fitted.best_score
            else:
                scores = {
                    name.removeprefix("val/"): value
                    for name, value in run_language_model(run, self.source)["metrics"].items()
                }
                value = scores[self.monitor.removeprefix("val/")]
        facts: dict[str, Any] = {"scores": scores, "seconds": time.perf_counter() - start, "epochs": epochs_of(run)}
        model = load(run.folder).model
        facts["parameters"] = sum(parameter.numel() for parameter in model.parameters())
        fits = [matrix_spectrum(one.weight.numpy()).fit for one in weight_matrices(model)]
        if alphas := [fit.alpha for fit in fits if fit.tail]:
            facts["alpha"] = float(np.mean(alphas))
        return value, facts

    def open_test(self, run: Run) -> dict[str, Any]:
        """Score a trial that has been trained on the test part."""
        with held_back(), logged_in(run):
            return run_classifier(run, self.source, self.labelled)


def run_claim(trials: Trials, study: Study, claim: Claim) -> None:
    """Train a trial and tell the study what came of it.

    Raises:
        GulmfitError: If the settings without a search cannot be trained, or training was stopped.
    """
    folder = study.trial_folder(claim.number)
    start = time.perf_counter()
    words = study.space.words(claim.values)
    facts: dict[str, Any] = {"words": words}
    run = Run(trials.base, folder)
    try:
        run = trials.compose(folder, words)
        give_up = None if claim.is_default else partial(study.should_prune, claim)
        # Of several objectives Optuna keeps no curve.
        run.watchers = [] if study.costs else [Pruning(claim.trial, trials.monitor, give_up)]
        value, found = trials.train(run.prepare())
        study.tell(claim, value, facts | found)
        told = f"{trials.monitor} {value:.4f}"
    except PrunedError as ended:
        facts |= {"seconds": time.perf_counter() - start, "epochs": epochs_of(run)}
        study.tell(claim, None, facts, pruned=True)
        told = str(ended)
    except StoppedError:
        raise
    except GulmfitError as error:
        if claim.is_default:
            raise
        study.tell(claim, None, facts | {"error": str(error), "seconds": time.perf_counter() - start})
        told = f"failed: {error}"
    logger.info("trial %d: %s (%s)", claim.number, told, " ".join(words) or "the settings without a search")
    _free_disk(study)


def epochs_of(run: Run) -> int:
    """Return how many validations the curve of a run has."""
    return sum(str(run.config.stage.monitor) in row for row in run.curves())


def is_of_the_search(word: str) -> bool:
    """Whether an override is of the search and not of its trials."""
    key = word.lstrip("+~").partition("=")[0]
    return key in OF_THE_SEARCH or key.startswith(("search.", "stage."))


def _free_disk(study: Study) -> None:
    """Remove the checkpoints of trials that cannot win any more; their models stay."""
    kept = {0, *(trial.number for trial in study.candidates()[: int(study.settings["finalists"]) + 1])}
    for trial in study.trials():
        if trial.state.is_finished() and trial.number not in kept:
            shutil.rmtree(study.trial_folder(trial.number) / CHECKPOINTS, ignore_errors=True)


@contextmanager
def held_back() -> Iterator[None]:
    """Keep what a trial has to say off the terminal, warnings too: its own log has it."""
    ours = logging.getLogger("gulmfit")
    parent, handlers = ours.propagate, list(ours.handlers)
    ours.propagate = False
    for handler in handlers:
        ours.removeHandler(handler)
    try:
        yield
    finally:
        ours.propagate = parent
        for handler in handlers:
            ours.addHandler(handler)


@contextmanager
def logged_in(run: Run) -> Iterator[None]:
    """Write what a trial says into its own `log`."""
    run.folder.mkdir(parents=True, exist_ok=True)
    with logged(run.folder, run.command):
        yield
