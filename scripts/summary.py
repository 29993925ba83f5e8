"""Print one table over several runs of stage=ulmfit or stage=classify: mean and spread of each score over their seeds.

    python scripts/summary.py outputs/ulmfit/original_* outputs/ulmfit/jitter10_*

Runs that differ in nothing but their seeds are one group; what else differs is named.
"""

import json
import statistics
import sys
from pathlib import Path

from gulmfit.report.table import format_table
from gulmfit.train.run_table import alike, common_name, differing, read_finished, spread_of

SCORES = ("accuracy", "mcc", "auroc")


def models(metrics: dict) -> dict[str, dict[str, float]]:
    """Return the scores of each model and baseline of a run."""
    own = metrics["metrics"]
    prefixes = {"transferred": "", "from scratch": "scratch/"} if metrics["stage"] == "ulmfit" else {"model": ""}
    return {
        **{model: {name: own[f"{prefix}test/{name}"] for name in SCORES} for model, prefix in prefixes.items()},
        **{f"baseline: {name}": {key: scores[key] for key in SCORES} for name, scores in metrics["baselines"].items()},
    }


def main() -> None:
    """Read every run named on the command line and print the table."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for name in sys.argv[1:]:
        if not (Path(name) / "metrics.json").is_file():
            sys.exit(f"{name}/metrics.json does not exist: give finished run folders.")
    finished = [read_finished(Path(name)) for name in sys.argv[1:]]
    rows, keys = [], differing(finished)
    for group in alike(finished):
        runs = [json.loads((run.folder / "metrics.json").read_text(encoding="utf-8")) for run in group]
        scores = [models(metrics) for metrics in runs]
        for name in sorted(scores[0], key=lambda name: -statistics.mean(run[name]["accuracy"] for run in scores)):
            values = {key: spread_of([run[name][key] for run in scores]) for key in SCORES}
            rows.append({"runs": common_name(group, keys), "model": name, **values})
    sys.stdout.write(format_table(rows, ["runs", "model", *SCORES]) + "\n")


if __name__ == "__main__":
    main()
