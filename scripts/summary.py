"""Print one table over several runs of stage=ulmfit or stage=classify: mean and spread of each score over their seeds.

    python scripts/summary.py outputs/ulmfit/original_* outputs/ulmfit/jitter10_*

Runs that differ in nothing but the number at the end of their name are one group.
"""

import json
import re
import statistics
import sys
from pathlib import Path

from gulmfit.report.table import format_table

SCORES = ("accuracy", "mcc", "auroc")


def models(metrics: dict) -> dict[str, dict[str, float]]:
    """Return the scores of each model and baseline of a run."""
    own = metrics["metrics"]
    prefixes = {"transferred": "", "from scratch": "scratch/"} if metrics["stage"] == "ulmfit" else {"model": ""}
    return {
        **{model: {name: own[f"{prefix}test/{name}"] for name in SCORES} for model, prefix in prefixes.items()},
        **{f"baseline: {name}": {key: scores[key] for key in SCORES} for name, scores in metrics["baselines"].items()},
    }


def spread(values: list[float]) -> str:
    """Write mean and standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.3f} ± {deviation:.3f}"


def main() -> None:
    """Read every run named on the command line and print the table."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    groups: dict[str, list[dict]] = {}
    for name in sys.argv[1:]:
        path = Path(name) / "metrics.json"
        if not path.is_file():
            sys.exit(f"{path} does not exist: give finished run folders.")
        groups.setdefault(re.sub(r"_\d+$", "", Path(name).name), []).append(
            json.loads(path.read_text(encoding="utf-8"))
        )
    rows = []
    for group, runs in groups.items():
        scores = [models(metrics) for metrics in runs]
        for name in sorted(scores[0], key=lambda name: -statistics.mean(run[name]["accuracy"] for run in scores)):
            values = {key: spread([run[name][key] for run in scores]) for key in SCORES}
            rows.append({"runs": f"{group} ({len(runs)} seeds)", "model": name, **values})
    sys.stdout.write(format_table(rows, ["runs", "model", *SCORES]) + "\n")


if __name__ == "__main__":
    main()
