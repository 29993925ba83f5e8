"""Windows from a small GenBank genome against windows cut by hand."""

import gzip

import numpy as np
import pytest
from Bio import SeqIO
from Bio.Seq import Seq
from Bio.SeqFeature import BeforePosition, CompoundLocation, SeqFeature, SimpleLocation
from Bio.SeqRecord import SeqRecord

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.formats.features import CROSSES_ORIGIN, join_parts
from gulmfit.seq.genome.contigs import extract
from gulmfit.seq.genome.genbank import genbank_store, read_genbank
from gulmfit.seq.labels.gene_starts import promoter_windows

LENGTH = 6000
FORWARD = [
    (500, 1100),
    (1500, 1740),
    (5000, 5251),
]  # the second is too short for a negative, the third just not
REVERSE = [(2200, 2900), (3300, 4200)]


def genome() -> str:
    """Return random bases with ATG where a gene starts on its own strand, and nowhere else in any window."""
    letters = np.random.default_rng(5).choice(list("ACGT"), LENGTH)
    for start, _ in FORWARD:
        letters[start : start + 3] = list("ATG")
    for _, end in REVERSE:
        letters[end - 3 : end] = list("CAT")
    return "".join(letters)


def write(path, locations, sequence: str | None = None, name: str = "CTG1"):
    record = SeqRecord(Seq(sequence or genome()), id=f"{name}.1", name=name, annotations={"molecule_type": "DNA"})
    record.features = [SeqFeature(location, type="CDS") for location in locations]
    record.features.append(SeqFeature(SimpleLocation(10, 400, 1), type="gene"))
    SeqIO.write(record, path, "genbank")
    return path


@pytest.fixture
def genes(tmp_path):
    locations = [SimpleLocation(a, b, 1) for a, b in FORWARD] + [SimpleLocation(a, b, -1) for a, b in REVERSE]
    return write(tmp_path / "g.gbk", locations)


def by_class(data, name):
    chosen = [i for i in range(len(data)) if data.classes[data.labels[i]] == name]
    return [data.sequences[i] for i in chosen], [data.loci[i] for i in chosen]


def check_against_genome(data):
    """Every window is the letters of its locus, read on its strand, and its id says so."""
    text = genome()
    for record, sequence, label, (contig, start, end, strand) in zip(
        data.ids, data.sequences, data.labels, data.loci, strict=True
    ):
        assert record == f"{contig}:{start}-{end}:{strand}:{data.classes[label]}"
        letters = text[start:end]
        assert sequence == (letters if strand == "+" else reverse_complement_text(letters))


def test_positives_are_the_windows_around_gene_starts(genes):
    data = promoter_windows(genes)
    check_against_genome(data)
    sequences, loci = by_class(data, "promoter")
    expected = [("CTG1.1", a - 100, a + 50, "+") for a, _ in FORWARD]
    expected += [("CTG1.1", b - 50, b + 100, "-") for _, b in REVERSE]
    assert loci == expected
    assert all(sequence[100:103] == "ATG" for sequence in sequences)
    assert (data.classes, data.positive) == (["coding", "promoter"], "promoter")


def test_negatives_stay_inside_their_gene_and_reach_every_place(tmp_path):
    # 256 bases, 150 of window, 50 of margin at each end: six places on either strand.
    path = write(tmp_path / "g.gbk", [SimpleLocation(1000, 1256, 1), SimpleLocation(3000, 3256, -1)])
    seen = {"+": set(), "-": set()}
    for seed in range(60):
        _, loci = by_class(promoter_windows(path, seed=seed), "coding")
        for _, start, end, strand in loci:
            assert end - start == 150
            # Distance from the start codon, counted along the gene's own strand.
            seen[strand].add(start - 1000 if strand == "+" else 3256 - end)
    assert seen == {"+": set(range(50, 56)), "-": set(range(50, 56))}


def test_genes_too_short_give_no_negative(genes):
    _, loci = by_class(promoter_windows(genes), "coding")
    genes_hit = [next((a, b) for a, b in FORWARD + REVERSE if a <= start and end <= b) for _, start, end, _ in loci]
    assert genes_hit == [FORWARD[0], FORWARD[2], *REVERSE]
    assert loci[1][1:3] == (5050, 5200)  # 251 bases leave one place


def test_lengths_and_margin_are_free(genes):
    data = promoter_windows(genes, upstream_bp=30, downstream_bp=10, margin_bp=5)
    check_against_genome(data)
    sequences, _ = by_class(data, "promoter")
    assert {len(sequence) for sequence in data.sequences} == {40}
    assert all(sequence[30:33] == "ATG" for sequence in sequences)
    assert len(by_class(data, "coding")[0]) == 5


