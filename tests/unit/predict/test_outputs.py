"""A format is one row of the registry: what it needs to be written from records, features and genome scans."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gulmfit.commands.predict import predict_file
from gulmfit.errors import ConfigError, SequenceError
from gulmfit.files import whole_file
from gulmfit.predict import predictor, progress
from gulmfit.predict.outputs import registry as outputs
from gulmfit.predict.outputs.registry import FEATURES, FORMATS, GENOMIC, RECORDS, WINDOWS, Format, parse_outputs
from gulmfit.predict.outputs.track_files import OnGenome
from gulmfit.predict.outputs.writers import Columns, Row, Write
from gulmfit.predict.scans import genome

INPUTS = {
    RECORDS: {"input": "in.fa"},
    FEATURES: {"input": "in.bed", "genome": "in.fa"},
    WINDOWS: {"input": "in.fa", "window_bp": 20, "step_bp": 10},
}


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Register a table of JSON lines and a text along a genome; the list tells the rows of each block of the table."""
    sizes: list[int] = []

    @contextmanager
    def toy_table(path: Path, columns: Columns) -> Iterator[Write]:
        names = [name for name, _ in columns]
        with whole_file(path) as unfinished, unfinished.open("w") as handle:

            def write(rows: Iterable[Row]) -> None:
                found = list(rows)
                sizes.append(len(found))
                handle.writelines(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in found)

            yield write

    def toy_lines(found: OnGenome) -> Iterator[str]:
        for one in found.places():
            yield f"{one.contig}:{one.start}-{one.end}{one.strand} {one.value:.6f}\n"

    rows = [Format("toy", (".toy",), table=toy_table), Format("places", (".places",), GENOMIC, lines=toy_lines)]
    monkeypatch.setattr(outputs, "FORMATS", [*FORMATS, *rows])
    return sizes


@pytest.fixture
def folder(tmp_path: Path, random_text: Callable[..., str]) -> Path:
    texts = {f"r{number}": random_text(60 + number, number) for number in range(9)}
    (tmp_path / "in.fa").write_text("".join(f">{name}\n{text}\n" for name, text in texts.items()))
    (tmp_path / "in.bed").write_text("".join(f"{name}\t5\t45\tf{name}\t0\t+\n" for name in texts))
    return tmp_path


def run(folder: Path, model: Path, predicted: str, names: str, **options: object) -> None:
    words = {
        key: str(folder / value) if isinstance(value, str) else value for key, value in INPUTS[predicted].items()
    } | options
    predict_file(
        model=str(model), output=",".join(str(folder / name) for name in names.split(",")),
        cache_dir=str(folder / "store"), **words,
    )  # type: ignore[arg-type]  # fmt: skip


@pytest.mark.parametrize("strand", ["forward", "both", "average"])
@pytest.mark.parametrize("predicted", INPUTS)
def test_a_new_format_is_one_row(
    folder: Path, make_model: Callable[..., Path], blocks: list[int], predicted: str, strand: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(genome, "WINDOWS_AT_ONCE", 4)
    monkeypatch.setattr(predictor, "BATCHES_AHEAD", 2)
    names = "a.tsv,b.toy" + (",c.places,d.windows.bed" if predicted in GENOMIC else "")
    run(folder, make_model(), predicted, names, strand=strand, batch_size=2)
    header, *lines = [line.split("\t") for line in (folder / "a.tsv").read_text().splitlines()]
    rows = [json.loads(line) for line in (folder / "b.toy").read_text().splitlines()]
    assert [list(row) for row in rows] == [header] * len(lines)
    written = [[f"{cell:.6f}" if isinstance(cell, float) else str(cell) for cell in row.values()] for row in rows]
    assert written == lines
    assert len(blocks) > 2  # some rows at a time, never all of them
    assert sum(blocks) == len(lines)
    if predicted in GENOMIC:
        bed = [line.split("\t") for line in (folder / "d.windows.bed").read_text().splitlines()]
        placed = (folder / "c.places").read_text().splitlines()
        assert placed == [f"{one[0]}:{one[1]}-{one[2]}{one[5]} {one[6]}" for one in bed]
        assert len(placed) == len(lines)
    assert not list(folder.glob(".*"))


def test_what_fails_half_way_leaves_neither_format(
    folder: Path, make_model: Callable[..., Path], blocks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "BATCHES_AHEAD", 1)
    with (folder / "in.fa").open("a") as handle:
        handle.write(">short\nAC\n")
    before = sorted(folder.iterdir())
    with pytest.raises(SequenceError, match=r"in\.fa.*'short'"):
        run(folder, make_model(name="../model"), RECORDS, "a.tsv,b.toy", batch_size=2)
    assert blocks
    assert sorted(folder.iterdir()) == before


def test_every_format_has_a_size_before_it_is_written(
    folder: Path, make_model: Callable[..., Path], blocks: list[int], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(progress, "MEASURE_S", 0.0)
    monkeypatch.setattr(genome, "WINDOWS_AT_ONCE", 4)
    caplog.set_level(logging.INFO)
    fitting = [one for one in outputs.FORMATS if WINDOWS in one.inputs]
    names = ",".join(f"{one.name}.x{suffix}" for one in fitting for suffix in one.suffixes)
    run(folder, make_model(), WINDOWS, names, threshold=0.0)
    assert sum("MB of output" in record.getMessage() for record in caplog.records) == 1
    rows = (folder / "tsv.x.tsv").read_text().splitlines()[1:]
    for name, file in (("tsv", "tsv.x.tsv"), ("bedgraph", "bedgraph.x.bg"), ("bed", "bed.x.windows.bed")):
        form = next(one for one in FORMATS if one.name == name)
        letters = genome.np.mean([[len(cell) + 1 for cell in row.split("\t")] for row in rows], axis=0)
        assert len(rows) * form.row_bytes(letters) == pytest.approx((folder / file).stat().st_size, rel=0.2)


@pytest.mark.parametrize(
    ("name", "predicted", "expected"),
    [
        ("a.tsv", RECORDS, "tsv"),
        ("a.b.TSV", WINDOWS, "tsv"),
        ("a.bed", WINDOWS, "calls"),
        ("windows.bed", WINDOWS, "calls"),
        ("a.windows.bed", WINDOWS, "bed"),
        ("a.bed", FEATURES, "bed"),
        ("a.windows.bed", FEATURES, "bed"),
        ("a.bg", FEATURES, "bedgraph"),
        ("a.bed", RECORDS, None),
        ("a.bw", RECORDS, None),
        (".tsv", RECORDS, None),
        ("a.tsv.gz", RECORDS, None),
        (" , ", RECORDS, None),
    ],
)
def test_a_name_says_the_format(name: str, predicted: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(ConfigError, match=rf"output={name}"):
            parse_outputs(name, predicted)
    else:
        (output,) = parse_outputs(f" {name} ", predicted)
        assert (str(output.path), output.format.name) == (name, expected)
