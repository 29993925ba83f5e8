"""A made-up genome and its annotation as files: genes of few kinds of codons, on both strands, between random bases."""

from pathlib import Path

import numpy as np

from gulmfit.seq.alphabet import reverse_complement_text

CODONS = ["GCG", "CTG", "GAA", "AAA", "CGT", "ACC"]


def write_genome(folder: Path, *, seed: int = 0, genes: int = 120, contigs: int = 1) -> tuple[Path, Path]:
    """Write `genome.fa` and `genes.gff3`, contigs `c1`, `c2`, …; the last gene of each is a pseudogene."""
    generator = np.random.default_rng(seed)
    fasta, lines = [], ["##gff-version 3"]
    for number in range(1, contigs + 1):
        text = ""
        for gene in range(genes):
            text += "".join(generator.choice(list("ACGT"), generator.integers(40, 200)))
            coding = "ATG" + "".join(generator.choice(CODONS, generator.integers(40, 90))) + "TAA"
            strand = str(generator.choice(["+", "-"]))
            where = f"{len(text) + 1}\t{len(text) + len(coding)}\t.\t{strand}"
            name, pseudo = f"c{number}g{gene}", ";pseudo=true" if gene == genes - 1 else ""
            kind = "pseudogene" if pseudo else "gene"
            lines.append(f"c{number}\tmade\t{kind}\t{where}\t.\tID={name}{pseudo}")
            if not pseudo:
                lines.append(f"c{number}\tmade\tCDS\t{where}\t0\tID=cds-{name};Parent={name};transl_table=11")
            text += coding if strand == "+" else reverse_complement_text(coding)
        fasta.append(f">c{number}\n{text}\n")
    genome, annotation = folder / "genome.fa", folder / "genes.gff3"
    genome.write_text("".join(fasta))
    annotation.write_text("\n".join(lines) + "\n")
    return genome, annotation
