"""What `gulmfit-generate` does: draw sequences, and say how like a genome they are."""

import logging
import math
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from gulmfit.commands.provenance import noted
from gulmfit.errors import ConfigError, DataError
from gulmfit.evaluate.composition import Spectrum, longest_repeat, spectrum
from gulmfit.files import whole_file
from gulmfit.models.hardware import keep_freed_memory
from gulmfit.predict.language.likelihood import LikelihoodScorer
from gulmfit.predict.language.sampling import Sample, Sampler
from gulmfit.predict.progress import counting
from gulmfit.report.html import write_report
from gulmfit.report.maps import SpectrumRow, spectrum_report, spectrum_table
from gulmfit.report.table import format_table
from gulmfit.seq.alphabet import Codes, encode
from gulmfit.seq.genome.store import GenomeStore, Interval
from gulmfit.seq.simulate.markov import MAX_ORDER, MarkovModel, markov_samples

logger = logging.getLogger(__name__)

LINE_BP = 80
BLOCK_BP = 1 << 20
# Of the windows of a genome this share at most is set aside to be compared with the rest.
MOST_SET_ASIDE = 0.2


def generate_file(
    *,
    model: str,
    output: str,
    num_sequences: int = 100,
    length_bp: int = 1000,
    temperature: float = 1.0,
    top_k: int = 0,
    prompt: str = "",
    seed: int = 0,
    batch_size: int = 64,
    compare: str = "",
) -> list[SpectrumRow]:
    """Draw sequences from a language model into a FASTA, and compare them with a genome.

    The comparison sets k-mer spectra, GC, dinucleotides and repeats of the samples next to those of a Markov model's
    samples and of pieces of the genome, as a table and as `.html`, named like the output.

    Args:
        model: Run folder (outputs/pretrain/mine), model folder or checkpoint of a language model, or the name of one.
        output: `.fasta`, `.fa` or `.fna`.
        num_sequences: How many.
        length_bp: Bases of each, the prompt included.
        temperature: 1 draws from the model, 0 takes the most probable token every time.
        top_k: Draw from so many of the most probable tokens alone; 0 for all.
        prompt: Bases that each begins with.
        seed: Of all random numbers.
        batch_size: Sequences that are drawn together.
        compare: FASTA of a genome; no comparison by default.

    Returns:
        What was compared: the samples, those of a Markov model, and pieces of the genome; empty without `compare`.

    Raises:
        ConfigError: If a number is out of range or the output's name is none of a FASTA.
        GulmfitError: If the model or the genome cannot be read, or the output not be written.
    """
    asked = dict(locals())
    target = Path(output)
    if target.suffix.lower() not in (".fasta", ".fa", ".fna"):
        raise ConfigError(f"output={output}: sequences are written as .fasta, .fa or .fna. Name the file so.")
    page = target.with_suffix(".html")
    with noted([target, *([page] if compare else [])], [compare], asked):
        keep_freed_memory()
        scorer = LikelihoodScorer.load(model)
        alphabet = scorer.tokenizer.alphabet
        if compare and not alphabet.complements:
            raise ConfigError(
                f"compare={compare}: spectra are of genomes, and the model reads {alphabet.name} sequences."
            )
        sampler = Sampler(scorer, temperature=temperature, top_k=top_k)
        start = time.perf_counter()
        drawn = sampler.draw(num_sequences, length_bp, prompt=prompt, seed=seed, batch_size=batch_size)
        samples = list(counting(drawn, "generate", "sequences", num_sequences))
        _write_fasta(target, samples, f"temperature={temperature:g} top_k={top_k} seed={seed}")
        seconds, nats = time.perf_counter() - start, sum(sample.nats for sample in samples)
        bits = -nats / np.log(2) / sum(sample.bases for sample in samples)
        logger.info(
            "%s: %d sequences of %d letters in %.1f s; the model finds them worth %.4f bits per %s",
            output, num_sequences, length_bp, seconds, bits, alphabet.unit,
        )  # fmt: skip
        if not compare:
            return []
        codes = [encode(sample.sequence, alphabet=alphabet) for sample in samples]
        case = scorer.letters.case
        rows, genome = _compared(codes, compare, length_bp, seed=seed, folder=target.parent, case=case)
        header, cells = spectrum_table(rows, genome)
        logger.info("%s", format_table([dict(zip(header, row, strict=True)) for row in cells], header))
        facts = {
            "model": model, "genome": compare, "sequences": num_sequences, "length_bp": length_bp,
            "temperature": temperature, "top_k": top_k or "all", "prompt": prompt or "none", "seed": seed,
            "bits per base of the samples": f"{bits:.4f}",
        }  # fmt: skip
        write_report(page, spectrum_report(rows, genome, facts))
        logger.info("%s", page)
        return rows


