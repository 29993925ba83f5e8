"""Shipped spaces hold at every bound and choice; mistakes of a search are named before it begins."""

from pathlib import Path

import pytest
import yaml

from gulmfit.config import compose, config_dir, plain, validate
from gulmfit.errors import ConfigError
from gulmfit.overrides import assign, expanded, experiment_of
from gulmfit.train.search.space import read_space

SPACES = sorted(path.stem for path in (config_dir() / "search").glob("*.yaml") if path.stem != "base")
RECIPES = {"few_labels": ["recipe=transfer"], "many_labels": ["recipe=scratch"], "default": ["recipe=scratch"]}


@pytest.mark.parametrize("name", SPACES)
def test_every_corner_of_a_shipped_space_composes(name: str) -> None:
    search = plain(compose(["stage=search", f"search={name}"]).search)
    space = read_space(search["space"], search["set"])
    for values in space.corners():
        validate(compose([f"stage={search['stage']}", *RECIPES.get(name, []), *space.words(values)]))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["stage=pretrain", "search=default"], "stage=classify"),
        (["stage=search", "search.sampler=best"], "search.sampler"),
        (["stage=search", "search.pruner=medium"], "search.pruner"),
        (["stage=search", "search.stage=ulmfit"], "search.stage"),
        (["stage=search", "search.trials=0"], "search.trials"),
        (["stage=search", "search.hours=0"], "search.hours"),
        (["stage=search", "seeds=3"], "best.yaml"),
        (["stage=search", "cv.folds=3", "with_scratch=true"], "with_scratch"),
        (["stage=search", "search=labeller", "cv.folds=3"], "cv.folds"),
        (["stage=search", "ensemble=2"], "best.yaml"),
        (["stage=search", "search.objectives=[seconds]"], "search.objectives"),
        (["stage=search", "trainer.limit_val_batches=0"], "limit_val_batches"),
        (["stage=search", "resume=some.ckpt"], "resume"),
        (["stage=search", "+search.trails=3"], "trials"),
    ],
)
def test_what_does_not_go_with_a_search_is_refused(words: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        validate(compose(words))


def test_words_become_an_experiment_that_composes_as_they_do(tmp_path: Path) -> None:
    words = [
        "experiment=regulondb", "stage=classify", "recipe=scratch", "classify.drop_mult=0.25", "optimizer=sgd",
        "classify.phases=[{epochs: 4, lr: 0.001, groups: null}]", "data.classes.promoter='x y.fa'",
        "data.classes.non_promoter=${paths.data_dir}/b.fa", "+trainer.max_time=00:01:00:00", "tokenizer.k=3",
        "blend=true", assign("init_from", "o'b"),
    ]  # fmt: skip
    path = tmp_path / "best.yaml"
    path.write_text(yaml.safe_dump(experiment_of(words)), encoding="utf-8")
    assert compose([f"experiment={path}"]) == compose(words)
    again = compose([f"experiment={path}", "tokenizer.k=4", "run.name=other"])
    assert (again.tokenizer.k, again.run.name, again.classify.drop_mult) == (4, "other", 0.25)
    assert expanded(["experiment=regulondb"]) == ["experiment=regulondb"]


def test_an_experiment_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        compose([f"experiment={tmp_path / 'nowhere.yaml'}"])
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(ConfigError, match=r"list\.yaml"):
        compose([f"experiment={tmp_path / 'list.yaml'}"])
