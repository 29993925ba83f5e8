"""What is asked for moves, and nothing else moves."""

import pytest
import torch

from gulmfit.errors import CheckpointError
from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.classifier import SequenceClassifier
from gulmfit.models.language_model import LanguageModel
from gulmfit.models.transfer import transfer
from gulmfit.seq.tokens.tokenizer import KmerTokenizer

KMERS = KmerTokenizer(2, 1).vocabulary()


def language_model(hidden_size: int = 12) -> LanguageModel:
    return LanguageModel(AWDRNN(len(KMERS), 8, hidden_size, 2), 3, 4)


def test_into_a_classifier() -> None:
    source, target = language_model(), SequenceClassifier(AWDRNN(len(KMERS), 8, 12, 2), 2)
    head = {name: value.clone() for name, value in target.head.state_dict().items()}
    report = transfer(target, source.state_dict(), "encoder.")
    tokens = torch.randint(1, len(KMERS), (2, 9))
    assert torch.equal(source.eval().encoder(tokens)[0], target.eval().encoder(tokens)[0])
    assert all(torch.equal(head[name], value) for name, value in target.head.state_dict().items())
    assert report.parameters_moved == sum(p.numel() for p in source.encoder.parameters())
    assert report.kmers_matched == len(KMERS)
    assert all(name.startswith("head.") for name in report.fresh)
    assert "nothing" not in report.summary()


def test_into_a_language_model() -> None:
    source, target = language_model().eval(), language_model().eval()
    torch.nn.init.normal_(source.head.bias)
    report = transfer(target, source.state_dict(), "encoder.", "head.")
    for name, value in target.state_dict().items():
        assert torch.equal(value, source.state_dict()[name])
    assert report.fresh == []


def test_another_architecture_is_refused_by_name() -> None:
    with pytest.raises(CheckpointError, match=r"encoder\.layers\.0\.rnn\.weight_ih_l0 is \(64, 8\), not \(48, 8\)"):
        transfer(language_model(12), language_model(16).state_dict(), "encoder.")
    with pytest.raises(CheckpointError, match="missing"):
        transfer(language_model(), {}, "encoder.")
