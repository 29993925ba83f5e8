"""A study in a file: who asks for a trial gets one that nobody else has, a killed one first.

Optuna keeps trials in `study.journal`, which grows by whole lines. A process holds a lock on the folder of the trial it
runs, which ends with the process whatever kills it: a trial that is running and not held was killed, and the next
process that asks goes on with it. Numbers and values follow from the number of the trial and from those before, so one
process that is killed and continued finds what an undisturbed one finds.
"""

import copy
import hashlib
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gulmfit.errors import CheckpointError, ConfigError
from gulmfit.files import HeldError, locked
from gulmfit.libraries import library
from gulmfit.train.search.space import Space, Values

NAME, JOURNAL, TRIALS = "search", "study.journal", "trials"
SPACE = "the space"  # of what a study is of, all that may differ from an earlier one
SCORE = "score"  # the first of all objectives: what validation is judged by
LOCK_SECONDS = 60.0
WAIT_SECONDS = 0.5
DECILES = 10
"""Parts of a training after which it may be pruned."""


class JournalLock:
    """The lock of a journal; unlike Optuna's own it ends with its process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held = ExitStack()

    def acquire(self) -> bool:
        """Wait for the lock.

        Raises:
            CheckpointError: If another process keeps it for a minute.
        """
        end = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                self._held.enter_context(locked(self.path))
                return True
            except HeldError as error:
                if time.monotonic() > end:
                    raise CheckpointError(
                        f"{self.path} has been locked for {LOCK_SECONDS:.0f} s by another process ({error}). Wait for "
                        "it or stop it, then continue with resume=auto."
                    ) from error
                time.sleep(0.02)

    def release(self) -> None:
        """Give it back."""
        self._held.close()


def hold(path: Path) -> ExitStack | None:
    """Lock a file until the stack is closed; None if another process has it."""
    lock = ExitStack()
    path.parent.mkdir(exist_ok=True)
    try:
        lock.enter_context(locked(path))
    except HeldError:
        return None
    return lock


@dataclass
class Claim:
    """A trial that this process has."""

    number: int
    values: Values
    trial: Any
    lock: ExitStack

    @property
    def is_default(self) -> bool:
        """Whether it is the settings as they are without a search."""
        return self.number == 0


class _Known:
    """A study of which the trials up to a number are known."""

    def __init__(self, study: Any, last: int) -> None:
        self._study, self._last = study, last

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def get_trials(self, deepcopy: bool = True, states: Any = None) -> list[Any]:
        """Return them as Optuna does."""
        return [one for one in self._study.get_trials(deepcopy, states) if one.number <= self._last]


class Study:
    """The trials of one search.

    Args:
        folder: Of the search.
        space: What is searched.
        settings: `search` of the configuration.
        minimise: Whether a lower score is better.
        defaults: Values of the first trial, as far as they lie in the space.
        seed: Of the samplers.

    Raises:
        CheckpointError: If the journal cannot be read or locked.
    """

    def __init__(
        self,
        folder: Path,
        space: Space,
        settings: Mapping[str, Any],
        *,
        minimise: bool,
        defaults: Values,
        seed: int,
    ) -> None:
        self.optuna = library("optuna", "search", "a search of hyper-parameters", ConfigError)
        self.optuna.logging.set_verbosity(self.optuna.logging.WARNING)
        self.folder, self.space, self.settings, self.seed = folder, space, settings, seed
        self.minimise, self.defaults = minimise, defaults
        self.costs = [name for name in settings["objectives"] if name != SCORE]
        self._ahead = max(int(settings["ahead"]), int(settings["workers"]))
        self._grid = list(space.grid()) if settings["sampler"] == "grid" else []
        try:
            self.study = self.optuna.create_study(
                study_name=NAME,
                storage=self.storage(folder),
                directions=["minimize" if minimise else "maximize", *("minimize" for _ in self.costs)],
                pruner=self._pruner(),
                load_if_exists=True,
            )
        except (ValueError, KeyError, OSError) as error:
            raise CheckpointError(
                f"{folder / JOURNAL} cannot be read and written as the journal of a search: {error}. Give it the right "
                "permissions, or choose another run.name=."
            ) from error

    def storage(self, folder: Path) -> Any:
        """Open the journal of a search."""
        lock = JournalLock(folder / f".{JOURNAL}.lock")
        backend = self.optuna.storages.journal.JournalFileBackend(str(folder / JOURNAL), lock_obj=lock)
        return self.optuna.storages.JournalStorage(backend)

    def check_same(self, identity: Mapping[str, str]) -> None:
        """Keep what the study is of, or make sure that it is of that.

        Raises:
            CheckpointError: If it is of another space, other settings or other data.
        """
        known = self.study.user_attrs.get("identity")
        if known is None:
            self.study.set_user_attr("identity", dict(identity))
        elif different := [name for name in {**known, **identity} if known.get(name) != identity.get(name)]:
            raise CheckpointError(
                f"{self.folder / JOURNAL} is a study with {', '.join(different)} that differ from these: trials cannot "
                "be compared. Give what it was started with (see config.yaml there), or choose another run.name=."
            )

    def stored(self, values: Values) -> dict[str, Any]:
        """Return values as Optuna keeps them."""
        return {one.name: one.stored(values[one.name]) for one in self.space.parameters if one.name in values}

    def trial_folder(self, number: int) -> Path:
        """Return the run folder of a trial."""
        return self.folder / TRIALS / f"{number:03d}"

    def claim(self) -> Claim | None:
        """Take a trial that was killed, or else a new one; wait while others run what it follows from.

        Returns:
            None where every trial is finished.
        """
        while True:
            with locked(self.folder / ".ask", wait=True):
                if found := self._killed() or self._new():
                    return found
                if not self.trials(self.optuna.trial.TrialState.RUNNING):
                    return None
            time.sleep(WAIT_SECONDS)

    def _killed(self) -> Claim | None:
        """Take a trial that is running and that nobody holds."""
        running = self.optuna.trial.TrialState.RUNNING
        for frozen in self.trials(running):
            lock = hold(self._lock(frozen.number))
            if lock is None:
                continue
            # It may have been finished, and let go, since it was listed.
            if frozen.number in {one.number for one in self.trials(running)}:
                return self._claimed(frozen.number, self.optuna.trial.Trial(self.study, frozen._trial_id), lock)
            lock.close()
        return None

    def _new(self) -> Claim | None:
        """Begin a trial, if the budget has one left and what it follows from is finished."""
        waiting = len(self.trials(self.optuna.trial.TrialState.WAITING))
        number = len(self.trials()) - waiting
        followed = self.trials()[: max(0, number - self._ahead + 1)]
        if self._is_spent(number) or not all(one.state.is_finished() for one in followed):
            return None
        if not waiting:  # at once: a process that is killed while it asks leaves all values or none
            self.study.enqueue_trial(self.stored(self._draw(number)))
        lock = hold(self._lock(number))
        if lock is None:
            raise CheckpointError(f"{self.trial_folder(number)} is held by a process that is not of this study.")
        return self._claimed(number, self.study.ask(), lock)

    def _draw(self, number: int) -> Values:
        """Return the values of a new trial."""
        if number == 0:
            return self.defaults
        if self._grid:
            return self._grid[number - 1]
        draft = self.optuna.create_study(directions=self.study.directions, sampler=self._sampler(number))
        known = number - self._ahead
        draft.add_trials([one if one.number <= known else self._as_running(one) for one in self.trials()])
        return self.space.suggest(draft.ask())

    def _as_running(self, frozen: Any) -> Any:
        running = self.optuna.trial.TrialState.RUNNING
        return self.optuna.trial.create_trial(state=running, params=frozen.params, distributions=frozen.distributions)

    def should_prune(self, claim: Claim, step: int) -> bool:
        """Whether a trial is to be given up after so many tenths of its training."""
        frozen = copy.deepcopy(claim.trial.storage.get_trial(claim.trial._trial_id))
        told = frozen.intermediate_values.items()  # more than `step` of one that is continued
        frozen.intermediate_values = {at: value for at, value in told if at <= step}
        return bool(self.study.pruner.prune(_Known(self.study, claim.number - self._ahead), frozen))

    def _claimed(self, number: int, trial: Any, lock: ExitStack) -> Claim:
        return Claim(number, self.suggested(number, trial), trial, lock)

    def suggested(self, number: int, trial: Any) -> Values:
        """Ask for the values of a trial; those of the first are the defaults, which no word has to set."""
        if number:
            return self.space.suggest(trial)
        for parameter in self.space.parameters:
            if parameter.name in self.defaults:
                parameter.suggest(trial)
        return {}

    def _lock(self, number: int) -> Path:
        return self.folder / TRIALS / f".{number:03d}.lock"

    def _is_spent(self, number: int) -> bool:
        """Whether trials or hours are used up, or the grid is."""
        if number >= int(self.settings["trials"]) or (self._grid and number > len(self._grid)):
            return True
        hours = self.settings["hours"]
        return hours is not None and self.seconds() > float(hours) * 3600

    def seconds(self) -> float:
        """Return the seconds that all finished trials took."""
        return float(sum(trial.user_attrs.get("seconds", 0.0) for trial in self.trials()))

    def tell(self, claim: Claim, value: float | None, facts: Mapping[str, Any], *, pruned: bool = False) -> None:
        """Finish a trial: with its value, or pruned, or failed."""
        states = self.optuna.trial.TrialState
        for name, fact in facts.items():
            claim.trial.set_user_attr(name, fact)
        state = states.PRUNED if pruned else states.FAIL if value is None else states.COMPLETE
        values = None if value is None else [value, *(facts[name] for name in self.costs)]
        self.study.tell(claim.trial, values, state=state)
        claim.lock.close()

    def trials(self, *states: Any) -> list[Any]:
        """Return the trials by number; of some states, or all."""
        return list(self.study.get_trials(deepcopy=False, states=states or None))

    def complete(self) -> list[Any]:
        """Return the finished trials, the best score first."""
        sign = 1 if self.minimise else -1
        return sorted(self.trials(self.optuna.trial.TrialState.COMPLETE), key=lambda trial: sign * trial.values[0])

    def front(self) -> set[int]:
        """Return the numbers of the trials that no other one beats in every objective."""
        return {one.number for one in self.study.best_trials}

    def candidates(self) -> list[Any]:
        """Return the trials that may win, the best score first: of several objectives those of the front."""
        front = self.front() if self.costs else None
        return [one for one in self.complete() if front is None or one.number in front]

    def importances(self) -> dict[str, float]:
        """Return how much of the differences in score each parameter explains (fANOVA); nothing where none can be told.

        Source: Hutter, Hoos & Leyton-Brown 2014, "An efficient approach for assessing hyperparameter importance".
        """
        try:
            forest = self.optuna.importance.FanovaImportanceEvaluator(seed=self.seed)
            found = self.optuna.importance.get_param_importances(
                self.study, evaluator=forest, target=lambda trial: trial.values[0]
            )
            return dict(found)
        except (RuntimeError, ValueError, ZeroDivisionError):  # too few trials, or all alike
            return {}

    def _sampler(self, number: int) -> Any:
        seed = int(hashlib.blake2b(f"{self.seed} {number}".encode(), digest_size=4).hexdigest(), 16)
        samplers = self.optuna.samplers
        if self.settings["sampler"] == "tpe":
            import warnings

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what is experimental
                return samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
        return samplers.RandomSampler(seed=seed)

    def _pruner(self) -> Any:
        pruners = self.optuna.pruners
        if self.settings["pruner"] == "median":
            return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2)
        if self.settings["pruner"] == "quarter":
            return pruners.PercentilePruner(25.0, n_startup_trials=3, n_warmup_steps=1)
        if self.settings["pruner"] == "hyperband":
            return pruners.HyperbandPruner(min_resource=1, max_resource=DECILES)
        return pruners.NopPruner()
