"""Proteins go the whole way: language model, classifier, predictions, vectors, scores, samples."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from .conftest import run

LETTERS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
TINY = ["alphabet=protein", "arch=awd_lstm_tiny", "tokenizer.k=1", "tokenizer.stride=1", "trainer.max_steps=12"]


def proteins(count: int, seed: int, favoured: str) -> list[str]:
    """Draw proteins of 60 to 120 residues, some amino acids five times as frequent as others."""
    random = np.random.default_rng(seed)
    weights = np.where(np.isin(LETTERS, list(favoured)), 5.0, 1.0)
    return ["".join(random.choice(LETTERS, random.integers(60, 121), p=weights / weights.sum())) for _ in range(count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model of proteins and a classifier that started from it, beside the files they learned."""
    folder = tmp_path_factory.mktemp("proteins")
    texts = {"membrane": proteins(60, 1, "LIVFAG"), "soluble": proteins(60, 2, "DEKRQN")}
    everything = [text for group in texts.values() for text in group]
    # A stop at the end and a selenocysteine, as translated genes have them.
    fasta = "".join(f">p{number}\n{text}U{text[:20]}*\n" for number, text in enumerate(everything))
    (folder / "proteome.faa").write_text(fasta)
    rows = [f"{text},{name}" for name, group in texts.items() for text in group]
    (folder / "labelled.csv").write_text("sequence,label\n" + "\n".join(rows) + "\n")
    words = ["data.path=proteome.faa", "pretrain.batch_size=8", "holdout.margin_bp=0"]
    printed = run("stage=pretrain", "data=fasta", *words, *TINY, cwd=folder).stdout
    assert "bits per residue on held-out" in printed
    assert "knowing nothing: 4.32" in printed
    words = ["data.path=labelled.csv", "classify.batch_size=16", "init_from=outputs/pretrain/default"]
    run("stage=classify", "data=table", *words, *TINY, cwd=folder)
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def test_training_counts_residues_and_has_the_baselines_of_proteins(folder: Path) -> None:
    learned = json.loads((folder / "outputs/pretrain/default/metrics.json").read_text())
    assert learned["data"]["strands"] == "forward"
    assert "gc" not in learned["data"]["store"]
    assert 3.0 < learned["baselines"]["markov"]["bits_per_base"] < np.log2(20)
    classified = json.loads((folder / "outputs/classify/default/metrics.json").read_text())
    assert {"composition", "kmer_logistic", "onehot_logistic"} < set(classified["baselines"])
    assert not {"gc", "dinucleotide"} & set(classified["baselines"])
    assert classified["baselines"]["composition"]["accuracy"] == 1.0  # it is how they were drawn
    assert classified["leakage"]["pairs"]["train->test"]["reverse_complement"] is None
    assert classified["leakage"]["pairs"]["train->test"]["any"]["count"] == 0
    assert classified["leakage"]["corpus"]["test"]["fraction"] == 1.0  # the language model has read them


def test_every_command_reads_them(folder: Path) -> None:
    model, language_model = "model=outputs/classify/default", "model=outputs/pretrain/default"
    run(model, "input=proteome.faa", "output=hits.tsv", command="predict", cwd=folder)
    assert len(table(folder / "hits.tsv")) == 120
    run(model, "data=table", "data.path=labelled.csv", "output=again", command="evaluate", cwd=folder)
    assert json.loads((folder / "again" / "metrics.json").read_text())["data"]["counts"] == {"test": 120}
    run(model, "input=proteome.faa", "output=vectors.npz", command="embed", cwd=folder)
    run(language_model, "input=proteome.faa", "output=bits.tsv", command="score", cwd=folder)
    scored = [float(row["bits_per_base"]) for row in table(folder / "bits.tsv")]
    assert 3.0 < np.mean(scored) < 5.0
    words = ["output=drawn.fasta", "num_sequences=3", "length_bp=50"]
    run(language_model, *words, command="generate", cwd=folder)
    drawn = [line for line in (folder / "drawn.fasta").read_text().splitlines() if not line.startswith(">")]
    assert [len(line) for line in drawn] == [50, 50, 50]
    assert set("".join(drawn)) <= set(LETTERS)


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        ("predict", "input=proteome.faa output=x.tsv strand=average", "has no reverse complement"),
        ("predict", "input=proteome.faa output=x.bed window_bp=30", "reads protein sequences, and a genome has none"),
        ("embed", "input=proteome.faa output=x.npz strand=average", "has no reverse complement"),
        ("variants", "vcf=x.vcf genome=genome.fa output=y.vcf window_bp=30", "variants lie in genomes"),
    ],
)
def test_what_needs_a_genome_or_two_strands_is_refused(folder: Path, command: str, words: str, message: str) -> None:
    (folder / "genome.fa").write_text(f">chr1\n{'ACGT' * 20}\n")
    (folder / "x.vcf").write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
    failed = run("model=outputs/classify/default", *words.split(), command=command, cwd=folder, check=False)
    assert failed.returncode == 1
    assert message in failed.stdout + failed.stderr


def test_a_genome_read_as_proteins_or_proteins_as_a_genome_are_refused(folder: Path) -> None:
    failed = run("stage=pretrain", "run.name=x", "data=fasta", "data.path=proteome.faa", cwd=folder, check=False)
    assert failed.returncode == 1
    assert "record 'p0', position 9: 'Q' " in failed.stdout + failed.stderr
    assert "give alphabet=protein" in failed.stdout + failed.stderr
    failed = run("stage=pretrain", "run.name=x", "data=synthetic", "alphabet=protein", cwd=folder, check=False)
    assert failed.returncode == 1
    assert "data.alphabet=dna differ" in failed.stdout + failed.stderr
