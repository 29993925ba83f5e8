"""Sequences drawn from a language model follow its probabilities, which are counted out by brute force."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from gulmfit.errors import ConfigError, SequenceError, TokenizerError
from gulmfit.predict.language.likelihood import LikelihoodScorer
from gulmfit.predict.language.sampling import Sampler
from tests.unit.predict.test_likelihood import scorer, scorer_of, subwords


def brute_force(model: LikelihoodScorer, length: int) -> dict[str, float]:
    """The probability of every sequence of a length; those that the tokens' rule forbids are left out."""
    everything = ["".join(letters) for letters in product("ACGT", repeat=length)]
    probabilities = np.exp(model.score(everything, batch_size=1024)[0])
    return dict(zip(everything, probabilities / probabilities.sum(), strict=True))


@pytest.mark.parametrize(("k", "stride", "length"), [(2, 1, 4), (3, 2, 5), (2, 2, 4)])
def test_samples_follow_the_model(k: int, stride: int, length: int) -> None:
    model = scorer(k, stride)
    expected = brute_force(model, length)
    drawn = Counter(sample.sequence for sample in Sampler(model).draw(4000, length, seed=1, batch_size=500))
    assert set(drawn) <= set(expected)
    # Sequences that are expected too rarely for the test are counted together.
    often = [sequence for sequence, share in expected.items() if share * 4000 >= 5]
    observed = [drawn[sequence] for sequence in often]
    shares = [expected[sequence] for sequence in often]
    rest = 1 - sum(shares)
    if rest * 4000 >= 5:
        observed, shares = [*observed, 4000 - sum(observed)], [*shares, rest]
    total = sum(observed)
    assert len(shares) > 20
    assert chisquare(observed, np.array(shares) / sum(shares) * total).pvalue > 0.01


def test_subwords_are_strung_together() -> None:
    model = scorer_of(subwords())
    tokens = model.tokenizer.vocabulary()[model.tokenizer.num_special :]

    def after(path: list[str]) -> dict[str, float]:
        """The probability of each piece after others, special tokens left out."""
        read = torch.tensor([[model.tokenizer.sep_id, *(model.tokenizer.vocabulary().index(word) for word in path)]])
        with torch.no_grad():
            hidden, _ = model.model.encoder(read)
            logits = hidden[0, -1] @ model.model.encoder.embedding.weight.T + model.model.head.bias
        return dict(zip(tokens, logits[model.tokenizer.num_special :].double().softmax(0).tolist(), strict=True))

    expected: Counter[str] = Counter()
    for first, share in after([]).items():
        if len(first) >= 2:
            expected[first[:2]] += share
        else:
            for second, other in after([first]).items():
                expected[(first + second)[:2]] += share * other
    drawn = list(Sampler(model).draw(3000, 2, batch_size=500))
    found = Counter(sample.sequence for sample in drawn)
    assert sum(expected.values()) == pytest.approx(1)
    words = sorted(expected)
    assert chisquare([found[word] for word in words], [expected[word] * 3000 for word in words]).pvalue > 0.01
    long = list(Sampler(model).draw(20, 60, prompt="ACG"))
    assert all(len(sample.sequence) == 60 and sample.sequence.startswith("ACG") for sample in long)
    # No piece begins with T but T itself, so that TT is two tokens however it was drawn.
    nats = {sample.nats for sample in drawn if sample.sequence == "TT"}
    assert nats
    np.testing.assert_allclose(list(nats), model.score(["TT"])[0][0], atol=1e-5)


def test_a_temperature_bends_the_probabilities() -> None:
    model = scorer(1, 1)
    first = np.array([model.score([letter])[0][0] for letter in "ACGT"])
    expected = np.exp(first / 0.5) / np.exp(first / 0.5).sum()
    drawn = Counter(sample.sequence[0] for sample in Sampler(model, temperature=0.5).draw(2000, 2, batch_size=500))
    assert chisquare([drawn[letter] for letter in "ACGT"], expected * 2000).pvalue > 0.01


