"""The three stages through the command: what a user gets, and what a user who errs is told."""

import csv
import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gulmfit.checkpoint import load
from gulmfit.cli import predict
from gulmfit.errors import CheckpointError, StoppedError
from gulmfit.predict.predictor import Predictor
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.train.runner import train
from gulmfit.train.survive.durable import DurableCheckpointIO
from gulmfit.train.survive.watch import LossWatch

from .conftest import FEW_HELD_OUT, TINY, Trained, run

BASELINES = {"majority", "gc", "dinucleotide", "kmer_logistic", "onehot_logistic", "onehot_boosting"} | {
    "canonical_kmer_logistic",
    "gapped_kmer_logistic",
    "cnn",
}


def read_tsv(path: Path) -> tuple[list[str], list[str], np.ndarray]:
    with path.open(newline="") as handle:
        header, *rows = csv.reader(handle, delimiter="\t")
    first = 3 if header[1] == "label" else 1  # known labels and groups stand before probabilities
    last = len(header) - (header[-1] == "predicted")
    return header, [row[0] for row in rows], np.array([[float(cell) for cell in row[first:last]] for row in rows])


def test_run_folder_holds_what_is_promised(trained: Trained) -> None:
    for part in ("", "pretrain", "finetune", "classify", "scratch"):
        folder = trained.folder / part
        for name in ("config.yaml", "metrics.json", "report.html", "model/config.json", "model/model.safetensors"):
            assert (folder / name).is_file(), f"{part}/{name}"
        assert not list(folder.glob("*.partial"))
    for part in ("pretrain", "finetune", "classify", "scratch"):
        assert (trained.folder / part / "metrics.csv").is_file()
        assert (trained.folder / part / "checkpoints" / "last.ckpt").is_file()


def test_metrics_are_complete(trained: Trained) -> None:
    metrics = trained.metrics()
    assert set(metrics["baselines"]) == BASELINES
    for name in ("accuracy", "mcc", "precision", "recall", "specificity", "f1", "auroc", "auprc"):
        low, high = metrics["ci95"][f"test/{name}"]
        assert low <= metrics["metrics"][f"test/{name}"] <= high
        assert f"scratch/test/{name}" in metrics["metrics"]
    assert set(metrics["sign_flip"]) == BASELINES | {"scratch"}
    assert metrics["leakage"]["pairs"]["train->test"]["exact"]["count"] == 0
    assert metrics["leakage"]["corpus"]["test"]["count"] == 0  # the language model has read other stretches
    assert np.sum(metrics["confusion"]) == 100
    assert metrics["seed"] == 0
    assert metrics["versions"]["torch"]
    language = trained.metrics("pretrain")
    assert 1.5 < language["metrics"]["val/bits_per_base"] < 2.1
    assert 1.8 < language["baselines"]["markov"]["bits_per_base"] < 2.0
    assert language["timing"]["tokens_per_second"] > 0


def test_the_table_and_the_report_are_announced(trained: Trained) -> None:
    assert "transferred" in trained.printed
    assert "from scratch" in trained.printed
    for name in BASELINES:
        assert name in trained.printed
    assert "report: outputs/ulmfit/tiny/report.html" in trained.printed
    page = (trained.folder / "report.html").read_text()
    assert "<script" not in page
    assert "<svg" in page or "data:image" in page


def test_what_should_have_moved_has_moved(trained: Trained) -> None:
    report = trained.metrics("classify")["transfer"]
    encoder = load_file(trained.folder / "finetune" / "model" / "model.safetensors")
    moved = {name for name in encoder if name.startswith("encoder.")}
    assert set(report["moved"]) == moved
    assert report["parameters_moved"] == sum(encoder[name].numel() for name in moved)
    assert "transfer" not in trained.metrics("scratch")


