"""Genes of an annotation and their labels: one answer from three formats, and a reason for all that is masked."""

import dataclasses
import random
import re
from pathlib import Path

import numpy as np
import pytest
from Bio.Seq import Seq

from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.formats.features import Feature
from gulmfit.seq.genome.genes import GeneModel, gaps, positions, spliced, with_untranslated
from gulmfit.seq.genome.genetic_code import genetic_code
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.gene_labels import (
    CLASSES,
    PHASES,
    REASONS,
    GeneLabels,
    LabelledContig,
    feature_labels,
    gene_labels,
    labels_of,
)
from gulmfit.seq.labels.gene_models import GeneModels, mask_others, read_genes

# Forward: UTR 4, ATG AA|intron 22|A TGG TAA, UTR 3. No other ATG or stop is near.
EXON, INTRON, REST = "CCCCATGAA", "GT" + "C" * 18 + "AG", "ATGGTAACCC"
SENSE = "G" * 10 + EXON + INTRON + REST + "G" * 20
CDS = [(14, 19), (41, 48)]  # ATGAA ... ATGGTAA
EXONS = [(10, 19), (41, 51)]


def turned(spans: list[tuple[int, int]], strand: str, length: int) -> list[tuple[int, int]]:
    return spans if strand == "+" else [(length - end, length - start) for start, end in reversed(spans)]


def genome(sequence: str, strand: str = "+", name: str = "c") -> GenomeStore:
    return GenomeStore.from_sequences([name], [sequence if strand == "+" else str(Seq(sequence).reverse_complement())])


def gff(rows: list[tuple[str, int, int, str, str, str]], contig: str = "c") -> str:
    lines = [
        f"{contig}\tx\t{kind}\t{start + 1}\t{end}\t.\t{strand}\t{phase}\t{attributes}"
        for kind, start, end, strand, phase, attributes in rows
    ]
    return "##gff-version 3\n" + "\n".join(lines) + "\n"


def gene_rows(strand: str, stop: int = 3) -> str:
    """Write the gene of SENSE; `stop` bases of its stop codon are within the CDS."""
    size = len(SENSE)
    cds = turned([CDS[0], (CDS[1][0], CDS[1][1] - 3 + stop)], strand, size)
    rows = [("gene", *turned([(10, 51)], strand, size)[0], strand, ".", "ID=g")]
    rows += [("mRNA", *turned([(10, 51)], strand, size)[0], strand, ".", "ID=m;Parent=g")]
    rows += [("exon", *span, strand, ".", "Parent=m") for span in turned(EXONS, strand, size)]
    phases = ["0", "1"] if strand == "+" else ["1", "0"]
    rows += [("CDS", *s, strand, phase, "ID=p;Parent=m") for s, phase in zip(cds, phases, strict=True)]
    return gff(rows)


def read(folder: Path, text: str, store: GenomeStore, name: str = "a.gff3", **how: object) -> GeneModels:
    (folder / name).write_text(text)
    return read_genes(folder / name, store, **how)  # type: ignore[arg-type]


def letters(labels: GeneLabels, strand: str) -> tuple[str, str]:
    row = "+-".index(strand)
    classes = "".join(".UCi"[label] for label in labels.classes[row])
    phases = "".join("." if phase == 0 else PHASES[phase] for phase in labels.phases[row])
    return (classes, phases) if strand == "+" else (classes[::-1], phases[::-1])


BY_HAND = (
    "." * 10 + "UUUU" + "CCCCC" + "i" * 22 + "CCCCCCC" + "UUU" + "." * 20,
    "." * 14 + "02102" + "." * 22 + "1021021" + "." * 23,
)


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("stop", [0, 3])
def test_labels_are_those_worked_out_by_hand(tmp_path: Path, strand: str, stop: int) -> None:
    store = genome(SENSE, strand)
    models = read(tmp_path, gene_rows(strand, stop), store)
    assert models.counts == {
        "genes": 1, "masked": {}, "other_transcripts": 0,
        "cds_with_stop_codon": stop // 3, "cds_without_stop_codon": 1 - stop // 3,
    }  # fmt: skip
    (gene,) = models.genes
    assert spliced(store.codes, gene.cds, strand).tolist() == ["ACGT".index(base) for base in "ATGAAATGGTAA"]
    labels = gene_labels(models, "c", store.codes)
    assert letters(labels, strand) == BY_HAND
    assert letters(labels, "-" if strand == "+" else "+") == ("." * len(SENSE),) * 2
    assert not labels.phase_masked.any()


