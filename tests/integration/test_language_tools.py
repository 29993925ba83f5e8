"""`gulmfit-score`, `gulmfit-generate` and `gulmfit-embed` from end to end, on small models with random weights."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gulmfit.cli
from gulmfit.checkpoint import build_model, save_model
from gulmfit.commands.embed import embed_file
from gulmfit.commands.generate import generate_file
from gulmfit.commands.score import score_file
from gulmfit.predict.language.likelihood import LikelihoodScorer
from gulmfit.predict.language.vectors import Embedder
from gulmfit.seq.formats.fasta import read_fasta
from tests.integration.conftest import run

LENGTHS = {"long": 2501, "short": 130, "gap": 900}

SCORE: dict[str, Any] = {
    "window_bp": 100, "step_bp": 0, "strand": "forward", "batch_size": 4, "precision": "32", "sequence": "sequence",
    "id": "",
}  # fmt: skip
EMBED: dict[str, Any] = {
    "level": "sequence", "layer": "last", "pooling": "concat", "strand": "forward", "batch_size": 4, "precision": "32",
    "sequence": "sequence", "id": "", "label": "", "map": "", "seed": 0,
}  # fmt: skip
GENERATE: dict[str, Any] = {
    "num_sequences": 12, "length_bp": 150, "temperature": 1.0, "top_k": 0, "prompt": "", "seed": 0, "batch_size": 5,
    "compare": "",
}  # fmt: skip


def save(folder: Path, head: dict[str, Any], classes: list[str]) -> str:
    spec = {
        "arch": {"_target_": "gulmfit.models.awd_rnn.AWDRNN", "embed_size": 8, "hidden_size": 12, "num_layers": 2},
        "head": head,
        "dropout": dict.fromkeys(("embed_p", "input_p", "weight_p", "hidden_p", "output_p"), 0.0),
        "tokenizer": {"_target_": "gulmfit.seq.tokens.tokenizer.KmerTokenizer", "k": 3, "stride": 2},
        "classes": classes,
        "positive": None,
    }
    torch.manual_seed(0)
    model, _ = build_model(spec)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    save_model(folder, spec, model.state_dict())
    return str(folder)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A language model, a classifier, a genome, and a table of 30 sequences whose labels are easy to see."""
    folder = tmp_path_factory.mktemp("tools")
    random = np.random.default_rng(0)

    def draw(length: int, shares: tuple[float, ...] = (0.25,) * 4) -> str:
        return "".join(random.choice(list("ACGT"), size=length, p=shares))

    genome = folder / "genome.fa"
    records = {name: draw(length) for name, length in LENGTHS.items()}
    records["gap"] = records["gap"][:400] + "N" * 100 + records["gap"][500:]
    genome.write_text("".join(f">{name} words\n{text}\n" for name, text in records.items()))
    table = folder / "labelled.csv"
    rich, poor = (0.1, 0.4, 0.4, 0.1), (0.4, 0.1, 0.1, 0.4)
    rows = [
        f"r{number},{draw(60, rich if number % 2 else poor)},{'rich' if number % 2 else 'poor'}" for number in range(30)
    ]
    table.write_text("name,sequence,kind\n" + "\n".join(rows) + "\n")
    return {
        "lm": save(folder / "lm", {"_target_": "gulmfit.models.language_model.LanguageModel"}, []),
        "classifier": save(
            folder / "classifier", {"_target_": "gulmfit.models.classifier.SequenceClassifier"}, ["no", "yes"]
        ),
        "genome": str(genome),
        "table": str(table),
    }


