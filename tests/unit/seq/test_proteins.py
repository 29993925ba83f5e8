"""What is shared between proteins, and their stores and Markov models, against plain Python."""

from pathlib import Path

import numpy as np
import pytest

from gulmfit.errors import ConfigError, DataError, SequenceError
from gulmfit.seq.alphabet import PROTEIN, decode
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.related.homology import cluster_by_shared_kmers, group_copies
from gulmfit.seq.related.leakage import leakage_report
from gulmfit.seq.related.overlap import NO_KMER, canonical_kmers, kmers_by_sequence
from gulmfit.seq.simulate.markov import MarkovModel, markov_samples
from gulmfit.seq.splits.split import HomologySplit

RANDOM = np.random.default_rng(0)


def protein(length: int) -> str:
    return "".join(RANDOM.choice(list(PROTEIN.letters), length))


@pytest.mark.parametrize("k", [1, 2, 7, 12])
def test_kmers_have_the_same_number_where_they_are_the_same(k: int) -> None:
    text = protein(200) + "X" + "WWWWWWWWWWWWWWWW" + protein(30) + "WWWWWWWWWWWWWWWW"
    codes = np.frombuffer(
        text.encode().translate(bytes.maketrans(b"ACDEFGHIKLMNPQRSTVWYX", bytes(range(21)))), np.uint8
    )
    numbers = canonical_kmers(codes, k, PROTEIN)
    windows = [text[start : start + k] for start in range(len(text) - k + 1)]
    for number, window in zip(numbers, windows, strict=True):
        assert (number == NO_KMER) == ("X" in window)
    by_window = {window: number for window, number in zip(windows, numbers.tolist(), strict=True) if "X" not in window}
    assert len(set(by_window.values())) == len(by_window)
    assert all(by_window[w] == n for w, n in zip(windows, numbers.tolist(), strict=True) if "X" not in w)


def test_longer_kmers_are_refused() -> None:
    with pytest.raises(DataError, match=r"k=13 .*protein .*\b1 to 12\b"):
        kmers_by_sequence([protein(30)], 13, PROTEIN)


def test_relatives_share_residues_and_are_never_twins() -> None:
    core = protein(9)
    texts = [protein(20) + core + protein(20), core + protein(30), protein(40), protein(8), "ACACAC", "GTGTGT"]
    assert cluster_by_shared_kmers(texts, 9, PROTEIN).tolist() == [0, 0, 1, 2, 3, 4]
    assert group_copies(["ACGT", "ACGT", "CATG", "AAAA", "TTTT"], PROTEIN).tolist() == [0, 0, 1, 2, 3]


def test_splits_and_the_leak_check_know_the_alphabet() -> None:
    families = [protein(60) for _ in range(40)]
    texts = [family[:30] + protein(30) for family in families] + families
    ids = [str(number) for number in range(len(texts))]
    data = LabelledSequences.from_strings(ids, texts, ["a", "b"] * 40, alphabet="protein")
    parts = HomologySplit(0.2, 0.2, 0)(data)
    assert parts[:40].tolist() == parts[40:].tolist()
    sides = {name: data.subset(np.flatnonzero(parts == name)) for name in ("train", "valid", "test")}
    report = leakage_report(sides)
    assert report["k"] == 7
    assert report["pairs"]["train->test"]["any"]["count"] == 0
    assert report["pairs"]["train->test"]["reverse_complement"] is None
    leaking = leakage_report({"train": data.subset([0, 1]), "test": data.subset([40, 41, 42])})
    assert leaking["pairs"]["train->test"]["near_duplicate"]["count"] == 0  # half of the residues, fewer k-mers
    leaking = leakage_report({"train": data.subset([0, 1]), "test": data.subset([0, 42])})
    assert leaking["pairs"]["train->test"]["exact"]["examples"] == ["0"]


def test_policies_of_case_and_ambiguity() -> None:
    def read(**policies: str) -> list[str]:
        texts = ["MKvlX*", "ACDEFG"]
        return LabelledSequences.from_strings(["1", "2"], texts, ["a", "b"], alphabet="protein", **policies).sequences

    assert read() == ["MKVLX*", "ACDEFG"]
    assert read(case="mask") == ["MKXXX*", "ACDEFG"]
    with pytest.raises(SequenceError, match=r"position 4: 'X' is ambiguous \(X, another IUPAC letter"):
        read(ambiguity="error")
    with pytest.raises(SequenceError, match=r"position 0: '1' .*\(ACDEFGHIKLMNPQRST"):
        LabelledSequences.from_strings(["1", "2"], ["1", "A"], ["a", "b"], alphabet="protein")


def test_a_store_keeps_proteins_apart_from_genomes(tmp_path: Path) -> None:
    fasta = tmp_path / "p.fa"
    fasta.write_text(">one\nMKTAYIAKQR*\n>two\nACGTXXAC\n")
    with pytest.raises(SequenceError, match=r"p\.fa, record 'one', position 5: 'I' .*alphabet=protein"):
        GenomeStore.build(fasta, tmp_path / "store")
    store = GenomeStore.build(fasta, tmp_path / "store", alphabet="protein")
    again = GenomeStore.build(fasta, tmp_path / "store", alphabet="protein")
    assert decode(store.codes, PROTEIN) == decode(again.codes, PROTEIN) == "MKTAYIAKQRXACGTXXAC"
    assert again.alphabet is PROTEIN
    assert store.runs.tolist() == [[10, 11], [15, 17]]
    assert store.summary() == {"files": 1, "contigs": 2, "bases": 19, "ambiguous": 3, "lower_case": 0}
    fasta.write_text(">one\nACGT\n")
    of_dna, of_rna = (GenomeStore.build(fasta, tmp_path / "store", alphabet=name) for name in ("dna", "rna"))
    assert of_dna.digest == of_rna.digest != GenomeStore.build(fasta, tmp_path / "store", alphabet="protein").digest
    with pytest.raises(ConfigError, match=r"alphabet='proteins' is unknown"):
        GenomeStore.build(fasta, tmp_path / "store", alphabet="proteins")


def test_a_markov_model_finds_the_entropy_of_a_chain_of_residues() -> None:
    transition = np.random.default_rng(1).dirichlet(np.full(20, 0.2), size=20)
    weights, vectors = np.linalg.eig(transition.T)
    stationary = np.real(vectors[:, np.argmax(np.real(weights))])
    stationary /= stationary.sum()
    entropy = -(stationary[:, None] * transition * np.log2(transition)).sum()
    codes = np.empty(200_000, np.uint8)
    points, edges = np.random.default_rng(2).random(len(codes)), np.cumsum(transition, axis=1)
    codes[0] = 0
    for at in range(1, len(codes)):
        codes[at] = min(19, np.searchsorted(edges[codes[at - 1]], points[at]))
    model = MarkovModel.fit(codes, [(0, 150_000)], alphabet=PROTEIN)
    assert model.order == 1
    assert model.bits_per_base(codes, [(150_000, 200_000)]) == pytest.approx(entropy, abs=0.02)
    drawn = markov_samples(model, 200, 500)
    assert model.bits_per_base(drawn.ravel(), [(0, drawn.size)]) == pytest.approx(entropy, abs=0.05)
    with pytest.raises(ConfigError, match="orders 0 to 4"):
        MarkovModel.fit(codes, [(0, 1000)], max_order=5, alphabet=PROTEIN)
