"""Labelled windows from features of every format, composed from the configuration as a user would."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from gulmfit.config import compose, instantiate
from gulmfit.data.sources.regions import IntervalsSource
from gulmfit.errors import ConfigError, DataError
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.related.overlap import find_overlaps
from gulmfit.seq.splits.split import HomologySplit
from gulmfit.seq.splits.split_position import ContigSplit, PositionSplit

CONTIG_BP = 30_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A genome of three contigs with 60 genes of 90 bases, the same in every format, and 30 peaks."""
    folder = tmp_path_factory.mktemp("intervals")
    rng = np.random.default_rng(0)
    contigs = {name: "".join(rng.choice(list("ACGT"), CONTIG_BP)) for name in ("1", "2", "X")}
    (folder / "genome.fa").write_text("".join(f">{name} contig\n{text}\n" for name, text in contigs.items()))
    bed, gff, gtf = [], ["##gff-version 3"], []
    for number in range(60):
        contig, start, strand = "12X"[number % 3], 400 + 450 * number, "+-"[number % 2]
        kind, biotype = ("CDS", "coding") if number % 4 else ("tRNA", "tRNA")
        bed.append(f"{contig}\t{start}\t{start + 90}\t{biotype}\t{number % 4}\t{strand}")
        columns = f"{contig}\tmade\t{kind}\t{start + 1}\t{start + 90}\t.\t{strand}\t.\t"
        gff.append(f"{columns}ID=g{number};biotype={biotype}")
        gtf.append(f'{columns}gene_id "g{number}"; biotype "{biotype}";')
    (folder / "genes.bed").write_text("\n".join(bed))
    (folder / "genes.gff3").write_text("\n".join([*gff, "1\tmade\tregion\t1\t30000\t.\t.\t.\tID=r"]))
    (folder / "genes.gtf").write_text("\n".join(gtf))
    for name in ("coding", "tRNA"):
        (folder / f"{name}.bed").write_text("\n".join(line for line in bed if f"\t{name}\t" in line))
    return folder


@functools.cache
def defaults() -> DictConfig:
    return compose(["stage=classify", "data=intervals"])


def source(folder: Path, *words: str) -> IntervalsSource:
    """Make a source with nothing but words of configuration."""
    named = [f"data.genome={folder}/genome.fa", f"paths.cache_dir={folder}/store"]
    named += [word.replace("@", f"{folder}/") for word in words]
    made = instantiate(OmegaConf.merge(defaults(), OmegaConf.from_dotlist(named)).data)
    assert isinstance(made, IntervalsSource)
    return made


WAYS = {
    "bed name": ["data.path=@genes.bed", "data.label=name"],
    "one bed a class": ["data.classes={coding: @coding.bed, tRNA: @tRNA.bed}"],
    "gff3 attribute": ["data.path=@genes.gff3", "data.label=attribute:biotype", "data.kinds=[CDS,tRNA]"],
    "gtf attribute": ["data.path=@genes.gtf", "data.label=attribute:biotype"],
    "gtf and bed": ["data.classes={coding: @genes.gtf, tRNA: @tRNA.bed}", "data.kinds=[CDS]"],
}


def content(data: LabelledSequences) -> set[tuple[object, ...]]:
    assert data.loci is not None
    labels = [data.classes[label] for label in data.labels]
    return set(zip(data.ids, data.sequences, labels, data.loci, strict=True))


@pytest.mark.parametrize("way", WAYS)
def test_every_format_gives_the_same_labelled_windows(folder: Path, way: str) -> None:
    made = source(folder, *WAYS[way])
    data = made.labelled()
    assert (data.classes, data.positive) == (["coding", "tRNA"], "tRNA")
    assert np.bincount(data.labels).tolist() == [45, 15]
    assert content(data) == content(source(folder, *WAYS["bed name"]).labelled())
    genome = dict(record.split(" contig\n") for record in (folder / "genome.fa").read_text()[1:].split(">"))
    for text, (contig, start, end, strand) in zip(data.sequences, data.loci or [], strict=True):
        letters = genome[contig][start:end]
        assert text == (letters if strand == "+" else reverse_complement_text(letters))
    assert made.windows["windows"] == 60
    assert made.record == {}


@pytest.mark.parametrize(
    ("words", "counts"),
    [
        (["data.path=@genes.gff3", "data.label=kind", "data.kinds=[CDS,tRNA]"], {"CDS": 45, "tRNA": 15}),
        (["data.path=@genes.bed", "data.label=score"], {"0": 15, "1": 15, "2": 15, "3": 15}),
    ],
)
def test_classes_from_other_columns(folder: Path, words: list[str], counts: dict[str, int]) -> None:
    data = source(folder, *words).labelled()
    assert dict(zip(data.classes, np.bincount(data.labels).tolist(), strict=True)) == counts


def test_splits_and_leak_checks_see_where_the_windows_lie(folder: Path) -> None:
    """Neighbouring windows overlap by half, so a split by homology or position must keep them on one side."""
    words = ["data.window=around", "data.upstream_bp=300", "data.downstream_bp=300", "data.positive=coding"]
    data = source(folder, *WAYS["gtf attribute"], *words).labelled()
    assert data.positive == "coding"
    for split in (HomologySplit(0.2, 0.2, 0), PositionSplit(0.2, 0.2, 0, block_bp=3000)):
        parts = split(data)
        texts = {
            name: [t for t, part in zip(data.sequences, parts, strict=True) if part == name] for name in set(parts)
        }
        assert not any(marked.any() for marked in find_overlaps(texts["train"], texts["test"]).values())
    contigs = ContigSplit(0.33, 0.33, 0)(data)
    assert len({(locus[0], part) for locus, part in zip(data.loci or [], contigs, strict=True)}) == 3