def test_same_seed_same_windows(genes):
    first, again, other = (promoter_windows(genes, seed=seed, jitter_bp=9) for seed in (1, 1, 2))
    assert first.ids == again.ids
    assert first.sequences == again.sequences
    assert first.ids != other.ids


def test_jitter_moves_positives_within_bounds_and_leaves_negatives(genes):
    plain = promoter_windows(genes)
    moved = set()
    for seed in range(40):
        data = promoter_windows(genes, jitter_bp=3, seed=seed)
        check_against_genome(data)
        _, loci = by_class(data, "promoter")
        for (_, start, _, strand), (_, fixed, _, _) in zip(loci, by_class(plain, "promoter")[1], strict=True):
            moved.add((strand, start - fixed))
    assert moved == {(strand, shift) for strand in "+-" for shift in range(-3, 4)}
    assert by_class(promoter_windows(genes, jitter_bp=3), "coding") == by_class(plain, "coding")


def test_joined_genes_count_from_their_outer_ends(tmp_path):
    joined = CompoundLocation([SimpleLocation(1000, 1100, 1), SimpleLocation(1200, 1600, 1)])
    mirrored = CompoundLocation([SimpleLocation(3200, 3600, -1), SimpleLocation(3000, 3100, -1)])
    _, loci = by_class(promoter_windows(write(tmp_path / "g.gbk", [joined, mirrored])), "promoter")
    assert loci == [("CTG1.1", 900, 1050, "+"), ("CTG1.1", 3550, 3700, "-")]


def test_what_cannot_be_cut_is_left_out_and_counted(tmp_path, caplog):
    locations = [
        SimpleLocation(40, 700, 1),  # window would begin before the contig
        SimpleLocation(5200, 5990, -1),  # window would end after it
        SimpleLocation(BeforePosition(2000), 2600, 1),  # start unknown
        SimpleLocation(3000, 3600, 1),
        SimpleLocation(3000, 3900, 1),  # same start again
        CompoundLocation([SimpleLocation(5900, 6000, 1), SimpleLocation(0, 300, 1)]),  # over the origin
        CompoundLocation([SimpleLocation(100, 300, 1), SimpleLocation(4000, 4300, -1)]),  # both strands
    ]
    caplog.set_level("INFO")
    data = promoter_windows(write(tmp_path / "g.gbk", locations))
    assert by_class(data, "promoter")[1] == [("CTG1.1", 2900, 3050, "+")]
    assert len(by_class(data, "coding")[0]) == 5
    for count, reason in ((2, "crosses the end"), (1, "exact start"), (1, "another CDS"), (2, "origin")):
        assert any(f": {count} " in line and reason in line for line in caplog.messages), reason


def test_gzip_and_several_files(genes, tmp_path):
    other = write(tmp_path / "h.gbk", [SimpleLocation(500, 1100, 1)], name="CTG2")
    zipped = tmp_path / "h.gbff"
    zipped.write_bytes(gzip.compress(other.read_bytes()))
    data = promoter_windows([genes, zipped])
    assert {locus[0] for locus in data.loci} == {"CTG1.1", "CTG2.1"}
    assert data.files == [str(genes), str(zipped)]


@pytest.mark.parametrize("keep", [0.1, 0.3, 0.6, 0.999])
def test_truncated_files_are_refused(keep, genes):
    whole = genes.read_text()
    genes.write_text(whole[: int(len(whole) * keep)])
    with pytest.raises(DataError, match=r"g\.gbk: not a (readable )?GenBank file"):
        promoter_windows(genes)


def test_truncated_gzip_is_refused(genes):
    data = gzip.compress(genes.read_bytes())
    genes.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"g\.gbk: .*readable GenBank .*\b0 record\(s\)"):
        promoter_windows(genes)


@pytest.mark.parametrize("text", ["", ">a\nACGT\n", "hello\n"])
def test_files_that_are_no_genbank(text, tmp_path):
    path = tmp_path / "x.gbk"
    path.write_text(text)
    with pytest.raises(DataError, match=r"x\.gbk: not a GenBank file"):
        promoter_windows(path)


def test_no_cds_and_no_sequence(genes, tmp_path):
    bare = write(tmp_path / "bare.gbk", [])
    with pytest.raises(DataError, match=r"bare\.gbk: 0 CDS feature"):
        promoter_windows(bare)
    text = genes.read_text()
    genes.write_text(text[: text.index("ORIGIN")] + "CONTIG      join(X1.1:1..6000)\n//\n")
    with pytest.raises(DataError, match=r"g\.gbk, record 'CTG1\.1': .*no sequence .*ORIGIN"):
        promoter_windows(genes)


def test_impossible_lengths(genes):
    with pytest.raises(ConfigError, match="jitter_bp=-1"):
        promoter_windows(genes, jitter_bp=-1)
    with pytest.raises(ConfigError, match=r"upstream_bp \+ downstream_bp is 0\b"):
        promoter_windows(genes, upstream_bp=0, downstream_bp=0)


