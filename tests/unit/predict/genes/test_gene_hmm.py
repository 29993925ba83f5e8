"""Genes with introns: the best parse of all, found by writing down every transcript that a sequence allows."""

import dataclasses
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from gulmfit.errors import ConfigError
from gulmfit.evaluate.baselines.gene_markov import PeriodicMarkov
from gulmfit.predict.genes import gene_paths
from gulmfit.predict.genes.gene_hmm import GeneDecoder
from gulmfit.predict.genes.gene_paths import INTRONS
from gulmfit.predict.genes.splice_sites import ANY
from gulmfit.seq.alphabet import Codes, decode, reverse_complement
from gulmfit.seq.genome.genes import GeneModel, Span, positions, spliced
from gulmfit.seq.genome.genetic_code import genetic_code
from gulmfit.seq.labels.gene_labels import CODON_PLACES

ENDS = {"GT-AG": 0.0, "GC-AG": -0.4, "AT-AC": -0.7}
STOPS = ("TAA", "TAG", "TGA")
Parse = tuple[list[Span], list[Span]]


def decoder(**how: object) -> GeneDecoder:
    given = {"introns": ENDS, "min_intron_bp": 5, "min_cds_bp": 0, "gene_constant": 0.3, "intron_constant": -0.2}
    return GeneDecoder(**{**given, **how})  # type: ignore[arg-type]


def transcripts(text: str, least_intron: int, least_exon: int) -> Iterator[Parse]:
    """Yield every transcript that the letters allow."""
    introns = [
        (a, b)
        for a in range(len(text))
        for b in range(a + least_intron, len(text) + 1)
        if f"{text[a : a + 2]}-{text[b - 2 : b]}" in ENDS
    ]

    def structures(start: int) -> Iterator[list[Span]]:
        """Yield the exons of all transcripts whose first exon begins here."""
        yield from ([(start, end)] for end in range(start + 1, len(text) + 1))
        for a, b in introns:
            if a > start:
                yield from ([(start, a), *rest] for rest in structures(b))

    for first in range(len(text)):
        for exons in structures(first):
            where = [at for start, end in exons for at in range(start, end)]
            letters = "".join(text[at] for at in where)
            for begin in range(len(letters) - 5):
                if letters[begin : begin + 3] != "ATG":
                    continue
                stop = next((n for n in range(begin, len(letters) - 2, 3) if letters[n : n + 3] in STOPS), None)
                if stop is None:
                    continue
                coding = set(where[begin : stop + 3])
                parts = [[at for at in range(*exon) if at in coding] for exon in exons]
                cds = [(part[0], part[-1] + 1) for part in parts if part]
                if all(end - start >= least_exon for start, end in cds[1:-1]):
                    yield exons, cds


class Letters:
    """What a sequence says of the ends of introns, drawn at random."""

    def __init__(self, generator: np.random.Generator, length: int) -> None:
        self.begins, self.ends = generator.normal(0, 2, (2, length + 1))
        self.least_donor = self.least_acceptor = ANY
        self.whole = np.zeros(0, np.uint8)

    def allow(self, begin: int, end: int) -> bool:
        """Tell whether both ends of an intron are good enough."""
        return bool(self.begins[begin] >= self.least_donor and self.ends[end] >= self.least_acceptor)

    def donors(self, codes: Codes, places: np.ndarray) -> np.ndarray:
        return self.begins[places + self.offset(codes)]

    def acceptors(self, codes: Codes, places: np.ndarray) -> np.ndarray:
        return self.ends[places + self.offset(codes)]

    def offset(self, codes: Codes) -> int:
        """Tell where in the whole a piece lies that a block is scored by."""
        return len(self.whole) - len(codes) if codes.tobytes() == self.whole[-len(codes) :].tobytes() else 0


