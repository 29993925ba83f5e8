"""A head brings its loss, and says what the labels are; whatever does not go with it is refused by name."""

import pytest
from omegaconf import OmegaConf

from gulmfit.config import compose, targets_of, validate
from gulmfit.errors import ConfigError

HEADS = {
    "classifier": ("CrossEntropy", "classes"),
    "multi_label": ("BinaryCrossEntropy", "label_sets"),
    "regressor": ("MeanSquaredError", "values"),
}


@pytest.mark.parametrize("head", list(HEADS))
def test_a_head_brings_its_loss(head: str) -> None:
    config = compose(["stage=classify", f"head={head}"])
    validate(config)
    loss, targets = HEADS[head]
    assert config.loss._target_ == f"gulmfit.models.losses.{loss}"
    assert targets_of(config.head._target_) == targets
    assert OmegaConf.create({"head": config.head, "targets": "${gulmfit.targets:${head._target_}}"}).targets == targets
    assert set(config.head) == set(compose(["stage=classify"]).head)  # one network: the same settings


def test_the_command_line_beats_the_loss_of_the_head() -> None:
    config = compose(["stage=classify", "head=regressor", "loss=huber", "loss.delta=2.0"])
    validate(config)
    assert (config.loss._target_, config.loss.delta) == ("gulmfit.models.losses.Huber", 2.0)
    validate(compose(["stage=classify", "loss.class_weights={a: 1, b: 2}", "loss.label_smoothing=0.1"]))
    validate(compose(["stage=classify", "loss.class_weights=balanced"]))
    validate(compose(["stage=classify", "head=regressor", "data=table", "data.path=x.csv", "lr_find=true"]))


def test_a_language_model_has_no_labels() -> None:
    assert targets_of(compose(["stage=pretrain"]).head._target_) == "classes"
    validate(compose(["stage=ulmfit", "head=regressor"]))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["stage=classify", "head=regressor", "loss=cross_entropy"],
            r"loss=CrossEntropy .*head=SequenceRegressor .*values: ",
        ),
        (["stage=classify", "loss=mse"], r"loss=MeanSquaredError .*head=SequenceClassifier .*classes: "),
        (["stage=pretrain", "head=regressor"], r"head=SequenceRegressor .*stage=pretrain; .*LanguageModel"),
        (
            ["stage=learning_curve", "head=multi_label"],
            r"stage=learning_curve .*head=classifier; head=MultiLabelClassifier",
        ),
        (
            ["stage=classify", "head=multi_label", "calibration=isotonic"],
            r"calibration=isotonic .*head=MultiLabelClassifier",
        ),
        (["stage=classify", "+loss.label_smothing=0.1"], r"no key loss.label_smothing.*'label_smoothing'"),
    ],
)
def test_what_does_not_go_together_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(compose(overrides))


def test_codons_bring_all_that_goes_with_them() -> None:
    config = compose(["experiment=ecoli_codons"])
    validate(config)
    assert (config.alphabet, config.tokenizer.k, config.tokenizer.stride) == ("protein", 1, 1)
    assert targets_of(config.head._target_) == "codons"
    assert config.loss._target_ == "gulmfit.models.codon_labeller.CodonCrossEntropy"
    with pytest.raises(ConfigError, match="alphabet=dna"):
        validate(compose(["experiment=ecoli_codons", "alphabet=dna", "data.alphabet=protein"]))
    with pytest.raises(ConfigError, match=r"loss=PositionCrossEntropy .*head=CodonLabeller .*codons: "):
        validate(compose(["experiment=ecoli_codons", "loss=positions"]))
