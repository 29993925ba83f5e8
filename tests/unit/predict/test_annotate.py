"""From a genome to files of genes: planted genes are found, whatever is stopped on the way."""

import functools
import json
import multiprocessing
import re
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pybigtools
import pytest
import torch
from Bio import SeqIO

from gulmfit.checkpoint import build_model, save_model
from gulmfit.commands.annotate import annotate_file
from gulmfit.errors import CheckpointError, ConfigError, SequenceError
from gulmfit.predict.genes.decoding import DECODERS, Decoding
from gulmfit.predict.genes.gene_reader import GeneReader
from gulmfit.predict.genes.genome_genes import DECODING, GenomeGenes
from gulmfit.predict.genes.orfs import OrfDecoder
from gulmfit.predict.genes.tuning import GeneCalibration
from gulmfit.predict.progress import Bar
from gulmfit.predict.scans import bases, partial
from gulmfit.seq.alphabet import Codes, decode
from gulmfit.seq.genome.coverage import Coverage
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.gene_labels import LabelledContig
from gulmfit.seq.labels.gene_models import read_genes
from gulmfit.seq.labels.track_labels import GENE_CLASSES
from tests.unit.predict.genes.test_markov_genes import made_up

RunAnnotate = Any


def write_labeller(folder: Path, k: int, scale: float = 1.0, **head: Any) -> Path:
    """Write a labeller of genes with random weights: tokens of `k` bases, a stride of 3."""
    spec: dict[str, Any] = {
        "arch": {
            "_target_": "gulmfit.models.awd_rnn.AWDRNN", "embed_size": 6, "hidden_size": 10, "num_layers": 1,
            "strands": "both",
        },
        "head": {"_target_": "gulmfit.models.track_labeller.TrackLabeller", "hidden_size": 8, **head},
        "dropout": {},
        "tokenizer": {"_target_": "gulmfit.seq.tokens.tokenizer.KmerTokenizer", "k": k, "stride": 3},
        "classes": GENE_CLASSES,
    }  # fmt: skip
    torch.manual_seed(0)
    model, _ = build_model(spec)
    save_model(folder, spec, {name: scale * weights for name, weights in model.state_dict().items()})
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_labeller(tmp_path / "model", 6)


@pytest.fixture(scope="module")
def planted() -> dict[str, LabelledContig]:
    """Make two contigs with genes."""
    return {name: made_up(seed).part(0, 12_000) for name, seed in (("one", 5), ("two", 6))}


@pytest.fixture
def fasta(tmp_path: Path, planted: dict[str, LabelledContig]) -> Path:
    """Write the contigs, one of them in lower case, and some without room for a gene, or for a token."""
    one, two = (decode(contig.codes) for contig in planted.values())
    texts = {"two": two.lower(), "tiny": "ACG", "gap": "N" * 400, "one": one, "small": "ACGTTGCAACGT"}
    path = tmp_path / "genome.fa"
    path.write_text("".join(f">{name} x\n{text}\n" for name, text in texts.items()))
    return path


@pytest.fixture
def knows(monkeypatch: pytest.MonkeyPatch, planted: dict[str, LabelledContig]) -> list[int]:
    """Let the network know the genes: it finds a window in the genome. The list counts the windows that are read."""
    texts = {name: contig.codes.tobytes() for name, contig in planted.items()}
    sure = {"one": 0.9, "two": 0.8}
    read: list[int] = []

    def told(self: GeneReader, windows: Sequence[Codes], coverage: Sequence[np.ndarray] = ()) -> np.ndarray:
        found = np.tile(GeneReader.unknown, (len(windows), 2, max(map(len, windows)), 1))
        for row, codes in zip(found, windows, strict=True):
            for name, text in texts.items():
                at = text.find(codes.tobytes())
                if at >= 0 and len(codes) > 100:
                    labels = planted[name].labels
                    parts = (np.eye(4)[part[:, at : at + len(codes)]] for part in (labels.classes, labels.phases))
                    row[:, : len(codes)] = np.concatenate([sure[name] * (part - 0.25) + 0.25 for part in parts], axis=2)
        read.extend(map(len, windows))
        return found

    monkeypatch.setattr(GeneReader, "read", told)
    monkeypatch.setattr(bases, "RUN_BP", 9000)
    return read


@pytest.fixture
def run(folder: Path, fasta: Path, tmp_path: Path) -> RunAnnotate:
    sizes: dict[str, Any] = {"window_bp": 2000, "overlap_bp": 500, "batch_size": 3}
    cache = str(tmp_path / "cache")
    return functools.partial(annotate_file, model=str(folder), input=str(fasta), cache_dir=cache, **sizes)


