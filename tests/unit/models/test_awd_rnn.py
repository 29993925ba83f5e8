"""The encoder against its oracle: a plain stack of torch's own layers."""

import pytest
import torch
from torch import nn

from gulmfit.errors import ConfigError
from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.dropout import DropoutRates
from gulmfit.seq.tokens.tokenizer import KmerTokenizer

TOKENIZER = KmerTokenizer(3, 1)
V = len(TOKENIZER)


def encoder(cell: str = "lstm", **rates: float) -> AWDRNN:
    torch.manual_seed(0)
    return AWDRNN(V, embed_size=12, hidden_size=20, num_layers=3, dropout=DropoutRates(**rates), cell=cell)


def plain_stack(model: AWDRNN, tokens: torch.Tensor) -> torch.Tensor:
    """Run the encoder's weights through torch's own modules."""
    x = model.embedding(tokens)
    for layer in model.layers:
        oracle = type(layer.rnn)(layer.rnn.input_size, layer.rnn.hidden_size, batch_first=True)
        oracle.load_state_dict(layer.rnn.state_dict())
        x, _ = oracle(x)
    return x


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("training", [True, False])
def test_without_dropout_it_is_a_plain_stack(cell: str, training: bool) -> None:
    model = encoder(cell).train(training)
    tokens = torch.randint(0, V, (4, 17))
    outputs, _ = model(tokens)
    torch.testing.assert_close(outputs, plain_stack(model, tokens), atol=1e-6, rtol=0)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_gradients_are_those_of_a_plain_stack(cell: str) -> None:
    model = encoder(cell).train()
    tokens = torch.randint(1, V, (4, 9))
    model(tokens)[0].square().sum().backward()
    got = [p.grad.clone() for p in model.layers.parameters()]
    oracles = []
    x = model.embedding(tokens)
    for layer in model.layers:
        oracle = type(layer.rnn)(layer.rnn.input_size, layer.rnn.hidden_size, batch_first=True)
        oracle.load_state_dict(layer.rnn.state_dict())
        oracles.append(oracle)
        x, _ = oracle(x)
    x.square().sum().backward()
    expected = [p.grad for oracle in oracles for p in oracle.parameters()]
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_chunks_with_carried_state_are_one_long_input(cell: str) -> None:
    model = encoder(cell).eval()
    tokens = torch.randint(0, V, (3, 40))
    whole, last = model(tokens)
    parts, state = [], None
    for chunk in tokens.split([7, 1, 20, 12], dim=1):
        outputs, state = model(chunk, state)
        parts.append(outputs)
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-6, rtol=0)
    for ours, theirs in zip(state or [], last, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=0)


def test_later_tokens_change_nothing_before_them() -> None:
    model = encoder().eval()
    tokens = torch.randint(0, V, (2, 10))
    other = tokens.clone()
    other[:, 6:] = torch.randint(0, V, (2, 4))
    torch.testing.assert_close(model(tokens)[0][:, :6], model(other)[0][:, :6], atol=0, rtol=0)


def test_weight_dropout_leaves_parameters_and_state_dict_alone() -> None:
    model = encoder(weight_p=0.5).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    a, b = model(torch.ones(1, 5, dtype=torch.long))[0], model(torch.ones(1, 5, dtype=torch.long))[0]
    assert not torch.equal(a, b)
    assert set(before) == {"embedding.weight"} | {
        f"layers.{i}.rnn.{kind}_l0" for i in range(3) for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert torch.equal(*(model.eval()(torch.ones(1, 5, dtype=torch.long))[0] for _ in range(2)))


def test_every_dropout_acts_in_training_only() -> None:
    for rate in ("embed_p", "input_p", "weight_p", "hidden_p"):
        model = encoder(**{rate: 0.5})
        tokens = torch.randint(1, V, (2, 8))
        assert not torch.equal(model.train()(tokens)[0], model.train()(tokens)[0]), rate
        assert torch.equal(model.eval()(tokens)[0], plain_stack(model, tokens)) or torch.allclose(
            model(tokens)[0], plain_stack(model, tokens), atol=1e-6
        )


def test_frozen_groups_get_no_gradient_and_the_rest_do() -> None:
    for frozen in range(5):
        model = encoder().train()
        outputs, _ = model(torch.randint(1, V, (2, 6)), frozen=frozen)
        if frozen == 4:
            assert not outputs.requires_grad
            continue
        outputs.sum().backward()
        for index, group in enumerate(model.layer_groups()):
            assert all((p.grad is None) == (index < frozen) for p in group)


def test_spelled_embeddings_are_near_where_kmers_share_bases() -> None:
    torch.manual_seed(0)
    model = AWDRNN(V, embed_size=64, hidden_size=8, num_layers=1, token_bases=torch.from_numpy(TOKENIZER.bases()))
    weight = model.embedding.weight.detach()
    kmers = {TOKENIZER.spell(i): weight[i] for i in range(V)}
    one_apart = (kmers["ACG"] - kmers["ACT"]).norm()
    all_apart = (kmers["ACG"] - kmers["CGT"]).norm()
    assert one_apart < 0.8 * all_apart
    assert torch.equal(weight[0], torch.zeros(64))
    assert weight[3:].std().item() == pytest.approx(0.3, rel=0.1)


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match="hidden_size=0"):
        AWDRNN(V, hidden_size=0)
    with pytest.raises(ConfigError, match="rnn"):
        AWDRNN(V, cell="rnn")
    with pytest.raises(ConfigError, match=r"drop_mult=3.*weight_p|weight_p=0.5 times drop_mult=3"):
        DropoutRates(weight_p=0.5, drop_mult=3)


def test_the_module_is_an_ordinary_one() -> None:
    assert isinstance(encoder(), nn.Module)
    import copy

    model = encoder(weight_p=0.3)
    clone = copy.deepcopy(model)
    tokens = torch.randint(0, V, (2, 5))
    assert torch.equal(model.eval()(tokens)[0], clone.eval()(tokens)[0])


def test_sub_words_start_close_where_they_begin_alike() -> None:
    """Pieces of other lengths: as far from the origin as the others, nearest to those that share their first bases."""
    torch.manual_seed(0)
    pieces = ["A", "C", "G", "T", "AC", "ACGT", "ACGA", "GGTT", "GGTTAC", "TTTT"]
    table = torch.full((3 + len(pieces), 6), -1)
    for row, piece in enumerate(pieces, start=3):
        table[row, : len(piece)] = torch.tensor(["ACGT".index(base) for base in piece])
    weight = (
        AWDRNN(len(table), embed_size=400, hidden_size=8, num_layers=1, token_bases=table).embedding.weight[3:].detach()
    )
    lengths = weight.norm(dim=1)
    assert float(lengths.max() / lengths.min()) < 1.5
    nearest = torch.cdist(weight, weight).fill_diagonal_(9e9).argmin(1)
    expected = {"ACGT": "ACGA", "ACGA": "ACGT", "GGTT": "GGTTAC", "GGTTAC": "GGTT"}
    assert {piece: pieces[int(nearest[pieces.index(piece)])] for piece in expected} == expected
