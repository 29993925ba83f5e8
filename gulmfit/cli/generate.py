"""`gulmfit-generate`."""

from gulmfit.cli.words import arguments, command, log_to_stdout


@command
def generate() -> None:
    """Generate: `gulmfit-generate model=RUN output=FILE.fasta`."""
    usage = (
        "gulmfit-generate model=RUN output=FILE.fasta [num_sequences=100] [length_bp=1000] [temperature=1.0]\n"
        "                 [top_k=0] [prompt=ACGT] [seed=0] [batch_size=64] [compare=GENOME.fa.gz]\n\n"
        "Draws sequences from a language model. RUN is a run folder (outputs/pretrain/mine), its model folder, or a\n"
        "checkpoint. temperature=1 draws from the model itself, 0 takes the most probable token every time; top_k\n"
        "draws from so many of the most probable tokens alone (0: all). Every sequence begins with the prompt.\n"
        "compare= sets k-mer spectra, GC, dinucleotides and repeats of the samples beside those of a Markov model's\n"
        "samples and of pieces of the genome, as a table and as FILE.html."
    )
    known = {
        "model": "", "output": "", "num_sequences": 100, "length_bp": 1000, "temperature": 1.0, "top_k": 0,
        "prompt": "", "seed": 0, "batch_size": 64, "compare": "",
    }  # fmt: skip
    values = arguments(usage, known, ("model", "output"))
    log_to_stdout()
    from gulmfit.predict.samples import generate_file

    generate_file(**values)