def test_gtf_and_genbank_give_the_genes_of_gff3(tmp_path: Path) -> None:
    expected = [dataclasses.replace(g, place="", name="") for g in read(tmp_path, gene_rows("+"), genome(SENSE)).genes]
    own = 'gene_id "g"; transcript_id "m";'
    rows = [("transcript", 10, 51), *(("exon", *span) for span in EXONS)]
    rows += [("CDS", 14, 19), ("CDS", 41, 45), ("stop_codon", 45, 48)]
    gtf = "".join(f"c\tx\t{kind}\t{start + 1}\t{end}\t.\t+\t.\t{own}\n" for kind, start, end in rows)
    genbank = (
        f"LOCUS       c                  {len(SENSE):>11} bp    DNA     linear   BCT 01-JAN-2000\n"
        "ACCESSION   c\nVERSION     c\n"
        "FEATURES             Location/Qualifiers\n"
        '     mRNA            join(11..19,42..51)\n                     /gene="g"\n'
        '     CDS             join(15..19,42..48)\n                     /gene="g"\n'
        f"ORIGIN\n        1 {SENSE.lower()}\n//\n"
    )
    for text, name in ((gtf, "a.gtf"), (genbank, "a.gbk")):
        genes = read(tmp_path, text, genome(SENSE), name).genes
        assert [dataclasses.replace(gene, place="", name="") for gene in genes] == expected, name


def test_a_stop_codon_that_an_intron_splits_is_completed(tmp_path: Path) -> None:
    sequence = "GG" + "ATGAAAT" + "GT" + "C" * 20 + "AG" + "AACC" + "GGG"
    rows = [
        ("mRNA", 2, 37, "+", ".", "ID=m"),
        ("exon", 2, 9, "+", ".", "Parent=m"),
        ("exon", 33, 37, "+", ".", "Parent=m"),
    ]
    text = gff([*rows, ("CDS", 2, 8, "+", "0", "ID=p;Parent=m")])
    assert [gene.cds for gene in read(tmp_path, text, genome(sequence)).genes] == [((2, 9), (33, 35))]


def bacterial(sequence: str, attributes: str = "", spans: list[tuple[int, int]] | None = None, phase: str = "0") -> str:
    spans = spans or [(2, len(sequence) - 2)]
    rows = [("gene", spans[0][0], spans[-1][1], "+", ".", "ID=g")]
    return gff([*rows, *(("CDS", *span, "+", phase, f"ID=p;Parent=g{attributes}") for span in spans)])


SOUND = "ATG" + "GCA" * 9 + "TAA"
BACK = "ATGGCAGCAGC" + "GCA" * 6 + "TAA"  # its 11th base is read twice: ATG GCA GCA GCC GCA ...
SLIPS = ";exception=ribosomal slippage"


