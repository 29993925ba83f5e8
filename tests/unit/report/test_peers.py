"""The baselines that are hard to beat: words of either strand, words with a gap, and a network of one layer."""

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gulmfit.evaluate.baselines import classes, fits
from gulmfit.evaluate.baselines.classes import fit_baselines, run_baselines_on_parts
from gulmfit.evaluate.baselines.inputs import gapped_features, spectrum_features
from gulmfit.evaluate.baselines.values import run_value_baselines
from gulmfit.models.peer_cnn import PeerCNN
from gulmfit.seq.alphabet import DNA, PROTEIN, reverse_complement_text

PEERS = ["canonical_kmer_logistic", "gapped_kmer_logistic", "cnn"]
MOTIF = "TGACGTGA"
ODD = ["ACGTNACGTTTGCA", "", "AC", "N" * 9, "AAAAAAAAAAAA", "GATTACAGATTACATGTA"]


def other_strand(sequences: list[str]) -> list[str]:
    return [reverse_complement_text(text) for text in sequences]


def planted(count: int, *, either_strand: bool, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Plant a motif anywhere, on either strand, or its letters shuffled; or a motif and its reverse complement."""
    rng = np.random.default_rng(seed)
    labels, sequences = np.arange(count) % 2, []
    for label in labels:
        text, at = "".join(rng.choice(list("ACGT"), 50)), rng.integers(0, 42)
        word = MOTIF if label else "".join(rng.permutation(list(MOTIF)))
        if not either_strand:
            word = MOTIF if label else reverse_complement_text(MOTIF)
        elif rng.random() < 0.5:
            word = reverse_complement_text(word)
        sequences.append(text[:at] + word + text[at + 8 :])
    return sequences, labels


def split_of(sequences: list[str], labels: np.ndarray, **more: Any) -> dict[str, Any]:
    train, valid = int(0.6 * len(labels)), int(0.8 * len(labels))
    return {
        "train_sequences": sequences[:train], "train_labels": labels[:train], "num_classes": 2,
        "valid_sequences": sequences[train:valid], "valid_labels": labels[train:valid], **more,
    }  # fmt: skip


def unit(counts: np.ndarray) -> np.ndarray:
    damped = np.log1p(counts)
    return damped / np.maximum(np.linalg.norm(damped, axis=1, keepdims=True), 1e-12)


@pytest.mark.parametrize("canonical", [False, True])
def test_kmers_against_a_plain_count(canonical: bool) -> None:
    names = ["".join(letters) for letters in itertools.product("ACGT", repeat=3)]
    counts = np.zeros((len(ODD), len(names)))
    for row, text in enumerate(ODD):
        for at in range(len(text) - 2):
            word = text[at : at + 3]
            if "N" not in word:
                counts[row, names.index(min(word, reverse_complement_text(word)) if canonical else word)] += 1
    np.testing.assert_allclose(spectrum_features(ODD, 3, canonical).toarray(), unit(counts), atol=1e-12)


@pytest.mark.parametrize("canonical", [False, True])
def test_words_with_a_gap_against_a_plain_count(canonical: bool) -> None:
    names = ["".join(letters) for letters in itertools.product("ACGT", repeat=4)]
    counts = np.zeros((len(ODD), 3 * len(names)))
    for (row, text), gap in itertools.product(enumerate(ODD), range(3)):
        for at in range(len(text) - 3 - gap):
            word = text[at : at + 2] + text[at + 2 + gap : at + 4 + gap]
            if "N" not in word:
                word = min(word, reverse_complement_text(word)) if canonical else word
                counts[row, gap * len(names) + names.index(word)] += 1
    np.testing.assert_allclose(gapped_features(ODD, 2, 3, canonical).toarray(), unit(counts), atol=1e-12)


def test_the_network_is_a_scan_of_both_strands() -> None:
    """By hand: every filter at every place of a sequence and of its reverse complement, half over either end."""
    torch.manual_seed(0)
    net = PeerCNN(4, 3, both_strands=True).eval()
    text = "ACGTTNGCAACGTAGGCATTACGATTTACCAGG"
    filters = net.filters.detach().double().numpy()
    best = np.full(64, -np.inf)
    for strand in (text, reverse_complement_text(text)):
        letters = np.zeros((12 + len(strand) + 12, 4))
        for at, letter in enumerate(strand):
            if letter != "N":
                letters[12 + at, "ACGT".index(letter)] = 1
        for start in range(len(strand) + 1):
            best = np.maximum(best, np.einsum("wa,waf->f", letters[start : start + 24], filters))
    hidden = np.maximum(best + net.bias.detach().numpy(), 0)
    expected = hidden @ net.head.weight.detach().numpy().T + net.head.bias.detach().numpy()
    codes = torch.full((2, 60), 5)
    codes[0, : len(text)] = torch.tensor(["ACGTN".index(letter) for letter in text])
    codes[1] = 1
    np.testing.assert_allclose(net(codes)[0].detach().numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(net(codes[:1]).detach().numpy(), net(codes)[:1].detach().numpy(), atol=1e-6)


def test_a_motif_on_either_strand_is_found_and_strand_means_nothing() -> None:
    sequences, labels = planted(1000, either_strand=True)
    before = torch.get_rng_state()
    found = fit_baselines(**split_of(sequences, labels), names=[*PEERS, "kmer_logistic"])
    assert torch.equal(torch.get_rng_state(), before)
    tests, truth = sequences[800:], labels[800:]
    right = {}
    for name in [*PEERS, "kmer_logistic"]:
        predicted = found[name].predict(tests)
        right[name] = float((predicted.argmax(1) == truth).mean())
        if name in PEERS:
            turned = found[name].predict(other_strand(tests))
            np.testing.assert_allclose(turned, predicted, atol=1e-5 if name == "cnn" else 1e-12)
    assert min(right[name] for name in PEERS) > 0.9
    assert right["kmer_logistic"] < right["canonical_kmer_logistic"]


def test_strands_differ_where_they_may() -> None:
    sequences, labels = planted(600, either_strand=False)
    found = fit_baselines(**split_of(sequences, labels, stranded=True), names=PEERS)
    blind = fit_baselines(**split_of(sequences, labels), names=PEERS)
    for name in PEERS:
        right, chance = (
            float((one[name].predict(sequences[480:]).argmax(1) == labels[480:]).mean()) for one in (found, blind)
        )
        assert right > 0.9, name
        assert 0.3 < chance < 0.7, name


def test_the_same_seed_gives_the_same_network_and_the_cache_what_was_fitted(tmp_path: Path) -> None:
    sequences, labels = planted(200, either_strand=True)
    given = split_of(sequences, labels, names=PEERS, cache_dir=tmp_path)
    fresh = run_baselines_on_parts(test_sequences=sequences[160:], **given)
    again = run_baselines_on_parts(test_sequences=sequences[160:], **given)
    alone = run_baselines_on_parts(test_sequences=sequences[160:], **{**given, "cache_dir": None})
    stranded = run_baselines_on_parts(test_sequences=sequences[160:], **given, stranded=True)
    assert len(list(tmp_path.iterdir())) == 2
    for name in PEERS:
        for part in (0, 1):
            np.testing.assert_array_equal(fresh[name][part], again[name][part])
            np.testing.assert_array_equal(fresh[name][part], alone[name][part])
        assert not np.array_equal(fresh[name].test, stranded[name].test)


def test_a_baseline_keeps_within_its_budget(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    sequences, labels = planted(200, either_strand=True)
    monkeypatch.setitem(fits.MOST_LETTERS, "gapped_kmer_logistic", 50 * 60)
    fit_baselines(**split_of(sequences, labels), names=["gapped_kmer_logistic"])
    assert re.search(r"gapped_kmer_logistic .*\b60 of 120 training sequences", caplog.text)


@pytest.mark.parametrize("alphabet", [DNA, PROTEIN])
def test_classes_and_alphabets_of_any_number(alphabet: Any) -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 240)
    words = [("AACC", "AGAT", "CTCA")[label] for label in labels]  # letters of both alphabets
    sequences = ["".join(rng.choice(list(alphabet.letters), 20)) + word * 4 for word in words]
    given = split_of(sequences, labels * 2, alphabet=alphabet, stranded=True, names=PEERS)
    found = fit_baselines(**{**given, "num_classes": 5})
    for name in PEERS:
        predicted = found[name].predict(sequences[192:])
        assert not predicted[:, [1, 3]].any()
        assert (predicted.argmax(1) == 2 * labels[192:]).mean() > 0.9, name


def test_ridge_of_words_predicts_how_many_motifs_there_are() -> None:
    rng = np.random.default_rng(4)
    sequences = ["".join(rng.choice(["ACG", "CGT", "TTA", "GGC"], 20)) for _ in range(400)]
    counts = np.array([[text.count("ACGT") + text.count("TTAGGC"), len(text)] for text in sequences], dtype=float)
    counts[:, 1] = rng.normal(size=400)
    found = run_value_baselines(
        classes.Part(sequences[:250], counts[:250]), classes.Part(sequences[250:320], counts[250:320]), sequences[320:]
    )["canonical_kmer_ridge"]
    assert np.corrcoef(found[:, 0], counts[320:, 0])[0, 1] > 0.8
