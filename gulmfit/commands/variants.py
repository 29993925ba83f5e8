"""What `gulmfit-variants` does: a VCF and a genome in, a VCF or a table with scores out.

The VCF is read twice, so that a wrong genome is told before hours of scoring. Memory does not grow with its records.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from gulmfit.checkpoint import load
from gulmfit.commands.provenance import noted
from gulmfit.errors import ConfigError, DataError
from gulmfit.files import whole_file
from gulmfit.models.hardware import keep_freed_memory
from gulmfit.predict.language.likelihood import LikelihoodScorer
from gulmfit.predict.outputs.writers import parquet_table, tsv_table
from gulmfit.predict.predictor import Predictor
from gulmfit.predict.progress import Bar
from gulmfit.predict.variant_check import NO_BASES, Contigs, left_out, survey
from gulmfit.predict.variant_effects import AMBIGUOUS_NOTE, NO_SCORE, Allele, Score, VariantScorer, contig_codes
from gulmfit.seq.alphabet import Letters
from gulmfit.seq.formats.vcf import VCF_SUFFIXES, Vcf, VcfRecord, declared, described, vcf_file, with_info
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.weights import weights_digest

logger = logging.getLogger(__name__)

MISMATCH_POLICIES = ("error", "skip")
MISMATCH_COLUMNS = (("place", str), ("contig", str), ("position", int), ("ref", str), ("genome", str))
NOTE = "GULMFIT_NOTE"

# Records that are scored together; a window that occurs more than once among them is run once.
RECORDS_AT_ONCE = 512

Outcome = tuple[VcfRecord, list[Score]]


class Models(NamedTuple):
    """The models of one command."""

    predictor: Predictor | None
    likelihood: LikelihoodScorer | None
    files: dict[str, Path]
    """For each kind of model the file of its weights."""
    sequence_bp: int
    """Length of the sequences that the classifier was trained on; 0 where its folder does not say."""

    @classmethod
    def load(cls, model: str, language_model: str, precision: str) -> "Models":
        """Load a classifier, a language model, or both.

        Raises:
            CheckpointError: If one is missing or of another kind.
            ConfigError: If the precision is unknown, or both are language models.
        """
        loaded = load(model)
        if not loaded.classes:
            if language_model:
                raise ConfigError(f"model={model} is a language model itself: leave out language_model=.")
            scorer = LikelihoodScorer.load(model, precision=precision)
            return cls(None, scorer, {"language_model": loaded.source}, 0)
        predictor, likelihood = Predictor.load(model, precision=precision), None
        files = {"classifier": loaded.source}
        if language_model:
            likelihood = LikelihoodScorer.load(language_model, precision=precision)
            files["language_model"] = load(language_model).source
        return cls(predictor, likelihood, files, int(loaded.spec.get("sequence_bp") or 0))

    def letters(self, case: str, ambiguity: str) -> Letters:
        """Return how all models read letters, or how they are asked to.

        Raises:
            ConfigError: If two models have learned different ways, and none is asked for.
        """
        scorers = [model for model in (self.predictor, self.likelihood) if model is not None]
        for name, asked in (("case", case), ("ambiguity", ambiguity)):
            learned = {getattr(model.letters, name) for model in scorers}
            if len(learned) > 1 and not asked:
                raise ConfigError(
                    f"the models have learned with data.{name}={' and '.join(sorted(learned))}: give {name}=."
                )
        for model in scorers:
            model.letters = model.letters.asked(case, ambiguity)
        return scorers[0].letters


def score_vcf(
    *,
    model: str,
    vcf: str,
    genome: str,
    output: str,
    language_model: str = "",
    window_bp: int = 0,
    strand: Literal["average", "forward", "both"] = "average",
    batch_size: int = 64,
    precision: Literal["32", "bf16", "auto"] = "32",
    on_mismatch: Literal["error", "skip"] = "error",
    cache_dir: str = "outputs/store",
    case: Literal["", "upper", "mask"] = "",
    ambiguity: Literal["", "split", "unk", "error"] = "",
) -> None:
    """Score every alternative allele of a VCF.

    How much each allele changes what a classifier predicts (difference of probabilities), and how much more or less
    probable a language model finds it (log-likelihood ratio, nats). The genome's letters are checked against REF first.
    docs/variants.md says what the numbers mean.

    Args:
        model: Run folder, model folder or checkpoint of a classifier or of a language model, or the name of one.
        vcf: `.vcf` or `.vcf.gz`.
        genome: FASTA that the variants were called on.
        output: `.vcf`, `.vcf.gz`, `.tsv` or `.parquet`.
        language_model: A language model alongside the classifier.
        window_bp: Bases around a variant, which is in their middle; by default the length that the classifier was
            trained on, where its folder says so.
        strand: `both` scores each strand for itself, `average` takes the mean.
        batch_size: Windows that are run at once.
        precision: `auto` takes `bf16` where the hardware computes in it.
        on_mismatch: `skip` leaves records that differ from the genome without scores, listed in OUTPUT.mismatches.tsv.
        cache_dir: Folder of genome stores.
        case: `mask` reads lower-case letters as ambiguous; as in training by default.
        ambiguity: `error` refuses ambiguous letters; as in training by default.

    Raises:
        ConfigError: If a word is out of range, or the length of the window is not known.
        DataError: If the VCF is damaged, does not fit the genome, or the output cannot be written.
        GulmfitError: If a model or the genome cannot be read.
    """
    asked = dict(locals())
    if not output.endswith((*VCF_SUFFIXES, ".tsv", ".parquet")):
        allowed = ", ".join((*VCF_SUFFIXES, ".tsv, .parquet"))
        raise ConfigError(f"output={output}: give a name with one of the endings {allowed}.")
    if on_mismatch not in MISMATCH_POLICIES:
        raise ConfigError(f"on_mismatch={on_mismatch!r} is unknown; choose {' or '.join(MISMATCH_POLICIES)}.")
    mismatches = Path(f"{output}.mismatches.tsv")
    with noted([Path(output), mismatches], [vcf, genome], asked):
        keep_freed_memory()
        calls = Vcf(vcf)
        models = Models.load(model, language_model, precision)
        window_bp = window_bp or models.sequence_bp
        if not window_bp:
            raise ConfigError(
                f"window_bp= is missing: {model} does not say how long the sequences were that it was trained on. Give "
                "that length for a classifier; for a language model some hundred bases, such as window_bp=501."
            )
        letters = models.letters(case, ambiguity)
        store = GenomeStore.build(genome, cache_dir, case=letters.case)
        # REF is checked against all letters of the genome, masked ones too.
        plain = store if letters.case == "upper" else GenomeStore.build(genome, cache_dir)
        scorer = VariantScorer(
            store,
            models.predictor,
            models.likelihood,
            window_bp=window_bp,
            strand=strand,
            batch_size=batch_size,
            refuse_ambiguous=letters.ambiguity == "error",
        )
        contigs = contig_codes(plain)
        with tsv_table(mismatches, MISMATCH_COLUMNS) if on_mismatch == "skip" else nullcontext() as note:
            found = survey(calls, contigs, genome, note)
            if found.mismatches and on_mismatch == "error":
                raise DataError(
                    f"{found.message(calls.path)}\nGive the genome that the variants were called on, or leave such "
                    "records without scores: on_mismatch=skip."
                )
            start, unscored = time.perf_counter(), Counter[str]()
            with Bar("variants", "alleles", total=found.alleles) as bar:
                outcomes = _outcomes(calls, scorer, contigs, unscored, bar.update)
                if output.endswith(VCF_SUFFIXES):
                    _write_vcf(Path(output), outcomes, calls, scorer, models)
                else:
                    _write_table(Path(output), outcomes, scorer)
        seconds = time.perf_counter() - start
        count = found.alleles - sum(unscored[reason] for reason in (*NO_SCORE, AMBIGUOUS_NOTE))
        logger.info(
            "%s: %d alleles scored in %.1f s (%.0f a second)", output, count, seconds, count / max(seconds, 1e-9)
        )
        for reason, number in sorted(unscored.items()):
            first = f", the first: {found.first[reason]}" if reason in found.first else ""
            logger.info("not scored: %d %s%s", number, reason, first)
        if found.mismatches:
            logger.warning("%s\nAll are listed in %s.", found.message(calls.path), mismatches)


def _outcomes(
    calls: Vcf, scorer: VariantScorer, contigs: Contigs, unscored: Counter[str], advance: Callable[[int], object]
) -> Iterator[Outcome]:
    """Yield every record with a score for each alternative allele, and count those without one by reason."""
    nothing = np.full(len(scorer.fields), np.nan)
    records = calls.records()
    while ahead := list(islice(records, RECORDS_AT_ONCE)):
        reasons = [left_out(record, contigs.get(record.contig, NO_BASES)) for record in ahead]
        alleles = [
            Allele(record.contig, record.start, record.ref, alt)
            for record, here in zip(ahead, reasons, strict=True)
            for alt, reason in zip(record.alts, here, strict=True)
            if not reason
        ]
        scores = iter(scorer.score(alleles))
        for record, here in zip(ahead, reasons, strict=True):
            found = [Score(nothing, (reason,)) if reason else next(scores) for reason in here]
            unscored.update(note for score in found for note in score.notes if np.isnan(score.values).all())
            yield record, found
        advance(len(alleles))


def _write_vcf(path: Path, outcomes: Iterable[Outcome], calls: Vcf, scorer: VariantScorer, models: Models) -> None:
    names = list(scorer.fields)
    clash = sorted(declared(calls.header) & {*names, NOTE})
    if clash:
        raise DataError(
            f"{calls.path} has scores already: {', '.join(clash)}. Write a table (output=….tsv), or remove them first: "
            f"bcftools annotate -x {','.join(f'INFO/{name}' for name in clash)}."
        )
    lines = [
        *(_info_line(name, "Float", text) for name, text in scorer.fields.items()),
        _info_line(NOTE, "String", "What is special about a score, or why there is none; joined by &"),
        *(_model_line(kind, source, scorer) for kind, source in models.files.items()),
    ]
    with whole_file(path) as unfinished, vcf_file(unfinished, zipped=path.suffix != ".vcf") as write:
        for line in described(calls.header, lines):
            write(line)
        for record, scores in outcomes:
            write(with_info(record, _info(scores, names) if scores else {}))


def _info(scores: Sequence[Score], names: Sequence[str]) -> dict[str, list[str]]:
    columns = {name: [_number(score.values[column]) for score in scores] for column, name in enumerate(names)}
    return columns | {NOTE: ["&".join(score.notes) or "." for score in scores]}


def _number(value: float) -> str:
    return "." if np.isnan(value) else f"{value:z.6f}"


def _info_line(name: str, kind: str, text: str) -> str:
    return f'##INFO=<ID={name},Number=A,Type={kind},Description="{_escaped(text)}">'


def _model_line(kind: str, source: Path, scorer: VariantScorer) -> str:
    return (
        f'##gulmfit=<ID={kind},Path="{_escaped(str(source))}",SHA256={weights_digest(source)},'
        f"WindowBp={scorer.window_bp},Strand={scorer.strand}>"
    )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _write_table(path: Path, outcomes: Iterable[Outcome], scorer: VariantScorer) -> None:
    fixed = [("chrom", str), ("pos", int), ("id", str), ("ref", str), ("alt", str)]
    columns = [*fixed, *((name, float) for name in scorer.fields), (NOTE, str)]
    with (tsv_table if path.suffix == ".tsv" else parquet_table)(path, columns) as write:
        for record, scores in outcomes:
            name = record.fields[2].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            write(
                [record.contig, record.start + 1, name, record.ref, alt, *score.values.tolist(), "&".join(score.notes)]
                for alt, score in zip(record.alts, scores, strict=True)
            )
