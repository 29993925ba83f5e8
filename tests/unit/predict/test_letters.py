"""How a model learned to read letters holds wherever it is used; another way is asked for, and said."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gulmfit.checkpoint import load, save_model
from gulmfit.commands.embed import embed_file
from gulmfit.commands.evaluate import evaluate_file
from gulmfit.commands.predict import predict_file
from gulmfit.commands.score import score_file
from gulmfit.commands.variants import score_vcf
from gulmfit.config import compose
from gulmfit.errors import CheckpointError, ConfigError, SequenceError
from gulmfit.predict.language.likelihood import LikelihoodScorer
from gulmfit.predict.language.vectors import Embedder
from gulmfit.predict.predictor import Predictor
from gulmfit.seq.alphabet import Letters
from gulmfit.seq.formats.tables import read_rows
from gulmfit.seq.tokens.tokenizer import KmerTokenizer
from gulmfit.train.loop.fit import build_spec
from gulmfit.train.run import Run

SOFT = "ACGTACGTTGCAacgtttgacaccatgcaACGGTTACACGTCA"
HARD = "".join("N" if letter.islower() else letter for letter in SOFT)


def with_letters(model: Path, **letters: str) -> Path:
    """Say in a model folder how letters are read."""
    config = model / "config.json"
    spec = json.loads(config.read_text())
    config.write_text(json.dumps({**spec, "letters": letters}))
    return model


@pytest.fixture
def masked(make_model: Any) -> Path:
    return with_letters(make_model(name="masked"), case="mask")


@pytest.fixture
def plain(make_model: Any) -> Path:
    """The same weights, in a folder of a version that did not keep policies."""
    model: Path = make_model(name="plain")
    assert "letters" not in json.loads((model / "config.json").read_text())
    return model


def values(path: Path, *columns: str) -> list[list[str]]:
    return [[row[column] for column in columns] for _, row in read_rows(path, {name: name for name in columns})]


def write(folder: Path) -> None:
    for name, text in (("soft", SOFT), ("hard", HARD)):
        (folder / f"{name}.fa").write_text(f">r1\n{text}\n")
        (folder / f"{name}.csv").write_text(
            f"id,sequence,label\nr1,{text},site\nr2,{text[::-1]},background\nr3,{text},background\n"
        )
    (folder / "a.bed").write_text("r1\t5\t35\tf1\t0\t+\n")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("records", {"input": "{}.fa"}),
        ("rows", {"input": "{}.csv"}),
        ("features", {"input": "a.bed", "genome": "{}.fa"}),
        ("windows", {"input": "{}.fa", "window_bp": 20, "step_bp": 10, "max_ambiguous": 1.0}),
    ],
)
def test_a_masked_model_reads_soft_letters_as_unknown(
    tmp_path: Path, masked: Path, plain: Path, kind: str, words: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path)

    def run(model: Path, letters: str, **more: str) -> list[list[str]]:
        output = tmp_path / "out.tsv"
        chosen = {
            key: str(tmp_path / value.format(letters)) if key in ("input", "genome") else value
            for key, value in words.items()
        }
        predict_file(model=str(model), output=str(output), cache_dir=str(tmp_path / "store"), **chosen, **more)
        return values(output, "id", "background", "site")

    soft, hard, unmasked = run(masked, "soft"), run(masked, "hard"), run(plain, "soft")
    assert soft == hard
    assert soft != unmasked
    assert run(plain, "hard") == hard
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert run(masked, "soft", case="upper") == unmasked
    assert "case=upper" in caplog.text
    assert "data.case=mask" in caplog.text


def test_the_library_holds_to_it_too(masked: Path, plain: Path) -> None:
    mask, upper = Predictor.load(masked, "cpu"), Predictor.load(plain, "cpu")
    np.testing.assert_array_equal(mask.predict([SOFT]), mask.predict([HARD]))
    np.testing.assert_array_equal(upper.predict([SOFT]), upper.predict([SOFT.upper()]))
    assert (mask.predict([SOFT]) != upper.predict([SOFT])).all()
    vectors = [next(iter(Embedder.load(masked, device="cpu").embed([("a", text)]))).vectors for text in (SOFT, HARD)]
    np.testing.assert_array_equal(*vectors)


@pytest.mark.parametrize("suffix", ["fa", "csv"])
def test_embedding(tmp_path: Path, masked: Path, suffix: str) -> None:
    write(tmp_path)
    common = {
        "level": "sequence", "layer": "last", "pooling": "concat", "strand": "forward", "batch_size": 4,
        "precision": "32", "sequence": "sequence", "id": "", "label": "label" if suffix == "csv" else "", "map": "",
        "seed": 0,
    }  # fmt: skip
    found = []
    for letters in ("soft", "hard"):
        output = tmp_path / f"{letters}.npz"
        embed_file(model=str(masked), input=str(tmp_path / f"{letters}.{suffix}"), output=str(output), **common)
        found.append(np.load(output)["vectors"])
    np.testing.assert_array_equal(*found)


@pytest.fixture
def language_model(make_model: Any, tmp_path: Path) -> Path:
    made = load(make_model(name="classifier"))
    spec = {
        **made.spec,
        "head": {"_target_": "gulmfit.models.language_model.LanguageModel", "legal_successors": False},
        "classes": None,
        "positive": None,
    }
    from gulmfit.checkpoint import build_model

    save_model(tmp_path / "lm", spec, build_model(spec)[0].state_dict())
    return tmp_path / "lm"


@pytest.mark.parametrize("name", ["out.tsv", "out.bedgraph"])
def test_likelihood(tmp_path: Path, language_model: Path, name: str) -> None:
    write(tmp_path)
    with_letters(language_model, case="mask")
    common = {
        "window_bp": 10, "step_bp": 5, "strand": "forward", "batch_size": 4, "precision": "32",
        "sequence": "sequence", "id": "",
    }  # fmt: skip
    written = []
    for letters in ("soft", "hard"):
        score_file(
            model=str(language_model), input=str(tmp_path / f"{letters}.fa"), output=str(tmp_path / name), **common
        )
        written.append((tmp_path / name).read_text())
    assert written[0] == written[1]
    scorer = LikelihoodScorer.load(language_model, "cpu")
    np.testing.assert_array_equal(scorer.score([SOFT])[0], scorer.score([HARD])[0])


def test_variants_in_masked_bases_do_nothing_and_ref_is_still_checked(tmp_path: Path, masked: Path) -> None:
    write(tmp_path)
    header = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (tmp_path / "a.vcf").write_text(header + "r1\t3\tv1\tG\tA\t.\t.\t.\nr1\t16\tv2\tT\tG\t.\t.\t.\n")
    words = {
        "genome": str(tmp_path / "soft.fa"), "language_model": "", "window_bp": 12, "strand": "forward",
        "batch_size": 4, "precision": "32", "on_mismatch": "error", "cache_dir": str(tmp_path / "store"),
    }  # fmt: skip
    score_vcf(model=str(masked), vcf=str(tmp_path / "a.vcf"), output=str(tmp_path / "a.tsv"), **words)
    first, second = values(tmp_path / "a.tsv", "GULMFIT_DP")
    assert float(first[0]) != 0
    assert float(second[0]) == 0
    (tmp_path / "wrong.vcf").write_text(header + "r1\t16\tv2\tC\tG\t.\t.\t.\n")
    with pytest.raises(Exception, match=r"wrong\.vcf: 1 of 1 records .*REF"):
        score_vcf(model=str(masked), vcf=str(tmp_path / "wrong.vcf"), output=str(tmp_path / "b.tsv"), **words)


def test_evaluating(tmp_path: Path, masked: Path, plain: Path) -> None:
    write(tmp_path)
    cache = f"paths.cache_dir={tmp_path / 'store'}"

    def run(model: Path, letters: str, *more: str) -> dict[str, float]:
        data = ["data=table", f"data.path={tmp_path / letters}.csv", cache, *more]
        found = evaluate_file(model=str(model), data_overrides=data, output="", strand="forward", batch_size=4)
        return dict(found["metrics"])

    soft, unmasked = run(masked, "soft"), run(plain, "soft")
    assert soft == run(masked, "hard")
    assert unmasked == run(masked, "soft", "data.case=upper")
    assert soft["test/log_loss"] != unmasked["test/log_loss"]


def test_ambiguous_letters_are_refused_where_they_were(tmp_path: Path, make_model: Any) -> None:
    model = with_letters(make_model(), ambiguity="error")
    write(tmp_path)
    words = {"model": str(model), "input": str(tmp_path / "hard.fa"), "output": str(tmp_path / "out.tsv")}
    with pytest.raises(SequenceError, match=r"r1.*position 12"):
        predict_file(**words)
    assert not (tmp_path / "out.tsv").exists()
    predict_file(**words, ambiguity="unk")
    assert len(values(tmp_path / "out.tsv", "id")) == 1
    with pytest.raises(SequenceError, match="position 12"):
        Predictor.load(model, "cpu").predict([HARD])


def test_unknown_policies_are_refused(make_model: Any) -> None:
    with pytest.raises(ConfigError, match="case='lower'"):
        Letters().asked(case="lower")
    with pytest.raises(CheckpointError, match="case='lower'"):
        Predictor.load(with_letters(make_model(), case="lower"), "cpu")


def test_training_writes_them_down(tmp_path: Path) -> None:
    words = ["stage=classify", "data=table", "data.path=a.csv", "data.case=mask", "data.ambiguity=unk"]
    spec = build_spec(Run(compose(words), tmp_path), KmerTokenizer(3, 2).spec(), ["a", "b"])
    assert spec["letters"] == {"case": "mask", "ambiguity": "unk"}
    # Whose windows are read in one way, whatever the genome is.
    words[1:3] = ["data=ecoli_promoters"]
    run = Run(compose(words), tmp_path)
    assert build_spec(run, KmerTokenizer(3, 2).spec(), ["a", "b"])["letters"] == Letters()._asdict()
    assert build_spec(run, KmerTokenizer(3, 2).spec())["letters"] == {"case": "mask", "ambiguity": "unk"}