@pytest.mark.parametrize(
    ("coding", "more", "reason"),
    [
        (SOUND, {}, None),
        (SOUND, {"attributes": ";pseudo=true"}, "pseudogene"),
        (SOUND, {"attributes": ";partial=true"}, "missing start codon"),
        ("AAG" + SOUND[3:], {}, "missing start codon"),
        (SOUND[:-3] + "GCA", {}, "missing stop codon"),
        (SOUND[:6] + "TGA" + SOUND[9:], {}, "stop codon inside"),
        (SOUND[:6] + "TGA" + SOUND[9:], {"attributes": ";transl_except=(pos:9..11%2Caa:Sec)"}, None),
        (SOUND[:6] + "TGA" + SOUND[9:], {"attributes": ";transl_except=(pos:12..14%2Caa:Sec)"}, "stop codon inside"),
        (SOUND[:6] + "TGA" + SOUND[9:], {"attributes": ";transl_table=4"}, None),
        (SOUND[:6] + "N" + SOUND[7:], {}, "non-ACGT base"),
        (SOUND[:6] + SOUND[7:], {}, "wrong phase"),
        (SOUND, {"phase": "1"}, "wrong phase"),
        (SOUND[:12] + "C" + SOUND[12:], {"spans": [(2, 14), (15, 36)]}, "intron too short"),
        (SOUND[:12] + "C" + SOUND[12:], {"spans": [(2, 14), (15, 36)], "attributes": SLIPS}, None),
        (SOUND[:12] + SOUND[13:], {"spans": [(2, 14), (13, 34)]}, "overlapping parts"),
        (BACK, {"spans": [(2, 13), (12, 34)], "attributes": SLIPS, "phase": "."}, None),
    ],
)  # fmt: skip
def test_what_is_not_sound_is_masked_and_counted(tmp_path: Path, coding: str, more: dict, reason: str | None) -> None:  # type: ignore[type-arg]
    # Nine sound genes alongside: one broken gene among ten is no annotation of another assembly.
    sequence = "CC" + coding + "CC" + ("CC" + SOUND + "CC") * 9
    rows = bacterial("CC" + coding + "CC", **more)
    for number in range(9):
        start = len(coding) + 6 + number * (len(SOUND) + 4)
        own = f"ID=p{number};Parent=g{number}"
        rows += gff([("CDS", start, start + len(SOUND), "+", "0", own)])
    store = genome(sequence)
    models = read(tmp_path, rows, store)
    assert models.counts["masked"] == ({reason: 1} if reason else {})
    assert len(models.genes) == (9 if reason else 10)
    labels = gene_labels(models, "c", store.codes)
    unknown = (store.codes == 4).sum()
    assert not labels.masked[1].sum() - unknown
    if reason:
        assert labels.masked[0, : len(coding) + 4].nonzero()[0].tolist() == list(range(2, 2 + len(coding)))
        assert set(labels.masked_bases()) <= {reason, "non-ACGT base"}


def test_slippage_joins_the_frames_of_its_parts(tmp_path: Path) -> None:
    slip = "CC" + SOUND[:12] + "C" + SOUND[12:] + "CC"
    store = genome(slip)
    models = read(tmp_path, bacterial(slip, ";exception=ribosomal slippage", [(2, 14), (15, 36)]), store)
    labels = gene_labels(models, "c", store.codes)
    assert letters(labels, "+")[1] == ".." + "021" * 4 + "." + "021" * 7 + ".."
    assert labels.masked[0].nonzero()[0].tolist() == [14]


def test_overlaps_mask_the_phase_and_not_the_class(tmp_path: Path) -> None:
    sequence = "CC" + "ATGCATGCCTAACTGA" + "CC"  # ATG CAT GCC TAA, and ATG CCT AAC TGA
    rows = gff([("CDS", 2, 14, "+", "0", "ID=a"), ("CDS", 6, 18, "+", "0", "ID=b")])
    store = genome(sequence)
    labels = gene_labels(read(tmp_path, rows, store), "c", store.codes)
    assert letters(labels, "+")[0] == ".." + "C" * 16 + ".."
    assert labels.phase_masked[0].nonzero()[0].tolist() == list(range(6, 14))
    assert not labels.masked.any()


def test_a_gene_on_a_pseudogene_is_kept_and_only_the_rest_masked(tmp_path: Path) -> None:
    sequence = "CC" + SOUND + "C" * 20
    rows = gff([("pseudogene", 0, 45, "+", ".", "ID=x;pseudo=true"), ("CDS", 2, 35, "+", "0", "ID=a")])
    store = genome(sequence)
    models = read(tmp_path, rows, store)
    labels = gene_labels(models, "c", store.codes)
    assert labels.masked[0].nonzero()[0].tolist() == [0, 1, *range(35, 45)]
    assert labels.masked_bases() == {"pseudogene": 12}
    assert models.counts["masked"] == {"pseudogene": 1}


