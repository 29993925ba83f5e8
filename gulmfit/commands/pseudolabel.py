"""What `gulmfit-pseudolabel` does: the genes that a labeller is sure of on a genome, ready to tune it on."""

import logging
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from omegaconf import OmegaConf

from gulmfit.errors import ConfigError, DataError
from gulmfit.files import claimed, hidden, write_whole
from gulmfit.model_files import files_of
from gulmfit.models.hardware import keep_freed_memory
from gulmfit.predict.genes.decoding import in_code
from gulmfit.predict.genes.gene_reader import GeneReader
from gulmfit.predict.genes.genome_genes import GenomeGenes
from gulmfit.predict.genes.judging import judged_genes, told_genes
from gulmfit.predict.outputs.gene_files import numbered, write_gff3
from gulmfit.predict.progress import Bar
from gulmfit.predict.scans.bases import BaseScan
from gulmfit.predict.scans.scan import network_digest
from gulmfit.seq.genome.contigs import asked_names, contigs_by_name
from gulmfit.seq.genome.genes import GeneModel
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.labels.certain import dealt_sequences, distances, large_sequences, surest
from gulmfit.seq.labels.gene_labels import CLASSES, labelled_contigs, labels_of
from gulmfit.seq.labels.gene_models import GeneModels, read_genes
from gulmfit.seq.splits.split import check_fractions

logger = logging.getLogger(__name__)

GENES, KEPT, WINDOWS, EXPERIMENT = "genes.gff3", "kept.bed", "windows.tsv", "experiment.yaml"
READ = (12_000, 1_200, 8)  # bases of what the network reads, that two share, and windows at once, as gulmfit-annotate
_LEAST_LARGE = 3  # large sequences that whole ones are dealt of: one for each part


class _Window(NamedTuple):
    contig: str
    start: int
    end: int
    part: str
    distance: float
    intergenic: float


def pseudolabel(
    *,
    model: str,
    genome: str,
    output: str,
    annotation: str = "",
    contigs: str = "",
    keep: float = 0.5,
    split: Literal["auto", "contigs", "position"] = "auto",
    valid_fraction: float = 0.2,
    test_fraction: float = 0.2,
    seed: int = 0,
    window_bp: int = 12_000,
    tracks: str = "",
    decode: Literal["", "orfs", "genes"] = "",
    genetic_code: int = 0,
    restart: bool = False,
    cache_dir: str = "outputs/store",
) -> int:
    """Label a genome by the genes that a labeller finds on it, and keep the windows that it is sure of.

    A window is kept if what is decoded lies near what the network says, as many windows of each sixth of intergenic
    shares. Training and validation get the kept windows of their sequences, the test part gets all of its own.

    The folder has genes.gff3, kept.bed (windows with their part), windows.tsv (all of them, with distances) and
    experiment.yaml: the command that tunes the labeller on them is told at the end.

    Args:
        model: Run folder, model folder or checkpoint of a labeller of genes.
        genome: FASTA files of a genome.
        output: Folder.
        annotation: Labels of the genome, if there are any: they judge the genes, and label the test part.
        contigs: Names in the genome by those in the annotation, {chrI: I, chrM: null}; null leaves one out.
        keep: Share of the windows of training and validation that is kept.
        split: `contigs` deals whole sequences, the large ones (90 % of all bases) and the others each by themselves;
            `position` cuts the shares off the end of every sequence; `auto` does that if there are fewer than 3 large
            ones.
        valid_fraction: Share of validation.
        test_fraction: Share of the test part.
        seed: Of the draw of sequences.
        window_bp: Bases of a window that is kept or not.
        tracks: As of gulmfit-annotate, for a model that was trained with tracks.
        decode: As of gulmfit-annotate.
        genetic_code: Number of NCBI's table; that of the model's decoder by default.
        restart: Begin a run again that could be resumed.
        cache_dir: Folder of genome stores.

    Returns:
        How many windows were kept.

    Raises:
        ConfigError: If an option is out of range, or whole sequences cannot be dealt.
        GulmfitError: If a file cannot be read or written.
    """
    check_fractions(valid_fraction, test_fraction)
    if not (valid_fraction and test_fraction):
        raise ConfigError("valid_fraction and test_fraction: shares above 0 are needed; a run has all three parts.")
    if window_bp < 1:
        raise ConfigError(f"window_bp={window_bp}: 1 or more is needed.")
    if not 0 < keep < 1:
        raise ConfigError(f"keep={keep}: a share above 0 and below 1 is needed.")
    names = asked_names(contigs)
    folder = Path(output)
    paths = [folder / name for name in (GENES, KEPT, WINDOWS, EXPERIMENT)]
    with claimed(paths, [genome, *([annotation] if annotation else []), *files_of(model)]):
        keep_freed_memory()
        reader = GeneReader.load(model)
        decoding = in_code(reader.decoding(decode), genetic_code)
        store = GenomeStore.build(genome, cache_dir, case=reader.letters.case)
        lengths = {name: one.length for name, one in contigs_by_name(store).items()}
        truth = read_genes(annotation, store, code=decoding.decoder.code, contigs=names) if annotation else None
        parts = _parts(lengths, split, valid_fraction, test_fraction, seed)
        scan = BaseScan(reader, store, *READ, reader.coverage(tracks, store))
        digest = network_digest(reader.model, reader.tokenizer)
        asked = {
            "model": digest, "genome": store.digest, "read": [*READ, reader.offsets], "decoder": decoding.to_plain(),
            "tracks": tracks,
        }  # fmt: skip
        found = GenomeGenes(scan, decoding, hidden(folder, ".partial"), asked, keep=True, restart=restart)
        try:
            with Bar("pseudolabel", "bases", total=len(store.codes)) as bar:
                genes = numbered(found.find(bar.update), lengths)
            windows = list(_measured(found, genes, parts, window_bp))
            chosen = _chosen(windows, keep)
        except BaseException:
            found.leave()
            raise
        found.remove()
        folder.mkdir(parents=True, exist_ok=True)
        write_gff3(folder / GENES, genes, lengths, code=decoding.decoder.code, model=digest)
        _write_windows(folder, windows, chosen)
        _write_experiment(
            folder, model, genome, annotation, names, tracks, decoding.kind, decoding.decoder.code, reader.loaded.spec
        )
    _tell(windows, chosen, genes)
    if truth is not None:
        _judge(truth, store, genes, seed)
    logger.info(
        "tune the labeller on them: %s",
        shlex.join(["python", "train.py", f"experiment={folder / EXPERIMENT}", "run.name=tuned"]),
    )
    return int(chosen.sum())


