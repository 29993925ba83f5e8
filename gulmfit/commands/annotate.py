"""What `gulmfit-annotate` does, from file to file."""

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from gulmfit.commands.provenance import noted
from gulmfit.errors import ConfigError
from gulmfit.files import hidden
from gulmfit.models.hardware import keep_freed_memory
from gulmfit.predict.genes.decoding import Decoding, in_code
from gulmfit.predict.genes.gene_reader import GeneReader
from gulmfit.predict.genes.genome_genes import GenomeGenes
from gulmfit.predict.outputs.gene_files import FoundGenes, numbered
from gulmfit.predict.outputs.registry import GENES, Output, parse_outputs
from gulmfit.predict.progress import Bar
from gulmfit.predict.scans.bases import BaseScan
from gulmfit.predict.scans.scan import network_digest
from gulmfit.seq.checksums import checksums
from gulmfit.seq.genome.contigs import contigs_by_name
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.gene_labels import CLASSES

logger = logging.getLogger(__name__)


def annotate_file(
    *,
    model: str,
    input: str,
    output: str,
    tracks: str = "",
    decode: Literal["", "orfs", "genes"] = "",
    genetic_code: int = 0,
    temperature: float | None = None,
    confidence: float = 0.0,
    window_bp: int = 12_000,
    overlap_bp: int = 1_200,
    batch_size: int = 8,
    offsets: int = 0,
    precision: Literal["32", "bf16", "auto"] = "32",
    restart: bool = False,
    cache_dir: str = "outputs/store",
    case: Literal["", "upper", "mask"] = "",
    ambiguity: Literal["", "split", "unk", "error"] = "",
) -> int:
    """Find the genes of a genome on both strands, from FASTA to sorted GFF3.

    A labeller (stage=label) reads windows that overlap; a decoder turns the probabilities of the bases into genes. The
    same command resumes a run that was stopped.

    Output by suffix: .gff3 (genes, mRNAs, exons, CDS and UTRs, with scores from 0 to 1), .faa (proteins), .bw or
    .bedgraph (the probability of each class at each base: classes.bw becomes classes.CDS.plus.bw and so on).

    Args:
        model: Run folder (outputs/label/mine), model folder or checkpoint of a labeller of genes.
        input: FASTA files of a genome.
        output: Files, separated by commas; their suffixes say what they hold.
        tracks: BAM and bigWig files by group, {rnaseq: [a.bam, ...]}, for a model that was trained with tracks: the
            same names in the same order; {rnaseq: {NAME: file}} gives a file of another name.
        decode: `orfs` chooses among open reading frames, for genomes without introns; `genes` finds genes with introns.
            What the model was tuned with by default.
        genetic_code: Number of NCBI's table; 0 for that of the tuned decoder, or 11 (`orfs`) or 1 if there is none.
        temperature: What evidence of bases is multiplied by; that of the tuned decoder by default.
        confidence: Leave genes out that have a lower score.
        window_bp: Bases of a window.
        overlap_bp: Bases that a window shares with the next one; of a quarter of them at each edge nothing is taken.
        batch_size: Windows that are read at once.
        offsets: Bases from which windows are read in turn, at most the stride of the tokens: the mean is better, and
            takes so many times as long to read; as the model was scored by default.
        precision: `auto` takes `bf16` where the hardware computes in it.
        restart: Begin a run again that could be resumed.
        cache_dir: Folder of genome stores.
        case: `mask` reads lower-case letters as ambiguous; as in training by default.
        ambiguity: `error` refuses ambiguous letters; as in training by default.

    Returns:
        How many genes were written.

    Raises:
        ConfigError: If an option is out of range, or there is no such genetic code.
        GulmfitError: If the model or the input cannot be read, or an output not be written.
    """
    asked_for = dict(locals())
    if not 0 <= confidence <= 1:
        raise ConfigError(f"confidence={confidence}: a score from 0 to 1 is needed.")
    if temperature is not None and not temperature > 0:
        raise ConfigError(f"temperature={temperature}: more than 0 is needed.")
    outputs = parse_outputs(output, GENES)
    by_path = {one.path: one.by_class(CLASSES) for one in outputs if one.format.track}
    written = [path for one in outputs for path in (by_path[one.path].values() if one.format.track else [one.path])]
    with noted(written, [input], asked_for):
        keep_freed_memory()
        reader = GeneReader.load(model, precision=precision, offsets=offsets)
        letters = reader.letters.asked(case, ambiguity)
        decoding = _weighed(reader.decoding(decode), genetic_code, temperature)
        store = GenomeStore.build(input, cache_dir, case=letters.case)
        by_name = contigs_by_name(store)
        if letters.ambiguity == "error":
            store.clear_intervals("error")
        coverage = reader.coverage(tracks, store)
        scan = BaseScan(reader, store, window_bp, overlap_bp, batch_size, coverage)
        digest = network_digest(reader.model, reader.tokenizer)
        asked: dict[str, Any] = {
            "model": digest,
            "precision": reader.precision,
            "genome": store.digest,
            "window_bp": window_bp,
            "overlap_bp": overlap_bp,
            "batch_size": batch_size,
            "offsets": reader.offsets,
            "decode": decoding.kind,
            "genetic_code": decoding.decoder.code,
            "temperature": decoding.decoder.temperature,
            "decoder": hashlib.sha256(json.dumps(decoding.to_plain(), sort_keys=True).encode()).hexdigest(),
        }
        if coverage:
            with checksums(Path(cache_dir)) as sha256:
                asked["tracks"] = [sha256(Path(file)) for file in coverage.files]
        folder = hidden(outputs[0].path, ".partial")
        found = GenomeGenes(scan, decoding, folder, asked, keep=bool(by_path), restart=restart)
        start = time.perf_counter()
        try:
            with Bar("annotate", "bases", total=len(store.codes)) as bar:
                genes = found.find(bar.update)
            contigs = {name: store.codes[one.start : one.start + one.length] for name, one in by_name.items()}
            lengths = {name: one.length for name, one in by_name.items()}
            kept = numbered(genes, lengths, confidence=confidence)
            for one in outputs:
                if one.format.genes:
                    one.format.genes(one.path, FoundGenes(kept, contigs, decoding.decoder.code, digest))
            _write_tracks(found, [one for one in outputs if one.format.track], store)
        except BaseException:
            found.leave()
            raise
        found.remove()
    seconds, bases = time.perf_counter() - start, len(store.codes)
    logger.info(
        "%s: %d genes in %d contigs of %.2f Mb, in %.1f s (%.0f kb/s), %.1f s of them decoding",
        output, len(kept), len(by_name), bases / 1e6, seconds, bases / 1e3 / max(seconds, 1e-9),
        found.seconds_decoding,
    )  # fmt: skip
    return len(kept)


def _weighed(decoding: Decoding, genetic_code: int, temperature: float | None) -> Decoding:
    """Return a decoder with what was asked for on the command line."""
    decoding = in_code(decoding, genetic_code)
    if temperature is not None and temperature != (before := decoding.decoder.temperature):
        if decoding.calibration:
            logger.warning("temperature=%g: scores were calibrated at %g, and mean less here", temperature, before)
        decoding = decoding.changed(temperature=temperature)
    return decoding


def _write_tracks(found: GenomeGenes, outputs: Sequence[Output], store: GenomeStore) -> None:
    """Write the probability of each class at each base, contigs by name."""
    lengths = {contig.name: contig.length for contig in store.contigs}
    order = sorted(store.contigs, key=lambda contig: contig.name.encode())
    for output in outputs:
        for (name, strand), path in output.by_class(CLASSES).items():
            spans = found.track(CLASSES.index(name), "+-".index(strand), order)
            if output.format.track:
                output.format.track(path, lengths, spans)
