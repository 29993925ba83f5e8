"""The space of a search: which keys of the configuration may have which values.

A parameter is a line of `search.space`:

    classify.drop_mult: {float: [0.1, 1.0]}
    optimizer.weight_decay: {log: [1e-4, 1e-1]}
    arch: {choice: [conv_lstm, awd_lstm_small]}
    arch.filters: {int: [32, 256], step: 32, when: {arch: conv_lstm}}

A name that is not a key goes into the texts of `search.set`, as `$name`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from string import Template
from typing import Any

import numpy as np

from gulmfit.checks import nearest
from gulmfit.errors import ConfigError
from gulmfit.overrides import assign

Values = dict[str, Any]
"""A value for each active parameter, by name."""

KINDS_OF_PARAMETERS = ("float", "log", "int", "choice")
OPTIONS = ("step", "points", "when")
POINTS = 3
"""Values of a range that a grid takes, unless `points` or `step` says otherwise."""


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        name: Key of the configuration, or a name in `search.set`.
        kind: `float`, `log` (a float whose logarithm is uniform), `int` or `choice`.
        bounds: Least and greatest value; of a choice its values.
        step: Between values, None for any.
        points: Values that a grid takes.
        when: It is only there where these other parameters have one of these values.
    """

    name: str
    kind: str
    bounds: tuple[Any, ...]
    step: float | None = None
    points: int = POINTS
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def is_active(self, values: Mapping[str, Any]) -> bool:
        """Whether it is there beside these values."""
        return all(values.get(other, self) in allowed for other, allowed in self.when.items())

    def suggest(self, trial: Any) -> Any:
        """Ask an Optuna trial for a value."""
        if self.kind == "choice":
            # Optuna takes plain scalars alone.
            texts = [json.dumps(value) for value in self.bounds]
            return json.loads(trial.suggest_categorical(self.name, texts))
        low, high = self.bounds
        if self.kind == "int":
            return trial.suggest_int(self.name, low, high, step=int(self.step or 1))
        return trial.suggest_float(self.name, low, high, step=self.step, log=self.kind == "log")

    def stored(self, value: Any) -> Any:
        """Return a value as Optuna keeps it."""
        return json.dumps(value) if self.kind == "choice" else value

    def holds(self, value: Any) -> bool:
        """Whether a value is one of its own."""
        if self.kind == "choice":
            return value in self.bounds
        low, high = self.bounds
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            return False
        on_grid = self.step is None or abs((value - low) / self.step - round((value - low) / self.step)) < 1e-9
        return on_grid and (self.kind != "int" or value == int(value))

    def grid(self) -> list[Any]:
        """Return the values that a grid takes."""
        if self.kind == "choice":
            return list(self.bounds)
        low, high = self.bounds
        if self.step:
            found = np.arange(low, high + self.step / 2, self.step)
        else:
            found = (np.geomspace if self.kind == "log" else np.linspace)(low, high, self.points)
        return list(dict.fromkeys(round(x) if self.kind == "int" else float(x) for x in found))


@dataclass(frozen=True)
class Space:
    """All parameters, those that others depend on first, and the texts that names go into."""

    parameters: tuple[Parameter, ...]
    texts: Mapping[str, str]

    def words(self, values: Mapping[str, Any]) -> list[str]:
        """Return these values as overrides of a configuration."""
        free = self._free()
        words = [_word(name, value) for name, value in values.items() if name not in free]
        if not free & set(values):
            return words
        inserted = {name: f"{value:.12g}" if isinstance(value, float) else value for name, value in values.items()}
        return [*words, *(f"{key}={Template(text).substitute(inserted)}" for key, text in self.texts.items())]

    def _free(self) -> set[str]:
        return {name for text in self.texts.values() for name in Template(text).get_identifiers()}

    def suggest(self, trial: Any) -> Values:
        """Ask an Optuna trial for a value of every parameter that is there."""
        values: Values = {}
        for parameter in self.parameters:
            if parameter.is_active(values):
                values[parameter.name] = parameter.suggest(trial)
        return values

    def grid(self) -> Iterator[Values]:
        """Yield every combination that a grid takes; of parameters that are not there, none."""
        yield from self._combinations({}, self.parameters, lambda parameter: parameter.grid())

    def corners(self) -> Iterator[Values]:
        """Yield combinations in which every bound and every choice occurs."""
        parents = {other for parameter in self.parameters for other in parameter.when}

        def of_corner(at: int) -> Iterator[Values]:
            return self._combinations(
                {}, self.parameters,
                lambda one: list(one.bounds) if one.name in parents else [one.bounds[at]],
            )  # fmt: skip

        for low, high in zip(of_corner(0), of_corner(-1), strict=True):
            yield low
            yield high
            for one in self.parameters:
                if one.kind == "choice" and one.name in low and one.name not in parents:
                    yield from (low | {one.name: value} for value in one.bounds[1:-1])

    def _combinations(self, before: Values, rest: tuple[Parameter, ...], values_of: Any) -> Iterator[Values]:
        if not rest:
            yield before
            return
        first, *others = rest
        if not first.is_active(before):
            yield from self._combinations(before, tuple(others), values_of)
            return
        for value in values_of(first):
            yield from self._combinations({**before, first.name: value}, tuple(others), values_of)


