"""The recipe: what is chosen for a classifier, that what is given stays, and that strands are told from data."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from omegaconf import OmegaConf
from sklearn.linear_model import LogisticRegression

from gulmfit.config import compose, plain, validate
from gulmfit.evaluate.strands import strand_matters
from gulmfit.models.losses import BinaryCrossEntropy, CrossEntropy
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.labels.label_sets import UNKNOWN_LABEL
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.labels.targets import LABEL_SETS, VALUES
from gulmfit.train.loop.metrics import CalibratedLoss
from gulmfit.train.recipe import decide, settle
from gulmfit.train.stages.classify import scratch_overrides


def settled(*words: str):  # type: ignore[no-untyped-def]
    config = settle(compose(["stage=classify", *words]), ["stage=classify", *words])
    validate(config)
    return config


def labelled(count: int, *, stranded: bool, seed: int = 0) -> LabelledSequences:
    """Half of the sequences hold a motif, on a strand at random unless it means something."""
    rng = np.random.default_rng(seed)
    sequences, labels = [], np.arange(count) % 2
    for label in labels:
        text = "".join(rng.choice(list("ACGT"), 60))
        if label:
            at = rng.integers(45)
            text = text[:at] + "TGACTCAGGA" + text[at + 10 :]
        turned = not stranded and rng.random() < 0.5
        sequences.append(reverse_complement_text(text) if turned else text)
    ids = [str(index) for index in range(count)]
    return LabelledSequences(ids, sequences, labels, ["no", "yes"])


def test_from_scratch_short_words_and_a_convolution() -> None:
    config = settled()
    assert config.recipe == "scratch"
    assert config.arch._target_.endswith("ConvRNN")
    assert (config.tokenizer.k, config.tokenizer.stride) == (2, 1)
    assert config.dropout.output_p == 0.7


def test_codons_bring_their_recipe() -> None:
    words = ["stage=label", "data=codons", "data.path=cds.fa", "label.batch_size=5"]
    config = settle(compose(words), words)
    validate(config)
    assert (config.recipe, config.alphabet, config.tokenizer.k, config.batch_size) == ("codons", "protein", 1, 5)
    assert config.head._target_.endswith("CodonLabeller")
    assert config.arch._target_.endswith("BiLSTM")
    assert settle(compose(["stage=label"]), ["stage=label"]).recipe == "auto"


def test_what_is_given_stays() -> None:
    config = settled("tokenizer.k=4", "classify.drop_mult=0.5", "classify.phases=[{epochs: 2, lr: 1e-3}]")
    assert (config.recipe, config.tokenizer.k, config.drop_mult) == ("scratch", 4, 0.5)
    assert plain(config.schedule.phases) == [{"epochs": 2, "lr": 1e-3}]
    for word in ("arch=awd_lstm_small", "recipe=none", "tokenizer=bpe"):
        config = settled(word)
        assert (config.recipe, config.arch._target_.rpartition(".")[2]) == ("none", "AWDRNN")
        assert plain(config) == plain(settled(word, "recipe=none"))
        assert len(config.schedule.phases) == 4


def test_a_run_has_the_network_of_the_model_it_starts_from() -> None:
    config = settled("init_from=bacteria")
    assert (config.recipe, config.arch.hidden_size, config.tokenizer.k) == ("transfer", 384, 5)
    twin = settled("arch_from=bacteria")
    assert plain(twin.arch) == plain(config.arch)
    assert twin.tokenizer == config.tokenizer
    # An arch= of one's own is left for the check that tells what does not fit.
    assert settled("init_from=bacteria", "arch=awd_lstm_tiny").arch.hidden_size == 64


@pytest.mark.parametrize("stage", ["ulmfit", "learning_curve"])
def test_a_stage_that_trains_classifiers_follows_the_recipe_as_they_do(stage: str) -> None:
    words = [f"stage={stage}", "init_from=bacteria"]
    config = settle(compose(words), words)
    assert config.recipe == "transfer"
    assert config.classify == settled("init_from=bacteria").classify
    assert scratch_overrides(config) == ["classify.decay=1", "drop_mult=0.2", "arch_from='bacteria'"]


def test_language_models_have_no_recipe() -> None:
    words = ["stage=pretrain"]
    assert settle(compose(words), words) == compose(words)


@pytest.mark.parametrize("count", [40, 500, 5_000, 50_000])
def test_more_sequences_are_more_steps_and_fewer_epochs(count: int) -> None:
    sequences = labelled(40, stranded=True)
    many = LabelledSequences(
        [str(n) for n in range(count)], sequences.sequences[:1] * count, np.arange(count) % 2, ["no", "yes"]
    )
    config = settled("arch.strands=forward")
    chosen = decide(config, many, many)
    assert not config.schedule.phases  # what was given is not changed
    (phase,) = chosen.schedule.phases
    steps = phase.epochs * (count // chosen.batch_size)
    assert 190 <= steps <= 3_000
    assert phase.epochs >= 2
    assert (steps > 500) == (count >= 5_000)
    every = chosen.trainer.check_val_every_n_epoch
    assert phase.epochs % every == 0  # the last epoch is looked at
    assert phase.epochs / every < 40


@pytest.mark.parametrize("stranded", [False, True])
def test_strands_are_told_from_the_data(stranded: bool) -> None:
    train, valid = (labelled(count, stranded=stranded, seed=seed) for count, seed in ((2_000, 1), (500, 2)))
    assert strand_matters(train, valid) is stranded
    config = decide(settled(), train, valid)
    assert config.arch.strands == ("both" if stranded else "symmetric")


@pytest.mark.parametrize("stranded", [False, True])
def test_strands_are_asked_of_each_label(stranded: bool) -> None:
    """One label means nothing of a strand; the other may. Each is unknown for the sequences of the other."""

    def merged(count: int, seed: int) -> LabelledSequences:
        parts = [labelled(count, stranded=one, seed=seed + one) for one in (False, stranded)]
        labels = np.full((2 * count, 2), UNKNOWN_LABEL)
        for column, part in enumerate(parts):
            labels[column * count : (column + 1) * count, column] = part.labels
        sequences = [text for part in parts for text in part.sequences]
        return LabelledSequences(list(map(str, range(2 * count))), sequences, labels, ["a", "b"], targets=LABEL_SETS)

    assert strand_matters(merged(2_000, 1), merged(500, 3)) is stranded


def test_values_are_told_apart() -> None:
    data = LabelledSequences(["1", "2"], ["ACGT", "ACGA"], np.array([[0.5], [2.0]]), ["height"], targets=VALUES)
    assert strand_matters(data, data)


def test_too_little_to_tell_strands_by_is_told_apart() -> None:
    rng = np.random.default_rng(0)
    noise = ["".join(rng.choice(list("ACGT"), 50)) for _ in range(60)]
    data = LabelledSequences([str(n) for n in range(60)], noise, np.arange(60) % 2, ["no", "yes"])
    assert strand_matters(data, data.subset(np.arange(20)))


def test_the_calibrated_loss_is_the_least_over_temperatures() -> None:
    torch.manual_seed(0)
    labels = torch.randint(0, 2, (400,))
    logits = torch.stack([torch.zeros(400), 6 * (labels + torch.randn(400) * 1.5 - 0.5)], 1)  # far too sure
    metric = CalibratedLoss(CrossEntropy(), scales=True)
    for part, truth in zip(logits.split(150), labels.split(150), strict=True):
        metric.update(part, truth)
    found = float(metric.compute())
    fitted = LogisticRegression(C=1e6, fit_intercept=False).fit(logits[:, 1:], labels)
    chances = fitted.predict_proba(logits[:, 1:])[np.arange(400), labels]
    assert found == pytest.approx(-np.log(chances).mean(), abs=2e-3)
    assert found < float(CrossEntropy()(logits, labels)) - 0.1
    sure = CalibratedLoss(CrossEntropy(), scales=False)
    sure.update(logits, labels)
    assert float(sure.compute()) == pytest.approx(float(CrossEntropy()(logits, labels)))
    sets = CalibratedLoss(BinaryCrossEntropy(), scales=True)
    sets.update(logits, torch.stack([1 - labels, labels], 1))
    assert torch.isfinite(sets.compute())


def test_a_recipe_can_be_named() -> None:
    config = settled("recipe=transfer")
    assert config.recipe == "transfer"
    assert config.arch._target_.endswith("AWDRNN")


def test_a_recipe_of_ones_own_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "recipe").mkdir()
    own = "# @package _global_\nrecipe: mine\nclassify: {bins: 7}\n"
    (tmp_path / "recipe" / "mine.yaml").write_text(own, encoding="utf-8")
    words = ["stage=classify", "recipe=mine", "--config-dir", str(tmp_path), "--cfg", "job"]
    command = [sys.executable, str(Path(__file__).parents[3] / "train.py"), *words]
    found = yaml.safe_load(subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout)
    assert (found["recipe"], found["classify"]["bins"]) == ("mine", 7)
    config = OmegaConf.create(found)
    assert settle(config, words[:2]) is config  # nothing is chosen over it


def genera(classes: int) -> LabelledSequences:
    rng = np.random.default_rng(3)
    sequences = ["".join(rng.choice(list("ACGT"), 40)) for _ in range(4 * classes)]
    names = [f"genus {number}" for number in range(classes)]
    return LabelledSequences(
        [str(n) for n in range(len(sequences))], sequences, np.arange(4 * classes) % classes, names
    )


def test_many_classes_are_told_apart_by_words() -> None:
    words = ["stage=classify"]
    config = settled()
    few, many = genera(20), genera(21)
    assert decide(config, few, few, words).recipe == "scratch"
    decided = decide(config, many, many, words)
    validate(decided)
    assert decided.recipe == "words"
    assert decided.arch._target_.endswith("BagOfWords")
    assert (decided.tokenizer.k, decided.tokenizer.stride, decided.head.hidden_size) == (6, 1, 50)
    assert decide(config, genera(60), few, words).head.hidden_size == 120
    assert decided.arch.strands != "auto"
    assert config.recipe == "scratch"  # as given


@pytest.mark.parametrize(
    ("words", "gaps"),
    [((), 11), (("tokenizer.k=3",), 11), (("tokenizer.k=4",), 0), (("tokenizer.stride=2",), 0), (("recipe=none",), 0),
     (("classify.gaps=3",), 3)],
)  # fmt: skip
def test_gapped_kmers_have_weights_where_tokens_spell_them(words: tuple[str, ...], gaps: int) -> None:
    data, config = labelled(200, stranded=False), settled(*words)
    assert decide(config, data, data, ["stage=classify", *words]).head.gaps == gaps
    numbers = LabelledSequences(data.ids, data.sequences, np.arange(200.0)[:, None], ["x"], targets=VALUES)
    assert decide(config, numbers, numbers, ["stage=classify", *words]).head.gaps == (3 if gaps == 3 else 0)
    many, words = genera(21), ("stage=classify", "recipe=scratch")
    assert decide(settle(compose(words), words), many, many, words).head.gaps == 0


def test_what_was_chosen_keeps_its_network_with_many_classes() -> None:
    many = genera(21)
    for words in (["stage=classify", "recipe=scratch"], ["stage=classify", "arch=awd_lstm_tiny"]):
        config = settle(compose(words), words)
        assert plain(decide(config, many, many, words).arch)["_target_"] == config.arch._target_
    words = ["stage=classify", "tokenizer.k=5", "classify.batch_size=8"]
    decided = decide(settle(compose(words), words), many, many, words)
    assert (decided.recipe, decided.tokenizer.k, decided.batch_size) == ("words", 5, 8)
