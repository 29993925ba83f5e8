"""Words that a user types first arrive at the keys that they mean."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig

from gulmfit.config import compose, plain, validate
from gulmfit.errors import ConfigError
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.shorthand import guessed, translated
from gulmfit.train.recipe import decide, settle


def decided(*words: str, count: int = 5_000) -> DictConfig:
    """Compose a classifier and let it see so many sequences."""
    texts = ["".join(np.random.default_rng(number).choice(list("ACGT"), 20)) for number in range(20)]
    one = LabelledSequences([str(n) for n in range(20)], texts, np.arange(20) % 2, ["a", "b"])
    data = one.subset(np.arange(count) % 20)
    told = translated(["stage=classify", "arch.strands=forward", *words])
    config = settle(compose(told), told)
    validate(config)
    return decide(config, data, one)


def phases_of(config: DictConfig) -> list[dict[str, Any]]:
    return [dict(phase) for phase in plain(config.schedule.phases)]


@pytest.mark.parametrize("recipe", ["none", "scratch"])
def test_phases_keep_their_proportions(recipe: str) -> None:
    before, after = (phases_of(decided(f"recipe={recipe}", *words)) for words in ((), ("epochs=8.5", "lr=4e-2")))
    assert sum(phase["epochs"] for phase in after) == pytest.approx(8.5)
    assert max(phase["lr"] for phase in after) == pytest.approx(4e-2)
    for name in ("epochs", "lr"):
        ratios = [new[name] / old[name] for new, old in zip(after, before, strict=True)]
        assert ratios == pytest.approx([ratios[0]] * len(ratios))
    assert [phase.get("groups") for phase in after] == [phase.get("groups") for phase in before]


def test_a_length_that_is_given_is_kept() -> None:
    assert decided("recipe=scratch").schedule.patience.steps
    assert decided("recipe=scratch", "lr=1e-3").schedule.patience.steps
    assert decided("recipe=scratch", "classify.epochs=2").schedule.patience.steps is None


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_a_language_model_has_keys_of_its_own(stage: str) -> None:
    config = compose([f"stage={stage}", "epochs=3", "lr=1e-4"])
    assert phases_of(config)[0]["epochs"] == 3
    assert phases_of(config)[0]["lr"] == 1e-4
    assert config == compose([f"stage={stage}", f"{stage}.epochs=3", f"{stage}.lr=1e-4"])


def test_an_experiment_says_its_stage() -> None:
    assert compose(["experiment=ecoli_lm", "epochs=2"]).pretrain.epochs == 2


@pytest.mark.parametrize("word", ["epochs=3", "lr=1e-3"])
def test_of_several_parts_one_is_named(word: str) -> None:
    with pytest.raises(ConfigError, match=rf"stage=ulmfit.*classify\.{word.partition('=')[0]}="):
        compose([word])


def test_early_stopping_is_a_callback_of_every_part() -> None:
    config = compose(["stage=pretrain", "early_stopping=5"])
    validate(config)
    found = plain(config.callbacks.early_stopping)
    assert found["_target_"].endswith("EarlyStopping")
    assert (found["monitor"], found["mode"], found["patience"]) == ("val/bits_per_base", "min", 5)
    assert translated(["early_stopping=true"]) == translated(["early_stopping=3"])
    assert translated(["early_stopping=false"]) == []
    with pytest.raises(ConfigError, match="early_stopping=soon"):
        compose(["early_stopping=soon"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["data.path=l.csv"], ["data=table", "stage=classify"]),
        (["data.path=L.TSV.gz", "stage=finetune"], ["data=table"]),
        (["data.train=a.parquet", "data.test=b.parquet"], ["data=table", "stage=classify"]),
        (["data.path=l.csv", "data.genome=g.fa"], ["data=table"]),  # the three stages
        (["data.path=genomes/*.fna.gz"], ["data=fasta", "stage=pretrain"]),
        (["data.path=[a.fa,b.fa]"], ["data=fasta", "stage=pretrain"]),
        (["data.path=[a.fa,b.csv]"], []),
        (["data.path=p.bed", "data.genome=g.fa"], ["data=intervals", "stage=classify"]),
        (["data.path=l.csv", "data=table"], []),
        (["data.path=l.csv", "experiment=sigma"], []),
        (["data.path=genome.gbff.gz"], []),
        (["-m", "seed=1,2"], []),
    ],
)  # fmt: skip
def test_what_the_name_of_the_data_says(words: list[str], expected: list[str]) -> None:
    assert guessed(words) == expected


def test_other_words_stay(tmp_path: Path) -> None:
    words = ["-m", "stage=classify", "pretrain.lr=1", "data.path=a=b.csv", "+x=epochs=3", "~callbacks.lr"]
    assert translated([*words, "data=table"]) == [*words, "data=table"]


@pytest.mark.parametrize(
    ("word", "needed"),
    [
        ("stage=classfy", "classify"),
        ("arch=awd_lstm_tny", "awd_lstm_tiny"),
        ("experiment=demmo", "demo"),
        ("data.pth=x", "data.path"),
        ("data.folds=x", "data.id"),
        ("data.window=x", "data=intervals"),
    ],
)
def test_the_nearest_choice_or_key_is_named(word: str, needed: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(needed)) as raised:
        compose([word])
    assert "Config search path" not in str(raised.value)
