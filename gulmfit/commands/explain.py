"""What `gulmfit-explain` does, from file to file."""

import heapq
import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Literal

import numpy as np

from gulmfit.commands.provenance import noted
from gulmfit.errors import ConfigError, DataError
from gulmfit.explain.attribution import Attribution
from gulmfit.explain.explained import LOG_ODDS, Explained
from gulmfit.explain.explainer import Explainer, Sanity, Settings, against_random_weights
from gulmfit.explain.outputs import FORMATS, About, check_outputs, sink
from gulmfit.explain.patterns import WINDOW_BP, Word, profile, strongest_words
from gulmfit.models.hardware import keep_freed_memory
from gulmfit.predict.outputs.registry import FEATURES, RECORDS, parse_outputs
from gulmfit.predict.progress import counting
from gulmfit.predict.records import check_input, open_records
from gulmfit.report.explain_page import (
    ExplainedRecord,
    effects_figure,
    facts_section,
    profile_figure,
    write_explanations,
)
from gulmfit.report.html import Report, Section
from gulmfit.seq.alphabet import decode

logger = logging.getLogger(__name__)

# Records of the comparison with random weights, and those whose words and positions are looked at.
SANITY_RECORDS = 32
SUMMARY_RECORDS = 5000


def explain_file(
    *,
    model: str,
    input: str,
    output: str,
    method: Literal["mutagenesis", "gradients", "deletion"] = "mutagenesis",
    strand: Literal["forward", "average"] = "forward",
    positive: str = "",
    position: int | None = None,
    shuffles: int = 8,
    steps: int = 16,
    width: int = 10,
    fill: Literal["shuffle", "unknown"] = "shuffle",
    top: int = 100,
    sanity: bool = True,
    batch_size: int = 64,
    precision: Literal["mixed", "32", "bf16", "auto"] = "mixed",
    sequence: str = "sequence",
    id: str = "",
    genome: str = "",
    features: str = "",
    seed: int = 0,
    cache_dir: str = "outputs/store",
    case: Literal["", "upper", "mask"] = "",
    ambiguity: Literal["", "split", "unk", "error"] = "",
) -> None:
    """Explain what a model says of sequences: what each base contributes, and what other bases would change.

      mutagenesis   every base becomes every other one: exact, and three passes a base
      gradients     integrated gradients, from shuffles of a sequence to the sequence: contributions add up to the score
      deletion      windows of bases are replaced

    Explained is the score of a class or label, the log-odds of its probability before calibration; of a regressor the
    value; of a language model (mutagenesis alone) the log-likelihood, so that a base has its information in bits.
    Output by suffix: .tsv .parquet (a row for each base), .npz (arrays), .html (a page), and of features of a genome
    .bedgraph .bw.

    Args:
        model: Run folder, model folder or checkpoint, or the name of a model. Of a blend the network is explained.
        input: FASTA, FASTQ or table; or with genome= the features of a BED, GFF3, GTF or GenBank file.
        output: Files, separated by commas.
        method: How to explain, as above.
        strand: `average` takes the mean over both strands.
        positive: Class, label or value to explain; by default the positive one of two classes, else all.
        position: Of a labeller: the base whose label is explained, 0-based.
        shuffles: Shuffles of each sequence that `gradients` starts from, and `deletion` fills windows with.
        steps: Of `gradients`, at first; doubled until contributions add up within 1 %.
        width: Bases of a window of `deletion`.
        fill: What `deletion` puts in the place of a window.
        top: Sequences on a page, those with the highest scores.
        sanity: Whether to compare with the same network with random weights.
        batch_size: Sequences that are explained together.
        precision: `mixed` computes in 32 bits, and where the hardware is fast at bf16, in it what versions of a
            sequence change in an LSTM; `auto` takes `bf16` for everything there.
        sequence: Column of the sequence in a table.
        id: Column of the id in a table; the number of the record by default.
        genome: FASTA on which features lie.
        features: Types of features, separated by commas, such as CDS,tRNA; all by default.
        seed: Of shuffles and of random weights.
        cache_dir: Folder of genome stores.
        case: `mask` reads lower-case letters as ambiguous; as in training by default.
        ambiguity: `error` refuses ambiguous letters; as in training by default.

    Raises:
        ConfigError: If options are out of range or do not go together, or the model cannot be explained so.
        GulmfitError: If the model or the input cannot be read, or an output not be written.
    """
    asked = dict(locals())
    if top < 1:
        raise ConfigError(f"top={top}: a page shows 1 sequence or more.")
    check_input(input, genome, features)
    outputs = parse_outputs(output, FEATURES if genome else RECORDS, FORMATS)
    with noted([one.path for one in outputs], [input, genome], asked):
        keep_freed_memory()
        explained = Explained.load(model, precision=precision, positive=positive, position=position)
        letters = explained.letters = explained.letters.asked(case, ambiguity)
        alphabet = explained.tokenizer.alphabet
        if genome and not alphabet.complements:
            raise ConfigError(f"the model reads {alphabet.name} sequences, and a genome has none. Give records.")
        check_outputs(outputs, explained.names)
        if explained.blended:
            logger.info("%s is a blend: its network is explained, its baselines are not", model)
        settings = Settings(method, strand, batch_size, shuffles, steps, width, fill, seed)
        explainer = Explainer(explained, settings)
        store, records = open_records(
            input, genome, features, sequence=sequence, id=id, alphabet=alphabet, letters=letters, cache_dir=cache_dir
        )
        lengths = {contig.name: contig.length for contig in store.contigs} if store else None
        facts = {"model": model, "input": input, **settings._asdict(), "unit": explained.unit, "precision": precision}
        about = About(explained.names, alphabet, lengths, facts, method != "deletion")
        found = _Found(top, explained.unit == LOG_ODDS)
        start = time.perf_counter()
        with ExitStack() as stack:
            files = [one for one in outputs if one.format.name != "page"]
            sinks = [stack.enter_context(sink(one, about)) for one in files]
            for attribution in counting(explainer.explain(records, f"{input}, "), "explain", "records"):
                for add in sinks:
                    add(attribution)
                found.add(attribution)
        seconds = time.perf_counter() - start
        if not found.count:
            raise DataError(f"{input}: there is no record to explain.")
        said = [
            f"{found.count:,} sequences explained in {seconds:.1f} s ({found.count / max(seconds, 1e-9):.1f} a second"
            f"{explainer.cost()})"
        ]
        check = against_random_weights(explainer, found.first[:SANITY_RECORDS], seed) if sanity else None
        said += _findings(explained, found, check)
        for line in said:
            logger.info("%s", line)
        for one in outputs:
            if one.format.name == "page":
                report = _report(explained, found, check, said, facts)
                shown = [_shown(explained, item) for item in found.highest()]
                write_explanations(one.path, report, shown, found.count, alphabet.letters, explained.unit)
            logger.info("%s", one.path)