def test_checkpoints_are_documents(trained: Trained) -> None:
    path = trained.folder / "classify" / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    assert content["hyper_parameters"]["spec"]["tokenizer"]["k"] == 5
    from_file, from_folder = load(path), load(trained.folder / "classify" / "checkpoints" / "best.ckpt")
    assert from_file.spec["arch"] == from_folder.spec["arch"]


def test_prediction_depends_on_the_sequence_alone(trained: Trained, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    texts = ["".join(random.choice(list("ACGTN"), p=[0.24] * 4 + [0.04], size=n)) for n in random.integers(5, 400, 70)]
    fasta = tmp_path / "in.fa"
    fasta.write_text("".join(f">r{i} about\n{text}\n" for i, text in enumerate(texts)))
    outputs = []
    for name, options in {"a": ["batch_size=1"], "b": ["batch_size=1000"], "c": []}.items():
        words = [f"model={trained.folder}", f"input={fasta}", f"output={tmp_path / name}.tsv", *options]
        run(*words, cwd=tmp_path, command="predict")
        outputs.append(read_tsv(tmp_path / f"{name}.tsv"))
    header, ids, first = outputs[0]
    assert header == ["id", "background", "promoter", "predicted"]
    assert ids == [f"r{i}" for i in range(70)]
    np.testing.assert_allclose(first.sum(1), 1, atol=1e-5)
    for other in outputs[1:]:
        assert other[1] == ids
        np.testing.assert_allclose(other[2], first, atol=1e-5)
    predictor = Predictor.load(trained.folder)
    order = random.permutation(70)
    shuffled = predictor.predict([texts[i] for i in order])
    np.testing.assert_allclose(shuffled, first[order], atol=1e-5)
    average = predictor.predict(texts, strand="average")
    turned = predictor.predict([reverse_complement_text(text) for text in texts], strand="average")
    np.testing.assert_allclose(average, turned, atol=1e-6)
    assert np.abs(predictor.predict(texts) - average).max() > 1e-4


def test_test_predictions_are_those_of_the_command(trained: Trained, tmp_path: Path) -> None:
    _, ids, written = read_tsv(trained.folder / "classify" / "predictions" / "test.tsv")
    assert len(ids) == 100
    accuracy = trained.metrics("classify")["metrics"]["test/accuracy"]
    data = ["data=synthetic", *(word for word in TINY if word.startswith("data."))]
    run(f"model={trained.folder}", *data, f"output={tmp_path / 'scores'}", cwd=tmp_path, command="evaluate")
    scores = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    _, all_ids, all_rows = read_tsv(tmp_path / "scores" / "predictions" / "evaluate.tsv")
    rows = dict(zip(all_ids, all_rows, strict=True))
    np.testing.assert_allclose(np.stack([rows[name] for name in ids]), written, atol=1e-5)
    assert 0 <= accuracy <= 1
    assert set(scores["ci95"]) == set(scores["metrics"])


def test_an_existing_run_is_not_overwritten(trained: Trained) -> None:
    before = (trained.folder / "metrics.json").read_bytes()
    result = run("stage=ulmfit", "run.name=tiny", *TINY, cwd=trained.cwd, check=False)
    assert result.returncode == 1
    assert re.search(r"ulmfit/tiny .*run\.name=", result.stderr)
    assert "Traceback" not in result.stderr
    assert (trained.folder / "metrics.json").read_bytes() == before


def test_an_evaluation_needs_data_and_a_folder_of_its_own(trained: Trained, tmp_path: Path) -> None:
    without = run(f"model={trained.folder}", cwd=tmp_path, check=False, command="evaluate")
    assert without.returncode == 1
    assert "data=" in without.stderr
    assert "is missing" in without.stderr
    words = [f"model={trained.folder}", "data=synthetic", f"output={trained.folder}"]
    inside = run(*words, cwd=tmp_path, check=False, command="evaluate")
    assert inside.returncode == 1
    assert f"output={trained.folder} " in inside.stderr


def test_tuning_can_be_left_out_and_a_language_model_given(trained: Trained) -> None:
    words = ["stage=ulmfit", "stage.finetune=false", "run.name=short", f"init_from={trained.folder / 'pretrain'}"]
    run(*words, "trainer.max_steps=4", *TINY, cwd=trained.cwd)
    folder = trained.cwd / "outputs" / "ulmfit" / "short"
    assert not (folder / "pretrain").exists()
    assert not (folder / "finetune").exists()
    assert json.loads((folder / "classify" / "metrics.json").read_text())["transfer"]["from"].endswith("pretrain/model")


def test_another_tokenizer_is_refused(trained: Trained) -> None:
    words = ["stage=classify", "run.name=other", "tokenizer.k=4", f"init_from={trained.folder / 'pretrain'}"]
    result = run(*words, *TINY, cwd=trained.cwd, check=False)
    assert result.returncode == 1
    assert "TokenizerError" in result.stderr
    assert "tokenizer.k=5 tokenizer.stride=2" in result.stderr
    assert not (trained.cwd / "outputs" / "classify" / "other" / "model").exists()


def test_another_architecture_is_refused(trained: Trained) -> None:
    words = [
        "stage=classify",
        "run.name=wide",
        f"init_from={trained.folder / 'pretrain'}",
        *TINY,
        "arch.hidden_size=48",
    ]
    result = run(*words, cwd=trained.cwd, check=False)
    assert result.returncode == 1
    assert re.search(r"init_from=.*\barch\.hidden_size=64\b", result.stderr)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=table", "data.path=missing.csv"], "missing.csv"),
        (["data=fasta", "data.path=missing.fa"], "no labels"),
        (["drop_mlt=1"], "Did you mean 'drop_mult'"),
        (["+nonsense=1"], "nonsense"),
        (["init_from=nowhere"], "nowhere does not exist"),
        (["drop_mult=2"], "drop_mult=2"),
    ],
)
def test_a_mistake_is_one_clear_message(words: list[str], message: str, tmp_path: Path) -> None:
    result = run("stage=classify", *words, cwd=tmp_path, check=False)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.rglob("metrics.json"))


