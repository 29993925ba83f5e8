"""What the report of each stage says, built from the plain results of a run.

`results` is `metrics.json` as a dict and, where there are any, `curves` (rows of `metrics.csv`),
`predictions` (a `gulmfit.report.kinds.predictions.Predictions`, the run's own under "model"), `lr_find` ({"lrs",
"losses", "suggestion"}) and `config_yaml` (text). Whatever is missing or empty, its section is left out.
"""

import math
from collections.abc import Mapping
from typing import Any

from gulmfit.evaluate.calibration import CALIBRATED_FORWARD
from gulmfit.report import figures
from gulmfit.report.cautions import cautions
from gulmfit.report.combined import blend_scores, blend_section, blend_verdict, ensemble_section
from gulmfit.report.html import Figure, Report, Section
from gulmfit.report.kinds.kind import Kind, objective_of
from gulmfit.report.sections import facts_sections, leakage_section, present, searched_unequally
from gulmfit.report.table import format_value
from gulmfit.report.wording import (
    CHOSE_THE_EPOCH,
    capital,
    finite,
    heading,
    model_name,
    p_text,
    subtitle,
    title,
)
from gulmfit.seq.alphabet import DNA, Alphabet, alphabet_named

Results = Mapping[str, Any]
Score = tuple[float, float | None, float | None]  # value, low, high
Scores = dict[str, Score]  # by metric

_SIGNIFICANT = 0.05
_INTERVALS = (
    "Square brackets hold 95 % intervals: a bootstrap over the sequences scored, each class, where there are classes, "
    "resampled by itself. They hold the chance of the sequences, not that of another training run."
)


def classification_report(results: Results) -> Report:
    """Build the report of a classifier.

    Args:
        results: Read are `stage run seed metrics ci95 baselines leakage data model timing versions confusion
            classes positive sign_flip` of `metrics.json` and `curves predictions lr_find config_yaml`; of label sets
            and values `targets`, and `paired by_target` in place of `sign_flip confusion`.
            `positive` is an index or a name of `classes` (1 if missing); a baseline may hold its own `ci95`;
            `ceilings`, of simulated data, are as baselines, and `ceiling` names the one that is the model's own.
            `sign_flip` holds, by baseline, what `sign_flip.sign_flip` gave with the model first; `mcnemar`, which
            stands there where no sequence has relatives, is read in its place from older runs.
    """
    objective = objective_of(results)
    models = {"model": _scores(results)}
    baselines = _baseline_scores(results)
    tests = objective.tests(results, "baseline")
    blend = {name: _scores(found) for name, found in blend_scores(results).items()}
    ceilings = {f"ceiling: {name}": scores for name, scores in _baseline_scores(results, "ceilings").items()}
    served = {str(results.get("served", "model")): models["model"]}
    scores = _score_section(objective, served | blend, baselines | ceilings, _split(results))
    if results.get("strand") == "average" and objective.labels.probabilities:
        scores.text.append(f"Both strands were averaged: {CALIBRATED_FORWARD}.")
    sections = [
        scores,
        objective.paired_section("model", results),
        blend_section(results),
        ensemble_section(results),
        leakage_section(results, objective.summary),
        *objective.sections(results),
        _training_section(results),
        *facts_sections(results),
    ]
    verdict = _classifier_verdict(objective, models["model"], baselines, tests, _split(results)) + _below(results)
    verdict += blend_verdict(results)
    reached = {"": models["model"], **baselines}
    headlines = {
        name: scores[objective.headline][0] for name, scores in reached.items() if objective.headline in scores
    }
    verdict += cautions(results, headlines, objective.headline, tests)
    return Report(title(objective.model, results), subtitle(results), verdict, _worthless(results), present(sections))


