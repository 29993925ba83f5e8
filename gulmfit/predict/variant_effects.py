"""What a variant does to a model's prediction: alternative against reference haplotype, in windows of one length.

Shape letters: `N` alleles, `U` different windows, `C` classes, `F` fields.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gulmfit.errors import ConfigError
from gulmfit.predict.language.likelihood import LikelihoodScorer
from gulmfit.predict.predictor import Predictor
from gulmfit.seq.alphabet import AMBIGUOUS, Codes, decode
from gulmfit.seq.genome.contigs import contigs_by_name
from gulmfit.seq.genome.haplotypes import windows
from gulmfit.seq.genome.store import GenomeStore

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# For each `strand=` the endings of field names, and of which strands each is the mean: False forward, True reverse.
STRANDS: dict[str, dict[str, tuple[bool, ...]]] = {
    "average": {"": (False, True)},
    "forward": {"": (False,)},
    "both": {"_FWD": (False,), "_REV": (True,)},
}


class Allele(NamedTuple):
    """One alternative allele; `start` is 0-based."""

    contig: str
    start: int
    ref: str
    alt: str


class Score(NamedTuple):
    """What was found about one allele."""

    values: Floats
    """One for each field, `(F,)`; nan where there is none."""
    notes: tuple[str, ...]
    """`ambiguous` (a window holds an N), `off_centre` (near an end of its contig), `short_contig` (shorter than a
    window); and why there is no score: `too_long` (an allele as long as a window), `too_short` (the contig)."""


NO_SCORE = ("too_long", "too_short")
AMBIGUOUS_NOTE = "ambiguous"


class VariantScorer:
    """Models and a genome, ready to score variants.

    Args:
        store: The genome.
        predictor: A classifier, for differences of its outputs.
        likelihood: A language model, for ratios of likelihoods; at least one of the two.
        window_bp: Bases of a window.
        strand: `average` over both strands, which is the same however the genome is written; `forward`; or `both`, each
            for itself.
        batch_size: Windows that are run at once.
        refuse_ambiguous: Give alleles whose windows hold an N no score.

    Attributes:
        fields: Name and description of each value of a score, in order.

    Raises:
        ConfigError: If there is no model, the strand is unknown, or a number is out of range.
        DataError: If two contigs of the genome have one name.
    """

    def __init__(
        self,
        store: GenomeStore,
        predictor: Predictor | None = None,
        likelihood: LikelihoodScorer | None = None,
        *,
        window_bp: int,
        strand: str = "average",
        batch_size: int = 64,
        refuse_ambiguous: bool = False,
    ) -> None:
        if predictor is None and likelihood is None:
            raise ConfigError("variants are scored by a classifier, a language model, or both: give at least one.")
        if strand not in STRANDS:
            raise ConfigError(f"strand={strand!r} is unknown; choose one of {', '.join(STRANDS)}.")
        tokenizers = [model.tokenizer for model in (predictor, likelihood) if model is not None]
        for tokenizer in tokenizers:
            if not tokenizer.alphabet.complements:
                raise ConfigError(f"the model reads {tokenizer.alphabet.name} sequences; variants lie in genomes.")
        self.min_bp = max(tokenizer.min_bases for tokenizer in tokenizers)
        if window_bp < self.min_bp:
            raise ConfigError(f"window_bp={window_bp}: the tokenizer of this model needs {self.min_bp} bases or more.")
        if batch_size < 1:
            raise ConfigError(f"batch_size={batch_size}: 1 or more is needed.")
        self.store, self.predictor, self.likelihood = store, predictor, likelihood
        self.window_bp, self.strand, self.batch_size = window_bp, strand, batch_size
        self.refuse_ambiguous = refuse_ambiguous
        self.masks = any(model.letters.case == "mask" for model in (predictor, likelihood) if model is not None)
        self.contigs = contig_codes(store)
        self.shown = _shown(predictor) if predictor else {}
        self.fields = dict(self._fields())

    def score(self, alleles: Sequence[Allele]) -> list[Score]:
        """Score alleles, `N` of them, in the order given.

        A window that occurs more than once is run once, so an alternative allele that is the reference one scores 0.

        Raises:
            SequenceError: If an allele holds a letter that is not a nucleotide.
        """
        numbers: dict[str, int] = {}
        notes, pairs = [], np.zeros((len(alleles), 2, 2), dtype=np.int64)  # allele, strand, haplotype
        reverses = sorted({reverse for strands in STRANDS[self.strand].values() for reverse in strands})
        for row, allele in enumerate(alleles):
            found: list[str] = []
            for reverse in reverses:
                texts, here = self._texts(allele, reverse)
                found += [note for note in here if note not in found]
                if texts:
                    pairs[row, int(reverse)] = [numbers.setdefault(text, len(numbers)) for text in texts]
            notes.append(tuple(found))
        values = np.full((len(alleles), len(self.fields)), np.nan)
        without = {*NO_SCORE, *([AMBIGUOUS_NOTE] if self.refuse_ambiguous else [])}
        scored = np.array([not set(found) & without for found in notes], dtype=bool)
        if scored.any():
            values[scored] = self._values(list(numbers), pairs[scored])
        return [Score(row, found) for row, found in zip(values, notes, strict=True)]

    def _texts(self, allele: Allele, reverse: bool) -> tuple[list[str], list[str]]:
        """Spell both windows, if there are any, and note what is special about them."""
        codes, ref, alt = self.contigs[allele.contig], allele.ref, allele.alt
        if self.masks and (codes[allele.start :][: len(ref)] == AMBIGUOUS).all():  # what is masked hides what is there
            ref, alt = "N" * len(ref), "N" * len(alt)
        cut = windows(codes, allele.start, ref, alt, self.window_bp, reverse=reverse)
        if cut.allele_bp >= self.window_bp:
            return [], ["too_long"]
        lengths = [len(window) for window in cut[:2]]
        if min(lengths) < self.min_bp:
            return [], ["too_short"]
        texts = [decode(window) for window in cut[:2]]
        if self.refuse_ambiguous and any("N" in text for text in texts):
            return [], [AMBIGUOUS_NOTE]
        special = {
            "ambiguous": any("N" in text for text in texts),
            "off_centre": not cut.centred,
            "short_contig": min(lengths) < self.window_bp,
        }
        return texts, [note for note, holds in special.items() if holds]

    def _values(self, texts: Sequence[str], pairs: Integers) -> Floats:
        """Run the windows `(U,)` and put the values `(N, F)` of pairs of them `(N, 2, 2)` together."""
        groups = [pairs[:, [int(reverse) for reverse in strands]] for strands in STRANDS[self.strand].values()]
        columns: list[Floats] = []
        if self.predictor is not None:
            raw = self.predictor.predict(texts, batch_size=self.batch_size, raw=True)
            for group in groups:
                ref, alt = (self.predictor.calibrated(raw[group[:, :, haplotype]].mean(axis=1)) for haplotype in (0, 1))
                for index in self.shown.values():
                    columns += [alt[:, index] - ref[:, index], ref[:, index], alt[:, index]]
        if self.likelihood is not None:
            nats, bases = self.likelihood.score(texts, batch_size=self.batch_size)
            for group in groups:
                columns.append(log_ratio(nats[group], bases[group]).mean(axis=1))
        return np.stack(columns, axis=1)

    def _fields(self) -> Iterable[tuple[str, str]]:
        of_strand = {
            "": "mean over both strands" if self.strand == "average" else "forward strand",
            "_FWD": "forward strand",
            "_REV": "reverse strand",
        }
        place = {end: f"window of {self.window_bp} bases, {of_strand[end]}" for end in STRANDS[self.strand]}
        for end in place:
            for mark, index in self.shown.items():
                if self.predictor is not None:
                    kind = "probability" if self.predictor.kind.labels.probabilities else "value"
                    what = f"Predicted {kind} of {self.predictor.classes[index]!r}, {place[end]}"
                    yield f"GULMFIT_DP{mark}{end}", f"{what}: alternative minus reference haplotype"
                    yield f"GULMFIT_REF{mark}{end}", f"{what}: reference haplotype"
                    yield f"GULMFIT_ALT{mark}{end}", f"{what}: alternative haplotype"
        if self.likelihood is not None:
            for end in place:
                yield (
                    f"GULMFIT_LLR{end}",
                    f"Log-likelihood ratio in nats, alternative to reference haplotype, {place[end]}",
                )


def contig_codes(store: GenomeStore) -> dict[str, Codes]:
    """Return the base codes of each contig, `(L,)`, by its name."""
    return {name: store.codes[contig.start :][: contig.length] for name, contig in contigs_by_name(store).items()}


def log_ratio(nats: Floats, bases: Floats) -> Floats:
    """Return ln P(alternative) - ln P(reference) from the log-likelihoods `(..., 2)`, reference first.

    Where the two cover different numbers of bases, which only N in a window and ends of contigs bring about, it is the
    difference of their means a base, times the mean number of bases; nan where one covers none.

    Args:
        nats: Log-likelihoods.
        bases: Bases that each covers, same shape.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        means = nats / bases
    ratios: Floats = bases.mean(axis=-1) * (means[..., 1] - means[..., 0])
    return ratios


def _shown(predictor: Predictor) -> dict[str, int]:
    """Return the outputs that are told, by what their fields are marked with: of two classes the positive one alone."""
    classes = predictor.classes
    if len(classes) == 1:
        return {"": 0}
    if len(classes) == 2 and predictor.kind.labels.exclusive:
        return {"": classes.index(predictor.positive)}
    # VCF allows few letters in a key.
    marks = [re.sub(r"[^0-9A-Za-z_.]", "_", name) for name in classes]
    if len(set(marks)) < len(marks):
        marks = [str(index) for index in range(len(classes))]
    return {f"_{mark}": index for index, mark in enumerate(marks)}
