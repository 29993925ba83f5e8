"""Spaces of a search: what is drawn from them is what they say, and what they say is checked."""

from collections.abc import Mapping
from typing import Any

import pytest

from gulmfit.errors import ConfigError
from gulmfit.overrides import overrides_for_hydra
from gulmfit.train.search.space import read_space

SPACE: dict[str, Any] = {
    "arch.filters": {"int": [32, 96], "step": 32, "when": {"arch": "conv_lstm"}},
    "arch": {"choice": ["conv_lstm", "awd_lstm_small", "awd_gru"]},
    "classify.drop_mult": {"float": [0.1, 0.5]},
    "lr": {"log": [1e-4, 1e-2], "points": 3},
    "epochs": {"int": [2, 8]},
}
TEXTS = {"classify.phases": "[{epochs: $epochs, lr: $lr}]"}


def test_what_is_drawn_lies_in_the_space_and_depends_on_its_conditions() -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = read_space(SPACE, TEXTS)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [space.suggest(study.ask()) for _ in range(300)]
    for values in drawn:
        assert ("arch.filters" in values) == (values["arch"] == "conv_lstm")
        for parameter in space.parameters:
            if parameter.name in values:
                assert parameter.holds(values[parameter.name])
    assert {values.get("arch.filters") for values in drawn} == {None, 32, 64, 96}
    assert {values["epochs"] for values in drawn} == set(range(2, 9))
    assert sum(values["lr"] < 1e-3 for values in drawn) == pytest.approx(150, abs=30)  # half of it in logarithms


def test_a_grid_has_every_combination_once() -> None:
    found = list(read_space(SPACE, TEXTS).grid())
    assert len(found) == len({str(sorted(values.items())) for values in found})
    assert len(found) == (3 + 1 + 1) * 3 * 3 * 3
    assert sorted({values["lr"] for values in found}) == pytest.approx([1e-4, 1e-3, 1e-2])
    assert {values["epochs"] for values in found} == {2, 5, 8}


def test_corners_have_every_bound_and_every_choice() -> None:
    corners = list(read_space({**SPACE, "bptt": {"choice": [50, 70, 140]}}, TEXTS).corners())
    for name, expected in {
        "arch": {"conv_lstm", "awd_lstm_small", "awd_gru"}, "arch.filters": {32, 96}, "epochs": {2, 8},
        "classify.drop_mult": {0.1, 0.5}, "lr": {1e-4, 1e-2}, "bptt": {50, 70, 140},
    }.items():  # fmt: skip
        assert {values[name] for values in corners if name in values} == expected


def test_values_become_words_that_hydra_reads() -> None:
    space = read_space({**SPACE, "sizes": {"choice": [[1, 2], {"a": 3}]}}, TEXTS)
    values = {"arch": "conv_lstm", "classify.drop_mult": 0.25, "lr": 1e-3, "epochs": 4, "sizes": {"a": 3}}
    words = space.words(values)
    assert words == [
        "arch='conv_lstm'", "classify.drop_mult=0.25", "sizes={a: 3}", "classify.phases=[{epochs: 4, lr: 0.001}]",
    ]  # fmt: skip
    assert overrides_for_hydra(words) == words
    assert space.words({}) == []


def test_a_default_is_in_the_space_or_not() -> None:
    by_name = {one.name: one for one in read_space(SPACE, TEXTS).parameters}
    assert by_name["arch.filters"].holds(64)
    assert not by_name["arch.filters"].holds(48)
    assert not by_name["epochs"].holds(2.5)
    assert by_name["lr"].holds(1e-2)
    assert not by_name["lr"].holds(0.02)
    assert not by_name["lr"].holds(None)
    assert not by_name["arch"].holds({"filters": 3})


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({}, ["empty"]),
        ({"a": {"flot": [0, 1]}}, ["a", "float"]),
        ({"a": {"float": [1.0, 0.5]}}, ["inverted", "[0.5, 1.0]"]),
        ({"a": {"int": [5, 2]}}, ["inverted"]),
        ({"a": {"int": [0.5, 2]}}, ["two numbers"]),
        ({"a": {"log": [0, 1]}}, ["above 0"]),
        ({"a": {"log": [1, 2], "step": 1}}, ["step"]),
        ({"a": {"float": [0, 1], "stepp": 1}}, ["stepp", "step"]),
        ({"a": {"float": [0, 1], "step": -1}}, ["step=-1"]),
        ({"a": {"float": [0]}}, ["two numbers"]),
        ({"a": {"choice": []}}, ["list"]),
        ({"a": {"choice": [1, 1]}}, ["twice"]),
        ({"a": {"choice": [1]}, "b": {"int": [0, 1], "when": {"a": 2}}}, ["never", "[1]"]),
        ({"b": {"int": [0, 1], "when": {"a": 2}}}, ["is not a choice"]),
        ({"a": {"choice": [1], "when": {"b": 1}}, "b": {"choice": [1], "when": {"a": 1}}}, ["a", "b", "each other"]),
    ],
)
def test_a_mistake_is_told_with_what_to_change(space: Mapping[str, Any], told: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_space(space, {})
    assert all(word in str(caught.value) for word in told), caught.value


def test_texts_name_parameters_that_are_always_there() -> None:
    with pytest.raises(ConfigError, match=r"\$rate"):
        read_space(SPACE, {"classify.phases": "[{lr: $rate}]"})
    with pytest.raises(ConfigError, match=r"\$arch|condition"):
        read_space({**SPACE, "f": SPACE["arch.filters"]}, {"classify.phases": "$f"})
