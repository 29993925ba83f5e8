"""Negatives: what they share with their positives, and what they stay away from."""

import itertools
import json
import logging
import math
import re
from collections import Counter
from functools import partial

import numpy as np
import pytest

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import encode, gc_content, reverse_complement_text
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.labelled import LabelledSequences, Locus
from gulmfit.seq.negatives import making as negatives
from gulmfit.seq.negatives.making import Negatives, make_negatives
from gulmfit.seq.related.overlap import kmers_by_sequence

genomic = partial(make_negatives, how="genomic")
mixed = partial(make_negatives, how="mixed")


def random_text(rng: np.random.Generator, length: int, gc: float = 0.5) -> str:
    return "".join(rng.choice(list("ACGT"), length, p=[(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]))


@pytest.fixture(scope="module")
def contigs() -> dict[str, str]:
    """Three contigs whose GC content drifts, with gaps; one is shorter than any window."""
    rng = np.random.default_rng(0)
    one, two = ("".join(random_text(rng, 500, gc) for gc in rng.uniform(0.35, 0.65, 80)) for _ in range(2))
    return {
        "one": one[:3000] + "N" * 500 + one[3500:],
        "tiny": "ACGTACGTAC",
        "two": two[:9000] + "RYN" + two[9003:],
    }


@pytest.fixture(scope="module")
def store(contigs: dict[str, str]) -> GenomeStore:
    return GenomeStore.from_sequences(list(contigs), list(contigs.values()))


def read(contigs: dict[str, str], locus: Locus) -> str:
    name, start, end, strand = locus
    text = contigs[name][start:end]
    return text if strand == "+" else reverse_complement_text(text)


def positives_of(sequences: list[str], loci: list[Locus] | None = None) -> LabelledSequences:
    ids = [f"p{index}" for index in range(len(sequences))]
    return LabelledSequences(ids, sequences, np.zeros(len(ids), np.int64), ["positive"], loci=loci)


@pytest.fixture(scope="module")
def positives(contigs: dict[str, str]) -> LabelledSequences:
    rng = np.random.default_rng(1)
    starts = rng.choice(np.arange(4000, 39_000, 150), 60, replace=False).tolist()
    loci: list[Locus] = [
        ("one", start, start + length, strand)
        for start, length, strand in zip(
            starts, rng.choice([60, 81, 100], 60).tolist(), rng.choice(["+", "-"], 60).tolist(), strict=True
        )
    ]
    return positives_of([read(contigs, locus) for locus in loci], loci)


def without_loci(positives: LabelledSequences) -> LabelledSequences:
    return positives_of(positives.sequences)


def klets(text: str, k: int) -> Counter[str]:
    return Counter(text[i : i + k] for i in range(len(text) - k + 1))


def same(one: Negatives, other: Negatives) -> bool:
    return (one.ids, one.sequences, one.loci, one.record) == (other.ids, other.sequences, other.loci, other.record)


def overlap_bp(locus: Locus | None, other: Locus) -> float:
    """Give the bases that two windows share; below 0, the distance between them."""
    assert locus is not None
    return min(locus[2], other[2]) - max(locus[1], other[1]) if locus[0] == other[0] else -math.inf


def assert_windows_fit(found: Negatives, positives: LabelledSequences, contigs: dict[str, str]) -> None:
    """Everything that is said of a genomic negative, each checked against the text of the genome."""
    by_contig: dict[str, list[tuple[int, int]]] = {}
    for sequence, locus, partner in zip(found.sequences, found.loci, found.partners.tolist(), strict=True):
        if locus is None:
            continue
        positive = positives.sequences[partner]
        assert sequence == read(contigs, locus)
        assert len(sequence) == len(positive)
        assert set(sequence) <= set("ACGT")
        assert abs(gc_content(encode(sequence)) - gc_content(encode(positive))) <= 0.02 + 1e-9
        by_contig.setdefault(locus[0], []).append(locus[1:3])
    for windows in by_contig.values():
        windows.sort()
        assert all(first[1] <= second[0] for first, second in itertools.pairwise(windows))


def test_shuffles_keep_klets_and_partners(positives: LabelledSequences) -> None:
    found = make_negatives(positives, k=3, per_positive=2, seed=5)
    assert found.partners.tolist() == [index // 2 for index in range(120)]
    assert found.ids[:3] == ["p0/shuffled-1", "p0/shuffled-2", "p1/shuffled-1"]
    assert len(set(found.sequences)) == 120
    assert found.loci == [None] * 120
    for sequence, partner in zip(found.sequences, found.partners.tolist(), strict=True):
        assert klets(sequence, 3) == klets(positives.sequences[partner], 3)
    assert found.record == {
        "how": "shuffle", "k": 3, "per_positive": 2, "seed": 5,
        "positives": 60, "negatives": 120, "shuffled": 120, "left_out": 0,
    }  # fmt: skip


def test_no_shuffle_is_its_positive_again(caplog: pytest.LogCaptureFixture) -> None:
    # ACACA: AC twice, CA twice, from A to A: no other order. TTATTT has five orders, the own one among them.
    some = positives_of(["AAAA", "TTATTT", "ACACA"])
    found = make_negatives(some, per_positive=20)
    assert set(found.partners.tolist()) == {1}
    assert "TTATTT" not in found.sequences
    assert (found.record["negatives"], found.record["left_out"]) == (20, 40)
    assert "40 of 60 shuffles" in caplog.text
    with pytest.raises(DataError, match=r"\b1 positives .*k-lets"):
        make_negatives(positives_of(["AAAA"]))


@pytest.mark.parametrize("known", [True, False])
def test_windows_are_like_their_positives_and_apart(
    positives: LabelledSequences, store: GenomeStore, contigs: dict[str, str], known: bool
) -> None:
    given = positives if known else without_loci(positives)
    found = genomic(given, store, per_positive=3, seed=2)
    assert len(found.ids) == 180
    assert len(set(found.ids)) == 180
    assert_windows_fit(found, positives, contigs)
    assert {locus[3] for locus in found.loci if locus} == {"+", "-"}
    assert {locus[0] for locus in found.loci if locus} == {"one", "two"}
    assert found.record["beyond_tolerance"] == 0
    assert found.record["gc_difference"]["max"] <= 0.02
    assert found.record["avoided"] == ("loci" if known else "shared 20-mers")
    assert json.loads(json.dumps(found.record)) == found.record
    shortest = 1 if known else 20  # a shorter overlap shares no 20-mer
    assert max(overlap_bp(locus, other) for locus in found.loci for other in positives.loci or []) < shortest


def test_shared_kmers_are_avoided_on_either_strand_and_in_copies(contigs: dict[str, str]) -> None:
    # The genome is one half and a reversed copy of it; positives come from the first half only.
    half = contigs["two"][10_000:20_000]
    store = GenomeStore.from_sequences(["half", "copy"], [half, reverse_complement_text(half)])
    positives = positives_of([half[start : start + 100] for start in range(0, 5000, 100)])
    found = genomic(positives, store, seed=1)
    shared = np.intersect1d(kmers_by_sequence(positives.sequences, 20)[0], kmers_by_sequence(found.sequences, 20)[0])
    assert not len(shared)


def test_the_margin_is_kept(positives: LabelledSequences, store: GenomeStore) -> None:
    found = genomic(positives, store, margin_bp=150, seed=3)
    assert max(overlap_bp(locus, other) for locus in found.loci for other in positives.loci or []) <= -150


def test_windows_are_uniform_over_the_places_that_fit() -> None:
    # Every window has the same GC content, so every start of both contigs is as likely.
    store = GenomeStore.from_sequences(["a", "b"], ["AC" * 20, "AC" * 15])
    positives = positives_of(["GT" * 5])  # too short to hold a 20-mer
    counts = Counter(locus[:2] for seed in range(1500) for locus in genomic(positives, store, seed=seed).loci if locus)
    assert set(counts) == {("a", start) for start in range(31)} | {("b", start) for start in range(21)}
    expected = 1500 / 52
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 91  # chi-square, 51 df, p = .0005


def test_what_cannot_be_matched_is_logged_and_recorded(
    store: GenomeStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(negatives, "_PATIENCE_BASES", 1 << 20)
    found = genomic(positives_of(["GC" * 40, "ACGT" * 20]), store)
    assert found.record["beyond_tolerance"] == 1
    differences = [1 - gc_content(encode(found.sequences[0])), abs(0.5 - gc_content(encode(found.sequences[1])))]
    assert 0.02 < differences[0] < 0.35
    assert found.record["gc_difference"] == {
        "mean": pytest.approx(np.mean(differences), abs=1e-6), "max": pytest.approx(max(differences), abs=1e-6),
    }  # fmt: skip
    assert re.search(r"\b1 of 2 genomic negatives .*gc_tolerance=0\.02", caplog.text)


def test_a_full_genome_is_an_error(contigs: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(negatives, "_PATIENCE_BASES", 1 << 18)
    store = GenomeStore.from_sequences(["small"], [contigs["two"][:500]])
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match=r"window of 100 .*positive 'p\d': .*per_positive"):
        genomic(positives_of([random_text(rng, 100) for _ in range(6)]), store)


def test_mixed_is_some_of_both(positives: LabelledSequences, store: GenomeStore, contigs: dict[str, str]) -> None:
    found = mixed(positives, store, shuffled_fraction=0.25, per_positive=2, seed=4)
    kinds = [name.partition("/")[2] for name in found.ids]
    assert Counter(kind.partition("-")[0] for kind in kinds) == {"shuffled": 30, "genomic": 90}
    assert len(set(found.ids)) == 120
    assert found.partners.tolist() == [index // 2 for index in range(120)]
    assert [locus is None for locus in found.loci] == [kind.startswith("shuffled") for kind in kinds]
    assert_windows_fit(found, positives, contigs)
    for sequence, locus, partner in zip(found.sequences, found.loci, found.partners.tolist(), strict=True):
        assert locus or klets(sequence, 2) == klets(positives.sequences[partner], 2)
    assert found.record["shuffled"] == 30
    assert found.record["genomic"] == 90
    for fraction, count in ((0.0, 0), (1.0, 60)):
        only = mixed(positives, store, shuffled_fraction=fraction)
        assert sum(locus is None for locus in only.loci) == count


def test_seeds(positives: LabelledSequences, store: GenomeStore) -> None:
    for make in (
        lambda seed: make_negatives(positives, seed=seed),
        lambda seed: genomic(positives, store, seed=seed),
        lambda seed: mixed(positives, store, seed=seed),
    ):
        assert same(make(1), make(1))
        assert make(1).sequences != make(2).sequences


def test_bad_input_is_named(positives: LabelledSequences, store: GenomeStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    for make, message in (
        (lambda: make_negatives(positives, per_positive=0), "per_positive=0"),
        (lambda: make_negatives(positives, k=0), "k=0"),
        (lambda: genomic(positives, store, gc_tolerance=-0.1), "gc_tolerance=-0.1"),
        (lambda: genomic(positives, store, margin_bp=-1), "margin_bp=-1"),
        (lambda: mixed(positives, store, shuffled_fraction=1.5), "shuffled_fraction=1.5"),
    ):
        with pytest.raises(ConfigError, match=message):
            make()
    some = ["ACGT" * 10]
    twice = GenomeStore(store.codes, [*store.contigs[:2], store.contigs[0]], store.runs, store.counts, store.digest)
    for make, message in (
        (lambda: make_negatives(positives_of([])), "no positive"),
        (lambda: genomic(positives_of(["NNNN"]), store), "'p0' .*GC content"),
        (lambda: genomic(positives_of(["A" * 50_000]), store), "positive 'p0' .*50,000 bases, .*contig .*40,000"),
        (lambda: genomic(positives_of(some, [("3", 0, 40, "+")]), store), "at 3:0-40.* no contig '3'"),
        (
            lambda: genomic(positives_of(some, [("tiny", 0, 40, "+")]), store),
            r"positive 'p0' .*tiny:0-40, .*\b10 bases",
        ),
        (lambda: genomic(positives_of(some, [("one", 0, 40, "+")]), twice), "names repeat"),
    ):
        with pytest.raises(DataError, match=message):
            make()