def test_the_longest_sound_transcript_of_a_gene_counts(tmp_path: Path) -> None:
    sequence = "CC" + "ATG" + "GCA" * 3 + "ATG" + "GCA" * 9 + "TAA" + "CC"
    spans = [(2, 47), (14, 47), (2, 46)]
    rows = [("gene", 2, 47, "+", ".", "ID=g")]
    for number, (start, end) in enumerate(spans):
        rows += [
            ("mRNA", start, end, "+", ".", f"ID=m{number};Parent=g"),
            ("CDS", start, end, "+", "0", f"Parent=m{number}"),
        ]
    models = read(tmp_path, gff(rows), genome(sequence))
    assert [gene.cds for gene in models.genes] == [((2, 47),)]
    assert models.counts["other_transcripts"] == 2
    rows = [row if "m0" not in row[5] else (*row[:5], row[5] + ";biotype=lncRNA") for row in rows]
    assert [gene.cds for gene in read(tmp_path, gff(rows), genome(sequence)).genes] == [((14, 47),)]


@pytest.mark.parametrize("strand", ["+", "-"])
def test_a_gene_over_the_origin_is_whole(tmp_path: Path, strand: str) -> None:
    circle = SOUND[20:] + "CCCCCC" + SOUND[:20]
    size = len(circle)
    start, end = (19, size + 13) if strand == "+" else (size - 13, size + 20)
    if strand == "-":
        circle = str(Seq(circle).reverse_complement())
    rows = gff([("region", 0, size, "+", ".", "ID=c;Is_circular=true"), ("CDS", start, end, strand, "0", "ID=a")])
    store = genome(circle)
    models = read(tmp_path, rows, store)
    (gene,) = models.genes
    assert spliced(store.codes, gene.cds, strand).tolist() == ["ACGT".index(base) for base in SOUND]
    assert gene.introns(size) == []
    labels = gene_labels(models, "c", store.codes)
    assert letters(labels, strand)[1] == ("021" * 11)[20:] + "......" + ("021" * 11)[:20]


