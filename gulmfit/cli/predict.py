"""`gulmfit-predict`."""

from gulmfit.cli.pipes import piped
from gulmfit.cli.words import arguments, command, log_to_stdout
from gulmfit.errors import ConfigError

USAGE = """\
gulmfit-predict model=RUN input=FILE output=FILE[,FILE...] [strand=forward|both|average] [batch_size=64]
                [precision=32|bf16|auto] [raw=false] [positive=CLASS] [cache_dir=outputs/store]
                [case=upper|mask] [ambiguity=unk|error]

RUN is a run folder (outputs/classify/mine), its model folder, or a checkpoint. What is predicted:
  records        input=FASTA, FASTQ or table (CSV, TSV, JSONL, Parquet) [sequence=sequence] [id=COLUMN]
  features       input=BED, GFF3, GTF or GenBank, genome=FASTA [features=CDS,tRNA]
  windows        input=FASTA of a genome, window_bp=150 [step_bp=25] [max_ambiguous=0.5] [threshold=0.9] [merge_bp=0]
                 [restart=false]

Output by suffix: .tsv .parquet (all classes, in the order of the input); .bedgraph .bw (one class along a genome); .bed
(features, or calls: windows above the threshold, merged) and .windows.bed (windows). Files are plain or gzip. Records
may come through a pipe: input=- is standard input, output=- writes TSV to standard output. The same command goes on
with a scan that was stopped; restart=true begins it again. strand=both writes a record for each strand, average the
mean over both. precision=auto takes bf16, about twice as fast, where the hardware computes in it; probabilities then
move by some thousandths. Probabilities are calibrated on the validation part; raw=true writes those of the network
alongside them. Letters are read as in training; case= and ambiguity= ask for
another way."""


@command
def predict() -> None:
    """Predict: `gulmfit-predict model=RUN input=FILE output=FILE.tsv`."""
    known = {
        "model": "", "input": "", "output": "", "strand": "forward", "batch_size": 64, "precision": "32", "raw": False,
        "sequence": "sequence", "id": "", "genome": "", "features": "", "window_bp": 0, "step_bp": 0,
        "max_ambiguous": "0.5", "threshold": "", "merge_bp": 0, "positive": "", "restart": False,
        "cache_dir": "outputs/store", "case": "", "ambiguity": "",
    }  # fmt: skip
    values = arguments(USAGE, known, ("model", "input", "output"), pipes=True)
    values["max_ambiguous"] = _number("max_ambiguous", values["max_ambiguous"])
    values["threshold"] = _number("threshold", values["threshold"]) if values["threshold"] else None
    log_to_stdout(errors=values["output"] == "-")
    from gulmfit.predict.commands import predict_file

    with piped(values) as files:
        predict_file(**files)


def _number(key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"{key}={text}: a number is needed.") from error
