"""`predict_file` from every kind of input to every kind of output."""

import csv
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gulmfit import checkpoint, cli
from gulmfit.commands.predict import predict_file
from gulmfit.errors import ConfigError, DataError, GulmfitError, SequenceError
from gulmfit.predict.predictor import Predictor
from gulmfit.predict.scans import genome
from gulmfit.quiet import is_quiet
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.genome.contigs import read_features

Text = Callable[..., str]
CALIBRATION = {"kind": "temperature", "temperature": 1.5, "knots": [], "threshold": 0.45}


@pytest.fixture
def model(make_model: Callable[..., Path]) -> Path:
    return make_model(calibration=CALIBRATION)


@pytest.fixture
def contigs(tmp_path: Path, random_text: Text) -> dict[str, str]:
    """Write genome.fa: names that look like numbers, one contig shorter than a window, one unreadable, one of N."""
    texts = {
        "10": random_text(333, 1, 0.02),
        "2": random_text(250, 2),
        "X": random_text(25, 3),
        "n": "N" * 90,
        "s": "AC",
    }
    (tmp_path / "genome.fa").write_text("".join(f">{name}\n{text}\n" for name, text in texts.items()))
    return texts


def predict(folder: Path, model: Path, input: str, output: str, **options: Any) -> None:
    names = ",".join(str(folder / name) for name in output.split(","))
    predict_file(
        model=str(model), input=str(folder / input), output=names, cache_dir=str(folder / "store"),
        **{key: str(folder / value) if key == "genome" else value for key, value in options.items()},
    )  # fmt: skip


def read_tsv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def read_bedgraph(path: Path) -> list[tuple[str, int, int, float]]:
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    return [(contig, int(start), int(end), float(value)) for contig, start, end, value in lines]


SCAN = {"window_bp": 30, "step_bp": 10}


@pytest.mark.parametrize("strand", ["forward", "both", "average"])
def test_every_output_of_a_scan_says_the_same(
    tmp_path: Path, model: Path, contigs: dict[str, str], strand: str, caplog: pytest.LogCaptureFixture
) -> None:
    import pyarrow.parquet
    import pybigtools

    caplog.set_level(logging.INFO)
    names = "a.tsv,a.parquet,a.bedgraph,a.bw,a.bed,a.windows.bed"
    predict(tmp_path, model, "genome.fa", names, strand=strand, **SCAN)
    assert re.search(r"\b1 contigs .*\b3 bases", caplog.text)
    assert "7 windows " in caplog.text  # all of contig "n"
    rows = read_tsv(tmp_path / "a.tsv")
    strands = {"forward": "+", "both": "+-", "average": "."}[strand]
    assert [row["contig"] for row in rows] == ["10"] * 32 * len(strands) + ["2"] * 23 * len(strands) + ["X"] * len(
        strands
    )
    assert {row["strand"] for row in rows} == set(strands)

    # The same as each window predicted by itself.
    predictor = Predictor.load(model)
    texts = [contigs[row["contig"]][int(row["start"]) : int(row["end"])] for row in rows]
    turned = [reverse_complement_text(t) if row["strand"] == "-" else t for row, t in zip(rows, texts, strict=True)]
    expected = predictor.predict(turned, strand="average" if strand == "average" else "forward")
    np.testing.assert_allclose([float(row["site"]) for row in rows], expected[:, 1], atol=2e-6)

    table = pyarrow.parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert [{**row, "start": str(row["start"]), "end": str(row["end"])}["id"] for row in table] == [
        r["id"] for r in rows
    ]
    np.testing.assert_allclose([row["site"] for row in table], [float(row["site"]) for row in rows], atol=1e-6)

    features = list(read_features(tmp_path / "a.windows.bed"))
    assert [(f.contig.encode(), f.start) for f in features] == sorted((f.contig.encode(), f.start) for f in features)
    value = {(row["contig"], int(row["start"]), row["strand"]): float(row["site"]) for row in rows}
    assert {(f.contig, f.start, f.strand): float(f.attributes["column7"]) for f in features} == value
    assert all(f.score == pytest.approx(1000 * value[f.contig, f.start, f.strand], abs=0.51) for f in features)

    for letter in strands:
        middle = {"+": ".plus", "-": ".minus"}[letter] if strand == "both" else ""
        lines = read_bedgraph(tmp_path / f"a{middle}.bedgraph")
        track = pybigtools.open(str(tmp_path / f"a{middle}.bw"))
        records = [(name, *record) for name in ("10", "2", "X") for record in track.records(name)]
        assert [line[:3] for line in lines] == [record[:3] for record in records]
        np.testing.assert_allclose([line[3] for line in lines], [record[3] for record in records], atol=1e-7)
        for contig in ("10", "2", "X"):
            own = [line for line in lines if line[0] == contig]
            assert [line[1] for line in own[1:]] == [line[2] for line in own[:-1]]  # neither gap nor overlap
            assert (own[0][1], own[-1][2]) == (0, len(contigs[contig]))
            assert [line[3] for line in own] == [v for (c, _, s), v in value.items() if c == contig and s == letter]

    calls = list(read_features(tmp_path / "a.bed"))
    assert calls, "the test needs a call"
    assert [(f.contig.encode(), f.start) for f in calls] == sorted((f.contig.encode(), f.start) for f in calls)
    above = {key for key, score in value.items() if score >= 0.45}
    for call in calls:
        inside = {k for k in above if k[0] == call.contig and k[2] == call.strand and call.start <= k[1] < call.end}
        assert int(call.attributes["column11"]) == len(inside)
        assert float(call.attributes["column10"]) == max(value[key] for key in inside)
        assert value[call.contig, int(call.attributes["column7"]), call.strand] == float(call.attributes["column10"])
    assert sum(int(call.attributes["column11"]) for call in calls) == len(above)
    assert not list(tmp_path.glob(".*"))