def test_score_writes_the_same_track_in_both_formats(files: dict[str, str], tmp_path: Path) -> None:
    pybigtools = pytest.importorskip("pybigtools")
    words = [f"model={files['lm']}", f"input={files['genome']}", "window_bp=100"]
    printed = run(*words, f"output={tmp_path / 'bits.bedgraph'}", cwd=tmp_path, command="score").stdout
    assert re.search(r"bits per base .*\b3,428 bases", printed)  # all but N and the last of each stretch of even length
    rows = [line.split("\t") for line in (tmp_path / "bits.bedgraph").read_text().splitlines()]
    assert {row[0] for row in rows} == set(LENGTHS)
    assert [row[:3] for row in rows][-3:] == [["long", "2500", "2501"], ["short", "0", "100"], ["short", "100", "130"]]
    assert [(row[0], int(row[1])) for row in rows] == sorted((row[0], int(row[1])) for row in rows)
    assert ["gap", "400", "500"] not in [row[:3] for row in rows]
    score_file(model=files["lm"], input=files["genome"], output=str(tmp_path / "bits.bw"), **SCORE)
    track = pybigtools.open(str(tmp_path / "bits.bw"))
    assert track.chroms() == LENGTHS
    for name in LENGTHS:
        expected = [
            (int(row[1]), int(row[2]), pytest.approx(float(row[3]), abs=1e-4)) for row in rows if row[0] == name
        ]
        assert list(track.records(name)) == expected
    tracks = ["bits.bedgraph", "bits.bw"]  # and nothing else is left but a note next to each
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*tracks, *(f"{name}.json" for name in tracks)])


def test_a_table_of_records_adds_up_to_the_track(files: dict[str, str], tmp_path: Path) -> None:
    track = score_file(model=files["lm"], input=files["genome"], output=str(tmp_path / "a.bedgraph"), **SCORE)
    table = score_file(model=files["lm"], input=files["genome"], output=str(tmp_path / "a.tsv"), **SCORE)
    header, *rows = [line.split("\t") for line in (tmp_path / "a.tsv").read_text().splitlines()]
    assert header == ["id", "length_bp", "scored_bp", "bits", "bits_per_base"]
    sequences = {record.id: record.sequence for record in read_fasta(files["genome"])}
    nats, bases = LikelihoodScorer.load(files["lm"]).score(list(sequences.values()))
    for row, name, value, scored in zip(rows, sequences, nats, bases, strict=True):
        assert (row[0], int(row[1]), float(row[2])) == (name, len(sequences[name]), scored)
        assert float(row[3]) == pytest.approx(-value / math.log(2), rel=1e-5)
    # Only at the gap do they differ: a record is read through it, a track starts afresh.
    assert track == pytest.approx(table, abs=0.01)


def test_generate_compares_with_a_genome(files: dict[str, str], tmp_path: Path) -> None:
    output = tmp_path / "drawn.fasta"
    words = [f"model={files['lm']}", f"output={output}", "num_sequences=12", "length_bp=150", "prompt=ACGTA"]
    printed = run(*words, f"compare={files['genome']}", cwd=tmp_path, command="generate").stdout
    records = list(read_fasta(output))
    assert len(records) == 12
    assert all(len(record.sequence) == 150 and record.sequence.startswith("ACGTA") for record in records)
    nats, bases = LikelihoodScorer.load(files["lm"]).score([record.sequence for record in records])
    written = [float(record.description.split("bits_per_base=")[1].split()[0]) for record in records]
    np.testing.assert_allclose(written, -nats / bases / math.log(2), atol=1e-3)
    assert "pieces of the genome" in printed
    page = output.with_suffix(".html").read_text()
    assert page.count('<img src="data:image/svg+xml') == 2
    again = tmp_path / "again.fasta"
    generate_file(model=files["lm"], output=str(again), **{**GENERATE, "prompt": "ACGTA"})
    assert again.read_text() == output.read_text()


