"""`gulmfit-tokens`."""

from typing import Any

from gulmfit.cli.words import arguments, command, log_to_stdout


@command
def tokens() -> None:
    """Compare tokenizers on a corpus: `gulmfit-tokens input=FASTA tokenizers=kmer:5:2,bpe:512`."""
    usage = (
        "gulmfit-tokens input=FASTA|TABLE [tokenizers=kmer:5:2,kmer:3:3,bpe:512,unigram:512] [output=FOLDER]\n"
        "               [steps=300] [seed=0] [alphabet=dna|rna|protein]\n\n"
        "Says what tokenizers make of a corpus (vocabulary, bases per token, entropy, speed), and how many bits a\n"
        "base a small language model needs with each after reading as many bases, on a tenth that is held out.\n"
        "tokenizers= are kmer:K:STRIDE; bpe:SIZE and unigram:SIZE, which are learned; run or model folders; or files\n"
        "tokenizer.json. steps=0 leaves the language models out. With output= tables and figures are written to\n"
        "FOLDER/tokens.html and tokens.json, and the learned tokenizers beside them, for tokenizer.path=."
    )
    known: dict[str, Any] = {
        "input": "",
        "tokenizers": "kmer:5:2,kmer:3:3,bpe:512,unigram:512",
        "output": "",
        "steps": 300,
        "seed": 0,
        "alphabet": "dna",
    }
    values = arguments(usage, known, ("input",))
    log_to_stdout()
    from gulmfit.train.tokens import compare_tokens

    compare_tokens(**values)
