"""Splice sites that were planted are learned, on either strand, and what is learned is the counts."""

import json
from pathlib import Path

import numpy as np
import pytest

from gulmfit.errors import CheckpointError
from gulmfit.predict.genes.decoding import Decoding
from gulmfit.predict.genes.gene_hmm import GeneDecoder
from gulmfit.predict.genes.gene_paths import INTRONS
from gulmfit.predict.genes.splice_sites import (
    ACCEPTOR,
    ANY,
    BRANCH_BP,
    DONOR,
    FARTHEST,
    LEAST,
    NEAREST,
    SpliceSites,
)
from gulmfit.predict.genes.start_choice import StartChoice
from gulmfit.predict.genes.start_sites import GAP_LEAST, GAP_MOST, MOTIF, StartSites
from gulmfit.seq.alphabet import Codes, encode, reverse_complement
from gulmfit.seq.genome.genes import GeneModel
from gulmfit.seq.labels.gene_labels import LabelledContig, labels_of

BRANCH = "TACTAAC"


def contig_of(codes: Codes, genes: list[GeneModel]) -> LabelledContig:
    return LabelledContig("c", codes, labels_of(genes, "c", codes), genes)


def planted(genes: int, seed: int = 0) -> LabelledContig:
    """Plant genes of two exons: the intron is GTATGT…TACTAAC…TAG, after 10 to 60 coding bases."""
    generator = np.random.default_rng(seed)

    def random(size: int) -> str:
        return "".join(generator.choice(list("ACGT"), size))

    text, found = "", []
    for _ in range(genes):
        text += random(60)
        first = "ATG" + "".join(generator.choice(["GCA", "CTG", "GAA"], generator.integers(3, 20)))
        intron = f"GTATGT{random(int(generator.integers(30, 80)))}{BRANCH}{random(int(generator.integers(8, 20)))}TAG"
        second = "".join(generator.choice(["GCA", "CTG", "GAA"], 60)) + "TAA"
        begin, donor = len(text), len(text) + len(first)
        text += first + intron + second
        cds = ((begin, donor), (donor + len(intron), len(text)))
        found.append(GeneModel("c", "+", cds, cds))
    return contig_of(encode(text + random(60)), found)


def turned(contig: LabelledContig) -> LabelledContig:
    size = len(contig.codes)
    genes = [
        GeneModel("c", "-", cds, cds)
        for gene in contig.genes[::-1]
        for cds in [tuple((size - end, size - start) for start, end in gene.cds)]
    ]
    return contig_of(reverse_complement(contig.codes), genes)


def test_what_was_planted_is_learned() -> None:
    contig = planted(60)
    found = SpliceSites.fit([contig], INTRONS)
    assert found is not None
    letters = "ACGT"
    assert "".join(letters[at] for at in found.sites.branch[:, :4].argmax(axis=1)) == BRANCH
    assert "".join(letters[at] for at in found.sites.donor[DONOR[0] + 2 :, :4].argmax(axis=1))[:4] == "ATGT"
    assert letters[found.sites.acceptor[ACCEPTOR[0] - 3, :4].argmax()] == "T"
    introns = [span for gene in contig.genes for span in gene.introns()]
    sizes = [end - start for start, end in introns]
    assert (found.count, found.longest_bp, found.mean_bp) == (60, max(sizes), pytest.approx(np.mean(sizes)))
    assert found.early > 0 > found.late  # all of them begin early
    starts, ends = (np.array(one) for one in zip(*introns, strict=True))
    others = np.flatnonzero((contig.codes[:-1] == 2) & (contig.codes[1:] == 3))
    others = others[~np.isin(others, starts)]
    assert found.sites.donors(contig.codes, starts).min() > np.quantile(found.sites.donors(contig.codes, others), 0.95)
    lasts = np.flatnonzero((contig.codes[:-1] == 0) & (contig.codes[1:] == 2)) + 2
    lasts = lasts[~np.isin(lasts, ends)]
    assert found.sites.acceptors(contig.codes, ends).min() > np.quantile(
        found.sites.acceptors(contig.codes, lasts), 0.9
    )
    # An end is allowed to be a little worse than nearly all of these, which most other places are not.
    assert (found.sites.donors(contig.codes, starts) > found.sites.least_donor + 1.9).mean() > 0.95
    assert (found.sites.acceptors(contig.codes, ends) > found.sites.least_acceptor + 1.9).mean() > 0.95
    assert (found.sites.donors(contig.codes, others) < found.sites.least_donor).mean() > 0.8


