"""Spectra and repeats against counting by hand."""

from collections import Counter

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from gulmfit.evaluate.composition import jensen_shannon, longest_repeat, odds_difference, spectrum
from gulmfit.seq.alphabet import encode, reverse_complement_text


def random_texts(lengths: list[int], letters: str = "AACGTN") -> list[str]:
    random = np.random.default_rng(0)
    return ["".join(random.choice(list(letters), size=length)) for length in lengths]


def test_words_of_both_strands_are_counted() -> None:
    texts = random_texts([3, 80, 200])
    found = spectrum(map(encode, texts))
    for k, frequencies in enumerate(found.frequencies, start=1):
        counts: Counter[str] = Counter()
        for text in [*texts, *map(reverse_complement_text, texts)]:
            counts.update(text[at : at + k] for at in range(len(text) - k + 1) if "N" not in text[at : at + k])
        words = ["".join("ACGT"[number >> 2 * at & 3] for at in range(k - 1, -1, -1)) for number in range(4**k)]
        expected = np.array([counts[word] for word in words])
        np.testing.assert_allclose(frequencies, expected / expected.sum())
    assert found.bases == sum(len(text) - text.count("N") for text in texts)
    assert found.gc == pytest.approx(sum(text.count("G") + text.count("C") for text in texts) / found.bases)


def test_the_distance_is_that_of_scipy() -> None:
    random = np.random.default_rng(0)
    one, other = random.dirichlet(np.ones(64)), random.dirichlet(np.ones(64))
    one[:3] = 0
    one /= one.sum()
    assert jensen_shannon(one, other) == pytest.approx(jensenshannon(one, other, base=2))
    assert jensen_shannon(one, one) == 0
    assert jensen_shannon(np.array([1.0, 0]), np.array([0, 1.0])) == 1


def test_dinucleotides_that_follow_no_rule_have_odds_of_one() -> None:
    (text,) = random_texts([200_000], "ACGT")
    plain = spectrum([encode(text)])
    np.testing.assert_allclose(plain.dinucleotide_odds, 1.0, atol=0.03)
    without = spectrum([encode(text.replace("CG", "CA"))])
    assert without.dinucleotide_odds[1, 2] < 0.01
    assert odds_difference(plain, without) > 0.05


@pytest.mark.parametrize("seed", range(5))
def test_the_longest_repeat_is_the_one_found_by_trying(seed: int) -> None:
    random = np.random.default_rng(seed)
    unit = "".join(random.choice(list("ACGT"), size=17))
    texts = [
        "".join(random.choice(list("ACGTN"), size=60)) + unit,
        unit + "".join(random.choice(list("ACGT"), size=random.integers(1, 60))),
        "AC",
    ]
    longest = 0
    for length in range(1, 80):
        seen = Counter(text[at : at + length] for text in texts for at in range(len(text) - length + 1))
        if any(count > 1 for word, count in seen.items() if "N" not in word):
            longest = length
    assert longest >= 17
    assert longest_repeat([encode(text) for text in texts]) == longest


def test_a_run_repeats_itself_and_single_bases_do_not() -> None:
    assert longest_repeat([encode("A" * 33)]) == 32
    assert longest_repeat([encode("ACGT")]) == 0
    assert longest_repeat([encode("NNNN"), encode("NN")]) == 0