class _Found:
    """What is kept of explanations: the first ones, and those with the highest scores."""

    def __init__(self, top: int, probabilities: bool) -> None:
        self.count, self.top, self.probabilities = 0, top, probabilities
        self.first: list[Attribution] = []
        self.errors: list[float] = []
        self._heap: list[tuple[float, int, Attribution]] = []

    def add(self, one: Attribution) -> None:
        """See one more."""
        self.count += 1
        self.errors.append(float(one.error.max()))
        if len(self.first) < SUMMARY_RECORDS:
            self.first.append(one)
        heapq.heappush(self._heap, (float(one.scores.max()), -self.count, one))
        if len(self._heap) > self.top:
            heapq.heappop(self._heap)

    def highest(self) -> list[Attribution]:
        """Return those with the highest scores, the highest first."""
        return [one for _, _, one in sorted(self._heap, key=lambda item: item[:2], reverse=True)]

    def of(self, output: int) -> list[Attribution]:
        """Return those of the first whose highest score is this output's, and of classes and labels those that are
        predicted to have it, if any are: what speaks for it is in them."""
        chosen = [one for one in self.first if int(one.scores.argmax()) == output]
        predicted = [one for one in chosen if one.scores[output] > 0]
        return predicted if self.probabilities and predicted else chosen


