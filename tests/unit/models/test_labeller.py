"""The labeller: every base has one owner, neighbours in a batch change nothing, masked positions count for nothing."""

import itertools

import pytest
import torch

from gulmfit.checkpoint import build_model
from gulmfit.errors import ConfigError
from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.labeller import Labeller, owning
from gulmfit.models.losses import PositionCrossEntropy
from gulmfit.seq.labels.position_labels import IGNORED
from gulmfit.seq.tokens.tokenizer import KmerTokenizer

CASES = [(k, stride, length) for k in range(1, 9) for stride in range(1, 10) for length in range(k, k + 3 * stride + 2)]


def test_every_base_has_one_owner_whatever_k_stride_and_length_are() -> None:
    for k, stride, length in CASES:
        tokenizer = KmerTokenizer(k, stride)
        count = tokenizer.num_tokens(length)
        owners = owning(k, stride, torch.tensor([count]), count)[0]
        assert len(owners) >= length > len(owners) - stride, (k, stride, length)
        owners = owners[:length]
        # Nothing is owned twice but by the first and the last, nothing is left out in between, and order is kept.
        steps = owners.diff()
        assert ((steps == 0) | (steps == 1)).all(), (k, stride, length)
        inner = (owners > 0) & (owners < count * stride - 1)
        assert (owners[inner].bincount() <= 1).all(), (k, stride, length)
        # The middle of a token's span is among the bases that it owns.
        for token in range(count):
            middle = token * stride + (k - 1) // 2
            assert owners[middle] // stride == token, (k, stride, length, token)
    assert owning(3, 1, torch.tensor([3, 1]), 3).tolist() == [[0, 0, 1, 2, 2], [0, 0, 0, 0, 0]]
    assert owning(1, 3, torch.tensor([2]), 2).tolist() == [[1, 2, 3, 4, 5, 5]]  # bases 0 and 3 are read
    assert owning(6, 3, torch.tensor([2]), 2).tolist() == [[0, 0, 1, 2, 3, 4, 5, 5, 5, 5, 5]]


def labeller(k: int = 3, stride: int = 2, hidden_size: int = 8) -> Labeller:
    torch.manual_seed(0)
    return Labeller(AWDRNN(30, 6, 10, 2), 3, k, stride, hidden_size=hidden_size)


@pytest.mark.parametrize(("k", "stride"), [(1, 1), (3, 1), (3, 3), (6, 3), (1, 2)])
@torch.no_grad()
def test_the_owner_of_a_base_gives_its_logits(k: int, stride: int) -> None:
    model = labeller(k, stride).eval()
    tokens = torch.randint(3, 30, (1, 7))
    logits, penalty = model(tokens, torch.tensor([7]))
    owned = model.head(model.encoder(tokens)[0]).view(-1, 3)  # token after token, base after base
    for base, owner in enumerate(owning(k, stride, torch.tensor([7]), 7)[0].tolist()):
        torch.testing.assert_close(logits[0, base], owned[owner])
    assert penalty == 0


@pytest.mark.parametrize(("tuned_size", "hidden_size"), [(0, 8), (5, 8), (5, 0)])
def test_new_layers_learn_alone_on_a_frozen_trunk(tuned_size: int, hidden_size: int) -> None:
    model = Labeller(AWDRNN(30, 6, 10, 2), 3, 3, 2, hidden_size=hidden_size, tuned_size=tuned_size)
    names = {name for name, _ in model.named_parameters()}
    assert {name.partition(".")[0] for name in names} == {"encoder", "head", *(["trunk"] if hidden_size else [])}
    assert sum(len(group) for group in model.layer_groups()) == len(names)
    model.freeze_trunk()
    model.train()
    assert [model.training, model.encoder.training, model.dropout.training] == [True, False, False]
    logits, _ = model(torch.randint(3, 30, (2, 7)), torch.tensor([7, 7]))
    logits.sum().backward()
    assert {name for name, own in model.named_parameters() if own.grad is not None} == {
        name for name in names if name.startswith("head.")
    }


