"""The leakage report against leaks that were planted, and what becomes of it."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import encode, reverse_complement_text
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.related.leakage import check_leakage, leakage_report, leaked_fraction
from gulmfit.seq.related.overlap import _CHUNK, stand_in


def random_dna(rng, length: int) -> str:
    return "".join(rng.choice(list("ACGT"), length))


def part(name: str, sequences, loci=None) -> LabelledSequences:
    ids = [f"{name}{i}" for i in range(len(sequences))]
    return LabelledSequences(ids, list(sequences), np.zeros(len(ids)), ["a", "b"], loci=loci)


def planted(rng):
    train = [random_dna(rng, 80) for _ in range(8)]
    valid = [train[0], random_dna(rng, 80)]
    near = train[2][:60] + random_dna(rng, 20)
    test = [random_dna(rng, 80), train[0], reverse_complement_text(train[1]), near, valid[1], train[3], train[4]]
    return {"train": part("r", train), "valid": part("v", valid), "test": part("t", test)}


def counts(found) -> dict:
    return {kind: value and value["count"] for kind, value in found.items()}


def test_planted_leaks_are_found():
    parts = planted(np.random.default_rng(0))
    report = leakage_report(parts)
    assert json.loads(json.dumps(report)) == report
    assert report["sequences"] == {"train": 8, "valid": 2, "test": 7}
    assert list(report["pairs"]) == ["train->valid", "train->test", "valid->test"]
    nothing = {"coordinates": None}
    assert counts(report["pairs"]["train->test"]) == nothing | {
        "exact": 3,
        "reverse_complement": 1,
        "near_duplicate": 5,
        "any": 5,
    }
    assert counts(report["pairs"]["valid->test"]) == nothing | {
        "exact": 2,
        "reverse_complement": 0,
        "near_duplicate": 2,
        "any": 2,
    }
    assert report["pairs"]["train->test"]["any"]["examples"] == ["t1", "t2", "t3", "t5", "t6"]
    assert report["pairs"]["train->valid"]["exact"] == {"count": 1, "fraction": 0.5, "examples": ["v0"]}
    assert leaked_fraction(report) == 5 / 7
    assert leaked_fraction(report, "train->valid") == 0.5


locus = st.tuples(st.sampled_from("ab"), st.integers(0, 40), st.integers(1, 9), st.sampled_from("+-"))


@given(st.lists(locus, min_size=1, max_size=8), st.lists(locus, min_size=1, max_size=8))
def test_overlaps_by_position_agree_with_brute_force(known, scored):
    rng = np.random.default_rng(0)
    sides = [
        [(contig, start, start + length, strand) for contig, start, length, strand in side] for side in (known, scored)
    ]
    parts = {
        name: part(name, [random_dna(rng, 30) for _ in side], side)
        for name, side in zip(("train", "test"), sides, strict=True)
    }
    expected = [
        any(contig == other and start < last and first < end for other, first, last, _ in sides[0])
        for contig, start, end, _ in sides[1]
    ]
    found = leakage_report(parts)["pairs"]["train->test"]
    assert found["coordinates"]["count"] == found["any"]["count"] == sum(expected)
    assert found["coordinates"]["examples"] == [f"test{i}" for i in np.flatnonzero(expected)[:5]]


def test_what_stands_in_the_corpus():
    rng = np.random.default_rng(1)
    genome = random_dna(rng, 3 * _CHUNK)
    edge = genome[_CHUNK - 40 : _CHUNK + 40]  # read in two pieces
    half = genome[100:148] + random_dna(rng, 32)  # 33 of 65 k-mers
    less = genome[200:240] + random_dna(rng, 40)
    inside = [genome[:80], reverse_complement_text(edge), genome[-80:], half]
    outside = [less, random_dna(rng, 80), "ACGT", "N" * 80]
    assert stand_in([*outside, *inside], encode(genome)).tolist() == [False] * 4 + [True] * 4


@given(st.text("ACGTN", max_size=40), st.lists(st.text("ACGTN", max_size=12), max_size=5), st.integers(1, 6))
def test_standing_in_a_stretch_agrees_with_brute_force(genome, sequences, k):
    def kmers(text):
        return [text[i : i + k] for i in range(len(text) - k + 1) if "N" not in text[i : i + k]]

    both = set(kmers(genome)) | set(kmers(reverse_complement_text(genome)))
    expected = [bool(own) and sum(kmer in both for kmer in own) >= 0.5 * len(own) for own in map(kmers, sequences)]
    assert stand_in(sequences, encode(genome), k).tolist() == expected


def test_the_corpus_may_be_a_memory_map(tmp_path):
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 4, 300_000).astype(np.uint8)
    codes.tofile(tmp_path / "codes")
    mapped = np.memmap(tmp_path / "codes", np.uint8, mode="r")
    sequence = "".join("ACGT"[code] for code in codes[1000:1100])
    assert stand_in([sequence, random_dna(rng, 100)], mapped).tolist() == [True, False]


def test_a_leak_is_warned_of_refused_or_ignored(caplog):
    report = leakage_report(planted(np.random.default_rng(0)))
    check_leakage(report, action="ignore")
    check_leakage(report, threshold=0.8, action="error")
    assert not caplog.text
    check_leakage(report)
    assert re.search(r"LEAKAGE: 5 of 7 .*\(71\.4%, 1\.0% .*training: 3 exact copies", caplog.text)
    assert "'t1', 't2', 't3', 't5', 't6'" in caplog.text
    assert "split=homology" in caplog.text
    assert "genome position" not in caplog.text
    with pytest.raises(DataError, match=r"LEAKAGE: 5 of 7.*leakage=warn"):
        check_leakage(report, action="error")


def test_no_leak_no_word(caplog):
    rng = np.random.default_rng(3)
    parts = {name: part(name, [random_dna(rng, 60) for _ in range(9)]) for name in ("train", "test")}
    report = leakage_report(parts)
    check_leakage(report, threshold=0, action="error")
    check_leakage(leakage_report({"train": parts["train"]}), action="error")
    assert not caplog.text


@pytest.mark.parametrize(
    ("values", "message"), [({"action": "stop"}, "leakage='stop'"), ({"threshold": 2}, "threshold 2")]
)
def test_settings_that_are_not_allowed(values, message):
    with pytest.raises(ConfigError, match=message):
        check_leakage({"pairs": {}}, **values)
