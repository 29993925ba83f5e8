"""What can be said of the plain values of a configuration: unknown keys, kinds, ranges."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import Any, get_origin

from gulmfit.schema import PHASE, RANGES

SEARCHED = ("classify", "label", "pretrain", "finetune")
"""What a trial of a search may be."""

OBJECTIVES = (["score"], ["score", "seconds"], ["score", "parameters"])
"""What a search may look for."""

TUNED = ("none", "whole", "head")
"""What `tune` may be; the first one is not to."""


MISSING = "???"
"""What stands for a value that has to be given."""


def missing_keys(node: Any, place: str = "") -> Iterator[str]:
    """Name the dotted keys of plain values that have no value."""
    if node == MISSING:
        yield place
    if isinstance(node, dict):
        for key, value in node.items():
            yield from missing_keys(value, f"{place}.{key}" if place else str(key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from missing_keys(value, f"{place}[{index}]")


def nearest(key: str, allowed: Sequence[str]) -> str:
    """Name the key that was meant, or all there are."""
    near = difflib.get_close_matches(key, allowed, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(allowed))}."


def check_kinds(
    node: dict[str, Any], kinds: Mapping[str, Any], where: str = "", other: Sequence[str] = ()
) -> list[str]:
    """Look for unknown keys and values of the wrong kind.

    A value of the wrong kind is removed: what is checked after this finds numbers where they belong.

    Args:
        node: A plain mapping.
        kinds: The kind of every dotted key.
        where: What stands before the keys of `node`, with a dot at its end.
        other: Keys that are left to others.
    """
    mistakes = []
    known = dict.fromkeys(key.removeprefix(where).partition(".")[0] for key in kinds if key.startswith(where))
    for key, value in list(node.items()):
        path = f"{where}{key}"
        if key in other:
            continue
        if key not in known:
            mistakes.append(f"there is no key {path!r}; {nearest(str(key), [*known, *other])}")
        elif path not in kinds and isinstance(value, dict):
            mistakes += check_kinds(value, kinds, f"{path}.")
        elif path not in kinds:
            mistakes.append(f"{path}={value!r}: a mapping is needed.")
            del node[key]
        elif value != MISSING and not _fits(value, kinds[path]):
            name = getattr(kinds[path], "__name__", str(kinds[path]))
            mistakes.append(f"{path}={value!r}: {name} is needed, not {type(value).__name__}.")
            del node[key]
    return mistakes


def check_ranges(config: Mapping[str, Any]) -> list[str]:
    """Check numbers against `gulmfit.schema.RANGES`, and the lists of numbers."""
    mistakes = []
    for key, interval in RANGES.items():
        value: Any = config
        for name in key.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is None or value == MISSING:
            continue
        low, high = map(float, interval[1:-1].split(","))
        if isinstance(value, bool) or not isinstance(value, int | float):
            mistakes.append(f"{key}={value!r}: a number in {interval} is needed.")
        elif (
            not low <= value <= high or (value == low and interval[0] == "(") or (value == high and interval[-1] == ")")
        ):
            mistakes.append(f"{key}={value}: it lies in {interval}.")
    for key in ("classify.phases", "label.phases", "schedule.phases"):
        group, _, name = key.partition(".")
        if key == "schedule.phases" and any("l.phases" in m or "y.phases" in m for m in mistakes):
            break  # which has been taken from there
        for phase in (config.get(group) or {}).get(name) or []:
            mistakes += _check_phase(phase, key)
    sizes = (config.get("learning_curve") or {}).get("sizes") or []
    wrong = [size for size in sizes if isinstance(size, bool) or not isinstance(size, int) or size < 1]
    if wrong:
        mistakes.append(f"learning_curve.sizes={sizes}: {wrong[0]!r} is not a number of labels.")
    trainer = config.get("trainer") or {}
    if trainer.get("max_epochs") == -1 and trainer.get("max_steps") in (-1, None):
        mistakes.append(
            "trainer.max_epochs=-1: the learning rate follows a schedule that must know its end. Give a number of "
            "epochs or trainer.max_steps; trainer.max_time may end it earlier."
        )
    return mistakes


def check_stage(config: Mapping[str, Any], stage: Any) -> list[str]:
    """Check what belongs to single stages."""
    mistakes = check_many(config, stage) + check_search(config, stage)
    return mistakes + check_tune(config, stage) + check_panel(config, stage)


def check_many(config: Mapping[str, Any], stage: Any) -> list[str]:
    """Check what makes many runs of one."""
    folds, seeds = (config.get("cv") or {}).get("folds"), config.get("seeds", 1)
    mistakes = []
    if folds is not None and seeds > 1:
        mistakes.append("cv.folds and seeds both repeat a run: give cv.repeats with cv.folds, or seeds alone.")
    trained = (config.get("search") or {}).get("stage", stage)
    if trained not in ("classify", "panel") and (folds is not None or seeds > 1 or config.get("with_scratch")):
        mistakes.append(f"cv.folds, seeds and with_scratch go with stage=classify, not with stage={stage}.")
    if config.get("with_scratch") and folds is None and seeds == 1:
        mistakes.append("with_scratch goes with cv.folds or seeds; stage=ulmfit compares a single pair.")
    return mistakes


def check_tune(config: Mapping[str, Any], stage: Any) -> list[str]:
    """Check what the tuning of a labeller goes with."""
    name, tracks = (config.get("tune") or {}).get("name", TUNED[0]), (config.get("data") or {}).get("tracks")
    if name not in TUNED:
        return [f"tune.name={name!r} is unknown; choose one of {', '.join(TUNED)}."]
    mistakes = []
    if name != TUNED[0] and stage != "label":
        mistakes.append(f"tune={name} tunes a labeller: give stage=label, not stage={stage}.")
    if name != TUNED[0] and not config.get("init_from"):
        mistakes.append(f"tune={name} goes on from a labeller: give its run folder as init_from=.")
    if tracks and name == TUNED[0]:
        mistakes.append("data.tracks joins measured values to a trained labeller: give tune=head and init_from=.")
    return mistakes


def check_search(config: Mapping[str, Any], stage: Any) -> list[str]:
    """Check what a search of hyper-parameters goes with."""
    search = config.get("search")
    if not search:
        return ["stage=search needs a space: give search=default, or one of your own."] if stage == "search" else []
    searched = search.get("stage", SEARCHED[0])
    if stage not in ("search", searched):
        return [f"this search is for stage={searched}: give that, or stage=search, or another search=."]
    if search.get("objectives", OBJECTIVES[0]) not in OBJECTIVES:
        return [f"search.objectives={search['objectives']}: give one of {', '.join(map(str, OBJECTIVES))}."]
    if (config.get("trainer") or {}).get("limit_val_batches") == 0:
        return [
            "trainer.limit_val_batches=0 leaves no validation, by which a search chooses and whose curve it prunes by: "
            "leave it out."
        ]
    asked = config.get("seeds", 1) > 1 or config.get("with_scratch")
    asked = asked or config.get("ensemble", 1) != 1 or config.get("blend")
    if asked or config.get("lr_find") or config.get("resume") not in (None, "auto"):
        return [
            "search: a trial is one model, with one validation curve: leave out seeds, with_scratch, ensemble, blend, "
            "lr_find and resume=PATH, and give them with experiment=.../best.yaml afterwards."
        ]
    return []


def check_panel(config: Mapping[str, Any], stage: Any) -> list[str]:
    """Check what a panel of data sets goes with."""
    panel = config.get("panel")
    if not panel:
        return ["stage=panel needs its sets: give panel.path=."] if stage == "panel" else []
    if stage != "panel":
        return [f"panel= goes with stage=panel, not with stage={stage}."]
    mistakes = []
    kinds, known = panel.get("negatives") or [], ("shuffle", "matched", "genomic", "given")
    if not kinds or set(kinds) - set(known):
        mistakes.append(f"panel.negatives={kinds}: give one or several of {', '.join(known)}.")
    if config.get("resume") not in (None, "auto"):
        mistakes.append("a panel continues each of its runs by itself: leave out resume=PATH.")
    if config.get("lr_find"):
        mistakes.append("lr_find looks for the rate of one stage: give stage=classify with it.")
    return mistakes


def _check_phase(phase: Any, where: str) -> list[str]:
    if not isinstance(phase, dict):
        return [f"{where}: {phase!r} is not a phase, such as {{epochs: 3, lr: 1e-2}}."]
    told = f"{where}: in {phase}"
    mistakes = [f"{told}, {mistake}" for mistake in check_kinds(dict(phase), PHASE)]
    mistakes += [f"{told}, {name} is missing." for name in ("epochs", "lr") if name not in phase]
    numbers = {name: value for name, value in phase.items() if isinstance(value, int | float)}
    low = {"epochs": 0.0, "lr": 0.0, "decay": 1.0, "groups": 1.0}
    mistakes += [
        f"{told}, {name}={value} is too small."
        for name, value in numbers.items()
        if name in low and (value < low[name] or value == 0)
    ]
    return mistakes


def _fits(value: Any, kind: Any) -> bool:
    if isinstance(value, bool):
        return kind in (bool, bool | None)
    numbers: tuple[Any, ...] = (float, float | None)
    if kind in numbers and isinstance(value, int):
        return True
    origin = get_origin(kind)  # list and dict of list[Any] and dict[str, float]
    return isinstance(value, origin if isinstance(origin, type) and origin is not UnionType else kind)
