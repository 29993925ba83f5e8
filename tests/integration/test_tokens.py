"""Sub-words through the commands: learned, transferred, used in a fresh process; tokenizers compared."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer as Library

from gulmfit.checkpoint import load, load_tokenizer
from gulmfit.predict.predictor import Predictor
from gulmfit.seq.alphabet import encode

from .conftest import TINY, run

BPE = ["tokenizer=bpe", "tokenizer.vocab_size=48", "tokenizer.train_bases=50000"]
TEXT = "".join(np.random.default_rng(3).choice(list("ACGT"), size=6000))


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cwd = tmp_path_factory.mktemp("subwords")
    run("stage=pretrain", "run.name=bpe", "trainer.max_steps=6", *BPE, *TINY, cwd=cwd)
    return cwd


def test_a_run_with_sub_words_is_complete(pretrained: Path) -> None:
    folder = pretrained / "outputs" / "pretrain" / "bpe"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert 1.5 < metrics["metrics"]["val/bits_per_base"] < 2.5
    assert metrics["model"]["tokenizer"]["kind"] == "bpe"
    assert metrics["model"]["tokenizer"]["vocab_size"] == 48
    model = load(folder)
    assert model.model.head.block_size is None
    library = Library.from_file(str(folder / "model" / "tokenizer.json"))
    ours = model.tokenizer.encode(encode(TEXT))
    assert library.encode(TEXT).ids == ours.tolist()
    assert load_tokenizer(folder / "checkpoints" / "last.ckpt") == model.tokenizer


def test_a_classifier_takes_the_tokens_of_its_language_model_and_predicts_with_them(pretrained: Path) -> None:
    run(
        "stage=classify", "run.name=bpe", "init_from=outputs/pretrain/bpe", "tokenizer=bpe",
        "trainer.max_steps=6", *TINY, cwd=pretrained,
    )  # fmt: skip
    folder = pretrained / "outputs" / "classify" / "bpe"
    language, classifier = load(pretrained / "outputs" / "pretrain" / "bpe"), load(folder)
    assert classifier.tokenizer == language.tokenizer
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["transfer"]["kmers_matched"] == 48
    records = {"a": TEXT[:200], "b": TEXT[200:350] + "NNNN" + TEXT[350:400], "c": "A"}
    (pretrained / "x.fa").write_text("".join(f">{name}\n{text}\n" for name, text in records.items()))
    run("model=outputs/classify/bpe", "input=x.fa", "output=x.tsv", cwd=pretrained, command="predict")
    with (pretrained / "x.tsv").open(newline="") as handle:
        _, *rows = csv.reader(handle, delimiter="\t")
    assert [row[0] for row in rows] == list(records)
    written = np.array([[float(cell) for cell in row[1:-1]] for row in rows])
    alone = [Predictor.load(folder).predict([text])[0] for text in records.values()]
    np.testing.assert_allclose(written, np.array(alone), atol=1e-5)


def test_a_classifier_from_scratch_learns_its_own(pretrained: Path) -> None:
    run("stage=classify", "run.name=scratch", "trainer.max_steps=3", *BPE, *TINY, cwd=pretrained)
    own = load_tokenizer(pretrained / "outputs" / "classify" / "scratch")
    assert len(own) == 48
    assert own != load_tokenizer(pretrained / "outputs" / "pretrain" / "bpe")


def test_tokenizers_are_compared(pretrained: Path) -> None:
    genome = "".join(np.random.default_rng(4).choice(["ACGTAC", "TTG", "GA"], size=12_000))
    (pretrained / "g.fa").write_text(f">g\n{genome}\n")
    model = "outputs/pretrain/bpe"
    printed = run(
        "input=g.fa", f"tokenizers=kmer:3:3,bpe:32,{model}", "steps=8", "output=cmp",
        cwd=pretrained, command="tokens", rendered=True,
    ).stdout  # fmt: skip
    results = json.loads((pretrained / "cmp" / "tokens.json").read_text())
    kmer, bpe, taken = results["tokenizers"]
    assert all(entry["tokenizer"] in printed for entry in (kmer, bpe, taken))
    assert (kmer["vocabulary"], bpe["vocabulary"], taken["vocabulary"]) == (64, 29, 45)
    assert kmer["bases_per_token"] == pytest.approx(3)
    assert max(entry["bases_read"] for entry in results["tokenizers"]) < 1.1 * min(
        entry["bases_read"] for entry in results["tokenizers"]
    )
    for entry in results["tokenizers"]:
        assert 0 < entry["bits_per_base"] < 2.5
        assert sum(entry["sizes"]) == pytest.approx(1)
    page = (pretrained / "cmp" / "tokens.html").read_text()
    assert page.count("data:image/svg+xml") == 3
    assert "http" not in page.partition("<body")[2].replace("http://www.w3.org", "")
    assert Library.from_file(str(pretrained / "cmp" / "bpe_32_tokenizer.json")).get_vocab_size() == 32
