"""Genes from an annotation: one run trains, decodes, scores and keeps what finds genes elsewhere."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gulmfit.checkpoint import MODEL_FOLDER, load
from gulmfit.commands.predict import predict_file
from gulmfit.errors import CheckpointError, ConfigError, DataError
from gulmfit.predict.genes.decoding import Decoding
from gulmfit.predict.track_predictor import MARGIN_BP, TrackPredictor
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.annotated import Annotated, AnnotatedWindows, cut_annotated
from gulmfit.seq.labels.gene_labels import labelled_contigs
from gulmfit.seq.labels.gene_models import read_genes
from gulmfit.seq.labels.track_labels import GENE_CLASSES, gene_tracks
from gulmfit.train.runner import train
from tests.made_up_genes import write_genome

TRAIN = [
    "stage=label", "head=tracks", "data=annotation", "split=column", "data.valid_fraction=0.15",
    "data.test_fraction=0.15", "data.window_bp=900", "tokenizer.k=3", "tokenizer.stride=3", "dropout=none",
    "arch={_target_: gulmfit.models.awd_rnn.AWDRNN, embed_size: 32, hidden_size: 32, num_layers: 1, strands: auto}",
    "label.batch_size=8", "label.phases=[{epochs: 12, lr: 2e-2}]", "trainer.precision=32-true",
    "callbacks.progress.refresh_rate=0",
]  # fmt: skip


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_genome(tmp_path_factory.mktemp("genome"), genes=300)


@pytest.fixture(scope="module")
def run(genome: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    cwd = tmp_path_factory.mktemp("genes")
    with contextlib.chdir(cwd):
        train([*TRAIN, f"data.genome={genome[0]}", f"data.annotation={genome[1]}", "run.name=genes"])
    return cwd / "outputs" / "label" / "genes"


def metrics(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metrics.json").read_text())  # type: ignore[no-any-return]


def test_a_run_finds_the_genes_of_a_made_up_genome(run: Path) -> None:
    found = metrics(run)
    assert found["targets"] == "tracks"
    assert found["classes"] == GENE_CLASSES
    assert found["metrics"]["test/f1_macro"] > found["baselines"]["window_lookup"]["f1_macro"]
    genes = found["genes"]
    assert genes["true"] > 30
    methods = genes["methods"]
    assert methods["network and Markov model, decoded"]["exact/sensitivity"] > 0.9
    assert methods["network and Markov model, decoded"]["exact/precision"] > 0.9
    for scores in methods.values():
        low, high = scores["ci95"]["CDS/f1"]
        assert low <= scores["CDS/f1"] <= high
    assert found["by_target"]["class:CDS"]["f1"] == pytest.approx(methods["network, base by base"]["CDS/f1"], abs=0.01)
    report = (run / "report.html").read_text()
    assert "open reading frames of 300 bp or more" in report
    decoding = Decoding.from_plain(json.loads((run / MODEL_FOLDER / "decoder.json").read_text()))
    assert decoding.markov_weight == genes["markov_weight"]


def windows(genome: tuple[Path, Path], window_bp: int) -> AnnotatedWindows:
    store = GenomeStore.build(genome[0], genome[0].parent / "store")
    wholes = {one.name: one for one in labelled_contigs(read_genes(genome[1], store), store)}
    contigs = {name: Annotated(one.codes, gene_tracks(one.labels), one) for name, one in wholes.items()}
    parts = {name: [(0, 6000, "")] for name in contigs}
    return cut_annotated(contigs, parts, GENE_CLASSES, window_bp=window_bp, files=[], least_bp=100)


def test_a_part_without_a_whole_gene_is_refused_before_training(tmp_path: Path) -> None:
    files = write_genome(tmp_path, genes=2, contigs=20)  # of two genes the second is a pseudogene, where shares are cut
    words = [*TRAIN, f"data.genome={files[0]}", f"data.annotation={files[1]}", "data.window_bp=100"]
    with (
        contextlib.chdir(tmp_path),
        pytest.raises(DataError, match=r"genes\.gff3: .*data\.valid_contigs.*split=contig"),
    ):
        train(words)
    assert not [*tmp_path.rglob("*.ckpt")]


def test_windows_are_read_with_what_stands_beside_them(run: Path, genome: tuple[Path, Path]) -> None:
    loaded = load(run)
    predictor = TrackPredictor(loaded.spec, loaded.model, loaded.tokenizer)  # type: ignore[arg-type]
    data = windows(genome, 1500)
    found = predictor.of_part(data, batch_size=3, raw=True)
    for row, (_, start, end, _) in zip(found, data.loci or [], strict=True):
        low, high = max(0, start - MARGIN_BP), min(6000, end + MARGIN_BP)
        text = "".join(data.sequences)[low:high]
        alone = predictor.predict([text], raw=True)[0]
        np.testing.assert_allclose(row[:, : end - start], alone[:, start - low : end - low], atol=1e-5)
    np.testing.assert_allclose(found[..., :4].sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(found[..., 4:].sum(-1), 1, atol=1e-5)


def test_what_reads_one_strand_refuses_it(run: Path, genome: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "a.fa").write_text(">a\n" + "ACGT" * 50 + "\n")
    with pytest.raises(CheckpointError, match="gulmfit-annotate"):
        predict_file(model=str(run), input=str(tmp_path / "a.fa"), output=str(tmp_path / "out.tsv"))
    with pytest.raises(ConfigError, match="head=tracks"):
        train(["stage=label", "data=hmm", "head=tracks", f"paths.output_dir={tmp_path}"])
    files = [f"data.genome={genome[0]}", f"data.annotation={genome[1]}", f"paths.output_dir={tmp_path}"]
    with pytest.raises(ConfigError, match=r"arch\.strands=forward"):
        train([*TRAIN, *files, "arch.strands=forward"])