def _compared(
    samples: Sequence[Codes], genome: str, length_bp: int, *, seed: int, folder: Path, case: str
) -> tuple[list[SpectrumRow], Spectrum]:
    """Compare samples, those of a Markov model, and pieces of a genome with the rest of that genome.

    Pieces of the genome, as long as the samples and as many as up to a fifth of it holds, are set aside at random; what
    is left is what all are compared with, and what the Markov model learns.
    """
    with TemporaryDirectory(dir=folder, prefix=".gulmfit-generate-", ignore_cleanup_errors=True) as scratch:
        store = GenomeStore.build(genome, scratch, case=case)
        pieces, rest = _set_aside(store.clear_intervals("split"), length_bp, len(samples), seed)
        if not pieces:
            raise DataError(
                f"{genome}: fewer than {round(1 / MOST_SET_ASIDE)} stretches of {length_bp} known bases, too few to "
                "compare with. Give a larger genome or a smaller length_bp."
            )
        codes = np.asarray(store.codes)
        # More contexts than bases would only cost memory.
        order = min(MAX_ORDER, int(math.log(sum(end - start for start, end in rest), 4)))
        markov = MarkovModel.fit(codes, rest, max_order=order)
        sets = {
            "language model": list(samples),
            f"Markov model, order {markov.order}": list(markov_samples(markov, len(samples), length_bp, seed=seed)),
            "pieces of the genome": [codes[start:end] for start, end in pieces],
        }
        rows = [SpectrumRow(name, spectrum(part), longest_repeat(part)) for name, part in sets.items()]
        return rows, spectrum(_blocks(codes, rest))


def _set_aside(
    intervals: Sequence[Interval], length_bp: int, count: int, seed: int
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return pieces of `length_bp` bases drawn at random, and what is left of the intervals."""
    windows = [
        (start, start + length_bp)
        for interval in intervals
        for start in range(interval.start, interval.end - length_bp + 1, length_bp)
    ]
    count = min(count, int(len(windows) * MOST_SET_ASIDE))
    chosen = sorted(np.random.default_rng(seed).permutation(len(windows))[:count].tolist())
    pieces = [windows[number] for number in chosen]
    rest: list[tuple[int, int]] = []
    for _, start, end in intervals:
        inside = pieces[bisect_left(pieces, (start,)) : bisect_left(pieces, (end,))]
        edges = [start, *chain.from_iterable(inside), end]
        rest += [(low, high) for low, high in zip(edges[::2], edges[1::2], strict=True) if low < high]
    return pieces, rest


def _blocks(codes: Codes, stretches: Sequence[tuple[int, int]]) -> Iterator[Codes]:
    """Yield stretches a block at a time; the few words across two blocks are not missed in a genome."""
    for start, end in stretches:
        for low in range(start, end, BLOCK_BP):
            yield codes[low : min(low + BLOCK_BP, end)]


def _write_fasta(path: Path, samples: Sequence[Sample], how: str) -> None:
    with whole_file(path) as unfinished, unfinished.open("w", encoding="ascii", newline="\n") as handle:
        for number, sample in enumerate(samples, start=1):
            bits = -sample.nats / np.log(2) / max(1, sample.bases)
            handle.write(f">sample_{number} bits_per_base={bits:.4f} {how}\n")
            for start in range(0, len(sample.sequence), LINE_BP):
                handle.write(sample.sequence[start : start + LINE_BP] + "\n")
