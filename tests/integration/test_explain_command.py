"""`gulmfit-explain` from file to file, on small models with random weights."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gulmfit.cli
from gulmfit.commands.explain import explain_file
from gulmfit.commands.motifs import find_motifs_of
from gulmfit.errors import ConfigError, DataError, SequenceError
from gulmfit.evaluate.motif_matches import MotifScanner
from gulmfit.explain.attribution import Attribution
from gulmfit.predict.predictor import Predictor
from gulmfit.report import explain_page
from gulmfit.seq.alphabet import decode, encode, reverse_complement_text
from gulmfit.seq.formats.motif_files import Motif, read_motifs, write_meme
from tests.integration.test_language_tools import save

CLASSIFIER = {"_target_": "gulmfit.models.classifier.SequenceClassifier", "hidden_size": 4}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("explain")
    random = np.random.default_rng(0)
    genome = "".join(random.choice(list("ACGT"), size=300))
    texts = {"genome.fa": f">c\n{genome}\n", "peaks.bed": "c\t10\t40\ta\t0\t+\nc\t25\t60\tb\t0\t-\n"}
    records = {"one": genome[10:40], "two <b>": reverse_complement_text(genome[25:60])}
    texts["records.fa"] = "".join(f">{name}\n{text}\n" for name, text in records.items())
    texts["records.tsv"] = "id\tsequence\n" + "".join(f"{name}\t{text}\n" for name, text in records.items())
    for name, text in texts.items():
        (folder / name).write_text(text)
    many = {**CLASSIFIER, "_target_": "gulmfit.models.classifier.MultiLabelClassifier"}
    models = {
        "model": save(folder / "model", CLASSIFIER, ["no", "yes"]),
        "labels": save(folder / "labels", many, ["a", "b", "c"]),
    }
    return {name: str(folder / name) for name in texts} | models


def explain(files: dict[str, str], output: Path | str, **options: Any) -> None:
    explain_file(
        **{"model": files["model"], "input": files["records.tsv"], "id": "id", "output": str(output)} | options
    )


def table(path: Path) -> list[dict[str, str]]:
    header, *rows = [line.split("\t") for line in path.read_text().splitlines()]
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_every_output_holds_the_same(files: dict[str, str], tmp_path: Path) -> None:
    explain(files, f"{tmp_path / 'a.tsv'},{tmp_path / 'a.npz'}")
    rows, arrays = table(tmp_path / "a.tsv"), np.load(tmp_path / "a.npz")
    assert arrays["scores"].shape == (2, 35, 4)
    assert arrays["contributions"].shape == (2, 35)
    assert arrays["lengths"].tolist() == [30, 35]
    assert np.isnan(arrays["scores"][0, 30:]).all()
    assert list(rows[0]) == ["id", "output", "position", "base", "contribution", "A", "C", "G", "T"]
    assert len(rows) == 65
    for row in rows:
        number, position = ["one", "two <b>"].index(row["id"]), int(row["position"])
        assert row["base"] == str(arrays["sequences"][number])[position]
        assert row["output"] == "yes"
        found = [float(row[letter]) for letter in "ACGT"]
        np.testing.assert_allclose(found, arrays["scores"][number, position], rtol=1e-6)
        assert float(row["contribution"]) == pytest.approx(arrays["contributions"][number, position], rel=1e-6)
    predicted = Predictor.load(files["model"]).predict([str(text) for text in arrays["sequences"]], raw=True)
    np.testing.assert_allclose(arrays["predictions"][:, 0], np.log(predicted[:, 1] / predicted[:, 0]), atol=1e-4)


def test_features_lie_on_their_genome(files: dict[str, str], tmp_path: Path) -> None:
    outputs = [tmp_path / name for name in ("a.tsv", "a.bedgraph")]
    explain(
        files, ",".join(map(str, outputs)), input=files["peaks.bed"], genome=files["genome.fa"], method="gradients",
        shuffles=2, cache_dir=str(tmp_path / "store"), sanity=False,
    )  # fmt: skip
    genome = Path(files["genome.fa"]).read_text().split("\n")[1]
    values: dict[int, list[float]] = {}
    for row in table(outputs[0]):
        place = int(row["start"])
        assert (row["contig"], int(row["end"])) == ("c", place + 1)
        assert row["base"] == (genome[place] if row["strand"] == "+" else reverse_complement_text(genome[place]))
        values.setdefault(place, []).append(float(row["contribution"]))
    lines = [line.split("\t") for line in outputs[1].read_text().splitlines()]
    assert [int(line[1]) for line in lines] == list(range(10, 60))
    for _, start, _, value in lines:
        assert float(value) == pytest.approx(np.mean(values[int(start)]), rel=1e-5, abs=1e-9)


def test_a_page_is_whole_small_and_searchable(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gulmfit")
    explain(files, tmp_path / "a.html", model=files["labels"], top=5)
    page = (tmp_path / "a.html").read_text()
    assert "<b>" not in page.partition("<article>")[0]  # a name is text
    assert page.count("<article>") == 2
    script = page.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page.replace("&#39;", "'")
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    for row in Path(files["records.tsv"]).read_text().splitlines()[1:]:
        assert f">{row.split(chr(9))[1]}</text>" in page  # the sequence can be selected, and searched
    assert "random weights" in page
    assert "2 sequences explained" in caplog.text
    assert re.search(r"random weights .* -?\d\.\d\d ", caplog.text)
    many = tmp_path / "many.tsv"
    random = np.random.default_rng(1)
    texts = ["".join(random.choice(list("ACGT"), size=60)) for _ in range(40)]
    many.write_text("id\tsequence\n" + "".join(f"{n}\t{text}\n" for n, text in enumerate(texts)))
    monkeypatch.setattr(explain_page, "MOST_BYTES", 150_000)
    explain(files, tmp_path / "b.html", input=str(many), method="deletion", shuffles=1, sanity=False)
    page = (tmp_path / "b.html").read_text()
    assert 0 < page.count("<article>") < 40
    assert len(page) < 150_000
    assert f"{page.count('<article>')} of 40 sequences" in page


def test_mistakes_are_told(files: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.bw"):
        explain(files, tmp_path / "a.bw")
    with pytest.raises(ConfigError, match=r"a\.bedgraph.*positive="):
        explain(files, tmp_path / "a.bedgraph", model=files["labels"], input=files["peaks.bed"],
                genome=files["genome.fa"], cache_dir=str(tmp_path / "store"))  # fmt: skip
    with pytest.raises(ConfigError, match="top=0"):
        explain(files, tmp_path / "a.html", top=0)
    short = tmp_path / "short.fa"
    short.write_text(">x\nAC\n")
    with pytest.raises(SequenceError, match=r"short\.fa, record 'x'"):
        explain(files, tmp_path / "a.tsv", input=str(short))
    empty = tmp_path / "empty.tsv"
    empty.write_text("id\tsequence\n")
    with pytest.raises(DataError, match=r"empty\.tsv"):
        explain(files, tmp_path / "a.npz", input=str(empty))
    assert not list(tmp_path.glob("a.*"))


def test_motifs_are_found_tested_and_named(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A model that says what a planted word is worth, by hand: everything after it is as users get it."""
    caplog.set_level("INFO", "gulmfit")
    random = np.random.default_rng(0)
    genome = random.choice(list("ACGT"), size=12_000)
    bed = []
    for number in range(120):
        start = 100 * number + int(random.integers(10, 40))
        if number % 3:
            genome[start + 20 : start + 30] = list("TGACGTCAGC")
        bed.append(f"c\t{start}\t{start + 50}\tp{number}\t0\t{'+-'[number % 2]}\n")
    text = "".join(genome)
    (tmp_path / "g.fa").write_text(f">c\n{text}\n")
    (tmp_path / "p.bed").write_text("".join(bed))
    write_meme(tmp_path / "db.meme", [
        Motif("MA1", np.eye(4)[encode("TGACGTCA")] * 0.9 + 0.025, 10, "CREB"),
        *(Motif(f"no{n}", random.dirichlet([0.3] * 4, 9), 9) for n in range(30)),
    ])  # fmt: skip

    def explain_by_hand(method: Any, records: Any) -> list[Attribution]:
        found = []
        for record in records:
            letters, gained = decode(record.codes), random.normal(0, 0.1, len(record.codes))
            for word in ("TGACGTCAGC", reverse_complement_text("TGACGTCAGC")) if planted else ():
                if (place := letters.find(word)) >= 0:
                    gained[place : place + 10] += 1
            found.append(Attribution(record, np.zeros(1), gained[None], None, np.full(1, np.nan)))
        return found

    monkeypatch.setattr("gulmfit.explain.substituting.Mutagenesis.explain", explain_by_hand)
    words = {"model": files["model"], "input": str(tmp_path / "p.bed"), "genome": str(tmp_path / "g.fa"),
             "database": str(tmp_path / "db.meme"), "cache_dir": str(tmp_path / "store")}  # fmt: skip
    planted = True
    find_motifs_of(**words, output=str(tmp_path / "found"))
    (row,) = table(tmp_path / "found/motifs.tsv")
    assert row["like"].startswith("MA1 CREB, q ")
    assert float(row["q"]) < 1e-6
    assert float(row["in_input"]) == pytest.approx(2 / 3, abs=0.1)
    assert float(row["in_background"]) < 0.1
    (motif,) = read_motifs(tmp_path / "found/motifs.meme")
    assert any(word in one.consensus() for one in (motif, motif.turned()) for word in ["TGACGTCA"])
    width = len(motif.probabilities)
    sites = [line.split("\t") for line in (tmp_path / "found/sites.bed").read_text().splitlines()]
    assert len(sites) == len(table(tmp_path / "found/sites.tsv")) >= 75
    centres = 0
    for _, start, end, name, _, strand in sites:
        site = text[int(start) : int(end)]
        assert (len(site), name) == (width, "m1")
        stood = site if strand == "+" else reverse_complement_text(site)
        centres += MotifScanner(motif).sites(encode(stood))[0].strand == "+"
    assert centres == len(sites)  # strands are those of the genome
    page = (tmp_path / "found/motifs.html").read_text()
    assert "MA1" in page
    assert "1 motif in 120 sequences" in caplog.text
    planted = False
    find_motifs_of(**words, output=str(tmp_path / "none"))
    assert table(tmp_path / "none/motifs.tsv") == []
    assert "No motif in 120 sequences" in caplog.text
    with pytest.raises(ConfigError, match=r"positive=.*a, b, c"):
        find_motifs_of(**{**words, "model": files["labels"]}, output=str(tmp_path / "x"))
    with pytest.raises(DataError, match=r"records\.fa: 2 sequences"):
        find_motifs_of(model=files["model"], input=files["records.fa"], output=str(tmp_path / "x"))


