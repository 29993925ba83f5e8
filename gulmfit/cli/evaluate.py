"""`gulmfit-evaluate`."""

import sys

from gulmfit.cli.words import arguments, command, log_to_stdout
from gulmfit.errors import ConfigError


@command
def evaluate() -> None:
    """Evaluate a classifier on labelled data: `gulmfit-evaluate model=RUN data=table data.path=FILE`."""
    log_to_stdout()
    usage = (
        "gulmfit-evaluate model=RUN data=table data.path=FILE [data.label=COLUMN ...]\n"
        "                 [output=FOLDER] [strand=forward|average] [batch_size=64]\n\n"
        "Scores a classifier on all sequences of labelled data, whatever its split. data=... takes the same sources\n"
        "and keys as gulmfit-train. Prints the scores with 95 % intervals, and writes metrics.json and report.html\n"
        "into FOLDER if it is given."
    )
    data = [word for word in sys.argv[1:] if word.startswith(("data", "paths."))]
    sys.argv[1:] = [word for word in sys.argv[1:] if word not in data]
    known = {"model": "", "output": "", "strand": "forward", "batch_size": 64}
    values = arguments(usage, known, ("model",))
    if not data:
        raise ConfigError(f"data= is missing: name the labelled sequences to score.\n{usage}")
    from gulmfit.train.evaluate import evaluate_file

    evaluate_file(data_overrides=data, **values)
