"""A decoder that comes with a model: pieces give what the whole gives, and files what was put into them."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gulmfit.errors import CheckpointError, ConfigError, DataError
from gulmfit.evaluate.baselines.gene_markov import PeriodicMarkov
from gulmfit.evaluate.gene_scores import gene_scores
from gulmfit.predict.genes import decoding as module
from gulmfit.predict.genes import intron_tuning
from gulmfit.predict.genes.decoding import DECODERS, Decoding
from gulmfit.predict.genes.gene_hmm import GeneDecoder
from gulmfit.predict.genes.intron_tuning import fit_gene_decoding
from gulmfit.predict.genes.orfs import OrfDecoder
from gulmfit.predict.genes.tuning import GeneCalibration, worth_of
from gulmfit.predict.genes.weighing import weighed_decoding
from gulmfit.seq.genome.genes import GeneModel
from gulmfit.seq.labels.gene_labels import LabelledContig
from tests.unit.predict.genes.test_markov_genes import made_up


def soft(contig: LabelledContig, seed: int = 0, right: float = 0.6) -> np.ndarray:
    """Give the probabilities of a labeller that is right a little more often than not, (L, 2, C)."""
    generator = np.random.default_rng(seed)
    tracks = []
    for labels in (contig.labels.classes, contig.labels.phases):
        noise = generator.dirichlet([0.7] * 4, labels.T.shape)
        tracks.append(right * np.eye(4)[labels.T] + (1 - right) * noise)
    return np.concatenate(tracks, axis=2).astype(np.float16)


def spans(genes: list[GeneModel]) -> list[Any]:
    return [(gene.contig, gene.strand, gene.cds, gene.exons, gene.partial) for gene in genes]


def reader(probabilities: np.ndarray) -> module.Read:
    def read(start: int, end: int) -> np.ndarray:
        assert 0 <= start <= end <= len(probabilities)
        return probabilities[start:end]

    return read


@pytest.mark.parametrize("open_ends", [False, True])
def test_pieces_give_the_genes_of_the_whole(open_ends: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    contig = made_up(3)
    first, last = contig.genes[0].cds[0], contig.genes[-1].cds[0]
    cut = contig.part(first[0] + 20, last[1] - 20)  # a gene at each edge
    probabilities = soft(cut)
    own = Decoding(decoder=OrfDecoder(temperature=0.3, constant=-3.0, open_ends=open_ends))
    whole = own(cut.codes, reader(probabilities), "c")
    assert len(whole) > 140
    assert [any(gene.partial) for gene in (whole[0], whole[-1])] == [open_ends] * 2
    for piece in (700, 1024):
        monkeypatch.setattr(module, "PIECE_BP", piece)
        monkeypatch.setattr(module, "LONGEST_BP", 600)
        found = own(cut.codes, reader(probabilities), "c")
        assert spans(found) == spans(whole)
        assert [gene.score for gene in found] == pytest.approx([gene.score for gene in whole], abs=1e-5)


def test_what_is_read_as_it_goes_is_what_is_given_at_once() -> None:
    contig = made_up(4).part(0, 9000)
    probabilities = soft(contig)
    decoder = GeneDecoder(code=11, starts=("ATG", "GTG"), gene_constant=-5.0)
    logs = np.log(np.maximum(probabilities.astype(np.float32), 1e-7)).transpose(1, 2, 0)
    expected = decoder(contig.codes, logs[:, :4], logs[:, 4:], "c")
    assert {gene.strand for gene in expected} == {"+", "-"}
    found = Decoding(decoder=decoder)(contig.codes, reader(probabilities), "c")
    assert spans(found) == spans(expected)
    assert [gene.score for gene in found] == pytest.approx([gene.score for gene in expected])
    assert found == sorted(found, key=lambda gene: (gene.span, gene.strand))


@pytest.mark.parametrize("kind", DECODERS)
def test_progress_counts_both_strands(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE_BP", 1024)
    contig = made_up(3).part(0, 5000)
    seen: list[int] = []
    genes = Decoding.untuned(kind)(contig.codes, reader(soft(contig)), "c", seen.append)
    assert genes
    assert len(seen) > 1
    assert min(seen) > 0
    assert sum(seen) == 2 * 5000


@pytest.mark.parametrize("kind", DECODERS)
def test_a_contig_without_room_has_no_genes(kind: str) -> None:
    for length in (0, 1, 2, 3, 7):
        codes = np.zeros(length, np.uint8)
        assert Decoding.untuned(kind)(codes, reader(np.full((length, 2, 8), 0.25, np.float16)), "c") == []


def test_what_is_fitted_is_kept_and_finds_the_same(tmp_path: Path) -> None:
    train, valid, test = map(made_up, range(3))
    fitted = weighed_decoding([train], [(valid, soft(valid, 1, 0.3))])
    assert fitted.kind == "orfs"
    assert fitted.decoder.starts == ("ATG", "GTG")
    assert fitted.markov_weight > 0  # the labeller is seldom right
    fitted.save(tmp_path)
    again = Decoding.load(tmp_path)
    assert again is not None
    probabilities = soft(test, 2, 0.3)
    found = fitted(test.codes, reader(probabilities), "c")
    assert again(test.codes, reader(probabilities), "c") == found
    assert again.to_plain() == fitted.to_plain()
    ends = {(gene.strand, gene.three_prime) for gene in test.genes}
    hits = np.array([(gene.strand, gene.three_prime) in ends for gene in found])
    assert hits.sum() > 0.95 * len(ends)
    assert hits.mean() > 0.95
    assert all(0 <= gene.score <= 1 for gene in found)
    # On another genome scores are what they say: their mean is the share that is right, within 3 standard errors.
    mean = np.mean([gene.score for gene in found])
    assert abs(hits.mean() - mean) < 3 * np.sqrt(mean * (1 - mean) / len(found)) + 0.02


def test_a_decoder_of_introns_is_fitted_to_the_labeller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intron_tuning, "TUNE_BP", 6000)
    monkeypatch.setattr(intron_tuning, "GENE_GRID", {"temperature": (0.3, 1.0), "gene_constant": (-20.0, -5.0, 0.0)})
    train, valid = made_up(0), made_up(1).part(0, 12_000)
    probabilities = soft(valid, 1, 0.3)
    fitted = fit_gene_decoding([train], [(valid, probabilities)], code=11)
    assert fitted.decoder.starts == ("ATG", "GTG")
    first = valid.part(0, 6000)

    def reached(decoding: Decoding) -> float:
        found = decoding(first.codes, reader(probabilities[:6000]), first.name)
        return worth_of(gene_scores(first.genes, found, {first.name: first.labels.masked}))

    starts, grid = ("ATG", "GTG"), (0.3, 1.0)
    plain = [
        Decoding(decoder=GeneDecoder(code=11, starts=starts, temperature=t, gene_constant=c))
        for t in grid for c in (-20.0, 0.0)
    ]  # fmt: skip
    assert reached(fitted) >= max(map(reached, plain[1::2]))
    found = fitted(valid.codes, reader(probabilities), valid.name)
    ends = {(gene.strand, gene.three_prime) for gene in valid.genes}
    hits = np.mean([(gene.strand, gene.three_prime) in ends for gene in found])
    # On what they were fitted to, the mean of calibrated scores is the share that is right.
    assert np.mean([gene.score for gene in found]) == pytest.approx(hits, abs=0.03)
    with pytest.raises(DataError, match=r"no gene\b.*validation part"):
        fit_gene_decoding([train], [(valid._replace(genes=[]), probabilities)])


def test_a_markov_model_helps_a_labeller_that_knows_little(monkeypatch: pytest.MonkeyPatch) -> None:
    train, valid = made_up(0), made_up(1).part(0, 6000)
    known = soft(valid, 1, 0.15)
    monkeypatch.setattr(intron_tuning, "GENE_GRID", {"temperature": (0.01, 0.1), "gene_constant": (-5.0,)})
    fitted = fit_gene_decoding([train], [(valid, known)], code=11)

    def worth(own: Decoding) -> float:
        found = own(valid.codes, reader(known), valid.name)
        return worth_of(gene_scores(valid.genes, found, {valid.name: valid.labels.masked}))

    alone = [
        fitted.changed(markov=None, markov_weight=0.0, temperature=temperature, gene_constant=constant)
        for temperature in (0.01, 0.03, 0.1, 1.0)
        for constant in (-10.0, -5.0, 0.0)
    ]
    assert worth(fitted) > max(map(worth, alone)) + 0.2


def test_a_markov_model_that_counts_for_nothing_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    train, valid = made_up(0), made_up(1).part(0, 6000)
    monkeypatch.setattr(
        intron_tuning, "climbed", lambda first, grid, judged: (dataclasses.replace(first, markov_weight=0.0), None)
    )
    fitted = fit_gene_decoding([train], [(valid, soft(valid, 1, 0.8))], code=11)
    assert isinstance(fitted.decoder, GeneDecoder)
    assert fitted.decoder.markov is None


def test_other_decoders_are_kept_too(tmp_path: Path) -> None:
    one = Decoding(
        decoder=GeneDecoder(code=4, starts=("ATG", "ATT"), introns={"GT-AG": -0.5}, temperature=0.25),
        calibration=GeneCalibration(2.0, -1.0),
    )
    one.save(tmp_path)
    again = Decoding.load(tmp_path)
    assert again is not None
    assert again == one
    assert again.changed(code=11).decoder.code == 11
    markov = PeriodicMarkov.fit([made_up(0)], order=1, classes=1)
    one = one.changed(markov=markov, markov_weight=0.5)
    one.save(tmp_path)
    again = Decoding.load(tmp_path)
    assert again is not None
    assert again.to_plain() == one.to_plain()
    with pytest.raises(ConfigError, match="genetic code 7:"):
        again.changed(code=7)


@pytest.mark.parametrize(
    "damage",
    [
        {"kind": "orbs"}, {"decoder": None}, {"decoder": {"code": 7}}, {"decoder": {"color": 1}}, {"decoder": 3},
        {"decoder": {"sites": {"matrix": "x"}}}, {"calibration": {"x": 1}}, {"markov": {"order": 5}},
        {"markov_weight": "much"}, {"markov_weight": float("inf")}, {"calibration": {"slope": 1.0, "offset": None}},
        {"markov": {"order": 5, "log_odds": [[[0.0]] * 3]}}, {"markov": {"order": 1e9, "log_odds": []}},
        {"decoder": {"starts": ["ATG"], "sites": {"matrix": [[1.0] * 5]}}},
        {"decoder": {"starts": ["ATG"], "temperature": "low"}},
    ],
)  # fmt: skip
def test_damage_is_told(damage: dict[str, Any], tmp_path: Path) -> None:
    assert Decoding.load(tmp_path) is None
    whole = Decoding.untuned("orfs").to_plain()
    for content in ({**whole, **damage}, {**damage}, [], None):
        (tmp_path / "decoder.json").write_text(json.dumps(content))
        with pytest.raises(CheckpointError, match=r"decoder\.json is damaged"):
            Decoding.load(tmp_path)
    (tmp_path / "decoder.json").write_text(json.dumps(whole)[:-3])
    with pytest.raises(CheckpointError, match=r"decoder\.json is damaged"):
        Decoding.load(tmp_path)
