"""`gulmfit-variants` as a user meets it: trained models, a genome, a VCF."""

from itertools import pairwise
from pathlib import Path

import numpy as np

from gulmfit.predict.predictor import Predictor
from gulmfit.seq.formats.vcf import Vcf

from .conftest import Trained, run

GENOME = "".join(np.random.default_rng(5).choice(list("ACGT"), size=1_000))


def test_the_command_scores_a_vcf(trained: Trained) -> None:
    cwd = trained.cwd
    (cwd / "genome.fa").write_text(f">chr1\n{GENOME}\n")
    ref, alt = GENOME[499], "G" if GENOME[499] != "G" else "A"
    header = "##fileformat=VCFv4.3\r\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\r\n"
    (cwd / "calls.vcf").write_text(f"{header}chr1\t500\t.\t{ref}\t{alt},<DEL>\t.\tPASS\t.\r\n", newline="")
    words = ["vcf=calls.vcf", "genome=genome.fa", "output=scored.vcf.gz"]
    models = ["model=outputs/ulmfit/tiny", "language_model=outputs/ulmfit/tiny/pretrain"]
    printed = run(*models, *words, "window_bp=151", cwd=cwd, command="variants").stdout
    assert "scored.vcf.gz: 1 alleles scored" in printed
    assert "not scored: 1 symbolic, the first: calls.vcf, line 3, chr1:500, ALT '<DEL>'" in printed
    (record,) = Vcf(cwd / "scored.vcf.gz").records()
    info = dict(word.split("=") for word in record.fields[7].split(";"))
    windows = [GENOME[424:499] + base + GENOME[500:575] for base in (ref, alt)]
    predictor = Predictor.load(trained.folder)
    expected = predictor.predict(windows, strand="average")[:, predictor.classes.index(predictor.positive)]
    found = [float(info[name].split(",")[0]) for name in ("GULMFIT_REF", "GULMFIT_ALT", "GULMFIT_DP")]
    np.testing.assert_allclose(found, [*expected, expected[1] - expected[0]], atol=3e-6)
    assert info["GULMFIT_LLR"] != ".,."
    assert info["GULMFIT_NOTE"] == ".,symbolic"


def test_a_wrong_genome_is_told_without_a_traceback(trained: Trained) -> None:
    cwd: Path = trained.cwd
    (cwd / "wrong.fa").write_text(f">chr1\n{GENOME[1:]}\n")
    other = str.maketrans("ACGT", "TGCA")
    snvs = [(start + 1, GENOME[start], GENOME[start].translate(other)) for start in range(100, 200)]
    lines = [f"chr1\t{position}\t.\t{ref}\t{alt}\t.\t.\t.\n" for position, ref, alt in snvs]
    (cwd / "wrong.vcf").write_text("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "".join(lines))
    words = ["model=outputs/ulmfit/tiny", "vcf=wrong.vcf", "output=wrong.tsv", "window_bp=151", "genome=wrong.fa"]
    result = run(*words, cwd=cwd, command="variants", check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("DataError: wrong.vcf: ")
    assert "0-based positions?" in result.stderr
    assert not (cwd / "wrong.tsv").exists()
    run(*words, "on_mismatch=skip", cwd=cwd, command="variants")
    differing = sum(one != other for one, other in pairwise(GENOME[100:201]))
    assert len((cwd / "wrong.tsv.mismatches.tsv").read_text().splitlines()) == 1 + differing
    assert (cwd / "wrong.tsv").read_text().count("ref_mismatch") == differing
