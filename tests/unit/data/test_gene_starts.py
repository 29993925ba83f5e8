"""Windows at the starts of predicted genes: the test part is a stretch that nothing else touches."""

from pathlib import Path

import numpy as np
import pytest

from gulmfit.data.sources.predicted_genes import GeneStartsSource
from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.formats.fasta import read_fasta
from gulmfit.seq.labels import gene_starts

pytest.importorskip("pyrodigal", reason="pyrodigal is not installed (pip install 'gulmfit[genes]')")

STARTS = ("ATG", "GTG", "TTG")


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The first 300 kb of the genome that pyrodigal carries: quick to predict."""
    (record,) = read_fasta(gene_starts.packaged_genome())
    sequence = record.sequence[:300_000]
    path = tmp_path_factory.mktemp("genome") / "part.fna"
    path.write_text(f">{record.id}\n{sequence}\n")
    return path, sequence


def test_windows_hold_the_start_codon_and_lie_in_their_part(genome: tuple[Path, str]) -> None:
    path, sequence = genome
    source = GeneStartsSource(genome=str(path), num_train=40, num_valid=20, jitter_bp=0)
    data = source.labelled()
    boundary = int(0.8 * len(sequence))
    assert data.splits is not None
    assert data.loci is not None
    for text, label, part, (_, start, end, strand) in zip(
        data.sequences, data.labels, data.splits, data.loci, strict=True
    ):
        cut = sequence[start:end]
        assert text == (cut if strand == "+" else reverse_complement_text(cut))
        assert start >= boundary if part == "test" else end <= boundary
        if data.classes[label] == "promoter":
            assert text[100:103] in STARTS
    for part, count in (("train", 40), ("valid", 20)):
        assert np.bincount(data.labels[data.splits == part]).tolist() == [count // 2, count // 2]
    assert source.store(path.parent).summary()["bases"] == boundary  # no language model reads the test part


def test_the_start_codon_has_no_fixed_place_where_windows_are_moved(genome: tuple[Path, str]) -> None:
    data = GeneStartsSource(genome=str(genome[0]), num_valid=20).labelled()
    promoters = [text for text, label in zip(data.sequences, data.labels, strict=True) if label == 1]
    at_100 = np.mean([text[100:103] in STARTS for text in promoters])
    assert at_100 < 0.3


def test_mistakes_are_told(genome: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="num_train=100000"):
        GeneStartsSource(genome=str(genome[0]), num_train=100_000).labelled()
    with pytest.raises(ConfigError, match="test_fraction"):
        GeneStartsSource(test_fraction=1.0)
    monkeypatch.setattr(gene_starts, "PACKAGED_SHA256", "0" * 64)
    with pytest.raises(ConfigError, match="SHA-256"):
        gene_starts.packaged_genome()
    monkeypatch.setattr(gene_starts, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"gulmfit\[genes\]"):
        gene_starts.packaged_genome()


def test_sequences_with_two_labels_are_settled_as_everywhere(genome: tuple[Path, str]) -> None:
    """The policy of all sources holds here, too: an unknown one is refused."""
    with pytest.raises(ConfigError, match="conflicts"):
        GeneStartsSource(genome=str(genome[0]), num_valid=20, conflicts="sometimes").labelled()