# ---- features ----


def features(path, kinds=None):
    return list(read_genbank(path, kinds))


def test_features_are_the_locations_that_were_written(genes):
    found = [(f.contig, f.start, f.end, f.strand) for f in features(genes, {"CDS"})]
    assert found == [("CTG1.1", *pair, "+") for pair in FORWARD] + [("CTG1.1", *pair, "-") for pair in REVERSE]
    assert [f.kind for f in features(genes)] == ["CDS"] * 5 + ["gene"]
    assert features(genes)[5].place == f"{genes}, record 'CTG1.1', feature 6"


def test_sequences_are_those_that_biopython_extracts(genes):
    record = SeqIO.read(genes, "genbank")
    store = genbank_store(genes)
    assert len(record.features) == 6
    for feature, expected in zip(features(genes), record.features, strict=True):
        assert extract(store, feature) == str(expected.extract(record.seq))


def test_parts_come_in_reading_order_and_join(tmp_path):
    first, second = SimpleLocation(100, 200, -1), SimpleLocation(300, 400, -1)
    path = write(tmp_path / "g.gbk", [CompoundLocation([second, first]), SimpleLocation(10, 20, 1)])
    parts = features(path, ["CDS"])
    assert [(f.start, f.end) for f in parts] == [(300, 400), (100, 200), (10, 20)]
    assert parts[0].attributes["ID"] == parts[1].attributes["ID"] != parts[2].attributes["ID"]
    assert [(f.start, f.end) for f in join_parts(parts)] == [(100, 400), (10, 20)]
    store = genbank_store(path)
    record = SeqIO.read(path, "genbank")
    assert "".join(extract(store, part) for part in parts[:2]) == str(record.features[0].extract(record.seq))


@pytest.mark.parametrize("strand", [1, -1])
def test_a_feature_over_the_origin_is_two_pieces(tmp_path, strand):
    pieces = [SimpleLocation(LENGTH - 90, LENGTH, strand), SimpleLocation(0, 60, strand)][::strand]
    path = write(tmp_path / "g.gbk", [CompoundLocation(pieces)])
    parts = features(path, ["CDS"])
    assert [(f.start, f.end) for f in parts] == [(int(p.start), int(p.end)) for p in pieces]
    assert all(CROSSES_ORIGIN in f.attributes for f in parts)
    assert join_parts(parts) == parts
    gene = genome()[-90:] + genome()[:60]
    found = "".join(extract(genbank_store(path), part) for part in parts)
    assert found == (gene if strand == 1 else reverse_complement_text(gene))


def test_ends_that_are_not_exact_count_as_written_and_are_marked(tmp_path):
    path = write(tmp_path / "g.gbk", [SimpleLocation(BeforePosition(10), 30, 1), SimpleLocation(10, 30, 1)])
    partial, whole = features(path, ["CDS"])
    assert partial[:4] == whole[:4] == ("CTG1.1", 10, 30, "+")
    assert partial.attributes["partial"] == "true"
    assert "partial" not in whole.attributes


def test_a_place_between_two_bases_is_an_empty_feature(tmp_path, genes):
    text = genes.read_text().replace("     gene            11..400", "     misc_feature    123^124")
    (tmp_path / "between.gbk").write_text(text)
    assert features(tmp_path / "between.gbk", ["misc_feature"])[0][:4] == ("CTG1.1", 123, 123, "+")


@pytest.mark.filterwarnings("ignore:Could not parse feature location")
def test_an_unknown_end_is_named(tmp_path, genes):
    text = genes.read_text().replace("     gene            11..400", "     gene            11..?")
    (tmp_path / "unknown.gbk").write_text(text)
    with pytest.raises(DataError, match=r"record 'CTG1\.1', feature 6: gene\b.*\bstart\b.*\bend\b"):
        features(tmp_path / "unknown.gbk")


def test_qualifiers_are_attributes_and_names(tmp_path):
    record = SeqRecord(Seq(genome()), id="A.1", name="A", annotations={"molecule_type": "DNA"})
    qualifiers = {"locus_tag": ["b1"], "gene": ["thrL"], "note": ["one", "two"], "pseudo": [""]}
    record.features = [SeqFeature(SimpleLocation(1, 4, 1), type="CDS", qualifiers=qualifiers)]
    SeqIO.write(record, tmp_path / "g.gbk", "genbank")
    (found,) = features(tmp_path / "g.gbk")
    assert found.name == "thrL"
    assert found.attributes["note"] == "one,two"
    assert found.attributes["pseudo"] == ""


def test_features_of_a_cut_file_are_refused(genes):
    genes.write_text(genes.read_text()[:-3000])
    with pytest.raises(DataError, match=r"stopped after 0 record\(s\)"):
        features(genes)
