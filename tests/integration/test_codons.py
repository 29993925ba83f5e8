"""Codons for proteins, from coding sequences to a model, its report, and coding sequences of new proteins."""

import contextlib
import csv
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gulmfit.commands.codons import choose_codons
from gulmfit.commands.compare import compare
from gulmfit.commands.evaluate import evaluate_file
from gulmfit.commands.predict import predict_file
from gulmfit.errors import CheckpointError, ConfigError, DataError, SequenceError
from gulmfit.predict.predictor import PositionPredictor
from gulmfit.report.kinds.predictions import Predictions
from gulmfit.seq.alphabet import encode
from gulmfit.seq.formats.fasta import read_fasta
from gulmfit.seq.genome.genetic_code import CODONS, genetic_code
from gulmfit.seq.labels.codon_labels import CodonClasses, codon_classes
from gulmfit.train.runner import train

CODE = genetic_code(4)
CLASSES = CodonClasses(codon_classes(CODE))
LETTERS = list("ACDEFGHIKLMNPQRSTVWY")
TRAIN = [
    "stage=label", "recipe=codons", "data.path=cds.fa", "data.genetic_code=4", "arch.embed_size=16",
    "arch.hidden_size=24",
    "arch.summary_size=8", "label.phases=[{epochs: 8, lr: 2e-2}]", "trainer.precision=32-true",
    "callbacks.progress.refresh_rate=0",
]  # fmt: skip