def test_a_model_that_reads_tracks_is_given_them(
    folder: Path, fasta: Path, planted: dict[str, LabelledContig], tmp_path: Path
) -> None:
    """Probabilities are those of windows read with the values of their place, and other tracks are refused."""
    spec = json.loads((folder / "config.json").read_text())
    for name in ("x_plus", "x_minus"):
        steps = [
            (contig, at, at + 7, float(at % 11 + len(name))) for contig in ("one", "two") for at in range(0, 11_000, 20)
        ]
        lengths = {"two": 12_000, "tiny": 3, "gap": 400, "one": 12_000, "small": 12}
        pybigtools.open(str(tmp_path / f"{name}.bw"), "w").write(
            lengths, iter(sorted(steps, key=lambda step: step[0] == "one"))
        )
    given = {"rnaseq": [f"{tmp_path}/x_plus.bw", f"{tmp_path}/x_minus.bw"]}
    coverage = Coverage(given)
    spec["head"] |= {"tuned_size": 0, "other_channels": [1, 0]}
    spec["tracks"] = coverage.described()
    torch.manual_seed(0)
    model, _ = build_model(spec)
    save_model(folder, spec, model.state_dict())
    words: dict[str, Any] = {"model": str(folder), "input": str(fasta), "cache_dir": str(tmp_path / "cache")}
    output = f"{tmp_path / 'c.bw'}"
    annotate_file(**words, output=output, tracks=json.dumps(given), window_bp=20_000)
    found = pybigtools.open(str(tmp_path / "c.CDS.minus.bw")).values("one", 0, 12_000)
    reader = GeneReader.load(folder)
    alone = reader.read([planted["one"].codes], [coverage.values("one", 0, 12_000)])[0, 1, :12_000, 2]
    np.testing.assert_allclose(found, alone, atol=1e-3)
    silent = reader.read([planted["one"].codes], [np.zeros((2, 12_000), np.float32)])[0, 1, :12_000, 2]
    assert np.abs(silent - alone).max() > 0.01
    swapped = json.dumps({"rnaseq": given["rnaseq"][::-1]})
    for tracks, match in {"": r"rnaseq x \(pair: plus, minus\)\. .*tracks=", swapped: "minus, plus"}.items():
        with pytest.raises(ConfigError, match=match):
            annotate_file(**words, output=output, tracks=tracks)


@pytest.mark.usefixtures("knows")
def test_planted_genes_are_found_and_written(
    run: RunAnnotate, tmp_path: Path, fasta: Path, planted: dict[str, LabelledContig]
) -> None:
    outputs = [tmp_path / name for name in ("g.gff3", "g.faa", "classes.bw", "c.bedgraph")]
    count = run(output=",".join(map(str, outputs)))
    store = GenomeStore.build(fasta, tmp_path / "cache")
    models = read_genes(outputs[0], store)
    assert models.counts["masked"] == {}
    found = {(gene.contig, gene.strand, gene.cds) for gene in models.genes}
    true = {(name, gene.strand, gene.cds) for name, contig in planted.items() for gene in contig.genes}
    assert len(found) == count
    assert len(true - found) <= 2  # a gene at a cut may be missed
    assert len(found - true) <= 2
    lines = outputs[0].read_text().splitlines()
    assert lines[0] == "##gff-version 3"
    assert [line.split()[1:] for line in lines if line.startswith("##sequence-region")] == [
        [contig.name, "1", str(contig.length)] for contig in store.contigs
    ]
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    assert {row[2] for row in rows} == {"gene", "mRNA", "exon", "CDS"}
    assert all(0 <= float(row[5]) <= 1 for row in rows)
    assert {row[7] for row in rows if row[2] == "CDS"} == {"0"}
    order = {contig.name: number for number, contig in enumerate(store.contigs)}
    assert rows == sorted(rows, key=lambda row: (order[row[0]], int(row[3])))
    proteins = [str(record.seq) for record in SeqIO.parse(outputs[1], "fasta")]
    assert len(proteins) == count
    assert not any("*" in protein for protein in proteins)
    # Tracks have what the network says of every base.
    labels = planted["one"].labels
    for number, name in enumerate(("intergenic", "UTR", "CDS", "intron")):
        for row, strand in enumerate(("plus", "minus")):
            with pybigtools.open(str(tmp_path / f"classes.{name}.{strand}.bw")) as track:
                values = track.values("one")
                assert track.chroms() == {contig.name: contig.length for contig in store.contigs}
                gap = track.values("gap")
            np.testing.assert_allclose(values, 0.025 + 0.9 * (labels.classes[row] == number), atol=6e-4)
            np.testing.assert_allclose(gap, 0 if name == "CDS" else 0.333, atol=1e-6)
            assert (tmp_path / f"c.{name}.{strand}.bedgraph").read_text().startswith("gap\t0\t400\t")
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".partial")] == []


class _StopError(Exception):
    pass