def read_space(space: Mapping[str, Any], texts: Mapping[str, Any]) -> Space:
    """Read `search.space` and `search.set`.

    Raises:
        ConfigError: Listing every mistake: an unknown kind, bounds that are inverted, a condition on no choice.
    """
    mistakes: list[str] = []
    if not space:
        mistakes.append("search.space is empty: name a parameter, such as classify.drop_mult: {float: [0.1, 1.0]}.")
    found = {}
    for name, node in space.items():
        told = _mistake(name, node, space)
        if told:
            mistakes.append(f"search.space: {name}: {told}")
        else:
            found[name] = _parameter(name, node)
    for key, text in texts.items():
        try:
            unknown = set(Template(str(text)).get_identifiers()) - set(space)
            mistakes += [f"search.set: {key}: ${name} is not a parameter of search.space." for name in sorted(unknown)]
            if not Template(str(text)).is_valid():
                raise ValueError
        except ValueError:
            mistakes.append(f"search.set: {key}: {text!r} is not a text with $names.")
        conditional = [name for name in Template(str(text)).get_identifiers() if name in found and found[name].when]
        mistakes += [f"search.set: {key}: ${name} must always be there: it has a condition." for name in conditional]
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    depth = {name: _depth(name, found) for name in found}
    ordered = tuple(sorted(found.values(), key=lambda one: depth[one.name]))
    return Space(ordered, {key: str(text) for key, text in texts.items()})


def _depth(name: str, found: Mapping[str, Parameter], seen: tuple[str, ...] = ()) -> int:
    if name in seen:
        raise ConfigError(f"search.space: {' and '.join(seen)} are conditions of each other.")
    return max((1 + _depth(other, found, (*seen, name)) for other in found[name].when), default=0)


def _mistake(name: str, node: Any, space: Mapping[str, Any]) -> str:
    """Say what is wrong with a line of the space; nothing where it is right."""
    kinds = [key for key in node if key in KINDS_OF_PARAMETERS] if isinstance(node, Mapping) else []
    if len(kinds) != 1:
        return f"{node!r} is not one of {{float: [low, high]}}, {{log: …}}, {{int: …}} or {{choice: [a, b]}}."
    (kind,) = kinds
    if unknown := [key for key in node if key not in (kind, *OPTIONS)]:
        return f"there is no option {unknown[0]!r}; {nearest(str(unknown[0]), OPTIONS)}"
    bounds = node[kind]
    if not isinstance(bounds, list) or not bounds:
        return f"{kind} needs a list, not {bounds!r}."
    if kind == "choice":
        if len(bounds) != len({json.dumps(value) for value in bounds}):
            return f"{bounds} names a choice twice."
    else:
        numbers = (int,) if kind == "int" else (int, float)
        if len(bounds) != 2 or any(isinstance(one, bool) or not isinstance(one, numbers) for one in bounds):
            return f"{kind} needs two numbers, the least and the greatest, not {bounds}."
        low, high = bounds
        if low > high:
            return f"the bounds {bounds} are inverted: give {kind}: [{high}, {low}]."
        if kind == "log" and low <= 0:
            return f"log needs bounds above 0, not {bounds}."
        if kind == "log" and node.get("step"):
            return "log takes no step; give points for a grid."
    for option in ("step", "points"):
        value = node.get(option)
        if option in node and (isinstance(value, bool) or not isinstance(value, int | float) or value <= 0):
            return f"{option}={value!r}: a number above 0 is needed."
    return _wrong_condition(node.get("when", {}), space)


def _wrong_condition(when: Any, space: Mapping[str, Any]) -> str:
    if not isinstance(when, Mapping):
        return f"when: {when!r} is not a mapping such as {{arch: conv_lstm}}."
    for other, values in when.items():
        choices = space[other].get("choice") if isinstance(space.get(other), Mapping) else None
        if choices is None:
            return f"when: {other} is not a choice of search.space; {nearest(str(other), list(space))}"
        if wrong := [value for value in _as_list(values) if value not in choices]:
            return f"when: {other} is never {wrong[0]!r}; its choices are {choices}."
    return ""


def _parameter(name: str, node: Mapping[str, Any]) -> Parameter:
    (kind,) = (key for key in node if key in KINDS_OF_PARAMETERS)
    bounds = tuple(float(one) for one in node[kind]) if kind in ("float", "log") else tuple(node[kind])
    when = {other: tuple(_as_list(values)) for other, values in node.get("when", {}).items()}
    return Parameter(str(name), kind, bounds, node.get("step"), int(node.get("points", POINTS)), when)


def _as_list(values: Any) -> list[Any]:
    return list(values) if isinstance(values, list) else [values]


def _word(name: str, value: Any) -> str:
    """Write a value as Hydra reads it."""
    if isinstance(value, str):
        return assign(name, value)
    text = f"{value:.12g}" if isinstance(value, float) else re.sub(r'"(\w+)":', r"\1:", json.dumps(value))
    return f"{name}={text}"  # in a mapping names stand bare