def gain(
    text: str,
    parse: Parse,
    classes: np.ndarray,
    phases: np.ndarray,
    temperature: float,
    letters: Letters | None = None,
    **how: float,
) -> float:
    """Say how much better a transcript is than nothing, base by base."""
    exons, cds = parse
    total = 2.0
    labels = {at: 1 for start, end in exons for at in range(start, end)}
    values = {at: classes[1, at] for at in labels}
    for (_, a), (b, _) in pairwise(exons):
        inner = any(end == a and start == b for (_, end), (start, _) in pairwise(cds))
        share = how.get("noncoding", 0.0) if inner else 0.0
        for at in range(a, b):
            labels[at] = 3
            values[at] = np.log(np.exp(classes[3, at]) + share * np.exp(classes[:2, at]).sum())
        total += ENDS[f"{text[a : a + 2]}-{text[b - 2 : b]}"] + 2.0
        total += letters.begins[a] + letters.ends[b] if letters else 0.0
        total -= (b - a) / how["intron_bp"] if "intron_bp" in how else 0.0
        early = cds[0][0] < a <= cds[0][0] + how.get("early_bp", 0) and a <= cds[0][1]
        total += how.get("early_bonus" if early else "late_bonus", 0.0)
    place = {at: n % 3 for n, at in enumerate(at for start, end in cds for at in range(start, end))}
    for at in labels:
        value = classes[2, at] + phases[(1, 3, 2)[place[at]], at] if at in place else values[at]
        total += temperature * float(value - classes[0, at])
    return total


def best_gain(gains: list[tuple[Span, float]], length: int) -> float:
    """Return the sum of the best transcripts that do not overlap."""
    best = [0.0] * (length + 1)
    for end in range(1, length + 1):
        best[end] = max([best[end - 1], *(best[s] + value for (s, e), value in gains if e == end)])
    return best[-1]


def emissions(generator: np.random.Generator, length: int) -> tuple[np.ndarray, np.ndarray]:
    classes, phases = (np.log(generator.dirichlet([0.4] * 4, length)).T for _ in range(2))
    return np.maximum(classes, -8), np.maximum(phases, -8)


@pytest.mark.parametrize("least_exon", [3, 5])
def test_the_path_is_the_best_of_all(least_exon: int) -> None:
    seen: list[int] = []
    for seed in range(70):
        generator = np.random.default_rng(seed)
        # Random letters, with a gene and introns in half of them.
        gene = "ATG{}GT{}AG{}GT{}AG{}TAA" if seed % 2 else "{}AG{}AT{}{}AC{}"
        text = gene.format(*("".join(generator.choice(list("ACGT"), size)) for size in generator.integers(0, 5, 5)))
        text = "".join(generator.choice(list("ACGT"), 33 - len(text))) + text
        codes = np.array(["ACGT".index(base) for base in text], np.uint8)
        classes, phases = emissions(generator, len(text))
        gains: dict[tuple[tuple[Span, ...], tuple[Span, ...]], float] = {}
        for exons, cds in transcripts(text, 5, least_exon):
            gains[tuple(exons), tuple(cds)] = gain(text, (exons, cds), classes, phases, 0.7)
        found = decoder(min_exon_bp=least_exon, temperature=0.7, gene_constant=2.0, intron_constant=2.0).path(
            codes, classes, phases
        )
        values = [gains[tuple(exons), tuple(cds)] for exons, cds in found]  # each of them is allowed
        expected = best_gain([((exons[0][0], exons[-1][1]), value) for (exons, _), value in gains.items()], len(text))
        assert sum(values) == pytest.approx(expected, abs=1e-6), seed
        assert sorted(found) == found
        seen += [len(cds) for _, cds in found] + [9 for exons, cds in found if len(exons) > len(cds)]
    assert {1, 2, 9} <= set(seen)
    assert (3 in seen) == (least_exon == 3)


