"""Reading a sequence from each of its first bases: the mean of what each gives, and the same for both strands."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gulmfit.checkpoint import LoadedModel, build_model, load
from gulmfit.errors import ConfigError
from gulmfit.predict.genes.gene_reader import GeneReader
from gulmfit.predict.offsets import mean_over_offsets
from gulmfit.predict.track_predictor import TrackPredictor
from gulmfit.seq.alphabet import Codes, decode
from tests.unit.predict.test_annotate import write_labeller


@pytest.fixture
def labeller(tmp_path: Path) -> LoadedModel:
    """A labeller of 3-mers with random weights."""
    return load(write_labeller(tmp_path / "model", 3, scale=5, offsets=None))  # so that what is predicted differs


def random_codes(length: int, seed: int = 0) -> Codes:
    return np.random.default_rng(seed).integers(0, 4, length).astype(np.uint8)


def test_a_mean_is_over_what_was_read_of_each_base() -> None:
    lengths, read = [7, 3], list[list[int]]()

    def numbered(cuts: Sequence[int]) -> np.ndarray:
        read.append(list(cuts))
        found = np.zeros((2, 2, 8, 1), np.float32)
        for row, cut, length in zip(found, cuts, lengths, strict=True):
            row[:, : length - cut, 0] = 10 * len(read) + np.arange(cut, length)
        return found

    found = mean_over_offsets(numbered, lengths, 3, 2)
    assert read == [[0, 0], [1, 1], [2, 1]]  # two bases are the least that can be read
    for row in found[0, :, :, 0]:
        assert row[:7].tolist() == pytest.approx([10, 16, 22, 23, 24, 25, 26])
    for row in found[1, :, :, 0]:
        assert row[:3].tolist() == pytest.approx([10, 21, 22])
    assert (found[1, :, 3:] == 0).all()


@pytest.mark.parametrize("length", [300, 301, 302])
def test_all_offsets_label_both_strands_alike_whatever_the_length(labeller: LoadedModel, length: int) -> None:
    codes = random_codes(length)
    other = np.ascontiguousarray(3 - codes[::-1])
    inside = slice(2, length - 2)  # the last bases before an edge are not read from every base
    differences = {}
    for offsets in (1, 3):
        reader = GeneReader(labeller, "cpu", offsets=offsets)
        own, turned = (reader.read([one])[0, :, :length] for one in (codes, other))
        differences[offsets] = float(np.abs(own - turned[::-1, ::-1])[:, inside].max())
    assert differences[3] < 1e-5
    assert length % 3 == 0 or differences[1] > 0.01


def test_a_labeller_is_scored_as_it_annotates(labeller: LoadedModel) -> None:
    predictor = TrackPredictor(labeller.spec, labeller.model, labeller.tokenizer, "cpu")  # type: ignore[arg-type]
    windows = [random_codes(length, length) for length in (90, 61, 4, 3)]
    scored = predictor.predict([decode(one) for one in windows], raw=True)
    read = GeneReader(labeller, "cpu").read(windows)
    single = GeneReader(labeller, "cpu", offsets=1)
    for window, one, other in zip(windows, scored, read, strict=True):
        size = len(window)
        np.testing.assert_allclose(one[:, :size], other[:, :size], atol=1e-6)
        parts = np.full((3, 2, size, 8), np.nan)
        for cut in range(min(3, size - 2)):
            parts[cut, :, cut:] = single.read([window[cut:]])[0, :, : size - cut]
        if size > 4:
            np.testing.assert_allclose(other[:, :size], np.nanmean(parts, axis=0), atol=1e-6)


def test_older_labellers_are_read_from_their_first_base_and_others_refused(labeller: LoadedModel) -> None:
    spec = {**labeller.spec, "head": {key: value for key, value in labeller.spec["head"].items() if key != "offsets"}}
    older: Any = build_model(spec)[0]
    assert older.offsets == 1
    with pytest.raises(ConfigError, match=r"head\.offsets=4: .*\b3\b"):
        build_model({**spec, "head": {**spec["head"], "offsets": 4}})
    for offsets in (4, -1):
        with pytest.raises(ConfigError, match=rf"^offsets={offsets}"):
            GeneReader(labeller, "cpu", offsets=offsets)
