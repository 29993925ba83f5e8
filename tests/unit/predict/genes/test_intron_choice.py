"""First introns are all that could be, weighed as they were learned; genes that only an intron tells are found."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from gulmfit.errors import CheckpointError
from gulmfit.predict.genes import intron_choice
from gulmfit.predict.genes.decoding import Decoding
from gulmfit.predict.genes.gene_hmm import GeneDecoder
from gulmfit.predict.genes.intron_choice import EVIDENCE, IntronChoice, open_frame
from gulmfit.predict.genes.splice_sites import ACCEPTOR, BRANCH_BP, DONOR, FARTHEST, LEAST, NEAREST, SpliceSites
from gulmfit.predict.genes.start_sites import GAP_LEAST, GAP_MOST, MOTIF, StartSites
from gulmfit.seq.alphabet import Codes, decode, encode, reverse_complement
from gulmfit.seq.genome.genes import GeneModel, spliced
from gulmfit.seq.genome.genetic_code import genetic_code
from gulmfit.seq.labels.gene_labels import LabelledContig, labels_of

Floats = npt.NDArray[np.float64]
STOPS = {"TAA", "TAG", "TGA"}
BEFORE = 20


def start_sites(generator: np.random.Generator | None = None) -> StartSites:
    matrix = np.zeros((33, 5)) if generator is None else generator.normal(size=(33, 5))
    return StartSites(matrix, np.zeros(len(MOTIF) + 1), np.zeros(GAP_MOST - GAP_LEAST + 1), 0.0, before=BEFORE)


def random_choice(generator: np.random.Generator, longest_bp: int = 60) -> IntronChoice:
    sizes = sum(DONOR), sum(ACCEPTOR), BRANCH_BP
    donor, acceptor, branch = (generator.normal(size=(size, 5)) for size in sizes)
    return IntronChoice(
        splicing=SpliceSites(donor, acceptor, branch, 0.5),
        starting=start_sites(generator),
        weights=generator.normal(size=EVIDENCE),
        threshold=0.0,
        longest_bp=longest_bp,
    )


def made_up(genes: int, seed: int, introns: int = 1) -> LabelledContig:
    """Plant genes, every second one with introns (GTATGT…TACTAAC…TAG) after a few codons, on the forward strand."""
    generator = np.random.default_rng(seed)

    def random(size: int) -> str:
        return "".join(generator.choice(list("ACGT"), size, p=[0.3, 0.2, 0.2, 0.3]))

    def codons(size: int) -> str:
        return "".join(generator.choice(["GCA", "CTG", "GAA", "TCC"], size))

    text, found = "", []
    for number in range(genes):
        text += random(int(generator.integers(60, 120)))
        parts = [f"ATG{codons(int(generator.integers(1, 8)))}"] if number % 2 else []
        parts += [codons(30) for _ in range(introns - 1) if number % 2]
        parts.append(f"{'' if number % 2 else 'ATG'}{codons(60)}TAA")
        cds: list[tuple[int, int]] = []
        for part in parts:
            if cds:
                text += f"GTATGT{random(int(generator.integers(40, 90)))}TACTAAC{random(12)}TAG"
            cds.append((len(text), len(text) + len(part)))
            text += part
        found.append(GeneModel("c", "+", tuple(cds), tuple(cds)))
    codes = encode(text + random(60))
    return LabelledContig("c", codes, labels_of(found, "c", codes), found)


def ignorant(size: int) -> Floats:
    """Return what a labeller says that holds any class of a base for as likely as another."""
    return np.full((4, size), np.log(0.25))


def learned(seed: int = 0, genes: int = 300) -> tuple[IntronChoice | None, LabelledContig]:
    contig = made_up(genes, seed)
    return IntronChoice.fit([contig], start_sites(), 150, GeneDecoder()), contig


def by_hand(text: str, end: int, before: int, choice: IntronChoice) -> dict[tuple[int, int, int], list[float]]:
    """Return every first intron with its evidence, by the definition of each."""
    opens = next((at + 3 for at in range(end - 6, -1, -3) if text[at : at + 3] in STOPS), end % 3)
    first = next((at for at in range(opens, end - 2, 3) if at >= before and text[at : at + 3] == "ATG"), end)
    codes, found = encode(text), dict[tuple[int, int, int], list[float]]()
    for donor in range(before + 1, end):
        for acceptor in range(max(opens - 2, 0), min(end - intron_choice.LAST_BP, first + intron_choice.LOST_BP) + 1):
            ends = f"{text[donor : donor + 2]}-{text[acceptor - 2 : acceptor]}"
            if ends not in GeneDecoder().introns or not 30 <= acceptor - donor <= choice.longest_bp:
                continue
            left = float(choice.splicing.donors(codes, np.array([donor]))[0])
            right = float(choice.splicing.acceptors(codes, np.array([acceptor]))[0])
            if left + right < intron_choice.LEAST_LOG_ODDS:
                continue
            starts = []
            for start in range(donor - 1, max(before, donor - intron_choice.FIRST_BP, 0) - 1, -1):
                coding = text[start:donor] + text[acceptor:end]
                codons = [coding[at : at + 3] for at in range(0, len(coding), 3)]
                if len(coding) % 3 == 0 and codons[0] == "ATG" and not STOPS & set(codons[:-1]):
                    starts.append(start)
            window = text[acceptor - FARTHEST - BRANCH_BP : acceptor]
            points = range(FARTHEST - NEAREST + 1)
            scores = [
                sum(choice.splicing.branch[n, "ACGT".index(window[at + n])] for n in range(BRANCH_BP)) for at in points
            ]
            inner = window[int(np.argmax(scores)) + BRANCH_BP : -2]
            for start in starts:
                upstream = sum(choice.starting.matrix[n, "ACGT".index(text[start - BEFORE + n])] for n in range(BEFORE))
                found[start, donor, acceptor] = [
                    left, right, np.log(acceptor - donor), np.log(acceptor - donor) ** 2, np.log(donor - start),
                    np.log1p(max(acceptor - first, 0)), np.log1p(max(first - acceptor, 0)), first <= acceptor,
                    upstream, inner.count("AG"), start == min(starts), 1,
                ]  # fmt: skip
    return found


def test_candidates_are_all_first_introns_that_could_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intron_choice, "LEAST_LOG_ODDS", -2.0)
    monkeypatch.setattr(intron_choice, "FIRST_BP", 45)
    monkeypatch.setattr(intron_choice, "LOST_BP", 30)
    seen = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        bases = "".join(generator.choice(list("ACGT"), 330))
        words = ["ATG", "GTA", "AAG", "CAG", "GCA", "TGA", "GTC"]
        text = bases[:100] + "".join(generator.choice(words, 60)) + "TAA" + bases[100:]
        end, choice = 283, random_choice(generator)
        before = int(generator.integers(80, 130))
        wanted = by_hand(text, end, before, choice)
        found = choice.candidates(encode(text), end, before, GeneDecoder())
        places = [tuple(one) for one in found.places.tolist()]
        assert sorted(places) == sorted(wanted), seed
        for place, evidence in zip(places, found.evidence, strict=True):
            assert evidence == pytest.approx([float(value) for value in wanted[place]]), (seed, place)
        seen += len(places)
    assert seen > 150


def test_a_frame_opens_after_a_stop_codon_and_starts_behind_the_gene_before() -> None:
    text = "CATGCCTAACCATGCCATGCCCTAACC"
    #          ATG.CC TAA in another frame; of the last stop codon: TAA at 6, CCATG… from 9 on
    codes = encode(text)
    assert open_frame(codes, 25, 0, GeneDecoder()) == (1, 1)
    assert open_frame(encode("TAACCCATGCCCATGCCCTAA"), 21, 0, GeneDecoder()) == (3, 6)
    assert open_frame(encode("TAACCCATGCCCATGCCCTAA"), 21, 7, GeneDecoder()) == (3, 12)
    assert open_frame(encode("TAACCCATGCCCATGCCCTAA"), 21, 13, GeneDecoder()) == (3, 21)


def test_first_introns_are_learned() -> None:
    choice, _ = learned()
    assert choice is not None
    other = made_up(200, seed=1)
    right = wrong = before = 0
    for gene in other.genes:
        found = choice(other.codes, gene.cds[-1][1], before, GeneDecoder(), ignorant(len(other.codes)))
        before = gene.cds[-1][1]
        own = found[0] if found else [gene.cds[0]]
        right += found is not None and tuple(own) == gene.cds
        wrong += found is not None and tuple(own) != gene.cds
    assert right >= 0.9 * 100
    assert wrong <= 0.1 * 100


def test_what_is_known_of_an_intron_counts() -> None:
    choice, contig = learned()
    assert choice is not None
    gene = contig.genes[1]
    (start, donor), (acceptor, end) = gene.cds
    asked = contig.codes, end, start, GeneDecoder(), ignorant(len(contig.codes))
    certain = choice(*asked)
    assert certain is not None
    assert certain[0] == [(start, donor), (acceptor, end)]
    doubtful = replace(choice, threshold=choice.threshold + certain[1] + 1)
    assert doubtful(*asked) is None
    assert doubtful(*asked, (donor + 1, acceptor), 2.0) is None
    again = doubtful(*asked, (donor, acceptor), 2.0)
    assert again is not None
    assert again == (certain[0], pytest.approx(1.0))


def test_what_a_labeller_says_of_introns_is_the_sum_over_their_bases() -> None:
    generator = np.random.default_rng(0)
    contig = made_up(12, seed=3)
    choice, size = replace(random_choice(generator, 150), threshold=0.0), len(contig.codes)
    classes = np.log(generator.dirichlet([0.5] * 4, size).T)
    seen = before = 0
    for gene in contig.genes:
        end = gene.cds[-1][1]
        found = choice.candidates(contig.codes, end, before, GeneDecoder())
        first = open_frame(contig.codes, end, before, GeneDecoder())[1]
        before = end

        def said(coding: list[tuple[int, int]], low: int, intron: tuple[int, int] = (0, 0), end: int = end) -> float:
            total = 0.0
            for base in range(low, end):
                intergenic, untranslated, cds, spliced = np.exp(classes[:, base])
                if any(begin <= base < stop for begin, stop in coding):
                    total += np.log(cds)
                elif intron[0] <= base < intron[1]:
                    total += np.log(spliced + intron_choice.NONCODING * (intergenic + untranslated))
                else:
                    total += np.log(intergenic + untranslated)
            return total

        for (start, donor, acceptor), worth in zip(found.places.tolist(), found.log_odds(classes), strict=True):
            low = min(start, first)
            without = max(said([(first, end)], low), said([], low))
            assert worth == pytest.approx(said([(start, donor), (acceptor, end)], low, (donor, acceptor)) - without)
            seen += 1
    assert seen > 100


def test_a_labeller_counts_as_far_as_it_is_right_about_introns() -> None:
    choice, _ = learned()
    assert choice is not None
    contig = made_up(100, seed=4)
    truth = np.eye(4)[contig.labels.classes[0]].T
    worse = replace(choice, weights=np.zeros(EVIDENCE), threshold=0.5)  # the letters say nothing

    def right(chosen: IntronChoice, classes: Floats) -> int:
        ends = [0, *(gene.cds[-1][1] for gene in contig.genes)]
        found = [chosen(contig.codes, end, before, GeneDecoder(), classes) for before, end in pairwise(ends)]
        return sum(one is not None and tuple(one[0]) == gene.cds for one, gene in zip(found, contig.genes, strict=True))

    good = np.log(0.6 * truth + 0.1)
    bad = np.log(0.996 * np.roll(truth, 500, axis=1) + 0.001)
    heard = worse.weighed([(contig, {"+": good, "-": good})], GeneDecoder())
    assert heard.bases_weight == max(intron_choice.BASES_WEIGHTS)
    assert right(heard, good) >= 0.9 * 50 > 0 == right(worse, good)
    single = contig._replace(genes=[gene for gene in contig.genes if len(gene.cds) == 1])
    assert worse.weighed([(single, {"+": good, "-": good})], GeneDecoder()).bases_weight == 0
    deaf = choice.weighed([(contig, {"+": bad, "-": bad})], GeneDecoder())
    assert deaf.bases_weight < max(intron_choice.BASES_WEIGHTS)
    assert right(deaf, bad) >= 0.9 * 50


def test_nothing_is_learned_of_introns_that_are_no_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intron_choice, "LEAST_LOG_ODDS", 1e9)
    assert learned()[0] is None


def test_nothing_is_learned_of_too_few_genes_or_of_those_with_many_introns() -> None:
    assert learned(genes=2 * LEAST - 2)[0] is None
    many = made_up(120, 0, introns=2)
    assert IntronChoice.fit([many], start_sites(), 150, GeneDecoder()) is None


@pytest.mark.parametrize("block", [50, 1000, 1 << 16])
def test_genes_that_a_path_has_missed_are_found_between_others(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intron_choice, "BLOCK_BP", block)
    choice, _ = learned()
    assert choice is not None
    contig = made_up(60, seed=2)
    coding = np.zeros(len(contig.codes))
    hidden = contig.genes[1::2]
    for gene in hidden:
        for start, end in gene.cds:
            coding[start:end] = 0.5

    def found(least: float, share: float = 1.0) -> list[tuple[tuple[int, int], ...]]:
        genes: list[tuple[tuple[int, int], ...]] = []
        for gene, after in zip(contig.genes[::2], contig.genes[2::2], strict=False):
            low, high = gene.cds[-1][1], after.cds[0][0]
            classes = np.log(np.maximum([1 - share * coding, 0 * coding, share * coding, 0 * coding], 1e-7))
            between = choice.between(contig.codes, low, high, classes, least, GeneDecoder())
            genes += [tuple(cds) for cds in between]
        return genes

    wanted = {gene.cds for gene in hidden[:-1]}
    assert len(wanted & set(found(0.0))) >= 0.9 * len(wanted)
    assert len(set(found(0.0)) - wanted) <= 0.1 * len(wanted)
    assert found(1e9) == []
    assert found(0.0, share=0.1) == [], "the labeller must hold them for coding"


def test_a_decoder_gives_genes_of_either_strand_the_introns_that_are_chosen() -> None:
    choice, contig = learned()
    assert choice is not None
    # A labeller that sees no first exon: the path begins genes behind the intron, or misses them.
    size = len(contig.codes)
    classes = np.full((size, 4), [0.94, 0.02, 0.02, 0.02])
    phases = np.full((size, 4), 0.25)
    for gene in contig.genes:
        start, end = gene.cds[-1]
        classes[start:end] = [0.02, 0.02, 0.94, 0.02]
        for place in range(3):
            phases[start:end][(np.arange(start, end) - end) % 3 == place] = np.eye(4)[[1, 3, 2][place]] * 0.9 + 0.025
    nothing = np.full((size, 4), [0.97, 0.01, 0.01, 0.01])
    logs = [
        np.log(np.stack([own.T, other.T])) for own, other in ((classes, nothing), (phases, np.full((size, 4), 0.25)))
    ]
    plain = GeneDecoder(gene_constant=-5.0, intron_constant=-20.0)
    choosing = replace(plain, splitting=choice)
    true = {gene.cds for gene in contig.genes if len(gene.cds) == 2}
    before = {gene.cds for gene in plain(contig.codes, *logs, "c")}
    found = choosing(contig.codes, *logs, "c")
    assert len(true & before) < 0.1 * len(true)
    assert len(true & {gene.cds for gene in found}) >= 0.9 * len(true)
    for gene in found:
        protein = genetic_code(1).translate(spliced(contig.codes, gene.cds, gene.strand))
        assert (protein[0], protein.find("*")) == ("M", len(protein) - 1)
    turned = choosing(reverse_complement(contig.codes), *(one[::-1, :, ::-1] for one in logs), "c")
    mirrored = {tuple((size - end, size - start) for start, end in gene.cds) for gene in turned}
    assert mirrored == {gene.cds for gene in found}


def test_genes_of_any_choice_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intron_choice, "LEAST_LOG_ODDS", -20.0)
    generator = np.random.default_rng(3)
    codes: Codes = generator.integers(0, 4, 8000).astype(np.uint8)
    logs = [np.log(generator.dirichlet([0.5] * 4, (2, 8000)).transpose(0, 2, 1)) for _ in range(2)]
    two = 0
    for seed in range(6):
        choice = replace(random_choice(np.random.default_rng(seed), 400), threshold=-30.0)
        genes = GeneDecoder(gene_constant=3.0, splitting=choice, hidden_worth=0.0, min_cds_bp=0)(codes, *logs, "c")
        assert len(genes) > 10
        for strand in "+-":
            spans = sorted((min(gene.cds)[0], max(gene.cds)[1]) for gene in genes if gene.strand == strand)
            assert all(end <= start for (_, end), (start, _) in pairwise(spans))
        for gene in genes:
            bases = decode(spliced(codes, gene.cds, gene.strand))
            codons = [bases[at : at + 3] for at in range(0, len(bases), 3)]
            assert (codons[0], codons[-1] in STOPS, STOPS & set(codons[:-1])) == ("ATG", True, set())
            assert all(start < end for start, end in (*gene.cds, *gene.exons))
            assert all(any(low <= start and end <= high for low, high in gene.exons) for start, end in gene.cds)
            two += len(gene.cds) == 2
    assert two > 20


def test_a_choice_is_kept_in_the_model_folder(tmp_path: Path) -> None:
    choice, _ = learned()
    assert choice is not None
    own = Decoding(decoder=GeneDecoder(splitting=replace(choice, bases_weight=0.002), agreed_bonus=1.0))
    own.save(tmp_path)
    again = Decoding.load(tmp_path)
    assert again is not None
    assert again.to_plain() == own.to_plain()
    content = json.loads((tmp_path / "decoder.json").read_text())
    content["decoder"]["splitting"]["weights"].pop()
    (tmp_path / "decoder.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"decoder\.json"):
        Decoding.load(tmp_path)
