"""The labeller of tracks: one pass labels both strands, and the loss is that of its tracks one by one."""

import itertools

import pytest
import torch

from gulmfit.checkpoint import build_model
from gulmfit.errors import ConfigError, DataError
from gulmfit.label_tracks import track_slices
from gulmfit.models.labeller import Labeller
from gulmfit.models.losses import PositionCrossEntropy
from gulmfit.models.track_labeller import TrackLabeller
from gulmfit.models.track_loss import TrackCrossEntropy
from gulmfit.seq.labels.position_labels import IGNORED
from gulmfit.seq.tokens.tokenizer import KmerTokenizer

CLASSES = ["class:no", "class:yes", "phase:none", "phase:0", "phase:1"]
CASES = [(1, 1), (3, 1), (3, 2), (3, 3), (6, 3), (5, 2), (4, 3), (2, 3)]


def labeller(k: int, stride: int) -> TrackLabeller:
    torch.manual_seed(0)
    model, _ = build_model(
        {
            "arch": {
                "_target_": "gulmfit.models.awd_rnn.AWDRNN",
                "embed_size": 6,
                "hidden_size": 10,
                "num_layers": 2,
                "strands": "both",
            },
            "head": {"_target_": "gulmfit.models.track_labeller.TrackLabeller", "hidden_size": 8},
            "dropout": {},
            "tokenizer": {"_target_": "gulmfit.seq.tokens.tokenizer.KmerTokenizer", "k": k, "stride": stride},
            "classes": CLASSES,
        }
    )
    assert isinstance(model, TrackLabeller)
    return model.eval()


def label(model: TrackLabeller, codes: torch.Tensor) -> torch.Tensor:
    tokens = torch.from_numpy(KmerTokenizer(model.k, model.stride).encode(codes.numpy().astype("uint8")))[None]
    return model(tokens, torch.tensor([tokens.shape[1]]))[0][0, :, : len(codes)]  # (2, L, C)


def bases(length: int) -> torch.Tensor:
    return torch.randint(0, 4, (length,), generator=torch.Generator().manual_seed(length))


@pytest.mark.parametrize(("k", "stride"), CASES)
@torch.no_grad()
def test_labels_of_the_reverse_complement_are_those_of_the_sequence_turned(k: int, stride: int) -> None:
    model, codes = labeller(k, stride), bases(k + 7 * stride)  # tokens reach both ends
    here, there = label(model, codes), label(model, 3 - codes.flip(0))
    torch.testing.assert_close(there, here.flip(0, 1), atol=1e-5, rtol=0)
    assert (here[0] - here[1]).abs().max() > 1e-3


@pytest.mark.parametrize(("k", "stride"), CASES)
@torch.no_grad()
def test_the_given_strand_has_what_a_labeller_of_one_strand_gives(k: int, stride: int) -> None:
    model, codes = labeller(k, stride), bases(k + 7 * stride + stride - 1)  # bases are left over at the end
    torch.manual_seed(0)
    own = Labeller(
        model.encoder, 5, k, stride, hidden_size=8, strands="both", complement=KmerTokenizer(k, stride).complement()
    )
    own.load_state_dict(model.state_dict())
    tokens = torch.from_numpy(KmerTokenizer(k, stride).encode(codes.numpy().astype("uint8")))[None]
    plain = own.eval()(tokens, torch.tensor([tokens.shape[1]]))[0][0, : len(codes)]
    torch.testing.assert_close(label(model, codes)[0], plain, rtol=0, atol=0)


@torch.no_grad()
def test_padding_and_neighbours_change_nothing_on_either_strand() -> None:
    model, tokenizer = labeller(3, 2), KmerTokenizer(3, 2)
    rows = [torch.from_numpy(tokenizer.encode(bases(length).numpy().astype("uint8"))) for length in (19, 8, 3)]
    padded = torch.zeros(3, len(rows[0]), dtype=torch.int64)
    for row, tokens in enumerate(rows):
        padded[row, : len(tokens)] = tokens
    together, _ = model(padded, torch.tensor([len(tokens) for tokens in rows]))
    for row, tokens in enumerate(rows):
        alone, _ = model(tokens[None].long(), torch.tensor([len(tokens)]))
        torch.testing.assert_close(together[row, :, : alone.shape[2]], alone[0])


@torch.no_grad()
def test_log_probabilities_are_split_by_track() -> None:
    model = labeller(3, 3)
    logits = torch.randn(2, 2, 7, 5)
    found = model.log_probabilities(logits)
    assert {name: tuple(own.shape) for name, own in found.items()} == {"class": (2, 2, 2, 7), "phase": (2, 2, 3, 7)}
    joined = torch.cat([*found.values()], 2).exp().movedim(2, 3)
    torch.testing.assert_close(joined, model.outputs(logits))
    for own in found.values():
        torch.testing.assert_close(own.exp().sum(2), torch.ones(2, 2, 7))


def test_tracks_are_named_and_whole() -> None:
    assert track_slices(CLASSES) == {"class": slice(0, 2), "phase": slice(2, 5)}
    for wrong in (["a", "b"], ["a:", "a:b"], ["a:b"], ["a:1", "a:2", "b:1", "b:2", "a:3", "a:4"]):
        with pytest.raises(DataError):
            track_slices(wrong)


