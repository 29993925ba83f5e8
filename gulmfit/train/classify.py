"""`stage=classify`: a classifier learns labels, and is held against baselines that learned nothing of a genome."""

import logging
from typing import Any

import numpy as np

from gulmfit.checkpoint import build_tokenizer
from gulmfit.config import instantiate, plain
from gulmfit.data.labelled import ClassificationDataModule
from gulmfit.data.sources import Source
from gulmfit.errors import DataError
from gulmfit.models.transfer import transfer
from gulmfit.predict.predictor import Predictor
from gulmfit.predict.writers import write_tsv
from gulmfit.report.baselines import run_baselines
from gulmfit.report.pages import classification_report
from gulmfit.report.scores import bootstrap_intervals, classification_scores, confusion, mcnemar
from gulmfit.report.table import format_table
from gulmfit.seq.labelled import LabelledSequences
from gulmfit.seq.overlap import overlap
from gulmfit.seq.split import PARTS
from gulmfit.train.fit import build_spec, fit, seed_everything
from gulmfit.train.lr_find import lr_range_test
from gulmfit.train.run import Run
from gulmfit.train.tasks import ClassificationTask

logger = logging.getLogger(__name__)


def split_parts(run: Run, data: LabelledSequences) -> dict[str, LabelledSequences]:
    """Split labelled sequences as the configuration says, into `train`, `valid` and `test`."""
    where = instantiate(run.config.split)(data)
    parts = {part: data.subset(np.flatnonzero(where == part)) for part in PARTS}
    for name, part in parts.items():
        if not len(part):
            raise DataError(
                f"{', '.join(data.files) or 'the data'}: the split leaves no sequence for {name}. Training, validation "
                f"and test are all needed; raise split.{name}_fraction, or mark some sequences."
            )
    return parts


def run_classifier(run: Run, source: Source) -> dict[str, Any]:
    """Train a classifier and score it once on the test part, beside the baselines on the same split."""
    config = run.config
    seed_everything(run)
    labelled = source.labelled()
    parts = split_parts(run, labelled)
    spec = build_spec(run, plain(config.tokenizer), labelled.classes, labelled.positive)
    initial = run.initial_model(spec)
    tokenizer = build_tokenizer(spec)
    data = ClassificationDataModule(
        parts,
        tokenizer,
        batch_size=int(config.batch_size),
        seed=int(config.seed),
        reverse_complement_p=float(config.reverse_complement_p),
    )
    counts = {part: len(item) for part, item in parts.items()}
    logger.info("classify: %s labelled sequences, classes %s", counts, ", ".join(labelled.classes))
    task = ClassificationTask(spec, plain(config.optimizer), _schedule(run))
    results: dict[str, Any] = {"stage": run.stage, "run": str(config.run.name), "seed": int(config.seed)}
    if initial is not None:
        report = transfer(task.model, initial.model.state_dict(), tokenizer.kmers(), initial.tokenizer.kmers())
        logger.info("transfer from %s: %s", initial.source, report.summary())
        results["transfer"] = {"from": str(initial.source), **vars(report)}
    if config.lr_find:
        rates, losses, suggestion = lr_range_test(task.model, data.train_dataloader())
        logger.info("learning-rate range test: the loss falls fastest at %.1e", suggestion)
        results |= {"lr_find": {"lrs": rates, "losses": losses, "suggestion": suggestion}}
        run.finish(results, classification_report(results), name="lr_find")
        return results
    fitted = fit(run, task, data, spec)
    if not fitted.is_main:
        return results
    predictor = Predictor(spec, task.model, tokenizer)
    results |= score(parts, predictor, int(config.batch_size), int(config.seed))
    results["metrics"][str(config.stage.monitor)] = fitted.best_score
    results |= {
        "data": {
            "files": labelled.files,
            "counts": counts,
            "classes": {
                part: dict(
                    zip(item.classes, np.bincount(item.labels, minlength=len(item.classes)).tolist(), strict=True)
                )
                for part, item in parts.items()
            },
            "split": plain(config.split),
        },
        "model": {
            "parameters": sum(parameter.numel() for parameter in task.model.parameters()),
            "tokenizer": tokenizer.spec(),
        },
        "timing": {"seconds": fitted.seconds, "tokens_per_second": fitted.tokens_per_second},
    }
    predictions = results.pop("predictions")
    ids = parts["test"].ids
    write_tsv(run.folder / "predictions" / "test.tsv", labelled.classes, zip(ids, predictions[1]["model"], strict=True))
    page = {
        **results,
        "predictions": predictions,
        "curves": run.curves(),
        "config_yaml": (run.folder / "config.yaml").read_text(encoding="utf-8"),
    }
    run.finish(results, classification_report(page))
    logger.info("%s", score_table({"model": results}, results["baselines"]))
    return page


