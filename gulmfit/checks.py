"""What can be said of the plain values of a configuration: unknown keys, kinds, ranges."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, get_origin

from gulmfit.schema import RANGES, PhaseSchema


def nearest(key: str, allowed: Sequence[str]) -> str:
    """Name the key that was meant, or all there are."""
    near = difflib.get_close_matches(key, allowed, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(allowed))}."


def check_schema(node: dict[str, Any], schema: type, where: str, other: Sequence[str] = ()) -> list[str]:
    """Compare a plain mapping with a dataclass: unknown keys and values of the wrong kind.

    A value of the wrong kind gives way to the default: what is checked after this finds numbers where they belong.

    Args:
        node: The mapping.
        schema: The dataclass.
        where: What stands before its keys.
        other: Keys that are left to others.
    """
    mistakes = []
    known = {item.name: item for item in fields(schema)}
    for key, value in node.items():
        if key in other:
            continue
        path = f"{where}{key}"
        if key not in known:
            mistakes.append(f"there is no key {path!r}; {nearest(str(key), [*known, *other])}")
            continue
        kind = known[key].type
        if is_dataclass(kind) and isinstance(kind, type):
            if isinstance(value, dict):
                mistakes += check_schema(value, kind, f"{path}.")
            else:
                mistakes.append(f"{path}={value!r}: a mapping is needed.")
                node[key] = _default(known[key])
        elif value != "???" and not _fits(value, kind):
            name = getattr(kind, "__name__", str(kind))
            mistakes.append(f"{path}={value!r}: {name} is needed, not {type(value).__name__}.")
            node[key] = _default(known[key])
    return mistakes


def _default(item: Any) -> Any:
    return item.default if item.default_factory is MISSING else item.default_factory()


def check_ranges(config: Mapping[str, Any]) -> list[str]:
    """Check numbers against `gulmfit.schema.RANGES`, and the lists of numbers."""
    mistakes = []
    for key, interval in RANGES.items():
        value: Any = config
        for name in key.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is None or value == "???":
            continue
        low, high = map(float, interval[1:-1].split(","))
        if isinstance(value, bool) or not isinstance(value, int | float):
            mistakes.append(f"{key}={value!r}: a number in {interval} is needed.")
        elif (
            not low <= value <= high or (value == low and interval[0] == "(") or (value == high and interval[-1] == ")")
        ):
            mistakes.append(f"{key}={value}: it lies in {interval}.")
    for key in ("classify.phases", "schedule.phases"):
        group, _, name = key.partition(".")
        if key == "schedule.phases" and any("classify.phases" in mistake for mistake in mistakes):
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


def _check_phase(phase: Any, where: str) -> list[str]:
    if not isinstance(phase, dict):
        return [f"{where}: {phase!r} is not a phase, such as {{epochs: 3, lr: 1e-2}}."]
    told = f"{where}: in {phase}"
    mistakes = [f"{told}, {mistake}" for mistake in check_schema(dict(phase), PhaseSchema, "")]
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