def test_other_names_are_mapped_and_none_matching_is_told(tmp_path: Path) -> None:
    store = genome(SENSE, name="I")
    text = gene_rows("+").replace("c\tx", "chrI\tx")
    with pytest.raises(DataError, match=r"line 2: 1 contig.*'chrI'; it has 'I'.*data.contigs=\{chrI: I\}"):
        read(tmp_path, text, store)
    two = GenomeStore.from_sequences(["NC_1.2", "NC_2.1"], [SENSE, SENSE])
    for own, other, told in (
        ("NC_1", two, "NC_1: NC_1.2"), ("x", two, "x: null"), ("x", genome(SENSE, name="y.1"), "x: y.1"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=rf"data\.contigs=\{{{re.escape(told)}\}}"):
            read(tmp_path, text.replace("chrI\tx", f"{own}\tx"), other)
    assert read(tmp_path, text, store, contigs={"chrI": "I"}).contigs == ["I"]
    with pytest.raises(DataError, match=r"a\.gff3: no CDS\b.*\bcontig\b"):
        read(tmp_path, text, store, contigs={"chrI": None})


def many(count: int, stop_in: int, stop_out: int, wrong: int = 0) -> tuple[str, GenomeStore]:
    """Lay out genes with their stop codon in the CDS, before it, and nowhere near a gene."""
    sequence = ("CC" + SOUND + "CC") * count
    starts = [2 + number * (len(SOUND) + 4) for number in range(count)]
    ends = [3] * stop_in + [0] * stop_out + [3] * wrong
    rows = []
    for number, (start, more) in enumerate(zip(starts, ends, strict=True)):
        shift = 4 if number >= stop_in + stop_out else 0
        rows.append(
            ("CDS", start + shift, start + len(SOUND) - 3 + more + shift - (shift > 0) * 6, "+", "0", f"ID=p{number}")
        )
    return gff(rows), genome(sequence)


def test_stop_codons_in_and_out_of_cds_are_not_mixed(tmp_path: Path) -> None:
    text, store = many(10, 6, 4)
    with pytest.raises(DataError, match=r"a\.gff3: 6 CDS .*stop codon.*\b4 [^{]*$"):
        read(tmp_path, text, store)
    for share in ((10, 0), (0, 10)):
        text, store = many(10, *share)
        assert [spliced(store.codes, gene.cds, "+").size for gene in read(tmp_path, text, store).genes] == [33] * 10


def test_the_annotation_of_another_assembly_is_refused(tmp_path: Path) -> None:
    text, store = many(10, 7, 0, 3)
    with pytest.raises(DataError, match=r"a\.gff3: 3 of 10 .*'p7' .*line 9\).*assembly.*data\.genetic_code"):
        read(tmp_path, text, store)
    text, store = many(10, 8, 0, 2)
    assert len(read(tmp_path, text, store).genes) == 8
    with pytest.raises(DataError, match=r"a\.gff3, line 2: 2-500 .*contig 'c', .*\b370 "):
        read(tmp_path, gff([("CDS", 2, 500, "+", "0", "ID=p")]), store)
    with pytest.raises(ConfigError, match="genetic code 77"):
        read(tmp_path, text, store, code=77)


def read_all(folder: Path, coding: list[str], **how: object) -> GeneModels:
    """Read genes that lie behind each other and say nothing of a genetic code."""
    rows, text = [], "GG"
    for number, one in enumerate(coding):
        rows += [("CDS", len(text), len(text) + len(one), "+", "0", f"ID=p{number};Parent=g{number}")]
        text += one + "GG"
    return read(folder, gff(rows), genome(text), **how)


@pytest.mark.parametrize(
    ("coding", "how", "told"),
    [
        (["ATG" + "GCATGA" * 9 + "TAA"] * 20, {}, "data.genetic_code=4"),
        (["ATG" + "GCACAA" * 9 + "TAA"] * 18 + ["GTG" + "GCACAA" * 9 + "TAA"] * 2, {}, "data.genetic_code=11"),
        (["ATG" + "GCATGA" * 9 + "TAA"] * 20, {"code": 4}, ""),
        (["ATG" + "GCACAA" * 9 + "TAA"] * 18 + ["GCA" + "GCACAA" * 9 + "TAA"] * 2, {}, ""),
    ],
)
def test_a_genetic_code_that_masks_fewer_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, coding: list[str], how: dict[str, int], told: str
) -> None:
    read_all(tmp_path, coding, **how)
    assert (told in caplog.text) if told else "data.genetic_code" not in caplog.text


def test_a_wrong_genetic_code_that_leaves_no_ends_tells_a_right_one(tmp_path: Path) -> None:
    coding = ["GTG" + "GCACAA" * 9 + stop for stop in ("TAA", "TGA", "TAG") * 7]
    with pytest.raises(DataError, match=r"data\.genetic_code=11"):
        read_all(tmp_path, coding, code=6)


def test_features_are_painted_by_rank() -> None:
    features = [
        Feature("c", 0, 6, "+", kind="gene"),
        Feature("c", 2, 4, "+", kind="tRNA"),
        Feature("c", 5, 8, ".", kind="tRNA"),
    ]
    labels = feature_labels(features, ("tRNA", "gene"), "c", 9)
    assert labels.tolist() == [[2, 2, 1, 1, 2, 1, 1, 1, 0], [0, 0, 0, 0, 0, 1, 1, 1, 0]]
    assert feature_labels(features, ("gene",), "c", 9, stranded=False).tolist() == [[1] * 6 + [0] * 3] * 2
    with pytest.raises(DataError, match=r"line 1: 5-8 .*contig 'c' .*\b7 bases"):
        feature_labels([features[2]._replace(place="a, line 1")], ("tRNA",), "c", 7)


