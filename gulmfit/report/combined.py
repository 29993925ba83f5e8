"""What a report says of several models that predict as one: the networks of an ensemble, and a blend."""

from collections.abc import Mapping
from typing import Any

from gulmfit.evaluate.blend import NETWORK
from gulmfit.report.html import Section
from gulmfit.report.kinds.kind import objective_of
from gulmfit.report.table import format_value
from gulmfit.report.wording import heading, model_name

Results = Mapping[str, Any]


def ensemble_section(results: Results) -> Section:
    """Hold the networks of an ensemble against their mean prediction."""
    found: Results = results.get("ensemble") or {}
    section = Section("The networks of the ensemble")
    if not found:
        return section
    names = [name for name in objective_of(results).columns if name in found["members"]]
    ours = {name.removeprefix("test/"): value for name, value in results["metrics"].items()}
    rows: list[list[object]] = [
        ["the ensemble", None, *(ours.get(name) for name in names)],
        ["mean of its networks", None, *(found["members"][name]["mean"] for name in names)],
        ["their standard deviation", None, *(found["members"][name]["sd"] for name in names)],
        *([one["name"], one["seed"], *(one.get(name) for name in names)] for one in found["each"]),
    ]
    section.text.append(
        f"“Model” in this report is the mean of what {found['networks']} networks predict, which learned the same "
        "sequences from other seeds. Each has a folder and a report of its own, with its curves. In predictions, "
        "“spread” is the standard deviation of their probabilities, before calibration."
    )
    section.tables.append((["", "seed", *map(heading, names)], rows))
    return section


def blend_section(results: Results) -> Section:
    """Say what a blend is made of, what it is worth on validation, and how it compares on the test part."""
    found: Results = results.get("blend") or {}
    section = Section("The blend")
    if not found:
        return section
    losses: Results = found["validation"]["log_loss"]
    section.text += [
        "The model folder, and every command that predicts with it, uses the blend: a weighted sum of "
        "log-probabilities, fitted and calibrated on the validation part. The network's scores are under “model”. The "
        "validation part also chose the network's epoch and the settings of the baselines, so what is measured on it "
        "favours all of them; the test part was not used for any of this.",
        "Log losses are of validation sequences that the weights were not fitted to, in folds."
        if found["validation"]["held_out"]
        else "There are too few validation sequences for folds: log losses are of those that weights were fitted to.",
    ]
    if NETWORK not in found["weights"]:
        section.text.append("The network has no weight in it: with the baselines at hand it adds nothing.")
    if found["alone"]:
        section.text.append(
            f"Weighing models was not better than {model_name(found['alone'])} alone, log loss "
            f"{format_value(losses['blend'])} against {format_value(losses[found['alone']])}: all weight falls on it."
        )
    rows: list[list[object]] = [
        [model_name(name), found["weights"].get(name, 0.0), loss] for name, loss in losses.items() if name != "blend"
    ]
    rows.sort(key=lambda row: -float(str(row[1])))
    section.tables.append((["", "weight", "log loss, validation"], [*rows, ["blend", None, losses["blend"]]]))
    section.tables += objective_of(results).paired_section("blend", found).tables
    return section


def blend_scores(results: Results) -> dict[str, Results]:
    """Return the blend's scores for a table of models, as results of its own; empty without one."""
    found: Results = results.get("blend") or {}
    return {"blend": {"metrics": found["metrics"], "ci95": found["ci95"]}} if found else {}


def blend_verdict(results: Results) -> str:
    """Say what the model folder predicts with, where that is a blend."""
    found: Results = results.get("blend") or {}
    if not found:
        return ""
    score = objective_of(results).headline
    reached = format_value(found["metrics"].get(f"test/{score}"))
    *others, last = (model_name(name) for name in found["weights"])
    what = f"the blend of {', '.join(others)} and {last}" if others else f"{last} alone, which no blend improved on"
    return f" The model folder predicts with {what}: {reached} {heading(score)}."
