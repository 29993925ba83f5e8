"""A class for every base, from a simulation or a table to predictions, with the ceilings of the simulation."""

import contextlib
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gulmfit.checkpoint import load
from gulmfit.commands.compare import compare
from gulmfit.commands.evaluate import evaluate_file
from gulmfit.commands.predict import predict_file
from gulmfit.commands.variants import score_vcf
from gulmfit.errors import CheckpointError, ConfigError, DataError, GulmfitError
from gulmfit.predict.predictor import PositionPredictor, Predictor
from gulmfit.report.kinds.predictions import Predictions
from gulmfit.train.runner import train

TRAIN = [
    "stage=label", "arch=awd_lstm_tiny", "tokenizer.k=3", "tokenizer.stride=1", "label.batch_size=16",
    "label.phases=[{epochs: 10, lr: 2e-2}]", "label.drop_mult=0.0", "trainer.precision=32-true",
    "callbacks.progress.refresh_rate=0", "arch.strands=forward",
]  # fmt: skip
SIMULATED = [
    "data=hmm", "hmm=tutorial", "data.num_train=96", "data.num_valid=24", "data.num_test=60", "data.length_bp=120",
]  # fmt: skip


def metrics(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metrics.json").read_text())  # type: ignore[no-any-return]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cwd = tmp_path_factory.mktemp("labelling")
    with contextlib.chdir(cwd):
        train([*TRAIN, *SIMULATED, "run.name=states"])
    return cwd / "outputs" / "label" / "states"


def test_a_tiny_run_learns_what_the_lookup_knows(run: Path) -> None:
    found = metrics(run)
    assert found["targets"] == "positions"
    reached = {name: scores["accuracy"] for name, scores in found["ceilings"].items()}
    assert set(reached) == {"posterior", "filter", "viterbi", "lookup", "majority"}
    assert found["ceiling"] == "filter"
    assert {"majority", "base_lookup", "window_lookup", "window_logistic"} == set(found["baselines"])
    low, high = found["ci95"]["test/accuracy"]
    assert low <= found["metrics"]["test/accuracy"] <= high
    gap = found["ceilings"]["lookup"]["gap"]["accuracy"]
    assert gap["difference"] == pytest.approx(found["metrics"]["test/accuracy"] - reached["lookup"])
    assert gap["difference"] > -0.01  # 7,200 positions: .01 is two to three standard errors
    assert found["metrics"]["test/accuracy"] > reached["majority"] + 0.02
    assert found["metrics"]["test/log_loss"] == pytest.approx(found["ceilings"]["filter"]["log_loss"], abs=0.01)
    page = (run / "report.html").read_text()
    for text in (
        "Labeller: states",
        "ceiling: posterior",
        "The exact ceiling (filter) is",
        "Each class by itself",
        "The worst test sequence",
    ):
        assert text in page


def test_predictions_are_those_of_each_sequence_alone(run: Path) -> None:
    predictor = PositionPredictor.load(run)
    rng = np.random.default_rng(0)
    sequences = ["".join(rng.choice(list("ACGT"), length)) for length in (3, 50, 7, 120, 4)]
    together = predictor.predict(sequences, batch_size=5)
    for at, sequence in enumerate(sequences):
        alone = predictor.predict([sequence], batch_size=1)[0]
        assert alone.shape == (len(sequence), 2)
        np.testing.assert_allclose(together[at, : len(sequence)], alone, atol=1e-6)
        assert (together[at, len(sequence) :] == 0).all()
    np.testing.assert_allclose(predictor.predict(sequences[::-1], batch_size=2)[::-1], together, atol=1e-6)


def test_a_line_a_record_has_a_letter_a_base(run: Path, tmp_path: Path) -> None:
    known = Predictions.read(run / "predictions")
    fasta = tmp_path / "in.fa"
    sequences = {"short": "ACG", "n": "ACGNNACGTTA"}
    fasta.write_text("".join(f">{name}\n{text}\n" for name, text in sequences.items()))
    predict_file(model=str(run), input=str(fasta), output=f"{tmp_path}/out.tsv,{tmp_path}/out.parquet")
    found = rows(tmp_path / "out.tsv")
    assert [row["id"] for row in found] == list(sequences)
    predicted = PositionPredictor.load(run).predict(list(sequences.values()))
    for row, scores in zip(found, predicted, strict=True):
        length = len(sequences[row["id"]])
        assert row["labels"] == "".join("HL"[at] for at in scores[:length].argmax(axis=1))
    assert known.by_model["model"].shape == (60, 120, 2)


def test_what_does_not_go_with_a_labeller_is_refused(run: Path, tmp_path: Path) -> None:
    fasta = tmp_path / "in.fa"
    fasta.write_text(">a\nACGTACGT\n")
    words = {"model": str(run), "input": str(fasta), "output": f"{tmp_path}/out.tsv"}
    for more in ({"window_bp": 4}, {"strand": "both"}, {"raw": True}):
        with pytest.raises(ConfigError, match=r"positions .*window_bp=, genome=, strand="):
            predict_file(**words, **more)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match=r"Labeller: .*stage=classify"):
        Predictor.load(run)
    vcf = tmp_path / "in.vcf"
    vcf.write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\na\t2\t.\tC\tG\t.\t.\t.\n")
    with pytest.raises(GulmfitError, match=r"Labeller: .*stage=classify"):
        score_vcf(model=str(run), vcf=str(vcf), genome=str(fasta), output=f"{tmp_path}/out.vcf")
    assert not (tmp_path / "out.tsv").exists()