def test_labels_that_differ_between_train_and_test(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("sequence,label\nACGTACGT,a\nACGTTTTT,b\n")
    (tmp_path / "test.csv").write_text("sequence,label\nACGTACGT,a\nACGTTTTT,c\n")
    result = run(
        "stage=classify", "data=table", "data.train=train.csv", "data.test=test.csv", cwd=tmp_path, check=False
    )
    assert result.returncode == 1
    assert "DataError" in result.stderr
    assert "'c'" in result.stderr or "c" in result.stderr.split("test.csv")[-1]


def test_a_contig_shorter_than_a_kmer_is_named(tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_text(">long\n" + "ACGTTGCA" * 200 + "\n>tiny\nACG\n")
    result = run("stage=pretrain", "data=fasta", "data.path=g.fa", cwd=tmp_path, check=False)
    assert result.returncode == 1
    assert re.search(r"g\.fa, record 'tiny': 3 bases .*\(k=5\)", result.stderr)


def test_a_fast_dev_run_goes_through_everything(tmp_path: Path) -> None:
    for stage in ("pretrain", "classify"):
        run(f"stage={stage}", "trainer.fast_dev_run=true", *TINY, cwd=tmp_path)
        assert (tmp_path / "outputs" / stage / "default" / "metrics.json").is_file()


def test_a_failed_run_does_not_block_the_next(tmp_path: Path) -> None:
    words = [
        "stage=classify",
        "data=table",
        "data.path=t.csv",
        "arch=awd_lstm_tiny",
        "trainer.max_steps=2",
        "split=random",
    ]
    assert run(*words, cwd=tmp_path, check=False).returncode == 1
    random = np.random.default_rng(0)
    texts = ["".join(random.choice(list("ACGT"), size=40)) for _ in range(60)]
    rows = [f"{text}{'AC' if i % 2 else 'GT'},{'x' if i % 2 else 'y'}" for i, text in enumerate(texts)]
    (tmp_path / "t.csv").write_text("sequence,label\n" + "\n".join(rows) + "\n")
    run(*words, "callbacks.progress.refresh_rate=0", cwd=tmp_path)
    assert (tmp_path / "outputs" / "classify" / "default" / "metrics.json").is_file()


def test_resume_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """The same settings, once in one go and once stopped and continued by the command: the same weights."""
    common = ["stage=pretrain", "pretrain.epochs=2", "batch_size=8", *TINY, "trainer.precision=32-true"]
    common += ["trainer.limit_train_batches=20", *FEW_HELD_OUT]
    run(*common, "run.name=whole", cwd=tmp_path)
    stopped = ["callbacks.checkpoint.every_n_steps=5", "trainer.max_time={milliseconds: 50}"]
    run(*common, "run.name=parts", *stopped, cwd=tmp_path)
    folder = tmp_path / "outputs" / "pretrain"
    last = torch.load(folder / "parts" / "checkpoints" / "last.ckpt", weights_only=True)
    assert 0 < last["global_step"] < 40
    run(*common, "run.name=parts", "resume=auto", cwd=tmp_path)
    whole, parts = (load_file(folder / name / "model" / "model.safetensors") for name in ("whole", "parts"))
    for name, tensor in whole.items():
        assert torch.equal(tensor, parts[name]), name


@pytest.mark.parametrize("end", ["pretrain.epochs=1", "trainer.max_steps=7"])
def test_a_run_that_was_killed_after_training_is_not_judged_twice(end: str, tmp_path: Path) -> None:
    words = ["stage=pretrain", end, "batch_size=8", "trainer.limit_train_batches=10", *TINY, *FEW_HELD_OUT]
    run(*words, cwd=tmp_path)
    folder = tmp_path / "outputs" / "pretrain" / "default"
    kept = [folder / "metrics.csv", folder / "model" / "model.safetensors"]
    before = [file.read_bytes() for file in kept]
    scores = json.loads((folder / "metrics.json").read_text())["metrics"]
    (folder / "metrics.json").unlink()
    shutil.rmtree(folder / "model")
    run(*words, "resume=auto", cwd=tmp_path)
    assert [file.read_bytes() for file in kept] == before
    assert json.loads((folder / "metrics.json").read_text())["metrics"] == scores


def test_no_checkpoint_stands_between_an_epoch_and_its_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is continued from there would leave the validation out, and with it perhaps the best weights."""
    saved: list[tuple[str, int, int]] = []
    save = DurableCheckpointIO.save_checkpoint

    def noted(self: DurableCheckpointIO, checkpoint: dict[str, Any], path: Path, storage_options: Any = None) -> None:
        saved.append((Path(path).name, checkpoint["global_step"], checkpoint["validated_at"]))
        save(self, checkpoint, path, storage_options)

    monkeypatch.setattr(DurableCheckpointIO, "save_checkpoint", noted)
    monkeypatch.chdir(tmp_path)
    words = ["stage=pretrain", "pretrain.epochs=2", "trainer.limit_train_batches=4", "checkpoint.every_n_steps=1"]
    train([*words, "batch_size=8", *TINY, *FEW_HELD_OUT])
    last = [(step, judged) for name, step, judged in saved if name == "last.ckpt"]
    assert {step for step, _ in last} == set(range(1, 9))
    assert all(judged == step for step, judged in last if step in (4, 8))


def test_an_encoder_of_ones_own_goes_from_training_to_prediction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ourlab.py").write_text(
        "from gulmfit.models.awd_rnn import AWDRNN\n\n\nclass Ours(AWDRNN):\n    pass\n"
    )
    (tmp_path / "a.fa").write_text(f">a\n{'ACGTTGCA' * 10}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = ["stage=classify", *TINY, "arch._target_=ourlab.Ours", "trainer.max_steps=2"]
    with pytest.raises(CheckpointError, match="trust=true"):
        train(words)
    train([*words, "trust=true"])
    asked = ["gulmfit-predict", "model=outputs/classify/default", "input=a.fa", "output=a.tsv"]
    monkeypatch.setattr("sys.argv", asked)
    with pytest.raises(SystemExit, match=r"'ourlab\.Ours' .*trust=true"):  # what training was told ended with it
        predict()
    monkeypatch.setattr("sys.argv", [*asked, "trust=true"])
    predict()
    assert (tmp_path / "a.tsv").read_text().startswith("id\t")
    monkeypatch.setattr("sys.argv", asked)
    with pytest.raises(SystemExit, match=r"'ourlab\.Ours' .*trust=true"):  # and so did what that command was told
        predict()


def test_a_signal_in_the_last_step_of_an_epoch_waits_for_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = LossWatch.on_train_batch_end

    def told(self: LossWatch, trainer: Any, *rest: Any) -> None:
        look(self, trainer, *rest)
        if trainer.global_step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(LossWatch, "on_train_batch_end", told)
    monkeypatch.chdir(tmp_path)
    words = ["stage=pretrain", "pretrain.epochs=2", "trainer.limit_train_batches=4", "batch_size=8", *TINY]
    words += FEW_HELD_OUT
    with pytest.raises(StoppedError, match="stopped by SIGTERM after step 4"):
        train(words)
    last = torch.load("outputs/pretrain/default/checkpoints/last.ckpt", weights_only=True)
    assert (last["global_step"], last["validated_at"]) == (4, 4)


def test_gradients_are_clipped_in_mixed_precision_too(tmp_path: Path) -> None:
    """As messages about a loss that runs away advise."""
    words = ["stage=pretrain", "trainer.max_steps=3", "trainer.precision=bf16-mixed", "batch_size=8", *TINY]
    run(*words, *FEW_HELD_OUT, "trainer.gradient_clip_val=0.25", cwd=tmp_path)
    assert (tmp_path / "outputs" / "pretrain" / "default" / "metrics.json").is_file()


def test_range_test_draws_and_trains_nothing(tmp_path: Path) -> None:
    run("stage=pretrain", "lr_find=true", "batch_size=8", *TINY, cwd=tmp_path, rendered=True)
    folder = tmp_path / "outputs" / "pretrain" / "default"
    found = json.loads((folder / "lr_find.json").read_text())["lr_find"]
    assert found["lrs"][0] < found["suggestion"] < found["lrs"][-1]
    page = (folder / "lr_find.html").read_text()
    assert "<svg" in page or "data:image" in page
    assert not (folder / "model").exists()


def test_without_a_genome_the_task_s_own_sequences_are_learned(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = ["".join(rng.choice(list("ACGT"), 80)) for _ in range(120)]
    table = tmp_path / "own.csv"
    table.write_text("sequence,label\n" + "".join(f"{row},{index % 2}\n" for index, row in enumerate(rows)))
    words = [
        "stage=ulmfit",
        "data=table",
        f"data.path={table}",
        "run.name=own",
        "arch=awd_lstm_tiny",
        "recipe=transfer",
    ]
    words += [
        "recipe=transfer",
        "pretrain.epochs=1",
        "pretrain.batch_size=4",
        "trainer.max_steps=4",
        "trainer.enable_progress_bar=false",
    ]
    printed = run(*words, cwd=tmp_path).stdout
    folder = tmp_path / "outputs" / "ulmfit" / "own"
    assert not (folder / "pretrain").exists()
    assert "no genome" in printed
    metrics = json.loads((folder / "metrics.json").read_text())
    assert np.isfinite(metrics["metrics"]["finetune/val/bits_per_base"])
    models = {part: load(folder / part) for part in ("finetune", "classify", "scratch")}
    assert models["classify"].spec["arch"] == models["scratch"].spec["arch"]  # the twin is the same network
    assert len({len(model.tokenizer) for model in models.values()}) == 1
