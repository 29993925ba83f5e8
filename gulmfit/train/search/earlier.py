"""`search.earlier`: the finished trials of a search over another space become trials of this one, where they fit it."""

import json
import shutil
from pathlib import Path
from typing import Any

from gulmfit.errors import CheckpointError
from gulmfit.train.search.space import Values
from gulmfit.train.search.studies import JOURNAL, NAME, SPACE, TRIALS, Study


def take_in(study: Study, earlier: Path) -> list[int]:
    """Copy the finished trials of an earlier search that have values of this space and the same words.

    Args:
        study: Without a trial.
        earlier: Folder of a search of the same settings and data; its space may be another one.

    Returns:
        The numbers they have there, in the order of their numbers here.

    Raises:
        CheckpointError: If it is not a search, or one of other settings or data.
    """
    try:
        if not (earlier / JOURNAL).is_file():
            raise ValueError("there is none")
        known = study.optuna.load_study(study_name=NAME, storage=study.storage(earlier))
        theirs, ours = (one.user_attrs["identity"] for one in (known, study.study))
    except (ValueError, KeyError, OSError) as error:
        raise CheckpointError(
            f"search.earlier={earlier}: the {JOURNAL} of a search cannot be read there: {error}. Give the run folder "
            "of a search."
        ) from error
    if different := [name for name in ours if name != SPACE and theirs.get(name) != ours[name]]:
        raise CheckpointError(
            f"search.earlier={earlier} is a study with {', '.join(different)} that differ from these: its trials "
            "cannot be compared. Leave search.earlier out."
        )
    complete = known.get_trials(states=[study.optuna.trial.TrialState.COMPLETE])
    fitting = [(one.number, copied) for one in complete if (copied := _copied(study, one)) is not None]
    if not fitting or fitting[0][0] != 0:
        return []  # number 0 would not be the settings without a search
    for here, (there, _) in enumerate(fitting):
        shutil.copytree(earlier / TRIALS / f"{there:03d}", study.trial_folder(here), dirs_exist_ok=True)
    study.study.add_trials([copied for _, copied in fitting])
    return [there for there, _ in fitting]


def _copied(study: Study, frozen: Any) -> Any | None:
    """Return a trial of another space as one of this; None where this has no such values."""
    facts = frozen.user_attrs
    values = _values_here(study, frozen) if frozen.number else study.defaults
    if values is None or facts["words"] != (study.space.words(values) if frozen.number else []):
        return None
    if not set(study.costs) <= set(facts):  # of an earlier version
        return None
    draft = study.optuna.create_study(directions=study.study.directions)
    draft.enqueue_trial(study.stored(values))
    asked = draft.ask()
    study.suggested(frozen.number, asked)
    return study.optuna.trial.create_trial(
        values=[frozen.values[0], *(facts[name] for name in study.costs)],
        params=asked.params,
        distributions=asked.distributions,
        user_attrs=facts,
        intermediate_values=frozen.intermediate_values if not study.costs else None,
    )


def _values_here(study: Study, frozen: Any) -> Values | None:
    """Return the values of a trial where they are values of this space."""
    values: Values = {}
    for one in study.space.parameters:
        if one.is_active(values):
            stored = frozen.params.get(one.name)
            value = json.loads(stored) if one.kind == "choice" and isinstance(stored, str) else stored
            if one.name not in frozen.params or not one.holds(value):
                return None
            values[one.name] = value
    return values if set(values) == set(frozen.params) else None