@torch.no_grad()
def test_padding_and_neighbours_change_nothing() -> None:
    model = labeller().eval()
    rows = [torch.randint(3, 30, (length,)) for length in (9, 4, 1)]
    padded = torch.zeros(3, 9, dtype=torch.int64)
    for row, tokens in enumerate(rows):
        padded[row, : len(tokens)] = tokens
    together, _ = model(padded, torch.tensor([9, 4, 1]))
    for row, tokens in enumerate(rows):
        alone, _ = model(tokens.unsqueeze(0), torch.tensor([len(tokens)]))
        torch.testing.assert_close(together[row, : alone.shape[1]], alone[0])


@torch.no_grad()
def test_windows_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    model = labeller().eval()
    tokens = torch.randint(3, 30, (2, 23))
    whole, _ = model(tokens, torch.tensor([23, 20]))
    monkeypatch.setattr("gulmfit.models.classifier.EVALUATION_WINDOW", 5)
    torch.testing.assert_close(model(tokens, torch.tensor([23, 20]))[0], whole)


def test_sub_words_are_refused() -> None:
    with pytest.raises(ConfigError, match="tokenizer=kmer"):
        Labeller(AWDRNN(30, 6, 10, 2), 3, None, None)
    with pytest.raises(ConfigError, match=r"head\.hidden_size=-1"):
        labeller(hidden_size=-1)


def test_a_specification_says_all_but_what_the_tokenizer_says() -> None:
    spec = {
        "arch": {"_target_": "gulmfit.models.awd_rnn.AWDRNN", "embed_size": 4, "hidden_size": 6, "num_layers": 1},
        "head": {"_target_": "gulmfit.models.labeller.Labeller", "hidden_size": 0},
        "dropout": {},
        "tokenizer": {"_target_": "gulmfit.seq.tokens.tokenizer.KmerTokenizer", "k": 2, "stride": 2},
        "classes": ["a", "b"],
    }
    model, _ = build_model(spec)
    logits, _ = model(torch.tensor([[4, 5, 6]]), torch.tensor([3]))
    assert logits.shape == (1, 7, 2)


def test_masked_positions_change_neither_loss_nor_gradient() -> None:
    loss = PositionCrossEntropy(transition_weight=4.0)
    logits = torch.randn(2, 9, 3, requires_grad=True)
    labels = torch.tensor([[0, 1, 1, 2, IGNORED, 2, 0], [1, 1, 0, 0, IGNORED, IGNORED, IGNORED]])
    value = loss(logits, labels)
    value.backward()
    grad = logits.grad
    assert grad is not None
    assert (grad[:, :7].abs().sum(-1) > 0).tolist() == (labels >= 0).tolist()
    assert (grad[:, 7:] == 0).all()
    other = logits.detach().clone()
    other[:, :7][labels < 0] = 9.0
    assert loss(other, labels) == value
    losses, weights = loss.each(other, labels)
    torch.testing.assert_close((losses * weights).sum() / weights.sum(), value.detach())
    assert loss(other[:, :1], torch.full((2, 1), IGNORED)) == 0


def test_weights_are_those_of_a_slow_count() -> None:
    labels = torch.tensor([[0, 0, 0, 1, 1, IGNORED, 2, 2, 2, 0], [1, 1, 1, 1, 1, 1, 1, 1, IGNORED, IGNORED]])
    loss = PositionCrossEntropy({"a": 2.0, "b": 1.0, "c": 0.5}, transition_weight=5.0, transition_bp=2.0)
    found = loss.fit(labels, ["a", "b", "c"]).position_weights(labels)
    for row, known in enumerate(labels.tolist()):
        pairs = list(itertools.pairwise(known))
        borders = [at for at, (one, two) in enumerate(pairs) if one != two and min(one, two) >= 0]
        for at, label in enumerate(known):
            distance = min((min(abs(at - border), abs(at - border - 1)) for border in borders), default=float("inf"))
            factor = 1 + 4 * torch.exp(torch.tensor(-distance / 2)).item()
            expected = 0.0 if label < 0 else (2.0, 1.0, 0.5)[label] * factor
            assert found[row, at].item() == pytest.approx(expected, rel=1e-5), (row, at)


