"""What `--help` shows of each command at work; a test reads every line as the command would."""

EXAMPLES = {
    "evaluate": (
        "model=outputs/classify/mine data=table data.path=other.csv",
        "model=outputs/classify/mine data=table data.path=other.csv output=outputs/evaluate/other",
    ),
    "predict": (
        "model=outputs/classify/mine input=contigs.fa.gz output=hits.tsv",
        "model=outputs/classify/mine input=genes.gff3 genome=genome.fa.gz features=CDS output=genes.bed",
        "model=outputs/classify/mine input=genome.fa.gz window_bp=150 step_bp=25 output=scan.bw,hits.bed",
        "model=outputs/classify/mine input=- output=- < reads.fa | sort -k3,3gr | head",
    ),
    "annotate": ("model=outputs/label/genes input=genome.fa.gz output=genes.gff3,proteins.faa",),
    "pseudolabel": ("model=outputs/label/genes genome=stranger.fa.gz output=outputs/pseudo/stranger",),
    "variants": (
        "model=outputs/classify/mine vcf=calls.vcf.gz genome=genome.fa.gz output=scored.vcf.gz",
        "model=bacteria vcf=- genome=genome.fa.gz window_bp=501 output=- < calls.vcf | bcftools view",
    ),
    "embed": ("model=bacteria input=labelled.csv output=vectors.parquet label=label map=map.html",),
    "score": (
        "model=bacteria input=genome.fa.gz output=bits.bedgraph window_bp=1000",
        "model=bacteria input=- output=- < reads.fa",
    ),
    "explain": ("model=outputs/classify/mine input=peaks.fa output=scores.tsv,report.html",),
    "motifs": ("model=outputs/classify/mine input=peaks.fa output=motifs database=jaspar.meme",),
    "generate": (
        "model=bacteria output=samples.fasta num_sequences=200 compare=genome.fa.gz",
        "model=bacteria output=- num_sequences=10 length_bp=300",
    ),
    "codons": (
        "model=outputs/label/codons input=proteins.fa output=cds.fa temperature=0",
        "model=outputs/label/codons input=- output=- < proteins.fa",
    ),
    "tokens": ("input=genome.fa.gz tokenizers=kmer:5:2,kmer:3:3,bpe:512 output=outputs/tokens",),
    "inspect": ("model=outputs/pretrain/mine model=bacteria output=outputs/inspect",),
    "models": ("", "name=bacteria"),
    "completion": ("bash > ~/.gulmfit-completion", "zsh > ~/.gulmfit-completion"),
    "export onnx": ("model=outputs/classify/mine output=mine.onnx",),
    "export card": ("model=outputs/classify/mine output=README.md",),
    "export push": ("model=outputs/classify/mine repo=NAME/mine",),
    "export pull": ("repo=NAME/mine output=outputs/hub/mine",),
    "export fastai": ("model=outputs/pretrain/mine output=for_fastai",),
}
