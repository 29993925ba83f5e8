"""What `gulmfit-evaluate` does: score a classifier on labelled data."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from gulmfit.checkpoint import MODEL_FOLDER
from gulmfit.config import compose, instantiate, plain, validate
from gulmfit.data.sources.base import Source
from gulmfit.errors import ConfigError, DataError
from gulmfit.evaluate.calibration import CALIBRATED_FORWARD
from gulmfit.files import claimed
from gulmfit.metadata import file_checksums, versions, write_json
from gulmfit.model_files import digest_of_model, files_of, trained_on_of
from gulmfit.predict.outputs.writers import write_tsv
from gulmfit.predict.predictor import Predictor
from gulmfit.report.html import write_report
from gulmfit.report.kept import parts_kept
from gulmfit.report.kinds.kind import Kind
from gulmfit.report.kinds.predictions import Predictions
from gulmfit.report.pages import classification_report
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.labels.targets import Labels
from gulmfit.seq.labels.use import scoring_labels
from gulmfit.seq.splits.split import source_of
from gulmfit.seq.splits.trained_on import TRAINED_ON, met_before, read_trained_on
from gulmfit.shorthand import guessed
from gulmfit.train.stages.scoring import brief, score_ceilings, score_table

logger = logging.getLogger(__name__)


def evaluate_file(
    data_overrides: Sequence[str],
    *,
    model: str,
    output: str = "",
    strand: Literal["forward", "average"] = "forward",
    batch_size: int = 64,
    figures: Literal["", "svg", "png", "pdf"] = "",
) -> dict[str, Any]:
    """Score a classifier on every sequence of labelled data, whatever its split.

    Prints the scores with 95 % intervals. data= takes the same sources and keys as gulmfit-train.

    Args:
        data_overrides: `data=...` and `data.key=...`, as for training.
        model: Run folder, model folder or checkpoint of a classifier, or the name of one.
        output: Folder for `metrics.json`, `report.html` and `predictions/evaluate.tsv`; nothing is written by default.
        strand: `average` takes the mean over both strands.
        batch_size: Sequences that are run at once.
        figures: Write the figures of the report so, and its tables as TSV, next to it.

    Raises:
        ConfigError: If the data is not described in full, or the output is a run folder.
        DataError: If the data has a label that the model does not know.
    """
    folder = Path(output)
    if output and (folder / MODEL_FOLDER).exists():
        raise ConfigError(f"output={output} is a run folder, whose own results would be overwritten. Name another.")
    data_overrides = [*data_overrides, *(word for word in guessed(data_overrides) if word.startswith("data="))]
    predictor = Predictor.load(model, positions=True)
    config = compose(
        [f"stage={predictor.kind.stage}", f"alphabet={predictor.tokenizer.alphabet.name}", *data_overrides]
    )
    if "targets" in config.data:
        config.data.targets = predictor.kind.labels.name
    given = {item.partition("=")[0] for item in data_overrides}
    learned = predictor.letters._asdict()
    for name in learned.keys() & config.data.keys():
        if f"data.{name}" not in given:
            config.data[name] = learned[name]
    validate(config)
    predictor.letters = predictor.letters.asked(
        **{name: str(config.data[name]) for name in learned.keys() & config.data.keys()}
    )
    names = ("metrics.json", "report.html", "predictions/evaluate.tsv") if output else ()
    with claimed([folder / name for name in names], [*files_of(model), *_paths(plain(config.data))]):
        source: Source = instantiate(config.data)
        with scoring_labels():
            data = source.labelled()
        labels = _in_order_of(predictor, data)
        predicted = predictor.predict(data.sequences, strand=strand, batch_size=batch_size)
        positive = predictor.positive if data.kind.exclusive else ""
        judge = predictor.kind(predictor.classes, positive).decided(predictor.calibration)
        groups = instantiate(config.split).groups(data)  # relatives, as in training: an interval counts them once
        scores, intervals = judge.scores(labels, predicted), judge.intervals(labels, predicted, groups)
        decided, decided_intervals = judge.at_threshold(labels, predicted, predictor.calibration, groups)
        scores, intervals = {**scores, **decided}, {**intervals, **decided_intervals}
        if strand == "average" and data.kind.probabilities:
            logger.info("strand=average: %s", CALIBRATED_FORWARD)
        known = _met(model, data, judge, labels, predicted, groups)
        details = judge.details(labels, predicted, {"model": (predicted, judge)}, predictor.calibration, groups, 0)
        details.pop("calibration", None)  # what it did is judged on the test part, where it was not fitted
        results: dict[str, Any] = {
            "stage": "evaluate",
            "run": model,
            "strand": strand,
            "metrics": {f"test/{name}": value for name, value in scores.items()},
            "ci95": {f"test/{name}": pair for name, pair in intervals.items()},
            **known,
            **details,
            **score_ceilings(source.ceilings(data), labels, (predicted, judge), groups, 0, predictor.reads_ahead),
            "targets": data.targets,
            "classes": predictor.classes,
            "positive": positive,
            "data": {
                "files": file_checksums(data.files, Path(str(config.paths.cache_dir))),
                "counts": {"test": len(data)},
            },
            "model": {"sha256": digest_of_model(model), "tokenizer": predictor.tokenizer.summary()},
            "versions": versions(),
        }
        if predictor.blend:
            results["served"] = "blend"
        served = "blend" if predictor.blend else "model"
        logger.info("%s", score_table({served: results}, {}, results.get("ceilings")))
        if output:
            by_model = {"model": predicted}
            scored = Predictions(data.ids, labels, groups, predictor.classes, by_model, positive, targets=data.targets)
            for _, columns, rows in scored.tables():
                write_tsv(folder / "predictions" / "evaluate.tsv", columns, rows)
            write_json(folder / "metrics.json", results)
            page = {**results, "predictions": scored}
            with parts_kept(figures):
                write_report(folder / "report.html", classification_report(page))
            logger.info("report: %s", folder / "report.html")
        return results


def _met(
    model: str, data: LabelledSequences, judge: Kind, labels: Labels, predicted: Any, groups: Any
) -> dict[str, Any]:
    """Say which of the sequences the model was trained on, and score the others by themselves."""
    table = trained_on_of(model)
    if table is None:
        logger.warning(
            "%s does not say what it was trained on (no %s): whether these sequences were in training is not checked",
            model, TRAINED_ON,
        )  # fmt: skip
        return {}
    report, met = met_before(read_trained_on(table), data.sequences, data.ids, data.alphabet)
    found: dict[str, Any] = {"leakage": report}
    if not met.any():
        return found
    logger.warning(
        "%d of %d sequences were met in training or validation of this model (%s): the scores are in part of memory",
        met.sum(), len(met), ", ".join(f"{pair['any']['count']} in {name.partition('->')[0]}" for name, pair in
        report["pairs"].items()),
    )  # fmt: skip
    if met.all() or not judge.scorable(labels[~met]):
        return found
    rest = labels[~met], predicted[~met]
    found["without_leaked"] = {
        "sequences": int((~met).sum()),
        "scores": judge.scores(*rest),
        "ci95": judge.intervals(*rest, groups[~met]),
    }
    logger.info(
        "without them, %d are left: %s",
        (~met).sum(),
        brief({"targets": data.targets}, found["without_leaked"]["scores"]),
    )
    return found


def _paths(value: Any) -> Iterator[str]:
    """Yield every text in a description of data: those that are paths say what is read."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _paths(part)


def _in_order_of(predictor: Predictor, data: LabelledSequences) -> Labels:
    """Put labels into the model's order of classes, labels or values."""
    classes, targets = predictor.classes, predictor.kind.labels.name
    if data.targets != targets:
        raise DataError(f"{source_of(data)} has {data.targets}, and the model has learned {targets}")
    foreign = sorted(set(data.classes) - set(classes))
    missing = sorted(set(classes) - set(data.classes)) if data.kind.needs_all else []
    if foreign or missing:
        found = foreign or missing
        where = "are not the model's" if foreign else "are missing of the model's"
        raise DataError(
            f"{source_of(data)}: the labels {', '.join(map(repr, found))} {where}, which are "
            f"{', '.join(map(repr, classes))}. Name the right column with data.label=..., or correct the labels."
        )
    return data.kind.reordered(data.labels, data.classes, classes)
