"""Motifs: files, matches, sites and enrichment against slower ways, and planted motifs that are found again."""

import importlib
import sqlite3
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import fisher_exact

from gulmfit.errors import DataError
from gulmfit.evaluate.motif_matches import MotifScanner, enrichment, match_motif
from gulmfit.explain.attribution import Attribution
from gulmfit.explain.refining import Refiner
from gulmfit.explain.seqlets import find_motifs
from gulmfit.predict.predictor import Record
from gulmfit.seq.alphabet import encode, reverse_complement
from gulmfit.seq.formats.motif_databases import read_database
from gulmfit.seq.formats.motif_files import Motif, read_motifs, write_jaspar, write_meme


def of_word(word: str, name: str = "w", strength: float = 0.94) -> Motif:
    rest = (1 - strength) / 3
    return Motif(name, np.eye(4)[encode(word)] * (strength - rest) + rest, 100)


def random_motifs(count: int, seed: int = 0) -> list[Motif]:
    random = np.random.default_rng(seed)
    return [Motif(f"r{n}", random.dirichlet([0.3] * 4, int(random.integers(6, 14))), 9) for n in range(count)]


def test_meme_files_are_read_back(tmp_path: Path) -> None:
    motifs = [one._replace(other="Aβ 1") for one in random_motifs(3)]
    write_meme(tmp_path / "a.meme", motifs)
    for one, other in zip(motifs, read_motifs(tmp_path / "a.meme"), strict=True):
        assert (one.name, one.sites, one.other) == (other.name, other.sites, other.other)
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=2e-6)
    write_jaspar(tmp_path / "a.jaspar", [of_word("ACG")])
    assert (tmp_path / "a.jaspar").read_text().splitlines()[1].split() == ["A", "[", "94", "2", "2", "]"]


def test_jaspar_files_are_read_back(tmp_path: Path) -> None:
    motifs = [one._replace(sites=100_000, other="ETS 1") for one in random_motifs(3)]
    write_jaspar(tmp_path / "a.jaspar", motifs)
    for one, other in zip(motifs, read_motifs(tmp_path / "a.jaspar"), strict=True):
        assert (one.name, one.other) == (other.name, other.other)
        assert abs(one.sites - other.sites) < 3
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-4)
    (tmp_path / "raw.pfm").write_text(">MA1 X\n8 0\n0 2\n0 0\n0 6\n")
    (motif,) = read_motifs(tmp_path / "raw.pfm")
    assert motif.probabilities.tolist() == [[1, 0, 0, 0], [0, 0.25, 0, 0.75]]


def jaspar_database(path: Path) -> None:
    """A database as JASPAR's, of three profiles, one of them in two versions."""
    with sqlite3.connect(path) as database:
        database.executescript(
            "create table MATRIX (ID, COLLECTION, BASE_ID, VERSION integer, NAME);"
            "create table MATRIX_ANNOTATION (ID, TAG, VAL); create table MATRIX_DATA (ID, row, col integer, val);"
        )
        profiles = [("CORE", "MA1", 1, "Old", "vertebrates"), ("CORE", "MA1", 2, "New", "vertebrates"),
                    ("CORE", "MA2", 1, "Leaf", "plants"), ("UNVALIDATED", "UN1", 3, "X", "vertebrates")]  # fmt: skip
        for number, (collection, base, version, name, group) in enumerate(profiles):
            database.execute("insert into MATRIX values (?, ?, ?, ?, ?)", [number, collection, base, version, name])
            database.execute("insert into MATRIX_ANNOTATION values (?, 'tax_group', ?)", [number, group])
            cells = [(number, letter, column + 1, 2.0 * (letter == "ACGT"[(column + version) % 4]))
                     for column in range(12) for letter in "TGCA"]  # fmt: skip
            database.executemany("insert into MATRIX_DATA values (?, ?, ?, ?)", cells)
    database.close()


def test_jaspars_own_database_is_read(tmp_path: Path) -> None:
    jaspar_database(tmp_path / "JASPAR.sqlite")
    (motif,) = read_database(str(tmp_path / "JASPAR.sqlite"))
    assert (motif.name, motif.other, motif.sites, motif.consensus()) == ("MA1.2", "New", 2, "GTACGTACGTAC")