def _parts(
    lengths: Mapping[str, int], split: str, valid_fraction: float, test_fraction: float, seed: int
) -> dict[str, list[tuple[int, int, str]]]:
    """Return which intervals of each contig are of which part."""
    large = len(large_sequences(lengths))
    if split == "contigs" and large < _LEAST_LARGE:
        raise ConfigError(
            f"split=contigs: {large} of {len(lengths)} sequences have 90 % of the bases, and {_LEAST_LARGE} or more "
            "are needed, one for each part: give split=position, which cuts every sequence."
        )
    if split == "contigs" or (split == "auto" and large >= _LEAST_LARGE):
        dealt = dealt_sequences(lengths, valid_fraction, test_fraction, seed)
        return {name: [(0, length, dealt[name])] for name, length in lengths.items()}
    logger.info("every sequence is cut by position: %d of them has 90 %% of the bases", large)
    found = {}
    for name, length in lengths.items():
        first, last = round(length * (1 - valid_fraction - test_fraction)), round(length * (1 - test_fraction))
        found[name] = [(0, first, "train"), (first, last, "valid"), (last, length, "test")]
    return found


def _measured(
    found: GenomeGenes, genes: Sequence[GeneModel], parts: Mapping[str, Sequence[tuple[int, int, str]]], window_bp: int
) -> Iterator[_Window]:
    """Cut the parts into windows of equal size, and measure each; those of contigs without a gene are left out."""
    store = found.scan.store
    by_contig: dict[str, list[GeneModel]] = {}
    for gene in genes:
        by_contig.setdefault(gene.contig, []).append(gene)
    for contig in store.contigs:
        own = by_contig.get(contig.name)
        if not own:
            continue
        codes = np.asarray(store.codes[contig.start : contig.start + contig.length])
        labels = labels_of(own, contig.name, codes)
        for start, end, part in parts[contig.name]:
            if end == start:
                continue
            edges = np.linspace(start, end, max(1, round((end - start) / window_bp)) + 1).astype(np.int64)
            raw = found.probabilities(contig, start, end)[:, :, : len(CLASSES)]
            distance, intergenic = distances(labels.part(start, end), raw, edges - start)
            for at in np.flatnonzero(~np.isnan(distance)).tolist():
                low, high = edges[at : at + 2].tolist()
                yield _Window(contig.name, low, high, part, float(distance[at]), float(intergenic[at]))