def _schedule(run: Run) -> dict[str, Any]:
    """Return the schedule, every phase with the stage's discriminative rate unless it has its own."""
    schedule: dict[str, Any] = plain(run.config.schedule)
    decay = float(run.config.classify.decay)
    schedule["phases"] = [{"decay": decay, **phase} for phase in schedule["phases"]]
    return schedule


def score(parts: dict[str, LabelledSequences], predictor: Predictor, batch_size: int, seed: int) -> dict[str, Any]:
    """Score a classifier and the baselines on the test part; the test part is touched here and nowhere else."""
    train, valid, test = (parts[part] for part in PARTS)
    positive = test.classes.index(test.positive)
    probabilities = {"model": predictor.predict(test.sequences, batch_size=batch_size)}
    probabilities |= run_baselines(
        train.sequences,
        train.labels,
        test.sequences,
        num_classes=len(test.classes),
        valid_sequences=valid.sequences,
        valid_labels=valid.labels,
        seed=seed,
    )
    scores = {name: classification_scores(test.labels, item, positive=positive) for name, item in probabilities.items()}
    intervals = {
        name: bootstrap_intervals(test.labels, item, positive=positive, seed=seed)
        for name, item in probabilities.items()
    }
    chosen = probabilities["model"].argmax(1)
    valid_scores = classification_scores(
        valid.labels, predictor.predict(valid.sequences, batch_size=batch_size), positive=positive
    )
    return {
        "metrics": {
            **{f"test/{name}": value for name, value in scores["model"].items()},
            **{f"val/{name}": value for name, value in valid_scores.items()},
        },
        "ci95": {f"test/{name}": pair for name, pair in intervals["model"].items()},
        "baselines": {name: {**scores[name], "ci95": intervals[name]} for name in probabilities if name != "model"},
        "mcnemar": {
            name: mcnemar(test.labels, chosen, item.argmax(1))
            for name, item in probabilities.items()
            if name != "model"
        },
        "confusion": confusion(test.labels, probabilities["model"]),
        "classes": test.classes,
        "positive": test.positive,
        "leakage": {
            "test": overlap(train.sequences, test.sequences),
            "valid": overlap(train.sequences, valid.sequences),
        },
        "predictions": (test.labels, probabilities),
    }


def score_table(models: dict[str, dict[str, Any]], baselines: dict[str, dict[str, Any]]) -> str:
    """Lay models and baselines side by side, best accuracy first, each value with its 95 % interval."""
    rows: list[dict[str, object]] = []
    names = ("accuracy", "mcc", "auroc", "f1")
    for name, result in models.items():
        rows.append({"": name} | {
            item: (result["metrics"][f"test/{item}"], *result["ci95"].get(f"test/{item}", (None, None))) for item in
                names
        })  # fmt: skip
    for name, result in baselines.items():
        rows.append({"": f"baseline: {name}"} | {
            item: (result[item], *result["ci95"].get(item, (None, None))) for item in names
        })  # fmt: skip
    rows.sort(key=lambda row: -row["accuracy"][0])  # type: ignore[index]
    return format_table(rows, ["", *names])


def scratch_overrides(config: Any) -> list[str]:
    """Return what makes the from-scratch twin of a classifier: as many epochs, no frozen layer, one rate for all.

    Gradual unfreezing and discriminative rates protect what has been learned before; without it they would only hold
    the twin back.
    """
    epochs = sum(float(phase["epochs"]) for phase in plain(config.classify.phases))
    scratch = config.classify.scratch
    return [
        f"schedule.phases=[{{epochs: {epochs:g}, lr: {scratch.lr}, decay: 1.0}}]",
        f"drop_mult={scratch.drop_mult}",
    ]