@pytest.mark.parametrize("how", ["genomic", "shuffle", "mixed"])
def test_positives_alone_get_negatives(folder: Path, how: str) -> None:
    words = ["data.path=@genes.gff3", "data.kinds=[tRNA]", f"data.negatives.how={how}"]
    words += ["data.window=inside", "data.window_bp=30"]
    made = source(folder, *words)
    data = made.labelled()
    assert (data.classes, data.positive) == (["background", "positive"], "positive")
    assert np.bincount(data.labels).tolist() == [45, 45]
    assert made.record["how"] == how
    assert json.loads(json.dumps({**made.windows, **made.record}))["windows"] == 45
    assert data.groups is not None
    # Three windows a gene and their three negatives.
    assert sorted(np.bincount(np.unique(data.groups, return_inverse=True)[1]).tolist()) == [6] * 15
    assert (data.loci is not None) == (how == "genomic")


def test_a_new_set_is_one_file_of_yaml(folder: Path, tmp_path: Path) -> None:
    """A file as in conf/data: the defaults of intervals, and what is different."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "my_trnas.yaml").write_text(
        "defaults: [intervals, _self_]\n"
        f"path: {folder}/genes.gtf\ngenome: {folder}/genome.fa\nkinds: [CDS, tRNA]\nlabel: kind\nflank_bp: 5\n"
    )
    words = [f"hydra.searchpath=[file://{tmp_path}]", f"paths.cache_dir={folder}/store"]
    data = instantiate(compose(["stage=classify", "data=my_trnas", *words]).data).labelled()
    assert data.classes == ["CDS", "tRNA"]
    assert {len(text) for text in data.sequences} == {100}


def test_genbank_alone_holds_features_and_genome(tmp_path: Path) -> None:
    from Bio import SeqIO
    from Bio.Seq import Seq
    from Bio.SeqFeature import SeqFeature, SimpleLocation
    from Bio.SeqRecord import SeqRecord

    text = "".join(np.random.default_rng(1).choice(list("ACGT"), 900))
    record = SeqRecord(Seq(text), id="c.1", name="c", annotations={"molecule_type": "DNA"})
    record.features = [
        SeqFeature(SimpleLocation(start, start + 60, strand), type=kind)
        for start, strand, kind in [(0, 1, "CDS"), (100, -1, "tRNA"), (300, 1, "tRNA")]
    ]
    SeqIO.write(record, tmp_path / "a.gbk", "genbank")
    made = IntervalsSource(path=str(tmp_path / "a.gbk"), label="kind", cache_dir=str(tmp_path / "store"))
    assert made.labelled().sequences == [text[:60], reverse_complement_text(text[100:160]), text[300:360]]
    assert [contig.length for contig in made.store(tmp_path / "store").contigs] == [900]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "needs either data.path"),
        (["data.path=@genes.bed", "data.classes={a: @coding.bed, b: @tRNA.bed}"], "needs either data.path"),
        (["data.path=@genes.bed"], "set data.negatives.how"),
        (
            ["data.path=@genes.bed", "data.label=name", "data.negatives.how=shuffle"],
            r"data\.negatives\.how=shuffle: .*\bnull\b",
        ),
        (["data.path=@genes.bed", "data.label=names"], r"data\.label='names' .*attribute:KEY"),
        (["data.path=@genes.bed", "data.label='attribute:'"], "data.label='attribute:' is unknown"),
        (["data.classes={a: @coding.bed}"], r"^data\.classes .*\btwo .*data\.label\b"),
        (["data.classes={a: @coding.bed, b: @tRNA.bed}", "data.label=name"], "data.label is null"),
        (["data.path=@genes.bed", "data.label=name", "data.genome=null"], "data.genome is missing"),
        (["data.path=@genes.bed", "data.label=name", "data.edges=clip"], "data.edges: 'clip'"),
        (["data.path=@genes.bed", "data.negatives.how=none"], "data.negatives.how: 'none'"),
    ],
)
def test_options_that_do_not_go_together(folder: Path, words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        source(folder, *words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["data.path=@genes.gff3", "data.label=kind", "data.kinds=[CDS,rRNA]"],
            r"'rRNA' in .*there are {'CDS': 45, 'tR",
        ),
        (
            ["data.path=@genes.bed", "data.label=name", "data.kinds=[CDS]"],
            r"data\.kinds: .*'CDS' .*genes\.bed; .*\bnone\b.*BED",
        ),
        (
            ["data.path=@genes.gff3", "data.label=attribute:biotype"],
            r"genes.gff3, line 62: no attribute:biotype; .*'ID'",
        ),
        (["data.path=@genes.gtf", "data.label=score"], "genes.gtf, line 1: no score"),
        (["data.path=@genes.bed", "data.label=kind"], "genes.bed, line 1: no kind"),
        (["data.classes={a: @genes.bed, b: @tRNA.bed}"], "tRNA.bed, line 1: .* of class 'b' that .*genes.bed, line 1 "),
    ],
)
def test_data_that_cannot_be_labelled(folder: Path, words: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        source(folder, *words).labelled()
