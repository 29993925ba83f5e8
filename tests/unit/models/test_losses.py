"""Losses against torch's own; a weight counts like copies; standardisation is undone."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gulmfit.errors import ConfigError
from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.classifier import MultiLabelClassifier, SequenceRegressor
from gulmfit.models.losses import BinaryCrossEntropy, CrossEntropy, Huber, Loss, MeanSquaredError

CLASSES = ["a", "b", "c"]


def batch(count: int = 40) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, class indices, label sets and values."""
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(count, 3, generator=random, requires_grad=True)
    labels = torch.multinomial(torch.tensor([0.7, 0.2, 0.1]), count, replacement=True, generator=random)
    sets = (torch.rand(count, 3, generator=random) < torch.tensor([0.5, 0.2, 0.1])).long()
    return logits, labels, sets, torch.randn(count, 3, generator=random)


def test_losses_are_those_of_torch() -> None:
    logits, labels, sets, values = batch()
    weights = torch.tensor([1.0, 2.0, 3.0])
    named = dict(zip(CLASSES, weights.tolist(), strict=True))
    weighted = F.cross_entropy(logits, labels, weights, label_smoothing=0.1)
    pairs = [
        (CrossEntropy()(logits, labels), F.cross_entropy(logits, labels)),
        (CrossEntropy(named, 0.1).fit(labels, CLASSES)(logits, labels), weighted),
        (BinaryCrossEntropy()(logits, sets), F.binary_cross_entropy_with_logits(logits, sets.float())),
        (
            BinaryCrossEntropy(named).fit(sets, CLASSES)(logits, sets),
            F.binary_cross_entropy_with_logits(logits, sets.float(), pos_weight=weights),
        ),
        (MeanSquaredError()(logits, values), ((logits - values) ** 2).mean()),
        (Huber(0.7)(logits, values), torch.nn.HuberLoss(delta=0.7)(logits, values)),
    ]
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("make", "target"),
    [
        (CrossEntropy, "labels"),
        (lambda: CrossEntropy("balanced"), "labels"),
        (lambda: CrossEntropy({"a": 1, "b": 2, "c": 5}, 0.2), "labels"),
        (BinaryCrossEntropy, "sets"),
        (lambda: BinaryCrossEntropy("balanced"), "sets"),
        (MeanSquaredError, "values"),
        (Huber, "values"),
    ],
)
def test_the_weighted_mean_of_sequences_is_the_loss_of_all(make: Callable[[], Loss], target: str) -> None:
    logits, labels, sets, values = batch()
    held = {"labels": labels, "sets": sets, "values": values}[target]
    loss = make().fit(held, CLASSES)
    losses, weights = loss.each(logits, held)
    assert losses.shape == weights.shape == (40,)
    torch.testing.assert_close((losses * weights).sum() / weights.sum(), loss(logits, held))


@pytest.mark.parametrize("weights", [None, "balanced"])
def test_unknown_labels_teach_nothing(weights: str | None) -> None:
    logits, _, sets, _ = batch()
    known = torch.rand(sets.shape, generator=torch.Generator().manual_seed(1)) < 0.7
    known[0] = False  # a sequence of which nothing is known
    loss = BinaryCrossEntropy(weights).fit(torch.where(known, sets, -1), CLASSES)
    each = F.binary_cross_entropy_with_logits(logits, sets.float(), reduction="none", pos_weight=loss.weights)
    for filled in (-1, -100):
        held = torch.where(known, sets, filled)
        found = loss(logits, held)
        torch.testing.assert_close(found, each[known].mean())
        (gradient,) = torch.autograd.grad(found, logits)
        assert (gradient[~known] == 0).all()
        assert (gradient[known] != 0).all()
        losses, share = loss.each(logits, held)
        torch.testing.assert_close((losses * share).sum() / share.sum(), found)
    if loss.weights is not None:
        counts = [[int((sets[known[:, at], at] == there).sum()) for at in range(3)] for there in (0, 1)]
        torch.testing.assert_close(loss.weights, torch.tensor(counts[0]) / torch.tensor(counts[1]))
    nothing = loss(logits, torch.full_like(sets, -1))
    assert nothing == 0
    assert (torch.autograd.grad(nothing, logits)[0] == 0).all()


def test_a_class_weight_counts_like_copies() -> None:
    logits, labels, sets, _ = batch()
    copies = torch.cat([torch.arange(40), *[torch.nonzero(labels == 1).squeeze(1)] * 2])
    ours = CrossEntropy({"a": 1, "b": 3, "c": 1}).fit(labels, CLASSES)(logits, labels)
    torch.testing.assert_close(ours, F.cross_entropy(logits[copies], labels[copies]))
    weights = torch.tensor([1.0, 4.0, 1.0])
    ours = BinaryCrossEntropy(dict(zip(CLASSES, weights.tolist(), strict=True))).fit(sets, CLASSES)(logits, sets)
    plain = F.binary_cross_entropy_with_logits(logits, sets.float(), reduction="none")
    with_it = plain[sets[:, 1] == 1, 1].sum()
    torch.testing.assert_close(ours, (plain.sum() + 3 * with_it) / plain.numel())


