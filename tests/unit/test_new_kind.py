"""A kind of target that the package has never heard of, and nothing outside the kinds that asks which one it meets."""

import ast
import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gulmfit.checkpoint import foreign_classes_trusted
from gulmfit.cli import evaluate, predict
from gulmfit.commands.compare import compare
from gulmfit.errors import CheckpointError, ConfigError, DataError
from gulmfit.report.kinds import kind as objective
from gulmfit.report.kinds.kind import every_kind, kind_named, objective_of
from gulmfit.report.kinds.predictions import Predictions
from gulmfit.report.pages import classification_report
from gulmfit.seq.labels.position_labels import POSITIONS
from gulmfit.seq.labels.targets import CLASSES, KINDS, LABEL_SETS, VALUES
from gulmfit.train.runner import train

PACKAGE = Path(__file__).resolve().parents[2] / "gulmfit"

# All that a new kind needs: how labels are held, what they are judged by, a loss and a head.
COUNTS = '''
"""Counts, such as reads on a sequence: whole numbers from 0, learned by their logarithms."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch.nn import functional as F
from torchmetrics import Metric

from gulmfit.errors import DataError
from gulmfit.models.classifier import SequenceClassifier
from gulmfit.models.losses import Loss
from gulmfit.report.html import Section
from gulmfit.report.kinds.regression import Regression
from gulmfit.seq.labels.targets import Values


class CountLabels(Values):
    name = "counts"
    one, many = "count", "counts"

    def check(self, labels, names, ids):
        super().check(labels, names, ids)
        wrong = np.flatnonzero(((labels < 0) | (labels % 1 != 0)).any(axis=1))
        if wrong.size:
            raise DataError(f"record {ids[wrong[0]]!r} has {labels[wrong[0]].tolist()}: counts are needed")


def weighted_deviance(truth, predicted, weights):
    """(D,) share of the Poisson deviance that is explained, the mean over counts."""
    predicted = np.maximum(predicted, 1e-6)
    mean = (weights @ truth / weights.sum(axis=1, keepdims=True))[:, None]

    def deviance(rate):
        ratio = np.where(truth > 0, truth * np.log(np.maximum(truth, 1) / np.maximum(rate, 1e-12)), 0)
        return 2 * (ratio - truth + rate)

    left = np.einsum("dn,nc->dc", weights, deviance(predicted))
    total = np.einsum("dn,dnc->dc", weights, deviance(mean))
    return (1 - left / np.where(total > 0, total, np.nan)).mean(axis=1)


class MeanRate(Metric):
    def __init__(self, num_counts, **options):
        super().__init__(**options)
        for name in ("total", "seen"):
            self.add_state(name, torch.zeros(()), dist_reduce_fx="sum")

    def update(self, predicted, counts):
        self.total += predicted.sum()
        self.seen += predicted.numel()

    def compute(self):
        return self.total / self.seen


class Counts(Regression):
    labels = CountLabels()
    headline = "deviance_explained"
    second = "spearman"
    summary = columns = ("deviance_explained", "spearman")
    headings = {"deviance_explained": "deviance explained"}
    watched = {"mean_rate": (MeanRate, {})}
    loss_unit = " (nats)"

    def scores(self, truth, predicted):
        own = weighted_deviance(truth, predicted, np.ones((1, len(truth))))
        return {"deviance_explained": float(own[0]), **super().scores(truth, predicted)}

    def weighted(self, truth, predicted):
        others = super().weighted(truth, predicted)
        return lambda weights: {
            "deviance_explained": weighted_deviance(truth, predicted, weights), **others(weights),
        }

    def sections(self, results):
        found = results.get("predictions")
        rows = [] if found is None else [["zeros", int((found.labels == 0).sum())]]
        return [*super().sections(results), Section("Empty sequences", tables=[(["", "counts"], rows)] if rows else [])]


class PoissonLoss(Loss):
    kind = Counts

    def forward(self, logits, labels):
        return F.poisson_nll_loss(logits, labels)

    def each(self, logits, labels):
        losses = F.poisson_nll_loss(logits, labels, reduction="none").mean(1)
        return losses, torch.ones_like(losses)


class CountHead(SequenceClassifier):
    kind = Counts
    min_classes: ClassVar[int] = 1

    def outputs(self, logits):
        return logits.exp()
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to work in, with the module `counted` and a table of 60 sequences with a count each."""
    (tmp_path / "counted.py").write_text(COUNTS)
    rng = np.random.default_rng(0)
    with (tmp_path / "counts.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["sequence", "reads"])
        for share in rng.random(60):
            text = "".join(rng.choice(list("ACGT"), 40, p=[share / 2, (1 - share) / 2, (1 - share) / 2, share / 2]))
            writer.writerow([text, rng.poisson(8 * share)])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    forget()


def forget() -> None:
    """Undo the import of the kind, as in another process."""
    sys.modules.pop("counted", None)
    KINDS.pop("counts", None)
    objective._KINDS.pop("counts", None)


pytestmark = pytest.mark.usefixtures("unrendered")

TRAIN = [
    "stage=classify", "data=table", "data.path=counts.csv", "data.label=reads", "split=stratified",
    "head._target_=counted.CountHead", "loss=mse", "loss._target_=counted.PoissonLoss", "trust=true",
    "arch=awd_lstm_tiny", "tokenizer.k=2", "tokenizer.stride=2", "classify.batch_size=16",
    "classify.phases=[{epochs: 2, lr: 1e-2}]", "callbacks.progress.refresh_rate=0", "seed=1",
]  # fmt: skip


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def command(monkeypatch: pytest.MonkeyPatch, run: Any, *words: str) -> None:
    monkeypatch.setattr("sys.argv", ["gulmfit", *words])
    run()


def test_a_kind_in_one_file_goes_from_training_to_its_report(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train([*TRAIN, "run.name=one"])
    run = folder / "outputs" / "classify" / "one"
    found = json.loads((run / "metrics.json").read_text())
    assert found["targets"] == "counts"
    assert {"mean", "gc", "kmer_ridge"} <= set(found["baselines"])
    assert all("deviance_explained" in scores for scores in found["baselines"].values())
    low, high = found["ci95"]["test/deviance_explained"]
    assert low <= found["metrics"]["test/deviance_explained"] <= high
    assert "val/mean_rate" in (run / "metrics.csv").read_text().splitlines()[0]
    page = (run / "report.html").read_text()
    assert "Empty sequences" in page
    assert "deviance explained" in page

    read = Predictions.read(run / "predictions")
    assert (read.targets, read.classes) == ("counts", ["reads"])
    truth, rate = read.labels[:, 0], read.by_model["model"][:, 0]
    assert (rate > 0).all()
    table = {row["sequence"]: float(row["reads"]) for row in csv.DictReader((folder / "counts.csv").open())}
    sequences = list(table)
    assert truth.tolist() == [table[sequences[int(name) - 1]] for name in read.ids]
    at = truth > 0
    left = 2 * ((truth[at] * np.log(truth[at] / rate[at])).sum() - truth.sum() + rate.sum())
    total = 2 * (truth[at] * np.log(truth[at] / truth.mean())).sum()
    assert found["metrics"]["test/deviance_explained"] == pytest.approx(1 - left / total, rel=1e-6)

    asked = ("data=table", "data.path=counts.csv", "data.label=reads", "output=scores", f"model={run}")
    with pytest.raises(SystemExit, match="outside gulmfit"):
        command(monkeypatch, evaluate, *asked)
    command(monkeypatch, evaluate, *asked, "trust=true")
    scored = rows(folder / "scores" / "predictions" / "evaluate.tsv")
    assert scored[0].keys() == {"id", "counts", "group", "reads"}
    results = json.loads((folder / "scores" / "metrics.json").read_text())
    assert results["metrics"]["test/spearman"] == pytest.approx(
        objective_of(results).scores(
            *(np.array([[float(row[name])] for row in scored]) for name in ("counts", "reads"))
        )["spearman"]
    )
    assert "Empty sequences" in (folder / "scores" / "report.html").read_text()

    command(monkeypatch, predict, f"model={run}", "input=counts.csv", "output=rates.tsv", "trust=true")
    predicted = {row["id"]: float(row["reads"]) for row in rows(folder / "rates.tsv")}
    assert predicted == pytest.approx({row["id"]: float(row["reads"]) for row in scored}, rel=1e-6)

    train([*TRAIN, "run.name=two", "classify.phases=[{epochs: 1, lr: 1e-3}]"])
    forget()
    runs = [str(run), str(run.with_name("two"))]
    with pytest.raises(CheckpointError, match="outside gulmfit"):
        compare(runs)
    with foreign_classes_trusted():
        both = compare(runs)
    assert {"deviance explained gained", "p (deviance explained)"} <= set(both["pairs"][0])


def test_what_does_not_fit_a_kind_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"loss=CrossEntropy .*\bclasses\b.*head=CountHead .*\bcounts: "):
        train([*TRAIN, "loss=cross_entropy", "loss._target_=gulmfit.models.losses.CrossEntropy"])
    with pytest.raises(ConfigError, match="learning_curve"):
        train([word.replace("stage=classify", "stage=learning_curve") for word in TRAIN])
    with pytest.raises(ConfigError, match="isotonic"):
        train([*TRAIN, "calibration=isotonic"])
    (folder / "counts.csv").write_text("sequence,reads\nACGT,1\nACCT,1.5\nACGA,2\n")
    with pytest.raises(DataError, match=r"record '2' has \[1.5\]"):
        train(TRAIN)


def test_a_calibration_of_another_kind_is_refused(folder: Path) -> None:
    import counted  # type: ignore[import-not-found]

    with pytest.raises(CheckpointError, match="counts"):
        counted.Counts.read_calibration({"targets": LABEL_SETS, "kind": "none", "temperatures": [], "thresholds": []})


def test_a_module_next_to_the_kinds_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="'counts'"):
        kind_named("counts")
    (folder / "kinds").mkdir()
    (folder / "kinds" / "__init__.py").touch()
    (folder / "counted.py").rename(folder / "kinds" / "counted.py")
    monkeypatch.setattr(objective, "__name__", "kinds.objective")
    monkeypatch.setattr(objective, "__file__", str(folder / "kinds" / "objective.py"))
    assert kind_named("counts").labels.many == "counts"


def test_pages_of_every_kind_name_what_they_count() -> None:
    for name in (CLASSES, LABEL_SETS, VALUES, POSITIONS):
        many = every_kind()[name].labels.many
        assert f"2 {many}: a, b" in str(classification_report({"targets": name, "classes": ["a", "b"], "metrics": {}}))


# Kinds, and what they are made of.
OWN = {f"report/kinds/{name}.py" for name in ("single_label", "multi_label", "regression", "positions", "paired")}
OWN |= {"evaluate/target_calibration.py", "seq/labels/targets.py", "seq/labels/label_sets.py"}
OWN |= {"seq/labels/position_labels.py"}
NAMES, CONSTANTS = {CLASSES, LABEL_SETS, VALUES, POSITIONS}, {"CLASSES", "LABEL_SETS", "VALUES", "POSITIONS"}
OBJECTS = {"Classes", "LabelSets", "Values", "Positions"}
OBJECTS |= {"SingleLabel", "MultiLabel", "Regression", "PositionLabels", "Bootstrapped"}


def words(node: ast.AST, texts: set[str], names: set[str]) -> set[str]:
    """Return which of these texts and names an expression holds."""
    parts = list(ast.walk(node))
    held = {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)} & texts
    held |= {part.id for part in parts if isinstance(part, ast.Name)} & names
    return held | ({part.attr for part in parts if isinstance(part, ast.Attribute)} & names)


def dispatches(tree: ast.Module) -> list[int]:
    """Return the lines that ask of which kind something is."""
    found: set[int] = set()
    for node in ast.walk(tree):
        asked: set[str] = set()
        if isinstance(node, ast.Compare):
            asked = words(node, NAMES, CONSTANTS)
        elif isinstance(node, ast.match_case):
            asked = words(node.pattern, NAMES, CONSTANTS)
        elif isinstance(node, ast.Dict):
            keys = [word for key in node.keys if key for word in words(key, NAMES, CONSTANTS)]
            asked = set(keys[1:])  # one alone is the key of a record
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass"):
            asked = words(node.args[1], set(), OBJECTS)
        if asked:
            found.add(getattr(node, "lineno", None) or node.pattern.lineno)  # type: ignore[attr-defined]
    return sorted(found)


def test_nothing_outside_the_kinds_asks_for_one() -> None:
    files = {path.relative_to(PACKAGE).as_posix(): path for path in PACKAGE.rglob("*.py")}
    assert set(files) > OWN
    asking = {name: dispatches(ast.parse(files[name].read_text(encoding="utf-8"))) for name in set(files) - OWN}
    assert not {name: lines for name, lines in asking.items() if lines}


def test_the_rule_sees_every_form_of_dispatch() -> None:
    asking = (
        "if a.targets == 'values': pass\nif targets.VALUES != kind: pass\nif x in ('classes', None): pass\n"
        "y = {CLASSES: 1, VALUES: 2}[kind]\nisinstance(x, targets.Values)\nmatch x:\n  case 'label_sets': pass\n"
    )
    assert dispatches(ast.parse(asking)) == [1, 2, 3, 4, 5, 7]
    other = "if x == 'value': pass\nif a.targets != b.targets: pass\n{'classes': classes}\nisinstance(x, Other)\n"
    assert dispatches(ast.parse(other)) == []
