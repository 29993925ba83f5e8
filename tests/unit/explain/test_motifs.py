"""Motifs: files, matches, sites and enrichment against slower ways, and planted motifs that are found again."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import fisher_exact

from gulmfit.errors import DataError
from gulmfit.evaluate.motif_matches import MotifScanner, enrichment, match_motif
from gulmfit.explain.attribution import Attribution
from gulmfit.explain.seqlets import find_motifs
from gulmfit.predict.predictor import Record
from gulmfit.seq.alphabet import encode, reverse_complement
from gulmfit.seq.formats.motif_files import Motif, read_meme, write_jaspar, write_meme


def of_word(word: str, name: str = "w", strength: float = 0.94) -> Motif:
    rest = (1 - strength) / 3
    return Motif(name, np.eye(4)[encode(word)] * (strength - rest) + rest, 100)


def random_motifs(count: int, seed: int = 0) -> list[Motif]:
    random = np.random.default_rng(seed)
    return [Motif(f"r{n}", random.dirichlet([0.3] * 4, int(random.integers(6, 14))), 9) for n in range(count)]


def test_meme_files_are_read_back(tmp_path: Path) -> None:
    motifs = [one._replace(other="Aβ 1") for one in random_motifs(3)]
    write_meme(tmp_path / "a.meme", motifs)
    for one, other in zip(motifs, read_meme(tmp_path / "a.meme"), strict=True):
        assert (one.name, one.sites, one.other) == (other.name, other.sites, other.other)
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=2e-6)
    write_jaspar(tmp_path / "a.jaspar", [of_word("ACG")])
    assert (tmp_path / "a.jaspar").read_text().splitlines()[1].split() == ["A", "[", "94", "2", "2", "]"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (">M1\nA [1 2]\n", "not a MEME file"),
        ("MEME version 4\nALPHABET= ACDEFGHIKLMNPQRSTVWY\n", "line 2"),
        ("MEME version 4\nMOTIF a\nletter-probability matrix: w= 1\n0.5 0.5 0.5 0.5\n", "line 4"),
        ("MEME version 4\nMOTIF a\nletter-probability matrix: w= 1\n\n", "line 3"),
        ("MEME version 4\n", "no motif"),
    ],
)
def test_what_is_no_meme_is_refused(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / "a.meme").write_text(text)
    with pytest.raises(DataError, match=rf"a\.meme.*{place}"):
        read_meme(tmp_path / "a.meme")


def test_sites_are_those_of_brute_force() -> None:
    motif = random_motifs(1, seed=3)[0]
    motif = motif._replace(probabilities=motif.probabilities[:8])
    assert len(motif.probabilities) == 8
    bits = np.round(np.log2((motif.probabilities + 1e-3) / 1.004 / 0.25) * 50)
    words = np.array(list(product(range(4), repeat=8)))
    scores = bits[np.arange(8), words].sum(1)
    least = min(value for value in np.unique(scores) if (scores >= value).sum() <= 1e-4 * 4**8)
    assert (scores >= least).sum() > 1
    codes = np.random.default_rng(0).integers(0, 5, 3000).astype(np.uint8)
    for place, word in enumerate(words[scores >= least]):
        codes[100 * place : 100 * place + 8] = word
        codes[100 * place + 50 : 100 * place + 58] = reverse_complement(word.astype(np.uint8))
    expected = []
    for start in range(len(codes) - 7):
        window = codes[start : start + 8]
        for strand, word in (("+", window), ("-", reverse_complement(window))):
            if window.max() < 4 and (score := bits[np.arange(8), word].sum()) >= least:
                expected.append((start, strand, score / 50))
    assert len(expected) >= 4
    found = MotifScanner(motif).sites(codes)
    assert [one[:2] for one in found] == [one[:2] for one in expected]
    np.testing.assert_allclose([one.score for one in found], [one[2] for one in expected])
    assert MotifScanner(motif).sites(codes[:3]) == []
    # Too short to be rare: its best words are its sites.
    assert [one[:2] for one in MotifScanner(of_word("ACC")).sites(encode("TACCTGGTN"))] == [(1, "+"), (5, "-")]


def test_matches_of_a_motif_with_itself_and_of_nothing() -> None:
    database = random_motifs(200)
    query = of_word("TCACGTGA")
    database.append(Motif("own", np.vstack([[[0.25] * 4], query.turned().probabilities, [[0.25] * 4]]), 5))
    best, second, *_ = match_motif(query, database)
    assert best.target.name == "own"
    assert best.offset == -1
    assert best.q_value < 0.01 < second.q_value
    strange = [match_motif(one, random_motifs(100))[0].q_value for one in random_motifs(20, seed=9)]
    assert np.mean(np.array(strange) < 0.05) <= 0.15
    p_values = [match.p_value for one in random_motifs(10, seed=9) for match in match_motif(one, random_motifs(100))]
    assert 0.01 < np.mean(np.array(p_values) < 0.05) < 0.08  # p means what it says


def test_enrichment_is_fishers() -> None:
    ratio, p_value = enrichment(30, 100, 10, 100)
    assert p_value == fisher_exact([[30, 70], [10, 90]], alternative="greater").pvalue
    assert ratio == pytest.approx(30.5 / 10.5)


def planted(words: list[str], count: int, noise: float, seed: int = 0) -> list[Attribution]:
    """Sequences with one of the words on either strand, whose bases contribute 1, and noise."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        codes = random.integers(0, 4, 80).astype(np.uint8)
        gained = random.normal(0, noise, 80)
        if words:
            word = encode(words[number % len(words)])
            word = word if random.random() < 0.5 else reverse_complement(word)
            start = int(random.integers(0, 81 - len(word)))
            codes[start : start + len(word)] = word
            gained[start : start + len(word)] += 1
        found.append(Attribution(Record(str(number), codes), np.zeros(1), gained[None], None, np.full(1, np.nan)))
    return found


def test_planted_motifs_are_found_again() -> None:
    motifs, seqlets = find_motifs(planted(["TGACGTCAGC", "AACCGGAAGT"], 200, 0.1), 0)
    assert 150 < seqlets <= 230
    assert len(motifs) == 2
    for word in ("TGACGTCAGC", "AACCGGAAGT"):
        fits = [match_motif(one, [of_word(word), *random_motifs(50)])[0] for one in motifs]
        assert sum(fit.target.name == "w" and fit.p_value < 1e-6 for fit in fits) == 1
    assert all(one.sites > 60 for one in motifs)


def test_noise_has_no_motif() -> None:
    motifs, _ = find_motifs(planted([], 200, 0.1), 0)
    assert motifs == []
    assert find_motifs([], 0) == ([], 0)