def test_what_motifs_are_tested_on_does_not_make_them(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random, word = np.random.default_rng(0), "TGACGTCAGC"
    explained, same, other = (
        ["".join(random.choice(list("ACGT"), size=25)) + middle + "".join(random.choice(list("ACGT"), size=25))
         for _ in range(60)] for middle in (word, word, "TGACGTTTTT")
    )  # fmt: skip

    def explain_by_hand(method: Any, records: Any) -> list[Attribution]:
        gained = np.full((1, 60), 0.0)
        gained[0, 25:35] = 1
        return [Attribution(record, np.zeros(1), gained, None, np.full(1, np.nan)) for record in records]

    monkeypatch.setattr("gulmfit.explain.substituting.Mutagenesis.explain", explain_by_hand)
    found = []
    # Enough of the other tested half has the word for the motif to be kept.
    for name, tested in (("same", same), ("other", other[:20] + same[20:])):
        pairs = [text for pair in zip(explained, tested, strict=True) for text in pair]
        (tmp_path / f"{name}.fa").write_text("".join(f">{n}\n{text}\n" for n, text in enumerate(pairs)))
        find_motifs_of(model=files["model"], input=str(tmp_path / f"{name}.fa"), output=str(tmp_path / name))
        found.append((tmp_path / name / "motifs.meme").read_text())
    assert "MOTIF m1" in found[0]
    assert found[0] == found[1]
    shares = [table(tmp_path / name / "motifs.tsv")[0]["in_input"] for name in ("same", "other")]
    assert float(shares[0]) > float(shares[1])


def test_the_command_reads_its_words(files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "a.tsv"
    words = [f"model={files['labels']}", f"input={files['records.fa']}", f"output={output}", "positive=b", "position="]
    monkeypatch.setattr("sys.argv", ["gulmfit-explain", *words])
    gulmfit.cli.explain()
    assert {row["output"] for row in table(output)} == {"b"}
    monkeypatch.setattr("sys.argv", ["gulmfit-explain", *words, "position=x"])
    with pytest.raises(SystemExit, match="position=x"):
        gulmfit.cli.explain()
