"""`gulmfit-embed`."""

from gulmfit.cli.pipes import piped
from gulmfit.cli.words import arguments, command, log_to_stdout


@command
def embed() -> None:
    """Embed: `gulmfit-embed model=RUN input=FILE output=FILE.parquet`."""
    usage = (
        "gulmfit-embed model=RUN input=FILE output=FILE.parquet|.npz [level=sequence|token|base] [layer=last]\n"
        "              [pooling=concat|mean|max|last] [strand=forward|average] [batch_size=64] [map=FILE.html]\n"
        "              [label=COLUMN] [sequence=sequence] [id=COLUMN] [precision=32|bf16|auto] [seed=0]\n"
        "              [case=upper|mask] [ambiguity=unk|error]\n\n"
        "Vectors from the encoder of a language model or a classifier. RUN is a run folder, its model folder, or a\n"
        "checkpoint; FILE a FASTA or a table (CSV, TSV, JSONL, Parquet). One vector a sequence, pooled; or one a\n"
        "token or a base. layer=0 is the embedding of the tokens, 1 the first recurrent layer. strand=average gives\n"
        "a sequence and its reverse complement the same vectors. map= draws the sequences in the plane, coloured by\n"
        "label=, with the accuracy of nearest neighbours beside it. .npz is held in memory, .parquet is not."
    )
    known = {
        "model": "", "input": "", "output": "", "level": "sequence", "layer": "last", "pooling": "concat",
        "strand": "forward", "batch_size": 64, "precision": "32", "sequence": "sequence", "id": "", "label": "",
        "map": "", "seed": 0, "case": "", "ambiguity": "",
    }  # fmt: skip
    values = arguments(usage, known, ("model", "input", "output"), pipes=True)
    log_to_stdout(errors=values["output"] == "-")
    from gulmfit.predict.embed_file import embed_file

    with piped(values, text_output=False) as files:
        embed_file(**files)