def test_parts_of_a_gene_tile_its_span() -> None:
    draw = random.Random(1)
    for strand in "+-":
        for _ in range(50):
            edges = sorted(draw.sample(range(100), 8))
            exons = [(edges[at], edges[at + 1]) for at in range(0, 8, 2)]
            inside = [(s, e) for s, e in ((max(s, edges[0] + 3), min(e, edges[7] - 3)) for s, e in exons) if s < e]
            ordered = [tuple(parts if strand == "+" else parts[::-1]) for parts in (inside, exons)]
            gene = GeneModel("c", strand, *ordered)
            before, after = gene.untranslated()
            pieces = [*before, *gene.cds, *after, *gene.introns()]
            assert sorted(positions(pieces, strand)) == list(range(*gene.span))
            assert gaps(gene.exons, strand) == gene.introns()


@pytest.mark.parametrize("number", [1, 3, 4, 11])
def test_genetic_codes_translate_as_biopython_does(number: int) -> None:
    text = "".join(random.Random(number).choices("ACGT", k=999))
    codes = np.array(["ACGT".index(base) for base in text], np.uint8)
    assert genetic_code(number).translate(codes)[1:] == str(Seq(text).translate(number))[1:]  # type: ignore[no-untyped-call]


def test_names_of_classes_and_reasons_are_what_files_hold() -> None:
    assert CLASSES == ("intergenic", "UTR", "CDS", "intron")
    assert len(set(REASONS)) == len(REASONS) < 255


def test_genes_that_only_another_annotation_has_are_masked(tmp_path: Path) -> None:
    sequence = ("CC" + SOUND + "CC") * 3
    store = genome(sequence)
    rows = [("CDS", start, start + 33, "+", "0", f"ID=p{start}") for start in (2, 39, 76)]
    shorter = read(tmp_path, gff(rows[:2]), store)
    longer = read(tmp_path, gff(rows[1:]), store, name="b.gff3")
    models = mask_others(shorter, longer)
    assert models.genes == shorter.genes
    assert models.counts["masked"] == {"gene of another annotation only": 1}
    labels = gene_labels(models, "c", store.codes)
    assert labels.masked.nonzero()[1].tolist() == list(range(76, 109))
    assert not mask_others(shorter, shorter).masked


@pytest.mark.parametrize(("strand", "expected"), [("+", ((6, 20), (30, 50))), ("-", ((30, 44), (0, 20)))])
def test_untranslated_regions_of_constant_length(strand: str, expected: tuple[tuple[int, int], ...]) -> None:
    cds = ((10, 20), (30, 40))
    gene = GeneModel("c", strand, cds if strand == "+" else cds[::-1])
    longer = with_untranslated(gene, 4, 90, 50)
    assert longer.exons == expected
    assert longer.cds == gene.cds


def test_an_untranslated_region_of_no_base_is_skipped(tmp_path: Path) -> None:
    row = gff([("five_prime_UTR", 5, 5, "+", ".", "Parent=m")])
    assert (
        read(tmp_path, gene_rows("+") + row, genome(SENSE)).genes == read(tmp_path, gene_rows("+"), genome(SENSE)).genes
    )
    with pytest.raises(DataError, match=r"line 9: start 6, end 4"):
        read(tmp_path, gene_rows("+") + row.replace("6\t5", "6\t4"), genome(SENSE))


def test_what_is_left_of_a_cut_gene_is_masked_where_no_other_codes() -> None:
    codes = np.zeros(100, np.uint8)
    spans = {"first": (5, 35), "whole": (30, 60), "last": (62, 92)}
    genes = [GeneModel("c", "+", (span,), (span,), name=name) for name, span in spans.items()]
    genes.append(GeneModel("c", "-", ((70, 79), (61, 67)), ((58, 79),), name="other"))
    whole = LabelledContig("c", codes, labels_of(genes, "c", codes), genes)
    assert not whole.labels.masked.any()
    part = whole.part(20, 80)
    assert [gene.name for gene in part.genes] == ["whole", "other"]
    masked = np.flatnonzero(part.labels.masked[0]) + 20
    assert masked.tolist() == [*range(20, 30), *range(62, 80)]
    assert not part.labels.masked[1].any()
    assert set(part.labels.masked_bases()) == {"gene cut by the end of a part", "several reading frames"}
    np.testing.assert_array_equal(part.labels.classes, whole.labels.classes[:, 20:80])
    assert not whole.part(0, 61).labels.masked[0].any()  # between two genes