@pytest.mark.parametrize("model", ["lm", "classifier"])
def test_embed_writes_the_same_vectors_in_both_formats(files: dict[str, str], tmp_path: Path, model: str) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    options = {**EMBED, "id": "name", "label": "kind"}
    for level, strand in (("sequence", "average"), ("token", "forward"), ("base", "average")):
        for suffix in ("parquet", "npz"):
            embed_file(
                model=files[model], input=files["table"], output=str(tmp_path / f"{level}.{suffix}"),
                **{**options, "level": level, "strand": strand},
            )  # fmt: skip
        table = parquet.read_table(tmp_path / f"{level}.parquet")
        arrays = np.load(tmp_path / f"{level}.npz")
        vectors = np.stack(table["vector"].to_numpy())
        np.testing.assert_array_equal(vectors, arrays["vectors"])
        assert vectors.shape == {"sequence": (30, 24), "token": (30 * 29, 8), "base": (30 * 60, 8)}[level]
        rows = len(vectors) // 30
        assert table["id"].to_pylist() == np.repeat(arrays["ids"], rows).tolist()
        assert table["label"].to_pylist() == np.repeat(arrays["labels"], rows).tolist()
        if level != "sequence":
            np.testing.assert_array_equal(np.stack([table["start"], table["end"]], axis=1), arrays["spans"])
            assert arrays["offsets"].tolist() == list(range(0, len(vectors) + 1, rows))
    sequences = [line.split(",")[1] for line in Path(files["table"]).read_text().splitlines()[1:]]
    spelled = parquet.read_table(tmp_path / "base.parquet")["base"].to_pylist()
    assert "".join(spelled) == "".join(sequences)
    words = parquet.read_table(tmp_path / "token.parquet")
    assert words["token"].to_pylist()[:29] == [sequences[0][start : start + 3] for start in range(0, 58, 2)]
    found = list(Embedder.load(files[model]).embed(enumerate_records(sequences), strand="average"))
    expected = np.load(tmp_path / "sequence.npz")["vectors"]
    np.testing.assert_allclose(np.concatenate([one.vectors for one in found]), expected, atol=1e-6)


def enumerate_records(sequences: list[str]) -> list[tuple[str, str]]:
    return [(str(number), sequence) for number, sequence in enumerate(sequences)]


def test_parquet_is_written_in_row_groups(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    whole, parts = tmp_path / "whole.parquet", tmp_path / "parts.parquet"
    embed_file(model=files["lm"], input=files["table"], output=str(whole), **EMBED)
    monkeypatch.setattr("gulmfit.commands.embed.VALUES_OF_A_ROW_GROUP", 24 * 7)
    embed_file(model=files["lm"], input=files["table"], output=str(parts), **EMBED)
    assert parquet.ParquetFile(parts).num_row_groups == 5
    assert parquet.read_table(parts).equals(parquet.read_table(whole))
    assert parquet.read_metadata(parts).metadata[b"pooling"] == b"concat"


def test_embed_draws_a_map(files: dict[str, str], tmp_path: Path) -> None:
    words = [f"model={files['lm']}", f"input={files['table']}", "output=v.npz", "map=pages/map.html"]
    printed = run(*words, "label=kind", "pooling=mean", cwd=tmp_path, command="embed", rendered=True).stdout
    assert "tell its label in" in printed
    page = (tmp_path / "pages" / "map.html").read_text()
    assert page.count('<img src="data:image/') == 2
    assert "labels shuffled" in page


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        ("score", ["output=a.bed"], r"output=a\.bed: .*tracks .*\.bedgraph"),
        ("score", ["output=a.bedgraph", "window_bp=100", "step_bp=30"], r"window_bp=100\b.*\bstep\b"),
        ("embed", ["output=a.csv"], r"output=a\.csv: .*\.parquet .*\.npz"),
        ("embed", ["output=a.npz", "level=base", "map=m.html"], r"map=m\.html: .*level=sequence"),
        ("embed", ["output=a.npz", "label=kind"], r"label=kind: .*\bcolumns\b"),
        ("generate", ["output=a.bam"], r"output=a\.bam: .*\.fasta"),
        ("generate", ["output=a.fa", "temperature=hot"], "temperature=hot: "),
    ],
)
def test_mistakes_are_named_and_leave_nothing(
    files: dict[str, str], tmp_path: Path, command: str, words: list[str], message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    given = [] if command == "generate" else [f"input={files['genome']}"]
    monkeypatch.setattr("sys.argv", ["gulmfit", f"model={files['lm']}", *given, *words])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message):
        getattr(gulmfit.cli, command)()
    assert not list(tmp_path.iterdir())


def test_a_classifier_has_no_likelihood(files: dict[str, str], tmp_path: Path) -> None:
    from gulmfit.errors import CheckpointError

    with pytest.raises(CheckpointError, match=r"language model: .*stage=pretrain"):
        score_file(model=files["classifier"], input=files["genome"], output=str(tmp_path / "a.tsv"), **SCORE)
