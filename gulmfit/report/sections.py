"""Parts that the pages of several stages share: leaks, curves, calibration, the worst errors, what was run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gulmfit.evaluate.calibration import reliability_curve
from gulmfit.report import figures
from gulmfit.report.html import Figure, Section, Table
from gulmfit.report.kinds.kind import Curves
from gulmfit.report.kinds.predictions import Predictions
from gulmfit.report.table import leaves
from gulmfit.report.wording import SEARCHED_UNEQUALLY, heading, model_name
from gulmfit.seq.related.leakage import KINDS, MET, leaked_fraction, most_leaking

Results = Mapping[str, Any]

_KINDS = {**KINDS, "any": "any"}
LEAKAGE_THRESHOLD = 0.01  # as in conf/train.yaml, for results that do not say theirs
_WORST = 10
_SHOWN_BASES = 60


def present(sections: list[Section]) -> list[Section]:
    """Leave out the sections that show nothing."""
    return [one for one in sections if one.tables or one.details or any(picture for _, picture in one.figures)]


def tables_of(rows: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Lay out rows as a table of all their keys; none without rows."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return [(columns, [[row.get(name) for name in columns] for row in rows])] if rows else []


def searched_unequally(section: Section, models: Mapping[str, Any]) -> Section:
    """Say in a comparison with the twin from scratch that settings of the two were not searched equally."""
    if "scratch" in models and len(models) > 1:
        section.text.append(SEARCHED_UNEQUALLY)
    return section


def leakage_section(results: Results, summary: Sequence[str] = ()) -> Section:
    """Say what the parts of a split, and the language model's corpus, have in common; red where it is too much.

    It is red where the run warned: where more of the test part was met in training or in validation than the threshold
    allows.

    Args:
        results: `leakage` is what `gulmfit.seq.related.leakage.leakage_report` gave and the run's `threshold` (0.01 if
            missing), or several of these by name.
        summary: Scores to show of the test sequences that were not met.
    """
    leakage: Results = results.get("leakage") or {}
    reports = {"": leakage} if "pairs" in leakage else leakage
    rows, corpus_rows, met, allowed, beyond = [], [], 0, 0.0, False
    origins: dict[str, None] = {}  # of several reports each sentence once
    for name, report in reports.items():
        origins |= dict.fromkeys(_origins(report))
        for pair, found in report["pairs"].items():
            rows.append([*([name] if name else []), pair.replace("->", " → "), *_counts(found)])
            met += int(found["any"]["count"]) if pair in MET else 0
        allowed = float(report.get("threshold", LEAKAGE_THRESHOLD))
        beyond |= leaked_fraction(report, most_leaking(report)) > allowed
        for part, found in (report.get("corpus") or {}).items():
            corpus_rows.append([*([name] if name else []), part, report["sequences"][part], found["count"]])
    section = Section("Leak check", warning=beyond)
    if not rows:
        return section
    first = ["run"] if len(rows[0]) > 1 + len(_KINDS) else []
    section.tables.append(([*first, "met in → part", *_KINDS.values()], rows))
    if beyond:
        text = (
            f"More than {allowed:.3g} of the test sequences were met in training or in validation: on new sequences "
            "expect lower scores than these."
        )
    elif met:
        text = (
            "Some test sequences were met in training or in validation, no more of them than the threshold allows "
            f"({allowed:.3g} of the test part)."
        )
    else:
        text = "No test sequence is in training or validation, nor its reverse complement, nor a near-copy."
    if any(
        "near_duplicate" in found and found["near_duplicate"] is None
        for report in reports.values()
        for found in report["pairs"].values()
    ):
        text = (
            text.replace(", nor a near-copy", "") + " Near-copies cannot be seen by digests, and were not looked for."
        )
    section.text.append(text)
    if rest := results.get("without_leaked"):
        names = [name for name in summary if name in rest["scores"]]
        cells = [(rest["scores"][name], *rest["ci95"][name]) for name in names]
        section.text.append(f"Below, the model on the {rest['sequences']} test sequences that were not met.")
        section.tables.append(([f"{heading(name)}, not met" for name in names], [cells]))
    if corpus_rows:
        section.tables.append(([*first, "part", "sequences", "stand in the language model's corpus"], corpus_rows))
        section.text.append(
            "The language model has read no label; of sequences that stand in its corpus it knows the letters."
        )
    section.text += origins
    return section


def _origins(report: Results) -> list[str]:
    """Say which labelled sequences of the test part an earlier model has read, and what could not be searched."""
    sentences = []
    for corpus in report.get("corpora") or []:
        if corpus["parts"] is None:
            sentences.append(f"Not searched: {corpus['name']} ({corpus['why_not']}).")
        elif corpus["read"] != "genome" and (count := corpus["parts"].get("test", {}).get("count")):
            sentences.append(
                f"{count} of {report['sequences']['test']} test sequences stand in {corpus['name']}, which the model "
                f"that this run started from had read {corpus['read']}."
            )
    return sentences


def _counts(found: Results) -> list[object]:
    return [None if found.get(kind) is None else found[kind]["count"] for kind in _KINDS]


def curves_section(curves: Curves) -> Section:
    """Draw ROC and precision-recall curves of two-class predictions."""
    pictures: list[Figure] = [
        ("Receiver operating characteristic; the dotted line is chance.", figures.roc(curves)),
        ("Precision and recall; the dotted line is chance.", figures.precision_recall(curves)),
    ]
    return Section("ROC and precision-recall", figures=pictures)


def score_curves(predictions: Predictions | None, run: str = "model") -> Curves:
    """Return binary labels and scores of each model of a two-class set, `model` under the name of the run."""
    if predictions is None or len(predictions.classes) != 2:
        return {}
    positive = predictions.positive_index
    truth = (predictions.labels == positive).astype(int)
    return {
        run if name == "model" else model_name(name): (truth, values[:, positive])
        for name, values in predictions.by_model.items()
        if name != "majority"
    }


def calibration_section(results: Results) -> Section:
    """Draw how far probabilities are frequencies, before and after calibration.

    Args:
        results: `calibration` as `gulmfit.train.stages.scoring` gives it, `predictions` and the uncalibrated
        probabilities
            `raw` (N, C) of the same sequences.
    """
    section, found, predictions = Section("Calibration"), results.get("calibration"), results.get("predictions")
    if not found or predictions is None:
        return section
    how = {
        "none": "Probabilities are those of the network.",
        "temperature": f"Logits are divided by {found['temperature']:.3f}, fitted on the validation part.",
        "isotonic": f"An isotonic map of {len(found['knots'])} knots was fitted on the validation part.",
    }[found["kind"]]
    section.text.append(
        f"{how} Of the sequences to which a well-calibrated model gives 0.8, 80 % are positive. Chance alone makes ECE "
        "larger than 0; its interval takes that out, and so lies below the score rather than around it."
    )
    rows = [[name, *scores.values()] for name, scores in found["test"].items()]
    section.tables.append((["calibration", "ECE", "Brier score", "log loss"], rows))
    if found.get("at_threshold"):
        names = ("accuracy", "mcc", "f1", "precision", "recall")
        section.text.append(
            f"On validation MCC is highest where probabilities of {found['threshold']:.3f} and more are called "
            "positive; below, what that threshold makes of the test part."
        )
        section.tables.append((names, [[found["at_threshold"][name] for name in names]]))
    positive = predictions.positive_index
    curves = {
        name: reliability_curve(predictions.labels, values, positive=positive)
        for name, values in (("before", results.get("raw")), ("after", predictions.by_model["model"]))
        if values is not None
    }
    section.figures.append(("Stated probability against observed frequency, test part.", figures.reliability(curves)))
    return section


def errors_section(results: Results) -> Section:
    """List the test sequences that the model was most certain of and wrong about.

    Args:
        results: `predictions` and, for their letters, `sequences` by record id.
    """
    predictions: Predictions | None = results.get("predictions")
    if predictions is None:
        return Section("Worst errors")
    values, classes, labels = predictions.by_model["model"], predictions.classes, predictions.labels
    chosen = values.argmax(1)
    wrong = np.flatnonzero(chosen != labels)
    wrong = wrong[np.argsort(-values[wrong, chosen[wrong]], kind="stable")][:_WORST]
    rows = [(row, classes[labels[row]], classes[chosen[row]], values[row, chosen[row]]) for row in wrong]
    text = "The test sequences that the model was most certain of and wrong about: often they are wrong labels."
    return _worst_section(results, ("label", "predicted", "probability"), rows, text)


def target_errors(
    results: Results, columns: tuple[str, str, str], *, by_spread: bool = False, unknown: int | None = None
) -> Section:
    """List the labels or values of test sequences that the model was most wrong about.

    Args:
        results: As of `errors_section`.
        columns: What the table calls a name, what is known and what is predicted.
        by_spread: Count errors in standard deviations of what is known.
        unknown: What stands for a label that nobody knows; there is no error in it.
    """
    predictions: Predictions | None = results.get("predictions")
    if predictions is None:
        return Section("Worst errors")
    values, labels = predictions.by_model["model"], predictions.labels
    spread = labels.std(axis=0) if by_spread else np.ones(len(predictions.classes))
    off = np.abs(values - labels) / np.where(spread > 0, spread, 1.0)
    off = off if unknown is None else np.where(labels == unknown, 0.0, off)
    worst = zip(*np.unravel_index(np.argsort(-off, axis=None, kind="stable")[:_WORST], off.shape), strict=True)
    rows = [(row, predictions.classes[column], labels[row, column], values[row, column]) for row, column in worst]
    text = "What the model was most wrong about on the test part: often the recorded label or value is at fault."
    return _worst_section(results, columns, rows, text)


def _worst_section(results: Results, columns: Sequence[str], found: Sequence[tuple[Any, ...]], text: str) -> Section:
    """Lay out errors, the number of a sequence first."""
    ids, letters = results["predictions"].ids, results.get("sequences") or {}
    rows = [[ids[row], *cells, _shortened(letters.get(ids[row], ""))] for row, *cells in found]
    return Section("Worst errors", [text], [(["id", *columns, "sequence"], rows)] if rows else [])


def _shortened(sequence: str) -> str:
    return sequence if len(sequence) <= _SHOWN_BASES else f"{sequence[:_SHOWN_BASES]}…"


def facts_sections(results: Results) -> Iterator[Section]:
    """Yield what was run on what, with which versions, and how to run it again."""
    for title, name in (("Data", "data"), ("Model", "model"), ("Timing", "timing"), ("Versions", "versions")):
        yield Section(title, tables=[_facts(results[name])] if results.get(name) else [])
    if command := results.get("command"):
        yield Section("How to run it again", details=[("command", str(command))])
    if text := results.get("config_yaml"):
        yield Section("Configuration", details=[("config.yaml", str(text))])


def _facts(record: Results) -> tuple[list[str], list[list[object]]]:
    return ["", "value"], [[name, value] for name, value in leaves(record)]