def test_a_single_odd_intron_does_not_let_introns_begin_anywhere() -> None:
    contig = planted(200)
    usual = SpliceSites.fit([contig], INTRONS)
    start, _ = contig.genes[0].introns()[0]
    codes = contig.codes.copy()
    codes[start + 2 : start + 8] = (3 - codes[start + 2 : start + 8]) % 4  # GT, and then nothing of a donor
    odd = SpliceSites.fit([contig._replace(codes=codes)], INTRONS)
    assert usual is not None
    assert odd is not None
    assert odd.sites.donors(codes, np.array([start]))[0] < odd.sites.least_donor
    assert odd.sites.least_donor > usual.sites.least_donor - 1


def test_a_strand_is_learned_as_the_other() -> None:
    contig = planted(40, seed=1)
    one, other = (SpliceSites.fit([own], INTRONS) for own in (contig, turned(contig)))
    assert one is not None
    assert other is not None
    for name in ("donor", "acceptor", "branch"):
        np.testing.assert_allclose(getattr(one.sites, name), getattr(other.sites, name), atol=1e-9)
    assert (one.prior, one.early, one.late) == pytest.approx((other.prior, other.early, other.late))
    least = [(own.sites.least_donor, own.sites.least_acceptor) for own in (one, other)]
    assert least[0] == pytest.approx(least[1])


def test_scores_are_sums_over_the_letters_around_a_place_and_the_best_branch_point() -> None:
    generator = np.random.default_rng(2)
    donor, acceptor, branch = (generator.normal(size=(size, 5)) for size in (sum(DONOR), sum(ACCEPTOR), BRANCH_BP))
    sites = SpliceSites(donor, acceptor, branch, 1.5)
    codes = generator.integers(0, 5, 90).astype(np.uint8)

    def letter(at: int) -> int:
        return int(codes[at]) if 0 <= at < len(codes) else 4

    for place in (2, 3, 30, 70, 88, 90):
        wanted = sum(donor[n, letter(place - DONOR[0] + n)] for n in range(len(donor)))
        assert sites.donors(codes, np.array([place])) == pytest.approx([wanted])
        around = sum(acceptor[n, letter(place - ACCEPTOR[0] + n)] for n in range(len(acceptor)))
        firsts = range(place - FARTHEST - BRANCH_BP, place - NEAREST - BRANCH_BP + 1)
        best = max(sum(branch[n, letter(first + n)] for n in range(BRANCH_BP)) for first in firsts)
        assert sites.acceptors(codes, np.array([place])) == pytest.approx([around + best - 1.5])


def test_too_few_introns_teach_nothing() -> None:
    assert SpliceSites.fit([planted(LEAST - 1)], INTRONS) is None
    assert SpliceSites.fit([planted(LEAST)], INTRONS) is not None


def test_what_is_learned_is_kept_in_the_model_folder(tmp_path: Path) -> None:
    found = SpliceSites.fit([planted(30)], INTRONS)
    assert found is not None
    sites = StartSites(np.ones((40, 5)), np.zeros(len(MOTIF) + 1), np.zeros(GAP_MOST - GAP_LEAST + 1), 0.0)
    choice = StartChoice(sites=sites, bases_weight=0.1, sites_weight=0.2, length_weight=3.0)
    own = Decoding(decoder=GeneDecoder(splicing=found.sites, starting=choice, early_bp=50, early_bonus=2.5))
    own.save(tmp_path)
    again = Decoding.load(tmp_path)
    assert again is not None
    assert again.to_plain() == own.to_plain()
    content = json.loads((tmp_path / "decoder.json").read_text())
    for name in ("least_donor", "least_acceptor"):  # a model of before they were learned allows any end
        del content["decoder"]["splicing"][name]
    (tmp_path / "decoder.json").write_text(json.dumps(content))
    older = Decoding.load(tmp_path)
    assert older is not None
    assert older.to_plain()["decoder"]["splicing"]["least_donor"] == ANY
    content["decoder"]["splicing"]["branch"] = [[0.0] * 4] * BRANCH_BP
    (tmp_path / "decoder.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"decoder\.json"):
        Decoding.load(tmp_path)
