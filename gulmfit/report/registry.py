"""Which objective judges which kind of target."""

from gulmfit.report.multi_label import MultiLabel
from gulmfit.report.objective import Objective, Results
from gulmfit.report.regression import Regression
from gulmfit.report.single_label import SingleLabel
from gulmfit.seq.targets import CLASSES

_KINDS: dict[str, type[Objective]] = {kind.targets: kind for kind in (SingleLabel, MultiLabel, Regression)}


def objective(targets: str, classes: list[str], positive: str = "") -> Objective:
    """Return the objective of a kind of target."""
    return _KINDS[targets](classes, positive)


def results_objective(results: Results) -> Objective:
    """Return the objective of a run from its results."""
    classes = [str(name) for name in results.get("classes") or ()]
    return objective(str(results.get("targets") or CLASSES), classes, str(results.get("positive") or ""))