def test_the_script_writes_a_database_to_a_meme_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[3] / "scripts"))
    script, source, target = importlib.import_module("jaspar"), tmp_path / "J.sqlite", tmp_path / "j.meme"
    jaspar_database(source)
    assert script.main([str(source), str(target)]) == 0
    for one, other in zip(read_database(str(source)), read_motifs(target), strict=True):
        assert (one.name, one.other) == (other.name, other.other)
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=2e-6)
    assert script.main([str(tmp_path / "none"), str(target)]) == 1
    assert script.main([str(source)]) == 2


def test_the_script_tells_which_profile_describes_sequences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[3] / "scripts"))
    script, rng = importlib.import_module("profiles"), np.random.default_rng(0)
    planted, other = (np.eye(4)[rng.integers(0, 4, 10)] * 0.96 + 0.01 for _ in range(2))
    write_meme(tmp_path / "two.meme", [Motif("planted", planted, 9), Motif("other", other, 9)])
    lines = []
    for number in range(60):
        letters = rng.integers(0, 4, 30 + number)  # of several lengths
        letters[7:17] = planted.argmax(1) if number % 2 else 3 - planted.argmax(1)[::-1]  # on either strand
        text = "".join("ACGT"[letter] for letter in letters)
        lines.append(f">{number}\n{text[:20]}\n{text[20:].lower()}N\n")
    (tmp_path / "in.fa").write_text("".join(lines))
    assert script.main([str(tmp_path / "in.fa"), f"{tmp_path}/two.meme=planted,other"]) == 0
    areas = {line.split()[0]: float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()}
    assert areas["planted"] > 0.97
    assert 0.3 < areas["other"] < 0.7
    assert script.main([str(tmp_path / "in.fa"), f"{tmp_path}/two.meme=neither"]) == 1
    assert "'neither'" in capsys.readouterr().err
    assert script.main([str(tmp_path / "in.fa")]) == 2


def test_jaspar_by_name_comes_from_pyjaspar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyjaspar/data").mkdir(parents=True)
    (tmp_path / "pyjaspar/__init__.py").touch()
    (tmp_path / "pyjaspar/data/JASPAR2024.sqlite").write_text("older, and not read")
    jaspar_database(tmp_path / "pyjaspar/data/JASPAR2026.sqlite")
    monkeypatch.delitem(sys.modules, "pyjaspar", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert [one.other for one in read_database("jaspar:plants")] == ["Leaf"]
    with pytest.raises(DataError, match=r"'fungi'.*plants, vertebrates"):
        read_database("jaspar:fungi")
    monkeypatch.setitem(sys.modules, "pyjaspar", None)
    with pytest.raises(DataError, match=r"gulmfit\[jaspar\]"):
        read_database("jaspar")


@pytest.mark.parametrize("content", [b"SQLite format 3\x00 and no more", None])
def test_a_damaged_database_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.sqlite"
    if content is None:
        with sqlite3.connect(path) as database:
            database.execute("create table t (a)")
        database.close()
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.sqlite: .*JASPAR"):
        read_database(str(path))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("GATTACA\n", "neither a MEME nor a JASPAR file"),
        ("", "neither a MEME nor a JASPAR file"),
        (">M1\nA [1 2]\n", "line 1.*M1"),
        (">M1\nA [1 2]\nC [1 2]\nG [1 2]\nT [1]\n", "line 1.*M1"),
        (">M1\nA [1]\nC [1]\nG [1]\nT [1]\n>M2\nA [-1]\nC [1]\nG [1]\nT [1]\n", "line 6.*M2"),
        (">peak1\nACGTACGT\n", "line 1.*peak1"),
        ("MEME version 4\nALPHABET= ACDEFGHIKLMNPQRSTVWY\n", "line 2"),
        ("MEME version 4\nMOTIF a\nletter-probability matrix: w= 1\n0.5 0.5 0.5 0.5\n", "line 4"),
        ("MEME version 4\nMOTIF a\nletter-probability matrix: w= 1\n\n", "line 3"),
        ("MEME version 4\n", "no motif"),
    ],
)
def test_what_holds_no_motifs_is_refused(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / "a.meme").write_text(text)
    with pytest.raises(DataError, match=rf"a\.meme.*{place}"):
        read_motifs(tmp_path / "a.meme")


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