def test_the_path_is_the_best_of_all_with_what_letters_and_lengths_say() -> None:
    how = {"noncoding": 0.3, "intron_bp": 6.0, "early_bp": 4}
    how |= {"early_bonus": 1.5, "late_bonus": -0.5}
    lengths = list[tuple[int, int]]()
    plain = "ATG{}GT{}AG{}GT{}AG{}TAA"
    # In the last ones an intron that is no worse ends where another one, that cuts a codon, would make a stop codon.
    cut = [("ATG{}TAGT{}AGA{}GT{}AG{}TAA", 1908), ("ATG{}TGT{}AGAA{}GTAA{}AG{}TAA", 1122), (plain, 2088), (plain, 3528)]
    for gene, seed in [*((plain, 1000 + number) for number in range(90)), *cut]:
        generator = np.random.default_rng(seed)
        text = gene.format(*("".join(generator.choice(list("ACGT"), size)) for size in generator.integers(0, 5, 5)))
        text = "".join(generator.choice(list("ACGT"), 33 - len(text))) + text
        codes = np.array(["ACGT".index(base) for base in text], np.uint8)
        classes, phases = emissions(generator, len(text))
        letters = Letters(generator, len(text))
        letters.whole = codes
        if seed % 2:
            letters.least_donor, letters.least_acceptor = -1.0, -0.5
        gains = {
            (tuple(exons), tuple(cds)): gain(text, (exons, cds), classes, phases, 0.7, letters, **how)
            for exons, cds in transcripts(text, 5, 3)
            if all(b - a <= 8 and letters.allow(a, b) for (_, a), (b, _) in pairwise(exons))
        }
        own = decoder(temperature=0.7, gene_constant=2.0, intron_constant=2.0, max_intron_bp=8, splicing=letters, **how)
        found = own.path(codes, classes, phases)
        values = [gains[tuple(exons), tuple(cds)] for exons, cds in found]
        expected = best_gain([((exons[0][0], exons[-1][1]), value) for (exons, _), value in gains.items()], len(text))
        assert sum(values) == pytest.approx(expected, abs=1e-6), seed
        lengths += [(seed % 2, b - a) for exons, _ in found for (_, a), (b, _) in pairwise(exons)]
    assert {(least, size) for least in (0, 1) for size in (5, 8)} <= set(lengths)


def test_a_markov_model_counts_as_what_the_network_says_of_the_places_in_a_codon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gene_paths, "BLOCK_BP", 150)
    generator = np.random.default_rng(0)
    model = PeriodicMarkov(2, generator.normal(0, 1, (1, 3, 64)).astype(np.float32))
    codes = generator.integers(0, 4, 1000).astype(np.uint8)
    classes, phases = emissions(generator, len(codes))
    joined = phases.copy()
    joined[list(CODON_PLACES)] += 3 / 0.7 * model(codes)[0][0]
    plain = decoder(temperature=0.7, intron_constant=-2.0)
    both = dataclasses.replace(plain, markov=model, markov_weight=3.0)
    assert both.path(codes, classes, phases) == plain.path(codes, classes, joined) != plain.path(codes, classes, phases)


def planted(intron: str, strand: str = "+", at: int = 12) -> tuple[Codes, np.ndarray, np.ndarray, tuple[Span, ...]]:
    """Plant a gene with an intron after `at` coding bases, and say with some doubt where it is."""
    coding = "ATG" + "GCTGCA" * 10 + "TAA"
    text = "C" * 40 + coding[:at] + intron + coding[at:] + "C" * 40
    start, end, size = 40 + at, 40 + at + len(intron), len(coding)
    labels = np.zeros(len(text), int)
    labels[30:40], labels[40:start], labels[start:end] = 1, 2, 3
    labels[end : 40 + len(intron) + size], labels[40 + len(intron) + size :][:10] = 2, 1
    place = np.zeros(len(text), int)
    place[labels == 2] = np.resize([1, 3, 2], size)
    classes, phases = (
        np.log(np.full((4, len(text)), 0.1) + 0.6 * (np.arange(4)[:, None] == one)) for one in (labels, place)
    )
    cds: tuple[Span, ...] = tuple(span for span in ((40, start), (end, 40 + len(intron) + size)) if span[0] < span[1])
    codes = np.array(["ACGT".index(base) for base in text], np.uint8)
    if strand == "-":
        codes, classes, phases = reverse_complement(codes), classes[:, ::-1], phases[:, ::-1]
        cds = tuple((len(text) - b, len(text) - a) for a, b in cds)
    nothing = np.log(np.full((4, len(text)), [[0.97], [0.01], [0.01], [0.01]]))
    stacked = [np.stack([one, nothing] if strand == "+" else [nothing, one]) for one in (classes, phases)]
    return codes, stacked[0], stacked[1], cds


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("at", [1, 2, 3, 12, 13, 14, 63, 64, 65])
@pytest.mark.parametrize("ends", list(INTRONS))
def test_introns_may_cut_any_codon_also_start_and_stop(strand: str, at: int, ends: str) -> None:
    intron = ends[:2] + "C" * 40 + ends[3:]
    codes, classes, phases, cds = planted(intron, strand, at)
    (gene,) = GeneDecoder()(codes, classes, phases, "c")
    assert (gene.cds, gene.strand) == (cds, strand)
    assert gene.score == pytest.approx(0.7)
    assert gene.exons[0][0] == cds[0][0] - 10 if strand == "+" else gene.exons[0][1] == cds[0][1] + 10
    protein = genetic_code(1).translate(spliced(codes, gene.cds, strand))
    assert protein == "M" + "AA" * 10 + "*"


