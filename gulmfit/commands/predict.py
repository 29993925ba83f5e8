"""What `gulmfit-predict` does, from file to file."""

import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from gulmfit.commands.provenance import noted
from gulmfit.errors import ConfigError
from gulmfit.evaluate.calibration import CALIBRATED_FORWARD
from gulmfit.evaluate.target_calibration import LabelCalibration
from gulmfit.models.hardware import keep_freed_memory
from gulmfit.predict.labelling import write_labels
from gulmfit.predict.outputs.registry import FEATURES, RECORDS, WINDOWS, Output, parse_outputs
from gulmfit.predict.predictor import STRANDS, PositionPredictor, Predictor
from gulmfit.predict.progress import counting
from gulmfit.predict.records import check_input, open_records, sequence_records, write_records
from gulmfit.predict.scans.genome import Wanted, scan_genome
from gulmfit.predict.scans.grid import Windows
from gulmfit.predict.scans.scan import Scan
from gulmfit.predict.spread import Spread
from gulmfit.seq.formats.tables import is_table, not_one_of
from gulmfit.seq.genome.contigs import contigs_by_name
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.names import check_names

logger = logging.getLogger(__name__)


def predict_file(
    *,
    model: str,
    input: str,
    output: str,
    strand: Literal["forward", "both", "average"] = "forward",
    batch_size: int = 64,
    precision: Literal["32", "bf16", "auto"] = "32",
    raw: bool = False,
    sequence: str = "sequence",
    id: str = "",
    genome: str = "",
    features: str = "",
    window_bp: int = 0,
    step_bp: int = 0,
    max_ambiguous: float = 0.5,
    threshold: float | None = None,
    merge_bp: int = 0,
    abstain: float | None = None,
    positive: str = "",
    restart: bool = False,
    cache_dir: str = "outputs/store",
    case: Literal["", "upper", "mask"] = "",
    ambiguity: Literal["", "split", "unk", "error"] = "",
) -> None:
    """Predict every record of a file, every feature of a genome, or every window of one.

      records    input=FASTA, FASTQ or table (CSV, TSV, JSONL, Parquet); input=- reads a pipe, output=- writes TSV
      features   input=BED, GFF3, GTF or GenBank, genome=FASTA
      windows    input=FASTA of a genome, window_bp=150; the same command resumes a scan that was stopped

    Output by suffix: .tsv .jsonl .parquet (all classes and the predicted one, in the order of the input); .bedgraph
    .bw (one class along a genome); .bed (features, or calls: windows above the threshold, merged), .windows.bed
    (windows) and .records.bed (records that are whole sequences). Input is plain or gzip.
    Probabilities and the threshold of the predicted class are those of the validation part. A labeller (stage=label)
    gives each record a text with a letter for each of its positions, in a table.

    Args:
        model: Run folder (outputs/classify/mine), model folder or checkpoint of a classifier, or the name of one.
        input: What is predicted, as above.
        output: Files, separated by commas; their suffixes say what they hold.
        strand: Read each sequence as it is; `both` writes a record for each strand, `average` the mean over both.
        batch_size: Sequences that are run at once.
        precision: `auto` takes `bf16`, about twice as fast, where the hardware computes in it; probabilities then move
            by some thousandths.
        raw: Also write the scores before calibration into tables.
        sequence: Column of the sequences in a table.
        id: Column of the ids in a table; the number of the record by default.
        genome: FASTA on which features lie.
        features: Types of features to predict, separated by commas, such as CDS,tRNA; all by default.
        window_bp: Bases of a sliding window; left out, the length of the training sequences where an output is one of a
            scan alone (.bw, .bedgraph, .bed), else no scan.
        step_bp: Bases from one window to the next; half a window by default.
        max_ambiguous: Windows with a greater share of ambiguous bases are skipped.
        threshold: Score from which on a window belongs to a call; the one chosen in validation by default.
        merge_bp: Bases that may lie between two windows of one call.
        abstain: Spread over the networks of an ensemble beyond which there is no call: tables say so in a column, and
            calls leave the window out.
        positive: Class whose score BED, bedGraph and bigWig have; the model's positive one by default.
        restart: Begin a scan again that could be resumed.
        cache_dir: Folder of genome stores.
        case: `mask` reads lower-case letters as ambiguous; as in training by default.
        ambiguity: `error` refuses ambiguous letters; as in training by default.

    Raises:
        ConfigError: If options are out of range or do not go together.
        GulmfitError: If the model or the input cannot be read, or an output not be written.
    """
    asked = dict(locals())
    if strand not in STRANDS:
        raise ConfigError(f"strand={strand!r} is unknown; choose one of {', '.join(STRANDS)}.")
    if batch_size < 1:
        raise ConfigError(f"batch_size={batch_size}: 1 or more is needed.")
    if not 0 <= max_ambiguous <= 1:
        raise ConfigError(f"max_ambiguous={max_ambiguous}: a share from 0 to 1 is needed.")
    if window_bp and (genome or features):
        raise ConfigError("window_bp= scans the genome that is the input; genome= and features= are for its features.")
    if not window_bp:
        check_input(input, genome, features)
    guessed = not window_bp and not genome and not is_table(Path(input)) and _only_of_scan(output)
    scans = guessed or bool(window_bp)
    if step_bp and not scans:
        raise ConfigError(f"step_bp={step_bp} needs window_bp=, the bases of a window.")
    if not scans and (threshold is not None or merge_bp or restart):
        raise ConfigError("threshold=, merge_bp= and restart= are for a scan of a genome, which needs window_bp=.")
    outputs = parse_outputs(output, WINDOWS if scans else FEATURES if genome else RECORDS)
    written = [path for one in outputs for path in one.by_strand(STRANDS[strand]).values()]
    with noted(written, [input, genome], asked):
        keep_freed_memory()
        predictor = Predictor.load(model, precision=precision, positions=True)
        if guessed:
            window_bp = asked["window_bp"] = predictor.sequence_bp or _no_window(output)
            logger.info("window_bp=%d: as long as the model's training sequences", window_bp)
        letters = predictor.letters = predictor.letters.asked(case, ambiguity)
        alphabet = predictor.tokenizer.alphabet
        if strand != "forward":
            alphabet.check_strands()
        if strand == "average" and predictor.gives_probabilities:
            logger.info("strand=average: %s", CALIBRATED_FORWARD)
        if (window_bp or genome) and not alphabet.complements:
            raise ConfigError(
                f"the model reads {alphabet.name} sequences, and a genome has none. Give them as records."
            )
        check_names(predictor.classes, "class or label", model)
        start = time.perf_counter()
        if isinstance(predictor, PositionPredictor):
            if window_bp or genome or strand != "forward" or raw:
                raise ConfigError(
                    f"{model} labels the positions of records as they are given: leave window_bp=, genome=, strand= "
                    "and raw= out, or give a classifier."
                )
            records = sequence_records(input, sequence=sequence, id=id, alphabet=alphabet, letters=letters)
            known = counting(records, "label", "records")
            count = write_labels(predictor, known, outputs, batch_size=batch_size, where=f"{input}, ")
            logger.info("%s: %d records in %.1f s", output, count, time.perf_counter() - start)
            return
        column, spread = _column(predictor, positive, outputs), Spread(predictor, abstain)
        if window_bp:
            if letters.ambiguity == "error" and max_ambiguous:
                logger.info("the model has learned no ambiguous bases: windows that hold one are skipped")
                max_ambiguous = 0.0
            cut = _threshold(predictor, threshold, column, outputs)
            wanted = Wanted(outputs, raw, column, cut, merge_bp, spread)
            store = GenomeStore.build(input, cache_dir, case=letters.case)
            lengths = [contig.length for contig in contigs_by_name(store).values()]
            windows = Windows(lengths, window_bp, step_bp or max(1, window_bp // 2), predictor.tokenizer.min_bases)
            count = scan_genome(
                Scan(predictor, store, windows, strand, max_ambiguous, batch_size), wanted, restart=restart
            )
        else:
            placed, records = open_records(
                input, genome, features, sequence=sequence, id=id, alphabet=alphabet, letters=letters,
                cache_dir=cache_dir,
            )  # fmt: skip
            count = write_records(
                predictor, counting(records, "predict", "records"), outputs, strand=strand,
                batch_size=batch_size, where=f"{input}, ", raw=raw, positive=column, store=placed, spread=spread,
            )  # fmt: skip
        seconds = time.perf_counter() - start
        what = "windows" if window_bp else "records"
        rate = count / max(seconds, 1e-9)
        logger.info("%s: %d %s in %.1f s (%.0f a second)%s", output, count, what, seconds, rate, spread.told())


def _only_of_scan(output: str) -> bool:
    """Whether outputs can only be those of a scan."""

    def fits(what: str) -> bool:
        try:
            return bool(parse_outputs(output, what))
        except ConfigError:
            return False

    return not fits(RECORDS) and fits(WINDOWS)


def _no_window(output: str) -> int:
    """Refuse outputs of a scan whose windows have no length.

    Raises:
        ConfigError: It says what else there is.
    """
    parse_outputs(output, RECORDS)
    return 0


def _column(predictor: Predictor, name: str, outputs: Sequence[Output]) -> int:
    """Return the index of the class that tracks and BED are about."""
    if name and name not in predictor.classes:
        raise ConfigError(f"positive={name}: {not_one_of(name, predictor.classes)}")
    if not name and len(predictor.classes) > 2 and any(output.format.table is None for output in outputs):
        raise ConfigError(
            f"the model has {len(predictor.classes)} outputs: {', '.join(predictor.classes)}. Say with positive= which "
            "one BED, bedGraph and bigWig are about."
        )
    return predictor.classes.index(name or predictor.positive)


def _threshold(predictor: Predictor, given: float | None, column: int, outputs: Sequence[Output]) -> float:
    """Return the threshold of calls, nan where there are none."""
    if not any(output.format.name == "calls" for output in outputs):
        if given is not None:
            raise ConfigError(f"threshold={given}: no output holds calls; name a .bed.")
        return math.nan
    if given is None:
        chosen = _chosen_threshold(predictor, column)
        if chosen is None:
            raise ConfigError(
                f"no threshold for {predictor.classes[column]!r} was chosen when the model was validated. Say with "
                "threshold= from which score on a window is called; or write .windows.bed, which holds all windows."
            )
        return chosen
    if predictor.gives_probabilities and not 0 <= given <= 1:
        raise ConfigError(f"threshold={given}: a probability from 0 to 1 is needed.")
    return given


def _chosen_threshold(predictor: Predictor, column: int) -> float | None:
    """Return the threshold of a class or label that was chosen on the validation part."""
    calibration = predictor.calibration
    if isinstance(calibration, LabelCalibration):
        return calibration.thresholds[column] if calibration.thresholds else None
    return calibration.threshold if predictor.classes[column] == predictor.positive else None
