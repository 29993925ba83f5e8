"""Label sets and measured values from a table to a prediction, on simulated problems whose answer is known.

Sequences are words of equal composition in an order that no base frequency shows; what is learned is how many there
are of which word. The best that can be reached is all of the variance, and all labels.
"""

import contextlib
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gulmfit.commands.compare import compare
from gulmfit.commands.evaluate import evaluate_file
from gulmfit.commands.predict import predict_file
from gulmfit.errors import DataError, GulmfitError
from gulmfit.train.runner import train

WORDS = 20
TRAIN = [
    "stage=classify",
    "data=table",
    "data.path=simulated.csv",
    "split=stratified",
    "arch=awd_lstm_tiny",
    "tokenizer.k=3",
    "tokenizer.stride=3",
    "head.alpha=0",
    "head.beta=0",
    "drop_mult=0.1",
    "classify.batch_size=32",
    "classify.phases=[{epochs: 12, lr: 2e-2}]",
    "callbacks.progress.refresh_rate=0",
]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 300 sequences: `first` and `second` count words, labels say whether there are many of them."""
    cwd = tmp_path_factory.mktemp("simulated")
    rng = np.random.default_rng(0)
    with (cwd / "simulated.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "sequence", "activity", "half", "tags", "many_acg", "many_ttc"])
        for number in range(300):
            first, second = rng.random((2, 1)) > rng.random((2, WORDS // 2))
            words = [*np.where(first, "ACG", "GCA"), *np.where(second, "TTC", "CTT")]
            shares = first.mean(), second.mean()
            tags = [name for name, share in zip(("acg", "ttc"), shares, strict=True) if share > 0.5]
            row = [f"{1e-7 * (5 + shares[0]):.12g}", f"{1000 * shares[1] - 300:.6g}", ";".join(tags)]
            writer.writerow([f"s{number}", "".join(words), *row, *(int(share > 0.5) for share in shares)])
    return cwd


def metrics(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metrics.json").read_text())  # type: ignore[no-any-return]


def rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="") as handle:
        return {row["id"]: row for row in csv.DictReader(handle, delimiter="\t")}


@pytest.fixture(scope="module")
def regressed(simulated: Path) -> Path:
    with contextlib.chdir(simulated):
        train([*TRAIN, "head=regressor", "data.label=[activity,half]", "data.id=id", "run.name=values"])
    return simulated / "outputs" / "classify" / "values"


@pytest.fixture(scope="module")
def labelled(simulated: Path) -> Path:
    with contextlib.chdir(simulated):
        train([*TRAIN, "head=multi_label", "data.label=tags", "data.id=id", "run.name=sets"])
    return simulated / "outputs" / "classify" / "sets"


def test_values_are_learned_in_their_units(regressed: Path, simulated: Path) -> None:
    found = metrics(regressed)
    assert found["targets"] == "values"
    assert found["metrics"]["test/r2"] > 0.8
    for blind in ("mean", "gc"):
        assert found["baselines"][blind]["r2"] < 0.2
        assert found["paired"][blind]["r2"]["low"] > 0.3
    assert {"kmer_ridge", "onehot_ridge", "onehot_boosting"} <= set(found["baselines"])
    assert set(found["by_target"]) == {"activity", "half"}
    assert 0 < found["by_target"]["activity"]["rmse"] < 1e-7 < 1 < found["by_target"]["half"]["rmse"]
    low, high = found["ci95"]["test/spearman"]
    assert low < found["metrics"]["test/spearman"] < high
    spec = json.loads((regressed / "model" / "config.json").read_text())
    with (simulated / "simulated.csv").open() as handle:
        activity = {row["id"]: float(row["activity"]) for row in csv.DictReader(handle)}
    part = {name: row["part"] for name, row in rows(regressed / "split.tsv").items()}
    known = [value for name, value in activity.items() if part[name] == "train"]
    assert spec["head"]["location"][0] == pytest.approx(np.mean(known), rel=1e-6)
    assert spec["head"]["scale"][0] == pytest.approx(np.std(known), rel=1e-6)
    assert "Measured against predicted" in (regressed / "report.html").read_text()


def test_sets_are_learned_label_by_label(labelled: Path) -> None:
    found = metrics(labelled)
    assert found["targets"] == "label_sets"
    assert found["metrics"]["test/auroc_macro"] > 0.9
    assert found["baselines"]["gc"]["auroc_macro"] < 0.75
    assert found["paired"]["gc"]["auroc_macro"]["low"] > 0.1
    assert {"f1_macro", "f1_micro", "hamming_loss", "exact_match", "auprc_micro"} <= {
        name.removeprefix("test/") for name in found["metrics"]
    }
    assert set(found["by_target"]) == {"acg", "ttc"}
    calibration = json.loads((labelled / "model" / "calibration.json").read_text())
    assert len(calibration["temperatures"]) == len(calibration["thresholds"]) == 2
    assert found["by_target"]["acg"]["threshold"] == pytest.approx(calibration["thresholds"][0])
    assert "Each label by itself" in (labelled / "report.html").read_text()


def test_predictions_of_the_command_are_those_of_the_run(regressed: Path, labelled: Path, simulated: Path) -> None:
    for folder, names in ((regressed, ["half"]), (labelled, ["acg", "ttc"])):
        output = simulated / f"{folder.name}.tsv"
        predict_file(model=str(folder), input=str(simulated / "simulated.csv"), id="id", output=str(output))
        theirs, ours = rows(folder / "predictions" / "test.tsv"), rows(output)
        assert len(ours) == 300
        for name in names:
            expected = [float(row[name]) for row in theirs.values()]
            found = [float(ours[record][name]) for record in theirs]
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=2e-6)


def test_other_data_is_scored_in_any_order_of_columns(regressed: Path, labelled: Path, simulated: Path) -> None:
    data = ["data=table", f"data.path={simulated / 'simulated.csv'}"]
    options: dict[str, Any] = {"strand": "forward", "batch_size": 64, "output": ""}
    found = evaluate_file(model=str(regressed), data_overrides=[*data, "data.label=[half,activity]"], **options)
    assert found["metrics"]["test/r2"] > 0.8
    found = evaluate_file(model=str(labelled), data_overrides=[*data, "data.label=tags"], **options)
    assert found["metrics"]["test/auroc_macro"] > 0.9
    with pytest.raises(DataError, match=r"'half' .*missing .*'activity', 'half'"):
        evaluate_file(model=str(regressed), data_overrides=[*data, "data.label=activity"], **options)


def test_folds_and_comparisons(simulated: Path, labelled: Path) -> None:
    quick = [*TRAIN, "head=multi_label", "loss.class_weights=balanced", "classify.phases=[{epochs: 1, lr: 1e-2}]"]
    with contextlib.chdir(simulated):
        train([*quick, "data.label=[many_acg,many_ttc]", "data.id=id", "run.name=folds", "cv.folds=2"])
    folds = simulated / "outputs" / "classify" / "folds"
    found = metrics(folds)
    assert found["spread"]["model"]["f1_macro"]["count"] == 2
    assert set(found["pooled"]["paired"]) >= {"gc", "kmer_logistic"}
    weak = simulated / "weak"
    split = f"split.path={labelled / 'split.tsv'}"
    with contextlib.chdir(simulated):
        train([*quick, "data.label=tags", "data.id=id", "split=file", split, f"paths.run_dir={weak}"])
    compared = compare([str(labelled), str(weak)])
    assert compared["runs"][0]["macro AUROC"][0] > 0.9
    assert "McNemar" not in compared["pairs"][0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["head=regressor", "data.label=activity", "loss=cross_entropy"],
            r"loss=CrossEntropy .*head=SequenceRegressor .*values: ",
        ),
        (
            ["head=multi_label", "data.label=tags", "loss=huber"],
            r"loss=Huber .*head=MultiLabelClassifier .*label_sets: ",
        ),
        (
            ["head=multi_label", "data.label=tags", "calibration=isotonic"],
            r"calibration=isotonic .*head=MultiLabelClassifier",
        ),
        (
            ["head=regressor", "data.label=activity", "stage=learning_curve"],
            r"stage=learning_curve .*head=classifier; head=SequenceRegressor",
        ),
        (["data.label=activity"], r"line 2: activity '5.*e-07' .*head=regressor"),
        (["head=regressor", "data.label=tags"], r"line 2: column 'tags' .*finite"),
        (["head=multi_label", "data.label=tags", "loss.class_weights={acg: 2}"], "Without a weight: ttc"),
        (["head=regressor", "data=synthetic"], r"\bclasses, .*head=SequenceRegressor .*\bvalues\. .*data=table"),
    ],
)
def test_a_mistake_is_told_before_anything_is_learned(words: list[str], message: str, simulated: Path) -> None:
    given = [word for word in TRAIN if not (word.startswith("data") and "data=synthetic" in words)]
    with contextlib.chdir(simulated), pytest.raises(GulmfitError, match=message):
        train([*given, *words, "run.name=wrong", "overwrite=true"])


def test_three_stages_in_a_row(simulated: Path) -> None:
    genome = "".join(np.random.default_rng(1).choice(list("ACGT"), 30_000))
    (simulated / "genome.fa").write_text(f">chromosome\n{genome}\n")
    words = [word for word in TRAIN if word not in ("stage=classify", "classify.phases=[{epochs: 12, lr: 2e-2}]")]
    words += ["stage=ulmfit", "data.genome=genome.fa", "holdout.block_bp=2000", "holdout.margin_bp=100"]
    words += ["trainer.max_steps=3", "classify.phases=[{epochs: 1, lr: 1e-2}]"]
    with contextlib.chdir(simulated):
        train([*words, "head=regressor", "data.label=activity", "run.name=three"])
    found = metrics(simulated / "outputs" / "ulmfit" / "three")
    assert {"scratch", "gc", "mean"} <= set(found["paired"])
    assert {"test/r2", "scratch/test/r2", "pretrain/val/bits_per_base"} <= set(found["metrics"])
    assert "Transfer against scratch" in (simulated / "outputs" / "ulmfit" / "three" / "report.html").read_text()