def _chosen(windows: Sequence[_Window], keep: float) -> Any:
    """Return which windows are kept (N,): all of the test part, and the surest of the others."""
    chosen = np.array([window.part == "test" for window in windows], bool)
    others = np.flatnonzero(~chosen)
    if not others.size:
        raise DataError("no window of training or validation has a gene, so nothing can be learned of them.")
    distance, share = (
        np.array([getattr(windows[at], name) for at in others.tolist()]) for name in ("distance", "intergenic")
    )
    chosen[others[surest(distance, share, keep)]] = True
    for part in ("train", "valid", "test"):
        if not any(one and window.part == part for one, window in zip(chosen, windows, strict=True)):
            raise DataError(f"no window is left for {part}: give a larger keep=, or smaller windows (window_bp=).")
    return chosen


def _write_windows(folder: Path, windows: Sequence[_Window], chosen: Any) -> None:
    kept = (window for window, one in zip(windows, chosen, strict=True) if one)
    write_whole(folder / KEPT, "".join(f"{one.contig}\t{one.start}\t{one.end}\t{one.part}\n" for one in kept))
    rows = ["\t".join([*_Window._fields, "kept"])]
    for window, one in zip(windows, chosen, strict=True):
        rows.append("\t".join(map(str, (*window, int(one)))))
    write_whole(folder / WINDOWS, "\n".join(rows) + "\n")


def _write_experiment(
    folder: Path,
    model: str,
    genome: str,
    annotation: str,
    names: Mapping[str, str | None],
    tracks: str,
    decode: str,
    code: int,
    spec: Mapping[str, Any],
) -> None:
    """Write what `experiment=` takes: the labeller, tuned on what is kept."""
    groups = {"stage": "label", "data": "annotation", "split": "column", "tune": "head"}
    data = {
        "genome": genome, "annotation": str(folder / GENES), "regions": str(folder / KEPT),
        "test_annotation": annotation or None, "genetic_code": code, "decode": decode,
        **({"window_bp": int(spec["sequence_bp"])} if spec.get("sequence_bp") else {}),
        **({"contigs": dict(names)} if names else {}),
        **({"tracks": OmegaConf.to_container(OmegaConf.create(tracks))} if tracks else {}),
    }  # fmt: skip
    content = {
        "defaults": [*({f"override /{group}": name} for group, name in groups.items()), "_self_"],
        "init_from": model,
        "data": data,
    }
    told = "# @package _global_\n# Pseudo-labels: a labeller tuned on the windows of a genome that it is sure of.\n"
    write_whole(folder / EXPERIMENT, told + OmegaConf.to_yaml(OmegaConf.create(content)))


def _tell(windows: Sequence[_Window], chosen: Any, genes: Sequence[GeneModel]) -> None:
    by_part = {
        part: (sum(window.part == part for window in windows), int(sum(
            one and window.part == part for one, window in zip(chosen, windows, strict=True)
        )))
        for part in ("train", "valid", "test")
    }  # fmt: skip
    far = np.array([window.distance for window in windows])
    logger.info(
        "%d genes; windows kept: %s; mean distance of the kept ones %.4f, of all %.4f",
        len(genes), ", ".join(f"{part} {kept} of {count}" for part, (count, kept) in by_part.items()),
        far[chosen].mean(), far.mean(),
    )  # fmt: skip


def _judge(truth: GeneModels, store: GenomeStore, genes: Sequence[GeneModel], seed: int) -> None:
    """Tell how good the genes are by the labels that there are."""
    wholes = list(labelled_contigs(truth, store))
    found = [[gene for gene in genes if gene.contig == whole.name] for whole in wholes]
    logger.info("before tuning, by the annotation: %s", told_genes(judged_genes(wholes, found, seed)))
