"""The start of a gene is the best of those that its frame allows, each weighed by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from gulmfit.predict.genes.start_choice import StartChoice
from gulmfit.predict.genes.start_sites import GAP_LEAST, GAP_MOST, MOTIF, StartSites
from gulmfit.seq.alphabet import encode
from gulmfit.seq.genome.open_frames import OpenFrames

STOPS = ("TAA", "TAG", "TGA")


def sites(generator: np.random.Generator) -> StartSites:
    matrix = generator.normal(size=(33, 5))
    return StartSites(matrix, generator.normal(size=len(MOTIF) + 1), np.zeros(GAP_MOST - GAP_LEAST + 1), 0.0)


def log_tracks(generator: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    classes, phases = (np.log(generator.dirichlet([0.8] * 4, size)).T for _ in range(2))
    return classes, phases


def reader(*tracks: np.ndarray) -> Callable[[int, int], tuple[np.ndarray, ...]]:
    return lambda low, high: tuple(one[:, low:high] for one in tracks)


@pytest.mark.parametrize("weights", [(0.0, 0.0, 1.0), (0.3, 0.0, 0.0), (0.0, 1.0, 0.0), (0.2, 0.5, 4.0)])
def test_the_best_start_of_the_frame_is_chosen(weights: tuple[float, float, float]) -> None:
    moved = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        codons = generator.choice(["ATG", "GCA", "CTG", "ATG", "TAA"], 40, p=[0.2, 0.3, 0.3, 0.17, 0.03]).tolist()
        begin = 3 * (20 + int(generator.integers(5))) + 1
        text = "C" + "".join(codons)
        text = text[:begin] + "ATG" + text[begin + 3 :].replace("TAA", "GCA")
        end = begin + 3 * 8 + int(generator.integers(3))  # an intron may cut the last codon
        inner, before = int(generator.integers(0, 90)), int(generator.integers(0, 30))
        codes, known = encode(text), sites(generator)
        classes, phases = log_tracks(generator, len(text))
        choose = StartChoice(sites=known, bases_weight=weights[0], sites_weight=weights[1], length_weight=weights[2])
        worth: dict[int, float] = {}
        for start in range(begin % 3, end - 2, 3):
            upstream = [text[at : at + 3] for at in range(start, begin, 3)]
            if start < before or text[start : start + 3] != "ATG" or set(upstream) & set(STOPS):
                continue
            bases = 0.0
            for at in range(start, end):
                place = np.exp(phases[[1, 3, 2], at])  # of the first, second and third base of a codon
                coding = classes[2, at] + np.log(place[(at - start) % 3] / place.sum())
                bases += coding - np.log(np.exp(classes[[0, 1, 3], at]).sum())
            own = OpenFrames(np.array([start]), np.array([end]), np.zeros(1, bool), np.zeros(1, bool))
            worth[start] = (
                weights[0] * bases + weights[1] * float(known(codes, own)[0]) + weights[2] * np.log(end - start + inner)
            )
        found = choose(
            codes, (begin, end), inner, before, reader(classes, phases),
            code=1, starts=("ATG",),
        )  # fmt: skip
        assert worth[found] == pytest.approx(max(worth.values())), seed
        moved += found != begin
    assert moved > 10


def test_a_start_codon_that_an_intron_cuts_stays() -> None:
    generator = np.random.default_rng(0)
    choose = StartChoice(sites=sites(generator), bases_weight=0.0, sites_weight=0.0, length_weight=1.0)
    codes = encode("CCATGCCATGCCCATGTATGT")
    classes, phases = log_tracks(generator, len(codes))
    for end in (14, 15):
        found = choose(
            codes, (13, end), 60, 0, reader(classes, phases),
            code=1, starts=("ATG",),
        )  # fmt: skip
        assert found == 13
