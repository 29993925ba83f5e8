"""From an annotation and a genome to a classifier, and its predictions for reads, through the commands."""

import hashlib
import json
from pathlib import Path

import numpy as np

from gulmfit.predict.predictor import Predictor

from .conftest import run


def test_a_classifier_of_features_and_reads_to_score(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    letters = rng.choice(list("ACGT"), 40_000)
    lines = ["##gff-version 3"]
    for number, start in enumerate(range(200, 39_800, 200)):
        kind = "tRNA" if number % 2 else "CDS"
        letters[start : start + 60] = rng.choice(list("GC" if kind == "tRNA" else "AT"), 60)
        lines.append(f"c1\tmade\t{kind}\t{start + 1}\t{start + 60}\t.\t{'+-'[number % 2]}\t.\tID=f{number}")
    (tmp_path / "genome.fa").write_text(f">c1\n{''.join(letters)}\n")
    (tmp_path / "genes.gff3").write_text("\n".join(lines))
    words = ["data=intervals", "data.path=genes.gff3", "data.genome=genome.fa", "data.label=kind", "data.flank_bp=5"]
    words += ["split=position", "split.block_bp=2000", "arch=awd_lstm_tiny", "run.name=features"]
    run("stage=classify", *words, "trainer.max_steps=2", "callbacks.progress.refresh_rate=0", cwd=tmp_path)
    folder = tmp_path / "outputs" / "classify" / "features"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert sum(metrics["data"]["counts"].values()) == len(lines) - 1
    sums = [hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("genes.gff3", "genome.fa")]
    files = [{"name": "genes.gff3", "sha256": sums[0]}, {"name": "genome.fa", "sha256": sums[1]}]
    assert metrics["data"]["files"] == files
    assert metrics["leakage"]["pairs"]["train->test"]["coordinates"]["count"] == 0

    texts = ["".join(rng.choice(list("ACGT"), 70)) for _ in range(3)]
    (tmp_path / "reads.fastq").write_text("".join(f"@r{n}\n{text}\n+\n{'I' * 70}\n" for n, text in enumerate(texts)))
    run(f"model={folder}", "input=reads.fastq", "output=reads.tsv", cwd=tmp_path, command="predict")
    header, *rows = [line.split("\t") for line in (tmp_path / "reads.tsv").read_text().splitlines()]
    assert header == ["id", "CDS", "tRNA", "predicted"]
    predicted = np.array([[float(cell) for cell in cells] for _, *cells, _ in rows])
    np.testing.assert_allclose(predicted, Predictor.load(folder).predict(texts), atol=1e-6)
