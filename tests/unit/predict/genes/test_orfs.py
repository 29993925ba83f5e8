"""Chains of open reading frames: the best of all of them, found by looking at every one."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from gulmfit.errors import ConfigError
from gulmfit.predict.genes.orfs import OrfDecoder, frame_log_odds, frame_sums
from gulmfit.predict.genes.start_sites import GAP_LEAST, GAP_MOST, StartSites
from gulmfit.seq.alphabet import Codes, decode, reverse_complement
from gulmfit.seq.genome.genes import GeneModel, spliced
from gulmfit.seq.genome.genetic_code import genetic_code
from gulmfit.seq.genome.open_frames import STARTS, longest_frames, open_frames, start_codons, strand_codes
from gulmfit.seq.labels.gene_labels import LabelledContig, gene_labels
from gulmfit.seq.labels.gene_models import GeneModels

CODE = genetic_code(11)
STOPS = ("TAA", "TAG", "TGA")


def frames_of(text: str, least: int, open_ends: bool = False) -> Iterator[tuple[int, int]]:
    """Yield each open reading frame by reading on from each codon."""
    for start in range(len(text) - 2):
        edge = open_ends and start < 3
        if (text[start : start + 3] not in STARTS and not edge) or text[start : start + 3] in STOPS:
            continue
        end = start
        while end + 3 <= len(text):
            end += 3
            if text[end - 3 : end] in STOPS:
                break
        closed = text[end - 3 : end] in STOPS
        if (closed or open_ends) and end - start >= least:
            yield start, end


@pytest.mark.parametrize("open_ends", [False, True])
@pytest.mark.parametrize("length", [2, 3, 4, 30, 31, 32, 300])
def test_open_frames_are_all_there(length: int, open_ends: bool) -> None:
    for seed in range(20):
        codes = np.random.default_rng(seed).integers(0, 4, length).astype(np.uint8)
        found = open_frames(codes, CODE, start_codons(STARTS), min_bp=9, open_ends=open_ends)
        expected = sorted(frames_of(decode(codes), 9, open_ends), key=lambda pair: (pair[1], pair[0]))
        assert list(zip(found.starts.tolist(), found.ends.tolist(), strict=True)) == expected
        for start, end, open_start, open_end in zip(*found, strict=True):
            assert open_end == (decode(codes)[end - 3 : end] not in STOPS)
            assert open_start <= (start < 3)
            assert decode(codes)[start : start + 3] in STARTS or open_start


def test_sums_are_those_of_the_bases() -> None:
    generator = np.random.default_rng(1)
    codes = generator.integers(0, 4, 700).astype(np.uint8)
    odds = generator.normal(size=(3, 700)).astype(np.float32)
    frames = open_frames(codes, CODE, start_codons(STARTS), min_bp=9)
    assert len(frames.starts) > 5
    plain = [sum(odds[(n - s) % 3, n] for n in range(s, e)) for s, e in zip(frames.starts, frames.ends, strict=True)]
    assert frame_sums(odds, frames) == pytest.approx(plain, abs=1e-4)


def sites(generator: np.random.Generator) -> StartSites:
    gaps = generator.normal(size=GAP_MOST - GAP_LEAST + 1)
    return StartSites(generator.normal(size=(33, 5)) * 0.1, generator.normal(size=7), gaps, float(generator.normal()))


def example(seed: int, length: int = 110) -> tuple[OrfDecoder, Codes, np.ndarray]:
    generator = np.random.default_rng(seed)
    decoder = OrfDecoder(
        min_bp=12, same_overlap_bp=8, tail_overlap_bp=5, head_overlap_bp=2, temperature=0.8, constant=0.3,
        start_weight=0.5, gap_weight=1.0, sites=sites(generator),
    )  # fmt: skip
    # Letters of many start and stop codons.
    codes = generator.choice(4, length, p=[0.35, 0.05, 0.2, 0.4]).astype(np.uint8)
    return decoder, codes, generator.normal(0.1, 0.6, size=(2, 3, length)).astype(np.float32)


def worth(decoder: OrfDecoder, codes: Codes, odds: np.ndarray, gene: GeneModel) -> float:
    """Say what a candidate is worth on its own, base by base."""
    ((left, right),) = gene.cds
    row = "+-".index(gene.strand)
    own = odds[row] if row == 0 else odds[row][:, ::-1]
    start = left if row == 0 else len(codes) - right
    total = sum(float(own[n % 3, start + n]) for n in range(right - left))
    read = strand_codes(codes, gene.strand)
    frames = open_frames(read, CODE, start_codons(STARTS), min_bp=decoder.min_bp)
    assert decoder.sites is not None
    at = np.flatnonzero((frames.starts == start) & (frames.ends == start + right - left))[0]
    evidence = float(decoder.sites(read, frames)[at])
    return 0.8 * total + 0.5 * evidence + 0.3 + decoder.sites.far


def chain_value(decoder: OrfDecoder, chain: list[tuple[GeneModel, float]]) -> float:
    """Add up a chain; minus infinity where it breaks a rule."""
    total = sum(value for _, value in chain)
    for (one, _), (other, _) in itertools.pairwise(chain):
        distance = other.cds[0][0] - one.cds[0][1]
        allowed = {"+": {"+": 8, "-": 5}, "-": {"+": 2, "-": 8}}[one.strand][other.strand]
        if -distance > allowed:
            return -np.inf
        if one.strand == other.strand and distance <= GAP_MOST:
            assert decoder.sites is not None
            total += float(decoder.sites.gaps[distance - GAP_LEAST]) - decoder.sites.far
    return total


def test_the_chain_is_the_best_of_all() -> None:
    seen = set()
    for seed in range(60):
        decoder, codes, odds = example(seed)
        everything = [
            GeneModel("c", strand, ((s, e) if strand == "+" else (len(codes) - e, len(codes) - s),))
            for strand in "+-"
            for s, e in frames_of(decode(strand_codes(codes, strand)), 12)
        ]
        everything.sort(key=lambda gene: gene.cds[0])
        if not 3 <= len(everything) <= 14:
            continue
        known = [(gene, worth(decoder, codes, odds, gene)) for gene in everything]
        best = max(
            chain_value(decoder, list(chain))
            for size in range(1, min(5, len(known)) + 1)
            for chain in itertools.combinations(known, size)
        )
        found = [(gene, worth(decoder, codes, odds, gene)) for gene in decoder(codes, [odds], "c")]
        assert [gene.score for gene, _ in found] == pytest.approx([value for _, value in found], abs=1e-4)
        assert chain_value(decoder, found) == pytest.approx(max(best, 0.0), abs=1e-4)
        seen.add(len(found))
    assert {1, 2, 3} <= seen


def test_both_strands_are_treated_alike() -> None:
    for seed in range(20):
        decoder, codes, odds = example(seed, 400)
        forward = decoder(codes, [odds], "c")
        backward = decoder(reverse_complement(codes), [np.ascontiguousarray(odds[::-1, :, ::-1])], "c")
        mirrored = [((400 - gene.cds[0][1], 400 - gene.cds[0][0]), "-+"["+-".index(gene.strand)]) for gene in backward]
        # Overlaps of heads and tails swap nothing: their rule is the same read from either side.
        assert sorted(mirrored) == sorted((gene.cds[0], gene.strand) for gene in forward)


@pytest.mark.parametrize("open_ends", [False, True])
def test_translations_hold_no_stop_inside(open_ends: bool) -> None:
    decoder, codes, odds = example(3, 3000)
    genes = replace(decoder, open_ends=open_ends)(codes, [odds + 0.5], "c")
    assert len(genes) > 10
    for gene in genes:
        protein = CODE.translate(spliced(codes, gene.cds, gene.strand))
        assert "*" not in protein[:-1]
        assert protein.endswith("*") != gene.partial[1]
        assert protein.startswith("M") or gene.partial[0]


def test_the_class_that_suits_a_gene_best_counts() -> None:
    decoder, codes, odds = example(5, 600)
    low = np.full_like(odds, -9)
    assert decoder(codes, [odds, low], "c") == decoder(codes, [odds], "c") == decoder(codes, [low, odds], "c")


def test_a_gene_is_longer_than_any_overlap() -> None:
    with pytest.raises(ConfigError, match=r"min_bp=60, .*\b60 bp: "):
        OrfDecoder(min_bp=60)
    with pytest.raises(ConfigError, match="at most 60 bp"):
        OrfDecoder(min_bp=200, same_overlap_bp=100)


def test_the_longest_frames_are_taken_one_by_one() -> None:
    for seed in range(5):
        codes = np.random.default_rng(seed).integers(0, 4, 20_000).astype(np.uint8)
        size = len(codes)
        spans = []
        for strand in "+-":
            first: dict[int, int] = {}
            for start, end in frames_of(decode(strand_codes(codes, strand)), 60):
                first[end] = min(start, first.get(end, start))
            spans += [((s, e) if strand == "+" else (size - e, size - s), strand) for e, s in first.items()]
        taken: list[tuple[tuple[int, int], str]] = []
        for (start, end), strand in sorted(spans, key=lambda one: (one[0][0] - one[0][1], one)):
            if all(min(end, b) - max(start, a) <= 10 for (a, b), _ in taken):
                taken.append(((start, end), strand))
        found = longest_frames(codes, "c", CODE, min_bp=60, max_overlap_bp=10)
        assert [(gene.cds[0], gene.strand) for gene in found] == sorted(taken)
        assert len(found) > 50


def contig(codes: Codes, genes: list[GeneModel]) -> LabelledContig:
    return LabelledContig("c", codes, gene_labels(GeneModels(genes, [], ["c"]), "c", codes), genes)


def test_log_odds_of_probabilities_are_those_of_bayes() -> None:
    generator = np.random.default_rng(0)
    classes, phases = (generator.dirichlet([1] * 4, (2, 30)).transpose(0, 2, 1) for _ in range(2))
    found = frame_log_odds(np.log(classes), np.log(phases))
    for place, phase in enumerate((1, 3, 2)):
        coding = classes[:, 2] * phases[:, phase] / phases[:, 1:].sum(axis=1)
        assert found[:, place] == pytest.approx(np.log(coding / (1 - classes[:, 2])), abs=1e-4)


def test_starts_are_told_apart_by_their_motif_and_by_the_gene_before() -> None:
    generator = np.random.default_rng(0)

    def spacer(size: int) -> str:
        return "".join(generator.choice(list("CT"), size))

    text, genes = "", []
    for _ in range(200):
        # A false start 40 bases after the gene before, then the motif and a true start in its frame.
        text += spacer(40) + "ATG" + spacer(33) + "AGGAGG" + spacer(6)
        genes.append(GeneModel("c", "+", ((len(text), len(text) + 102),)))
        text += "ATG" + spacer(96) + "TAA"
    codes = np.array(["ACGT".index(base) for base in text], np.uint8)
    both = [GeneModel("c", "-", ((len(codes) - gene.cds[0][1], len(codes) - gene.cds[0][0]),)) for gene in genes]
    is_start = start_codons(["ATG"])
    fitted = StartSites.fit([contig(codes, genes)], CODE, is_start)
    other = StartSites.fit([contig(reverse_complement(codes), both)], CODE, is_start)
    assert np.array_equal(fitted.matrix, other.matrix)
    assert np.array_equal(fitted.gaps, other.gaps)
    assert fitted.motif[6] > 0 > fitted.motif[:3].min()
    assert fitted.far > 0 > fitted.gaps[40 - GAP_LEAST]
    frames = open_frames(codes, CODE, is_start)
    scores = fitted(codes, frames)
    true = np.isin(frames.starts, [gene.cds[0][0] for gene in genes])
    assert (true.sum(), len(true)) == (200, 400)
    assert scores[true].min() > scores[~true].max()