def test_what_is_too_short_or_has_other_ends_is_no_intron() -> None:
    right = planted("GT" + "C" * 40 + "AG")
    for how in ({"min_intron_bp": 45}, {"introns": {"GC-AG": 0.0}}):
        genes = GeneDecoder(**how)(*right[:3], "c")  # type: ignore[arg-type]
        assert right[3] not in [gene.cds for gene in genes]
    assert GeneDecoder(min_cds_bp=66)(*right[:3], "c")
    assert not GeneDecoder(min_cds_bp=67)(*right[:3], "c")


def test_a_stop_codon_made_by_splicing_is_seen() -> None:
    # T | GA: neither exon holds a stop codon, the gene across them does.
    coding, intron = "ATGGCTGCAT" + "GAGCTGCTGCTTAA", "GT" + "C" * 40 + "AG"
    text = "C" * 20 + coding[:10] + intron + coding[10:] + "C" * 20
    codes = np.array(["ACGT".index(base) for base in text], np.uint8)
    classes, phases = (np.log(np.full((2, 4, len(text)), 0.25)) for _ in range(2))
    classes[0, 0] -= 1
    for code in (1, 4):  # in code 4 TGA is tryptophan
        genes = GeneDecoder(code=code, min_cds_bp=0)(codes, classes, phases * 0, "c")
        for gene in genes:
            assert "*" not in genetic_code(code).translate(spliced(codes, gene.cds, gene.strand))[:-1]
    whole = GeneDecoder(code=4, min_cds_bp=24, intron_constant=5.0)(codes, classes, phases * 0, "c")
    assert [spliced(codes, gene.cds, "+").size for gene in whole] == [len(coding)]


def test_random_genes_translate_without_a_stop_inside() -> None:
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 5, 6000).astype(np.uint8)
    codes[(codes == 4) & (generator.random(6000) < 0.9)] = 2
    pairs = [np.stack(one) for one in zip(*(emissions(generator, 6000) for _ in range(2)), strict=True)]
    genes = decoder(gene_constant=3.0)(codes, pairs[0], pairs[1], "c")
    assert len(genes) > 10
    assert any(len(gene.cds) > 2 for gene in genes)
    for gene in genes:
        bases = spliced(codes, gene.cds, gene.strand)
        protein = genetic_code(1).translate(bases)
        assert len(bases) % 3 == 0
        assert protein[0] == "M"
        assert protein.find("*") == len(protein) - 1
        assert set(positions(gene.cds, gene.strand)) <= set(positions(gene.exons, gene.strand))
        assert 0 <= gene.score <= 1
        for a, b in gene.introns():
            ends = decode(spliced(codes, [(a, b)], gene.strand))
            assert f"{ends[:2]}-{ends[-2:]}" in ENDS


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_blocks_of_any_size_give_the_same_genes(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    codes = generator.integers(0, 4, 700).astype(np.uint8)
    classes, phases = (np.stack([emissions(generator, 700)[0] for _ in range(2)]) for _ in range(2))
    whole = decoder(gene_constant=6.0)(codes, classes, phases, "c")
    assert any(len(gene.cds) > 1 for gene in whole)
    monkeypatch.setattr(gene_paths, "BLOCK_BP", size)
    assert decoder(gene_constant=6.0)(codes, classes, phases, "c") == whole


def test_settings_that_cannot_work_are_refused() -> None:
    for how, message in (
        ({"min_exon_bp": 2}, "min_exon_bp=2"),
        ({"introns": {"GTAG": 0.0}}, "'GTAG'"),
        ({"code": 7}, "code 7"),
    ):
        with pytest.raises(ConfigError, match=message):
            GeneDecoder(**how)  # type: ignore[arg-type]


def test_an_empty_contig_has_no_gene() -> None:
    for length in (1, 2, 3):
        nothing = np.zeros((2, 4, length))
        assert GeneDecoder()(np.zeros(length, np.uint8), nothing, nothing, "c") == list[GeneModel]()
