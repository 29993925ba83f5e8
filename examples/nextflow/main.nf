// Train on a table, predict new sequences; learn the genes of an annotated genome, annotate another.
//     nextflow run examples/nextflow --table labelled.csv --sequences new.fa \
//         --genome genome.fa.gz --genes genes.gff3.gz --relative relative.fa.gz
nextflow.enable.dsl = 2

process TRAIN {
    publishDir params.outdir, mode: 'copy'
    cpus 4
    memory '8 GB'

    input:
    path table

    output:
    path 'outputs/classify/mine'

    script:
    """
    gulmfit-train stage=classify data=table data.path=${table} run.name=mine
    """
}

process PREDICT {
    publishDir params.outdir, mode: 'copy'
    cpus 4

    input:
    path model
    path sequences

    output:
    path 'predictions.tsv*'

    script:
    """
    gulmfit-predict model=${model} input=${sequences} output=predictions.tsv
    """
}

process LEARN_GENES {
    publishDir params.outdir, mode: 'copy'
    cpus 4
    memory '16 GB'

    input:
    path genome
    path genes

    output:
    path 'outputs/label/genes'

    script:
    """
    gulmfit-train stage=label head=tracks data=annotation data.genome=${genome} data.annotation=${genes} \\
        split=column data.valid_fraction=0.1 data.test_fraction=0.2 tokenizer.k=3 tokenizer.stride=3 run.name=genes
    """
}

process ANNOTATE {
    publishDir params.outdir, mode: 'copy'
    cpus 4

    input:
    path model
    path relative

    output:
    path 'genes.gff3'
    path 'proteins.faa'

    script:
    """
    gulmfit-annotate model=${model} input=${relative} output=genes.gff3,proteins.faa
    """
}

workflow {
    PREDICT(TRAIN(file(params.table)), file(params.sequences))
    ANNOTATE(LEARN_GENES(file(params.genome), file(params.genes)), file(params.relative))
}
