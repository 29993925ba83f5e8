"""What a report says of several models that predict as one: the networks of an ensemble, and a blend."""

from collections.abc import Mapping
from typing import Any

from gulmfit.report.html import Section
from gulmfit.report.kinds.kind import objective_of
from gulmfit.report.wording import heading

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
