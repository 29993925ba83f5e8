"""The way in from Python: what comes back is what the commands write."""

import csv
import doctest
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import gulmfit
from gulmfit import api, config
from gulmfit.commands.embed import embed_file
from gulmfit.commands.predict import predict_file
from gulmfit.commands.score import score_file
from gulmfit.errors import CheckpointError, ConfigError, DataError
from gulmfit.models import peer_cnn
from gulmfit.predict import predictor
from gulmfit.seq.tokens import tokenizer

MODELS = Path(__file__).resolve().parents[1] / "fixtures" / "models_of_0_1"
TEXTS = ["".join(np.random.default_rng(seed).choice(list("ACGT"), 30 + seed)) for seed in range(12)]
NAMES = [f"r{number}" for number in range(12)]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text("\n".join(["name,dna", *(",".join(pair) for pair in zip(NAMES, TEXTS, strict=True))]) + "\n")
    return path


class Frame:
    """As much of a DataFrame as is looked at."""

    columns = ("name", "dna")

    def __getitem__(self, name: str) -> list[str]:
        return {"name": NAMES, "dna": TEXTS}[name]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


@pytest.mark.parametrize("model", ["classes", "label_sets", "values"])
def test_a_prediction_is_that_of_the_command(model: str, table: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.tsv"
    predict_file(
        model=str(MODELS / model), input=str(table), output=str(output), sequence="dna", id="name", strand="average"
    )
    expected, loaded = rows_of(output), gulmfit.load(MODELS / model)
    columns = {"sequence": "dna", "id": "name", "strand": "average"}
    for given in (table, str(table), Frame()):
        found = loaded.predict(given, **columns)
        assert found["id"] == NAMES
        for name in loaded.classes:
            np.testing.assert_allclose(found[name], [float(row[name]) for row in expected], rtol=1e-6, atol=6e-7)
    numbered = loaded.predict(TEXTS, strand="average")
    assert numbered["id"] == [str(number) for number in range(1, 13)]
    assert [row["id"] for row in numbered] == numbered["id"]
    np.testing.assert_allclose(numbered[loaded.classes[0]], found[loaded.classes[0]], atol=1e-9)
    alone = loaded.predict(TEXTS[0], strand="average")
    assert alone[loaded.classes[0]] == pytest.approx(found[loaded.classes[0]][:1], abs=1e-6)


def test_scores_and_vectors_are_those_of_the_commands(table: Path, tmp_path: Path) -> None:
    words: dict[str, Any] = {"model": str(MODELS / "lm"), "input": str(table), "sequence": "dna", "id": "name"}
    score_file(**words, output=str(tmp_path / "s.tsv"))
    loaded = gulmfit.load(MODELS / "lm")
    found = loaded.score(Frame(), sequence="dna", id="name")
    assert found["bits_per_base"] == [float(row["bits_per_base"]) for row in rows_of(tmp_path / "s.tsv")]
    embed_file(**words, output=str(tmp_path / "v.npz"), pooling="mean")
    vectors = loaded.embed(TEXTS, pooling="mean")["vectors"]
    np.testing.assert_allclose(vectors, np.load(tmp_path / "v.npz")["vectors"], rtol=1e-5)


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere"):
        gulmfit.load(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"'sequence'.*'dna'"):
        gulmfit.load(MODELS / "classes").predict(Frame())
    with pytest.raises(ConfigError, match="output"):
        gulmfit.load(MODELS / "lm").score(TEXTS, output="a.tsv")


def test_a_table_in_a_notebook() -> None:
    table = api.Table({"id": [f"<{number}>" for number in range(50)], "p": np.linspace(0, 1, 50).tolist()})
    shown = table._repr_html_()
    assert shown.count("<tr>") == api.SHOWN_ROWS + 1
    assert "&lt;19&gt;" in shown
    assert "<1>" not in shown
    assert (len(table[:7]), table[-1]["p"], len(repr(table).splitlines())) == (7, 1.0, api.SHOWN_ROWS + 3)
    page = api.Table({"id": []}, page='<html><p class="a">')._repr_html_()
    assert page.startswith("<iframe")
    assert 'class="a"' not in page  # quoted, it stays within its frame


def test_a_frame_that_is_trained_on_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = api._kept(Frame())
    assert [row["dna"] for row in rows_of(path)] == TEXTS
    assert api._kept(Frame()) == path


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_comes_back_where_one_is_given(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the library itself where it is installed, else with a stand-in for it."""
    try:
        module: Any = __import__(library)
    except ImportError:
        module = type(sys)(library)
        columns = {"__init__": lambda self, columns: vars(self).update(data=columns, columns=list(columns)),
                   "__getitem__": lambda self, name: self.data[name]}  # fmt: skip
        module.DataFrame = type("DataFrame", (), {**columns, "__module__": library})
        monkeypatch.setitem(sys.modules, library, module)
    found = gulmfit.load(MODELS / "classes").predict(module.DataFrame({"sequence": TEXTS, "other": NAMES}))
    assert isinstance(found, module.DataFrame)
    assert list(found["id"])[:2] == ["1", "2"]


@pytest.mark.parametrize(("module", "least"), [(api, 12), (config, 2), (predictor, 2), (tokenizer, 5)])
def test_the_examples_run(module: ModuleType, least: int) -> None:
    names = {"gulmfit": gulmfit, "MODEL": MODELS / "classes"}
    found = doctest.testmod(module, extraglobs=names)
    assert found.attempted >= least
    assert not found.failed


def test_everything_public_has_an_example() -> None:
    """Of classes, in the class or in a method."""
    for name in gulmfit.__all__:
        found = doctest.DocTestFinder().find(getattr(gulmfit, name))
        assert any(one.examples for one in found), name


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("unrendered")
def test_the_page_of_the_documents_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its blocks, one after the other, and what they leave."""
    random = np.random.default_rng(0)
    texts = ["".join(random.choice(list("ACGT"), 20)) for _ in range(120)]
    rows = [f"s{n},{text[:7]}TATAAT{text[13:]},yes" if n % 2 else f"s{n},{text},no" for n, text in enumerate(texts)]
    (tmp_path / "labelled.csv").write_text("\n".join(["id,sequence,label", *rows]) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(peer_cnn, "MOST_TIMES", 3)
    page = (Path(__file__).resolve().parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)
    assert 0 <= names["run"].metrics["test/accuracy"] <= 1
    assert names["run"].report.is_file()
    assert names["run"]._repr_html_().startswith("<iframe")
    assert names["run"].load().predict(texts[:2])["id"] == ["1", "2"]
    assert names["vectors"].shape[0] == 1
