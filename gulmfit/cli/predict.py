"""`gulmfit-predict`."""

from gulmfit.cli.words import arguments, command, log_to_stdout


@command
def predict() -> None:
    """Predict: `gulmfit-predict model=RUN input=FILE output=FILE.tsv`."""
    usage = (
        "gulmfit-predict model=RUN input=FILE output=FILE.tsv [strand=forward|average] [batch_size=64]\n"
        "                [precision=32|bf16|auto] [raw=false] [sequence=sequence] [id=COLUMN]\n\n"
        "RUN is a run folder (outputs/classify/mine), its model folder, or a checkpoint. FILE is a FASTA (plain, gz,\n"
        "bgz) or a table (CSV, TSV, JSONL, Parquet) with a column of sequences. One probability column a class, in\n"
        "input order. precision=auto takes bf16, about twice as fast, where the hardware computes in it; then\n"
        "probabilities move by some thousandths. Probabilities are calibrated on the validation part; raw=true writes\n"
        "those of the network beside them."
    )
    known = {
        "model": "", "input": "", "output": "", "strand": "forward", "batch_size": 64, "precision": "32", "raw": False,
        "sequence": "sequence", "id": "",
    }  # fmt: skip
    values = arguments(usage, known, ("model", "input", "output"))
    log_to_stdout()
    from gulmfit.predict.commands import predict_file

    predict_file(**values)
