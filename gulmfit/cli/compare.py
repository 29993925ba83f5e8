"""`gulmfit-compare`."""

import sys
from pathlib import Path
from typing import Any

from gulmfit.cli.words import arguments, command, log_to_stdout


@command
def compare() -> None:
    """Compare finished runs: `gulmfit-compare RUN RUN ... [output=FOLDER]`."""
    usage = (
        "gulmfit-compare RUN RUN ... [output=FOLDER] [seed=0]\n\n"
        "Lays finished classifiers side by side on the test sequences that all of them scored: scores with 95 %\n"
        "intervals, and paired tests. Run folders of stage=classify and stage=ulmfit. With output= the tables and\n"
        "curves are written to FOLDER/comparison.html and comparison.json."
    )
    # A folder may have a "=" in its name.
    runs = [word for word in sys.argv[1:] if not word.startswith("-") and ("=" not in word or Path(word).exists())]
    sys.argv[1:] = [word for word in sys.argv[1:] if word not in runs]
    values: dict[str, Any] = {"output": "", "seed": 0}
    if len(sys.argv) > 1 or not runs:
        values = arguments(usage, values, ())
    log_to_stdout()
    from gulmfit.train.compare import compare as compare_runs

    compare_runs(runs, **values)