def test_balanced_classes_count_alike() -> None:
    labels = torch.tensor([[0, 0, 0, 1], [0, 0, IGNORED, 1]])
    loss = PositionCrossEntropy("balanced").fit(labels, ["a", "b"])
    weights = loss.position_weights(labels)
    assert weights[labels == 0].sum() == pytest.approx(weights[labels == 1].sum().item())
    assert weights.sum() == pytest.approx(7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"transition_weight": 0.5}, "transition_weight"), ({"transition_bp": 0}, "transition_bp")],
)
def test_weights_out_of_range_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PositionCrossEntropy(**arguments)


def both(strands: str, k: int, stride: int) -> tuple[Labeller, KmerTokenizer]:
    tokenizer = KmerTokenizer(k, stride)
    torch.manual_seed(0)
    encoder = AWDRNN(len(tokenizer), 6, 10, 2)
    model = Labeller(encoder, 3, k, stride, hidden_size=8, strands=strands, complement=tokenizer.complement())
    return model.eval(), tokenizer


def bases(length: int) -> torch.Tensor:
    return torch.randint(0, 4, (length,), generator=torch.Generator().manual_seed(length))


def label(model: Labeller, tokenizer: KmerTokenizer, codes: torch.Tensor) -> torch.Tensor:
    tokens = torch.from_numpy(tokenizer.encode(codes.numpy().astype("uint8")))[None]
    return model(tokens, torch.tensor([tokens.shape[1]]))[0][0, : len(codes)]


@pytest.mark.parametrize(("k", "stride"), [(1, 1), (3, 1), (3, 3), (6, 2), (5, 3)])
@torch.no_grad()
def test_a_base_is_told_by_both_strands_and_one_head_labels_both(k: int, stride: int) -> None:
    model, tokenizer = both("both", k, stride)
    codes = bases(k + 7 * stride)  # tokens reach both ends
    tokens, other = (
        torch.from_numpy(tokenizer.encode(part.numpy().astype("uint8")))[None] for part in (codes, 3 - codes.flip(0))
    )
    forward, reverse = (model.encoder(part)[0][0] for part in (tokens, other))
    count = len(forward)
    ours = model.head(torch.cat([forward, reverse.flip(0)], -1)).view(-1, 3)
    theirs = model.head(torch.cat([reverse, forward.flip(0)], -1)).view(-1, 3)  # halves swapped, and turned
    owners = owning(k, stride, torch.tensor([count]), count)[0][: len(codes)]
    torch.testing.assert_close(label(model, tokenizer, codes), ours[owners])
    torch.testing.assert_close(label(model, tokenizer, 3 - codes.flip(0)), theirs[owners])


@pytest.mark.parametrize(("k", "stride"), [(1, 1), (3, 1), (3, 3), (6, 2), (5, 3)])
@torch.no_grad()
def test_symmetric_labels_are_those_of_the_other_strand_turned(k: int, stride: int) -> None:
    model, tokenizer = both("symmetric", k, stride)
    codes = bases(k + 7 * stride)
    here, there = label(model, tokenizer, codes), label(model, tokenizer, 3 - codes.flip(0))
    torch.testing.assert_close(here, there.flip(0), atol=1e-5, rtol=0)
    assert (here - label(both("both", k, stride)[0], tokenizer, codes)).abs().max() > 1e-3


@pytest.mark.parametrize("strands", ["both", "symmetric"])
@torch.no_grad()
def test_padding_and_neighbours_change_nothing_on_either_strand(strands: str) -> None:
    model, tokenizer = both(strands, 3, 2)
    rows = [torch.from_numpy(tokenizer.encode(bases(length).numpy().astype("uint8"))) for length in (19, 8, 3)]
    padded = torch.zeros(3, len(rows[0]), dtype=torch.int64)
    for row, tokens in enumerate(rows):
        padded[row, : len(tokens)] = tokens
    together, _ = model(padded, torch.tensor([len(tokens) for tokens in rows]))
    for row, tokens in enumerate(rows):
        alone, _ = model(tokens[None].long(), torch.tensor([len(tokens)]))
        torch.testing.assert_close(together[row, : alone.shape[1]], alone[0])