def language_model_report(results: Results) -> Report:
    """Build the report of a language model, pre-trained or fine-tuned.

    Args:
        results: Read are `stage run seed metrics ci95 baselines leakage data model timing versions` of
            `metrics.json` (`metrics` with `split/bits_per_base`, `baselines` with `markov: {bits_per_base}`)
            and `curves lr_find config_yaml`.
    """
    sections = [
        _bits_section({"model": results}),
        _training_section(results),
        *facts_sections(results),
    ]
    return Report(
        title("Language model", results), subtitle(results), _bits_verdict(results), _worthless(results),
        present(sections),
    )  # fmt: skip


def _worthless(results: Results) -> str:
    return str(results.get("worthless") or "")


def comparison_report(results: Results) -> Report:
    """Build the report of the three stages in a row, beside a model trained from scratch.

    Args:
        results: Read are `runs` ({"transferred": results, "scratch": results}, each as for
            `classification_report`), `pretrain` and `finetune` (each as for `language_model_report`),
            `sign_flip` (by the name of the run or baseline that transferred is held against, what
            `sign_flip.sign_flip` gave; or `mcnemar`, as older runs have it), and `stage run seed classes
            positive baselines leakage data versions timing config_yaml`; of these `baselines leakage data
            classes positive` are taken from the first run where missing.
    """
    runs: dict[str, Results] = {name: run for name, run in results.get("runs", {}).items() if run}
    first: Results = next(iter(runs.values()), {})
    kept = ("baselines", "leakage", "data", "classes", "positive", "targets")
    shared = {name: first[name] for name in kept if name in first} | _given(results)
    objective = objective_of(shared)
    models = {name: _scores(run) for name, run in runs.items()}
    baselines, tests = _baseline_scores(shared), objective.tests(results, "scratch")
    blend = {name: _scores(found) for name, found in blend_scores(first).items()}
    sections = [
        searched_unequally(_score_section(objective, models | blend, baselines, _split(first)), runs),
        objective.paired_section("transferred", results),
        blend_section(first),
        ensemble_section(first),
        leakage_section(shared, objective.summary),
        _overlaid_section(objective, runs),
        *objective.compared(shared, runs),
        _bits_section({name: results[name] for name in ("pretrain", "finetune") if results.get(name)}),
        *facts_sections(shared),
    ]
    verdict = _comparison_verdict(objective, models, baselines, tests) + blend_verdict(first)
    return Report(
        title("Transfer against scratch", results), subtitle(shared), verdict, _worthless(results), present(sections)
    )


def _classifier_verdict(
    objective: Kind, model: Scores, baselines: dict[str, Scores], tests: Results, split: str
) -> str:
    score = objective.headline
    if score not in model:
        return ""
    start = f"This run's model reaches {format_value(model[score])} {heading(score)} on the {split} sequences"
    return f"{start}; {_baseline_clause(objective, model[score][0], baselines, tests)}.{_no_better(model, baselines)}"


def _below(results: Results) -> str:
    """Say how far a model is from what its simulated data let it reach; nothing where that is not known."""
    name, known = results.get("ceiling"), results.get("ceilings") or {}
    if name not in known:
        return ""
    gaps = ", ".join(
        f"{heading(score)} {format_value(known[name][score])}, from which it is "
        f"{format_value((gap['difference'], gap['low'], gap['high']))} away"
        for score, gap in known[name]["gap"].items()
    )
    return f" The exact ceiling ({name}) is {gaps}."


def _no_better(model: Scores, baselines: dict[str, Scores]) -> str:
    """Say what to try where a classifier is no better than the answer that needs no sequence; else nothing."""
    majority = baselines.get("majority", {})
    name = next((name for name in ("auroc", "mcc") if name in model and name in majority), None)
    if name is None:
        return ""
    value, low, _ = model[name]
    if (value if low is None else low) > majority[name][0]:
        return ""
    return (
        " It is no better than always giving the commonest class: give it more labels or epochs, or start from a "
        "language model (init_from=bacteria, for bacteria); if nothing helps, look at the labels."
    )