def _findings(explained: Explained, found: _Found, check: Sanity | None) -> list[str]:
    """Say in a line each what explanations have in common, and whether they can be trusted."""
    said = []
    errors = np.array(found.errors)
    if np.isfinite(errors).any():
        said.append(
            f"contributions add up to the change of the score within {np.nanmedian(errors):.2%} (median; "
            f"{np.nanmax(errors):.2%} at most)"
        )
    if check:
        said.append(f"with random weights they correlate {check.correlation:.2f} with these (0 is right)")
    for output, name in enumerate(explained.names):
        chosen = found.of(output)
        if (shape := profile(chosen, output)) and len(chosen) > 1:
            said.append(
                f"half of what speaks for {name!r} lies between positions {shape.start} and {shape.end} "
                f"({(shape.end - shape.start) / len(shape.mean):.0%} of the sequence)"
            )
        if words := strongest_words(chosen, output, explained.tokenizer.alphabet, 1):
            random = _words_of(explained, check, output)
            with_random = f"; with random weights {random[0].word} in {random[0].share:.0%}" if random else ""
            said.append(
                f"{words[0].word} lies in the strongest {WINDOW_BP} bases for {name!r} in {words[0].share:.0%} of its "
                f"{len(chosen):,} sequences, {words[0].chance:.0%} by chance{with_random}"
            )
    return said


def _words_of(explained: Explained, check: Sanity | None, output: int, count: int = 1) -> list[Word]:
    return strongest_words(check.attributions, output, explained.tokenizer.alphabet, count) if check else []


def _report(
    explained: Explained, found: _Found, check: Sanity | None, said: Sequence[str], facts: dict[str, object]
) -> Report:
    """Lay out what is said of all sequences."""
    alphabet = explained.tokenizer.alphabet
    sections = []
    for output, name in enumerate(explained.names):
        chosen, section = found.of(output), Section(f"What speaks for {name!r}")
        words = strongest_words(chosen, output, alphabet)
        random = _words_of(explained, check, output, len(words))
        section.tables.append((
            ["word", "sequences", "by chance", "random weights: word", "sequences"],
            [[one.word, f"{one.share:.1%}", f"{one.chance:.1%}", *((other.word, f"{other.share:.1%}") if other else ())]
             for one, other in zip(words, [*random, *[None] * (len(words) - len(random))], strict=True)],
        ))  # fmt: skip
        section.text.append(
            f"Words that lie in the {WINDOW_BP} bases that contribute most, on either strand, in {len(chosen):,} "
            "sequences whose highest score is this one. A word far beyond chance, and none with random weights, is a "
            "motif that the model has learned."
        )
        if shape := profile(chosen, output):
            section.figures.append((
                "What each position contributes.",
                profile_figure(shape.mean, shape.low, shape.high, explained.unit),
            ))  # fmt: skip
            changes = [one.effects[output] for one in chosen if one.effects is not None]
            if changes:
                mean = np.mean(changes, axis=0)
                section.figures.append((
                    "Mean change of the score where a base becomes another one.",
                    effects_figure(mean, alphabet.letters, explained.unit),
                ))  # fmt: skip
        sections.append(section)
    if check:
        sections.append(Section("Check: the same network with random weights", [
            f"Contributions to {len(check.attributions):,} sequences correlate {check.correlation:.2f} with those of "
            "random weights. Near 0 they come from what was learned; near 1 they would come from how the network is "
            "built, such as its favour for the end of a sequence.",
        ], warning=check.correlation > 0.5))  # fmt: skip
    sections.append(facts_section(facts))
    return Report("What the model looks at", str(facts["model"]), " ".join(f"{line}." for line in said), "", sections)


def _shown(explained: Explained, one: Attribution) -> ExplainedRecord:
    """Return what the page shows of a record: the output with its highest score."""
    output, record, tokenizer = int(one.scores.argmax()), one.record, explained.tokenizer
    place = f"{record.contig}:{record.start}-{record.end}:{record.strand}, " if record.contig else ""
    pieces = [] if tokenizer.overlap or tokenizer.num_successors is not None else tokenizer.spans(record.codes).tolist()
    return ExplainedRecord(
        record.name,
        f"{place}{explained.names[output]} {one.scores[output]:.3g} {explained.unit}",
        decode(record.codes, tokenizer.alphabet),
        one.contributions[output],
        None if one.effects is None else one.effects[output],
        [(start, end) for start, end in pieces],
    )
