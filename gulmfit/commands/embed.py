"""What `gulmfit-embed` does, from file to file."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import numpy as np

from gulmfit.commands.provenance import noted
from gulmfit.errors import ConfigError, DataError
from gulmfit.files import whole_file
from gulmfit.models.hardware import keep_freed_memory
from gulmfit.predict.language.vectors import Embedder, Embedding, Vectors
from gulmfit.predict.outputs.writers import pyarrow
from gulmfit.predict.progress import counting
from gulmfit.report.html import write_report
from gulmfit.report.maps import map_report
from gulmfit.seq.alphabet import Letters, clean_sequence
from gulmfit.seq.formats.fasta import expand_paths
from gulmfit.seq.formats.tables import is_table, read_rows
from gulmfit.seq.labels.labelled import read_sequences

logger = logging.getLogger(__name__)

Add = Callable[[Embedding, str | None], None]
T = TypeVar("T")

VALUES_OF_A_ROW_GROUP = 1 << 22
MOST_POINTS = 5000
FEWEST_POINTS = 6


def embed_file(
    *,
    model: str,
    input: str,
    output: str,
    level: Literal["sequence", "token", "base"] = "sequence",
    layer: str = "last",
    pooling: Literal["concat", "mean", "max", "last"] = "concat",
    strand: Literal["forward", "average"] = "forward",
    batch_size: int = 64,
    precision: Literal["32", "bf16", "auto"] = "32",
    sequence: str = "sequence",
    id: str = "",
    label: str = "",
    map: str = "",
    seed: int = 0,
    case: Literal["", "upper", "mask"] = "",
    ambiguity: Literal["", "split", "unk", "error"] = "",
) -> None:
    """Write the vectors of every record of a file, in input order, and a map of them if one is asked for.

    The vectors are those of the encoder of a language model or a classifier: of an ensemble of its first network, of a
    blend of its network.

    Args:
        model: Run folder, model folder or checkpoint, or the name of a model.
        input: FASTA or table (CSV, TSV, JSONL, Parquet).
        output: `.parquet`, written as it comes, or `.npz`, which is held in memory.
        level: One vector a sequence, pooled; or one a token or a base.
        layer: `last`, or a number: 0 is the embedding of the tokens, 1 the first recurrent layer.
        pooling: How the vectors of a sequence become one.
        strand: `average` gives a sequence and its reverse complement the same vectors.
        batch_size: Sequences that are read together.
        precision: `auto` takes `bf16` where the hardware computes in it.
        sequence: Column of the sequence in a table.
        id: Column of the id in a table; the number of the record by default.
        label: Column of the label in a table; none by default.
        map: `.html` of the sequences in the plane, coloured by label, with the accuracy of nearest neighbours.
        seed: Of the map.
        case: `mask` reads lower-case letters as ambiguous; as in training by default.
        ambiguity: `error` refuses ambiguous letters; as in training by default.

    Raises:
        ConfigError: If an option is out of range, or the name of an output is of no known kind.
        GulmfitError: If the model or the input cannot be read, or the output not be written.
    """
    asked = dict(locals())
    target = Path(output)
    if target.suffix not in (".parquet", ".npz"):
        raise ConfigError(f"output={output}: vectors are written as .parquet or .npz. Name the file so.")
    if map and (level != "sequence" or not map.endswith(".html")):
        raise ConfigError(f"map={map}: a map shows level=sequence and is written as .html.")
    with noted([target, *([Path(map)] if map else [])], [input], asked):
        keep_freed_memory()
        embedder = Embedder.load(model, layer=layer, precision=precision)
        embedder.letters = embedder.letters.asked(case, ambiguity)
        facts = {"model": model, "input": input, "level": level, "layer": layer, "strand": strand}
        if level == "sequence":
            facts["pooling"] = pooling
        labels: list[str] = []  # of records that have been read and not yet embedded
        alphabet = embedder.tokenizer.alphabet
        if strand != "forward":
            alphabet.check_strands()
        records = _read(input, sequence, id or None, label, alphabet.name, embedder.letters, labels)
        shown = Reservoir[tuple[Vectors, str | None]](MOST_POINTS, seed) if map else None
        start, count = time.perf_counter(), 0
        vectors = embedder.embed(
            records, level=level, pooling=pooling, strand=strand, batch_size=batch_size, where=f"{input}, "
        )
        writer = _parquet if target.suffix == ".parquet" else _npz
        with whole_file(target) as unfinished, writer(unfinished, embedder, level, bool(label), facts) as add:
            for found in counting(vectors, "embed", "records"):
                name = labels.pop(0) if label else None
                add(found, name)
                count += 1
                if shown is not None:
                    shown.add((found.vectors[0], name))
        seconds = time.perf_counter() - start
        logger.info("%s: %d records in %.1f s (%.0f a second)", output, count, seconds, count / max(seconds, 1e-9))
        if shown is not None:
            _write_map(Path(map), shown, count, facts, seed)


class Reservoir(Generic[T]):
    """Up to so many things, each of all that were seen with the same chance (reservoir sampling)."""

    def __init__(self, most: int, seed: int) -> None:
        self.most, self.seen = most, 0
        self.random = np.random.default_rng(seed)
        self.kept: list[T] = []

    def add(self, one: T) -> None:
        """See one more."""
        self.seen += 1
        if len(self.kept) < self.most:
            self.kept.append(one)
        elif (place := int(self.random.integers(self.seen))) < self.most:
            self.kept[place] = one


def _read(
    input: str, sequence: str, id: str | None, label: str, alphabet: str, letters: Letters, labels: list[str]
) -> Iterator[tuple[str, str]]:
    """Yield id and sequence of each record, and put its label by if there is a column of labels."""
    if not label:
        yield from read_sequences(input, sequence=sequence, id=id, alphabet=alphabet, letters=letters)
        return
    number = 0
    for file in expand_paths(input):
        if not is_table(file):
            raise ConfigError(f"label={label}: {file} is not a table and has no columns. Leave label= out.")
        for place, row in read_rows(file, {"sequence": sequence, "id": id, "label": label}):
            number += 1
            text = clean_sequence(row["sequence"], place, alphabet=alphabet, **letters._asdict())
            labels.append(row["label"])
            yield row.get("id", str(number)), text


@contextmanager
def _parquet(path: Path, embedder: Embedder, level: str, labelled: bool, facts: Mapping[str, str]) -> Iterator[Add]:
    """Lend a function that writes to a Parquet file, in row groups: memory does not grow with their number."""
    arrow = pyarrow()
    schema: Any = None
    writer: Any = None
    waiting: list[Any] = []
    held = 0

    def flush() -> None:
        writer.write_table(arrow.concat_tables(waiting).combine_chunks())
        waiting.clear()

    def add(found: Embedding, label: str | None) -> None:
        nonlocal schema, writer, held
        rows, size = found.vectors.shape
        columns: dict[str, Any] = {"id": arrow.array([found.name] * rows, arrow.string())}
        if labelled:
            columns["label"] = arrow.array([label] * rows, arrow.string())
        if level == "token":
            columns["token"] = [embedder.tokenizer.spell(token) for token in found.tokens.tolist()]
        if level == "base":
            columns["base"] = list(found.sequence)
        if level != "sequence":
            columns["start"], columns["end"] = (arrow.array(part) for part in found.spans.T)
        columns["vector"] = arrow.FixedSizeListArray.from_arrays(arrow.array(found.vectors.ravel()), size)
        table = arrow.table(columns)
        if writer is None:
            schema = table.schema.with_metadata(dict(facts))
            writer = arrow.parquet.ParquetWriter(path, schema)
        waiting.append(table.cast(schema))
        held += found.vectors.size
        if held >= VALUES_OF_A_ROW_GROUP:
            flush()
            held = 0

    try:
        yield add
        if writer is None:
            raise DataError(f"{path}: there is no record to embed.")
        if waiting:
            flush()
    finally:
        if writer is not None:
            writer.close()


@contextmanager
def _npz(path: Path, embedder: Embedder, level: str, labelled: bool, facts: Mapping[str, str]) -> Iterator[Add]:
    """Lend a function that gathers vectors, and write them all in the end."""
    found: list[Embedding] = []
    labels: list[str] = []

    def add(one: Embedding, label: str | None) -> None:
        found.append(one)
        if label is not None:
            labels.append(label)

    yield add
    arrays: dict[str, Any] = {
        "ids": np.array([one.name for one in found]),
        "vectors": np.concatenate([one.vectors for one in found]),
        "facts": np.array([f"{name}={value}" for name, value in facts.items()]),
    }
    if labelled:
        arrays["labels"] = np.array(labels)
    if level != "sequence":
        arrays["spans"] = np.concatenate([one.spans for one in found])
        arrays["offsets"] = np.cumsum([0, *(len(one.vectors) for one in found)])
    if level == "token":
        arrays["tokens"] = np.concatenate([one.tokens for one in found])
    with path.open("wb") as handle:
        np.savez(handle, **arrays)


def _write_map(
    path: Path, shown: Reservoir[tuple[Vectors, str | None]], count: int, facts: Mapping[str, str], seed: int
) -> None:
    if count < FEWEST_POINTS:
        raise DataError(f"map={path}: {count} sequences make no map; {FEWEST_POINTS} or more are needed.")
    vectors = np.stack([vector for vector, _ in shown.kept]).astype(np.float64)
    labels = [label for _, label in shown.kept if label is not None]
    more = {"sequences": f"{len(vectors):,} of {count:,}", "seed": seed}
    report = map_report(vectors, labels or None, {**facts, **more}, seed=seed)
    write_report(path, report)
    logger.info("%s: %s", path, report.verdict)
