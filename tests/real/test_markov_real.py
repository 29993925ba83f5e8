"""The Markov baseline on *E. coli* K-12 MG1655: first 90 % to train, last 10 % to score."""

import gzip
import os
import time
from pathlib import Path

import pytest

from gulmfit.seq.alphabet import encode
from gulmfit.seq.simulate.markov import MarkovModel

GENOME = "ecoli_k12/GCF_000005845.2_ASM584v2_genomic.fna.gz"


@pytest.fixture(scope="module")
def codes():
    checkout = Path(__file__).resolve().parents[2]
    path = Path(os.environ.get("GULMFIT_DATA", checkout.parent / "shared" / "data")) / GENOME
    if not path.is_file():
        pytest.skip("real data not found: set GULMFIT_DATA")
    with gzip.open(path, "rt") as handle:
        return encode("".join(line.strip() for line in handle if not line.startswith(">")))


def test_order_seven_gives_the_known_bits_per_base(codes):
    cut = len(codes) * 9 // 10
    model = MarkovModel.fit(codes, [(0, cut)], max_order=7)
    assert model.order == 7
    # A plain back-off of order 7, written independently, gave 1.931.
    assert model.bits_per_base(codes, [(cut, len(codes))]) == pytest.approx(1.931, abs=0.005)


def test_the_highest_order_is_a_little_better_and_quick(codes, slowness):
    cut = len(codes) * 9 // 10
    started = time.process_time()
    model = MarkovModel.fit(codes, [(0, cut)])
    assert time.process_time() - started < 20 * slowness()
    assert 1.91 < model.bits_per_base(codes, [(cut, len(codes))]) < 1.93