def test_a_stopped_scan_goes_on_to_the_same_bytes(
    tmp_path: Path,
    model: Path,
    contigs: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(genome, "WINDOWS_AT_ONCE", 7)
    names = [f"a{suffix}" for suffix in (".tsv", ".plus.bw", ".minus.bw", ".bed", ".windows.bed", ".parquet")]
    words = {"strand": "both", **SCAN}
    predict(tmp_path, model, "genome.fa", "a.tsv,a.bw,a.bed,a.windows.bed,a.parquet", **words)
    whole = [(tmp_path / name).read_bytes() for name in names]
    for name in names:
        (tmp_path / name).unlink()
    score, blocks = genome.Scan.score, []

    def stopping(scan: genome.Scan, first: int, last: int) -> np.ndarray:
        blocks.append(first)
        if len(blocks) in (3, 6):
            raise KeyboardInterrupt
        return score(scan, first, last)

    monkeypatch.setattr(genome.Scan, "score", stopping)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            predict(tmp_path, model, "genome.fa", "a.tsv,a.bw,a.bed,a.windows.bed,a.parquet", **words)
        assert not any((tmp_path / name).exists() for name in names)
    with pytest.raises(ConfigError, match="step_bp"):
        predict(tmp_path, model, "genome.fa", "a.tsv", strand="both", window_bp=30, step_bp=11)
    predict(tmp_path, model, "genome.fa", "a.tsv,a.bw,a.bed,a.windows.bed,a.parquet", **words)
    assert "after 14 of 63 windows" in caplog.text
    assert [(tmp_path / name).read_bytes() for name in names] == whole
    assert not list(tmp_path.glob(".*"))
    assert blocks == [0, 7, 14, 14, 21, 28, *range(28, 63, 7)]


@pytest.mark.parametrize("strand", ["forward", "both", "average"])
def test_features_are_read_from_their_genome(tmp_path: Path, model: Path, contigs: dict[str, str], strand: str) -> None:
    (tmp_path / "f.bed").write_text(
        "X\t3\t20\tfirst\t0\t-\n2\t10\t40\t.\t0\t+\n10\t200\t260\tlast\t0\t.\n2\t0\t10\tb\t0\t-\n"
    )
    predict(tmp_path, model, "f.bed", "a.tsv,a.bed,a.bedgraph,a.bw", genome="genome.fa", strand=strand, raw=True)
    rows = read_tsv(tmp_path / "a.tsv")
    assert [row["id"] for row in rows[:: 2 if strand == "both" else 1]] == ["first", "2:10-40:+", "last", "b"]
    texts = [contigs[row["contig"]][int(row["start"]) : int(row["end"])] for row in rows]
    turned = [reverse_complement_text(t) if row["strand"] == "-" else t for row, t in zip(rows, texts, strict=True)]
    predictor = Predictor.load(model)
    reading = "average" if strand == "average" else "forward"
    np.testing.assert_allclose(
        [float(row["site"]) for row in rows], predictor.predict(turned, strand=reading)[:, 1], atol=2e-6
    )
    np.testing.assert_allclose(
        [float(row["raw:site"]) for row in rows], predictor.predict(turned, strand=reading, raw=True)[:, 1], atol=2e-6
    )
    if strand == "both":
        assert [row["strand"] for row in rows] == ["-", "+", "+", "-", "+", "-", "-", "+"]
        assert (
            len(read_bedgraph(tmp_path / "a.plus.bedgraph")) == len(read_bedgraph(tmp_path / "a.minus.bedgraph")) == 4
        )
    else:
        values = {(row["contig"], int(row["start"]), int(row["end"])): float(row["site"]) for row in rows}
        assert [line[:3] for line in read_bedgraph(tmp_path / "a.bedgraph")] == [
            ("10", 200, 260), ("2", 0, 10), ("2", 10, 40), ("X", 3, 20)
        ]  # fmt: skip
        assert {line[:3]: line[3] for line in read_bedgraph(tmp_path / "a.bedgraph")} == values
    bed = list(read_features(tmp_path / "a.bed"))
    assert sorted(f"{f.contig}:{f.start}{f.strand}" for f in bed) == sorted(
        f"{row['contig']}:{row['start']}{row['strand']}" for row in rows
    )


def test_kinds_of_features_can_be_chosen(tmp_path: Path, model: Path, contigs: dict[str, str]) -> None:
    lines = [
        "10\tx\tCDS\t11\t50\t.\t-\t0\tID=a",
        "10\tx\ttRNA\t61\t90\t.\t+\t.\tID=b",
        "2\tx\tgene\t1\t90\t.\t+\t.\tID=c",
    ]
    (tmp_path / "f.gff3").write_text("##gff-version 3\n" + "\n".join(lines) + "\n")
    predict(tmp_path, model, "f.gff3", "a.tsv", genome="genome.fa", features="CDS,tRNA")
    rows = read_tsv(tmp_path / "a.tsv")
    assert [(row["id"], row["start"], row["end"], row["strand"]) for row in rows] == [
        ("a", "10", "50", "-"), ("b", "60", "90", "+")
    ]  # fmt: skip


def test_both_strands_of_records(tmp_path: Path, model: Path, contigs: dict[str, str]) -> None:
    (tmp_path / "in.csv").write_text("".join(f"{line}\n" for line in ["name,dna", "a,ACGTACGTTTGA", "b,TTGACCA"]))
    predict(tmp_path, model, "in.csv", "a.tsv", sequence="dna", id="name", strand="both")
    predict(tmp_path, model, "in.csv", "b.tsv", sequence="dna", id="name", strand="average", raw=True)
    both, average = read_tsv(tmp_path / "a.tsv"), read_tsv(tmp_path / "b.tsv")
    assert [(row["id"], row["strand"]) for row in both] == [("a", "+"), ("a", "-"), ("b", "+"), ("b", "-")]
    predictor = Predictor.load(model)
    expected = predictor.predict(["ACGTACGTTTGA", "TCAAACGTACGT", "TTGACCA", "TGGTCAA"])[:, 1]
    np.testing.assert_allclose([float(row["site"]) for row in both], expected, atol=2e-6)
    assert list(average[0]) == ["id", "background", "site", "raw:background", "raw:site", "predicted"]


def test_a_quiet_command_prints_its_errors_alone(
    tmp_path: Path, model: Path, contigs: dict[str, str], monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words = [f"model={model}", f"input={tmp_path / 'genome.fa'}", "window_bp=30", f"cache_dir={tmp_path / 'store'}"]
    told = []
    for name, more in (("a", "quiet=false"), ("b", "quiet=true")):
        argv = ["gulmfit-predict", *words, f"output={tmp_path / name}.tsv", more]
        monkeypatch.setattr("sys.argv", argv)
        monkeypatch.setattr(logging.root, "handlers", [])  # those of pytest, with which the command would set up none
        cli.predict()
        told.append("".join(capfd.readouterr()))
    assert "windows in" in told[0]
    assert told[1] == ""
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()
    assert not is_quiet()  # the next command in this process speaks
    for wrong in (["quiet=true", "step_bp=-1"], ["quiet=perhaps"]):
        monkeypatch.setattr("sys.argv", ["gulmfit-predict", *words, f"output={tmp_path / 'c.tsv'}", *wrong])
        with pytest.raises(SystemExit) as ended:
            cli.predict()
        assert wrong[-1] in str(ended.value.code)


def test_the_predicted_class_is_that_of_the_validated_threshold(
    tmp_path: Path, make_model: Callable[..., Path], contigs: dict[str, str]
) -> None:
    for cut in (0.05, 0.5, 0.95):
        two = make_model(calibration={"kind": "temperature", "temperature": 3.0, "threshold": cut}, name=f"two{cut}")
        predict(tmp_path, two, "genome.fa", "a.tsv,a.parquet,a.jsonl", **SCAN)
        rows = read_tsv(tmp_path / "a.tsv")
        expected = ["site" if float(row["site"]) >= cut else "background" for row in rows]
        assert [row["predicted"] for row in rows] == expected
        lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
        assert [list(line) for line in lines] == [list(row) for row in rows]
        for line, row in zip(lines, rows, strict=True):
            assert {key: f"{one:.6f}" if isinstance(one, float) else str(one) for key, one in line.items()} == row
    names = ("a", "predicted")  # a label may have the name of the column
    words: dict[str, Any] = {"head": "MultiLabelClassifier", "classes": names, "name": "labels"}
    predict(tmp_path, make_model(**words), "genome.fa", "l.tsv", **SCAN)
    rows, found = read_tsv(tmp_path / "l.tsv"), set()
    cuts = [float(np.median([float(row[name]) for row in rows])) for name in names]
    own = {"targets": "label_sets", "kind": "none", "temperatures": [], "thresholds": cuts}
    predict(tmp_path, make_model(**words, calibration=own), "genome.fa", "l.tsv", **SCAN)
    for row in read_tsv(tmp_path / "l.tsv"):
        there = [name for name, cut in zip(names, cuts, strict=True) if float(row[name]) > cut + 1e-6]
        unsure = [name for name, cut in zip(names, cuts, strict=True) if abs(float(row[name]) - cut) <= 1e-6]
        assert unsure or row["record_predicted"] == ";".join(there)
        found.add(row["record_predicted"])
    assert len(found) > 1
    values = make_model(head="SequenceRegressor", classes=("strength",), name="values")
    predict(tmp_path, values, "genome.fa", "v.tsv", **SCAN)
    assert list(read_tsv(tmp_path / "v.tsv")[0])[-1] == "strength"


@pytest.mark.parametrize("strand", ["forward", "both"])
def test_whole_records_as_bed(tmp_path: Path, model: Path, contigs: dict[str, str], strand: str) -> None:
    (tmp_path / "long.fa").write_text("".join(f">{name}\n{text}\n" for name, text in contigs.items() if len(text) > 2))
    predict(tmp_path, model, "long.fa", "a.records.bed,a.tsv", strand=strand)
    rows = {(row["id"], row.get("strand", "+")): row["site"] for row in read_tsv(tmp_path / "a.tsv")}
    lines = [line.split("\t") for line in (tmp_path / "a.records.bed").read_text().splitlines()]
    assert [line[0] for line in lines] == sorted(name for name, _ in rows)
    for contig, start, end, name, _, sign, value in lines:
        assert (contig, int(start), int(end)) == (name, 0, len(contigs[name]))
        assert value == rows.pop((name, sign))
    assert not rows


def test_a_window_as_long_as_in_training_loads_the_model_once(
    tmp_path: Path, model: Path, contigs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="window_bp="):
        predict(tmp_path, model, "genome.fa", "a.bed")
    spec = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**spec, "sequence_bp": 30}))
    loaded, load = [], checkpoint.load
    monkeypatch.setattr("gulmfit.predict.predictor.load", lambda path: loaded.append(path) or load(path))
    monkeypatch.setattr("gulmfit.checkpoint.load", None)
    predict(tmp_path, model, "genome.fa", "a.bedgraph", step_bp=10)
    predict(tmp_path, model, "genome.fa", "b.bedgraph", **SCAN)
    assert (tmp_path / "a.bedgraph").read_text() == (tmp_path / "b.bedgraph").read_text()
    assert len(loaded) == 2
    assert json.loads((tmp_path / "a.bedgraph.json").read_text())["options"]["window_bp"] == 30


