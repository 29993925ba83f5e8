"""A scan gives what the windows give when each is spelled and predicted by itself."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gulmfit.predict.predictor import Predictor
from gulmfit.predict.scans.grid import Windows
from gulmfit.predict.scans.scan import Scan, model_digest, window_tokens
from gulmfit.seq.alphabet import encode, reverse_complement, reverse_complement_text
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.tokens.subword_training import SubwordRecipe
from gulmfit.seq.tokens.tokenizer import KmerTokenizer

Text = Callable[..., str]
MakePredictor = Callable[..., Predictor]


def make_scan(predictor: Predictor, store: GenomeStore, size: int, step: int, strand: str, **options: object) -> Scan:
    windows = Windows([contig.length for contig in store.contigs], size, step, predictor.tokenizer.min_bases)
    return Scan(predictor, store, windows, strand, **{"max_ambiguous": 1.0, "batch_size": 8, **options})  # type: ignore[arg-type]


def spelled(scan: Scan, texts: list[str]) -> list[str]:
    return [
        texts[stretch.contig][start : start + stretch.bases]
        for stretch in scan.windows.stretches(0, len(scan.windows))
        for start in stretch.starts.tolist()
    ]


def check_against_naive(predictor: Predictor, texts: list[str], size: int, step: int) -> None:
    store = GenomeStore.from_sequences([str(number) for number in range(len(texts))], texts)
    naive = spelled(make_scan(predictor, store, size, step, "forward"), texts)
    turned = [reverse_complement_text(text) for text in naive]
    expected = {
        "forward": predictor.predict(naive, raw=True)[:, None],
        "both": np.stack([predictor.predict(texts, raw=True) for texts in (naive, turned)], axis=1),
        "average": predictor.predict(naive, raw=True, strand="average")[:, None],
    }
    for strand, scores in expected.items():
        scan = make_scan(predictor, store, size, step, strand)
        np.testing.assert_allclose(scan.score(0, len(scan.windows)), scores, atol=1e-6)
        np.testing.assert_allclose(scan.score(3, 7), scores[3:7], atol=1e-6)


@pytest.mark.parametrize(("k", "stride"), [(1, 1), (3, 1), (3, 2), (4, 6)])
@pytest.mark.parametrize(("size", "step"), [(30, 6), (30, 7), (31, 50)])
def test_a_scan_is_the_windows_one_by_one(
    make_predictor: MakePredictor, random_text: Text, k: int, stride: int, size: int, step: int
) -> None:
    texts = [random_text(length, length, unknown=0.03) for length in (200, 12, 30, 131)]
    check_against_naive(make_predictor(k=k, stride=stride), texts, size, step)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_scan_in_tokens_that_depend_on_where_a_window_begins(
    make_predictor: MakePredictor, random_text: Text, kind: str
) -> None:
    texts = [random_text(length, length, unknown=0.03) for length in (200, 12, 131)]
    learned = SubwordRecipe(kind=kind, vocab_size=40, train_bases=2000).learn([encode(random_text(4000))])
    check_against_naive(make_predictor(tokenizer=learned.spec()), texts, 30, 7)


@pytest.mark.parametrize(("k", "stride"), [(3, 2), (2, 5), (5, 3)])
def test_tokens_of_the_other_strand_are_those_of_turned_windows(random_text: Text, k: int, stride: int) -> None:
    codes = encode(random_text(100, unknown=0.1))
    tokenizer, starts = KmerTokenizer(k, stride), np.array([0, 4, 8, 71])
    turned = reverse_complement(codes)
    for start, row in zip(starts, window_tokens(tokenizer, turned, 100 - 29 - starts, 29), strict=True):
        np.testing.assert_array_equal(row, tokenizer.encode(reverse_complement(codes[start : start + 29])))


def test_windows_with_too_many_n_are_passed_over(make_predictor: MakePredictor) -> None:
    store = GenomeStore.from_sequences(["a"], ["ACGTACGTAC" + "N" * 10 + "ACGTACGTAC"])
    scan = make_scan(make_predictor(), store, 10, 5, "both", max_ambiguous=0.5)
    assert np.isnan(scan.score(0, 5)).all(axis=(1, 2)).tolist() == [False, False, True, False, False]
    assert np.isnan(scan.score(2, 3)).all()


def test_a_mapped_store_is_read_where_it_should_be(
    make_predictor: MakePredictor, random_text: Text, tmp_path: Path
) -> None:
    texts = [random_text(length, length) for length in (70, 90)]
    (tmp_path / "a.fa").write_text(f">x\n{texts[0]}\n>y\n{texts[1]}\n")
    predictor = make_predictor()
    stores = [GenomeStore.build(tmp_path / "a.fa", tmp_path), GenomeStore.from_sequences(["x", "y"], texts)]
    mapped, held = (make_scan(predictor, store, 20, 10, "both") for store in stores)
    assert isinstance(stores[0].codes, np.memmap)
    np.testing.assert_array_equal(mapped.score(3, 11), held.score(3, 11))


def test_averages_are_the_same_on_the_other_strand(make_predictor: MakePredictor, random_text: Text) -> None:
    text = random_text(95)
    scans = [
        make_scan(make_predictor(), GenomeStore.from_sequences(["a"], [one]), 20, 5, "average")
        for one in (text, reverse_complement_text(text))
    ]
    np.testing.assert_allclose(scans[0].score(0, 16), scans[1].score(0, 16)[::-1], atol=1e-6)


def test_models_are_told_apart(make_predictor: MakePredictor) -> None:
    assert model_digest(make_predictor()) == model_digest(make_predictor(name="copy"))
    assert model_digest(make_predictor()) != model_digest(make_predictor(seed=2))
    assert model_digest(make_predictor(stride=1)) != model_digest(make_predictor(stride=2))
