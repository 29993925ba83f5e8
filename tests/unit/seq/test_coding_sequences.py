"""Coding sequences are read codon by codon, or left out for a reason that is counted."""

import gzip
from pathlib import Path

import pytest
from Bio import SeqIO
from Bio.Seq import Seq
from Bio.SeqFeature import BeforePosition, CompoundLocation, ExactPosition, FeatureLocation, SeqFeature
from Bio.SeqRecord import SeqRecord

from gulmfit.errors import ConfigError, DataError, SequenceError
from gulmfit.seq.genome.coding_sequences import CodingSequence, read_coding_sequences
from gulmfit.seq.genome.genetic_code import genetic_code

PLAIN = "ATGAAACCCTAA"
SELENO = "GTGAAATGACCCTAG"  # a start that is not ATG, and TGA within


class Genome:
    """A contig to which genes are added, with spacers between them."""

    def __init__(self) -> None:
        self.bases, self.features = "", list[SeqFeature]()

    def add(self, gene: str, strand: int = 1, *, cut: int = 0, partial: bool = False, **told: str | list[str]) -> None:
        start = len(self.bases) + 5
        text = gene if strand == 1 else str(Seq(gene).reverse_complement())
        if cut:  # an intron of 7 bases behind so many
            text = f"{text[:cut]}GTCCCAG{text[cut:]}"
        self.bases += f"CCCCC{text}"
        end = start + len(text)
        first = BeforePosition(start) if partial else ExactPosition(start)
        location = FeatureLocation(first, end, strand)
        if cut:
            parts = [FeatureLocation(start, start + cut, strand), FeatureLocation(start + cut + 7, end, strand)]
            location = CompoundLocation(parts[::strand])
        qualifiers = {"locus_tag": [f"g{len(self.features)}"], "transl_table": ["11"]}
        qualifiers |= {name: value if isinstance(value, list) else [value] for name, value in told.items()}
        self.features.append(SeqFeature(location, type="CDS", qualifiers=qualifiers))

    def write(self, path: Path) -> Path:
        record = SeqRecord(Seq(self.bases), "chr", "chr", annotations={"molecule_type": "DNA"})
        record.features = self.features
        text = record.format("genbank")
        if path.suffix == ".gz":
            path.write_bytes(gzip.compress(text.encode()))
        else:
            path.write_text(text)
        return path

    def position_of(self, word: str) -> int:
        """1-based position of the first base of a word on the forward strand."""
        assert self.bases.count(word) == 1
        return self.bases.index(word) + 1


def read(path: Path, code: int = 11) -> tuple[list[CodingSequence], dict[str, int]]:
    return read_coding_sequences(str(path), genetic_code(code))


def test_genes_of_both_strands_spliced_and_recoded(tmp_path: Path) -> None:
    genome = Genome()
    genome.add(PLAIN, translation="MKP")
    genome.add(PLAIN, -1, translation="MKP")
    genome.add(PLAIN, cut=4)
    genome.add(PLAIN, -1, cut=4)
    genome.add(SELENO, transl_except="")
    genome.features[-1].qualifiers["transl_except"] = [
        f"(pos:{genome.position_of('AAATGACCC') + 3}..{genome.position_of('AAATGACCC') + 5},aa:Sec)"
    ]
    genome.add(SELENO, -1, translation="MKUP")
    at = genome.position_of("GGGTCATTT") + 3
    genome.features[-1].qualifiers["transl_except"] = [f"(pos:complement({at}..{at + 2}),aa:Sec)"]
    genome.add("ACC" + PLAIN[3:])  # no start codon: read as it is
    found, reasons = read(genome.write(tmp_path / "a.gbff.gz"))
    assert reasons == {}
    assert [one.id for one in found] == [f"g{number}" for number in range(7)]
    assert [one.protein for one in found] == ["MKP*"] * 4 + ["MKUP*"] * 2 + ["TKP*"]
    assert [one.bases for one in found] == [PLAIN] * 4 + [SELENO] * 2 + ["ACC" + PLAIN[3:]]


