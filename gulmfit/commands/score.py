"""What `gulmfit-score` does, from file to file."""

import logging
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple

import numpy as np

from gulmfit.commands.provenance import noted
from gulmfit.errors import ConfigError
from gulmfit.models.hardware import keep_freed_memory
from gulmfit.predict.language.likelihood import LikelihoodScorer, check_options
from gulmfit.predict.language.reading import groups_of_records
from gulmfit.predict.outputs.registry import WINDOWS, Output, parse_outputs
from gulmfit.predict.outputs.track_files import TrackSpan
from gulmfit.predict.outputs.writers import tsv_table
from gulmfit.predict.progress import Bar, counting
from gulmfit.predict.scans.bits import check_windows, score_genome
from gulmfit.seq.formats.tables import is_table
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.labelled import read_sequences

logger = logging.getLogger(__name__)

BASES_AHEAD = 1 << 24


class RecordBits(NamedTuple):
    """What one record is given: a row of the table."""

    id: str
    length_bp: int
    scored_bp: float
    bits: float
    bits_per_base: float
    """nan where no base is scored."""


def score_file(
    *,
    model: str,
    input: str,
    output: str,
    window_bp: int = 1000,
    step_bp: int = 0,
    strand: Literal["forward", "average"] = "forward",
    batch_size: int = 64,
    precision: Literal["32", "bf16", "auto"] = "32",
    sequence: str = "sequence",
    id: str = "",
    case: Literal["", "upper", "mask"] = "",
    ambiguity: Literal["", "split", "unk", "error"] = "",
) -> float:
    """Score a genome in windows (a track), or every record of a file (a table), under a language model.

    Scores are bits per base: 2 is knowing nothing, less is expected, more is a surprise. A track has a value for every
    `step_bp` bases of a genome: that of the `window_bp` bases around them, each base given all bases before it in its
    contig. A table has a row for every record.

    Args:
        model: Run folder (outputs/pretrain/mine), model folder or checkpoint of a language model, or the name of one.
        input: FASTA files; for a table of scores also a table of sequences.
        output: `.bedgraph`, `.bg`, `.bw` or `.bigwig` for windows, separated by commas; or `.tsv` for records.
        window_bp: Bases of a window.
        step_bp: Bases from one window to the next; 0 for as many as a window has.
        strand: `average` takes the mean of both strands, and twice the time.
        batch_size: Contigs or records that are read together.
        precision: `auto` takes `bf16` where the hardware computes in it.
        sequence: Column of the sequence in a table.
        id: Column of the id in a table; the number of the record by default.
        case: `mask` reads lower-case letters as ambiguous; as in training by default.
        ambiguity: `split` or `unk` reads ambiguous letters, `error` refuses them; as in training by default.

    Returns:
        Bits per base of everything that was scored.

    Raises:
        ConfigError: If an option is out of range, or the output's name says neither a track nor a table.
        GulmfitError: If the model or the input cannot be read, or the output not be written.
    """
    asked = dict(locals())
    check_options(strand, batch_size)
    step_bp = step_bp or window_bp
    check_windows(window_bp, step_bp)
    outputs = parse_outputs(output, WINDOWS)
    tracks = all(one.format.track for one in outputs)
    if not tracks and [one.format.name for one in outputs] != ["tsv"]:
        raise ConfigError(f"output={output}: name tracks (.bedgraph, .bw), or one table of records (.tsv).")
    if tracks and is_table(Path(input)):
        raise ConfigError(f"output={output}: a track needs a FASTA, and {input} is a table. Write a .tsv of records.")
    with noted([one.path for one in outputs], [input], asked):
        keep_freed_memory()
        scorer = LikelihoodScorer.load(model, precision=precision)
        scorer.letters = scorer.letters.asked(case, ambiguity)
        if strand != "forward":
            scorer.tokenizer.alphabet.check_strands()
        start = time.perf_counter()
        if tracks:
            bits, bases = _write_tracks(scorer, input, outputs, window_bp, step_bp, strand, batch_size)
        else:
            alphabet = scorer.tokenizer.alphabet.name
            records = read_sequences(input, sequence=sequence, id=id or None, alphabet=alphabet, letters=scorer.letters)
            rows = _scores(scorer, records, f"{input}, ", strand, batch_size)
            bits, bases = _write_records(outputs[0].path, rows)
        seconds, unit = time.perf_counter() - start, scorer.tokenizer.alphabet.unit
        logger.info(
            "%s: %.4f bits per %s over %s %ss, in %.1f s (%s a second)",
            output, bits / bases if bases else math.nan, unit, f"{bases:,.0f}", unit, seconds,
            f"{bases / max(seconds, 1e-9):,.0f}",
        )  # fmt: skip
        return bits / bases if bases else math.nan


def _scores(
    scorer: LikelihoodScorer, records: Iterable[tuple[str, str]], where: str, strand: str, batch_size: int
) -> Iterator[RecordBits]:
    """Yield the bits of each record, in order; memory does not grow with their number."""
    for group in groups_of_records(records, BASES_AHEAD):
        names, sequences = zip(*group, strict=True)

        def place(number: int, names: Sequence[str] = names) -> str:
            return f"{where}record {names[number]!r}"

        nats, bases = scorer.score(sequences, strand=strand, batch_size=batch_size, where=place)
        for name, sequence, value, scored in zip(names, sequences, nats.tolist(), bases.tolist(), strict=True):
            bits = -value / math.log(2)
            yield RecordBits(name, len(sequence), scored, bits, bits / scored if scored else math.nan)


def _write_records(target: Path, rows: Iterable[RecordBits]) -> tuple[float, float]:
    totals = np.zeros(2)
    with tsv_table(target, list(RecordBits.__annotations__.items())) as write:
        for row in counting(rows, "score", "records"):
            totals += row.bits, row.scored_bp
            write([row])
    return float(totals[0]), float(totals[1])


def _write_tracks(
    scorer: LikelihoodScorer, input: str, outputs: Sequence[Output], window_bp: int, step_bp: int, strand: str,
    batch_size: int,
) -> tuple[float, float]:  # fmt: skip
    with TemporaryDirectory(dir=outputs[0].path.parent, prefix=".gulmfit-score-", ignore_cleanup_errors=True) as folder:
        store = GenomeStore.build(input, folder, case=scorer.letters.case, alphabet=scorer.tokenizer.alphabet.name)
        readings = len(store.codes) * (2 if strand == "average" else 1)
        with (
            Bar("score", "bases", total=readings) as bar,
            score_genome(
                scorer, store, step_bp=step_bp, strand=strand, batch_size=batch_size, folder=Path(folder),
                progress=bar.update,
            ) as genome,
        ):  # fmt: skip
            for output in outputs:
                values = (
                    TrackSpan(window.contig, window.start, window.end, window.bits_per_base)
                    for window in genome.windows(window_bp)
                )
                lengths = {contig.name: contig.length for contig in store.contigs}
                if output.format.track:
                    output.format.track(output.path, lengths, values)
            return genome.total()