def test_without_a_database_nothing_matches() -> None:
    assert match_motif(of_word("TCACGTGA"), []) == []


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


def saturated(motif: Motif, count: int) -> list[Attribution]:
    """Sequences with a site that is drawn from a motif, and a model that looks at the likeliest of the sites alone."""
    random = np.random.default_rng(0)
    odds, width = np.log(motif.probabilities / 0.25), len(motif.probabilities)
    middle = (motif.probabilities * odds).sum()
    found = []
    for number in range(count):
        codes, gained = random.integers(0, 4, 100).astype(np.uint8), random.normal(0, 0.3, 100)
        word = np.array([random.choice(4, p=column) for column in motif.probabilities])
        start = int(random.integers(0, 101 - width))
        codes[start : start + width] = word
        worth = odds[np.arange(width), word]
        gained[start : start + width] += worth / (1 + np.exp(-2 * (worth.sum() - middle)))
        found.append(Attribution(Record(str(number), codes), np.zeros(1), gained[None], None, np.full(1, np.nan)))
    return found


def distance(motif: Motif, other: Motif) -> float:
    """Kullback-Leibler distance in bits from a motif to another one, aligned as best; equal letters beyond its ends."""
    found = []
    for probabilities in (other.probabilities, other.turned().probabilities):
        for offset in range(-len(probabilities), len(motif.probabilities)):
            first = min(0, offset)
            last = max(len(motif.probabilities), offset + len(probabilities))
            ours, theirs = np.full((2, last - first, 4), 0.25)
            ours[-first : len(motif.probabilities) - first] = motif.probabilities
            theirs[offset - first : offset - first + len(probabilities)] = probabilities
            found.append(float((ours * np.log2(ours / theirs)).sum()))
    return min(found)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_motif_is_that_of_all_sites_not_of_the_strongest(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    strong = np.random.default_rng(seed).permutation(np.eye(4))[[0, 1, 1, 2, 3, 0, 2, 3, 1]]
    weight = np.array([0.65, 0.8, 0.75, 0.9, 0.8, 0.95, 0.9, 0.75, 0.7])[:, None]
    planted_motif = Motif("p", strong * weight + (1 - strong) * (1 - weight) / 3)
    attributions = saturated(planted_motif, 250)
    (refined, *more), _ = find_motifs(attributions, 0)
    assert not more
    assert distance(planted_motif, refined) < 0.35
    monkeypatch.setattr(Refiner, "refined", lambda self, motif, *_: motif)
    (strongest, *_), _ = find_motifs(attributions, 0)
    assert distance(planted_motif, strongest) > 2 * distance(planted_motif, refined)
    assert strongest.bits().sum() > refined.bits().sum()


def test_exact_sites_keep_their_motif() -> None:
    attributions = planted(["TGACGTCAGC"], 100, 0.1)
    (motif,), _ = find_motifs(attributions, 0)
    assert "TGACGTCAGC" in (motif.consensus(), motif.turned().consensus())
    assert motif.probabilities.max(1).min() > 0.98


def test_a_motif_is_not_drawn_to_what_the_model_does_not_look_at() -> None:
    random = np.random.default_rng(0)
    sequences = [random.integers(0, 4, 80).astype(np.uint8) for _ in range(100)]
    for codes in sequences:
        codes[50:60] = encode("GTCACGTGAC")
    start = of_word("CACG", strength=0.7)
    there, elsewhere = [(n, 45) for n in range(40)], [(n, 10) for n in range(40)]
    assert "CACGTGAC" in Refiner(sequences).refined(start, there, 20).consensus()
    assert Refiner(sequences).refined(start, elsewhere, 20) is start