@pytest.mark.parametrize("legal", [True, False])
def test_the_greedy_path_takes_the_best_token_every_time(legal: bool) -> None:
    model = scorer(3, 2, legal)
    (sample,) = Sampler(model, temperature=0).draw(1, 9)
    path = ""
    while len(path) < 9:
        more = 3 if not path else 2
        options = [path + "".join(letters) for letters in product("ACGT", repeat=more)]
        path = options[int(model.score(options)[0].argmax())]
    assert sample.sequence == path
    (cold,) = Sampler(model, temperature=1e-4).draw(1, 9)
    assert cold.sequence == path


def test_of_the_two_best_tokens_none_is_left_out_and_no_other_drawn() -> None:
    model = scorer(1, 1)
    scores = {letter: model.score([letter])[0][0] for letter in "ACGT"}
    best = sorted(scores, key=lambda letter: -scores[letter])[:2]
    drawn = {sample.sequence[0] for sample in Sampler(model, top_k=2).draw(200, 2)}
    assert drawn == set(best)


@pytest.mark.parametrize("prompt", ["", "AC", "ACGTA", "ACGTACGT"])
@pytest.mark.parametrize(("k", "stride", "legal"), [(5, 2, True), (5, 2, False), (3, 3, True), (4, 1, True)])
def test_the_likelihood_while_drawing_is_the_scorers(k: int, stride: int, legal: bool, prompt: str) -> None:
    model = scorer(k, stride, legal)
    samples = list(Sampler(model, temperature=1.5, top_k=3).draw(5, 40, prompt=prompt, batch_size=3))
    assert all(len(sample.sequence) == 40 and sample.sequence.startswith(prompt) for sample in samples)
    nats, bases = model.score([sample.sequence for sample in samples])
    np.testing.assert_allclose([sample.nats for sample in samples], nats, atol=1e-4)
    assert [sample.bases for sample in samples] == bases.tolist()


def test_a_prompt_is_continued_as_the_model_says() -> None:
    model = scorer(3, 2)
    for prompt, length in (("A", 5), ("GTCAG", 9), ("GTCA", 7)):
        options = [prompt + "".join(letters) for letters in product("ACGT", repeat=length - len(prompt))]
        probabilities = np.exp(model.score(options)[0])
        drawn = Counter(sample.sequence for sample in Sampler(model).draw(2000, length, prompt=prompt, batch_size=500))
        expected = probabilities / probabilities.sum() * 2000
        common = expected >= 5
        observed = np.array([drawn[option] for option in options])
        scaled = expected[common] / expected[common].sum() * observed[common].sum()
        assert chisquare(observed[common], scaled).pvalue > 0.01


def test_the_same_seed_draws_the_same_whatever_the_batch() -> None:
    sampler = Sampler(scorer())
    first = [sample.sequence for sample in sampler.draw(10, 50, seed=3)]
    assert [sample.sequence for sample in sampler.draw(10, 50, seed=3, batch_size=4)] == first
    assert [sample.sequence for sample in sampler.draw(4, 50, seed=3)] == first[:4]
    assert [sample.sequence for sample in sampler.draw(10, 50, seed=4)] != first
    assert len(set(first)) == 10


def test_mistakes_are_named() -> None:
    model = scorer()
    with pytest.raises(ConfigError, match="temperature=-1"):
        Sampler(model, temperature=-1)
    with pytest.raises(TokenizerError, match=r"KmerTokenizer\(k=2, stride=3\) .*\b1 bases"):
        Sampler(scorer(2, 3))
    with pytest.raises(ConfigError, match=r"length_bp=4: .*\b5 bases"):
        next(Sampler(model).draw(1, 4, prompt="ACGT"))
    with pytest.raises(SequenceError, match="prompt, position 2: 'N' is ambiguous"):
        next(Sampler(model).draw(1, 40, prompt="ACNT"))
