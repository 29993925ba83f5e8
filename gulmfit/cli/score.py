"""`gulmfit-score`."""

from gulmfit.cli.pipes import piped
from gulmfit.cli.words import arguments, command, log_to_stdout


@command
def score() -> None:
    """Score: `gulmfit-score model=RUN input=FILE output=FILE.bedgraph`."""
    usage = (
        "gulmfit-score model=RUN input=FILE output=FILE.bedgraph|.bw|.tsv [window_bp=1000] [step_bp=window_bp]\n"
        "              [strand=forward|average] [batch_size=64] [precision=32|bf16|auto] [sequence=sequence]\n"
        "              [id=COLUMN] [case=upper|mask] [ambiguity=split|unk|error]\n\n"
        "Bits per base under a language model: 2 is knowing nothing, less is expected, more is a surprise. RUN is a\n"
        "run folder (outputs/pretrain/mine), its model folder, or a checkpoint. A track (.bedgraph, .bw) has a value\n"
        "for every step_bp bases of a genome: that of the window_bp bases around them, each base given all bases\n"
        "before it in its contig. A table (.tsv) has a row for every record of a FASTA or of a table of sequences.\n"
        "strand=average takes the mean of both strands and twice the time."
    )
    known = {
        "model": "", "input": "", "output": "", "window_bp": 1000, "step_bp": 0, "strand": "forward",
        "batch_size": 64, "precision": "32", "sequence": "sequence", "id": "", "case": "",
        "ambiguity": "",
    }  # fmt: skip
    values = arguments(usage, known, ("model", "input", "output"), pipes=True)
    log_to_stdout(errors=values["output"] == "-")
    from gulmfit.predict.score import score_file

    with piped(values) as files:
        score_file(**files)
