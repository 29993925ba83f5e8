"""`gulmfit-variants`."""

from gulmfit.cli.words import arguments, command, log_to_stdout


@command
def variants() -> None:
    """Score variants: `gulmfit-variants model=RUN vcf=FILE genome=FASTA output=FILE`."""
    usage = (
        "gulmfit-variants model=RUN vcf=FILE.vcf[.gz] genome=FASTA output=FILE.vcf[.gz]|FILE.tsv|FILE.parquet\n"
        "                 [language_model=RUN] [window_bp=LENGTH] [strand=average|forward|both] [batch_size=64]\n"
        "                 [precision=32|bf16|auto] [on_mismatch=error|skip] [cache_dir=outputs/store]\n"
        "                 [case=upper|mask] [ambiguity=unk|error]\n\n"
        "How much each alternative allele changes what a classifier predicts (difference of probabilities), and how\n"
        "much more or less probable a language model finds it (log-likelihood ratio, nats). RUN is a run folder, its\n"
        "model folder, or a checkpoint; model= may be a language model alone. Windows of window_bp bases have the\n"
        "variant in their middle; the default is the length that the classifier was trained on, where its folder says\n"
        "so. REF is checked against the genome first; on_mismatch=skip leaves what differs without scores, and lists\n"
        "it in OUTPUT.mismatches.tsv. docs/variants.md says what the numbers mean."
    )
    known = {
        "model": "", "vcf": "", "genome": "", "output": "", "language_model": "", "window_bp": 0, "strand": "average",
        "batch_size": 64, "precision": "32", "on_mismatch": "error", "cache_dir": "outputs/store",
        "case": "", "ambiguity": "",
    }  # fmt: skip
    values = arguments(usage, known, ("model", "vcf", "genome", "output"))
    log_to_stdout()
    from gulmfit.predict.variant_files import score_vcf

    score_vcf(**values)