def test_the_class_of_a_track_is_chosen(
    tmp_path: Path, make_model: Callable[..., Path], contigs: dict[str, str]
) -> None:
    three = make_model(classes=("a", "b", "c"), name="three")
    with pytest.raises(ConfigError, match=r"3 outputs: a, b, c.*positive="):
        predict(tmp_path, three, "genome.fa", "a.bedgraph", **SCAN)
    predict(tmp_path, three, "genome.fa", "a.bedgraph,a.tsv", positive="b", **SCAN)
    values = [float(row["b"]) for row in read_tsv(tmp_path / "a.tsv")]
    assert [line[3] for line in read_bedgraph(tmp_path / "a.bedgraph")] == values
    with pytest.raises(ConfigError, match=r"no threshold .*'b' .*threshold="):
        predict(tmp_path, three, "genome.fa", "a.bed", positive="b", **SCAN)
    predict(tmp_path, three, "genome.fa", "a.bed", positive="b", threshold=0.0, **SCAN)
    assert len((tmp_path / "a.bed").read_text().splitlines()) == 3  # every contig is one call


def test_labels_and_values_have_tracks_as_well(
    tmp_path: Path, make_model: Callable[..., Path], contigs: dict[str, str]
) -> None:
    own = {"targets": "label_sets", "kind": "temperature", "temperatures": [2.0, 0.5], "thresholds": [1.0, 0.0]}
    labels = make_model(head="MultiLabelClassifier", classes=("a", "b"), name="labels", calibration=own)
    predict(tmp_path, labels, "genome.fa", "a.bed,a.tsv", positive="a", **SCAN)
    assert not (tmp_path / "a.bed").read_text()
    predict(tmp_path, labels, "genome.fa", "b.bed", positive="b", **SCAN)
    assert len((tmp_path / "b.bed").read_text().splitlines()) == 3
    assert any(abs(float(row["a"]) + float(row["b"]) - 1) > 0.01 for row in read_tsv(tmp_path / "a.tsv"))
    values = make_model(head="SequenceRegressor", classes=("strength",), name="values")
    with pytest.raises(ConfigError, match="threshold="):
        predict(tmp_path, values, "genome.fa", "v.bed", **SCAN)
    predict(tmp_path, values, "genome.fa", "v.bed,v.tsv,v.bedgraph", threshold=-1e9, **SCAN)
    found = [float(row["strength"]) for row in read_tsv(tmp_path / "v.tsv")]
    assert [line[3] for line in read_bedgraph(tmp_path / "v.bedgraph")] == pytest.approx(found, abs=1e-6)
    assert {feature.score for feature in read_features(tmp_path / "v.bed")} == {0}


