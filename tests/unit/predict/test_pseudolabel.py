"""Pseudo-labels of a genome: what is kept is the surest of its kind, and a run learns from it as it is."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gulmfit.commands.pseudolabel import pseudolabel
from gulmfit.config import compose, instantiate, validate
from gulmfit.data.sources.annotation import AnnotationSource
from gulmfit.errors import ConfigError, DataError
from gulmfit.overrides import expanded
from gulmfit.predict.outputs.gene_files import write_gff3
from gulmfit.seq.labels.annotated import AnnotatedWindows
from gulmfit.seq.labels.certain import surest
from gulmfit.seq.labels.gene_labels import LabelledContig
from tests.unit.predict.test_annotate import fasta, folder, knows, planted  # noqa: F401  # fixtures

Rows = list[list[str]]


def rows(path: Path) -> Rows:
    return [line.split("\t") for line in path.read_text().splitlines()]


@pytest.mark.usefixtures("knows")
def test_the_surest_windows_are_kept_and_ready_to_learn_from(
    folder: Path,  # noqa: F811
    fasta: Path,  # noqa: F811
    planted: dict[str, LabelledContig],  # noqa: F811
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # The labels that there are know one gene less: the test part has them, the others have what was found.
    known = {name: one.genes[:-1] for name, one in planted.items()}
    truth, out = tmp_path / "truth.gff3", tmp_path / "pseudo"
    other = {name: f"chr{name}" for name in planted}  # in the annotation
    named = [
        replace(gene, contig=other[name], name=f"{name}{at}") for name in known for at, gene in enumerate(known[name])
    ]
    write_gff3(truth, named, dict.fromkeys(other.values(), 12_000), code=11)
    with caplog.at_level("INFO"):
        count = pseudolabel(
            model=str(folder), genome=str(fasta), output=str(out), annotation=str(truth), keep=0.6, window_bp=600,
            cache_dir=str(tmp_path / "cache"), genetic_code=11,
            contigs="{" + ", ".join(f"{theirs}: {ours}" for ours, theirs in other.items()) + "}",
        )  # fmt: skip
    assert re.search(r"before tuning, .*annotation: ", caplog.text)
    header, *windows = rows(out / "windows.tsv")
    assert header == ["contig", "start", "end", "part", "distance", "intergenic", "kept"]
    kept = np.array([int(row[6]) for row in windows], bool)
    assert kept.sum() == count
    assert [row[:4] for row, one in zip(windows, kept, strict=True) if one] == rows(out / "kept.bed")
    part = np.array([row[3] for row in windows])
    assert kept[part == "test"].all()
    distance, share = (np.array([float(row[at]) for row in windows]) for at in (4, 5))
    others = part != "test"
    assert (surest(distance[others], share[others], 0.6) == kept[others]).all()
    names = np.array([row[0] for row in windows])
    assert distance[names == "one"].max() < distance[names == "two"].min()  # of which the network is less sure

    experiment = out / "experiment.yaml"
    config = compose(expanded([f"experiment={experiment}", f"paths.cache_dir={tmp_path / 'cache'}"]))
    validate(config)
    assert (config.stage.name, config.tune.name, config.init_from) == ("label", "head", str(folder))
    source = instantiate(config.data)
    assert isinstance(source, AnnotationSource)
    data = source.labelled()
    assert isinstance(data, AnnotatedWindows)
    assert data.splits is not None
    bases = {(name, at) for name, start, end, _ in data.loci or [] for at in range(start, end)}
    assert bases == {(row[0], at) for row in rows(out / "kept.bed") for at in range(int(row[1]), int(row[2]))}
    for name, one in planted.items():
        length, genes = len(one.codes), data.contigs[name].genes
        assert genes is not None
        tested = [gene for gene in genes.genes if gene.span[0] >= round(length * 0.8)]
        assert [gene.cds for gene in tested] == [
            gene.cds for gene in known[name] if gene.span[0] >= round(length * 0.8)
        ]


@pytest.mark.usefixtures("knows")
def test_what_cannot_be_dealt_is_refused(
    folder: Path,  # noqa: F811
    fasta: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    given = {"model": str(folder), "genome": str(fasta), "output": str(tmp_path / "out"), "cache_dir": str(tmp_path)}
    with pytest.raises(ConfigError, match=r"split=contigs: 2 of 5 sequences"):
        pseudolabel(**given, split="contigs")  # type: ignore[arg-type]
    for words, match in {
        ("keep", 1.0): "keep=1.0",
        ("contigs", "[chrI]"): r"contigs=\[chrI\]",
        ("contigs", "{chrI: [I]}"): "contigs=",
        ("contigs", "{chrI: "): "contigs=",
        ("valid_fraction", 0.0): "valid_fraction",
        ("tracks", "{a: [b]}"): r"tracks=\{a: \[b\]\}: .*no tracks",
    }.items():
        with pytest.raises(ConfigError, match=match):
            pseudolabel(**given, **dict([words]))  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"no window .*\btrain: .*keep=.*window_bp="):
        pseudolabel(**given, keep=0.3, window_bp=20_000)  # type: ignore[arg-type]
    assert not (tmp_path / "out" / "experiment.yaml").exists()


def test_intervals_of_parts_are_checked(tmp_path: Path) -> None:
    from tests.made_up_genes import write_genome

    genome, annotation = write_genome(tmp_path, genes=12)
    bed = tmp_path / "kept.bed"
    given = {"genome": str(genome), "annotation": str(annotation), "regions": str(bed), "cache_dir": str(tmp_path)}
    for text, match in {
        "c1\t0\t900\tother\n": "line 1: name 'other'",
        "c1\t0\t900000\ttrain\n": "line 1: 0-900000",
        "c1\t0\t900\ttrain\nc1\t800\t1700\tvalid\n": "0-900 and 800-1700 overlap",
        "c7\t0\t900\ttrain\n": r"kept\.bed: no interval .*genes\.gff3",
    }.items():
        bed.write_text(text)
        with pytest.raises(DataError, match=match):
            AnnotationSource(**given).labelled()  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"data\.regions"):
        AnnotationSource(**given, test_fraction=0.2, valid_fraction=0.2)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"data\.test_annotation"):
        AnnotationSource(genome=str(genome), annotation=str(annotation), test_annotation="x.gff3")