def _comparison_verdict(
    objective: Kind, models: dict[str, Scores], baselines: dict[str, Scores], tests: Results
) -> str:
    score = objective.headline
    reached = {name: scores[score][0] for name, scores in models.items() if score in scores}
    if not reached:
        return ""
    best = max(reached, key=lambda name: reached[name])
    if {"transferred", "scratch"} <= set(reached):
        start = _versus(objective, reached["transferred"], reached["scratch"], tests.get("scratch", {}))
    else:
        value = format_value(reached[best])
        start = f"{capital(best)} reaches {value} {heading(score)} on this run, held against no other model"
    clause = _baseline_clause(objective, reached[best], baselines, tests if best == "transferred" else {})
    return f"{start}; {clause}."


def _versus(objective: Kind, transferred: float, scratch: float, test: Results) -> str:
    score = heading(objective.headline)
    if transferred == scratch:
        return f"Transferred and from-scratch have the same {score} on this run, {format_value(transferred)}"
    winner, loser = ("Transferred", "from-scratch") if transferred > scratch else ("From-scratch", "transferred")
    high, low = max(transferred, scratch), min(transferred, scratch)
    both = f"{score} {format_value(high)} against {format_value(low)}"
    p_value, name = finite(test.get("p_value")), test.get("test", objective.test)
    if p_value is None:
        return f"{winner} is ahead of {loser} on this run, {both}, but no paired test was made"
    if p_value < _SIGNIFICANT:
        return f"{winner} beats {loser} on this run: {both} ({name} {p_text(p_value)})"
    return (
        f"The difference between transferred and from-scratch on this run is not significant at {_SIGNIFICANT} "
        f"({winner.lower()} is ahead, {both}, {name} {p_text(p_value)})"
    )


def _baseline_clause(objective: Kind, score: float, baselines: dict[str, Scores], tests: Results) -> str:
    """Say how the best baseline stands to the best model."""
    reached = {
        name: scores[objective.headline][0] for name, scores in baselines.items() if objective.headline in scores
    }
    if not reached:
        return "no baseline was run"
    name = max(reached, key=lambda key: reached[key])
    label, value = model_name(name), format_value(reached[name])
    test: Results = tests.get(name, {})
    p_value = finite(test.get("p_value"))
    unsure = p_value is not None and p_value >= _SIGNIFICANT
    remark = f" ({test.get('test', objective.test)} {p_text(p_value)})" if p_value is not None else ""
    if reached[name] == score:
        return f"the {label} baseline does as well: {value}"
    if unsure:
        return f"the {label} baseline, {value}, is not significantly different{remark}"
    if reached[name] > score:
        return f"the {label} baseline wins: {value}{remark}"
    return f"the best baseline, {label}, reaches {value}{remark}"


def _alphabet(results: Results) -> Alphabet:
    return alphabet_named(str((results.get("data") or {}).get("alphabet", DNA.name)))


def _bits_verdict(results: Results) -> str:
    split, bits = _split(results), _scores(results).get("bits_per_base")
    if bits is None:
        return ""
    alphabet = _alphabet(results)
    start = f"The model needs {format_value(bits)} bits per {alphabet.unit} on the {split} sequences"
    markov = _baseline_scores(results).get("markov", {}).get("bits_per_base")
    if markov is None:
        return f"{start}; knowing nothing needs {alphabet.bits:.3g}, and no Markov model was fitted."
    gain = markov[0] - bits[0]
    if gain <= 0:
        return (
            f"{start}; the Markov model wins or does as well: {format_value(markov)}. Train longer, or on more "
            "sequence."
        )
    return f"{start}, {format_value(gain)} less than the Markov model ({format_value(markov)})."


def _score_section(objective: Kind, models: dict[str, Scores], baselines: dict[str, Scores], split: str) -> Section:
    order = sorted(baselines, key=lambda name: -baselines[name].get(objective.headline, (-math.inf,))[0])
    everyone = models | {name: baselines[name] for name in order}
    columns = [name for name in objective.columns if any(name in scores for scores in everyone.values())]
    section = Section(f"Scores on the {split} sequences, beside the baselines")
    if columns:
        rows = [[model_name(name), *(scores.get(column) for column in columns)] for name, scores in everyone.items()]
        section.tables.append((["", *map(heading, columns)], rows))
        known = {name: scores[columns[0]] for name, scores in everyone.items() if columns[0] in scores}
        headline = {model_name(name): score for name, score in known.items()}
        picture = figures.score_bars(headline, heading(columns[0]))
        section.figures.append((f"{capital(heading(columns[0]))} of models and baselines.", picture))
    if any(low is not None for scores in everyone.values() for _, low, _ in scores.values()):
        section.text.append(_INTERVALS)
    return section


