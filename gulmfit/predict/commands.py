"""What `gulmfit-predict` does, from file to file."""

import logging
import time

import numpy as np
from tqdm import tqdm

from gulmfit.errors import ConfigError
from gulmfit.models.hardware import keep_freed_memory
from gulmfit.predict.predictor import Predictor
from gulmfit.predict.writers import write_tsv
from gulmfit.seq.labelled import read_sequences

logger = logging.getLogger(__name__)


def predict_file(
    *,
    model: str,
    input: str,
    output: str,
    strand: str,
    batch_size: int,
    precision: str,
    raw: bool,
    sequence: str,
    id: str,
) -> None:
    """Predict every record of a file and write a TSV, in input order.

    Raises:
        ConfigError: If the output is not a `.tsv` file.
        GulmfitError: If the model or the input cannot be read.
    """
    if not output.endswith(".tsv"):
        raise ConfigError(f"output={output}: predictions are written as .tsv. Name the file so.")
    keep_freed_memory()
    predictor = Predictor.load(model, precision=precision)
    records = tqdm(read_sequences(input, sequence=sequence, id=id or None), desc="predict", unit=" records")
    start = time.perf_counter()
    columns = predictor.classes
    rows = predictor.predict_records(records, strand=strand, batch_size=batch_size, where=f"{input}, ", raw=raw)
    if raw:
        columns = [*columns, *(f"raw:{name}" for name in predictor.classes)]
        rows = ((name, np.concatenate([predictor.calibrated(row[None])[0], row])) for name, row in rows)
    count = write_tsv(output, columns, rows)
    seconds = time.perf_counter() - start
    logger.info("%s: %d records in %.1f s (%.0f a second)", output, count, seconds, count / max(seconds, 1e-9))
