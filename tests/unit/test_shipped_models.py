"""The models that ship: their cards tell the truth, and they know what they should."""

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gulmfit.checkpoint import load
from gulmfit.config import compose, plain
from gulmfit.predict.language.likelihood import LikelihoodScorer
from gulmfit.pretrained import read_card, shipped
from gulmfit.seq.related.sketch import Sketch
from gulmfit.train.run import Run

# The first codons of lacZ of Escherichia coli K-12: in the part of MG1655 that the shipped model has read.
LACZ = (
    "ATGACCATGATTACGGATTCACTGGCCGTCGTTTTACAACGTCGTGACTGGGAAAACCCTGGCGTTACCCAACTTAATCGCCTTGCAGCACATCCCCCTTTCGCC"
    "AGCTGGCGTAATAGCGAAGAGGCCCGCACCGATCGCCCTTCCCAACAGTTGCGCAGCCTGAATGGCGAATGGCGCTTTGCCTGGTTTCCGGCACCAGAAGCGGTG"
    "CCGGAAAGCTGGCTGGAGTGCGATCTTCCTGAGGCCGATACTGTCGTCGTCCCCTCAAACTGGCAGATGCACGGTTACGATGCGCCCATCTACACCAACGTGACC"
)


@pytest.fixture(params=shipped().items(), ids=lambda item: item[0])
def real(request: pytest.FixtureRequest) -> tuple[str, Path]:
    """Every model that ships."""
    name, folder = request.param
    return name, folder


def test_a_card_says_what_lies_beside_it(real: tuple[str, Path]) -> None:
    name, folder = real
    card = read_card(folder)
    weights = folder / "model.safetensors"
    assert card["name"] == name
    assert card["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert card["bytes"] == weights.stat().st_size < 16_000_000
    assert {tensor.dtype for tensor in load_file(weights).values()} == {torch.bfloat16}
    assert card["parameters"] == sum(parameter.numel() for parameter in load(name).model.parameters())
    for genome in card["genomes"]:
        for record in genome["records"]:
            spans = sorted([*record["read"], *record["held_out"]])
            assert all(0 <= start < end <= record["bases"] for start, end in spans)
            assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
        for part in ("read", "held_out"):
            own = [end - start for record in genome["records"] for start, end in record[part]]
            assert genome[part] == sum(own)
    held = np.array([genome["held_out"] for genome in card["genomes"]])
    bits = np.array([genome["bits_per_base"] for genome in card["genomes"]])
    assert card["overall"]["bits_per_base"] == pytest.approx((bits * held).sum() / held.sum())
    assert card["overall"]["bits_per_base"] < card["overall"]["markov"]


def test_the_defaults_of_gulmfit_are_those_of_bacteria(tmp_path: Path) -> None:
    config = compose(["stage=finetune", "init_from=bacteria"])
    spec = {name: plain(config[name]) for name in ("arch", "tokenizer", "head")}
    assert Run(config, tmp_path).initial_model({**spec, "dropout": {}, "classes": None}) is not None


def test_bacteria_knows_a_gene_of_escherichia_coli() -> None:
    """Better than the same bases in another order, of which it can know their shares alone."""
    shuffled = "".join(np.random.default_rng(0).permutation(list(LACZ)))
    nats, bases = LikelihoodScorer.load("bacteria").score([LACZ, shuffled])
    gene, noise = -nats / np.log(2) / bases
    assert gene < 1.95
    assert noise > gene + 0.05


def test_the_leak_check_knows_what_bacteria_has_read() -> None:
    sketch = Sketch.open(shipped()["bacteria"] / "corpus.npz")
    shuffled = ["".join(np.random.default_rng(seed).permutation(list(LACZ))) for seed in range(200)]
    pieces = [LACZ[start : start + 100] for start in range(0, len(LACZ) - 100, 7)]
    assert sketch.stand_in([LACZ, *pieces]).all()
    assert sketch.stand_in(shuffled).mean() <= 0.02