def genes(count: int, seed: int) -> list[tuple[str, str]]:
    """Proteins with the first codon of each residue where D is frequent, else the last; now and then another."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        first = number % 2 == 0
        weights = np.where(np.array(LETTERS) == "D", 8.0 if first else 0.2, 1.0)
        protein = "M" + "".join(rng.choice(LETTERS, rng.integers(20, 60), p=weights / weights.sum())) + "*"
        options = [row[row >= 0] for row in CLASSES.options(CLASSES.rows_of(protein))]
        chosen = [row[0 if first else -1] if rng.random() < 0.9 else rng.choice(row) for row in options]
        chosen[0] = CLASSES.names.index("start:ATG")
        found.append((protein, "".join(CODONS[CLASSES.codons[one]] for one in chosen)))
    return found


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cwd = tmp_path_factory.mktemp("codons")
    text = "".join(f">gene{number}\n{bases}\n" for number, (_, bases) in enumerate(genes(160, 0)))
    (cwd / "cds.fa").write_text(text + ">broken\nATGAA\n")
    with contextlib.chdir(cwd):
        train([*TRAIN, "run.name=tiny"])
    return cwd / "outputs" / "label" / "tiny"


def test_a_run_learns_what_no_baseline_can(run: Path) -> None:
    found = json.loads((run / "metrics.json").read_text())
    assert found["targets"] == "codons"
    assert found["data"]["left_out"] == {"length not a multiple of 3": 1}
    assert set(found["baselines"]) == {"frequent_codon", "codon_hmm", "codon_hmm_viterbi"}
    best = max(scores["codon_match"] for scores in found["baselines"].values())
    assert found["metrics"]["test/codon_match"] > best + 0.02
    assert found["metrics"]["val/codon_match"] > 0.6
    low, high = found["ci95"]["test/nucleotide_match"]
    assert low <= found["metrics"]["test/nucleotide_match"] <= high
    gain = found["paired"]["codon_hmm"]["codon_match"]
    assert gain["difference"] == pytest.approx(
        found["metrics"]["test/codon_match"] - found["baselines"]["codon_hmm"]["codon_match"]
    )
    by_protein = found["by_protein"]
    assert by_protein["frequent_codon"]["codon_match"]["difference"] == pytest.approx(
        by_protein["model"]["codon_match"]["mean"] - by_protein["frequent_codon"]["codon_match"]["mean"]
    )
    assert by_protein["frequent_codon"]["codon_match"]["p_value"] < 0.05
    assert found["gene_favourites"]["codon_match"] >= found["metrics"]["test/codon_match"]
    assert {"genes", "model", "codon_hmm", "gene_favourites"} <= set(found["codon_use"])
    page = (run / "report.html").read_text()
    for text in (
        "Codon labeller: tiny",
        "codon HMM, posterior",
        "Protein by protein",
        "codon adaptation index",
        "codon match",
    ):
        assert text in page


def test_predictions_are_written_and_read_again(run: Path) -> None:
    known = Predictions.read(run / "predictions")
    found = json.loads((run / "metrics.json").read_text())
    wanted = {one.id: one.sequence for one in read_fasta(run.parents[2] / "cds.fa")}
    for row in rows(run / "predictions" / "test.tsv"):
        assert row["codons"] == wanted[row["id"]]
    judge = PositionPredictor.load(run).kind(known.classes)
    scores = judge.scores(known.labels, known.by_model["model"])
    assert scores["codon_match"] == pytest.approx(found["metrics"]["test/codon_match"], abs=2e-3)  # of four decimals
    compare([str(run), str(run)])


def test_evaluation_and_its_refusals(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("new.fa").write_text("".join(f">n{number}\n{bases}\n" for number, (_, bases) in enumerate(genes(30, 1))))
    data = ["data=codons", "data.path=new.fa"]
    found = evaluate_file([*data, "data.genetic_code=4"], model=str(run), output="scored")
    assert found["metrics"]["test/codon_match"] > 0.6
    assert set(found["codon_use"]) == {"genes", "model", "gene_favourites"}
    with pytest.raises(DataError, match=r"new\.fa.*W:TGA|'\*:TGA'"):
        evaluate_file([*data, "data.genetic_code=11"], model=str(run))
    with pytest.raises(ConfigError, match="gulmfit-codons"):
        predict_file(model=str(run), input="new.fa", output="x.tsv")
    with pytest.raises(ConfigError, match="head=Labeller learns positions"):
        train([*TRAIN, "data.path=new.fa", "head=labeller"])
    with pytest.raises(ConfigError, match="genetic code 99"):
        train([*TRAIN, "data.path=new.fa", "data.genetic_code=99"])


@pytest.fixture
def proteins(tmp_path: Path) -> Path:
    path = tmp_path / "proteins.fa"
    texts = [protein for protein, _ in genes(40, 2)]
    texts[3:6] = ["MKWO*", "KLM", "m"]  # pyrrolysine; no start; the least
    path.write_text("".join(f">p{number} told\n{text}\n" for number, text in enumerate(texts)))
    return path


@pytest.mark.parametrize("temperature", [0.0, 0.3, 1.0, 50.0])
def test_every_coding_sequence_translates_back(run: Path, proteins: Path, tmp_path: Path, temperature: float) -> None:
    output = tmp_path / "cds.fna"
    assert choose_codons(model=str(run), input=str(proteins), output=str(output), temperature=temperature) == 40
    for one, protein in zip(read_fasta(output), read_fasta(proteins), strict=True):
        wanted = protein.sequence.upper().rstrip("*")
        assert one.id == protein.id
        assert CODE.translate(encode(one.sequence)) == f"{wanted.replace('O', '*')}*"
        assert (one.sequence[9:12] == "TAG") is (wanted == "MKWO") or wanted != "MKWO"


def test_draws_are_those_of_the_model(run: Path, proteins: Path, tmp_path: Path) -> None:
    def drawn(**words: Any) -> list[str]:
        choose_codons(model=str(run), input=str(proteins), output=str(tmp_path / "o.fa"), **words)
        return [one.sequence for one in read_fasta(tmp_path / "o.fa")]

    assert drawn() == drawn(seed=5) == drawn(batch_size=3)
    assert drawn(temperature=1.0, seed=1) == drawn(temperature=1.0, seed=1, batch_size=2)
    assert drawn(temperature=1.0, seed=1) != drawn(temperature=1.0, seed=2)
    predictor = PositionPredictor.load(run)
    protein = "MDDKLAAGGRR*"
    probabilities = predictor.predict([protein])[0]
    names = [CODONS[CLASSES.codons[one]] for one in CLASSES.options(CLASSES.rows_of(protein))[3, :2]]
    (tmp_path / "many.fa").write_text("".join(f">a{number}\n{protein}\n" for number in range(800)))
    proteins = tmp_path / "many.fa"
    for temperature in (1.0, 0.5):
        share = Counter(text[9:12] for text in drawn(temperature=temperature))
        wanted = probabilities[3, :2] ** (1 / temperature)
        assert share[names[0]] / 800 == pytest.approx(wanted[0] / wanted.sum(), abs=0.06)
    likeliest = drawn()[0]
    assert [likeliest[3 * at : 3 * at + 3] for at in range(len(protein))] == [
        CODONS[CLASSES.codons[row[place]]]
        for row, place in zip(CLASSES.options(CLASSES.rows_of(protein)), probabilities.argmax(axis=1), strict=True)
    ]


def test_start_and_stop_are_chosen_or_given(run: Path, proteins: Path, tmp_path: Path) -> None:
    words = {"model": str(run), "input": str(proteins), "output": str(tmp_path / "o.fa")}
    choose_codons(**words, start="ttg", stop="none")  # type: ignore[arg-type]
    found = [one.sequence for one in read_fasta(tmp_path / "o.fa")]
    kinds = [one.sequence.upper().rstrip("*") for one in read_fasta(proteins)]
    for text, protein in zip(found, kinds, strict=True):
        assert len(text) == 3 * len(protein)
        assert (text[:3] == "TTG") is (protein[0] == "M")
    choose_codons(**words, stop="TAG")  # type: ignore[arg-type]
    assert all(one.sequence.endswith("TAG") for one in read_fasta(tmp_path / "o.fa"))
    for wrong in ({"stop": "TGA"}, {"start": "AAA"}, {"temperature": -1.0}, {"seed": -1}, {"batch_size": 0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            choose_codons(**words, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"o\.txt"):
        choose_codons(**{**words, "output": str(tmp_path / "o.txt")})


@pytest.mark.parametrize(
    ("text", "position", "letter"), [("MKXL", 2, "X"), ("MK*L", 2, "*"), ("*", 0, "*"), ("MU", 1, "U")]
)
def test_a_residue_without_codon_is_named(run: Path, tmp_path: Path, text: str, position: int, letter: str) -> None:
    path = tmp_path / "in.fa"
    path.write_text(f">fine\nMK\n>wrong\n{text}\n")
    with pytest.raises(SequenceError, match=re.escape(f"in.fa, record 'wrong', position {position}: '{letter}'")):
        choose_codons(model=str(run), input=str(path), output=str(tmp_path / "o.fa"))
    assert not (tmp_path / "o.fa").exists()


def test_another_model_is_refused(proteins: Path, tmp_path: Path) -> None:
    fixtures = Path(__file__).resolve().parents[1] / "fixtures" / "models_of_0_1" / "classes"
    with pytest.raises(CheckpointError, match="stage=label"):
        choose_codons(model=str(fixtures), input=str(proteins), output=str(tmp_path / "o.fa"))
