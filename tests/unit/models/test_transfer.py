"""Weights move by k-mer, whatever the order of the vocabularies, and nothing else moves."""

import pytest
import torch

from gulmfit.errors import CheckpointError
from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.classifier import SequenceClassifier
from gulmfit.models.language_model import LanguageModel
from gulmfit.models.transfer import transfer
from gulmfit.seq.tokenizer import KmerTokenizer

KMERS = KmerTokenizer(2, 1).vocabulary()


def language_model(hidden_size: int = 12) -> LanguageModel:
    return LanguageModel(AWDRNN(len(KMERS), 8, hidden_size, 2), 3, 4)


def test_into_a_classifier() -> None:
    source, target = language_model(), SequenceClassifier(AWDRNN(len(KMERS), 8, 12, 2), 2)
    head = {name: value.clone() for name, value in target.head.state_dict().items()}
    report = transfer(target, source.state_dict(), KMERS, KMERS)
    tokens = torch.randint(1, len(KMERS), (2, 9))
    assert torch.equal(source.eval().encoder(tokens)[0], target.eval().encoder(tokens)[0])
    assert all(torch.equal(head[name], value) for name, value in target.head.state_dict().items())
    assert report.parameters_moved == sum(p.numel() for p in source.encoder.parameters())
    assert report.kmers_matched == len(KMERS)
    assert all(name.startswith("head.") for name in report.fresh)
    assert "nothing" not in report.summary()


def test_into_a_language_model_with_another_order_of_kmers() -> None:
    source, target = language_model().eval(), language_model().eval()
    torch.nn.init.normal_(source.head.bias)
    order = [0, 1, 2, *range(len(KMERS) - 1, 2, -1)]
    theirs = [KMERS[index] for index in order]
    report = transfer(target, source.state_dict(), KMERS, theirs, ("encoder.", "head."))
    for row, kmer in enumerate(KMERS):
        given = theirs.index(kmer)
        assert torch.equal(target.encoder.embedding.weight[row], source.encoder.embedding.weight[given])
        assert target.head.bias[row] == source.head.bias[given]
    assert report.fresh == []


def test_new_kmers_get_the_mean_row() -> None:
    source, target = language_model(), language_model()
    transfer(target, source.state_dict(), KMERS, [*KMERS[:-1], "??"])
    torch.testing.assert_close(target.encoder.embedding.weight[-1], source.encoder.embedding.weight.mean(0))


def test_another_architecture_is_refused_by_name() -> None:
    with pytest.raises(CheckpointError, match=r"encoder\.layers\.0\.rnn\.weight_ih_l0 is \(64, 8\), not \(48, 8\)"):
        transfer(language_model(12), language_model(16).state_dict(), KMERS, KMERS)
    with pytest.raises(CheckpointError, match="missing"):
        transfer(language_model(), {}, KMERS, KMERS)
    with pytest.raises(CheckpointError, match="no token"):
        transfer(language_model(), language_model().state_dict(), KMERS, ["x"])