@pytest.mark.parametrize(
    ("output", "options", "error", "message"),
    [
        ("a.txt", {}, ConfigError, r"a\.txt: no format.*\.tsv"),
        ("a.tsv,a.tsv", {}, ConfigError, r"output=.*a\.tsv: two outputs"),
        ("store.tsv/a.tsv", {}, DataError, r"store\.tsv/a\.tsv .*written: "),
        ("folder.tsv", {}, DataError, r"folder\.tsv .*written: a folder"),
        ("a.bed", {}, ConfigError, r"output=.*a\.bed: .*\.records\.bed"),
        ("a.tsv", {"strand": "reverse"}, ConfigError, r"strand='reverse' .*\bforward\b.*\bboth\b.*\baverage\b"),
        ("a.tsv", {"batch_size": 0}, ConfigError, "batch_size=0"),
        ("a.tsv", {"step_bp": 5}, ConfigError, "needs window_bp="),
        ("a.tsv", {"features": "CDS"}, ConfigError, "genome="),
        ("a.tsv", {"threshold": 0.5}, ConfigError, "needs window_bp="),
        ("a.tsv", {"window_bp": 2}, ConfigError, r"window_bp=2: .*\b3 bases"),
        ("a.tsv", {"window_bp": 20, "genome": "genome.fa"}, ConfigError, r"^window_bp= .*genome= and features="),
        ("a.tsv", {"window_bp": 20, "max_ambiguous": 1.5}, ConfigError, "max_ambiguous=1.5"),
        ("a.tsv", {"window_bp": 20, "threshold": 0.5}, ConfigError, r"threshold=0\.5: .*calls; .*\.bed"),
        ("a.bed", {"window_bp": 20, "threshold": 1.5}, ConfigError, "threshold=1.5.*0 to 1"),
        ("a.bed", {"window_bp": 20, "positive": "sit"}, ConfigError, r"positive=sit: 'sit' .*\['background', 'site'\]"),
        (
            "a.bed",
            {"window_bp": 20, "positive": "background"},
            ConfigError,
            r"no threshold .*'background' .*threshold=",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    tmp_path: Path, model: Path, contigs: dict[str, str], output: str, options: dict[str, Any],
    error: type[GulmfitError], message: str,
) -> None:  # fmt: skip
    (tmp_path / "store.tsv").write_text("")
    (tmp_path / "folder.tsv").mkdir()
    before = {path.name for path in tmp_path.iterdir()} | {"store"}
    with pytest.raises(error, match=message):
        predict(tmp_path, model, "genome.fa", output, **options)
    assert {path.name for path in tmp_path.iterdir()} <= before


@pytest.mark.parametrize(
    ("name", "content", "options", "error", "message"),
    [
        ("f.bed", "2\t0\t10\n", {}, ConfigError, "genome="),
        ("f.bed", "2\t240\t251\n", {"genome": "genome.fa"}, DataError, r"f\.bed, line 1.*250"),
        ("f.bed", "2\t0\t9\nchr2\t0\t10\n", {"genome": "genome.fa"}, DataError, r"f\.bed, line 2.*chr2"),
        ("f.bed", "2\t0\t2\n", {"genome": "genome.fa"}, SequenceError, "2:0-2"),
        ("f.bed", "\n", {"genome": "genome.fa"}, DataError, "no BED record"),
        ("f.gff3", "2\tx\tgene\t1\t9\t.\t+\t.\tID=c\n", {"genome": "genome.fa", "features": "CDS"}, DataError, "CDS"),
        ("f.fa", "", {}, SequenceError, "empty file"),
        ("f.fa", "", {"window_bp": 20}, SequenceError, "empty file"),
        ("f.fa", ">a\nAC\n", {"window_bp": 20}, DataError, r"no contig .*\b3 bases"),
    ],
)
def test_bad_input_is_told_and_leaves_nothing(
    tmp_path: Path, model: Path, contigs: dict[str, str], name: str, content: str, options: dict[str, Any],
    error: type[GulmfitError], message: str,
) -> None:  # fmt: skip
    (tmp_path / name).write_text(content)
    with pytest.raises(error, match=message):
        predict(tmp_path, model, name, "out/a.tsv", **options)
    assert not list(tmp_path.glob("out/*"))


def test_features_that_overlap_make_no_track(tmp_path: Path, model: Path, contigs: dict[str, str]) -> None:
    (tmp_path / "f.bed").write_text("2\t0\t20\tone\n2\t19\t40\tother\n")
    with pytest.raises(DataError, match="'one' and 'other' overlap"):
        predict(tmp_path, model, "f.bed", "out/a.bedgraph,out/a.tsv", genome="genome.fa")
    assert not list((tmp_path / "out").iterdir())


def test_a_scan_has_windows_as_long_as_what_was_learned(
    tmp_path: Path, model: Path, contigs: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    spec = model / "config.json"
    spec.write_text(json.dumps(json.loads(spec.read_text()) | {"sequence_bp": 30}))
    predict(tmp_path, model, "genome.fa", "a.bedgraph")
    predict(tmp_path, model, "genome.fa", "b.bedgraph", window_bp=30)
    assert (tmp_path / "a.bedgraph").read_bytes() == (tmp_path / "b.bedgraph").read_bytes()
    assert "window_bp=30: " in caplog.text
    assert json.loads((tmp_path / "a.bedgraph.json").read_text())["options"]["window_bp"] == 30
    table = tmp_path / "t.csv"
    table.write_text(f"sequence\n{contigs['10'][:40]}\n")
    with pytest.raises(ConfigError, match=r"output=.*t\.bed: .*\.records\.bed"):  # records have no place
        predict(tmp_path, model, "t.csv", "t.bed")
