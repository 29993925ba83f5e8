"""A study in a file: who asks for a trial gets one that nobody else has, a killed one first.

Optuna keeps trials in `study.journal`, which grows by whole lines. A process holds a lock on the folder of the trial it
runs, which ends with the process whatever kills it: a trial that is running and not held was killed, and the next
process that asks goes on with it. Numbers and values follow from the number of the trial and from those before, so one
process that is killed and continued finds what an undisturbed one finds.
"""

import hashlib
import json
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

JOURNAL, TRIALS = "study.journal", "trials"
LOCK_SECONDS = 60.0
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


class Study:
    """The trials of one search.

    Args:
        folder: Of the search.
        space: What is searched.
        settings: `search` of the configuration.
        minimise: Whether less is better.
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
        self._grid = list(space.grid()) if settings["sampler"] == "grid" else []
        journal = self.optuna.storages.journal
        path = folder / JOURNAL
        try:
            backend = journal.JournalFileBackend(str(path), lock_obj=JournalLock(folder / f".{JOURNAL}.lock"))
            self.study = self.optuna.create_study(
                study_name="search",
                storage=self.optuna.storages.JournalStorage(backend),
                direction="minimize" if minimise else "maximize",
                pruner=self._pruner(),
                load_if_exists=True,
            )
        except (ValueError, KeyError, OSError) as error:
            raise CheckpointError(
                f"{path} cannot be read and written as the journal of a search: {error}. Give it the right "
                "permissions, or choose another run.name=."
            ) from error

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

    def trial_folder(self, number: int) -> Path:
        """Return the run folder of a trial."""
        return self.folder / TRIALS / f"{number:03d}"

    def claim(self) -> Claim | None:
        """Take a trial that was killed, or else a new one; None if there is nothing left to begin."""
        states = self.optuna.trial.TrialState
        with locked(self.folder / ".ask", wait=True):
            for frozen in self.trials(states.RUNNING):
                lock = self._hold(frozen.number)
                if lock is not None:
                    trial = self.optuna.trial.Trial(self.study, frozen._trial_id)
                    return self._claimed(frozen.number, trial, lock)
            waiting = len(self.trials(states.WAITING))
            number = len(self.trials()) - waiting
            if self._is_spent(number):
                return None
            if not waiting:  # at once: a process that is killed while it asks leaves all values or none
                by_name = {one.name: one for one in self.space.parameters}
                drawn = self._draw(number)
                self.study.enqueue_trial({name: by_name[name].stored(value) for name, value in drawn.items()})
            lock = self._hold(number)
            if lock is None:
                raise CheckpointError(f"{self.trial_folder(number)} is held by a process that is not of this study.")
            return self._claimed(number, self.study.ask(), lock)

    def _draw(self, number: int) -> Values:
        """Return the values of a new trial, which follow from its number and the trials before it."""
        if number == 0:
            return self.defaults
        if self._grid:
            return self._grid[number - 1]
        copy = self.optuna.create_study(direction=self.study.direction, sampler=self._sampler(number))
        copy.add_trials(self.trials())
        return self.space.suggest(copy.ask())

    def _claimed(self, number: int, trial: Any, lock: ExitStack) -> Claim:
        if number:
            return Claim(number, self.space.suggest(trial), trial, lock)
        for parameter in self.space.parameters:
            if parameter.name in self.defaults:
                parameter.suggest(trial)
        return Claim(0, {}, trial, lock)

    def _hold(self, number: int) -> ExitStack | None:
        """Lock the folder of a trial; None if another process has it."""
        folder, lock = self.folder / TRIALS, ExitStack()
        folder.mkdir(exist_ok=True)
        try:
            lock.enter_context(locked(folder / f".{number:03d}.lock"))
        except HeldError:
            return None
        return lock

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
        self.study.tell(claim.trial, None if pruned else value, state=state)
        claim.lock.close()

    def trials(self, *states: Any) -> list[Any]:
        """Return the trials by number; of some states, or all."""
        return list(self.study.get_trials(deepcopy=False, states=states or None))

    def complete(self) -> list[Any]:
        """Return the finished trials, best first."""
        sign = 1 if self.minimise else -1
        return sorted(self.trials(self.optuna.trial.TrialState.COMPLETE), key=lambda trial: sign * trial.value)

    def is_running(self) -> bool:
        """Whether a trial has begun and not ended."""
        return bool(self.trials(self.optuna.trial.TrialState.RUNNING))

    def values_of(self, frozen: Any) -> Values:
        """Return the values of a trial; of the first none."""
        if not frozen.number:
            return {}
        choices = {one.name for one in self.space.parameters if one.kind == "choice"}
        ordered = (one.name for one in self.space.parameters if one.name in frozen.params)
        return {name: json.loads(frozen.params[name]) if name in choices else frozen.params[name] for name in ordered}

    def importances(self) -> dict[str, float]:
        """Return how much of the differences each parameter explains; nothing where that cannot be told."""
        try:
            return dict(self.optuna.importance.get_param_importances(self.study))
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
        if self.settings["pruner"] == "hyperband":
            return pruners.HyperbandPruner(min_resource=1, max_resource=DECILES)
        return pruners.NopPruner()