def _training_section(results: Results) -> Section:
    rows, found = results.get("curves") or [], results.get("lr_find") or {}
    pictures: list[Figure] = [
        ("Losses and validation scores.", figures.learning_curves(rows)),
        ("Learning rate of each parameter group.", figures.lr_schedule(rows)),
    ]
    if found:
        test = figures.lr_find(found["lrs"], found["losses"], found.get("suggestion"))
        pictures.append(("Learning-rate range test.", test))
    return Section("Training", figures=pictures)


def _overlaid_section(objective: Kind, runs: Mapping[str, Results]) -> Section:
    curves = {name: run.get("curves") or [] for name, run in runs.items()}
    score = heading(objective.headline)
    loss = figures.compare_curves(curves, "val/loss", f"validation loss{objective.loss_unit}")
    reached = figures.compare_curves(curves, f"val/{objective.headline}", f"validation {score}")
    return Section("Training", figures=[("Validation loss.", loss), (f"Validation {score}.", reached)])


def _bits_section(runs: Mapping[str, Results]) -> Section:
    section = Section("Language model")
    rows: list[list[object]] = []
    for name, run in runs.items():
        scores, references = _scores(run), {}
        rows += [[name, _split(run), heading(metric), score] for metric, score in scores.items()]
        for baseline, reached in _baseline_scores(run).items():
            rows += [[baseline, _split(run), heading(metric), score] for metric, score in reached.items()]
            if "bits_per_base" in reached:
                references[model_name(baseline)] = reached["bits_per_base"][0]
        references["knowing nothing"] = _alphabet(run).bits
        picture = figures.bits_per_base(run.get("curves") or [], references)
        caption = f"Bits per {_alphabet(run).unit} while training" + ("" if name == "model" else f": {name}")
        section.figures.append((f"{caption}.", picture))
    if rows:
        section.tables.append((["", "split", "measure", "value"], rows))
        section.text.append(
            f"Training reported the epoch with the best held-out score, and {CHOSE_THE_EPOCH}. The Markov model chose "
            "everything inside the training part."
        )
    return section


def _given(results: Results) -> dict[str, Any]:
    """The entries that hold something; 0 does."""
    empty = {name for name, value in results.items() if isinstance(value, Mapping | list) and not value}
    return {name: value for name, value in results.items() if value is not None and name not in empty}


def _split(results: Results) -> str:
    """The split whose metrics are reported: test if there is one, else what was validated on."""
    present = {str(name).split("/", 1)[0] for name in results.get("metrics") or {} if "/" in str(name)}
    return next((name for name in ("test", "val", "valid", "train") if name in present), "test")


def _scores(results: Results) -> Scores:
    """Metrics of the reported split with their intervals."""
    prefix = f"{_split(results)}/"
    metrics, intervals = (
        {
            name.removeprefix(prefix): value
            for name, value in (results.get(key) or {}).items()
            if name.startswith(prefix)
        }
        for key in ("metrics", "ci95")
    )
    return _with_intervals(metrics, intervals)


def _baseline_scores(results: Results, key: str = "baselines") -> dict[str, Scores]:
    found = results.get(key) or {}
    return {name: _with_intervals(scores, scores.get("ci95") or {}) for name, scores in found.items()}


def _with_intervals(metrics: Results, intervals: Results) -> Scores:
    scores: Scores = {}
    for name, entry in metrics.items():
        value = finite(entry)
        if value is not None:
            low, high = intervals.get(name) or (None, None)
            scores[name] = (value, finite(low), finite(high))
    return scores