def test_what_cannot_be_read_is_counted_by_reason(tmp_path: Path) -> None:
    genome = Genome()
    genome.add(PLAIN)
    genome.add(PLAIN, pseudo="")
    genome.add(PLAIN, partial=True)
    genome.add(PLAIN, transl_table="4")
    genome.add(PLAIN[:-1])
    genome.add("ATGAAANCCTAA")
    genome.add("ATGTAACCCTAA")
    genome.add(SELENO)  # nothing says that its TGA is read through
    genome.add("TAA")
    genome.add(PLAIN, translation="MRP")
    genome.add(PLAIN, transl_except="(pos:1..3,aa:OTHER)")
    found, reasons = read(genome.write(tmp_path / "a.gb"))
    assert len(found) == 1
    assert reasons == {
        "pseudogene": 1, "partial": 1, "genetic code 4": 1, "length not a multiple of 3": 1, "ambiguous letters": 1,
        "inner stop codon": 2, "no residue": 1, "unlike its /translation": 1, "a codon read in another way": 1,
    }  # fmt: skip


def test_the_reading_frame_may_start_later(tmp_path: Path) -> None:
    genome = Genome()
    genome.add("CC" + PLAIN, codon_start="3")
    assert read(genome.write(tmp_path / "a.gb"))[0][0].bases == PLAIN


def test_a_fasta_of_coding_sequences(tmp_path: Path) -> None:
    path = tmp_path / "cds.fa"
    path.write_text(
        f">a\n{PLAIN.lower()}\n>b no stop\nAUGAAA\n>c [pseudo=true]\n{PLAIN}\n>d [partial=5']\n{PLAIN}\n"
        f">e [transl_except=(pos:7..9,aa:Sec)] [gbkey=CDS]\n{SELENO}\n>f\n{SELENO}\n"
    )
    found, reasons = read(path)
    assert [(one.id, one.protein, one.bases) for one in found] == [
        ("a", "MKP*", PLAIN), ("b", "MK", "ATGAAA"), ("e", "MKUP*", SELENO)
    ]  # fmt: skip
    assert reasons == {"pseudogene": 1, "partial": 1, "inner stop codon": 1}


def test_the_genetic_code_says_what_codons_mean(tmp_path: Path) -> None:
    path = tmp_path / "cds.fa"
    path.write_text(">a\nATGTGATAA\n>b\nTTGTAA\n")
    assert [one.protein for one in read(path, 4)[0]] == ["MW*", "M*"]
    assert [one.protein for one in read(path, 11)[0]] == ["M*"]
    assert [one.protein for one in read(path, 2)[0]] == ["MW*", "L*"]  # of code 2 TTG starts nothing
    with pytest.raises(ConfigError, match="7"):
        genetic_code(7)


def test_files_without_a_coding_sequence(tmp_path: Path) -> None:
    path = tmp_path / "p.faa"
    path.write_text(">p1\nMKVLLAAGE\n")
    with pytest.raises(SequenceError, match=r"p\.faa, record 'p1', position 3: 'L'.*FASTA of proteins"):
        read(path)
    path.write_text(">p1\nATGAA\n>p2\nATGTAATAA\n")
    with pytest.raises(DataError, match=r"p\.faa: .* 3 1, .*stop codon 1\).*data\.genetic_code"):
        read(path)
    with pytest.raises(SequenceError, match=r"none\.fa"):
        read(tmp_path / "none.fa")
    (tmp_path / "cut.gb").write_text(Genome().write(tmp_path / "a.gb").read_text()[:40])
    with pytest.raises(DataError, match=r"cut\.gb"):
        read(tmp_path / "cut.gb")


def test_genbank_as_written_is_what_biopython_reads(tmp_path: Path) -> None:
    """The fixture itself: a spliced gene on the reverse strand."""
    genome = Genome()
    genome.add(PLAIN, -1, cut=4)
    record = SeqIO.read(genome.write(tmp_path / "a.gb"), "genbank")
    assert str(record.features[0].extract(record.seq)) == PLAIN
