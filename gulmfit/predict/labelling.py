"""Labels of every position of records, from file to file.

Shape letters: `L` bases, `C` classes.
"""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack

import numpy as np

from gulmfit.errors import ConfigError
from gulmfit.models.codon_labeller import CodonLabeller
from gulmfit.predict.outputs.registry import Output
from gulmfit.predict.outputs.writers import Columns
from gulmfit.predict.predictor import PositionPredictor, Record
from gulmfit.seq.labels.position_labels import symbols


def write_labels(
    predictor: PositionPredictor, records: Iterable[Record], outputs: Sequence[Output], *, batch_size: int, where: str
) -> int:
    """Write a line for each record into tables: its id and a letter for each position, of the likeliest class.

    Returns:
        How many records were written.

    Raises:
        ConfigError: An output is not a table, or the model chooses codons.
    """
    if isinstance(predictor.model, CodonLabeller):
        raise ConfigError("the model chooses codons for proteins: gulmfit-codons writes them as coding sequences.")
    columns: Columns = [("id", str), ("labels", str)]
    letters = np.array(symbols(predictor.classes))
    count = 0
    with ExitStack() as stack:
        tables = [stack.enter_context(one.format.table(one.path, columns)) for one in outputs if one.format.table]
        for record, scores in predictor.label(records, batch_size=batch_size, where=where):
            row = [record.name, "".join(letters[scores.argmax(axis=1)])]
            for write in tables:
                write([row])
            count += 1
    return count