def test_a_classifier_does_not_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fixtures = Path(__file__).resolve().parents[1] / "fixtures" / "models_of_0_1" / "classes"
    with pytest.raises(CheckpointError, match=r"SequenceClassifier: .*stage=label"):
        PositionPredictor.load(fixtures)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="head=SequenceClassifier learns classes"):
        train([*TRAIN, *SIMULATED, "head=classifier"])
    with pytest.raises(ConfigError, match=r"\bpositions\b.*head=SequenceClassifier"):
        train(["stage=classify", *SIMULATED])


def test_a_table_is_learned_and_evaluated(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    lines = ["dna\thidden_state"]
    for length in rng.integers(20, 60, 60):
        text = "".join(rng.choice(list("ACGT"), length))
        states = "".join("H" if base in "CG" else "L" for base in text)
        lines.append(f"{text}\t{states[:-2]}..")
    (tmp_path / "states.tsv").write_text("\n".join(lines) + "\n")
    table = ["data=table", "data.path=states.tsv", "data.sequence=dna", "data.label=hidden_state"]
    words = ["label.phases=[{epochs: 8, lr: 2e-2}]", "loss.class_weights=balanced", "loss.transition_weight=2"]
    train([*TRAIN, *table, *words, "run.name=table", "reverse_complement_p=0.5"])
    found = metrics(tmp_path / "outputs/label/table")
    assert found["metrics"]["test/accuracy"] > 0.95
    assert "ceilings" not in found
    assert found["data"]["classes"]["test"].keys() == {"H", "L"}
    scored = evaluate_file(table, model=str(run), output="scored")
    assert scored["metrics"]["test/accuracy"] > 0.9  # the tutorial's lookup calls G and C high
    assert len(rows(tmp_path / "scored/predictions/evaluate.tsv")) == 60
    (tmp_path / "states.tsv").write_text("\n".join([*lines, "ACGTACGT\tHHH"]) + "\n")
    with pytest.raises(DataError, match=r"states\.tsv, line 62: 3 labels .*\b8 letters"):
        train([*TRAIN, *table, "run.name=broken"])


def test_the_ceilings_stand_beside_an_evaluation(run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    found = evaluate_file(SIMULATED, model=str(run))
    assert found["ceilings"]["posterior"]["accuracy"] >= found["ceilings"]["majority"]["accuracy"]
    assert found["ceiling"] == "filter"


def test_a_run_is_resumed_bit_for_bit_and_compared(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parents[2])
    words = [*TRAIN, *SIMULATED, "label.phases=[{epochs: 2, lr: 2e-2, groups: 1}, {epochs: 2, lr: 1e-2}]"]
    words += ["label.drop_mult=0.3"]
    train([*words, "run.name=whole"])
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 15)
        with pytest.raises(KeyboardInterrupt):
            train([*words, "run.name=parts"])
    train([*words, "run.name=parts", "resume=auto"])
    first, second = (load(run.with_name(name)).model.state_dict() for name in ("whole", "parts"))
    assert all(bool((first[name] == second[name]).all()) for name in first)
    both = compare([str(run), str(run.with_name("whole"))])
    assert both["pairs"]


def stop_after(patch: pytest.MonkeyPatch, steps: int) -> None:
    """Let a process end before it takes one more optimizer step."""
    from gulmfit.train.loop.tasks import Task

    before = Task.on_train_batch_start

    def stop(self: Task, batch: Any, batch_idx: int) -> None:
        if self.global_step == steps:
            raise KeyboardInterrupt
        before(self, batch, batch_idx)

    patch.setattr(Task, "on_train_batch_start", stop)


def test_a_language_model_is_the_start_of_a_labeller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fixtures = Path(__file__).resolve().parents[1] / "fixtures" / "models_of_0_1"
    spec = json.loads((fixtures / "lm" / "config.json").read_text())
    sizes = [f"arch.{name}={spec['arch'][name]}" for name in ("embed_size", "hidden_size", "num_layers")]
    tokens = [f"tokenizer.k={spec['tokenizer']['k']}", f"tokenizer.stride={spec['tokenizer']['stride']}"]
    start = [*TRAIN, *SIMULATED, *sizes, *tokens, f"init_from={fixtures / 'lm'}", "run.name=tuned"]
    train([*start, "arch.strands=auto", "label.phases=[{epochs: 1, lr: 1e-3, groups: 1}]"])
    found = metrics(tmp_path / "outputs/label/tuned")
    assert found["transfer"]["parameters_moved"] > 0
    assert found["ceiling"] == "posterior"  # both strands are read unless it is told otherwise
    ours, theirs = load(tmp_path / "outputs/label/tuned").model, load(fixtures / "lm").model
    for name, weight in theirs.encoder.state_dict().items():  # type: ignore[union-attr]
        assert bool((ours.encoder.state_dict()[name] == weight).all()), name  # type: ignore[union-attr]
