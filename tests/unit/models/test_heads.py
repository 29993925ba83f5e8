"""The legal-successor softmax against brute force; pooling against hand-made answers."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from gulmfit.models import heads
from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.heads import LanguageModelHead
from gulmfit.models.language_model import LanguageModel, initialise_bias
from gulmfit.seq.tokens.tokenizer import KmerTokenizer


def brute_force(tokenizer: KmerTokenizer, logits: torch.Tensor, token: int) -> torch.Tensor:
    """Return log-probabilities over the vocabulary, the rule spelled out in strings."""
    names = tokenizer.vocabulary()
    legal = torch.zeros(len(names), dtype=torch.bool)
    for index in range(tokenizer.num_special, len(names)):
        keep = tokenizer.overlap
        legal[index] = token < tokenizer.num_special or not keep or names[index][:keep] == names[token][-keep:]
    return F.log_softmax(logits.masked_fill(~legal, float("-inf")), -1)


@pytest.mark.parametrize(("k", "stride"), [(1, 1), (3, 1), (3, 2), (3, 3), (2, 5), (4, 2)])
@pytest.mark.parametrize("dense", [4096, 0])
def test_legal_successors(k: int, stride: int, dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "DENSE_VOCABULARY", dense)
    torch.manual_seed(0)
    tokenizer = KmerTokenizer(k, stride)
    size = len(tokenizer)
    head = LanguageModelHead(size, tokenizer.num_special, 4**tokenizer.new_bases)
    weight = torch.randn(size, 7, requires_grad=True)
    torch.nn.init.normal_(head.bias)
    tokens = torch.randint(1, size, (40,))
    tokens[:2] = torch.tensor([tokenizer.sep_id, tokenizer.unk_id])
    hidden = torch.randn(40, 7, requires_grad=True)
    tables = [
        brute_force(tokenizer, F.linear(h, weight, head.bias), int(t)) for h, t in zip(hidden, tokens, strict=True)
    ]
    targets = torch.stack([torch.multinomial(table.exp(), 1)[0] for table in tables])
    losses, correct = head.token_losses(weight, hidden, tokens, targets)
    expected = -torch.stack([table[target] for table, target in zip(tables, targets, strict=True)])
    torch.testing.assert_close(losses, expected, atol=1e-5, rtol=1e-5)
    assert correct.tolist() == [bool(table.argmax() == target) for table, target in zip(tables, targets, strict=True)]
    ours = torch.autograd.grad(losses.sum(), [weight, hidden, head.bias], retain_graph=True)
    theirs = torch.autograd.grad(expected.sum(), [weight, hidden, head.bias])
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_probabilities_of_all_sequences_sum_to_one() -> None:
    """All sequences of 4 bases, each a path of 2-mers: the model is a proper distribution over bases."""
    torch.manual_seed(0)
    tokenizer = KmerTokenizer(2, 1)
    encoder = AWDRNN(len(tokenizer), 8, 8, 1)
    model = LanguageModel(encoder, tokenizer.num_special, 4**tokenizer.new_bases).eval()
    torch.nn.init.normal_(model.head.bias)
    total = 0.0
    for bases in itertools.product(range(4), repeat=4):
        tokens = [tokenizer.sep_id] + [3 + 4 * a + b for a, b in itertools.pairwise(bases)]
        stream = torch.tensor([tokens])
        total += float((-model(stream[:, :-1], stream[:, 1:]).losses.sum()).exp())
    assert total == pytest.approx(1.0, abs=1e-4)


def test_what_a_gpu_computes_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU looks at every row for free positions; what it finds and learns must not differ."""
    torch.manual_seed(0)
    head = LanguageModelHead(3 + 4**3, 3, 4)
    torch.nn.init.normal_(head.bias)
    weight, hidden = torch.randn(67, 5, requires_grad=True), torch.randn(50, 5, requires_grad=True)
    tokens, targets = torch.randint(0, 67, (50,)), torch.randint(0, 67, (50,))
    tokens[:10] = torch.tensor([1, 2] * 5)

    def run() -> list[torch.Tensor]:
        losses, right = head.token_losses(weight, hidden, tokens, targets)
        return [losses, right, *torch.autograd.grad(losses.sum(), [weight, hidden, head.bias])]

    on_cpu = run()
    assert not on_cpu[0][targets < 3].any()
    monkeypatch.setattr(heads, "_rows_to_look_at", lambda free: torch.arange(len(free)))
    for ours, theirs in zip(run(), on_cpu, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_plain_softmax_is_a_linear_layer() -> None:
    torch.manual_seed(0)
    head = LanguageModelHead(11, 3, None)
    weight, hidden = torch.randn(11, 5), torch.randn(6, 5)
    tokens, targets = torch.randint(3, 11, (6,)), torch.randint(3, 11, (6,))
    losses, _ = head.token_losses(weight, hidden, tokens, targets)
    torch.testing.assert_close(losses, F.cross_entropy(hidden @ weight.T + head.bias, targets, reduction="none"))


def test_special_targets_are_not_scored_and_the_decoder_is_tied() -> None:
    tokenizer = KmerTokenizer(2, 1)
    model = LanguageModel(AWDRNN(len(tokenizer), 8, 8, 1), tokenizer.num_special, 4)
    stream = torch.tensor([[2, 3, 4, 2, 9, 1, 0]])
    output = model(stream[:, :-1], stream[:, 1:])
    assert output.contexts[output.scored].tolist() == [2, 3, 2]
    assert not output.losses[~output.scored].any()
    names = set(dict(model.named_parameters()))
    assert "head.bias" in names
    assert not any("decoder" in name or name == "head.weight" for name in names)
    groups = [id(p) for group in model.layer_groups() for p in group]
    assert sorted(groups) == sorted(id(p) for p in model.parameters())


@torch.no_grad()
def test_bias_starts_at_the_unigram_model() -> None:
    tokenizer = KmerTokenizer(1, 1)
    model = LanguageModel(AWDRNN(len(tokenizer), 4, 4, 1), tokenizer.num_special, 4).eval()
    with torch.no_grad():
        model.encoder.embedding.weight.zero_()
    initialise_bias(model, torch.tensor([0, 0, 0, 700, 100, 100, 100]))
    stream = torch.tensor([[3, 3]])
    assert float((-model(stream[:, :1], stream[:, 1:]).losses[0]).exp()) == pytest.approx(0.7, abs=0.002)
