"""Features found in a genome and cut out of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gulmfit.errors import DataError
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.genome.contigs import Feature, check_contigs, extract, read_features
from gulmfit.seq.genome.store import GenomeStore

FIRST, SECOND = "ACGTTGCANNAC", "GGGATCRTTTACG"
STORE = GenomeStore.from_sequences(["1", "chrM"], [FIRST, SECOND])


def test_extract_is_the_sequence_cut_by_hand() -> None:
    assert extract(STORE, Feature("1", 0, 4, "+")) == "ACGT"
    assert extract(STORE, Feature("1", 4, 12, ".")) == "TGCANNAC"
    assert extract(STORE, Feature("1", 5, 12, "-")) == "GTNNTGC"
    assert extract(STORE, Feature("chrM", 0, 13, "+")) == "GGGATCNTTTACG"  # R is one of two bases


@given(st.data(), st.sampled_from([("1", FIRST), ("chrM", SECOND.replace("R", "N"))]))
def test_the_other_strand_is_the_reverse_complement(data: st.DataObject, contig: tuple[str, str]) -> None:
    name, sequence = contig
    start = data.draw(st.integers(0, len(sequence) - 1))
    end = data.draw(st.integers(start + 1, len(sequence)))
    forward, backward = (extract(STORE, Feature(name, start, end, strand)) for strand in "+-")
    assert forward == sequence[start:end]
    assert reverse_complement_text(backward) == forward


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        (Feature("2", 0, 4, "+", place="a.bed, line 7"), r"^a.bed, line 7: 1 contig\(s\) .* '2'; it has '1', 'chrM'"),
        (Feature("1", 0, 13, "+", place="b.gtf, line 7"), r"^b\.gtf, line 7: 0-13 .*contig '1', .*\b12 bases"),
        (Feature("1", -1, 3, "+", place="a.bed, line 7"), r"^a\.bed, line 7: -1-3 .*contig '1', .*\b12 bases"),
        (Feature("1", 3, 3, "+", place="a.bed, line 7"), r"^a\.bed, line 7: 3-3 .*contig '1' .*no base\b"),
        (Feature("1", 4, 3, "+", name="mine"), r"^feature 'mine': 4-3 .*contig '1', .*\b12 bases"),
    ],
)
def test_what_does_not_lie_in_the_genome_is_named(feature: Feature, message: str) -> None:
    with pytest.raises(DataError, match=message):
        extract(STORE, feature)


def test_all_missing_contigs_are_told_at_once() -> None:
    store = GenomeStore.from_sequences([f"scaffold{n}" for n in range(9)], ["A"] * 9)
    places = {f"contig{number}": f"a.bed, line {number}" for number in range(20)}
    with pytest.raises(
        DataError, match=r"^a\.bed, line 0: 20 contig\(s\).*'contig4' and 15 more; .*'scaffold4' and 4 more\."
    ):
        check_contigs(store, places)
    check_contigs(store, {"scaffold8": ""})


@pytest.mark.parametrize(
    ("features", "genome", "hint"),
    [
        (["chrI"], ["I", "II"], "'I' for 'chrI'"),
        (["II"], ["chrI", "chrII"], "'chrII' for 'II'"),
        (["chrmt"], ["I", "Mito"], r"'Mito' \(no .*'chr'\)"),
        (["MT"], ["chr1", "chrM"], r"'chrM' \(every .*'chr'\)"),
    ],
)
def test_a_missing_chr_is_noticed(features: list[str], genome: list[str], hint: str) -> None:
    store = GenomeStore.from_sequences(genome, ["A"] * len(genome))
    with pytest.raises(DataError, match=hint):
        check_contigs(store, dict.fromkeys(features, ""))


def test_a_contig_that_is_there_twice_is_refused() -> None:
    contig = STORE.contigs[0]
    store = GenomeStore(STORE.codes, [contig, contig], STORE.runs, STORE.counts, "")
    with pytest.raises(DataError, match=r"contig '1' .*twice .*\(memory and"):
        extract(store, Feature("1", 0, 1, "+"))


@pytest.mark.parametrize("suffix", ["", ".gz", ".bgz"])
def test_the_name_of_a_file_tells_its_format(tmp_path: Path, suffix: str) -> None:
    texts = {
        "a.bed": "1\t2\t9\n",
        "a.narrowPeak": "1\t2\t9\n",
        "a.gff": "1\tx\tCDS\t3\t9\t.\t.\t.\t.\n",
        "A.GFF3": "1\tx\tCDS\t3\t9\t.\t.\t.\t.\n",
        "a.gtf": "1\tx\tCDS\t3\t9\t.\t.\t.\t.\n",
    }
    for name, text in texts.items():
        path = tmp_path / (name + suffix)
        path.write_text(text)  # compression is recognised by content
        assert [feature[:4] for feature in read_features(str(path))] == [("1", 2, 9, ".")]


@pytest.mark.parametrize("call", [lambda path: read_features(path), lambda path: read_features(path, None)])
def test_other_names_are_refused(tmp_path: Path, call: Callable[[Path], object]) -> None:
    with pytest.raises(DataError, match=r"a\.txt: .*features .* \.bed, "):
        call(tmp_path / "a.txt")


def test_bed_has_no_kinds(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.bed: .*\bBED\b.*\bkinds\b.*\['CDS'\]"):
        read_features(tmp_path / "a.bed", {"CDS"})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for name in ("gone.bed", "gone.gff3", "gone.gbk"):
        with pytest.raises(DataError, match=name):
            list(read_features(tmp_path / name))


def test_a_store_from_a_file_is_read_in_place(tmp_path: Path) -> None:
    (tmp_path / "a.fa").write_text(">1\nACGTTGCANNAC\n>chrM\nGGGATC\n")
    store = GenomeStore.build(tmp_path / "a.fa", tmp_path / "store")
    assert isinstance(store.codes, np.memmap)
    assert extract(store, Feature("chrM", 2, 6, "-")) == "GATC"
