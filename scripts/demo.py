"""What `make demo` runs: the three stages on a real bacterial genome, or on simulated data where it cannot be had.

    python scripts/demo.py
    python scripts/demo.py seed=1 trainer.precision=32-true

Ends with 3 if transfer does not significantly beat the model trained from scratch and every baseline.
"""

import os
import sys
from pathlib import Path

from gulmfit.errors import ConfigError
from gulmfit.seq.labels.gene_starts import packaged_genome

TRAIN = Path(__file__).resolve().parents[1] / "train.py"


def main() -> None:
    """Choose the experiment, and become its training command."""
    try:
        packaged_genome()
        experiment = "demo"
    except ConfigError as error:
        sys.stdout.write(f"{error}\nThe demonstration uses SIMULATED data instead.\n")
        experiment = "demo_simulated"
    sys.stdout.flush()
    words = [f"experiment={experiment}", "overwrite=true", *sys.argv[1:]]
    os.execv(sys.executable, [sys.executable, str(TRAIN), *words])


if __name__ == "__main__":
    main()