@pytest.mark.parametrize(("k", "stride"), CASES)
@pytest.mark.parametrize("hidden", [0, 5])
@torch.no_grad()
def test_measured_values_turn_with_the_sequence(k: int, stride: int, hidden: int) -> None:
    base, codes = labeller(k, stride), bases(k + 7 * stride)
    torch.manual_seed(2)
    model = TrackLabeller(
        base.encoder, 5, CLASSES, k, stride, hidden_size=8, complement=KmerTokenizer(k, stride).complement(),
        tuned_size=hidden, other_channels=[1, 0, 2],
    ).eval()  # fmt: skip
    values = torch.randn(1, 3, len(codes))

    def said(codes: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        tokens = torch.from_numpy(KmerTokenizer(k, stride).encode(codes.numpy().astype("uint8")))[None]
        return model(tokens, torch.tensor([tokens.shape[1]]), coverage=values)[0][0, :, : len(codes)]

    here, turned = said(codes, values), values[:, [1, 0, 2]].flip(2)
    torch.testing.assert_close(said(3 - codes.flip(0), turned), here.flip(0, 1), atol=1e-5, rtol=0)
    # A base hears of its own values where it has a token of its own, on either strand.
    changed = values.clone()
    at = len(codes) // 2
    changed[0, 0, at] += 1
    moved = (said(codes, changed) - here).abs().amax(-1) > 1e-7
    assert moved[:, at].all() or k < stride or hidden
    assert all(abs(place - at) < stride for place in moved.any(0).nonzero().flatten().tolist())
    with pytest.raises(ConfigError, match="tracks"):
        model(torch.full((1, 4), 3), torch.tensor([4]))


def test_padding_has_no_say_in_measured_values() -> None:
    base = labeller(3, 3)
    model = TrackLabeller(
        base.encoder, 5, CLASSES, 3, 3, hidden_size=8, complement=KmerTokenizer(3, 3).complement(), tuned_size=0,
        other_channels=[1, 0],
    ).eval()  # fmt: skip
    tokens, values = torch.randint(3, 60, (2, 9)), torch.randn(2, 2, 27)
    lengths = torch.tensor([9, 5])
    together = model(tokens, lengths, coverage=values)[0]
    alone = model(tokens[1:, :5], lengths[1:], coverage=values[1:, :, :15])[0]
    torch.testing.assert_close(together[1:, :, :15], alone[:, :, :15], atol=1e-5, rtol=0)
    with pytest.raises(ConfigError, match="other_channels"):
        TrackLabeller(base.encoder, 5, CLASSES, 3, 3, complement=[0] * 70, tuned_size=0, other_channels=[1, 1])


def test_one_strand_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"arch\.strands=forward"):
        TrackLabeller(labeller(3, 3).encoder, 5, CLASSES, 3, 3, strands="forward")


def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (3, 2, 20, 5), with padding at their ends, and labels (3, 2, 2, 18) of which some are masked."""
    torch.manual_seed(1)
    labels = torch.stack([torch.randint(0, 2, (3, 2, 18)), torch.randint(2, 5, (3, 2, 18))], 2)
    labels[torch.rand(labels.shape) < 0.2] = IGNORED
    return torch.randn(3, 2, 20, 5, requires_grad=True), labels


@pytest.mark.parametrize("weights", [None, "balanced", dict(zip(CLASSES, (2.0, 1.0, 0.5, 3.0, 1.0), strict=True))])
@pytest.mark.parametrize("transition", [1.0, 5.0])
def test_the_loss_is_that_of_a_slow_count(weights: str | dict[str, float] | None, transition: float) -> None:
    logits, labels = drawn()
    loss = TrackCrossEntropy(weights, {"phase": 0.5}, transition_weight=transition, transition_bp=2.0)
    found = loss.fit(labels, CLASSES)(logits, labels)
    slices, shares = {"class": slice(0, 2), "phase": slice(2, 5)}, (1.0, 0.5)
    tables = []
    for number, own in enumerate(slices.values()):
        counts = torch.tensor([int((labels[:, :, number] == at).sum()) for at in range(own.start, own.stop)]).double()
        balanced = (counts.sum() / len(counts) / counts).tolist()
        tables.append(
            [1.0] * len(counts) if weights is None
            else balanced if weights == "balanced" else list(weights.values())[own]  # type: ignore[union-attr]
        )  # fmt: skip
    borders = PositionCrossEntropy(transition_weight=transition, transition_bp=2.0)
    nats = total = 0.0
    for row, strand, number in itertools.product(range(3), range(2), range(2)):
        factors = borders.border_factors(labels[row, strand, 0][None])[0] if transition > 1 else torch.ones(18)
        for at, truth in enumerate(labels[row, strand, number].tolist()):
            if truth < 0:
                continue
            own = logits[row, strand, at, [*slices.values()][number]].log_softmax(-1)
            truth -= 2 * number
            counts_as = shares[number] * tables[number][truth] * factors[at].item()
            nats, total = nats - own[truth].item() * counts_as, total + counts_as
    assert found.item() == pytest.approx(nats / total, rel=1e-5)
    losses, sizes = loss.each(logits, labels)
    torch.testing.assert_close((losses * sizes).sum() / sizes.sum(), found)
    found.backward()
    assert logits.grad is not None
    masked = labels[:, :, 0] < 0
    assert (logits.grad[:, :, :18, :2][masked] == 0).all()
    assert (logits.grad[:, :, 18:] == 0).all()
    assert (logits.grad[:, :, :18, :2][~masked].abs().sum(-1) > 0).all()


def test_a_track_that_does_not_exist_has_no_weight() -> None:
    with pytest.raises(ConfigError, match="frame"):
        TrackCrossEntropy(track_weights={"frame": 1.0}).fit(drawn()[1], CLASSES)
    with pytest.raises(ConfigError, match="phase=-1"):
        TrackCrossEntropy(track_weights={"phase": -1})