def test_balanced_weights_make_all_classes_count_alike() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    _, labels, sets, _ = batch()
    weights = CrossEntropy("balanced").fit(labels, CLASSES).weights
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    assert weights is not None
    torch.testing.assert_close(weights, torch.tensor(expected).float())
    positive = BinaryCrossEntropy("balanced").fit(sets, CLASSES).weights
    assert positive is not None
    torch.testing.assert_close(positive * sets.sum(0), (1 - sets).sum(0).float())


def test_weights_are_no_part_of_a_checkpoint() -> None:
    _, labels, *_ = batch()
    assert CrossEntropy("balanced").fit(labels, CLASSES).state_dict() == {}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CrossEntropy("even"), "balanced, null"),
        (lambda: CrossEntropy({"a": 0}), "class_weights: a=0; "),
        (lambda: CrossEntropy({"a": True}), "class_weights: a=True; "),
        (lambda: CrossEntropy(label_smoothing=1.0), "below 1"),
        (lambda: Huber(0.0), "loss.delta=0.0"),
        (lambda: BinaryCrossEntropy({"a": 1, "x": 2}).fit(batch()[2], CLASSES), "weight: b, c; unknown: x"),
    ],
)
def test_wrong_weights_are_explained(make: Callable[[], Loss], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def regressor(**options: object) -> SequenceRegressor:
    torch.manual_seed(0)
    return SequenceRegressor(AWDRNN(20, 8, 8, 1), 2, hidden_size=4, **options)  # type: ignore[arg-type]


def test_standardisation_is_undone() -> None:
    values = torch.tensor([[1000.0, 1e-3], [1010.0, 3e-3], [1040.0, 5e-3]], dtype=torch.float64)
    found = SequenceRegressor.fitted(values)
    assert found["location"] == pytest.approx(values.mean(0).tolist())
    assert found["scale"] == pytest.approx(values.std(0, correction=0).tolist())
    model = regressor(**found)
    learned = model.learned(values)
    torch.testing.assert_close(learned.mean(0), torch.zeros(2).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(learned.std(0, correction=0), torch.ones(2).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(model.outputs(learned), values, atol=0, rtol=1e-12)


def test_a_model_that_knows_nothing_says_the_training_mean() -> None:
    model = regressor(location=[5.0, -2.0], scale=[3.0, 0.5]).eval()
    torch.nn.init.zeros_(model.head.layers[-1].weight)  # type: ignore[arg-type]
    torch.nn.init.zeros_(model.head.layers[-1].bias)  # type: ignore[arg-type]
    logits, _ = model(torch.randint(3, 20, (4, 7)), torch.tensor([7, 3, 5, 1]))
    torch.testing.assert_close(model.outputs(logits), torch.tensor([5.0, -2.0]).expand(4, 2))


def test_the_scale_stands_in_the_specification_and_not_in_the_weights() -> None:
    plain = regressor()
    fitted = regressor(location=[5.0, -2.0], scale=[3.0, 0.5])
    assert set(plain.state_dict()) == set(fitted.state_dict())
    with torch.device("meta"):
        assert regressor(location=[5.0, -2.0], scale=[3.0, 0.5]).scale.tolist() == [3.0, 0.5]
    torch.testing.assert_close(copy.deepcopy(fitted).outputs(torch.zeros(1, 2)), torch.tensor([[5.0, -2.0]]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": [0.0, 1.0]}, r"head\.scale=\(0\.0, 1\.0\): "),
        ({"scale": [1.0]}, r"head\.scale=\(1\.0,\): .*\b2 values"),
        ({"location": [float("nan"), 0.0]}, r"head\.location=\(nan, 0\.0\): .*\b2 values"),
    ],
)
def test_a_scale_that_cannot_be_is_refused(options: dict[str, list[float]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        regressor(**options)


def test_labels_do_not_exclude_each_other() -> None:
    model = MultiLabelClassifier(AWDRNN(20, 8, 8, 1), 3, hidden_size=4)
    logits = torch.tensor([[0.0, 2.0, -2.0]])
    torch.testing.assert_close(model.outputs(logits), torch.tensor([[0.5, 0.880797, 0.119203]]))
    with pytest.raises(ConfigError, match=r"classifier .*\b2 classes .*\b1\b"):
        MultiLabelClassifier(AWDRNN(20, 8, 8, 1), 1)