@pytest.mark.parametrize("tracks", [False, True])
def test_a_stopped_run_goes_on_to_the_same_files(
    run: RunAnnotate, tmp_path: Path, knows: list[int], tracks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outputs(name: str) -> str:
        return f"{tmp_path}/{name}/g.gff3,{tmp_path}/{name}/g.faa" + f",{tmp_path}/{name}/c.bw" * tracks

    def files(name: str) -> dict[str, bytes]:
        found = (tmp_path / name).iterdir()  # their notes name their folders
        return {path.name: path.read_bytes() for path in found if path.suffix not in (".lock", ".json")}

    run(output=outputs("whole"))
    whole = len(knows)
    read = GeneReader.read
    for allowed in (2, 3, 5, 6):
        del knows[:]
        left = [allowed]

        def stopping(
            self: GeneReader, windows: Sequence[Codes], _: Sequence[np.ndarray] = (), left: list[int] = left
        ) -> np.ndarray:
            left[0] -= 1
            if left[0] < 0:
                raise _StopError
            return read(self, windows)

        name = f"stopped{allowed}"
        monkeypatch.setattr(GeneReader, "read", stopping)
        with pytest.raises(_StopError):
            run(output=outputs(name))
        assert not any((tmp_path / name).glob("g.*"))
        shutil.copytree(tmp_path / name, tmp_path / f"{name}.again")
        monkeypatch.setattr(GeneReader, "read", read)
        with pytest.raises(ConfigError, match=r"temperature \(0\.05 there, 0\.1 here\)"):
            run(output=outputs(name), temperature=0.1)
        before = len(knows)
        run(output=outputs(name))
        assert files(name) == files("whole")
        assert len(knows) - before < whole  # what was done is not read again
    run(output=outputs(f"{name}.again"), temperature=0.1, restart=True)
    assert set(files(f"{name}.again")) == set(files("whole"))


@pytest.mark.usefixtures("knows")
@pytest.mark.parametrize("offsets", [1, 3])
@pytest.mark.parametrize("decode", DECODERS)
def test_progress_counts_each_base_once_its_genes_are_known(
    decode: str, offsets: int, run: RunAnnotate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    monkeypatch.setattr(Bar, "update", lambda self, count: counted.append(count))
    decoded: list[float] = []
    whole = GenomeGenes._decoded  # a private one: what is counted meanwhile is shown by nothing else

    def timed(self: GenomeGenes, *given: Any) -> Any:
        before = sum(counted)
        genes = whole(self, *given)
        decoded.append(sum(counted) - before)
        return genes

    monkeypatch.setattr(GenomeGenes, "_decoded", timed)
    run(output=str(tmp_path / "g.gff3"), decode=decode, offsets=offsets)
    assert min(counted) >= 0
    total = sum(len(line) for line in (tmp_path / "genome.fa").read_text().splitlines() if line[0] != ">")
    assert sum(counted) == pytest.approx(total, rel=0.01)
    assert sum(decoded) == pytest.approx(total * DECODING[decode] / (offsets + DECODING[decode]), rel=0.01)


def test_a_damaged_file_of_genes_is_made_again(
    run: RunAnnotate,
    tmp_path: Path,
    knows: list[int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run(output=f"{tmp_path}/whole.gff3")
    with monkeypatch.context() as changed:
        changed.setattr("gulmfit.commands.annotate.numbered", lambda *args, **options: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(output=f"{tmp_path}/g.gff3")
    kept = sorted((tmp_path / ".g.gff3.partial").glob("*.genes.json"))
    assert len(kept) > 1
    kept[1].write_text(kept[1].read_text()[:-20])
    before = len(knows)
    run(output=f"{tmp_path}/g.gff3")
    assert "1.genes.json is damaged" in caplog.text
    assert 0 < len(knows) - before < before / 2
    assert (tmp_path / "g.gff3").read_bytes() == (tmp_path / "whole.gff3").read_bytes()


@pytest.mark.usefixtures("knows")
def test_scores_are_filtered_and_what_the_model_was_tuned_to_is_used(
    run: RunAnnotate, tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def scores(**options: Any) -> list[float]:
        run(output=f"{tmp_path}/g.gff3", **options)
        rows = [line.split("\t") for line in (tmp_path / "g.gff3").read_text().splitlines() if line[0] != "#"]
        return [float(row[5]) for row in rows if row[2] == "gene"]

    untuned = scores()
    assert "tuned decoder" in caplog.text
    caplog.clear()
    decoder = OrfDecoder(temperature=0.1, constant=-3.0, starts=("ATG",))
    Decoding(decoder=decoder, calibration=GeneCalibration(0.05, 0.0)).save(folder)
    tuned = scores()
    assert caplog.text.count("no tuned decoder") == 0
    assert 0 < len(tuned) < len(untuned)  # genes with other starts
    cut = (min(tuned) + max(tuned)) / 2
    kept = [score for score in tuned if score >= cut]
    assert 0 < len(kept) < len(tuned)
    assert scores(confidence=cut) == kept
    assert scores(temperature=0.2) != tuned
    assert "calibrated at 0.1" in caplog.text
    assert len(scores(genetic_code=1)) > 0
    assert "genetic_code=1" not in caplog.text  # the same codons stop
    assert len(scores(genetic_code=4)) > 0
    assert "its stop codons are TAA, TAG, those" in caplog.text
    assert "transl_table=4" in (tmp_path / "g.gff3").read_text()
    scores(decode="genes")
    assert re.search(r"tuned decoder .*\bkind\b", caplog.text)
    assert "transl_table=11" in (tmp_path / "g.gff3").read_text()


def test_a_network_gives_each_window_what_it_gives_it_alone(folder: Path) -> None:
    reader = GeneReader.load(folder, "cpu")
    generator = np.random.default_rng(0)
    windows = [generator.integers(0, 5, length).astype(np.uint8) for length in (200, 9, 6, 77, 200)]
    together = reader.read(windows)
    assert together.shape == (5, 2, 200, 8)
    for row, codes in zip(together, windows, strict=True):
        alone = reader.read([codes])[0, :, : len(codes)]
        np.testing.assert_allclose(row[:, : len(codes)], alone, atol=1e-6)
        np.testing.assert_allclose(alone.reshape(2, -1, 2, 4).sum(-1), 1, atol=1e-5)


def test_a_network_annotates_as_it_is(run: RunAnnotate, tmp_path: Path) -> None:
    for decode_by in ("orfs", "genes"):
        assert run(output=f"{tmp_path}/g.gff3", decode=decode_by, temperature=1e-6) >= 0
        assert (tmp_path / "g.gff3").read_text().count("##sequence-region") == 5


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"output": "g.tsv"}, r"output=g\.tsv: .*genes.*\.gff3"),
        ({"output": "g.xyz"}, r"output=g\.xyz: no format .*\.gff3"),
        ({"genetic_code": 7}, "genetic code 7:"),
        ({"confidence": 1.5}, r"confidence=1\.5"),
        ({"temperature": 0.0}, r"temperature=0\.0"),
        ({"overlap_bp": 2000}, "overlap_bp=2000"),
        ({"window_bp": 5}, "window_bp=5"),
    ],
)
def test_options_out_of_range_are_refused(run: RunAnnotate, tmp_path: Path, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        run(**{"output": f"{tmp_path}/g.gff3", **options})
    assert not any(tmp_path.glob("*g.gff3*"))


def test_ambiguous_letters_can_be_refused(run: RunAnnotate, tmp_path: Path) -> None:
    with pytest.raises(SequenceError, match="'gap'"):
        run(output=f"{tmp_path}/g.gff3", ambiguity="error")


def test_other_models_find_no_genes(run: RunAnnotate, tmp_path: Path) -> None:
    fixtures = Path(__file__).resolve().parents[2] / "fixtures" / "models_of_0_1"
    for name in ("classes", "lm"):
        with pytest.raises(CheckpointError, match=r"no genes\b.*stage=label"):
            run(output=f"{tmp_path}/g.gff3", model=str(fixtures / name))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no such signal")
def test_a_killed_process_is_gone_on_from(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial, "SYNC_SECONDS", 0.1)  # long before the end, on any machine
    letters = np.random.default_rng(0).choice(list("ACGT"), 200_000)
    (tmp_path / "genome.fa").write_text(">a\n" + "".join(letters) + "\n")
    decoder = OrfDecoder(temperature=0.001, constant=0.0)  # so that a network that knows nothing finds genes
    Decoding(decoder=decoder).save(folder)
    words = {
        "model": str(folder), "input": f"{tmp_path}/genome.fa", "cache_dir": f"{tmp_path}/cache", "window_bp": 2000,
        "overlap_bp": 1500, "batch_size": 1,
    }  # fmt: skip
    journal = tmp_path / ".g.gff3.partial" / "0" / "journal.json"
    arguments = {"output": f"{tmp_path}/g.gff3", **words}
    process = multiprocessing.get_context("fork").Process(target=annotate_file, kwargs=arguments)
    process.start()
    while process.is_alive() and not (journal.exists() and json.loads(journal.read_text())["windows"]):
        time.sleep(0.02)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (tmp_path / "g.gff3").exists()
    left = json.loads(journal.read_text())["windows"]
    assert 0 < left < 200_000
    annotate_file(output=f"{tmp_path}/g.gff3", **words)  # type: ignore[arg-type]
    annotate_file(output=f"{tmp_path}/whole.gff3", **words)  # type: ignore[arg-type]
    assert (tmp_path / "g.gff3").read_bytes() == (tmp_path / "whole.gff3").read_bytes()
